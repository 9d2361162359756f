"""Texts of rule files become rules and refusals. One bad rule takes no other with it, and none is refused silently.

Whoever writes a rule file may be an enemy or a tired colleague: size, nesting, aliases and lists are bounded before
pySigma sees a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import yaml

from detectors.correlation.correlation import Correlation
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.identity import long_hash, short_hash
from schemas.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 1 << 20
MAX_LIST: Final = 100_000
#: Nodes of one document with its aliases written out; the largest rule of SigmaHQ has 4,000.
MAX_NODES: Final = 400_000
MAX_NESTING: Final = 50
MAX_CONDITION: Final = 10_000
#: Words of the conditions times values of the selections: what a condition can blow up to.
MAX_PRODUCT: Final = 2_000_000
MAX_DOCUMENTS: Final = 1_000

_CHECK: Final = "Mend the rule or take it out; `qorgan rules check` looks at it again"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one file holds."""

    rules: tuple[Rule, ...]
    refused: tuple[Refusal, ...]
    correlations: tuple[Correlation, ...] = ()
    """As written: what they refer to may stand in other files (`detectors.correlation.resolve`)."""


class _RefusedError(Exception):
    def __init__(self, line: int, reason: str, todo: str = _CHECK) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.todo = todo


def load(name: str, data: bytes) -> Loaded:
    """Read one rule file. Never raises for what stands in it."""
    rules: list[Rule] = []
    refused: list[Refusal] = []
    correlations: list[Correlation] = []
    try:
        for number, (document, lines) in enumerate(_documents(data)):
            try:
                if isinstance(document, dict) and "correlation" in document:
                    correlations.append(_correlation(name, data, number, document, lines))
                else:
                    rules.append(_rule(name, data, number, document, lines))
            except _RefusedError as refusal:
                refused.append(Refusal(name, refusal.line, refusal.reason, refusal.todo))
    except _RefusedError as refusal:
        refused.append(Refusal(name, refusal.line, refusal.reason, refusal.todo))
    return Loaded(tuple(rules), tuple(refused), tuple(correlations))


def unique(rules: Iterable[Rule]) -> tuple[list[Rule], list[Refusal]]:
    """Rules whose id is their own. Of two with one id the first stands: their detections could not be told apart."""
    kept: dict[str, Rule] = {}
    refused = []
    for rule in rules:
        first = kept.setdefault(rule.id, rule)
        if first is not rule:
            reason = f"the id {rule.id} is already that of {first.file}"
            refused.append(Refusal(rule.file, 0, reason, "Give each rule an id of its own, a UUID"))
    return list(kept.values()), refused


_Lines = dict[str, int]


def _documents(data: bytes) -> Iterator[tuple[Any, _Lines]]:
    """Each document with the lines of its top-level keys ("" is the document's own). Raises _RefusedError."""
    if len(data) > MAX_BYTES:
        raise _RefusedError(0, f"the file has {len(data):,} bytes; a rule file has at most {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
        _limit_depth(text)
        loader = yaml.CSafeLoader(text)
    except UnicodeDecodeError as error:
        raise _RefusedError(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8") from None
    except yaml.YAMLError as error:
        raise _RefusedError(_line_of(error), f"not YAML: {_problem(error)}") from None
    try:
        seen = 0
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            seen += 1
            if seen > MAX_DOCUMENTS:
                raise _RefusedError(0, f"the file holds more than {MAX_DOCUMENTS} documents")
            _weigh(node)
            lines = {"": node.start_mark.line + 1}
            if isinstance(node, yaml.MappingNode):
                lines |= {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key.value, str)}
            yield loader.construct_document(node), lines
        if not seen:
            raise _RefusedError(0, "the file holds no rule")
    except yaml.YAMLError as error:
        raise _RefusedError(_line_of(error), f"not YAML: {_problem(error)}") from None
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        raise _RefusedError(0, f"a value cannot be read ({str(error)[:100]})") from None
    finally:
        loader.dispose()


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 0


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0][:200]


def _limit_depth(text: str) -> None:
    """Refuse what nests too deeply before nodes are made of it: libyaml's binding recurses in C and would crash."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_NESTING:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise _RefusedError(line, f"nested more than {MAX_NESTING} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _weigh(root: yaml.Node) -> None:
    """Count the nodes with every alias written out, and find keys that stand twice. Raises _RefusedError."""
    count = 0
    stack = [root]
    while stack:
        node = stack.pop()
        count += 1
        line = node.start_mark.line + 1
        if count > MAX_NODES:
            raise _RefusedError(line, f"with its aliases the document has more than {MAX_NODES:,} nodes")
        if isinstance(node, yaml.SequenceNode):
            if len(node.value) > MAX_LIST:
                raise _RefusedError(line, f"a list of {len(node.value):,} values; at most {MAX_LIST:,} are taken")
            stack += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            if len(set(keys)) < len(keys):
                twice = next(key for key in keys if keys.count(key) > 1)
                raise _RefusedError(line, f"the key {twice[:80]!r} stands twice")
            stack += [child for pair in node.value for child in pair]


def _rule(name: str, data: bytes, number: int, document: Any, lines: _Lines) -> Rule:
    start = lines[""]
    if not isinstance(document, dict):
        raise _RefusedError(start, "a Sigma rule is a mapping, this is not")
    _refuse_other_kinds(document, lines)
    source = _source(document.get("logsource"), lines.get("logsource", start))
    line = lines.get("detection", start)
    detection = document.get("detection")
    if not isinstance(detection, dict) or not detection:
        raise _RefusedError(line, "it has no detection")
    detection = {str(key): value for key, value in detection.items()}
    _bound(detection, line)
    document = {**document, "detection": _normalised(detection), "id": _identity(document, lines)}
    # Here and not above: a worker whose rules come from the cache never pays for pySigma.
    from detectors.sigma.translate import Translated, UntranslatableError

    try:
        said = Translated(document)
    except UntranslatableError as error:
        raise _RefusedError(line if "ondition" in str(error) else _place(str(error), lines), str(error)[:500]) from None
    content = data.decode("utf-8-sig")
    return Rule(
        id=document["id"] or long_hash("rule", content, number),
        title=said.title,
        level=Severity.of(said.level),
        tags=tuple(said.tags),
        logsource=source,
        status=said.status,
        revision=short_hash("rule", content, number),
        file=name,
        condition=orjson.dumps(said.tree),
        name=said.name,
    )


def _correlation(name: str, data: bytes, number: int, document: dict[Any, Any], lines: _Lines) -> Correlation:
    """Read by `detectors.correlation`; ids and revisions are made as a rule's. Raises _RefusedError."""
    from detectors.correlation.read import CorrelationError, correlation_of

    content, line = data.decode("utf-8-sig"), lines["correlation"]
    id_ = _identity(document, lines)
    document = {**document, "id": id_}
    if "detection" in document:
        raise _RefusedError(
            line, "it is a rule and a correlation at once", "Make two documents of it, with `---` between"
        )
    try:
        return correlation_of(
            document,
            id_=id_ or long_hash("rule", content, number),
            revision=short_hash("rule", content, number),
            file=name,
            line=line,
        )
    except CorrelationError as error:
        raise _RefusedError(line, str(error)) from None


def _place(reason: str, lines: _Lines) -> int:
    """The line of the key that pySigma's reason speaks of; the detection's where it names none."""
    for word in ("title", "level", "status", "tag", "date", "modified", "related", "references", "author"):
        key = {"tag": "tags"}.get(word, word)
        if f"rule {word}" in reason and key in lines:
            return lines[key]
    return lines.get("detection", lines[""])


def _refuse_other_kinds(document: dict[Any, Any], lines: _Lines) -> None:
    if "filter" in document:
        todo = "Filters come with a later version; until then write the exception into the rule's own condition"
        raise _RefusedError(lines.get("filter", lines[""]), "it is a filter", todo)
    if "action" in document:
        todo = "Write each rule out in full"
        raise _RefusedError(lines.get("action", lines[""]), "`action` is no longer part of Sigma", todo)


def _source(said: Any, line: int) -> LogSource:
    if not isinstance(said, dict):
        raise _RefusedError(line, "it has no logsource")
    named = {}
    for key in ("product", "category", "service"):
        value = said.get(key)
        if value is not None and not isinstance(value, str):
            raise _RefusedError(line, f"the logsource's {key} is not a text")
        named[key] = (value or "").strip().lower()
    if not any(named.values()):
        raise _RefusedError(line, "its logsource names no product, category or service")
    return LogSource(**named)


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _identity(document: dict[Any, Any], lines: _Lines) -> str | None:
    said = document.get("id")
    if said is None:
        return None
    if not isinstance(said, str) or not _UUID.fullmatch(said.strip()):
        raise _RefusedError(lines.get("id", lines[""]), f"the id {str(said)[:80]!r} is no UUID")
    return said.strip().lower()


def _bound(detection: dict[str, Any], line: int) -> None:
    """Refuse what would blow up, or mean something else than it says. Raises _RefusedError."""
    condition = detection.get("condition")
    said = condition if isinstance(condition, list) else [condition]
    written = [text for text in said if isinstance(text, str) and text.strip()]
    if len(written) < len(said) or not written:
        raise _RefusedError(line, "it has no condition")
    length = sum(map(len, written))
    if length > MAX_CONDITION:
        raise _RefusedError(line, f"its conditions have {length:,} characters; at most {MAX_CONDITION:,} are read")
    words = sum(len(text.split()) for text in written)
    values = sum(_values(part, key, line) for key, part in detection.items() if key != "condition")
    if words * values > MAX_PRODUCT:
        raise _RefusedError(line, f"{values:,} values under a condition of {words:,} words are too many")


def _values(part: Any, key: str, line: int) -> int:
    """How many values a selection may come to, expansions of modifiers included."""
    if isinstance(part, dict):
        if not part:
            raise _RefusedError(line, f"{key[:80]!r} is empty")
        return sum(_values(value, str(name), line) for name, value in part.items())
    if isinstance(part, list):
        if not part:
            raise _RefusedError(line, f"the list of {key[:80]!r} is empty and would be taken for null")
        return sum(_values(value, key, line) for value in part)
    # A dash may be any of five, in up to three places.
    return 125 if "|windash" in key else 3 if "|base64offset" in key else 1


def _normalised(part: Any) -> Any:
    """What the specification allows and pySigma does not know by that name."""
    if isinstance(part, dict):
        return {_modifiers(str(key)): _normalised(value) for key, value in part.items()}
    return [_normalised(value) for value in part] if isinstance(part, list) else part


def _modifiers(key: str) -> str:
    return "|".join("wide" if at and word == "utf16le" else word for at, word in enumerate(key.split("|")))
