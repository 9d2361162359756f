"""The account balances when all is well, and each way in which it can be wrong fails the line that says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.demo.account import Books, Found, Line, Raised, balance
from schemas.identity import Origin


def at(offset: int, topic: str = "raw.windows") -> Origin:
    return Origin("log", topic, 0, offset)


def found(number: int, origin: Origin, finding: str = "f", retrospective: bool = False) -> Found:
    return Found(f"d{number}", origin, f"rule-{number}", finding, retrospective)


#: Twenty records; 3 and 5 are the attack's two stages, 1 the early contact, 19 damaged and a dead letter.
GOOD = Books(
    published=frozenset(at(n) for n in range(20)),
    stored=[at(n) for n in range(19)],
    dead=[at(19)],
    detections=[found(1, at(3), "f1"), found(2, at(5), "f2"), found(3, at(1), "f3", retrospective=True)],
    kept_detections=frozenset({"d1", "d2", "d3"}),
    incidents=[
        Raised("2026-000001", frozenset({"f1", "f2"}), "2026-000001, Intrusion"),
        Raised("2026-000002", frozenset({"f3"}), "2026-000002, Indicator"),
    ],
    stages={"delivery": frozenset({at(3)}), "theft": frozenset({at(4), at(5)})},
    early=frozenset({at(1)}),
    damaged=frozenset({at(19)}),
)


def failed(books: Books) -> list[Line]:
    return [line for line in balance(books) if not line.ok]


def test_an_account_of_a_good_run_balances() -> None:
    assert failed(GOOD) == []


def test_the_incident_is_told_with_its_caption() -> None:
    line = next(line for line in balance(GOOD) if line.what == "the attack is one incident")
    assert line.seen == "2026-000001, Intrusion"


KEPT = "detections published = detections stored"


@pytest.mark.parametrize(
    ("wrong", "line", "says"),
    [
        (replace(GOOD, stored=[at(n) for n in range(18)]), "published = stored + dead letters", "1 missing: log/"),
        (replace(GOOD, stored=[at(n) for n in range(21)]), "published = stored + dead letters", "1 never published"),
        (replace(GOOD, stored=[*GOOD.stored, at(7)]), "duplicates 0", "1: log/raw.windows/0/7"),
        (replace(GOOD, dead=[at(19), at(7)]), "duplicates 0", "1: log/raw.windows/0/7"),
        (replace(GOOD, undelivered=2), "published", "did not confirm 2"),
        (replace(GOOD, dead=[]), "1 damaged records kept", "lost log/raw.windows/0/19"),
        (replace(GOOD, kept_detections=frozenset({"d1", "d2"})), KEPT, "1 not in"),
        (replace(GOOD, kept_detections=GOOD.kept_detections | {"d9"}), KEPT, "alone"),
        (replace(GOOD, detections=GOOD.detections[1:], kept_detections=frozenset({"d2", "d3"})), "delivery",
         "no finding on its records"),
        (replace(GOOD, detections=[found(1, at(3), ""), *GOOD.detections[1:]]), "delivery", "no finding"),
        (replace(GOOD, detections=[*GOOD.detections, found(4, at(9))], kept_detections=GOOD.kept_detections | {"d4"}),
         "no false alarm", "1 finding on ordinary records: rule-4"),
        (replace(GOOD, incidents=GOOD.incidents[1:]), "the attack is one incident", "no incident holds"),
        (replace(GOOD, incidents=[Raised("a", frozenset({"f1"}), ""), Raised("b", frozenset({"f2", "f3"}), "")]),
         "the attack is one incident", "spread over a, b"),
        (replace(GOOD, incidents=[Raised("a", frozenset({"f1", "f3"}), "")]), "the attack is one incident", "lacks 1"),
        (replace(GOOD, detections=GOOD.detections[:2], kept_detections=frozenset({"d1", "d2"})),
         "the new indicator uncovers the past contact", "0 of 1"),
        (replace(GOOD, detections=[*GOOD.detections[:2], found(3, at(1), "", retrospective=True)]),
         "the new indicator uncovers the past contact", "no item"),
        (replace(GOOD, incidents=GOOD.incidents[:1]), "the new indicator uncovers the past contact", "no incident"),
        (replace(GOOD, detections=[*GOOD.detections, found(4, at(9), "f3", retrospective=True)],
                 kept_detections=GOOD.kept_detections | {"d4"}),
         "the new indicator uncovers the past contact", "1 other records"),
        (replace(GOOD, journal="entry 3 does not follow"), "journal verified", "entry 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_fails_the_line_that_says_so(wrong: Books, line: str, says: str) -> None:
    lines = {entry.what: entry.seen for entry in failed(wrong)}
    assert line in lines
    assert says in lines[line]


def test_a_missing_record_and_a_doubled_one_do_not_cancel_out() -> None:
    """The counts agree; the sets do not."""
    wrong = replace(GOOD, stored=[at(n) for n in range(18)] + [at(2)])
    assert {line.what for line in failed(wrong)} == {"published = stored + dead letters", "duplicates 0"}


def test_the_same_offset_of_another_topic_is_another_record() -> None:
    wrong = replace(GOOD, stored=[at(n) for n in range(18)] + [at(18, "raw.linux")])
    assert "published = stored + dead letters" in {line.what for line in failed(wrong)}


def test_nothing_published_is_no_success() -> None:
    empty = Books(frozenset(), [], [], [], frozenset(), [])
    assert [line.what for line in failed(empty)] == ["published"]


def test_the_lines_of_the_attack_do_not_apply_to_a_users_own_events() -> None:
    own = replace(GOOD, stages=None, early=None, damaged=frozenset())
    assert failed(own) == []
    assert not {"the attack is one incident", "no false alarm"} & {line.what for line in balance(own)}


def test_a_users_finding_that_reached_no_incident_fails() -> None:
    own = replace(GOOD, stages=None, early=None, incidents=GOOD.incidents[:1])
    assert [line.what for line in failed(own)] == ["every finding is in an incident"]
