"""The cases of deploy/docs/sigma-semantics.md: every line of the page that begins with a dash is one."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pipeline.documents import ROOT

PAGE = ROOT / "deploy/docs/sigma-semantics.md"
_CASE = re.compile(r"- (.+?): `(.+?)` (finds|does not find) `(.+?)`\.(?: (.+)\.)?")
_REFUSED = re.compile(r"- (.+?): `(.+)`, “(.+)”\.")


class Case(NamedTuple):
    """A sentence, a rule's detection, and an event that it finds or does not find, or the words that refuse it."""

    section: str
    sentence: str
    detection: dict[str, Any]
    event: dict[str, Any]
    finds: bool
    refusal: str = ""
    reason: str = ""


def lines() -> list[tuple[str, str]]:
    """(heading, line) of every line that claims something."""
    found, section = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.lstrip()[:2] in ("- ", "* "):
            found.append((section, line))
    return found


def case(section: str, line: str) -> Case | None:
    """What a line says; None where that is no case."""
    if told := _CASE.fullmatch(line):
        sentence, rule, verb, event, reason = told.groups()
        return Case(section, sentence, _detection(rule), json.loads(event), verb == "finds", reason=reason or "")
    if told := _REFUSED.fullmatch(line):
        return Case(section, told[1], _detection(told[2]), {}, False, refusal=told[3])
    return None


def _detection(text: str) -> dict[str, Any]:
    """A detection as written, or one of a single selection."""
    said = json.loads(text)
    whole = isinstance(said, dict) and "condition" in said
    return said if whole else {"selection": said, "condition": "selection"}


CASES = [made for section, line in lines() if (made := case(section, line))]
