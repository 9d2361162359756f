"""Indicators read from the store, at their last revision: for people and programs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.querying import ask
from pipeline.settings import Settings
from schemas.errors import RefusedError
from schemas.indicator_record import Gated, Word

COLUMNS: Final = ("state", "source", "id", "types", "values", "title", "reasons", "hosts", "at")
#: Values that a line shows.
FEW: Final = 3

_LIST: Final = """
    SELECT json FROM indicators_last
    WHERE ({state:String} = '' OR state = {state:String}) AND ({source:String} = '' OR source = {source:String})
      AND ({kind:String} = '' OR has(types, {kind:String}))
      AND ({text:String} = '' OR positionCaseInsensitiveUTF8(id, {text:String}) > 0
           OR positionCaseInsensitiveUTF8(title, {text:String}) > 0
           OR arrayExists(value -> positionCaseInsensitiveUTF8(value, {text:String}) > 0, values))
    ORDER BY at DESC, source, id
"""
_NAMED: Final = """
    SELECT json FROM indicators_last WHERE id = {id:String} AND {source:String} IN ('', source) ORDER BY source
"""


def listed(
    settings: Settings, *, state: str, source: str, kind: str, text: str, limit: int
) -> Iterator[dict[str, Any]]:
    """Lines of the indicators that fit, the newest first. Raises what `pipeline.querying.ask` does."""
    parameters = {"state": state, "source": source, "kind": kind, "text": text}
    for row in ask(settings, _LIST, limit=limit, parameters=parameters).rows:
        yield line(Gated.from_bytes(row["json"].encode()))


def named(settings: Settings, ident: str, source: str) -> list[Gated]:
    """The indicators of this id, one a source. Raises what `pipeline.querying.ask` does."""
    rows = ask(settings, _NAMED, parameters={"id": ident, "source": source}).rows
    return [Gated.from_bytes(row["json"].encode()) for row in rows]


def source_of(settings: Settings, ident: str) -> str:
    """Whose the indicator is. Raises RefusedError where nobody's is stored, or several sources'."""
    sources = [one.source for one in named(settings, ident, "")]
    if len(sources) == 1:
        return sources[0]
    if sources:
        raise RefusedError(f"{', '.join(sources)} all have an indicator {ident}: name one with --source.")
    raise RefusedError(f"There is no indicator {ident} in the store. One that is new: name its --source.")


def line(one: Gated) -> dict[str, Any]:
    """An indicator in a line."""
    values = [value.value for value in one.document.values]
    return {
        "state": one.state,
        "source": one.source,
        "id": one.id,
        "types": sorted({value.type for value in one.document.values}),
        "values": values[:FEW] + ([f"and {len(values) - FEW:,} more"] if len(values) > FEW else []),
        "title": one.document.title,
        "reasons": [f"{reason.rule}: {reason.detail}" for reason in one.reasons],
        "hosts": max((seen.hosts for seen in one.prevalence), default=0),
        "at": moment(one.at),
        "revision": one.revision,
        "feed": one.feed,
    }


def facts(one: Gated) -> list[dict[str, Any]]:
    """All of it, for a person."""
    document = one.document
    told: dict[str, Any] = {
        "id": f"{one.id}, revision {one.revision} of {moment(one.at)}",
        "source": one.source + (f", by the feed {one.feed}" if one.feed else ""),
        "state": one.state + (", grouped: seen widely" if one.grouped else ""),
        "owner": document.owner,
        "authority": document.authority,
        "values": [f"{value.type} {value.value}" for value in document.values],
        "level": f"{document.level}, confidence {document.confidence}, TLP:{document.tlp.upper()}",
        "valid": f"{moment(document.valid_from)} to {moment(document.valid_until)}",
        "tags": [*document.tags, *document.phases],
        "held for": [f"{reason.value}: {reason.rule}, {reason.detail}" for reason in one.reasons],
        "seen": [
            f"{seen.value}: {seen.count:,} times on {seen.hosts:,} hosts ({', '.join(seen.samples)}), "
            f"{moment(seen.first)} to {moment(seen.last)}"
            for seen in one.prevalence
        ],
        "released": _said(one.released),
        "expired": _said(one.expired),
        "revoked": _said(one.revoked),
    }
    return [{"what": what, "is": value} for what, value in told.items() if value]


def moment(ms: int) -> str:
    """A time in UTC; `open` for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="seconds") if ms else "open"


def _said(word: Word | None) -> str:
    return f"by {word.by or 'its source'} at {moment(word.at)}: {word.reason or 'no reason given'}" if word else ""
