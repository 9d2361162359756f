"""The results of rules' cases as JUnit XML, which every CI shows: a suite a rule, a case a case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as Xml

from pipeline.ruletests import Result
from schemas.errors import RefusedError

#: What XML 1.0 cannot hold, escaped or not.
_UNSAID: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(file: Path, results: Sequence[Result]) -> None:
    """Write them. Raises RefusedError when the file cannot be."""
    by_rule: dict[str, list[Result]] = {}
    for result in results:
        by_rule.setdefault(result.rule.id, []).append(result)
    root = Xml.Element("testsuites", {"name": "qorgan rules test"} | _counts(results))
    for own in by_rule.values():
        suite = Xml.SubElement(root, "testsuite", {"name": _said(own[0].rule.title)} | _counts(own))
        for result in own:
            _case(suite, result)
    try:
        Xml.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise RefusedError(f"{file} cannot be written ({error.strerror}).") from None


def _case(suite: Xml.Element, result: Result) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        name=_said(result.case.name),
        classname=_said(result.rule.id),
        file=_said(str(result.case.where)),
        time=f"{result.seconds:.3f}",
    )
    if result.fault:
        failure = Xml.SubElement(case, "failure", message=_said(result.fault))
        failure.text = _said(f"{result.rule.file}: {result.fault}")


def _counts(results: Iterable[Result]) -> dict[str, str]:
    held = list(results)
    return {
        "tests": str(len(held)),
        "failures": str(sum(bool(result.fault) for result in held)),
        "errors": "0",
        "time": f"{sum(result.seconds for result in held):.3f}",
    }


def _said(text: str) -> str:
    return _UNSAID.sub("\ufffd", text)
