"""Whatever a record is, reading it gives exactly one outcome, and never an exception or a fault of ours."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dead_letter import REASONS
from tests.builders import batch_of
from tests.parsing import READER, whole

#: Names that parsers look at; a document of these reaches their every branch.
NAMES = st.sampled_from(
    [
        *(
            "Event",
            "System",
            "EventData",
            "UserData",
            "EventID",
            "Channel",
            "channel",
            "event_id",
            "Hostname",
            "Computer",
        ),
        *("Provider", "#attributes", "Name", "TimeCreated", "SystemTime", "#text", "Data", "@timestamp", "timestamp"),
        *(
            "winlog",
            "event_data",
            "user_data",
            "computer_name",
            "process",
            "executable",
            "hash",
            "user",
            "name",
            "domain",
        ),
        *(
            "event_type",
            "flow_id",
            "dns",
            "queries",
            "answers",
            "rdata",
            "rrname",
            "grouped",
            "http",
            "url",
            "tls",
            "sni",
        ),
        *("eventSource", "eventName", "awsRegion", "eventTime", "sourceIPAddress", "source", "ip", "src_ip", "host"),
        *("Hashes", "QueryResults", "CommandLine", "ScriptBlockText", "Image", "User", "IpAddress", "Threat Name"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["-", "4624", "Security", "dns", "http", "alert", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "2026-10-11"]
    ),
    st.sampled_from(["http://[::1]:99999/", "https://x.example:x/", "MD5=,=", "a..b", ".", "xn--", "ß" * 300]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), TEXTS)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAMES, TEXTS), inner, max_size=6)),
    max_leaves=25,
)
OBJECTS = st.dictionaries(st.one_of(NAMES, TEXTS), DOCUMENTS, max_size=12)
LINES = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["", "<34>", "<34>1 ", "<>", "<86>1 - - - - - - ", "type=EXECVE msg=audit(1.000:1): "]),
    st.sampled_from(["", "Oct 11 22:14:15 ", "2026-10-11T22:14:15Z ", "Feb 30 00:00:00 ", "- "]),
    st.sampled_from(["", "h sshd[1]: ", "h sudo: ", "h kernel: audit: type=1400 audit(1.0:1): ", "h app - - [x "]),
    st.sampled_from(["", "Failed password for ", "Invalid user ", "a : TTY=x ; COMMAND=", "a0=", 'a1="', "saddr=0A"]),
    st.text(max_size=40),
)
#: What text formats are told by, in any order, with what separates and escapes in them.
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "CEF:0|",
                    "LEEF:2.0|",
                    "LEEF:1.0|a|b|c|d|",
                    "a|b|c|d|e|f|",
                    "|x5E|",
                    "src=10.0.0.5 ",
                    "cs1Label=a b cs1=c ",
                ),
                *("#fields\t", "#path\tconn", "ts\tuid", "1791738855.003\tC1\t", "\t", "\n", "(empty)", "\\x09", "-"),
                *("203.0.113.9 - - ", "[11/Oct/2026:22:14:15 +0500] ", '"GET / HTTP/1.1" ', "200 5", "[error] 1#1: "),
                *(
                    "date=2026-10-11 ",
                    "time=22:14:15 ",
                    "devid=1 logid=2 ",
                    "%ASA-4-106023: ",
                    "Deny tcp src a:1.2.3.4/5 ",
                ),
                *(
                    "<13>",
                    "Oct 11 22:14:15 ",
                    "2026 ",
                    "srv01 ",
                    "app[7]: ",
                    "@cee: ",
                    "nginx: ",
                    '{"a": ',
                    "\\",
                    '"',
                    "=",
                    ",",
                ),
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)
RECORDS = st.one_of(
    st.none(),
    st.binary(max_size=60),
    OBJECTS.map(orjson.dumps),
    OBJECTS.map(lambda doc: orjson.dumps(doc)[:-1]),
    DOCUMENTS.map(orjson.dumps),
    PIECES.map(lambda line: line.encode("utf-8", "surrogatepass")),
    LINES.map(lambda line: line.encode("utf-8", "surrogatepass")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, max_size=4), st.sampled_from([-1, 0, 1_791_738_855_003, 2**62]))
def test_every_record_has_exactly_one_outcome(values: list[bytes | None], kafka_ms: int) -> None:
    reading = READER.read(batch_of(*values, first=3, timestamp=kafka_ms))
    outcomes = sorted([one.offset for one in reading.events] + [one.offset for one in reading.dead])
    assert outcomes == list(range(3, 3 + len(values)))
    for letter in reading.dead:
        assert letter.reason in REASONS
        assert letter.reason != "fault", letter.raw
        assert letter.raw == values[letter.offset - 3]
    for event in reading.events:
        assert event.raw == values[event.offset - 3]
        whole(event)


@settings(max_examples=50, deadline=None)
@given(OBJECTS)
def test_reading_twice_gives_the_same_event(doc: dict[str, Any]) -> None:
    """Blocks are rebuilt from Kafka by other processes: nothing may depend on what was read before."""
    raw = orjson.dumps(doc)
    first, again = (READER.read(batch_of(raw)) for _ in range(2))
    assert first == again
