"""The joined view of the audit system: the records of one audit event as one event, in Sigma's words and in their own.

The same for records that we join (`pipeline.joining`) and for those that a shipper has joined (`audit_shippers`).
Rules of linux/process_creation, file_event, file_delete and network_connection look at such events; nothing of them
stands in bytes, so the format is opaque.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.audit.activity import activity
from detectors.audit.piece import Joined
from detectors.ioc.observables import address
from pipeline.parsers.shape import source
from schemas.event import Event, Format

AUDITD_JOINED: Final = Format("auditd-joined", "opaque")
_UNSET: Final = frozenset({"", "?", "(null)", "unset", "4294967295", "-1"})


def joined(form: Format, records: dict[str, Any], raw: bytes, own_ms: int, host: str) -> Event | None:
    """The event of an activity; None where the records tell none. `records`: type → fields, PATH a list of them."""
    told = activity(records)
    if told is None:
        return None
    fields = records | told.fields
    event = Event(0, raw, form, source("linux", told.category, ""), fields, 0, own_ms, host=host)
    event.user = _user(records.get("SYSCALL", {})) or _text(fields, "User")
    event.process = _text(fields, "Image")
    event.command_line = _text(fields, "CommandLine") or _text(records.get("PROCTITLE", {}), "proctitle")
    for column, name in (("src_ip", "SourceIp"), ("dst_ip", "DestinationIp")):
        known = address(_text(fields, name))
        if known is not None:
            setattr(event, column, known.value)
    return event


def event_of(said: Joined) -> Event | None:
    """The event of what the join put together; its offset is that of the record it is told by."""
    head = said.head
    event = joined(AUDITD_JOINED, said.records, b"", head.time, head.host)
    if event is not None:
        event.offset, event.kafka_ms, event.doubtful = head.offset, head.kafka_ms, head.doubtful
        event.late = any(piece.late for piece in said.pieces)
    return event


def _user(call: dict[str, Any]) -> str:
    """Who logged in, as of single records: whoever has become root since is still that person."""
    said = (_text(call, name) for name in ("AUID", "UID", "auid", "uid"))
    return next((user for user in said if user not in _UNSET), "")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else value[0] if isinstance(value, list) and value else ""
