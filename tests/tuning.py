"""Filters, disabled rules and sets of rules with them, for tests, in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import yaml

from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.sigma.load import load
from detectors.triage.attribution import Attribution
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.tuning import NO_TUNING, Tuned, Tuning, tune

RULE_ID = "3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d11"
FILTER_ID = "0f117e40-0000-4000-8000-000000000001"
ACCOUNT = {"owner": "SOC", "reason": "known backup job", "expires": "2027-01-31", "approval": "Head of SOC"}
SELECTION = {"User|startswith": "adm_"}

ATTRIBUTION = Attribution(load_event_list(None))


def filter_text(filter_: Mapping[str, Any] | None = None, /, **also: Any) -> bytes:
    """A filter file that hides the selection above of the rule of `tests.sigma`; `also` overrides its keys."""
    said = {"rules": [RULE_ID], "selection": SELECTION, "condition": "not selection"} | dict(filter_ or {})
    document: dict[str, Any] = {
        "title": "Administrators",
        "id": FILTER_ID,
        "logsource": {"product": "windows"},
        "filter": {key: value for key, value in said.items() if value is not None},
        "qorgan": ACCOUNT,
    }
    kept = {key: value for key, value in (document | also).items() if value is not None}
    return yaml.safe_dump(kept, sort_keys=False).encode()


def tuned(*texts: bytes, tuning: Tuning = NO_TUNING) -> Tuned:
    """What these files are together."""
    return tune([load(f"{number}.yml", text) for number, text in enumerate(texts)], tuning, UTC)


def deciding(made: Tuned) -> DetectionSet:
    """A detection set of these rules and suppressions, without indicators."""
    return DetectionSet(Engine(made.rules), IndicatorIndex(()), ATTRIBUTION, made.suppressions)
