"""Feeds: bytes of one source become indicators, withdrawals and faults. Fetching them is the pipeline's business."""

from __future__ import annotations

from detectors.ioc.feeds.entry import Entry, Fault, Revoked
from detectors.ioc.feeds.reader import read
from detectors.ioc.feeds.stix import Known

__all__ = ["Entry", "Fault", "Known", "Revoked", "read"]
