"""Incidents as people ask for them: from the store, or while it is away from the journal's files.

The journal is the truth and the store a copy of the topic; the store is asked first because it answers from anywhere
and without reading the whole journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import structlog

from detectors.triage.fold import Incidents
from pipeline.journal import journal_folder
from pipeline.querying import ask
from pipeline.settings import Settings
from schemas.errors import QorganError, RefusedError
from schemas.incident import Incident
from sinks.journal.files import read

_LIST = "SELECT json FROM incidents_last ORDER BY opened DESC, number DESC"
_SHOW = "SELECT json FROM incidents_last WHERE id = {wanted:String} OR number = {wanted:String}"
#: A number, with or without its leading zeros: 2026-000017, 2026-17.
_NUMBER = re.compile(r"(\d{4})-(\d+)")

log = structlog.get_logger("incidents")


class Listing(NamedTuple):
    """Incidents at their last revision, the latest registered first, and where they were read."""

    incidents: tuple[Incident, ...]
    source: Literal["store", "journal"]


def list_incidents(settings: Settings, *, limit: int = 0) -> Listing:
    """The last `limit` incidents (0: all). Raises UnreachableError when neither the store nor the journal is there."""
    try:
        found = tuple(_asked(settings, _LIST, limit=limit))
    except QorganError as error:
        kept = sorted(_journaled(settings, error), key=lambda one: (one.opened, one.number), reverse=True)
        return Listing(tuple(kept[: limit or None]), "journal")
    return Listing(found, "store")


def show_incident(settings: Settings, wanted: str) -> Incident:
    """One incident by its number or its id. Raises RefusedError when there is none, else as `list_incidents`."""
    named = _canonical(wanted)
    try:
        found = next(_asked(settings, _SHOW, parameters={"wanted": named}), None)
    except QorganError as error:
        found = next((one for one in _journaled(settings, error) if named in (one.id, one.number)), None)
    if found is None:
        raise RefusedError(f"There is no incident {wanted}. `qorgan incidents list` shows their numbers.")
    return found


def _asked(
    settings: Settings, sql: str, *, limit: int = 0, parameters: dict[str, str] | None = None
) -> Iterator[Incident]:
    for row in ask(settings, sql, limit=limit, parameters=parameters).rows:
        yield Incident.from_bytes(row["json"].encode())


def _journaled(settings: Settings, error: QorganError) -> list[Incident]:
    """The incidents of the journal's files. Without files here, the store's error is the answer."""
    folder = journal_folder(settings)
    if not folder.is_dir():
        raise error
    log.warning("the store does not answer, so the journal is read", reason=str(error))
    incidents = Incidents()
    for sealed in read(folder):
        incidents.apply(sealed.entry)
    return [case.incident() for case in incidents.cases.values()]


def _canonical(wanted: str) -> str:
    number = _NUMBER.fullmatch(wanted.strip())
    return f"{number[1]}-{int(number[2]):06d}" if number else wanted.strip()
