"""The formats, as a table. To add one: a Format, how a record of it is known, how it is read, where its observables
stand; a line here.

JSON formats are asked in this order, the most frequent first and `json` last, which takes every object.
"""

from __future__ import annotations

from typing import Final

from pipeline.parsers import audit_shippers, auditd, ecs, plain_json, suricata, syslog, windows, winlogbeat, zeek
from pipeline.parsers.shape import Shape

JSON_SHAPES: Final = (
    Shape(windows.NXLOG, windows.is_nxlog, windows.nxlog, windows.OBSERVABLES),
    Shape(windows.EVTX, windows.is_evtx, windows.evtx, windows.OBSERVABLES),
    Shape(winlogbeat.WINLOGBEAT, winlogbeat.is_winlogbeat, winlogbeat.winlogbeat, windows.OBSERVABLES),
    Shape(suricata.EVE, suricata.is_eve, suricata.eve, suricata.OBSERVABLES),
    Shape(zeek.ZEEK, zeek.is_zeek, zeek.zeek, zeek.OBSERVABLES),
    Shape(audit_shippers.LAUREL, audit_shippers.is_laurel, audit_shippers.laurel, audit_shippers.OBSERVABLES),
    Shape(audit_shippers.GO_AUDIT, audit_shippers.is_go_audit, audit_shippers.go_audit, audit_shippers.OBSERVABLES),
    Shape(audit_shippers.AUDITBEAT, audit_shippers.is_auditbeat, audit_shippers.auditbeat, plain_json.OBSERVABLES),
    Shape(ecs.ECS, ecs.is_ecs, ecs.ecs, plain_json.OBSERVABLES),
    Shape(plain_json.JSON, plain_json.is_json, plain_json.plain_json, plain_json.OBSERVABLES),
)
TEXT_SHAPES: Final = (
    Shape(syslog.SYSLOG, syslog.is_syslog, syslog.syslog, syslog.OBSERVABLES),
    Shape(auditd.AUDITD, auditd.is_auditd, auditd.auditd, auditd.OBSERVABLES),
)
SHAPES: Final = {shape.format.name: shape for shape in (*JSON_SHAPES, *TEXT_SHAPES)}
