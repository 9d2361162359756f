"""Documents of our detectors: what they may say, their defaults, and that whatever is wrong is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors.behaviour.detector import Detector
from detectors.correlation.correlation import UNIT
from detectors.correlation.stored import packed, unpacked
from pipeline.rules import check_rules
from tests.correlation import DAY, HOUR, MINUTE, correlation, in_force, loaded
from tests.sigma import rule_text

RULE = rule_text({"s": {"a": 1}, "condition": "s"}, name="logon").decode()
SAID: dict[str, dict[str, Any]] = {
    "first_seen": {"rules": ["logon"], "group-by": ["entity.user"], "field": "Workstation"},
    "rate": {"rules": ["logon"], "group-by": ["entity.user"], "bucket": "1h", "least": 20},
    "travel": {"rules": ["logon"], "group-by": ["entity.user"], "field": "IpAddress"},
    "silence": {"group-by": ["product", "service"], "after": "30m"},
}


def text(kind: str, top: dict[str, Any] | None = None, **said: Any) -> str:
    document = {"title": "T", "level": "low", "detector": {"type": kind, **SAID[kind], **said}, **(top or {})}
    document["detector"] = {key: value for key, value in document["detector"].items() if value is not ...}
    return RULE + "\n---\n" + yaml.safe_dump(document)


def read(kind: str, **said: Any) -> Detector:
    found, refused = loaded(text(kind, **said))
    assert not refused, refused
    (detector,) = found.ordered
    assert isinstance(detector, Detector)
    return detector


def refusal(kind: str, top: dict[str, Any] | None = None, **said: Any) -> str:
    found, refused = loaded(text(kind, top, **said))
    assert found.ordered == ()
    (one,) = refused
    return str(one)


def test_each_kind_has_defaults_that_a_bank_can_live_with() -> None:
    new, many, far, silent = map(read, SAID)
    assert (new.learning, new.memory, new.fields) == (7 * DAY, 90 * DAY, ("Workstation",))
    assert (many.baseline, many.season, many.learning, many.factor) == (7 * DAY, HOUR, 7 * DAY, 3 * UNIT)
    assert (far.speed, far.distance, far.fields) == (900, 500, ("IpAddress",))
    assert (silent.after, silent.learning, silent.memory, silent.factor) == (30 * MINUTE, 7 * DAY, 10 * DAY, 2 * UNIT)
    assert silent.rules == ()


def test_everything_that_may_be_said_is_read() -> None:
    new = read("first_seen", field=["a", "b"], learning="12h", memory="2w", generate=True)
    assert (new.fields, new.learning, new.memory, new.generate) == (("a", "b"), 12 * HOUR, 14 * DAY, True)
    many = read("rate", bucket="15m", baseline="2d", season="1d", factor=1.5, least=7, learning="1d")
    assert (many.bucket, many.baseline, many.season, many.factor) == (15 * MINUTE, 2 * DAY, DAY, 3 * UNIT // 2)
    silent = read("silence", source={"product": "Windows"}, **{"group-by": "host"})
    assert (silent.source, silent.group_by) == ((("product", "windows"),), ("host",))


@pytest.mark.parametrize(
    ("kind", "said", "why"),
    [
        ("first_seen", {"type": "new"}, "'new' is no type of detector; the types are first_seen, rate"),
        ("first_seen", {"type": ["rate"]}, "is no type of detector"),
        ("first_seen", {"bucket": "1h"}, "a detector of type first_seen has no key 'bucket'; it knows aliases, field"),
        ("first_seen", {"rules": ...}, "`rules` are not names or ids"),
        ("first_seen", {"rules": ["nobody"]}, "it refers to 'nobody': there is no such rule"),
        ("first_seen", {"rules": ["logon", "logon"]}, "refers to 'logon' twice"),
        ("first_seen", {"field": ...}, "its `field` names no field"),
        ("first_seen", {"field": ["a", "a"]}, "its `field` names a field twice"),
        ("first_seen", {"learning": "7"}, "its `learning` is no time such as 30m, 12h or 7d"),
        ("first_seen", {"learning": 7}, "its `learning` is no time"),
        ("first_seen", {"memory": "400d"}, "its `memory` is longer than 366 days"),
        ("first_seen", {"memory": "9" * 500 + "d"}, "its `memory` is no time"),
        ("first_seen", {"learning": "90d"}, "its `learning` is not shorter than its `memory`"),
        ("first_seen", {"group-by": ["a", "b"] * 9}, "`group-by` names a field twice"),
        ("first_seen", {"generate": "yes"}, "its `generate` is neither true nor false"),
        ("first_seen", {"aliases": {"x": {"other": "y"}}}, "which `rules` lacks"),
        ("rate", {"bucket": ...}, "its `bucket` is no time"),
        ("rate", {"least": ...}, "its `least` is no whole number from 1 to"),
        ("rate", {"least": 0}, "its `least` is no whole number"),
        ("rate", {"least": True}, "its `least` is no whole number"),
        ("rate", {"baseline": "90m"}, "its `baseline` is no multiple of its `season`"),
        ("rate", {"season": "90m"}, "its `season` is no multiple of its `bucket`"),
        ("rate", {"bucket": "1m"}, "its `baseline` has 10,080 buckets; at most 2,100 are kept"),
        ("rate", {"factor": 0.5}, "its `factor` is not between 1 and 10,000"),
        ("rate", {"factor": float("inf")}, "its `factor` is no number"),
        ("rate", {"factor": "3"}, "its `factor` is no number"),
        ("travel", {"field": ["a", "b"]}, "its `field` names a field twice, or more than 1"),
        ("travel", {"speed": 0}, "its `speed` is no whole number"),
        ("travel", {"distance": -1}, "its `distance` is no whole number"),
        ("silence", {"rules": ["logon"]}, "a detector of type silence has no key 'rules'"),
        ("silence", {"group-by": ["user"]}, "its `group-by` names 'user'; a source is known by topic, product"),
        ("silence", {"group-by": ...}, "its `group-by` names None"),
        ("silence", {"after": "30s"}, "its `after` is shorter than 2m"),
        ("silence", {"after": "40d"}, "its `after` is not shorter than its `memory`"),
        ("silence", {"source": ["windows"]}, "its `source` is no mapping of texts"),
        ("silence", {"source": {"user": "x"}}, "its `source` names 'user'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(kind: str, said: dict[str, Any], why: str) -> None:
    assert why in refusal(kind, **said)


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ({"title": None}, "it has no title"),
        ({"level": "loud"}, "'loud' is no level"),
        ({"tags": "attack"}, "its `tags` are no list"),
        ({"name": "../x"}, "the name '../x' is none"),
        ({"detection": {"a": {"b": 1}, "condition": "a"}}, "it is a rule and a detector at once"),
        ({"correlation": {"type": "event_count"}}, "it is a detector and a correlation at once"),
    ],
)
def test_what_is_wrong_with_a_document_is_refused_by_name(top: dict[str, Any], why: str) -> None:
    assert why in refusal("first_seen", top)


def test_a_detector_that_is_no_mapping_is_refused() -> None:
    found, refused = loaded(RULE + "\n---\ntitle: t\ndetector: [1]\n")
    assert (found.ordered, [one.reason for one in refused]) == ((), ["its `detector` is not a mapping"])


OFTEN = """---
title: C
correlation: {type: event_count, rules: [new], group-by: [entity.user], timespan: 5m, condition: {gte: 3}}
"""


def test_a_correlation_may_name_a_detector_but_none_of_silence() -> None:
    found, refused = loaded(text("first_seen", {"name": "new"}) + OFTEN)
    assert ([rule.title for rule in found.ordered], refused) == (["T", "C"], [])
    found, (refusal,) = loaded(text("silence", {"name": "new"}) + OFTEN)
    assert [rule.title for rule in found.ordered] == ["T"]
    assert "a detector of silence: its results come too long after the fact" in str(refusal)


def test_a_detector_may_name_a_correlation() -> None:
    found, refused = loaded(
        OFTEN.replace("[new]", "[logon]").replace("title: C", "title: C\nname: c") + "---\n" + text("rate", rules=["c"])
    )
    assert ([rule.title for rule in found.ordered], refused) == (["C", "T"], [])


def test_the_cache_gives_back_what_was_read(tmp_path: Path) -> None:
    for kind, more in (("rate", {}), ("silence", {"source": {"product": "windows", "host": "a"}})):
        detector = read(kind, **more)
        assert unpacked(packed(detector), "test.yml") == replace(detector)
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / f"{kind}.yml").write_text(text(kind, **more).replace("logon", f"logon{kind}"))
    first, second = (check_rules((tmp_path / "rules",), tmp_path / "cache") for _ in range(2))
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.correlations == first.correlations
    assert len(second.correlations.silences) == 1


def test_detectors_stand_beside_correlations() -> None:
    rules = in_force(correlation("event_count", ("gte", 3)))
    assert rules.silences == ()
