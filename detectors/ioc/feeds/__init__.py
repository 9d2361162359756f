"""Feeds: bytes of one source become indicators, withdrawals and faults. Fetching them is the pipeline's business."""

from __future__ import annotations

from detectors.ioc.feeds.entry import Entry, Fault, Feed, Revoked
from detectors.ioc.feeds.reader import read

__all__ = ["Entry", "Fault", "Feed", "Revoked", "read"]
