"""curate's agent: what is submitted, what is refused, what waits, what is withdrawn, what a successor knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from detectors.ioc.life import GRACE_MS
from pipeline.gatekeeping import AGAIN_S
from schemas.errors import UnreachableError
from schemas.event import Observable
from schemas.indicator_record import Command, Document, Poll
from schemas.intake import Revocations
from tests.builders import batch_of
from tests.curate import NOW, Curating, document, seen_on


@pytest.fixture
def curating(tmp_path: Path) -> Curating:
    return Curating(tmp_path)


async def said(curating: Curating, *values: Document | Command | Poll | bytes, first: int = 0) -> bool:
    """Hand a batch over; whether it was acknowledged."""
    acked: list[bool] = []
    batch = batch_of(
        *(one if isinstance(one, bytes) else one.to_bytes() for one in values),
        first=first,
        topic="indicators",
        timestamp=NOW,
    )
    await curating.agent.handle(batch, lambda: acked.append(True))
    return bool(acked)


async def test_a_document_is_normalised_gated_and_published(curating: Curating) -> None:
    curating.sweep.found = seen_on("busy.example", 50)
    assert await said(curating, document("1", "Evil[.]Example."), document("2", "busy.example"))
    assert curating.topics.states() == {"1": "active", "2": "held"}
    one, two = curating.topics.gated()
    assert one.document.values[0].value == "evil.example"
    assert [reason.rule for reason in two.reasons] == ["prevalence"]
    assert (two.prevalence[0].hosts, two.prevalence[0].samples) == (50, ("ws-1",))


async def test_what_cannot_be_read_or_may_not_be_said_becomes_a_dead_letter_and_the_rest_is_taken(
    curating: Curating,
) -> None:
    bad = (
        b"{",
        b"{}",
        document("x", "not a domain").to_bytes(),
        document("y", source="regulator").to_bytes(),
        Command(kind="revoke", source="regulator", id="1").to_bytes(),
        Command(kind="release", source="soc", id="1", by="", reason="none").to_bytes(),
    )
    assert await said(curating, *bad, document("1"))
    assert curating.topics.states() == {"1": "active"}
    assert len(curating.topics.records["dead-letters"]) == len(bad)


async def test_nobody_becomes_the_regulator_by_saying_so(curating: Curating) -> None:
    curating.sweep.found = seen_on("1.example", 50)
    await said(curating, document("1", authority="regulator"))
    assert curating.topics.states() == {"1": "held"}


async def test_of_a_feed_that_is_the_regulators_all_is_matched_and_what_is_seen_widely_is_grouped(
    curating: Curating,
) -> None:
    curating.sweep.found = seen_on("1.example", 50)
    await curating.agent.take([document("1", source="regulator", authority="regulator")], feed="regulator", poll=1)
    (one,) = curating.topics.gated()
    assert (one.state, one.grouped, [reason.rule for reason in one.reasons]) == ("active", True, ["prevalence"])


async def test_while_the_store_is_away_new_indicators_wait_and_the_regulators_do_not(curating: Curating) -> None:
    curating.sweep.away = True
    await said(curating, document("1"))
    await curating.agent.take([document("2", source="regulator", authority="regulator")], feed="regulator", poll=1)
    assert curating.topics.states() == {"1": "waiting", "2": "active"}
    assert "away" in curating.keeper.away
    await said(curating, Command(kind="release", source="soc", id="1", by="a", reason="b"), first=1)
    assert curating.topics.states()["1"] == "waiting", "a command does not pass the gate for it"
    curating.sweep.away, curating.sweep.found = False, seen_on("2.example", 50)
    curating.now += int(AGAIN_S * 1000)
    await curating.agent.again()
    assert curating.topics.states() == {"1": "active", "2": "active"}
    assert curating.topics.last()["regulator", "2"].grouped


async def test_what_is_held_is_released_by_name_and_for_its_values_alone(curating: Curating) -> None:
    curating.sweep.found = seen_on("1.example", 50) | seen_on("more.example", 50)
    await said(curating, document("1"))
    await said(
        curating, Command(kind="release", source="soc", id="1", by="a.analyst", reason="ours", at=NOW + 1), first=1
    )
    released = curating.topics.last()["soc", "1"]
    assert (released.state, released.released and released.released.by) == ("released", "a.analyst")
    await said(curating, document("1", title="a better title", at=NOW + 2), first=2)
    assert curating.topics.states() == {"1": "released"}
    await said(curating, document("1", "more.example", at=NOW + 3), first=3)
    last = curating.topics.last()["soc", "1"]
    assert (last.state, last.gone) == ("held", (("domain", "1.example"),))


async def test_only_its_own_source_revokes_and_a_person_outlives_the_feed(curating: Curating) -> None:
    await said(curating, document("1"), Command(kind="revoke", source="other", id="1", at=NOW + 1))
    assert curating.topics.states() == {"1": "active"}
    await said(curating, Command(kind="revoke", source="soc", id="1", at=NOW + 2), first=2)
    assert curating.topics.states() == {"1": "revoked"}
    (told,) = [Revocations.from_bytes(one.value) for one in curating.topics.records["intake"]]
    assert [(one.source, one.indicator, one.at) for one in told.revoked] == [("soc", "1", NOW + 2)]
    await said(curating, document("1", at=NOW + 3), first=3)
    assert curating.topics.states() == {"1": "active"}, "its source may change its mind"
    await said(curating, Command(kind="expire", source="soc", id="1", by="a", reason="false", at=NOW + 4), first=4)
    await said(curating, document("1", at=NOW + 5, title="again"), first=5)
    assert curating.topics.states() == {"1": "expired"}


async def test_what_is_over_expires_after_the_time_that_events_may_be_late(curating: Curating) -> None:
    await said(curating, document("1", valid_until=NOW + 1_000))
    curating.now += GRACE_MS
    await curating.agent.again()
    assert curating.topics.states() == {"1": "active"}
    curating.now += 1_000
    await curating.agent.again()
    assert curating.topics.states() == {"1": "expired"}


async def test_what_a_whole_poll_no_longer_has_is_withdrawn_in_its_sources_name(curating: Curating) -> None:
    await curating.agent.take([document("1"), document("2")], feed="files", poll=1)
    await curating.agent.take([document("2", at=NOW + 1)], feed="files", poll=2)
    await curating.agent.withdraw("files", 2)
    assert curating.topics.states() == {"1": "revoked", "2": "active"}
    assert len(curating.topics.gated()) == 3, "what stays is not said again"
    await curating.agent.take([document("1", at=NOW + 9), document("2", at=NOW + 9)], feed="files", poll=3)
    await curating.agent.withdraw("files", 3)
    assert curating.topics.states() == {"1": "active", "2": "active"}


async def test_a_batch_is_acknowledged_when_it_is_published_and_not_folded_twice(curating: Curating) -> None:
    curating.topics.down = True
    with pytest.raises(UnreachableError):
        await said(curating, document("1"))
    curating.topics.down = False
    again = await curating.again()
    assert await said(again, document("1"))
    assert await said(again, document("1"), document("2"))
    assert [(one.id, one.revision) for one in curating.topics.gated()] == [("1", 1), ("2", 1)]
    assert len(again.sweep.asked) == 2, "the store is asked once for each"


async def test_on_another_machine_the_catalogue_is_made_of_its_topic(curating: Curating, tmp_path: Path) -> None:
    curating.sweep.found = seen_on("2.example", 50)
    await said(curating, *(document(str(number)) for number in range(5)))
    await said(curating, Command(kind="release", source="soc", id="2", by="a", reason="b", at=NOW + 1), first=5)
    other = Curating(tmp_path / "other", curating.topics, curating.sweep)
    await said(other, Command(kind="expire", source="soc", id="0", by="a", reason="b", at=NOW + 2), first=6)
    assert curating.topics.states() == {"0": "expired", "1": "active", "2": "released", "3": "active", "4": "active"}
    assert len(curating.topics.gated()) == 7


async def test_a_topic_that_forgot_is_told_everything_again(curating: Curating) -> None:
    await said(curating, document("1"), document("2"))
    await said(curating, Command(kind="revoke", source="soc", id="2", at=NOW + 1), first=2)
    curating.topics.records.clear()
    curating.topics.log = "log-2"
    again = await curating.again()
    await again.agent.take_over()
    assert curating.topics.states() == {"1": "active", "2": "revoked"}


async def test_a_poll_is_handed_on_and_nothing_is_said_of_it(curating: Curating) -> None:
    asked: list[Poll] = []
    curating.agent._on_poll = asked.append
    assert await said(curating, Poll(feed="misp", at=7))
    assert [(one.feed, one.at) for one in asked] == [("misp", 7)]


async def test_a_batch_in_hand_is_finished_before_the_catalogue_is_let_go(curating: Curating) -> None:
    done = await asyncio.gather(said(curating, document("1")), curating.agent.release())
    assert done[0]
    assert curating.topics.states() == {"1": "active"}
    assert curating.sweep.asked == [Observable("domain", "1.example")]
