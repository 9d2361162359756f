"""Sigma filters and disabled rules: what they hide, until when, and by which sentence they are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from detectors.sigma.aim import Disabled
from detectors.sigma.filters import Account, passes_unnamed
from detectors.sigma.rule import LogSource
from pipeline.tuning import NO_TUNING, Placeholder, Tuning
from schemas.event import Source
from tests.sigma import ANY, PROCESS, event, rule_text
from tests.tuning import ACCOUNT, FILTER_ID, RULE_ID, deciding, filter_text, tuned

RULE = rule_text({"s": {"F": "a"}, "condition": "s"})
OTHER_ID = "4f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12"
END = int(datetime(2027, 1, 31, tzinfo=UTC).timestamp() * 1000)


def judged(*texts: bytes, fields: dict[str, Any], at_ms: int = 0, tuning: Tuning = NO_TUNING) -> tuple[int, list[str]]:
    """(detections, suppressions that hid one) of one event that Kafka received at `at_ms`."""
    made = event({"F": "a", **fields})
    made.kafka_ms = at_ms
    found = deciding(tuned(*texts, tuning=tuning)).judge("log", "topic", 0, [made])
    return len(found.detections), [one.suppression for one in found.hidden]


def refused(*texts: bytes, tuning: Tuning = NO_TUNING) -> list[str]:
    return [str(each) for each in tuned(*texts, tuning=tuning).suppressions.refused]


def test_a_filter_hides_what_it_names_and_nothing_else_and_what_it_hides_is_told() -> None:
    assert judged(RULE, filter_text(), fields={"User": "adm_x"}) == (0, [FILTER_ID])
    assert judged(RULE, filter_text(), fields={"User": "x"}) == (1, [])


def test_an_event_without_the_filters_field_stays_found() -> None:
    """`not selection` of a field that is absent holds; that surprises authors, and is right."""
    assert judged(RULE, filter_text(), fields={}) == (1, [])


def test_an_event_that_the_rule_does_not_match_is_hidden_by_nothing() -> None:
    assert judged(RULE, filter_text(), fields={"F": "b", "User": "adm_x"}) == (0, [])


def test_the_hidden_record_is_named_by_identity_and_without_its_content() -> None:
    made = event({"F": "a", "User": "adm_secret"}, offset=7)
    (hidden,) = deciding(tuned(RULE, filter_text())).judge("log", "raw", 3, [made]).hidden
    assert (*hidden.origin, hidden.rule, hidden.time_ms) == ("log", "raw", 3, 7, RULE_ID, 0)
    assert "secret" not in str(hidden)


@pytest.mark.parametrize("condition", ["selection", "selection and not other", "1 of them", "not (a or not selection)"])
def test_a_filter_written_after_the_specifications_example_inverts_itself_and_is_refused(condition: str) -> None:
    """Carried out as written, `condition: selection` finds the rule's events of administrators alone."""
    text = filter_text({"condition": condition, "other": {"X": 1}, "a": {"Y": 1}})
    (sentence,) = refused(RULE, text)
    assert sentence.startswith("1.yml:5: it inverts itself")
    assert sentence.endswith(
        "Write `condition: not selection` to hide what the selection names; what narrows a rule belongs into the rule"
    )
    assert judged(RULE, text, fields={"User": "x"}) == (1, []), "the rule itself goes on"


@pytest.mark.parametrize(
    "condition", ["not selection", "not 1 of sel*", "not selection and not other", "not (selection and not other)"]
)
def test_a_filter_that_lets_pass_what_it_does_not_name_is_taken(condition: str) -> None:
    assert refused(RULE, filter_text({"condition": condition, "other": {"X": 1}})) == []


def test_the_lint_takes_every_leaf_for_false() -> None:
    leaf = ["null", "F"]
    assert passes_unnamed(["not", leaf])
    assert passes_unnamed(["or", leaf, ["not", ["and", leaf, leaf]]])
    assert not passes_unnamed(["and", leaf, ["not", leaf]])
    assert not passes_unnamed(leaf)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("nobody answers for it: owner missing", ACCOUNT | {"owner": ""}),
        ("nobody answers for it: reason missing", ACCOUNT | {"reason": None}),
        ("nobody answers for it: expires missing", {"owner": "a", "reason": "b"}),
        ("`qorgan` knows no expiry", ACCOUNT | {"expiry": "2027-01-01"}),
        ("`qorgan` is not a mapping", "SOC"),
        ("expires 'soon' is no date", ACCOUNT | {"expires": "soon"}),
        ("expires '2027-02-30' is no date", ACCOUNT | {"expires": "2027-02-30"}),
        ("SOC is its owner and approved it", ACCOUNT | {"approval": "soc"}),
        ("its owner is not a text", ACCOUNT | {"owner": 5}),
    ],
)
def test_a_filter_for_which_nobody_answers_is_refused_at_the_line_of_its_account(sentence: str, said: Any) -> None:
    (told,) = refused(RULE, filter_text(qorgan=said))
    assert told.startswith("1.yml:11: ")
    assert sentence in told


def test_a_filter_names_a_rule_by_its_id_in_whatever_case() -> None:
    named = rule_text({"s": {"F": "a"}, "condition": "s"}, id="Site-Rule.7")
    text = filter_text({"rules": ["site-rule.7"]})
    assert judged(named, text, fields={"User": "adm_x"}) == (0, [FILTER_ID])


def test_a_filter_as_the_specification_knows_it_is_for_files_alone() -> None:
    """Nobody answers for it, so a worker refuses it."""
    texts = (RULE, filter_text(qorgan=None))
    assert refused(*texts)[0].startswith("1.yml:5: nobody answers for it: owner, reason, expires missing. Say who")
    anyway = Tuning({}, unanswered=True)
    assert refused(*texts, tuning=anyway) == []
    assert judged(*texts, fields={"User": "adm_x"}, at_ms=1 << 61, tuning=anyway) == (0, [FILTER_ID])


@pytest.mark.parametrize(
    ("sentence", "filter_"),
    [
        ("no rule in force has the id or name 'nosuch'", {"rules": ["nosuch"]}),
        ("it names no rule", {"rules": None}),
        ("it names no rule", {"rules": []}),
        ("it names no rule", {"rules": [7]}),
        ("it names rules beside `any`", {"rules": ["any", RULE_ID]}),
        ("its filter has no condition", {"condition": None}),
        ("its filter has no condition, or more than one", {"condition": ["not selection"]}),
        ("Detection 'nosuch' not defined", {"condition": "not nosuch"}),
        ("the list of 'User' is empty", {"selection": {"User": []}}),
        ("the placeholder %admins% has no values", {"selection": {"User|expand": "%admins%"}}),
    ],
)
def test_a_filter_that_applies_to_nothing_or_says_nothing_is_refused(sentence: str, filter_: dict[str, Any]) -> None:
    (told,) = refused(RULE, filter_text(filter_))
    assert told.startswith("1.yml:5: ")
    assert sentence in told


def test_a_filter_that_is_no_mapping_is_refused() -> None:
    assert "its filter is not a mapping" in refused(RULE, filter_text(filter="x"))[0]


def test_a_filter_with_a_detection_of_its_own_is_refused() -> None:
    both = filter_text(detection={"s": {"F": "a"}, "condition": "s"})
    assert "it is a rule and a filter at once" in refused(RULE, both)[0]


@pytest.mark.parametrize(
    "expires", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]
)
@pytest.mark.parametrize("zone", ["Asia/Almaty", "America/New_York"])
def test_a_day_at_the_end_of_time_is_taken(expires: str, zone: str) -> None:
    until = Account("a", "b", expires).until_ms(ZoneInfo(zone))
    assert (until > 0) == expires.startswith("9999")


def test_a_filter_of_another_log_source_is_refused_with_both() -> None:
    (told,) = refused(RULE, filter_text(logsource={"product": "linux"}))
    assert f"'{RULE_ID}' has another logsource (product: windows) than the filter (product: linux)" in told
    (told,) = refused(RULE, filter_text({"rules": "any"}, logsource={"product": "linux"}))
    assert "no rule in force has its logsource (product: linux)" in told


def test_a_narrower_log_source_is_another_and_a_wider_one_is_not() -> None:
    assert refused(RULE, filter_text(logsource={"product": "windows", "service": "security"}))
    narrow = rule_text({"s": {"F": "a"}, "condition": "s"}, logsource={"product": "windows", "service": "security"})
    assert refused(narrow, filter_text()) == []


def test_a_filter_on_a_correlation_is_refused_by_name() -> None:
    correlation = rule_text({}, id=OTHER_ID, name="many", correlation={"type": "event_count"}, detection=None)
    for name in (OTHER_ID, "many"):
        (told,) = refused(RULE, correlation, filter_text({"rules": [name]}))
        assert f"'{name}' is a correlation" in told


def test_a_reference_that_leads_nowhere_is_named_and_the_others_stay_in_force() -> None:
    text = filter_text({"rules": [RULE_ID.upper(), "gone"]})
    assert "'gone'" in refused(RULE, text)[0]
    assert judged(RULE, text, fields={"User": "adm_x"}) == (0, [FILTER_ID])


def test_a_filter_may_call_a_rule_by_name_and_any_means_all_of_its_log_source() -> None:
    named = rule_text({"s": {"F": "a"}, "condition": "s"}, name="my_rule")
    linux = rule_text({"s": {"F": "a"}, "condition": "s"}, id=OTHER_ID, logsource={"product": "linux"})
    assert judged(named, filter_text({"rules": "my_rule"}), fields={"User": "adm_x"}) == (0, [FILTER_ID])
    (suppression,) = tuned(named, linux, filter_text({"rules": "any"})).suppressions.all
    assert suppression.rules == (RULE_ID,)


def test_a_filter_is_out_of_force_from_its_day_on_by_the_records_time() -> None:
    fields = {"User": "adm_x"}
    assert judged(RULE, filter_text(), fields=fields, at_ms=END - 1) == (0, [FILTER_ID])
    assert judged(RULE, filter_text(), fields=fields, at_ms=END) == (1, [])


@pytest.mark.parametrize(
    ("expires", "until"),
    [
        ("2027-01-31", "2027-01-31T00:00:00+05:00"),
        ("2027-01-31T12:00:00", "2027-01-31T12:00:00+05:00"),
        ("2027-01-31T12:00:00+00:00", "2027-01-31T12:00:00+00:00"),
    ],
)
def test_a_day_begins_in_the_banks_zone(expires: str, until: str) -> None:
    zone = ZoneInfo("Asia/Almaty")
    assert Account("a", "b", expires).until_ms(zone) == datetime.fromisoformat(until).timestamp() * 1000


def test_every_filter_that_hides_a_match_counts_it() -> None:
    second = filter_text({"selection": {"User|endswith": "x"}}, id=OTHER_ID, title="Another")
    assert judged(RULE, filter_text(), second, fields={"User": "adm_x"}) == (0, [FILTER_ID, OTHER_ID])
    assert judged(RULE, filter_text(), second, fields={"User": "adm_y"}) == (0, [FILTER_ID])


def test_of_two_filters_with_one_id_the_second_is_refused() -> None:
    assert "is already that of 1.yml" in refused(RULE, filter_text(), filter_text(title="Another"))[0]


def test_a_filter_speaks_of_a_providers_fields_by_the_names_of_the_rule() -> None:
    """Security 4688 calls Sysmon's User SubjectUserName."""
    source = {"product": "windows", "category": "process_creation"}
    rule = rule_text({"s": {"Image|endswith": "\\evil.exe"}, "condition": "s"}, logsource=source)
    fields = {"NewProcessName": "C:\\evil.exe", "SubjectUserName": "adm_x", "User": "nobody"}
    made = event(fields, Source("windows", "", "security", 4688))
    found = deciding(tuned(rule, filter_text(logsource=source))).judge("log", "topic", 0, [made])
    assert (found.detections, [one.suppression for one in found.hidden]) == ([], [FILTER_ID])


def test_the_revision_of_a_rule_covers_its_filters() -> None:
    plain, other = tuned(RULE).rules[0], tuned(RULE, filter_text({"selection": {"User": "x"}})).rules[0]
    filtered = tuned(RULE, filter_text()).rules[0]
    assert len({plain.revision, filtered.revision, other.revision}) == 3
    assert filtered.revision == tuned(RULE, filter_text()).rules[0].revision
    unrelated = rule_text({"s": {"F": "a"}, "condition": "s"}, id=OTHER_ID)
    assert tuned(RULE, unrelated, filter_text()).rules[1].revision == tuned(RULE, unrelated).rules[1].revision


def test_a_detection_bears_the_revision_of_rule_and_filters() -> None:
    made = tuned(RULE, filter_text())
    (found,) = deciding(made).detect("log", "topic", 0, [event({"F": "a"})])
    assert found.revision == made.rules[0].revision != tuned(RULE).rules[0].revision


def test_a_filter_may_use_placeholders_and_their_values_are_part_of_the_revision() -> None:
    text = filter_text({"selection": {"User|expand": "%admins%"}})
    one, two = (Tuning({"admins": Placeholder("admins", (name,), "x")}) for name in ("ann", "bob"))
    assert judged(RULE, text, fields={"User": "ANN"}, tuning=one) == (0, [FILTER_ID])
    assert judged(RULE, text, fields={"User": "ann"}, tuning=two) == (1, [])
    assert tuned(RULE, text, tuning=one).rules[0].revision != tuned(RULE, text, tuning=two).rules[0].revision


def test_a_filter_may_stand_in_one_file_with_its_rule_and_one_that_is_bad_takes_no_rule_with_it() -> None:
    both = RULE + b"---\n" + filter_text()
    assert judged(both, fields={"User": "adm_x"}) == (0, [FILTER_ID])
    bad = tuned(RULE + b"---\n" + filter_text(qorgan=None))
    assert [len(bad.rules), len(bad.suppressions.all), len(bad.refused)] == [1, 0, 1]


def disabled(rule: str = RULE_ID, expires: str = "2027-01-31") -> Tuning:
    return Tuning({}, (Disabled(rule, Account("SOC", "noise", expires), "off.yml", 3),))


def test_a_disabled_rule_is_still_evaluated_and_what_it_would_find_is_told() -> None:
    assert judged(RULE, fields={}, tuning=disabled()) == (0, [f"disabled-{RULE_ID}"])
    assert judged(RULE, fields={}, at_ms=END, tuning=disabled()) == (1, [])
    assert judged(RULE, fields={"F": "b"}, tuning=disabled()) == (0, [])


def test_a_disabled_rule_has_another_revision() -> None:
    said = {
        tuned(RULE, tuning=each).rules[0].revision for each in (Tuning({}), disabled(), disabled(expires="2028-01-01"))
    }
    assert len(said) == 3


@pytest.mark.parametrize("name", ["nosuch", OTHER_ID])
def test_disabling_what_is_no_rule_is_refused_by_name(name: str) -> None:
    assert refused(RULE, tuning=disabled(name)) == [
        f"off.yml:3: no rule in force has the id or name '{name}'. Correct the id or name, or take it out"
    ]


def test_disabling_a_rule_twice_is_refused_and_once_in_force() -> None:
    twice = Tuning({}, disabled().disabled * 2)
    assert "stands twice" in refused(RULE, tuning=twice)[0]
    assert judged(RULE, fields={}, tuning=twice)[1] == [f"disabled-{RULE_ID}"]


def test_one_providers_mapping_is_disabled_and_the_other_provider_still_speaks() -> None:
    """Security 4688 as process_creation is switched off; Sysmon's own events of the same rules are not."""
    source = {"product": "windows", "category": "process_creation"}
    rule = rule_text({"s": {"Image|endswith": "\\evil.exe"}, "condition": "s"}, logsource=source)
    where = LogSource("windows", "process_creation"), LogSource(service="security")
    off = Tuning({}, (Disabled("any", Account("SOC", "doubles Sysmon", "2027-01-31"), "off.yml", 3, *where),))
    decide = deciding(tuned(rule, RULE.replace(b"3f2a0f3e", b"00000000"), tuning=off))
    (suppression,) = decide.suppressions.all
    assert suppression.rules == (RULE_ID,)
    mapped = event({"NewProcessName": "C:\\evil.exe"}, Source("windows", "", "security", 4688))
    own = event({"Image": "C:\\evil.exe"}, PROCESS)
    found = decide.judge("log", "topic", 0, [mapped, own])
    assert [one.service for one in found.detections] == [PROCESS.service]
    assert [one.suppression for one in found.hidden] == [suppression.id]


def test_disabling_a_log_source_without_rules_is_refused() -> None:
    where = LogSource("linux"), LogSource()
    off = Tuning({}, (Disabled("any", Account("SOC", "x", "2027-01-31"), "off.yml", 3, *where),))
    assert "off.yml:3: no rule in force has the logsource product: linux" in refused(RULE, tuning=off)[0]


def test_without_suppressions_matches_pass_untouched() -> None:
    made = deciding(tuned(RULE))
    assert len(made.detect("log", "topic", 0, [event({"F": "a"}, ANY)])) == 1
