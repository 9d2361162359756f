"""Which of the JSON formats a record is of: the first whose sniff says so, asked only where one of its keys is there.

Twenty-five formats asked one after another cost 3 µs a record, a third of reading it; the same question as one
expression of looks at keys costs a fourth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.parsers.shape import Shape

Tell = Callable[[dict[str, Any]], Shape | None]


def teller(shapes: Sequence[Shape], marks: Mapping[str, str]) -> Tell:
    """The first of `shapes` that a record is of. `marks`: format → keys, one of which is in each of its records; a
    format without them is always asked.
    """
    told = "None"
    for number, shape in reversed(list(enumerate(shapes))):
        keys = " or ".join(f"{key!r} in d" for key in marks.get(shape.format.name, "").split())
        asked = f"({keys}) and sniffs[{number}](d)" if keys else f"sniffs[{number}](d)"
        told = f"shapes[{number}] if {asked} else {told}"
    names = {"shapes": tuple(shapes), "sniffs": tuple(shape.sniff for shape in shapes)}
    made: Tell = eval(f"lambda d: {told}", names)  # noqa: S307 - our own table's names
    return made
