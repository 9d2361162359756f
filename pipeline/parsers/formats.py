"""The formats, as a table. To add one: a Format, how a record of it is known, how it is read, where its observables
stand; a line here.

JSON formats are asked in this order, the most frequent first and `json` last, which takes every object.
"""

from __future__ import annotations

from typing import Final

from detectors.ioc.observables import extractor
from pipeline.parsers import (
    access,
    auditd,
    cef,
    ecs,
    gelf,
    leef,
    logfmt,
    plain_json,
    separated,
    suricata,
    syslog,
    windows,
    winlogbeat,
    zeek,
    zeek_tsv,
)
from pipeline.parsers.shape import Shape

JSON_SHAPES: Final = (
    Shape(windows.NXLOG, windows.is_nxlog, windows.nxlog, windows.OBSERVABLES),
    Shape(windows.EVTX, windows.is_evtx, windows.evtx, windows.OBSERVABLES),
    Shape(winlogbeat.WINLOGBEAT, winlogbeat.is_winlogbeat, winlogbeat.winlogbeat, windows.OBSERVABLES),
    Shape(suricata.EVE, suricata.is_eve, suricata.eve, suricata.OBSERVABLES),
    Shape(zeek.ZEEK, zeek.is_zeek, zeek.zeek, zeek.OBSERVABLES),
    Shape(gelf.GELF, gelf.is_gelf, gelf.gelf, gelf.OBSERVABLES),
    Shape(ecs.ECS, ecs.is_ecs, ecs.ecs, plain_json.OBSERVABLES),
    Shape(plain_json.JSON, plain_json.is_json, plain_json.plain_json, plain_json.OBSERVABLES),
)
TEXT_SHAPES: Final = (
    Shape(syslog.SYSLOG, syslog.is_syslog, syslog.syslog, syslog.OBSERVABLES),
    Shape(auditd.AUDITD, auditd.is_auditd, auditd.auditd),
    Shape(cef.CEF, cef.is_cef, cef.cef, cef.OBSERVABLES),
    Shape(leef.LEEF, leef.is_leef, leef.leef, leef.OBSERVABLES),
    Shape(zeek_tsv.ZEEK_TSV, zeek_tsv.is_zeek_tsv, zeek_tsv.zeek_tsv, zeek.OBSERVABLES),
    Shape(access.ACCESS, access.is_access, access.access, access.OBSERVABLES),
    Shape(logfmt.LOGFMT, logfmt.is_logfmt, logfmt.logfmt, logfmt.OBSERVABLES),
)
#: Read only where a topic names them.
NAMED_SHAPES: Final = (Shape(separated.CSV, separated.is_csv, separated.separated, separated.OBSERVABLES),)
SHAPES: Final = {shape.format.name: shape for shape in (*JSON_SHAPES, *TEXT_SHAPES, *NAMED_SHAPES)}
#: Format's name → what takes its observables. By the event's format, since a record may carry another's within.
EXTRACTORS: Final = {name: extractor(shape.table) for name, shape in SHAPES.items()}
