"""A rule file's bytes become YAML documents, whoever wrote them: size, nesting, aliases, lists, numbers are bounded.

Each document is refused on its own where that can be; what is wrong with the file refuses the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

MAX_BYTES: Final = 1 << 20
MAX_LIST: Final = 50_000
#: Characters of a number; YAML's 1:59:59… takes quadratic time, and Python writes no number of more than 4,300 digits.
MAX_DIGITS: Final = 64
#: Nodes of one document with its aliases written out; the largest rule of SigmaHQ has 4,000.
MAX_NODES: Final = 400_000
MAX_NESTING: Final = 50
MAX_DOCUMENTS: Final = 1_000

_CHECK: Final = "Mend the rule or take it out; `qorgan rules check` looks at it again"

_NOTHING: Final = "the file holds no rule"

Lines = dict[str, int]
"""The lines of a document's top-level keys; "" is the document's own."""


class FaultyError(Exception):
    """Why a rule, or a file of them, is refused; line 0: not known."""

    def __init__(self, line: int, reason: str, todo: str = _CHECK) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.todo = todo


def documents(data: bytes) -> Iterator[tuple[Any, Lines]]:
    """Each document with the lines of its top-level keys ("" is the document's own), or why it cannot be read.

    Raises FaultyError for what concerns the whole file.
    """
    if len(data) > MAX_BYTES:
        raise FaultyError(0, f"the file has {len(data):,} bytes; a rule file has at most {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FaultyError(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8") from None
    try:
        _limit_depth(text)
    except FaultyError:
        pieces = _pieces(text)
        if len(pieces) < 2:
            raise
        yield from _apart(pieces)
        return
    yield from _read(text)


def _pieces(text: str) -> list[tuple[int, str]]:
    """The documents of a text that cannot be read as a whole: (lines before it, text). `---` can begin nothing else."""
    starts = [0, *(found.start() for found in _MARKER.finditer(text) if found.start())]
    ends = [*starts[1:], len(text)]
    pieces = [(text.count("\n", 0, start), text[start:end]) for start, end in zip(starts, ends, strict=True)]
    return pieces if len(pieces) <= MAX_DOCUMENTS else []


_MARKER: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


def _apart(pieces: list[tuple[int, str]]) -> Iterator[tuple[Any, Lines]]:
    """What is wrong with one document takes no other of the file with it."""
    for before, text in pieces:
        try:
            _limit_depth(text)
            for document, lines in _read(text):
                if isinstance(document, FaultyError):
                    document.line += before
                yield document, {key: line + before for key, line in lines.items()}
        except FaultyError as fault:
            if fault.reason != _NOTHING:
                fault.line += before
                yield fault, {"": fault.line}


def _read(text: str) -> Iterator[tuple[Any, Lines]]:
    """The documents of a text that does not nest too deeply. Raises FaultyError."""
    loader = yaml.CSafeLoader(text)
    try:
        seen, found = 0, False
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            seen += 1
            if seen > MAX_DOCUMENTS:
                raise FaultyError(0, f"the file holds more than {MAX_DOCUMENTS} documents")
            if isinstance(node, yaml.ScalarNode) and not node.value:  # nothing stands between two marks
                continue
            found = True
            lines = {"": node.start_mark.line + 1}
            if isinstance(node, yaml.MappingNode):
                lines |= {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key.value, str)}
            yield _constructed(loader, node), lines
        if not found:
            raise FaultyError(0, _NOTHING)
    except yaml.YAMLError as error:
        raise FaultyError(_line_of(error), f"not YAML: {_problem(error)}") from None
    finally:
        loader.dispose()


def _constructed(loader: Any, node: yaml.Node) -> Any:
    """A document's values, or the refusal of this document alone."""
    try:
        _weigh(node)
        return loader.construct_document(node)
    except FaultyError as refusal:
        return refusal
    except yaml.YAMLError as error:
        return FaultyError(_line_of(error), f"not YAML: {_problem(error)}")
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        return FaultyError(node.start_mark.line + 1, f"a value cannot be read ({str(error)[:100]})")


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 0


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0][:200]


def _limit_depth(text: str) -> None:
    """Refuse what nests too deeply before nodes are made of it: libyaml's binding recurses in C and would crash."""
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_NESTING:
                    line = event.start_mark.line + 1 if event.start_mark else 0
                    raise FaultyError(line, f"nested more than {MAX_NESTING} deep")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        raise FaultyError(_line_of(error), f"not YAML: {_problem(error)}") from None


def _weigh(root: yaml.Node) -> None:
    """Count the nodes with every alias written out, and find keys that stand twice. Raises FaultyError."""
    count = 0
    stack = [root]
    while stack:
        node = stack.pop()
        count += 1
        line = node.start_mark.line + 1
        if count > MAX_NODES:
            raise FaultyError(line, f"with its aliases the document has more than {MAX_NODES:,} nodes")
        if isinstance(node, yaml.SequenceNode):
            if len(node.value) > MAX_LIST:
                raise FaultyError(line, f"a list of {len(node.value):,} values; at most {MAX_LIST:,} are taken")
            stack += node.value
        elif isinstance(node, yaml.MappingNode):
            _refuse_doubles(node, line)
            stack += [child for pair in node.value for child in pair]
        elif node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            raise FaultyError(line, f"a number of {len(node.value):,} characters; at most {MAX_DIGITS} are read")


_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


def _refuse_doubles(node: yaml.MappingNode, line: int) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key.value, str):
            if key.value in seen:
                raise FaultyError(line, f"the key {key.value[:80]!r} stands twice")
            seen.add(key.value)
