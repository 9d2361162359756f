"""Correlation documents: what they may say, what is refused and in which words, what they refer to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors.correlation.correlation import UNIT, Correlation
from detectors.correlation.resolve import MAX_CHAIN
from detectors.sigma.load import load
from pipeline.rules import check_rules
from tests.correlation import loaded

GUESS = "a1b2c3d4-0000-4000-8000-000000000001"
LOGON = "a1b2c3d4-0000-4000-8000-000000000002"
RULES = f"""
title: A password guessed
id: {GUESS}
name: failed_logon
level: low
logsource: {{product: windows, service: security}}
detection: {{selection: {{EventID: 4625}}, condition: selection}}
---
title: A log-in
id: {LOGON}
name: logon
level: low
logsource: {{product: windows, service: security}}
detection: {{selection: {{EventID: 4624}}, condition: selection}}
"""


def document(correlation: dict[str, Any], **top: Any) -> str:
    said = {
        "title": "Guessed often",
        "id": "a1b2c3d4-0000-4000-8000-0000000000c1",
        "level": "high",
        "correlation": {
            "type": "event_count",
            "rules": ["failed_logon"],
            "group-by": ["IpAddress"],
            "timespan": "5m",
            "condition": {"gte": 10},
        }
        | correlation,
    }
    for key in [key for key, value in said["correlation"].items() if value is None]:  # type: ignore[attr-defined]
        del said["correlation"][key]  # type: ignore[attr-defined]
    return yaml.safe_dump(said | top, sort_keys=False)


def read(correlation: dict[str, Any], **top: Any) -> Correlation:
    found, refused = loaded(f"{RULES}\n---\n{document(correlation, **top)}")
    assert not refused, refused
    return found.ordered[0]


def refusal(correlation: dict[str, Any], **top: Any) -> str:
    found, refused = loaded(f"{RULES}\n---\n{document(correlation, **top)}")
    assert not found.ordered
    return str(refused[0])


def test_a_file_may_hold_rules_and_correlations_and_a_correlation_names_rules_by_name_or_id() -> None:
    for ref in ("failed_logon", GUESS, GUESS.upper()):
        found, refused = loaded(f"{RULES}\n---\n{document({'rules': [ref]})}")
        assert not refused
        assert found.ordered[0].rules == (GUESS,)
        assert found.silent == {GUESS}
        assert [member.correlation.title for member in found.members[GUESS]] == ["Guessed often"]


def test_a_correlation_is_read_whole() -> None:
    found = read({"timespan": "1h"}, tags=["attack.t1110"], name="guessing")
    assert (found.kind, found.timespan, found.bounds, found.group_by) == (
        "event_count",
        3_600_000,
        (("gte", 10),),
        ("IpAddress",),
    )
    assert (found.title, found.level.word, found.tags, found.name) == (
        "Guessed often",
        "high",
        ("attack.t1110",),
        "guessing",
    )
    assert (found.file, found.least, found.growing) == ("test.yml", 10, True)


@pytest.mark.parametrize(
    ("condition", "bounds", "growing"),
    [
        ({"gt": 1, "lte": 5}, (("gt", 1), ("lte", 5)), False),
        ({"gte": "3"}, (("gte", 3),), True),
        ({"neq": 3}, (("neq", 3),), False),
        ({"eq": 0}, (("eq", 0),), False),
    ],
)
def test_ranges_and_all_operators_are_read(condition: Any, bounds: Any, growing: bool) -> None:
    found = read({"condition": condition})
    assert (found.bounds, found.growing) == (bounds, growing)


def test_measures_of_values_are_in_millionths_and_percentiles_named() -> None:
    condition = {"gte": 0.5, "field": "bytes", "percentile": 95}
    found = read({"type": "value_percentile", "condition": condition})
    assert (found.bounds, found.percentile, found.fields) == ((("gte", UNIT // 2),), 95, ("bytes",))
    both = read({"type": "value_count", "condition": {"gte": 5, "field": ["host", "user"]}})
    assert both.fields == ("host", "user")


def test_a_percentile_that_is_not_named_is_the_median() -> None:
    """As in the specification's own example, which names none."""
    assert read({"type": "value_percentile", "condition": {"lte": 1, "field": "n"}}).percentile == 50


def test_an_alias_may_name_a_rule_that_rules_gives_by_its_id() -> None:
    aliases = {"address": {"failed_logon": "IpAddress", "logon": "SourceAddress"}}
    rules = ["A1B2C3D4-0000-4000-8000-000000000001", "logon"]
    found = read({"rules": rules, "aliases": aliases, "group-by": "address"})
    assert [found.field_of("address", place) for place in (0, 1)] == ["IpAddress", "SourceAddress"]
    assert not found.loose


@pytest.mark.parametrize("kind", ["temporal", "temporal_extended", "temporal_ordered", "temporal_ordered_extended"])
def test_boolean_conditions_are_read_with_and_without_the_list_of_rules(kind: str) -> None:
    for rules in (None, ["failed_logon", "logon"]):
        found = read({"type": kind, "rules": rules, "condition": "failed_logon and (logon)"})
        assert (found.kind, found.condition, found.rules) == (
            kind.removesuffix("_extended"),
            ["and", 0, 1],
            (GUESS, LOGON),
        )
    assert read({"type": "temporal", "rules": None, "condition": f"not {LOGON} or failed_logon"}).condition == [
        "or",
        ["not", 0],
        1,
    ]


def test_temporal_types_take_all_their_rules_by_default() -> None:
    for kind in ("temporal", "temporal_ordered"):
        found = read({"type": kind, "rules": ["failed_logon", "logon"], "condition": None})
        assert found.bounds == (("gte", 2),)


def test_an_alias_gives_each_rule_its_own_field() -> None:
    aliases = {"address": {"failed_logon": "IpAddress", "logon": "SourceAddress"}}
    found = read({"rules": ["failed_logon", "logon"], "aliases": aliases, "group-by": "address"})
    assert [found.field_of("address", place) for place in (0, 1)] == ["IpAddress", "SourceAddress"]
    assert found.field_of("user", 0) == "user"


def test_a_rule_that_one_correlation_generates_is_told_for_itself() -> None:
    assert loaded(f"{RULES}\n---\n{document({'generate': True})}")[0].silent == frozenset()
    also = document({"generate": True}, id="a1b2c3d4-0000-4000-8000-0000000000c2")
    assert loaded(f"{RULES}\n---\n{document({})}\n---\n{also}")[0].silent == frozenset()


@pytest.mark.parametrize(
    ("correlation", "words"),
    [
        ({"type": "events"}, "'events' is no type of correlation"),
        ({"type": "event_count_extended"}, "is no type of correlation"),
        ({"group_by": ["a"]}, "has no key 'group_by'"),
        ({"rules": []}, "not names or ids"),
        ({"rules": None}, "not names or ids"),
        ({"rules": [1]}, "not names or ids"),
        ({"rules": ["failed_logon", GUESS]}, "twice"),
        ({"rules": ["nobody"]}, "refers to 'nobody': there is no such rule"),
        ({"timespan": None}, "timespan"),
        ({"timespan": "5 minutes"}, "imespan"),
        ({"timespan": "0s"}, "imespan"),
        ({"timespan": "1y"}, "longer than 31 days"),
        ({"condition": None}, "no condition"),
        ({"condition": {}}, "compares with nothing"),
        ({"condition": {"gte": "many"}}, "no number"),
        ({"condition": {"gte": float("nan")}}, "no number"),
        ({"condition": {"gte": True}}, "no number"),
        ({"condition": {"gte": 10**400}}, "characters; at most"),
        ({"type": "value_sum", "condition": {"gte": 1e308, "field": "n"}}, "too large"),
        ({"aliases": {f"a{n}": {"failed_logon": "x"} for n in range(65)}}, "at most 64 are known"),
        ({"condition": {"gte": 2.5}}, "a count with 2.5"),
        ({"condition": {"gt": 5, "lt": 6}}, "no number meets"),
        ({"condition": {"gte": 1, "within": 3}}, "no 'within'"),
        ({"condition": {"gte": 10_000_000}}, "waits for more than"),
        ({"condition": {"gte": 1, "field": "x"}}, "takes no field"),
        ({"type": "value_count"}, "names no field"),
        ({"type": "value_sum", "condition": {"gte": 1, "field": ["a", "b"]}}, "measures one field"),
        (
            {"type": "value_percentile", "condition": {"gte": 1, "field": "a", "percentile": 101}},
            "no percentile from 0 to 100",
        ),
        (
            {
                "rules": ["a1b2c3d4-0000-4000-8000-000000000001"],
                "aliases": {"a": {"failed_logon": "x", "a1b2c3d4-0000-4000-8000-000000000001": "y"}},
            },
            "names two fields of 'failed_logon'",
        ),
        ({"condition": "failed_logon"}, "a boolean condition is for temporal types"),
        ({"type": "temporal_extended"}, "has a boolean condition"),
        ({"type": "temporal", "condition": "failed_logon and"}, "lacks the name of a rule"),
        ({"type": "temporal", "condition": "(failed_logon"}, "not closed"),
        ({"type": "temporal", "condition": "failed_logon)"}, "ends before ')'"),
        ({"type": "temporal", "condition": "failed_logon logon"}, "ends before 'logon'"),
        ({"type": "temporal", "condition": "failed_logon and logon"}, "'logon' stands in only one"),
        ({"type": "temporal", "condition": "(" * 60 + "failed_logon" + ")" * 60}, "nests more than"),
        ({"type": "temporal", "condition": "failed_logon or " * 1000 + "failed_logon"}, "characters"),
        (
            {"type": "temporal_ordered", "rules": None, "condition": "(failed_logon and logon) or logon"},
            "no sequence",
        ),
        ({"type": "temporal_ordered", "condition": {"gte": 5}}, "no other count"),
        ({"group-by": {"a": 1}}, "`group-by`"),
        ({"group-by": ["a", "a"]}, "twice"),
        ({"aliases": {"a": {"logon": "x"}}}, "which `rules` lacks"),
        ({"aliases": ["a"]}, "aliases"),
        ({"generate": "yes"}, "generate"),
        ({"rules": [f"r{n}" for n in range(61)]}, "at most 60"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_the_reason(correlation: dict[str, Any], words: str) -> None:
    assert words in refusal(correlation)


def test_a_document_that_is_both_or_no_mapping_is_refused() -> None:
    assert "a rule and a correlation at once" in refusal({}, detection={"a": {"b": 1}, "condition": "a"})
    assert "not a mapping" in str(load("x.yml", b"title: x\ncorrelation: 1\n").refused[0])
    assert "the id '../mine' is none" in refusal({}, id="../mine")
    assert read({}, id="Mine.7").id == "Mine.7"


def test_a_correlation_that_refers_to_itself_is_refused_by_name_and_takes_the_rules_with_it_nowhere() -> None:
    assert "it refers to itself" in refusal({"rules": ["me"]}, name="me")
    file = load("x.yml", f"{RULES}\n---\n{document({'rules': ['me']}, name='me')}".encode())
    assert len(file.rules) == 2


def test_cycles_and_what_rests_on_them_are_refused_and_others_stay() -> None:
    def one(number: int, ref: str, name: str) -> str:
        return document({"rules": [ref]}, id=f"a1b2c3d4-0000-4000-8000-0000000001{number:02}", name=name)

    said = "\n---\n".join([RULES, one(1, "two", "one"), one(2, "one", "two"), one(3, "two", "three"), document({})])
    found, refused = loaded(said)
    assert [each.id for each in found.ordered] == ["a1b2c3d4-0000-4000-8000-0000000000c1"]
    assert "leads back" in str(refused[0])
    assert len(refused) == 3
    assert "which is refused" in str(refused[2])


def test_chains_are_judged_in_order_and_are_not_endless() -> None:
    def one(number: int) -> str:
        ref = "failed_logon" if number == 0 else f"c{number - 1}"
        return document({"rules": [ref]}, id=f"a1b2c3d4-0000-4000-8000-0000000002{number:02}", name=f"c{number}")

    chain = [one(number) for number in range(MAX_CHAIN + 1)]
    found, refused = loaded("\n---\n".join([*chain[::-1], RULES]))
    assert [each.name for each in found.ordered] == [f"c{number}" for number in range(MAX_CHAIN)]
    assert len(refused) == 1
    assert "a chain of more than" in str(refused[0])


def test_a_name_that_two_rules_have_and_an_id_that_is_taken_are_refused() -> None:
    again = RULES.replace(GUESS, GUESS[:-1] + "9").replace(LOGON, LOGON[:-1] + "8")
    found, refused = loaded(f"{RULES}\n---\n{again}\n---\n{document({})}")
    assert not found.ordered
    assert "2 rules have that name" in str(refused[0])
    assert "already that of another rule" in refusal({}, id=GUESS)


def test_hostile_conditions_are_refused_in_bounded_time() -> None:
    started = time.monotonic()
    refusal({"type": "temporal", "condition": "not " * 2_400 + "failed_logon"})
    refusal({"type": "temporal", "condition": "(" * 5_000})
    assert time.monotonic() - started < 2.0


def test_correlations_come_back_from_the_cache_as_they_were_read(tmp_path: Path) -> None:
    aliases = {"address": {"failed_logon": "IpAddress"}}
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rules.yml").write_text(RULES)
    (folder / "more.yml").write_text(
        "\n---\n".join(
            [
                document({"aliases": aliases, "condition": {"gt": 1, "lte": 5}}),
                document(
                    {"type": "temporal", "rules": None, "condition": "failed_logon and not logon"},
                    id="a1b2c3d4-0000-4000-8000-0000000000c2",
                ),
            ]
        )
    )
    first, again = (check_rules([folder], tmp_path / "cache") for _ in range(2))
    assert (first.from_cache, again.from_cache) == (False, True)
    assert not first.refused
    assert len(first.correlations.ordered) == 2
    assert again.correlations.ordered == first.correlations.ordered
    assert again.correlations.revision == first.correlations.revision
