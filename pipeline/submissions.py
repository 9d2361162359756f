"""What records of `indicators` say: read, checked, normalised; what may not be said becomes a dead letter, whole.

Anybody may write to that topic, so nobody is believed to be one of our feeds there, or an authority.
"""

from __future__ import annotations

from detectors.ioc.indicators import normal
from pipeline.agents.raw_to_detections import dead_letter
from pipeline.delivery import MAX_RECORD_BYTES, Outgoing
from schemas.dead_letter import DeadLetter
from schemas.event import Record, RecordBatch
from schemas.indicator_record import Command, Document, Poll, Submission, Value, submission


def read(batch: RecordBatch, position: int, reserved: frozenset[str]) -> tuple[list[Submission], list[Outgoing]]:
    """What a batch says from a position on, and as dead letters what it cannot or may not say.

    `reserved`: names of our feeds, whose indicators nobody else may submit or revoke.
    """
    said: list[Submission] = []
    letters: list[Outgoing] = []
    for record in batch.records:
        if record.offset < position:
            continue
        try:
            said.append(_checked(record, reserved))
        except ValueError:  # pydantic's ValidationError is one
            letter = DeadLetter(record.offset, record.timestamp, "shape", record.key, record.value)
            letters.append(dead_letter(batch, letter))
    return said, letters


def _checked(record: Record, reserved: frozenset[str]) -> Submission:
    """A submission as it may be taken in. Raises ValueError."""
    said = submission(record.value or b"")
    if isinstance(said, Poll):
        return said
    at = said.at or record.timestamp
    if isinstance(said, Command):
        if said.kind == "revoke" and said.source in reserved:
            raise ValueError("one of our feeds says so itself")
        if said.kind != "revoke" and not (said.by and said.reason):
            raise ValueError("nobody who says so, or no reason")
        return said.model_copy(update={"at": at})
    if said.source in reserved:
        raise ValueError("the name of one of our feeds")
    return normalised(said).model_copy(update={"at": at, "authority": ""})


def normalised(said: Document) -> Document:
    """The document with its values as observables are written. Raises ValueError: one bad value refuses it whole."""
    values = []
    for one in said.values:
        kind, text = normal(one.type, one.value)
        also = tuple((made.type, made.value) for made in (normal(*pair) for pair in one.also))
        values.append(Value(type=kind, value=text, also=also))
    made = said.model_copy(update={"values": tuple(dict.fromkeys(values))})
    if len(made.to_bytes()) > MAX_RECORD_BYTES // 2:
        raise ValueError("larger than a record may be")
    return made
