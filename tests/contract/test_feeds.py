"""CSV and STIX become indicators, or faults that name place and reason and hold no value of the feed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from detectors.ioc.indicators import refang
from schemas.indicator import Indicator
from tests.feeding import Given, given, stix_of

SHA256 = "a1" * 32


def read_csv(text: str) -> Given:
    return given(text.encode(), format="csv", own=True)


def only(feed: Given) -> Indicator:
    assert not feed.faults, feed.faults
    (found,) = feed.indicators
    return found


# --- CSV


def test_a_line_of_csv_with_everything() -> None:
    found = only(
        read_csv(
            "type,value,id,title,level,confidence,valid_from,valid_until,source,tlp,tags\n"
            'domain,Evil[.]Example,x-1,"Control, server",critical,90,2026-01-01,2027-01-01T00:00:00+05:00,'
            "FinCERT,red,a;b\n"
        )
    )
    assert found._replace(revision="") == Indicator(
        id="x-1",
        type="domain",
        value="evil.example",
        title="Control, server",
        level="critical",
        confidence=90,
        valid_from=1_767_225_600_000,
        valid_until=1_798_743_600_000,
        source="FinCERT",
        tlp="red",
        tags=("a", "b"),
    )
    assert found.revision


@pytest.mark.parametrize(
    ("cells", "kind", "value"),
    [
        ("ip,203.0.113[.]9", "ipv4", "203.0.113.9"),
        ("ip-dst,2001:DB8::1", "ipv6", "2001:db8::1"),
        ("ipv4-addr,203.0.113.9/32", "ipv4", "203.0.113.9"),
        ("hostname,WWW.evil[dot]example.", "domain", "www.evil.example"),
        ("domain,*.evil.example", "domain", "evil.example"),
        ("url,hxxps[://]evil[.]example:443/a", "url", "https://evil.example/a"),
        (f"hash,{SHA256.upper()}", "sha256", SHA256),
        ("SHA-1," + "b2" * 20, "sha1", "b2" * 20),
    ],
)
def test_types_have_the_names_that_feeds_use_and_values_are_refanged(cells: str, kind: str, value: str) -> None:
    found = only(read_csv(f"type,value\n{cells}\n"))
    assert (found.type, found.value) == (kind, value)


def test_without_an_id_the_same_line_is_the_same_indicator() -> None:
    one, two = (only(read_csv(text)) for text in ("type,value\nip,10.0.0.1\n", "value,type\r\n 10.0.0[.]1 ,IP\r\n"))
    other = only(given(b"type,value\nip,10.0.0.1\n", source="another"))
    assert one == two
    assert one.id != other.id, "another source is another indicator"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("asn,x,", "an unknown type"),
        ("domain,localhost,", "a value that is no domain"),
        ("ipv4,2001:db8::1,", "a value that is no ipv4"),
        ("ip,10.0.0/8,", "a value that is no ip"),
        ("md5," + SHA256 + ",", "a value that is no md5"),
        ("ip,10.0.0.1,urgent", "a level"),
        ("ip,10.0.0.1,high,x", "not 3 cells"),
        ('ip,"10.0.0.1,high', "not 3 cells"),
        ("=cmd|' /C calc'!A0,1,", "an unknown type"),
        ("ip,\x0010.0.0.1\x00,", "a value that is no ip"),
        ("ip", "a value that is no ip"),
    ],
)
def test_a_faulty_line_is_named_and_the_others_stand(row: str, why: str) -> None:
    feed = read_csv(f"type,value,level\nip,10.0.0.7,\n{row}\nip,10.0.0.8,\n")
    assert [one.value for one in feed.indicators] == ["10.0.0.7", "10.0.0.8"]
    ((where, said),) = [(fault.where, fault.why) for fault in feed.faults]
    assert where == "line 3"
    assert why in said


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("confidence", "101", "confidence"),
        ("confidence", "x", "confidence"),
        ("valid_from", "soon", "ISO 8601"),
        ("tlp", "purple", "tlp"),
        ("level", "9", "level"),
    ],
)
def test_a_cell_that_means_nothing_refuses_its_line(column: str, value: str, why: str) -> None:
    feed = read_csv(f"type,value,{column}\nip,10.0.0.1,{value}\n")
    assert not feed.indicators
    assert why in feed.faults[0].why


def test_an_indicator_that_ends_before_it_begins_is_refused() -> None:
    feed = read_csv("type,value,valid_from,valid_until\nip,10.0.0.1,2026-02-01,2026-01-01\n")
    assert feed.faults[0].why == "valid_until is not after valid_from"


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("type,value,colour", "unknown columns 'colour'"),
        ("value,title", "type and value are required"),
        ("type,value,value", "twice"),
        ("10.0.0.1,secret", "type and value are required"),
        ("", "empty"),
    ],
)
def test_a_wrong_header_refuses_the_file(header: str, why: str) -> None:
    feed = read_csv(f"{header}\nip,10.0.0.1,x\n" if header else "")
    assert not feed.indicators
    assert why in feed.faults[0].why


def test_semicolons_comments_blanks_and_a_byte_order_mark_are_taken() -> None:
    feed = read_csv("\ufefftype;value;tags\n# our own\n\nip;10.0.0.1;\n")
    assert only(feed).value == "10.0.0.1"


def test_a_title_is_harmless_in_a_spreadsheet_and_on_a_terminal() -> None:
    found = only(read_csv("type,value,title\nip,10.0.0.1,=HYPERLINK(1)\x1b[31m\x00\n"))
    assert found.title == "HYPERLINK(1) [31m"


@pytest.mark.parametrize(
    ("fanged", "plain"),
    [
        ("hxxps://evil[.]example", "https://evil.example"),
        ("HXXP[:]//evil(.)example", "http://evil.example"),
        ("evil[dot]example", "evil.example"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_refanging(fanged: str, plain: str) -> None:
    assert refang(fanged) == plain


@settings(max_examples=60)
@drawn(st.lists(st.text(max_size=40), max_size=5))
def test_no_csv_raises_and_no_fault_holds_a_value(lines: list[str]) -> None:
    feed = read_csv("type,value\n" + "\n".join(line.replace("\n", " ").replace("\r", " ") for line in lines))
    assert len(feed.indicators) + len(feed.faults) <= len(lines)


# --- STIX


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[ipv4-addr:value = '203.0.113.9']", {("ipv4", "203.0.113.9")}),
        ("[ipv6-addr:value = '2001:DB8::1']", {("ipv6", "2001:db8::1")}),
        ("[ domain-name:value='Evil.Example' ]", {("domain", "evil.example")}),
        ("[url:value = 'http://evil.example/it\\'s']", {("url", "http://evil.example/it's")}),
        ("[file:hashes.MD5 = '" + "b2" * 16 + "']", {("md5", "b2" * 16)}),
        (f"[file:hashes.'SHA-256' = '{SHA256.upper()}']", {("sha256", SHA256)}),
        (f"[file:hashes.SHA256 = '{SHA256}']", {("sha256", SHA256)}),
        ("[ipv4-addr:value IN ('10.0.0.1', '10.0.0.2')]", {("ipv4", "10.0.0.1"), ("ipv4", "10.0.0.2")}),
        (
            "[(ipv4-addr:value = '10.0.0.1' OR (domain-name:value = 'a.example'))]",
            {("ipv4", "10.0.0.1"), ("domain", "a.example")},
        ),
        (
            "[ipv4-addr:value = '10.0.0.1'] OR [domain-name:value = 'a.example']",
            {("ipv4", "10.0.0.1"), ("domain", "a.example")},
        ),
    ],
)
def test_a_supported_pattern_is_its_values(pattern: str, values: set[tuple[str, str]]) -> None:
    feed = stix_of(pattern)
    assert not feed.faults
    assert {(one.type, one.value) for one in feed.indicators} == values
    assert {one.id for one in feed.indicators} == {"indicator--0"}


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[ipv4-addr:value = '10.0.0.1'] AND [domain-name:value = 'a.example']", "AND of observations"),
        ("[ipv4-addr:value EXISTS]", "EXISTS"),
        ("[EXISTS ipv4-addr:value]", "EXISTS"),
        ("[url:value > 'a']", ">"),
        ("[NOT ipv4-addr:value = '10.0.0.1']", "NOT"),
        ("[ipv4-addr:value NOT = '10.0.0.1']", "NOT"),
        ("[ipv4-addr:value != '10.0.0.1']", "!="),
        ("[domain-name:value LIKE '%.example']", "LIKE"),
        ("[url:value MATCHES '^http']", "MATCHES"),
        ("[ipv4-addr:value ISSUPERSET '10.0.0.0/8']", "ISSUPERSET"),
        ("[domain-name:value ISSUBSET '10.0.0.0/8']", "ISSUBSET"),
        ("[ipv4-addr:value = '10.0.0/8']", "no ipv4"),
        ("[ipv4-addr:value = '10.0.0.1'] FOLLOWEDBY [ipv4-addr:value = '10.0.0.2']", "FOLLOWEDBY"),
        ("[ipv4-addr:value = '10.0.0.1'] WITHIN 300 SECONDS", "WITHIN"),
        ("[process:command_line = 'a.exe -x']", "the path process:command_line"),
        ("[file:size = 'a']", "the path file:size"),
        ("[file:hashes.MD5 = '" + "b2" * 16 + "' OR file:size = 'a']", "the path file:size"),
        ("[file:hashes.TLSH = 'x']", "the path file:hashes.TLSH"),
        ("[network-traffic:dst_port = '443']", "the path network-traffic:dst_port"),
        ("[file:parent_directory_ref.path = 'C:\\\\x']", "a folder"),
        ("[windows-registry-key:values[*].name = 'x']", "a value"),
        ("[network-traffic:dst_ref.type = 'ipv4-addr']", "without a value"),
        ("[ipv4-addr:value = 10]", "where a text should stand"),
        ("[ipv4-addr:value = '10.0.0.1'", "an early end"),
        ("[(ipv4-addr:value = '10.0.0.1']", "]"),
        ("[]", "]"),
        ("ipv4-addr:value = '10.0.0.1'", "where [ should stand"),
        ("", "an early end"),
    ],
)
def test_every_other_pattern_is_refused_by_name_and_whole(pattern: str, why: str) -> None:
    feed = stix_of(pattern)
    assert not feed.indicators
    assert why in feed.faults[0].why
    assert feed.faults[0].where == "indicator--0"


def test_other_pattern_languages_are_refused_by_name() -> None:
    assert "sigma" in stix_of("title: x", pattern_type="sigma").faults[0].why


def test_what_stix_says_of_an_indicator_is_kept() -> None:
    feed = given(
        orjson.dumps(
            {
                "type": "bundle",
                "objects": [
                    {"type": "identity", "id": "identity--1", "name": "FinCERT"},
                    {"type": "marking-definition", "id": "marking-definition--9", "name": "TLP:AMBER+STRICT"},
                    {"type": "malware", "id": "malware--1", "name": "not an indicator"},
                    {
                        "type": "indicator",
                        "id": "indicator--1",
                        "created_by_ref": "identity--1",
                        "name": "Control server",
                        "confidence": 85,
                        "pattern": "[domain-name:value = 'evil.example']",
                        "pattern_type": "stix",
                        "valid_from": "2026-01-01T00:00:00Z",
                        "valid_until": "2027-01-01T00:00:00Z",
                        "kill_chain_phases": [
                            {"kill_chain_name": "mitre-attack", "phase_name": "command-and-control"},
                            {"kill_chain_name": "other", "phase_name": "x"},
                        ],
                        "indicator_types": ["malicious-activity"],
                        "object_marking_refs": [
                            "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
                            "marking-definition--9",
                        ],
                    },
                ],
            }
        ),
        own=True,
    )
    found = only(feed)
    assert (found.title, found.source, found.confidence) == ("Control server", "FinCERT", 85)
    assert (found.valid_from, found.valid_until) == (1_767_225_600_000, 1_798_761_600_000)
    assert found.tags == ("attack.command-and-control", "malicious-activity")
    assert found.tlp == "amber+strict", "the stricter of two markings"


def test_of_two_versions_the_latest_counts_and_a_revoked_one_is_none() -> None:
    def version(of: str, value: str, modified: str, **more: Any) -> dict[str, Any]:
        pattern = f"[ipv4-addr:value = '{value}']"
        return {"type": "indicator", "id": of, "pattern": pattern, "modified": modified, **more}

    objects = [
        version("indicator--1", "10.0.0.2", "2026-02-01T00:00:00Z"),
        version("indicator--1", "10.0.0.1", "2026-01-01T00:00:00Z"),
        version("indicator--2", "10.0.0.3", "2026-01-01T00:00:00Z"),
        version("indicator--2", "10.0.0.3", "2026-02-01T00:00:00Z", revoked=True),
    ]
    assert only(given(orjson.dumps({"objects": objects}), "feed")).value == "10.0.0.2"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"42", b"{}", b'{"objects": 1}', b"\xff", b'"x"', b'{"data": [{"type": "indicator"}]}', b'{"a": [[]]}'],
)
def test_what_is_no_stix_is_one_fault(data: bytes) -> None:
    feed = given(data)
    assert (len(feed.indicators), len(feed.faults)) == (0, 1)


def test_a_list_of_other_things_is_named_thing_by_thing() -> None:
    feed = given(b'[{"type": "event", "id": 1}, {"type": "process"}, 7]')
    assert [fault.where for fault in feed.faults[:3]] == ["object 0", "object 1", "item 2"]
    assert feed.faults[-1].kind == "end"


JUNK = st.recursive(
    st.one_of(st.none(), st.integers(0, 9), st.text(max_size=8), st.sampled_from(["indicator", "indicator--1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "id", "pattern", "name", "labels", "definition", "kill_chain_phases", "confidence"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=80)
@drawn(st.lists(JUNK, max_size=4))
def test_no_stix_raises(objects: list[Any]) -> None:
    given(orjson.dumps({"objects": objects}), "feed")


@settings(max_examples=80)
@drawn(st.text(alphabet="[]()'= ORANDIN,ipv4-addr:value10.\\", max_size=60))
def test_no_pattern_raises_or_is_half_understood(pattern: str) -> None:
    feed = stix_of(pattern)
    assert bool(feed.indicators) != bool(feed.faults)
