"""Audit records joined: what ingest hands over, and what the rules say of the events that come of it.

    ingest      events ── pieces ── topic `contributions`, by host
    correlate   pieces, marks ── Joins ── Joined ── event ── the rules of joined categories ── detections
    detect      the same in one process, over files

Where a rule of linux/process_creation would look at single EXECVE records too, the joined view takes their place: a
detection of it would be a second one of the same. Correlations go on counting the single records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.audit.activity import CALLS
from detectors.audit.piece import KINDS, Joined, Key, Piece, joined_id
from detectors.correlation.resolve import Correlations
from detectors.ioc.indicators import Indicators
from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.sigma.rule import Rule
from detectors.sigma.suppress import Suppressions
from detectors.triage.attribution import Attribution
from pipeline.detecting import DetectionSet, Hidden
from pipeline.parsers.audit_joined import event_of
from pipeline.parsers.auditd import AUDITD, AUDITD_DECODED
from schemas.detection import Detection
from schemas.event import Event
