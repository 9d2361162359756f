"""Findings become incidents: what shares an entity and a day is one, what is worse speaks again, repeats are silent."""

from __future__ import annotations

from itertools import permutations

import pytest

from detectors.triage.desk import Waiting
from detectors.triage.fold import Incidents
from schemas.incident import LISTED
from schemas.intake import COUNTED_PER_FINDING, FindingUpdate
from schemas.journal import Fact, FindingAdded, Intake, Notified, Registered
from schemas.severity import Severity
from tests.triage import DUMP, GUESS, HOUR, LEAK, LIST, MOVE, T0, desk, found, raised, triaged, update

STORM = update(found(0, host="ws-0", user="", src_ip="10.6.6.6"))


def test_one_finding_is_one_incident_with_all_that_people_need() -> None:
    (one,) = raised(triaged(update(found(0, src_ip="10.1.2.3"), found(1, level="critical", time=T0 + 60_000))))
    assert (one.number, one.revision, one.status) == ("2026-000001", 1, "registered")
    assert (one.incident_class.id, one.priority, one.severity) == ("credential-compromise", 1, "critical")
    assert one.title.ru == "Кража учётных данных: ws-017"
    assert one.title.kk.startswith("Есептік деректерді ұрлау")
    assert [procedure.id for procedure in one.procedures] == ["reset-credentials"]
    assert one.procedures[0].name.kk
    assert (one.opened, one.respond_by) == (T0, T0 + 30 * 60_000)
    assert (one.first_event, one.last_event) == (T0, T0 + 60_000)
    assert one.entities == ("host:ws-017", "source:10.1.2.3", "user:aigerim")
    assert (one.levels, one.rules) == ({"critical": 1, "high": 1}, {"attack.t1003.001": 2})
    assert (one.tactics, one.techniques) == (("credential-access",), ("t1003.001",))
    assert (one.counts.findings, one.counts.detections, one.counts.notices) == (1, 2, 1)
    assert not one.retrospective


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_start_that_two_providers_tell_counts_once_and_both_stay_as_evidence(order: tuple[int, ...]) -> None:
    told = [
        found(0, activity="start", provider=1),
        found(1, activity="start", provider=2, time=T0 + 2_000),
        found(2, activity="start", provider=2, time=T0 + 2_001),  # too late: another start
        found(3, activity="start", provider=2, rule="another", time=T0),  # another rule's detection
    ]
    (one,) = raised(triaged(*(update(told[at]) for at in order)))
    assert one.counts.detections == 3
    assert one.rules == {"another": 1, "attack.t1003.001": 2}
    assert one.levels == {"high": 3}
    assert one.findings[0].detections == 3
    assert len(one.evidence) == 4


def test_stages_that_share_a_host_a_person_or_an_address_are_one_incident() -> None:
    attack = triaged(
        update(found(0, host="ws-017", user="aigerim", tags=DUMP)),
        update(found(1, host="srv-07", user="aigerim", tags=MOVE, time=T0 + HOUR)),
        update(found(2, host="srv-07", user="svc-pay", src_ip="10.9.9.9", tags=LEAK, time=T0 + 2 * HOUR)),
        update(found(3, host="", user="", src_ip="10.9.9.9", tags=LEAK, time=T0 + 3 * HOUR)),
    )
    (one,) = raised(attack)
    assert one.counts.findings == 4
    assert one.tactics == ("credential-access", "lateral-movement", "exfiltration")
    assert one.revision == 4


def test_strangers_are_two_incidents_and_so_are_two_days() -> None:
    strangers = triaged(
        update(found(0, host="ws-017", user="aigerim")),
        update(found(1, host="ws-018", user="daulet")),
        update(found(2, host="ws-017", user="aigerim", time=T0 + 25 * HOUR)),
    )
    assert [one.number for one in raised(strangers)] == ["2026-000001", "2026-000002", "2026-000003"]


def test_an_incident_does_not_walk_on_from_day_to_day() -> None:
    walk = triaged(*(update(found(hours, time=T0 + hours * HOUR)) for hours in range(0, 72, 6)))
    assert all(one.last_event - one.first_event <= 24 * HOUR for one in raised(walk))
    assert len(raised(walk)) == 3


def test_what_everyone_shares_connects_nothing() -> None:
    assert "user:administrator" in LIST.hubs
    shared = triaged(
        update(found(0, host="ws-017", user="BANK\\Administrator")),
        update(found(1, host="ws-018", user="BANK\\Administrator")),
    )
    assert len(raised(shared)) == 2


def test_findings_without_an_entity_join_only_those_of_their_own_item() -> None:
    nameless = triaged(
        update(found(0, host="", user="", tags=LEAK)),
        update(found(1, host="", user="", tags=LEAK, time=T0 + HOUR)),
        update(found(2, host="", user="", tags=DUMP, time=T0 + HOUR)),
    )
    assert sorted(one.counts.findings for one in raised(nameless)) == [1, 2]


def test_of_two_that_would_fit_the_one_that_shares_more_takes_it_then_the_nearer_then_the_older() -> None:
    two = triaged(
        update(found(0, host="ws-017", user="a")),
        update(found(1, host="ws-018", user="b", time=T0 + HOUR)),
        update(found(2, host="ws-018", user="a", src_ip="", time=T0 + 3 * HOUR)),
        update(found(3, host="ws-099", user="b", tags=MOVE, time=T0 + 3 * HOUR)),
    )
    first, second = raised(two)
    assert "host:ws-018" in second.entities
    assert second.counts.findings == 3
    assert first.counts.findings == 1


def test_the_most_urgent_item_leads_and_the_earliest_deadline_stands() -> None:
    late = triaged(update(found(0, tags=GUESS)))
    assert raised(late)[0].priority == 3
    (one,) = raised(triaged(update(found(1, tags=LEAK)), into=late, at=T0 + 60_000, now=10.0))
    assert (one.priority, one.incident_class.id) == (1, "data-leak")
    assert one.title.en == "Data exfiltration: ws-017"
    assert [item.id for item in one.items] == ["data-exfiltration", "brute-force"]
    assert [procedure.id for procedure in one.procedures] == ["stop-exfiltration", "stop-guessing"]
    assert one.respond_by == T0 + 60_000 + 30 * 60_000
    assert one.counts.notices == 2, "a more urgent priority notifies again"


def test_a_higher_severity_is_raised_and_notified_every_time() -> None:
    one = desk()
    notified = []
    for place, level in enumerate(("medium", "high", "high", "critical", "medium")):
        one.take([Waiting(update(found(place, level=level)), Intake(log="l", offset=place))])
        facts = one.work(T0, 10.0 * place).facts
        notified.append([fact.body.reason for fact in facts if isinstance(fact.body, Notified)])
    assert notified == [["registered"], ["severity"], [], ["severity"], []]
    (incident,) = raised(one)
    assert (incident.severity, incident.counts.notices) == ("critical", 3)


def test_the_first_facts_are_registered_finding_notified() -> None:
    one = desk()
    one.take([Waiting(update(found(0)), Intake(log="l", offset=7))])
    facts = one.work(T0, 0.0).facts
    assert [fact.body.kind for fact in facts] == ["registered", "finding_added", "notified"]
    assert {fact.intake.offset for fact in facts} == {7}
    assert {fact.revision for fact in facts} == {1}


def test_an_update_judged_again_says_nothing() -> None:
    one = triaged(update(found(0), found(1)), update(found(2, tags=MOVE)))
    before = raised(one)
    for again in (update(found(0)), update(found(1), found(0)), update(found(2, tags=MOVE))):
        one.take([Waiting(again, Intake(log="l", offset=99))])
        assert one.work(T0 + 5, 999.0).facts == []
    assert raised(one) == before


def test_facts_that_a_crash_cut_are_made_up_for_when_the_update_comes_again() -> None:
    whole = desk()
    members = [update(found(0, level="medium")), update(found(1, level="critical"))]
    facts: list[Fact] = []
    for place, member in enumerate(members):
        whole.take([Waiting(member, Intake(log="l", offset=place))])
        facts += whole.work(T0, 10.0 * place).facts
    expected = raised(whole)[0]
    for kept in range(len(facts) + 1):
        torn = desk()
        for fact in facts[:kept]:
            torn.incidents.apply(fact)
        for place, member in enumerate(members):
            torn.take([Waiting(member, Intake(log="l", offset=place))])
            torn.work(T0, 100.0 + 10 * place)
        (got,) = raised(torn)
        for name in ("number", "severity", "priority", "evidence", "rules", "levels", "entities"):
            assert getattr(got, name) == getattr(expected, name), (kept, name)
        assert got.counts.notices >= 1


def test_an_item_that_the_list_does_not_hold_is_stated_as_unlisted_and_not_dropped() -> None:
    strange = found(0)
    assert strange.finding is not None
    ref = strange.finding.model_copy(update={"item": "of-another-revision"})
    (one,) = raised(triaged(update(strange.model_copy(update={"finding": ref}))))
    assert (one.incident_class.id, one.priority) == ("unlisted", 2)
    assert one.title.ru == "Нет в перечне: of-another-revision: ws-017"


def test_revisions_that_say_nothing_urgent_are_a_second_apart() -> None:
    one = desk()
    revisions = 0
    for tick in range(50):
        one.take([Waiting(update(found(tick)), Intake(log="l", offset=tick))])
        revisions += len(one.work(T0 + tick, tick / 10).incidents)
    assert revisions == 5
    assert len(one.waiting) <= 10


def test_a_storm_of_ten_thousand_findings_of_one_source_is_one_incident_with_few_revisions() -> None:
    one = desk()
    for place in range(20):
        members = [from_one_source(place * 500 + number) for number in range(500)]
        one.take([Waiting(member, Intake(log="l", offset=place)) for member in members])
        one.work(T0, float(place))
    (incident,) = raised(one)
    assert incident.revision == 20
    assert (incident.counts.findings, len(incident.findings), len(incident.evidence)) == (10_000, LISTED, LISTED)
    assert incident.counts.notices == 1
    assert len(incident.to_bytes()) < 1_000_000


def from_one_source(number: int) -> FindingUpdate:
    """An update of one of many findings, each on its own host (copied: ten thousand detections are slow to build)."""
    ref = STORM.finding.model_copy(update={"id": f"f{number}", "entity": f"host:ws-{number}"})
    evidence = STORM.evidence[0].model_copy(update={"id": f"d{number}", "host": f"ws-{number}"})
    changed = {"finding": ref, "evidence": (evidence,), "entities": (ref.entity, "source:10.6.6.6")}
    return STORM.model_copy(update=changed)


def test_a_finding_counts_to_its_bound_and_still_shows_a_new_rule_and_a_higher_level() -> None:
    flood = [update(found(number, level="medium")) for number in range(COUNTED_PER_FINDING + 20)]
    one = triaged(*flood)
    assert raised(one)[0].counts.detections == COUNTED_PER_FINDING
    triaged(
        update(found(9_998, level="medium", rule="another")),
        update(found(9_999, level="critical")),
        into=one,
        now=1_000_000.0,
    )
    (incident,) = raised(one)
    assert incident.severity == "critical"
    assert incident.rules["another"] == 1
    assert incident.counts.detections == COUNTED_PER_FINDING + 2


def test_what_is_found_in_the_past_is_marked_until_something_live_joins() -> None:
    one = triaged(update(found(0, retrospective=True)))
    assert raised(one)[0].retrospective
    triaged(update(found(1, tags=MOVE)), into=one, now=60.0)
    assert not raised(one)[0].retrospective


def test_numbers_count_within_the_year_of_the_bank() -> None:
    incidents = Incidents()
    for number in ("2026-000001", "2026-000002", "2027-000001"):
        incidents.apply(
            Fact(
                at=T0,
                incident=number,
                revision=1,
                intake=Intake(log="l", offset=0),
                body=Registered(number=number, severity="high"),
            )
        )
    assert (incidents.next_number(2026), incidents.next_number(2027)) == ("2026-000003", "2027-000002")
    assert incidents.next_number(2028) == "2028-000001"


def test_the_facts_of_an_entry_name_the_item_only_once() -> None:
    one = desk()
    told = []
    for place in range(3):
        one.take([Waiting(update(found(place)), Intake(log="l", offset=place))])
        told += [fact.body.item for fact in one.work(T0, 10.0 * place).facts if isinstance(fact.body, FindingAdded)]
    assert [item.id if item else None for item in told] == ["credential-theft", None, None]


def test_severity_is_the_highest_of_its_detections() -> None:
    (one,) = raised(triaged(update(found(0, level="medium")), update(found(1, level="critical", tags=LEAK))))
    assert Severity.of(one.severity) == max(Severity.of(piece.level) for piece in one.evidence)
