"""Where an engine leaves what it worked out, for the next process. `pipeline` gives it one over files, or none."""

from __future__ import annotations

from typing import Protocol


class Shelf(Protocol):
    """Keeps bytes under a key, for this very code and machine: what was put there, or nothing. Raises nothing."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, content: bytes) -> None: ...
