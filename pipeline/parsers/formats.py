"""The formats, as a table. To add one: a Format, how a record of it is known, how it is read; a line here.

JSON formats are asked in this order, the most frequent first and `json` last, which takes every object.
"""

from __future__ import annotations

from typing import Final

from pipeline.parsers import windows
from pipeline.parsers.shape import Shape

JSON_SHAPES: Final = (
    Shape(windows.NXLOG, windows.is_nxlog, windows.nxlog),
    Shape(windows.EVTX, windows.is_evtx, windows.evtx),
)
TEXT_SHAPES: Final[tuple[Shape, ...]] = ()
SHAPES: Final = {shape.format.name: shape for shape in (*JSON_SHAPES, *TEXT_SHAPES)}
