"""The engine: routes, shared work, what it survives; and that the routes say where rules look."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from detectors.sigma.engine import Engine
from detectors.sigma.routing import Index, carried, event_ids, places
from detectors.sigma.rule import LogSource
from schemas.event import Format, Source
from tests.sigma import OPAQUE, PROCESS, SYSMON, TEXT, event, pairs, plain_pairs, rule, tree_rule

SECURITY = "security"


def _routed(logsource: dict[str, str], source: Source) -> bool:
    """Whether a rule of this log source looks at events of this source."""
    made = rule({"s": {"F": "a"}, "condition": "s"}, logsource=logsource)
    return bool(Index([made]).entries(source))


@pytest.mark.parametrize(
    ("logsource", "source"),
    [
        ({"product": "windows", "category": "process_creation"}, PROCESS),
        ({"product": "windows", "category": "process_creation"}, Source("windows", "", SECURITY, 4688)),
        ({"product": "windows", "category": "process_creation"}, Source("windows", "process_creation", "edr", 0)),
        ({"product": "windows", "category": "registry_event"}, Source("windows", "", SYSMON, 14)),
        ({"product": "windows", "category": "ps_script"}, Source("windows", "", "powershellcore/operational", 4104)),
        ({"product": "windows", "service": "security"}, Source("windows", "", SECURITY, 4624)),
        ({"product": "windows", "service": "sysmon"}, PROCESS),
        ({"product": "windows", "service": "dns-server"}, Source("windows", "", "dns server", 150)),
        ({"product": "windows"}, Source("windows", "", "any channel", 7)),
        ({"product": "Windows", "service": "Security"}, Source("windows", "", SECURITY, 1)),
        ({"product": "linux"}, Source("linux", "", "sshd", 0)),
        ({"product": "linux", "service": "sshd"}, Source("linux", "", "sshd", 0)),
        ({"product": "linux", "service": "syslog"}, Source("linux", "", "cron", 0)),
        ({"product": "linux", "service": "auth"}, Source("linux", "", "sudo", 0)),
        ({"product": "linux", "category": "process_creation"}, Source("linux", "", "linux-sysmon/operational", 1)),
        ({"product": "suricata"}, Source("suricata", "ids", "alert", 0)),
        ({"category": "proxy"}, Source("suricata", "proxy", "http", 0)),
        ({"category": "dns"}, Source("suricata", "dns", "dns", 0)),
        ({"product": "aws", "service": "cloudtrail"}, Source("aws", "", "cloudtrail", 0)),
        ({"product": "okta", "service": "okta"}, Source("okta", "", "okta", 0)),
        ({"service": "nginx"}, Source("", "webserver", "nginx", 0)),
    ],
)
def test_a_rule_looks_at_this_source(logsource: dict[str, str], source: Source) -> None:
    assert _routed(logsource, source)


@pytest.mark.parametrize(
    ("logsource", "source"),
    [
        ({"product": "windows", "category": "process_creation"}, Source("windows", "", SYSMON, 3)),
        ({"product": "windows", "category": "process_creation"}, Source("windows", "", SECURITY, 4624)),
        ({"product": "windows", "category": "process_creation"}, Source("linux", "", "linux-sysmon/operational", 1)),
        ({"product": "windows", "service": "security"}, Source("windows", "", "system", 4624)),
        ({"product": "linux", "service": "sshd"}, Source("linux", "", "sudo", 0)),
        ({"product": "linux", "service": "syslog"}, Source("linux", "", "auditd", 0)),
        ({"category": "proxy"}, Source("suricata", "dns", "dns", 0)),
        ({"product": "macos"}, Source("linux", "", "sshd", 0)),
        ({"product": "windows"}, Source("", "", "", 0)),
    ],
)
def test_a_rule_does_not_look_at_this_source(logsource: dict[str, str], source: Source) -> None:
    assert not _routed(logsource, source)


def test_a_log_source_that_no_parser_tells_is_not_carried() -> None:
    assert carried(LogSource("windows", "process_creation"))
    assert carried(LogSource("suricata"))
    assert carried(LogSource("okta", "", "okta"))
    assert not carried(LogSource("sql", "application"))
    assert not carried(LogSource("windows", "file_rename"))
    assert places(LogSource("sql", "application"))[0][:3] == ("sql", "application", "")


def test_a_process_rule_reads_the_names_of_4688() -> None:
    made = rule(
        {"s": {"Image|endswith": "\\whoami.exe", "ParentImage|endswith": "\\cmd.exe"}, "condition": "s"},
        logsource={"product": "windows", "category": "process_creation"},
    )
    fields = {"EventID": 4688, "NewProcessName": "C:\\whoami.exe", "ParentProcessName": "C:\\cmd.exe"}
    (found,) = Engine([made]).match([event(fields, Source("windows", "", SECURITY, 4688))])
    assert found.matched == {"NewProcessName": "C:\\whoami.exe", "ParentProcessName": "C:\\cmd.exe"}


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ({"EventID": 4624}, {4624}),
        ({"EventID": ["4624", "4625"]}, {4624, 4625}),
        ({"EventID": 4624, "F": "a"}, {4624}),
        ([{"EventID": 1, "F": "a"}, {"EventID": 2}], {1, 2}),
        ([{"EventID": 1}, {"F": "a"}], None),
        ({"EventID|neq": 1}, None),
        ({"EventID|gt": 1}, None),
    ],
)
def test_event_ids_that_a_condition_demands(selection: Any, ids: set[int] | None) -> None:
    assert event_ids(rule({"s": selection, "condition": "s"}).tree) == ids


def test_a_rule_for_another_event_id_is_no_candidate_and_the_verdict_is_the_same() -> None:
    rules = [
        rule({"s": {"EventID": number, "F": "a"}, "condition": "s"}, id=None, title=str(number)) for number in (1, 2)
    ]
    engine = Engine(rules)
    events = [
        event({"EventID": number, "F": "a"}, Source("windows", "", "application", number)) for number in (1, 2, 3)
    ]
    assert pairs(engine, events) == plain_pairs(engine, events) == [(0, rules[0].id), (1, rules[1].id)]


def _many() -> list[Any]:
    return [tree_rule(["has", "F", [f"needle{n}"], False], n) for n in range(20)]


def test_matches_come_by_event_and_by_rule_whatever_the_formats() -> None:
    events = [
        event({"F": "needle7 needle3"}),
        event({"F": "nothing"}),
        event({"F": "NEEDLE1"}, form=TEXT, raw=b"F=NEEDLE1"),
        event({"F": "needle2"}, form=OPAQUE, raw=b"\x00"),
        event({"F": "needle2"}, Source("linux", "", "sshd", 0)),
        event({"F": "needle19"}),
    ]
    expected = [(0, "rule-3"), (0, "rule-7"), (2, "rule-1"), (3, "rule-2"), (5, "rule-19")]
    # needle1 stands within needle19.
    assert pairs(Engine(_many()), events) == [*expected[:4], (5, "rule-1"), expected[4]]


def test_no_events_no_matches() -> None:
    assert Engine(_many()).match([]) == []
    assert Engine([]).match([event({"F": "x"})]) == []


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"F":"\u006eeedle5"}',
        rb'{"F":"x\/needle5"}',
        b'{"F":"needle5 \xe2\x84\xaa"}',
        b'{"F":"C:\\\\users\\\\needle5"}',
    ],
)
def test_an_escaped_record_is_found_by_its_values(raw: bytes) -> None:
    assert pairs(Engine(_many()), [event(orjson.loads(raw), raw=raw)]) == [(0, "rule-5")]


@pytest.mark.parametrize(
    ("needle", "raw"),
    [
        ("kelvin", '{"F":"\u212aelvin"}'),
        ("secret", '{"F":"\u017fecret"}'),
        ("кассы", '{"F":"КАССЫ"}'),
        ("қазақ", '{"F":"ҚаЗаҚ"}'),
        ("ks\u0434\u0434", '{"F":"\u212a\u017fДд"}'),
        ("1000.0", '{"F":1e3}'),
        ("000.0", '{"F":1E+3}'),
        ('say "hi"', '{"F":"say \\"HI\\""}'),
        ("c:\\temp\\x", '{"F":"C:\\\\Temp\\\\x"}'),
        ("one\ntwo", '{"F":"one\\ntwo"}'),
        ("one\x00two", '{"F":"one\\u0000two"}'),
        ("\x00two", '{"F":"one\\u0000two"}'),
        ("a/b/c", '{"F":"a\\/b\\/c"}'),
        ("a<b>c", '{"F":"a\\u003cb\\u003ec"}'),
        ("true", '{"F":true}'),
        ("18446744073709551615", '{"F":18446744073709551615}'),
    ],
)
def test_a_value_is_found_however_its_bytes_show_it(needle: str, raw: str) -> None:
    rules = [*_many(), tree_rule(["has", "F", [needle], False], 99)]
    assert pairs(Engine(rules), [event(orjson.loads(raw), raw=raw.encode())]) == [(0, "rule-99")]


def test_an_alternative_without_a_literal_keeps_the_rule_always_evaluated() -> None:
    either = ["or", ["has", "F", ["needle"], False], ["num", "G", [5]]]
    rules = [*_many(), tree_rule(either, 99)]
    assert pairs(Engine(rules), [event({"F": "x", "G": 5})]) == [(0, "rule-99")]


def test_a_hit_belongs_to_its_own_record_at_every_border() -> None:
    rules = _many()
    values = ["needle5", "x", "needle5x", "xneedle5", "", "needle6"]
    events = [event({"F": value}, form=TEXT, raw=value.encode()) for value in values]
    assert pairs(Engine(rules), events) == [(0, "rule-5"), (2, "rule-5"), (3, "rule-5"), (5, "rule-6")]


def test_a_literal_is_not_found_across_two_records() -> None:
    rules = [tree_rule(["has", "F", [f"ab\ncd{n}"], False], n) for n in range(5)]
    events = [event({"F": "ab"}, form=TEXT, raw=b"ab"), event({"F": "cd0"}, form=TEXT, raw=b"cd0")]
    assert pairs(Engine(rules), events) == []


def test_large_batches_are_scanned_in_parts() -> None:
    filler = "x" * 600_000
    events = [event({"F": filler + ("needle5" if n % 3 == 0 else "")}) for n in range(12)]
    assert pairs(Engine(_many()), events) == [(n, "rule-5") for n in (0, 3, 6, 9)]


def test_what_a_parser_computed_is_scanned_too() -> None:
    form = Format("test-derived", "json", frozenset({"F", "G"}))
    made = event({"a": 1}, form=form)
    made.fields |= {"F": ["x", 'a "needle5"']}
    assert pairs(Engine(_many()), [made]) == [(0, "rule-5")]


def test_what_a_parser_computed_and_no_json_can_say_is_scanned_too() -> None:
    made = event({"a": 1}, form=Format("test-derived", "json", frozenset({"F"})))
    made.fields["F"] = "needle5 \ud800"
    assert pairs(Engine(_many()), [made]) == [(0, "rule-5")]


def test_endless_sources_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.sigma.engine.MAX_SOURCES", 50)
    engine = Engine(_many())
    for number in range(200):
        engine.match([event({"F": "x"}, Source("windows", "", f"channel {number}", 0))])
    assert len(engine._sources) <= 50
    assert len(engine._routes) == 1


def test_threads_may_share_an_engine() -> None:
    engine = Engine(_many())
    events = [event({"F": f"needle{n % 20}"}) for n in range(200)]
    expected = pairs(engine, events)
    wrong: list[Any] = []

    def run() -> None:
        wrong.extend(found for _ in range(20) if (found := pairs(engine, events)) != expected)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_revision_of_a_set_changes_with_a_rule_and_with_nothing_else() -> None:
    one = rule({"s": {"F": "a"}, "condition": "s"})
    other = rule({"s": {"F": "b"}, "condition": "s"})
    assert Engine([one]).revision == Engine([one]).revision
    assert Engine([one]).revision != Engine([other]).revision


@pytest.mark.parametrize(
    "fields",
    [
        {"F": {"a": {"b": [1, [2, [None, {"c": []}]]]}}},
        {"F": [[], {}, None, float("inf")]},
        {"": "", "F.": 1, ".F": 2, "..": 3},
        {"F": "\ud800 lone surrogate"},
        {"F": "x" * 1_000_000},
        {"F": -(2**63), "a": 2**64 - 1, "b": 1e308},
    ],
)
def test_no_event_makes_a_rule_fail(fields: dict[str, Any]) -> None:
    kinds: list[Any] = [
        ["eq", "F", ["a"], False], ["like", "F.a.b", [[0, "x", 1]], False], ["re", "F", "x+$", "i"], ["num", "F", [1]],
        ["cidr", "F", ["10.0.0.0/8"]], ["cmp", "F", "gt", 5], ["null", "F"], ["exists", "F", True],
        ["ref", "F", "a", True, False, False], ["any", "F"], ["time", "F", "hour", "eq", 3],
        ["has", None, ["lone"], False],
        ["re", None, "lone", ""], ["like", None, [[0, "a", 0, "b", 0]], True],
    ]  # fmt: skip
    engine = Engine([tree_rule(tree, number) for number, tree in enumerate(kinds)])
    events = [event(fields, form=form, raw=b"F=lone surrogate") for form in (TEXT, OPAQUE)]
    assert pairs(engine, events) == plain_pairs(engine, events)


def test_what_one_engine_met_another_can_prepare_before_its_events_come(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [rule({"s": {"CommandLine|contains": "mimikatz"}, "condition": "s"})]
    found = event({"CommandLine": "mimikatz.exe"}, source=PROCESS)
    running, fresh = Engine(made), Engine(made)
    assert len(running.match([found])) == 1
    assert running.seen() == [(PROCESS, None, ("json",))]
    fresh.prepare(running.seen())
    assert fresh.seen() == running.seen()
    monkeypatch.setattr("detectors.sigma.engine.Scanner", None)  # nothing is built any more
    assert len(fresh.match([found])) == 1
