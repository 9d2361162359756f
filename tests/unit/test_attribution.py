"""Attribution: the first item that claims a detection has it, and the finding's id depends on nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.triage.attribution import Attribution
from schemas.detection import FindingRef, finding_id
from schemas.event import Source
from schemas.event_list import Claim, EventList, Item
from schemas.text import Named, Text
from tests.triage import LIST, T0

ANY = Text(kk="а", ru="б", en="c")
WINDOWS = Source("windows", "process_creation", "sysmon", 1)


def listed(*items: Item) -> EventList:
    named = (Named(id="any", name=ANY),)
    return EventList(revision="r", effective_from="2026-01-01", classes=named, procedures=named, items=items)  # type: ignore[arg-type] # pydantic reads the date


def item(name: str, *claims: Claim, **other: object) -> Item:
    return Item.model_validate(
        {
            "id": name,
            "name": ANY,
            "description": ANY,
            "claims": claims,
            "class": "any",
            "priority": 1,
            "response_minutes": 1,
            "procedure": "any",
            "sources": ["x"],
            "basis": "b",
            **other,
        }
    )


def claimed(event_list: EventList, **fields: object) -> FindingRef | None:
    defaults = {
        "kind": "rule",
        "subject": "r1",
        "tags": ("attack.t1003.001",),
        "level": "high",
        "source": WINDOWS,
        "entities": ("host:ws-017", "user:aigerim"),
        "topic": "raw.events",
        "time_ms": T0 + 61_000,
    }
    return Attribution(event_list).attribute(**{**defaults, **fields})  # type: ignore[arg-type] # fields vary by test


def test_the_first_item_in_the_lists_order_has_it() -> None:
    broad, special = item("broad", Claim(tags=("attack.t1003",))), item("special", Claim(rules=("r1",)))
    first = claimed(listed(special, broad))
    second = claimed(listed(broad, special))
    assert (first and first.item, second and second.item) == ("special", "broad")


@pytest.mark.parametrize(
    ("claim", "fields", "fits"),
    [
        (Claim(tags=("attack.t1003",)), {}, True),
        (Claim(tags=("attack.t1003.001",)), {"tags": ("attack.t1003",)}, False),
        (Claim(tags=("attack.credential_access",)), {"tags": ("attack.credential-access",)}, True),
        (Claim(tags=("attack.credential-access",)), {"tags": ("attack.Credential_Access",)}, True),
        (Claim(tags=("attack.t1003",), not_tags=("attack.t1003.001",)), {}, False),
        (Claim(tags=("attack.t1003",), level="critical"), {}, False),
        (Claim(rules=("r1",)), {"level": "low"}, False),
        (Claim(rules=("r1",)), {"level": "informational"}, False),
        (Claim(rules=("r1",), tags=("attack.t1110",)), {}, False),
        (Claim(sources=({"product": "windows"},)), {}, True),  # type: ignore[arg-type] # pydantic reads the dict
        (Claim(sources=({"product": "windows", "service": "security"},)), {}, False),  # type: ignore[arg-type] # as above
        (Claim(indicators=("any",)), {}, False),
        (Claim(indicators=("any",)), {"kind": "indicator"}, True),
        (Claim(indicators=("domain",)), {"kind": "indicator", "indicator_type": "domain"}, True),
        (Claim(indicators=("domain",)), {"kind": "indicator", "indicator_type": "ipv4"}, False),
        *(
            (Claim(indicators=(kind,)), {"kind": "indicator", "indicator_type": other}, kind == other)
            for kind in ("cidr", "card_bin", "registry_key")
            for other in ("cidr", "card_bin", "registry_key")
        ),
        (Claim(indicators=("any",), retrospective=True), {"kind": "indicator"}, False),
        (Claim(indicators=("any",), retrospective=True), {"kind": "indicator", "retrospective": True}, True),
        (Claim(rules=("r1",)), {"kind": "indicator"}, False),
    ],
)
def test_a_claim_holds_when_everything_in_it_holds(claim: Claim, fields: dict[str, object], fits: bool) -> None:
    assert (claimed(listed(item("one", claim)), **fields) is not None) == fits


def test_what_no_item_claims_is_no_finding() -> None:
    assert claimed(LIST, tags=("attack.t1082",), level="medium") is None
    assert claimed(LIST, level="low") is None


def test_the_entity_is_the_first_that_resolves_in_the_items_order() -> None:
    of_user = item("one", Claim(rules=("r1",)), entities=("user", "host"))
    assert claimed(listed(of_user)).entity == "user:aigerim"  # type: ignore[union-attr] # it is claimed
    assert claimed(listed(of_user), entities=("host:ws-017",)).entity == "host:ws-017"  # type: ignore[union-attr] # as above
    none = claimed(listed(of_user), entities=())
    assert none is not None
    assert none.entity == "logsource:windows/process_creation/sysmon@raw.events"


@given(st.integers(0, 4_102_444_800_000), st.integers(0, 4_102_444_800_000))
def test_two_times_share_a_finding_exactly_when_they_share_a_window_of_the_epoch(one: int, other: int) -> None:
    first, second = claimed(LIST, time_ms=one), claimed(LIST, time_ms=other)
    assert first is not None
    assert second is not None
    assert (first.id == second.id) == (one // 3_600_000 == other // 3_600_000)
    assert first.window_start == one - one % 3_600_000
    assert first.id == finding_id(first.item, first.entity, first.window_start)


def test_a_new_revision_of_the_list_leaves_a_findings_id_as_it_was() -> None:
    changed = LIST.model_copy(update={"revision": "another"})
    one, other = claimed(LIST), claimed(changed)
    assert one is not None
    assert other is not None
    assert (one.id, one.event_list, other.event_list) == (other.id, LIST.revision, "another")
