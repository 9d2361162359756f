"""What a Sigma rule means here, a line each: every modifier, value type, condition form and trap."""

from __future__ import annotations

import base64
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from detectors.sigma.engine import Engine
from tests.sigma import event, holds, refusal, rule

ALMATY = ZoneInfo("Asia/Almaty")

#: (sentence, selection, fields, whether it matches)
CASES: list[tuple[str, Any, dict[str, Any], bool]] = [
    # Texts.
    ("a text is the whole value", {"F": "abc"}, {"F": "abc"}, True),
    ("a text is not a part of the value", {"F": "abc"}, {"F": "abcd"}, False),
    ("case does not matter", {"F": "Abc"}, {"F": "aBC"}, True),
    ("case does not matter in Russian", {"F|contains": "администратор"}, {"F": "АДМИНИСТРАТОРЫ"}, True),
    ("case does not matter in Kazakh", {"F|contains": "ТӨЛЕМ тапсырмасы"}, {"F": "Төлем Тапсырмасы №1"}, True),
    ("folding is simple: one letter never equals two", {"F": "strasse"}, {"F": "straße"}, False),
    ("Kelvin's sign is a k, long s an s", {"F": "ks"}, {"F": "\u212a\u017f"}, True),
    ("final and other sigma are one letter", {"F": "ΣΊΣΥΦΟΣ"}, {"F": "σίσυφος"}, True),
    ("an empty text is a value", {"F": ""}, {"F": ""}, True),
    ("an empty text is not an absent field", {"F": ""}, {}, False),
    ("a hyphen is a value", {"F": "-"}, {"F": "-"}, True),
    ("a list is an alternative", {"F": ["a", "b"]}, {"F": "b"}, True),
    ("fields of a selection belong together", {"F": "a", "G": "b"}, {"F": "a", "G": "c"}, False),
    ("maps of a list are alternatives", [{"F": "a"}, {"G": "b"}], {"G": "b"}, True),
    # Wildcards and escapes.
    ("a star is any text", {"F": "a*c"}, {"F": "a-\n-c"}, True),
    ("a star may be empty", {"F": "a*c"}, {"F": "ac"}, True),
    ("two ends may not overlap", {"F": "ab*ba"}, {"F": "aba"}, False),
    ("parts between stars keep their order", {"F": "*b*a*"}, {"F": "a-b"}, False),
    ("a question mark is one character", {"F": "a?c"}, {"F": "aБc"}, True),
    ("a question mark is not none", {"F": "a?c"}, {"F": "ac"}, False),
    ("a question mark may be a line feed", {"F": "a?c"}, {"F": "a\nc"}, True),
    ("an escaped star is a star", {"F": r"a\*c"}, {"F": "a*c"}, True),
    ("an escaped star is nothing else", {"F": r"a\*c"}, {"F": "abc"}, False),
    ("two backslashes and a star are a backslash and any text", {"F": r"C:\\*"}, {"F": "C:\\x"}, True),
    ("one backslash stands for itself", {"F": r"C:\Windows"}, {"F": "c:\\windows"}, True),
    ("a star alone asks that the field is there", {"F": "*"}, {"F": 5}, True),
    ("a star alone does not match an absent field", {"F": "*"}, {"G": 5}, False),
    # Modifiers of texts.
    ("contains", {"F|contains": "b"}, {"F": "aBc"}, True),
    ("startswith", {"F|startswith": "ab"}, {"F": "ABC"}, True),
    ("startswith is not contains", {"F|startswith": "b"}, {"F": "abc"}, False),
    ("endswith", {"F|endswith": "\\cmd.exe"}, {"F": "C:\\CMD.EXE"}, True),
    ("all", {"F|contains|all": ["a", "b"]}, {"F": "b-a"}, True),
    ("all means all", {"F|contains|all": ["a", "b"]}, {"F": "b"}, False),
    ("cased", {"F|cased": "Abc"}, {"F": "Abc"}, True),
    ("cased minds the case", {"F|cased": "Abc"}, {"F": "abc"}, False),
    ("contains and cased", {"F|contains|cased": "Ab"}, {"F": "xAbx"}, True),
    ("windash takes a slash", {"F|contains|windash": " -enc "}, {"F": "p /enc x"}, True),
    ("windash takes a dash of typographers", {"F|contains|windash": " -enc "}, {"F": "p \u2015enc x"}, True),
    ("windash under all is still an alternative", {"F|contains|all|windash": ["-a", "-b"]}, {"F": "x /a –b"}, True),
    ("base64", {"F|base64": "foobar"}, {"F": "Zm9vYmFy"}, True),
    (
        "base64offset finds the text at any offset",
        {"F|base64offset|contains": "foobar"},
        {"F": base64.b64encode(b"xxfoobar12").decode()},
        True,
    ),
    (
        "wide and base64offset find UTF-16",
        {"F|wide|base64offset|contains": "ping"},
        {"F": base64.b64encode("a ping".encode("utf-16-le")).decode()},
        True,
    ),
    (
        "utf16le is the specification's name of wide",
        {"F|utf16le|base64offset|contains": "ping"},
        {"F": base64.b64encode("a ping".encode("utf-16-le")).decode()},
        True,
    ),
    (
        "utf16be",
        {"F|utf16be|base64offset|contains": "ping"},
        {"F": base64.b64encode("a ping".encode("utf-16-be")).decode()},
        True,
    ),
    ("utf16 brings its byte order mark", {"F|utf16|base64": "foo"}, {"F": "//5mAG8AbwA="}, True),
    ("neq", {"F|neq": "a"}, {"F": "b"}, True),
    ("neq of the value itself", {"F|neq": "a"}, {"F": "A"}, False),
    ("neq of an absent field holds", {"F|neq": "a"}, {}, True),
    ("neq of a list: if none matches", {"F|neq": ["a", "b"]}, {"F": "b"}, False),
    # Regular expressions are RE2's.
    ("re is found anywhere", {"F|re": "b.d"}, {"F": "abcde"}, True),
    ("re minds the case", {"F|re": "ABC"}, {"F": "abc"}, False),
    ("re with i", {"F|re|i": "ABC"}, {"F": "abc"}, True),
    ("re with ignorecase", {"F|re|ignorecase": "кассы"}, {"F": "КАССЫ"}, True),
    ("a dot spares the line feed", {"F|re": "a.b"}, {"F": "a\nb"}, False),
    ("a dot takes the line feed with s", {"F|re|s": "a.b"}, {"F": "a\nb"}, True),
    ("$ is the end of the value", {"F|re": "a$"}, {"F": "a\nb"}, False),
    ("$ is not before a last line feed", {"F|re": "a$"}, {"F": "a\n"}, False),
    ("$ is a line's end with m", {"F|re|m": "a$"}, {"F": "a\nb"}, True),
    ("a star in a re is no wildcard", {"F|re": "^ab*$"}, {"F": "abbb"}, True),
    ("re of a number's text", {"F|re": "^46..$"}, {"F": 4624}, True),
    ("a dot is a character, not a byte", {"F|re": "^.$"}, {"F": "Ж"}, True),
    # Numbers and booleans equal their strings.
    ("a number equals a number", {"F": 10}, {"F": 10}, True),
    ("a number equals its string", {"F": 10}, {"F": "10"}, True),
    ("a string equals a number", {"F": "10"}, {"F": 10}, True),
    ("a number equals the same number with a point", {"F": 10}, {"F": 10.0}, True),
    ("a number is no part of a number", {"F": 10}, {"F": 101}, False),
    ("a number is not a boolean", {"F": 1}, {"F": True}, False),
    ("2^63 and more", {"F": 2**63}, {"F": 2**63}, True),
    ("contains on a number", {"F|contains": "46"}, {"F": 4624}, True),
    ("a boolean equals a boolean", {"F": True}, {"F": True}, True),
    ("a boolean equals its string", {"F": True}, {"F": "True"}, True),
    ("a string equals a boolean", {"F": "true"}, {"F": True}, True),
    ("gt", {"F|gt": 5}, {"F": 6}, True),
    ("gt is not gte", {"F|gt": 5}, {"F": 5}, False),
    ("gte", {"F|gte": 5}, {"F": "5"}, True),
    ("lt", {"F|lt": 5}, {"F": -1}, True),
    ("lte", {"F|lte": 5}, {"F": 5.0}, True),
    ("a comparison with a text that is no number", {"F|lt": 5}, {"F": "abc"}, False),
    ("a comparison with nan", {"F|gte": 0}, {"F": "nan"}, False),
    ("a comparison with 1_000", {"F|gte": 1}, {"F": "1_000"}, False),
    ("a comparison with an absent field", {"F|lt": 5}, {}, False),
    ("large integers are compared exactly", {"F|gt": 2**63}, {"F": 2**63 + 1}, True),
    # Null and existence.
    ("null is an absent field", {"F": None}, {}, True),
    ("null is JSON's null", {"F": None}, {"F": None}, True),
    ("null is not an empty text", {"F": None}, {"F": ""}, False),
    ("exists", {"F|exists": True}, {"F": ""}, True),
    ("exists is not met by null", {"F|exists": True}, {"F": None}, False),
    ("does not exist", {"F|exists": False}, {}, True),
    # Addresses.
    ("cidr", {"F|cidr": "10.0.0.0/8"}, {"F": "10.1.2.3"}, True),
    ("cidr of another network", {"F|cidr": "10.0.0.0/8"}, {"F": "11.1.2.3"}, False),
    ("cidr of IPv6", {"F|cidr": "2001:db8::/32"}, {"F": "2001:DB8:0::1"}, True),
    ("an IPv4 address written as IPv6", {"F|cidr": "10.0.0.0/8"}, {"F": "::ffff:10.1.2.3"}, True),
    ("cidr of a text that is no address", {"F|cidr": "10.0.0.0/8"}, {"F": "10.x"}, False),
    ("several networks", {"F|cidr": ["10.0.0.0/8", "fe80::/10"]}, {"F": "fe80::1%eth0"}, True),
    # Other fields.
    ("fieldref", {"F|fieldref": "G"}, {"F": "a", "G": "A"}, True),
    ("fieldref of another value", {"F|fieldref": "G"}, {"F": "a", "G": "b"}, False),
    ("fieldref of an absent field", {"F|fieldref": "G"}, {"F": "a"}, False),
    ("fieldref and neq", {"F|fieldref|neq": "G"}, {"F": "a", "G": "b"}, True),
    ("fieldref and startswith", {"F|fieldref|startswith": "G"}, {"F": "abc", "G": "ab"}, True),
    ("fieldref and endswith", {"F|fieldref|endswith": "G"}, {"F": "abc", "G": "BC"}, True),
    ("fieldref and contains", {"F|fieldref|contains": "G"}, {"F": "abc", "G": "b"}, True),
    # Lists and nesting.
    ("an element of a list suffices", {"F": "b"}, {"F": ["a", "b"]}, True),
    ("elements that are numbers", {"F|gt": 5}, {"F": [1, 9]}, True),
    ("an empty list matches nothing", {"F": ""}, {"F": []}, False),
    ("a path", {"a.b": "x"}, {"a": {"b": "x"}}, True),
    ("a dotted key beats a path", {"a.b": "x"}, {"a.b": "y", "a": {"b": "x"}}, False),
    ("a dotted key below the top", {"a.b.c": "x"}, {"a": {"b.c": "x"}}, True),
    ("a path through a list of objects", {"a.b": "y"}, {"a": [{"b": "x"}, {"b": "y"}]}, True),
    ("an object is no text", {"a|contains": "x"}, {"a": {"b": "x"}}, False),
    ("parts of selections may mean different objects", {"a.b": "x", "a.c": "2"}, {"a": [{"b": "x"}, {"c": "2"}]}, True),
    # Keywords.
    ("a keyword stands in any value", ["disk"], {"F": "bad Disks"}, True),
    ("a keyword is no key", ["disk"], {"disk": "x"}, False),
    ("a keyword in a nested value", ["disk"], {"a": [{"b": "disk"}]}, True),
    ("keywords are alternatives", ["x1", "disk"], {"F": "disk"}, True),
    ("all keywords", {"|all": ["x1", "disk"]}, {"F": "disk", "G": "x1"}, True),
    ("all keywords, one missing", {"|all": ["x1", "disk"]}, {"F": "disk"}, False),
    ("a keyword with a star", ["a*c"], {"F": "xx a-b-c xx"}, True),
    ("a keyword does not span values", ["a*c"], {"F": "a", "G": "c"}, False),
    ("a number as a keyword", [4624], {"F": "event 4624"}, True),
    ("a regular expression without a field", {"|re": "^x\\d"}, {"F": "x1"}, True),
]


@pytest.mark.parametrize(("selection", "fields", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_selection_means(selection: Any, fields: dict[str, Any], expected: bool) -> None:
    assert holds(selection, fields) is expected


#: (sentence, condition, which of a, b, c the event has, whether it matches)
CONDITIONS = [
    ("and", "a1 and b1", "ab", True),
    ("and binds more than or", "a1 or b1 and c1", "a", True),
    ("brackets bind more than and", "(a1 or b1) and c1", "a", False),
    ("not", "a1 and not b1", "a", True),
    ("not of what matches", "a1 and not b1", "ab", False),
    ("not of brackets", "not (a1 or b1)", "c", True),
    ("1 of them", "1 of them", "c", True),
    ("1 of them, of none", "1 of them", "", False),
    ("all of them", "all of them", "abc", True),
    ("all of them, but one", "all of them", "ab", False),
    ("1 of a pattern", "1 of a*", "a", True),
    ("any of a pattern", "any of b*", "a", False),
    ("not 1 of a pattern", "a1 and not 1 of b*", "a", True),
    ("several conditions are alternatives", ["a1", "b1"], "b", True),
]


@pytest.mark.parametrize(("condition", "has", "expected"), [c[1:] for c in CONDITIONS], ids=[c[0] for c in CONDITIONS])
def test_a_condition_means(condition: Any, has: str, expected: bool) -> None:
    selections = {f"{name}1": {name: "yes"} for name in "abc"}
    engine = Engine([rule({**selections, "condition": condition})])
    assert bool(engine.match([event(dict.fromkeys(has, "yes"))])) is expected


def test_not_of_an_absent_field_matches() -> None:
    engine = Engine([rule({"s": {"F": "a"}, "filter": {"G": "x"}, "condition": "s and not filter"})])
    assert engine.match([event({"F": "a"})])


def test_a_list_matches_a_negation_only_if_no_element_matches() -> None:
    engine = Engine([rule({"s": {"F": "a"}, "condition": "not s"})])
    assert not engine.match([event({"F": ["a", "b"]})])
    assert engine.match([event({"F": ["c", "b"]})])


@pytest.mark.parametrize(
    ("selection", "value", "expected"),
    [
        ({"F|hour": 3}, "2025-10-09T22:30:00Z", True),
        ({"F|hour": 22}, "2025-10-09T22:30:00Z", False),
        ({"F|hour": 3}, "2025-10-09 22:30:00.123", True),
        ({"F|day": 10}, "2025-10-09T22:30:00Z", True),
        ({"F|minute": 30}, "2025-10-09T22:30:00+05:00", True),
        ({"F|week": 41}, "2025-10-09T12:30:00Z", True),
        ({"F|month": 10}, 1_760_000_000, True),
        ({"F|year": 2025}, 1_760_000_000_000, True),
        ({"F|year": 2025}, "no time", False),
        ({"F|year": 1970}, -1, False),
        ({"F|year": 1970}, 1e300, False),
    ],
)
def test_parts_of_a_time_are_those_of_the_banks_zone(selection: Any, value: Any, expected: bool) -> None:
    engine = Engine([rule({"s": selection, "condition": "s"})], ALMATY)
    assert bool(engine.match([event({"F": value})])) is expected


@pytest.mark.parametrize(
    ("sentence", "selection"),
    [
        ("the list of 'F' is empty", {"F": []}),
        ("is invalid: RE2 says 'invalid perl operator: (?='", {"F|re": "(?=a)b"}),
        ("RE2 says 'invalid escape sequence", {"F|re": r"(a)\1"}),
        ("Unknown modifier", {"F|nosuch": "a"}),
        ("a keyword is empty and would match every event", ["*"]),
        ("null needs a field", [None]),
        ("Invalid CIDR", {"F|cidr": "10.0.0.0/99"}),
        ("at most three dash", {"F|windash": "-a -b -c -d"}),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_the_reason(sentence: str, selection: Any) -> None:
    assert sentence.lower() in refusal({"s": selection, "condition": "s"}).lower()


def test_the_matched_fields_are_those_that_made_it_true_cut_to_a_kilobyte() -> None:
    detection = {
        "s": {"Image|endswith": "\\cmd.exe", "CommandLine|contains": ["whoami", "ipconfig"]},
        "other": {"User": "nobody"},
        "filter": {"Company": "Ours"},
        "condition": "(s or other) and not filter",
    }
    fields = {"Image": "C:\\cmd.exe", "CommandLine": "whoami " + "ж" * 2000, "User": "x", "Company": "y"}
    (found,) = Engine([rule(detection)]).match([event(fields)])
    assert list(found.matched) == ["Image", "CommandLine"]
    assert found.matched["Image"] == "C:\\cmd.exe"
    assert 1022 <= len(found.matched["CommandLine"].encode()) <= 1024


def test_no_more_than_twenty_matched_fields_are_kept() -> None:
    fields = {f"F{n}": str(n) for n in range(30)}
    (found,) = Engine([rule({"s": dict(fields), "condition": "s"})]).match([event(fields)])
    assert len(found.matched) == 20


def test_a_keyword_is_named_by_the_field_it_stands_in() -> None:
    (found,) = Engine([rule({"s": ["evil"], "condition": "s"})]).match(
        [event({"a": 1, "b": {"c": ["x", "an Evil one"]}})]
    )
    assert found.matched == {"b": "an Evil one"}
