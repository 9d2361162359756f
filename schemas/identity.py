"""Who a record is: (log, topic, partition, offset). Offsets start again when a topic is recreated; the log does not."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Origin(NamedTuple):
    """Where one record stands. `log` tells a recreated topic, or a restarted embedded broker, from the old one."""

    log: str
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.log}/{self.topic}/{self.partition}/{self.offset}"


def log_id(cluster_id: str, topic_id: str) -> str:
    """The short id (16 hex digits) of one topic's log on one cluster."""
    return short_hash(cluster_id, topic_id)


def short_hash(*parts: str | int) -> str:
    """64 bits of BLAKE2b over the parts, unambiguously joined: 16 hex digits."""
    return _hash(8, parts)


def long_hash(*parts: str | int) -> str:
    """128 bits of BLAKE2b over the parts, unambiguously joined: 32 hex digits."""
    return _hash(16, parts)


def detection_id(origin: Origin, subject: str) -> str:
    """The id of `subject` (a rule's or an indicator's id) found in one record.

    The subject's revision is no part of it: a second reading of the record after a reload adds nothing.
    """
    return long_hash("detection", *origin, subject)


def _hash(size: int, parts: tuple[str | int, ...]) -> str:
    pieces = [str(part).encode() for part in parts]
    data = b"".join([len(piece).to_bytes(4, "big") + piece for piece in pieces])
    return hashlib.blake2b(data, digest_size=size).hexdigest()
