"""What people found of detections: lines as `qorgan detect --json` prints them, each with a `verdict` beside.

    {"rule_id": "…", "file": "monday.jsonl", "line": 17, …, "verdict": "false-positive"}
    {"indicator_id": "…", "id": "…", …, "verdict": "false-positive", "wrong": "feed"}

Of several about one line of one rule or indicator the last counts: somebody looked again. `wrong` says which part was:
rule, indicator, feed or event. What was wrong elsewhere is not held against a rule or an indicator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

from schemas.errors import RefusedError

TRUE: Final = "true-positive"
FALSE: Final = "false-positive"
#: Which part of a detection was wrong, and what is held against whom.
WRONG: Final = ("rule", "indicator", "feed", "event")
BLAMED: Final = {"rule": ("rule",), "indicator": ("indicator", "feed")}
MAX_LINE: Final = 1 << 20


class Judged(NamedTuple):
    """How many detections of a rule or indicator were looked at, and how many of these were right."""

    looked_at: int
    right: int

    @property
    def precision(self) -> float:
        """The share that was right."""
        return self.right / self.looked_at


def read(paths: Iterable[Path], kind: Literal["rule", "indicator"] = "rule") -> Mapping[str, Judged]:
    """Id of the rule or indicator → its verdicts; those of the other kind are passed over.

    Raises RefusedError, naming file and line, for a line that is no verdict.
    """
    found: dict[tuple[str, str, str], bool] = {}
    for path in paths:
        for number, line in _lines(path):
            said = _verdict(line, path, number)
            if f"{kind}_id" in said:
                right = said["verdict"] == TRUE or said.get("wrong", kind) not in BLAMED[kind]
                # A line of a query has an id instead of a place.
                where = (str(said.get("id") or said.get("file", "")), str(said.get("line", "")))
                found[said[f"{kind}_id"], *where] = right
    by_subject: dict[str, list[bool]] = {}
    for (subject, *_), right in found.items():
        by_subject.setdefault(subject, []).append(right)
    return {subject: Judged(len(verdicts), sum(verdicts)) for subject, verdicts in by_subject.items()}


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if line.strip():
                    yield number, line
    except OSError as error:
        raise RefusedError(f"The verdicts {path} cannot be read ({error.strerror}).") from None


def _verdict(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        said: Any = orjson.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("rule_id", said.get("indicator_id")), str):
        raise RefusedError(
            f"{path}:{number}: no detection. Take the lines of `qorgan detect --json` and add a `verdict`."
        )
    if said.get("verdict") not in (TRUE, FALSE):
        raise RefusedError(f"{path}:{number}: its `verdict` is neither {TRUE} nor {FALSE}.")
    if said.get("wrong", "rule") not in WRONG:
        raise RefusedError(f"{path}:{number}: its `wrong` is none of {', '.join(WRONG)}.")
    return said
