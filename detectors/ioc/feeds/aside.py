"""Objects put aside until the rest of their document is read: in memory while they are few, then in a nameless file.

What an indicator hangs on (its markings, the tags of its event) may stand behind it, a gigabyte later.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterator
from typing import Any, Final

_IN_MEMORY: Final = 16 << 20
_BATCH: Final = 500


class Aside:
    """Values of JSON in the order in which they came."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `taken`
        self._last: list[Any] = []

    def add(self, value: Any) -> None:
        """Put one value aside."""
        self._last.append(value)
        if len(self._last) >= _BATCH:
            data = marshal.dumps(self._last)
            self._file.write(len(data).to_bytes(8, "little") + data)
            self._last = []

    def taken(self) -> Iterator[Any]:
        """All values, once; then there are none."""
        with self._file as file:
            file.seek(0)
            while size := int.from_bytes(file.read(8), "little"):
                yield from marshal.loads(file.read(size))  # noqa: S302 - written above, by this process
        last, self._last = self._last, []
        yield from last
