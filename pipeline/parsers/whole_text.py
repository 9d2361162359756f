"""Observables in all that a record says, whatever its fields are called: a topic's option, `observables = "text"`.

What is looked at are the values as the parser read them, so that no escape of a format hides one. The answer is a
function of the record and its topic's settings alone.
"""

from __future__ import annotations

from typing import Any

from detectors.ioc.free_text import observables_in_text
from detectors.ioc.observables import MAX_OBSERVABLES, MAX_TEXT, fair
from schemas.event import Event, Observable


def with_text(event: Event) -> tuple[Observable, ...]:
    """The event's observables and those that its texts name, sorted, at most MAX_OBSERVABLES."""
    found = set(event.observables)
    observables_in_text(_texts(event.fields), found)
    return tuple(sorted(found if len(found) <= MAX_OBSERVABLES else fair(found)))


def _texts(fields: dict[str, Any]) -> str:
    """All texts of a record by lines, in their order, until MAX_TEXT characters are told."""
    told: list[str] = []
    left = MAX_TEXT
    waiting: list[Any] = [fields]
    while waiting and left > 0:
        value = waiting.pop()
        if type(value) is str:
            told.append(value[:left])
            left -= len(value) + 1
        elif type(value) is dict:
            waiting.extend(reversed(value.values()))
        elif type(value) is list:
            waiting.extend(reversed(value[:MAX_TEXT]))
    return "\n".join(told)
