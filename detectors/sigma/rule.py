"""What a rule is once it is read: plain values and its condition as bytes, for a cache to keep and a worker to hold.

A condition is a tree of JSON arrays (`Node`). pySigma's model is the reader's business only: it names things at random,
is large in memory, and takes seconds to build.

    ["and", node, …]   ["or", node, …]   ["not", node]
    ["eq" | "starts" | "ends" | "has", field, [text, …], cased]     one of the texts; folded unless cased
    ["like", field, [[part, …], …], cased]                          parts: text, 0 for `*`, 1 for `?`, 2 for any dash
    ["num", field, [number, …]]        ["re", field, pattern, flags]      flags: some of "ims"
    ["cidr", field, [network, …]]      ["cmp", field, "lt" | "lte" | "gt" | "gte", number]
    ["null", field]   ["any", field]   ["exists", field, bool]   ["ref", field, other field, starts, ends, cased]
    ["time", field, "minute" | "hour" | "day" | "week" | "month" | "year", "eq" | "lt" | "lte" | "gt" | "gte", number]
    ["via", field, [[leaf's field, field, reading], …], leaf]      over what is read (`mapping`); no rule file's

A field of `null` means a keyword: any value of the event.

A rule that waits for the values of its placeholders has two kinds more, which no engine takes (`placeholders`):

    ["expand", field, [part, …], cased]   ["expand re", field, [part, …], flags]      a part may be [name]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from schemas.severity import Severity

Node = list[Any]

#: Raise it when nodes change their meaning: caches of compiled rules are then built anew.
NODES_VERSION = 3


class LogSource(NamedTuple):
    """Where a rule looks, in Sigma's words, lower case; '' is any."""

    product: str = ""
    category: str = ""
    service: str = ""

    def __str__(self) -> str:
        said = zip(("product", "category", "service"), self, strict=True)
        return ", ".join(f"{name}: {value}" for name, value in said if value)


@dataclass(frozen=True, slots=True)
class Rule:
    """One Sigma rule; `condition` is the JSON of its tree, `name` what other documents may call it by.

    `revision` is a hash of its source text; in a set, of all that changes what it finds: the values of its
    placeholders, its filters.
    """

    id: str
    title: str
    level: Severity
    tags: tuple[str, ...]
    logsource: LogSource
    status: str
    revision: str
    file: str
    condition: bytes
    name: str = ""

    @property
    def tree(self) -> Node:
        """The condition, decoded anew each time: whoever compiles it drops it again."""
        tree: Node = orjson.loads(self.condition)
        return tree


class Refusal(NamedTuple):
    """A rule, or a file, that is not in force: where (line 0: not known), why, and what to do."""

    file: str
    line: int
    reason: str
    todo: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.reason}. {self.todo}"
