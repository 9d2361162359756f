"""A correlation as JSON can carry it, for the cache of rules."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from detectors.behaviour.detector import Detector
from detectors.correlation.correlation import OWN_KINDS, Alias, Bound, Correlation, Loose
from schemas.severity import Severity


def packed(rule: Correlation) -> dict[str, Any]:
    """Everything but the file's name, which the cache's user knows."""
    return {one.name: getattr(rule, one.name) for one in fields(rule) if one.name != "file"} | {
        "level": int(rule.level),
        "bounds": [list(bound) for bound in rule.bounds],
        "aliases": [list(alias) for alias in rule.aliases],
        "loose": [list(one) for one in rule.loose],
    }


def unpacked(said: dict[str, Any], file: str) -> Correlation:
    """The correlation again. Raises KeyError, TypeError or ValueError for what is none."""
    own = said["kind"] in OWN_KINDS
    made = Detector if own else Correlation
    more = {"source": tuple((part, value) for part, value in said["source"])} if own else {}
    return made(
        **said
        | more
        | {
            "file": file,
            "level": Severity(said["level"]),
            "tags": tuple(said["tags"]),
            "rules": tuple(said["rules"]),
            "group_by": tuple(said["group_by"]),
            "fields": tuple(said["fields"]),
            "bounds": tuple(Bound(*bound) for bound in said["bounds"]),
            "aliases": tuple(
                Alias(name, tuple((place, field) for place, field in pairs)) for name, pairs in said["aliases"]
            ),
            "loose": tuple(Loose(*one) for one in said.get("loose", ())),
        }
    )
