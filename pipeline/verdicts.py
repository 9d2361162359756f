"""What people found of detections: lines as `qorgan detect --json` prints them, each with a `verdict` beside.

    {"rule_id": "…", "file": "monday.jsonl", "line": 17, …, "verdict": "false-positive"}

Of several about one line of one rule the last counts: somebody looked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from schemas.errors import RefusedError

TRUE: Final = "true-positive"
FALSE: Final = "false-positive"
MAX_LINE: Final = 1 << 20


class Judged(NamedTuple):
    """How many of a rule's detections were looked at, and how many of these were right."""

    looked_at: int
    right: int

    @property
    def precision(self) -> float:
        """The share that was right."""
        return self.right / self.looked_at


def read(paths: Iterable[Path]) -> Mapping[str, Judged]:
    """Rule's id → its verdicts. Raises RefusedError, naming file and line, for a line that is none."""
    found: dict[tuple[str, str, str], bool] = {}
    for path in paths:
        for number, line in _lines(path):
            rule, where, right = _verdict(line, path, number)
            found[rule, *where] = right
    rules = {rule for rule, *_ in found}
    by_rule: dict[str, list[bool]] = {rule: [] for rule in rules}
    for (rule, *_), right in found.items():
        by_rule[rule].append(right)
    return {rule: Judged(len(verdicts), sum(verdicts)) for rule, verdicts in by_rule.items()}


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


def _verdict(line: bytes, path: Path, number: int) -> tuple[str, tuple[str, str], bool]:
    try:
        said: Any = orjson.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("rule_id"), str):
        raise RefusedError(
            f"{path}:{number}: no detection of a rule. Take the lines of `qorgan detect --json` and add a `verdict`."
        )
    if said.get("verdict") not in (TRUE, FALSE):
        raise RefusedError(f"{path}:{number}: its `verdict` is neither {TRUE} nor {FALSE}.")
    # A line of a query has an id instead of a place.
    where = (str(said.get("id") or said.get("file", "")), str(said.get("line", "")))
    return said["rule_id"], where, said["verdict"] == TRUE
