"""The formats, as a table. To add one: a Format, how a record of it is known, how it is read, where its observables
stand; a line here.

JSON formats are asked in this order, the most frequent first and `json` last, which takes every object.
"""

from __future__ import annotations

from typing import Final

from detectors.ioc.observables import extractor
from pipeline.parsers import (
    access,
    audit_shippers,
    auditd,
    azure,
    bundles,
    cef,
    cloudtrail,
    collectors,
    ecs,
    evtx,
    fluent,
    gelf,
    google,
    journald,
    kubernetes,
    leef,
    logfmt,
    microsoft365,
    nxlog,
    ocsf,
    okta,
    plain_json,
    separated,
    services,
    suricata,
    syslog,
    windows,
    winlogbeat,
    wrapped,
    zeek,
    zeek_tsv,
)
from pipeline.parsers.shape import Shape
from pipeline.parsers.telling import teller

JSON_SHAPES: Final = (
    Shape(windows.NXLOG, nxlog.is_nxlog, nxlog.nxlog, windows.OBSERVABLES),
    Shape(evtx.EVTX, evtx.is_evtx, evtx.evtx, windows.OBSERVABLES),
    Shape(winlogbeat.WINLOGBEAT, winlogbeat.is_winlogbeat, winlogbeat.winlogbeat, windows.OBSERVABLES),
    Shape(collectors.VECTOR, collectors.is_vector, collectors.vector, windows.OBSERVABLES),
    Shape(fluent.FLUENT, fluent.is_fluent, fluent.fluent, windows.OBSERVABLES),
    Shape(suricata.EVE, suricata.is_eve, suricata.eve, suricata.OBSERVABLES),
    Shape(zeek.ZEEK, zeek.is_zeek, zeek.zeek, zeek.OBSERVABLES),
    Shape(gelf.GELF, gelf.is_gelf, gelf.gelf, gelf.OBSERVABLES),
    Shape(collectors.OTEL, collectors.is_otel, collectors.otel, windows.OBSERVABLES),
    Shape(journald.JOURNALD, journald.is_journald, journald.journald, journald.OBSERVABLES),
    Shape(ocsf.OCSF, ocsf.is_ocsf, ocsf.ocsf, ocsf.OBSERVABLES),
    Shape(audit_shippers.LAUREL, audit_shippers.is_laurel, audit_shippers.laurel, audit_shippers.OBSERVABLES),
    Shape(audit_shippers.GO_AUDIT, audit_shippers.is_go_audit, audit_shippers.go_audit, audit_shippers.OBSERVABLES),
    Shape(audit_shippers.AUDITBEAT, audit_shippers.is_auditbeat, audit_shippers.auditbeat, ecs.OBSERVABLES),
    Shape(wrapped.WRAPPED, wrapped.is_wrapped, wrapped.wrapped, wrapped.OBSERVABLES),
    Shape(ecs.ECS, ecs.is_ecs, ecs.ecs, ecs.OBSERVABLES),
    Shape(cloudtrail.CLOUDTRAIL, cloudtrail.is_cloudtrail, cloudtrail.cloudtrail, cloudtrail.OBSERVABLES),
    Shape(kubernetes.KUBERNETES, kubernetes.is_kubernetes, kubernetes.kubernetes, kubernetes.OBSERVABLES),
    Shape(microsoft365.MICROSOFT365, microsoft365.is_microsoft365, microsoft365.microsoft365, microsoft365.OBSERVABLES),
    Shape(azure.AZURE, azure.is_azure, azure.azure, azure.OBSERVABLES),
    Shape(okta.OKTA, okta.is_okta, okta.okta, okta.OBSERVABLES),
    Shape(google.GOOGLE, google.is_google, google.google, google.OBSERVABLES),
    Shape(services.GITHUB, services.is_github, services.github, services.OBSERVABLES),
    Shape(services.BITBUCKET, services.is_bitbucket, services.bitbucket, services.OBSERVABLES),
    Shape(services.DUO, services.is_duo, services.duo, services.OBSERVABLES),
    Shape(services.ONELOGIN, services.is_onelogin, services.onelogin, services.OBSERVABLES),
    Shape(services.OPENCANARY, services.is_opencanary, services.opencanary, services.OBSERVABLES),
    Shape(bundles.BUNDLE, bundles.is_bundle, bundles.bundle),
    Shape(fluent.FLAT, fluent.is_flat, fluent.flat, windows.OBSERVABLES),
    Shape(plain_json.JSON, plain_json.is_json, plain_json.plain_json, plain_json.OBSERVABLES),
)
#: Keys of which a record of a format has one at least, so that most formats need not be asked about it.
MARKS: Final = {
    "nxlog": "EventID",
    "evtx": "Event System",
    "winlogbeat": "winlog winlog.channel log_name",
    "vector": "event_id",
    "fluent": "EventID",
    "eve": "event_type",
    "zeek": "id.orig_h ts",
    "gelf": "short_message",
    "otel": "event_id body",
    "journald": "_BOOT_ID __REALTIME_TIMESTAMP BOOT_ID SYSLOG_IDENTIFIER",
    "ocsf": "class_uid",
    "laurel": "ID",
    "go-audit": "messages",
    "auditbeat": "auditd",
    "wrapped": "message log",
    "ecs": "ecs ecs.version event event.category",
    "cloudtrail": "eventSource",
    "kubernetes": "apiVersion auditID",
    "microsoft365": "Operation",
    "azure": "operationName OperationName userPrincipalName riskEventType activityDateTime",
    "okta": "eventType",
    "google": "protoPayload kind",
    "github": "action",
    "bitbucket": "auditType",
    "duo": "access_device",
    "onelogin": "event_type_id",
    "opencanary": "logtype",
    "bundle": "Records records items value",
}
tell: Final = teller(JSON_SHAPES, MARKS)
#: Formats whose records are JSON objects; those of the others are text.
OBJECTS: Final = frozenset(shape.format.name for shape in JSON_SHAPES)
TEXT_SHAPES: Final = (
    Shape(syslog.SYSLOG, syslog.is_syslog, syslog.syslog, syslog.OBSERVABLES),
    Shape(auditd.AUDITD, auditd.is_auditd, auditd.auditd, auditd.OBSERVABLES),
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
