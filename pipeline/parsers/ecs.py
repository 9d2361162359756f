"""JSON in the Elastic Common Schema: the log source told by the dataset, else by `event.category`.

What ECS says of the operating system and of the kind of event is Sigma's product and category; what it does not say
comes from the topic's settings. The fields keep their nesting; the mapping `ecs` says where those of rules stand.
Sources: the ECS field reference, the exported fields of Filebeat's modules and of Elastic's integrations.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import (
    DIGESTS,
    Rows,
    Table,
    take_account,
    take_address,
    take_agent,
    take_certificate,
    take_email,
    take_host,
    take_imphash,
    take_ja3,
    take_name,
    take_path,
    take_registry,
    take_ssdeep,
    take_url,
)
from detectors.sigma.fields import pick
from detectors.sigma.pipelines import ours
from pipeline.parsers.clock import moment
from pipeline.parsers.linux import SERVICES
from pipeline.parsers.paths import address_at, path_of, text_at
from pipeline.parsers.plain_json import plain_json
from pipeline.parsers.shape import Topic, source
from schemas.event import Event, Format, Source

ECS = Format("ecs", "json", mapping=ours("ecs"))

_HASH: Final[Table] = {**DIGESTS, "ssdeep": take_ssdeep}
_FILE: Final[Table] = {"path": take_path, "name": take_name, "hash": _HASH, "pe": {"imphash": take_imphash}}
_END: Final[Table] = {"ip": take_address, "domain": take_host}
_CERTIFICATES: Final[Table] = {
    "ja3": take_ja3,
    "ja3s": take_ja3,
    "server_name": take_host,
    "hash": dict.fromkeys(("md5", "sha1", "sha256"), take_certificate),
}
OBSERVABLES: Final[Rows] = (
    ("source", _END),
    ("destination", _END),
    ("client", _END),
    ("server", _END),
    ("process", {"executable": take_path, "hash": _HASH, "pe": {"imphash": take_imphash}}),
    ("file", _FILE),
    ("dll", _FILE),
    ("dns", {"question": {"name": take_host}, "resolved_ip": take_address, "answers": {"data": take_host}}),
    ("url", {"full": take_url, "original": take_url, "domain": take_host}),
    ("tls", {"client": _CERTIFICATES, "server": _CERTIFICATES}),
    ("user_agent", {"original": take_agent}),
    ("user", {"name": take_account, "email": take_email}),
    ("email", {"from": {"address": take_email}, "to": {"address": take_email}, "sender": {"address": take_email}}),
    ("registry", {"path": take_registry}),
    ("threat", {"indicator": {"ip": take_address, "file": {"hash": _HASH}, "url": {"full": take_url}}}),
)

#: What of a dataset's name (or of the name whole) tells: product, category, service; '' service: the name's tail.
DATASETS: Final = {
    "aws.cloudtrail": ("aws", "", "cloudtrail"),
    "azure.activitylogs": ("azure", "", "activitylogs"),
    "azure.auditlogs": ("azure", "", "auditlogs"),
    "azure.signinlogs": ("azure", "", "signinlogs"),
    "azure.identity_protection": ("azure", "", "riskdetection"),
    "o365.audit": ("m365", "", "audit"),
    "okta.system": ("okta", "", "okta"),
    "gcp.audit": ("gcp", "", "gcp.audit"),
    "google_workspace.admin": ("gcp", "", "google_workspace.admin"),
    "google_workspace.login": ("gcp", "", "google_workspace.login"),
    "github.audit": ("github", "", "audit"),
    "kubernetes.audit_logs": ("kubernetes", "application", "audit"),
    "cisco_duo.auth": ("cisco", "", "duo"),
    "cisco_asa.log": ("cisco", "firewall", "asa"),
    "cisco.asa": ("cisco", "firewall", "asa"),
    "cisco_ftd.log": ("cisco", "firewall", "ftd"),
    "cisco.ftd": ("cisco", "firewall", "ftd"),
    "cisco_ios.log": ("cisco", "", "syslog"),
    "cisco.ios": ("cisco", "", "syslog"),
    "panw.panos": ("paloalto", "firewall", "panos"),
    "fortinet_fortigate.log": ("fortigate", "firewall", "event"),
    "fortinet.firewall": ("fortigate", "firewall", "event"),
    "checkpoint.firewall": ("checkpoint", "firewall", "firewall"),
    "sophos.xg": ("sophos", "firewall", "xg"),
    "pfsense.log": ("pfsense", "firewall", "filterlog"),
    "iptables.log": ("linux", "firewall", "iptables"),
    "nginx.access": ("", "webserver", "nginx"),
    "nginx.error": ("", "", "nginx"),
    "apache.access": ("", "webserver", "apache"),
    "apache.error": ("", "", "apache"),
    "iis.access": ("", "webserver", "iis"),
    "squid.log": ("", "proxy", "squid"),
    "zscaler_zia.web": ("", "proxy", "zscaler"),
    "network_traffic.dns": ("", "dns", ""),
    "network_traffic.http": ("", "proxy", ""),
    "network_traffic.flow": ("", "firewall", ""),
    "auditd.log": ("linux", "", "auditd"),
    "system.syslog": ("linux", "", "syslog"),
    "system.auth": ("linux", "", "auth"),
}
#: Sigma's category by Suricata's event type.
_EVE: Final = {"dns": "dns", "http": "proxy", "alert": "ids"}

#: (category, type) of ECS → Sigma's category; an empty type stands for any other.
CATEGORIES: Final = {
    ("process", "start"): "process_creation",
    ("process", "end"): "process_termination",
    ("network", "start"): "network_connection",
    ("network", "connection"): "network_connection",
    ("file", "creation"): "file_event",
    ("file", "deletion"): "file_delete",
    ("file", "change"): "file_change",
    ("registry", "change"): "registry_set",
    ("registry", "creation"): "registry_add",
    ("registry", "deletion"): "registry_delete",
    ("library", ""): "image_load",
    ("driver", ""): "driver_load",
    ("web", ""): "proxy",
}
PRODUCTS: Final = frozenset({"windows", "linux", "macos"})


def is_ecs(doc: dict[str, Any]) -> bool:
    """It names the schema, or an event's kind or category in its words, and is none of Winlogbeat's."""
    if "winlog" in doc or "winlog.channel" in doc:
        return False
    if isinstance(doc.get("ecs"), dict) or "ecs.version" in doc:
        return True
    event = doc.get("event")
    said = isinstance(event, dict) and ("category" in event or "kind" in event)
    return (said or "event.category" in doc) and "@timestamp" in doc


_HOST: Final = text_at("host.name", "host.hostname", "observer.hostname", "observer.name", "agent.hostname")
_USER: Final = text_at("user.name", "user.email", "user.id", "source.user.name", "client.user.name", "related.user.0")
_SRC: Final = address_at("source.ip", "client.ip", "source.address")
_DST: Final = address_at("destination.ip", "server.ip", "destination.address")
_PROCESS: Final = text_at("process.executable", "process.name")
_COMMAND: Final = text_at("process.command_line")
_DOMAIN: Final = text_at(
    "dns.question.name", "url.domain", "destination.domain", "server.domain", "tls.client.server_name"
)
_TIME: Final = path_of("@timestamp", "event.created", "event.ingested")


def ecs(doc: dict[str, Any], raw: bytes, near: int, topic: Topic) -> Event:
    """One record; of a flattened one (`host.name` as a key) the columns are found as in any other JSON."""
    if "event.dataset" in doc or "event.category" in doc or "ecs.version" in doc:
        event = plain_json(_nested(doc), raw, near, topic)
        event.fields = doc
        event.format, event.source = ECS, _source(doc, topic.source)
        return event
    return Event(
        0,
        raw,
        ECS,
        _source(doc, topic.source),
        doc,
        0,
        moment(_TIME(doc), topic.zone),
        False,
        False,
        _HOST(doc),
        _USER(doc),
        _SRC(doc),
        _DST(doc),
        _PROCESS(doc),
        _COMMAND(doc),
        _DOMAIN(doc),
    )


#: What columns are taken from, where a record is flat.
_FLAT: Final = (
    "host.name",
    "user.name",
    "source.ip",
    "client.ip",
    "destination.ip",
    "process.executable",
    "process.name",
    "process.command_line",
    "dns.question.name",
    "url.domain",
    "destination.domain",
)


def _nested(doc: dict[str, Any]) -> dict[str, Any]:
    """The columns' fields of a flattened record, nested; one of them is enough to work with."""
    made: dict[str, Any] = {"@timestamp": doc.get("@timestamp")}
    for name in _FLAT:
        value = pick(doc, name)
        if value is not None:
            *path, last = name.split(".")
            inside = made
            for step in path:
                inside = inside.setdefault(step, {})
            inside[last] = value
    return made


_STREAM: Final = path_of("data_stream.dataset")
_SYSTEM: Final = path_of("host.os.type", "host.os.family", "host.os.platform")


def _source(doc: dict[str, Any], told: Source) -> Source:
    inside = doc.get("event")
    if not isinstance(inside, dict):  # flattened, in whole or in part
        inside = {name: pick(doc, f"event.{name}") for name in ("dataset", "category", "type")}
    dataset = inside.get("dataset") or _STREAM(doc)
    if isinstance(dataset, str):
        known = _of_dataset(dataset, doc)
        if known is not None:
            return known
    system = _SYSTEM(doc) or pick(doc, "host.os.type")
    product = system.lower() if isinstance(system, str) else ""
    if product not in PRODUCTS:
        product = told.product
    category = _category(_list(inside.get("category")), _list(inside.get("type")))
    if not category and isinstance(pick(doc, "dns.question"), dict):
        category = "dns_query" if product == "windows" else "dns"
    return source("" if category == "proxy" else product, category or told.category, told.service)


def _of_dataset(dataset: str, doc: dict[str, Any]) -> Source | None:
    known = DATASETS.get(dataset)
    if known is not None:
        return _of_program(doc) if dataset == "system.auth" else source(*known)
    head, _, tail = dataset.partition(".")
    if head == "suricata":
        kind = pick(doc, "suricata.eve.event_type")
        return source("suricata", _EVE.get(kind, ""), kind) if isinstance(kind, str) else source("suricata", "", "")
    return source(head, "", tail) if head in ("zeek", "aws") and tail else None


def _of_program(doc: dict[str, Any]) -> Source:
    """Lines of the file of logins: the program is the service, as over syslog."""
    program = pick(doc, "process.name")
    return source("linux", "", SERVICES.get(program, "auth") if isinstance(program, str) else "auth")


def _category(categories: list[Any], types: list[Any]) -> str:
    for category in categories:
        for kind in (*types, ""):
            found = CATEGORIES.get((category, kind)) if isinstance(category, str) and isinstance(kind, str) else None
            if found:
                return found
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
