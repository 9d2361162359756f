"""Files of names and lists that a site writes beside its rules, read within the bounds of a rule file."""

from __future__ import annotations

from typing import Any

import yaml

from detectors.sigma.load import _documents, _RefusedError
from schemas.errors import RefusedError


def mapping(name: str, data: bytes) -> dict[str, tuple[Any, int]]:
    """Key → (value, line) of a YAML file of one mapping, within the bounds of a rule file. Raises RefusedError."""
    try:
        found = list(_documents(data))
    except _RefusedError as error:
        raise RefusedError(f"{name}{f':{error.line}' if error.line else ''}: {error}.") from None
    document, lines = found[0]
    if len(found) > 1 or not isinstance(document, dict):
        raise RefusedError(f"{name}: one mapping is expected here, of names to what they mean.")
    return {str(key): (value, lines.get(str(key), 0)) for key, value in document.items()}


def lines_of_list(data: bytes, key: str) -> list[int]:
    """The lines at which the entries of a list stand, in a file that `mapping` has read."""
    root = yaml.compose(data.decode("utf-8-sig"), yaml.CSafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next((node for name, node in pairs if name.value == key), None)
    return [node.start_mark.line + 1 for node in found.value] if isinstance(found, yaml.SequenceNode) else []
