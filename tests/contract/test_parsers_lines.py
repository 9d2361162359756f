"""Web servers' lines, separated values, GELF, objects within syslog, and columns by a topic's settings."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings import TopicSettings
from schemas.event import Source
from tests.contract.test_parsers_devices import finds
from tests.parsing import NOW_MS, event, reader, reason

SECOND = NOW_MS // 1000 * 1000

# --- web servers

COMBINED = (
    '203.0.113.9 - dana [11/Oct/2026:22:14:15 +0500] "GET /a/b.php?x=1 HTTP/1.1" 200 123 '
    '"http://evil.example/r" "curl/8"'
)


@pytest.mark.parametrize(
    ("line", "service", "host"),
    [
        (COMBINED, "access", ""),
        (f"www.bank.example:443 {COMBINED}", "access", "www.bank.example"),
        (f'{COMBINED} "10.0.0.9" 0.003', "access", ""),
        (f"<190>Oct 11 22:14:15 web01 nginx: {COMBINED}", "nginx", "web01"),
        (f"<190>1 2026-10-11T17:14:15Z web01 apache2 7 - - {COMBINED}", "apache", "web01"),
    ],
)
def test_an_access_log_has_sigmas_names_in_every_frame(line: str, service: str, host: str) -> None:
    found = event(line.encode())
    assert (found.format.name, found.format.form) == ("access", "text")
    assert found.source == Source("", "webserver", service, 0)
    assert (found.time_ms, found.user, found.src_ip, found.host) == (SECOND, "dana", "203.0.113.9", host)
    wanted = {"cs-method": "GET", "cs-uri-query": "/a/b.php?x=1", "cs-uri-stem": "/a/b.php", "sc-status": "200",
              "cs-user-agent": "curl/8", "cs-referer": "http://evil.example/r", "cs-version": "HTTP/1.1",
              "sc-bytes": "123", "c-ip": "203.0.113.9", "cs-username": "dana"}  # fmt: skip
    assert found.fields.items() >= wanted.items()
    assert {("ipv4", "203.0.113.9"), ("url", "http://evil.example/r"), ("user_agent", "curl/8")} <= set(
        found.observables
    )
    assert finds(found, logsource={"category": "webserver"}, sel={"cs-uri-query|contains": ".php?x", "sc-status": 200})


@pytest.mark.parametrize(
    "line",
    [
        '2001:db8::1 - - [11/Oct/2026:22:14:15 +0500] "\\x16\\x03\\x01" 400 0',
        '203.0.113.9 - - [11/Oct/2026:22:14:15 +0500] "GET /a\\"b HTTP/1.1" 404 - "-" "-"',
        '203.0.113.9 - "CN=a b" [11/Oct/2026:22:14:15 +0500] "-" 408 -',
    ],
)
def test_odd_requests_are_access_lines_too(line: str) -> None:
    found = event(line.encode())
    assert (found.format.name, found.time_ms) == ("access", SECOND)
    assert found.fields["request"] in line


def test_error_logs_name_client_and_server() -> None:
    nginx = event(
        b'2026/10/11 22:14:15 [error] 12#13: *5 open() "/x" failed (2: No such file or directory), '
        b'client: 203.0.113.9, server: www.bank.example, request: "GET /x HTTP/1.1", host: "www.bank.example"'
    )
    assert nginx.source == Source("", "", "nginx", 0)
    assert (nginx.time_ms, nginx.src_ip, nginx.fields["request"]) == (SECOND, "203.0.113.9", "GET /x HTTP/1.1")
    apache = event(
        b"[Sun Oct 11 22:14:15.003456 2026] [core:error] [pid 12:tid 3] [client 203.0.113.9:1234] AH00126: Invalid URI"
    )
    assert apache.source == Source("", "", "apache", 0)
    assert (apache.time_ms, apache.src_ip, apache.fields["message"]) == (NOW_MS, "203.0.113.9", "AH00126: Invalid URI")


# --- separated values

NAMES = "time,host,user,src_ip,msg"
ROW = '2026-10-11 22:14:15,srv01,dana,203.0.113.9,"a, b"'


def test_separated_values_are_named_by_the_topic_or_by_their_own_header() -> None:
    by_topic = reader(TopicSettings(topic="raw.*", format="csv", fields=NAMES, product="acme"))
    by_header = reader(TopicSettings(topic="raw.*", format="csv", product="acme"))
    for found in (event(ROW.encode(), by=by_topic), event(f"{NAMES}\n{ROW}".encode(), by=by_header)):
        assert found.format.name == "csv"
        assert found.fields == dict(zip(NAMES.split(","), [*ROW.split(",")[:4], "a, b"], strict=True))
        assert (found.time_ms, found.host, found.user, found.src_ip) == (SECOND, "srv01", "dana", "203.0.113.9")
        assert found.source == Source("acme", "", "", 0)


def test_other_delimiters_doubled_quotes_and_values_too_many() -> None:
    tabs = reader(TopicSettings(topic="raw.*", format="csv", fields="a,b", delimiter="\t"))
    assert event(b"1\t2\t3", by=tabs).fields == {"a": "1", "b": "2", "column3": "3"}
    quoted = event(b'1\t"say ""hi"""', by=tabs)
    assert (quoted.fields["b"], quoted.format.form) == ('say "hi"', "opaque")
    assert event(b'"[x]"\t{', by=tabs).fields == {"a": "[x]", "b": "{"}


@pytest.mark.parametrize(
    ("value", "why"),
    [(NAMES.encode(), "shape"), (b"one", "shape"), (b'a,"' + b"x" * 200_000, "size"), (b"," * 5_000, "shape")],
)
def test_a_header_alone_and_rows_without_names_are_dead_letters(value: bytes, why: str) -> None:
    assert reason(value, reader(TopicSettings(topic="raw.*", format="csv", fields=NAMES))) == why


def test_csv_is_never_guessed() -> None:
    assert reason(ROW.replace("2026-", "x").encode()) == "format"


# --- GELF

GELF = {"version": "1.1", "host": "srv01", "short_message": "see http://evil.example/x", "timestamp": 1_791_738_855.003}


def test_gelf_has_its_additional_fields_with_and_without_underscore() -> None:
    found = event({**GELF, "level": 5, "_user": "dana", "_src_ip": "203.0.113.9", "_id": "x", "_host": "fake"})
    assert found.format.name == "gelf"
    assert (found.host, found.user, found.src_ip, found.time_ms) == ("srv01", "dana", "203.0.113.9", NOW_MS)
    assert found.fields["host"] == "srv01"
    assert ("url", "http://evil.example/x") in found.observables


def test_a_windows_event_in_gelf_is_that_event() -> None:
    inside = {"EventID": 4624, "Channel": "Security", "TargetUserName": "dana", "IpAddress": "203.0.113.9"}
    direct = event({**inside, "Hostname": "srv01", "EventTime": "2026-10-11 22:14:15.003"})
    framed = event({**GELF, **{f"_{name}": value for name, value in inside.items()}})
    assert framed.source == direct.source == Source("windows", "", "security", 4624)
    for name in ("host", "user", "src_ip", "time_ms"):
        assert getattr(framed, name) == getattr(direct, name)


# --- objects within syslog


def test_an_object_within_syslog_is_read_as_itself_and_completed_by_the_line() -> None:
    found = event(b'<13>Oct 11 22:14:15 srv01 app[7]: @cee: {"user": "dana", "src_ip": "203.0.113.9"}')
    assert (found.format.name, found.fields) == ("json", {"user": "dana", "src_ip": "203.0.113.9"})
    assert (found.host, found.process, found.time_ms) == ("srv01", "app", SECOND)
    assert found.source == Source("linux", "", "syslog", 0)


@pytest.mark.parametrize("inside", ['{"a":', "{not json}", '{"a":' * 5_000, "CEF:x", "LEEF:", "@cee: x"])
def test_what_is_broken_inside_stays_a_message(inside: str) -> None:
    found = event(f"<13>Oct 11 22:14:15 srv01 app[7]: {inside}".encode())
    assert (found.format.name, found.fields["message"]) == ("syslog", inside)


# --- columns by settings

DOC: dict[str, Any] = {"meta": {"at": "2026-10-11 17:14:15.003"}, "dev": {"name": "atm-7"},
       "net": {"from": "203.0.113.9"},
       "kind": "Firewall", "who": "dana", "n": 5, "a.b": {"c": "x"}}  # fmt: skip


def test_a_topic_says_where_its_records_hold_what_is_known_of_every_event() -> None:
    said = {
        "time": "meta.at",
        "host": "dev.name",
        "src_ip": "net.from",
        "category": "kind",
        "user": "who",
        "process": "n",
    }
    found = event(DOC, by=reader(TopicSettings(topic="raw.*", columns=said, product="acme", timezone="UTC")))
    assert (found.time_ms, found.doubtful) == (NOW_MS, False)
    assert (found.host, found.user, found.src_ip, found.process) == ("atm-7", "dana", "203.0.113.9", "5")
    assert found.source == Source("acme", "firewall", "", 0)
    assert found.observables == (("ipv4", "203.0.113.9"),)


def test_what_a_record_does_not_hold_stays_as_its_format_had_it() -> None:
    said = {"host": "no.where", "src_ip": "who", "user": "dev", "time": "who"}
    by = reader(TopicSettings(topic="raw.*", columns=said))
    found = event({**DOC, "hostname": "srv01", "timestamp": NOW_MS}, by=by)
    assert (found.host, found.user, found.src_ip, found.time_ms) == ("srv01", "", "", NOW_MS)


def test_the_zone_is_the_topics_else_the_banks() -> None:
    line = b"<13>Oct 11 17:14:15 srv01 app: x"
    assert event(line, by=reader(TopicSettings(topic="raw.*", timezone="UTC"))).time_ms == SECOND
    assert event(line, by=reader(timezone="UTC")).time_ms == SECOND


# --- observables in the whole text

TEXT = reader(TopicSettings(topic="raw.*", observables="text"))


def test_a_topic_may_have_indicators_looked_for_in_all_that_its_records_say() -> None:
    line = b"<13>Oct 11 22:14:15 srv01 app[7]: beacon to evil.example (203.0.113.9), file " + b"c3" * 32
    assert event(line).observables == ()
    wanted = {("domain", "evil.example"), ("ipv4", "203.0.113.9"), ("sha256", "c3" * 32)}
    assert set(event(line, by=TEXT).observables) == wanted
    doc = {"odd": {"name": ["see evil.example", {"deep": "203.0.113.9"}]}, "n": 5, "esc": 'say "' + "c3" * 32 + '"'}
    assert event(doc).observables == ()
    assert set(event(doc, by=TEXT).observables) == wanted


def test_what_the_fields_tell_stays_and_twenty_megabytes_are_bounded() -> None:
    doc = {"src_ip": "10.0.0.5", "a": "x.y.example " * 2_000_000, "b": ["http://evil.example/a"] * 100_000}
    found = event(doc, by=TEXT).observables
    assert ("ipv4", "10.0.0.5") in found
    assert ("domain", "x.y.example") in found
    assert len(found) <= 64


# --- lines that a collector wrapped

ZEEK = "1791738855.003000\tC1\t10.0.0.5\t5\t203.0.113.9\t443\ttcp\t-\t-\t-\t-\tSF\t-\t-\t0\tS\t1\t2\t3\t4\t-"
LINES = {
    "sshd": "<38>Oct 11 22:14:15 srv01 sshd[7]: Failed password for root from 203.0.113.9 port 4242 ssh2",
    "cef": "CEF:0|Cisco|ASA|9|1|n|3|rt=1791738855003 src=10.0.0.5 dst=203.0.113.9",
    "access": COMBINED,
    "eve": '{"event_type":"alert","timestamp":"2026-10-11T17:14:15.003Z","flow_id":1,"src_ip":"10.0.0.5","dest_ip":'
    '"203.0.113.9","alert":{"signature":"a \\"b\\""}}',
    "zeek": '{"ts":1791738855.003,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"203.0.113.9","conn_state":"SF"}',
}
COLLECTORS: dict[str, dict[str, Any]] = {
    "filebeat": {"agent": {"type": "filebeat"}, "ecs": {"version": "8.0"}, "host": {"name": "srv01"}, "message": 1,
                 "@timestamp": "2026-10-11T17:14:16Z", "log": {"file": {"path": "/opt/zeek/logs/current/conn.log"}}},
    "vector": {"source_type": "file", "file": "/opt/zeek/logs/conn.22:00.log", "host": "srv01", "message": 1,
               "timestamp": "2026-10-11T17:14:16Z"},
    "fluent bit": {"log": 1, "@timestamp": 1_791_738_856.0, "hostname": "srv01"},
}  # fmt: skip


def wrapping(collector: str, line: str) -> dict[str, Any]:
    return {name: line if value == 1 and type(value) is int else value for name, value in COLLECTORS[collector].items()}


@pytest.mark.parametrize("collector", COLLECTORS)
@pytest.mark.parametrize("kind", LINES)
def test_a_line_is_the_same_event_by_whichever_collector_it_came(kind: str, collector: str) -> None:
    direct, found = event(LINES[kind].encode()), event(wrapping(collector, LINES[kind]))
    assert (found.fields, found.source, found.observables) == (direct.fields, direct.source, direct.observables)
    assert (found.time_ms, found.src_ip, found.format.name) == (direct.time_ms, direct.src_ip, direct.format.name)
    sensor = kind in ("eve", "zeek")
    assert found.host == ("" if sensor else "srv01")
    assert found.format.form == ("opaque" if kind == "eve" else "json"), "the line stands in a JSON string"


@pytest.mark.parametrize("collector", ["filebeat", "vector"])
def test_a_zeek_line_takes_its_log_from_its_files_name(collector: str) -> None:
    found = event(wrapping(collector, ZEEK))
    assert (found.source, found.fields["conn_state"]) == (Source("zeek", "", "conn", 0), "SF")


@pytest.mark.parametrize("line", ["hello", "a=1 b=2", '{"a": 1}', '{"a":', "CEF:0|cut", "", "x" * 1_000_000])
def test_what_tells_no_format_stays_the_collectors_record(line: str) -> None:
    found = event(wrapping("vector", line))
    assert (found.format.name, found.fields["message"], found.host) == ("json", line, "srv01")
    assert event(wrapping("filebeat", line)).format.name == "ecs"


def test_what_a_module_took_apart_is_not_taken_apart_again() -> None:
    parsed = {**wrapping("filebeat", LINES["sshd"]), "event": {"module": "system", "dataset": "system.auth"}}
    assert event(parsed).format.name == "ecs"


def test_rules_find_a_wrapped_line_by_its_values() -> None:
    line = '203.0.113.9 - - [11/Oct/2026:22:14:15 +0500] "GET /a?p=\\..\\etc HTTP/1.1" 200 1 "-" "quo/ted"'
    found = event(wrapping("vector", line))
    assert finds(found, logsource={"category": "webserver"}, sel={"cs-uri-query|contains": "\\..\\etc"})
