"""Feeds by configuration: which there are (QORGAN_FEEDS), and one poll of one of them."""

from __future__ import annotations

from pipeline.feeds.configured import load_feeds
from pipeline.feeds.poll import Poll, poll
from pipeline.feeds.work import Cursor

__all__ = ["Cursor", "Poll", "load_feeds", "poll"]
