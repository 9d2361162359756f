"""Suricata's EVE JSON. Fields keep their nesting (`alert.signature`, `tls.sni`).

DNS and HTTP events also get the names of Sigma's `dns` and `proxy` categories, so that those rules see the network
sensor too. EVE's `host` is the sensor, not a party of the event, and is no host column.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import DIGESTS, Rows, take_host, take_url
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, address_of, first, source
from schemas.event import Event, Format

EVE = Format("eve", "json", frozenset({"c-uri"}))

OBSERVABLES: Final[Rows] = (
    ("query", take_host),
    ("answer", take_host),
    ("c-uri", take_url),
    ("tls", {"sni": take_host}),
    ("quic", {"sni": take_host}),
    ("http", {"hostname": take_host}),
    ("email", {"url": take_url}),
    ("fileinfo", DIGESTS),
    ("files", DIGESTS),
)

#: Sigma's category by event type; the others have none.
_CATEGORIES: Final = {"dns": "dns", "http": "proxy", "alert": "ids"}

_SRC_IP = address_of("src_ip")
_DST_IP = address_of("dest_ip")

#: Our name ← EVE's, within `http`.
_HTTP: Final = (
    ("cs-method", "http_method"),
    ("cs-host", "hostname"),
    ("c-useragent", "http_user_agent"),
    ("cs-referrer", "http_refer"),
    ("sc-status", "status"),
    ("c-uri-stem", "url"),
)


def is_eve(doc: dict[str, Any]) -> bool:
    """An event type, a time, and something of a flow or a sensor."""
    return (
        isinstance(doc.get("event_type"), str)
        and "timestamp" in doc
        and ("flow_id" in doc or "src_ip" in doc or "in_iface" in doc or doc["event_type"] == "stats")
    )


def eve(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """One EVE record."""
    kind = doc["event_type"]
    dns, http = doc.get("dns"), doc.get("http")
    if isinstance(dns, dict):
        lift_dns(dns, doc)
    if isinstance(http, dict):
        lift_http(http, doc)
    get = doc.get
    return Event(
        0,
        raw,
        EVE,
        source("suricata", _CATEGORIES.get(kind, ""), kind),
        doc,
        0,
        moment(get("timestamp"), topic.zone),
        user=_user(doc),
        src_ip=_SRC_IP(get),
        dst_ip=_DST_IP(get),
        domain=_domain(doc),
    )


def lift_dns(dns: dict[str, Any], fields: dict[str, Any]) -> None:
    """`query`, `record_type`, `answer` out of the three layouts that Suricata has had."""
    asked = [part for part in _list(dns.get("queries")) if isinstance(part, dict)] or [dns]
    fields["query"] = _one([part.get("rrname") for part in asked])
    fields["record_type"] = _one([part.get("rrtype") for part in asked])
    answers = [part.get("rdata") for part in _list(dns.get("answers")) if isinstance(part, dict)]
    grouped = dns.get("grouped")
    if isinstance(grouped, dict):
        answers += [answer for group in grouped.values() for answer in _list(group)]
    answers = [answer for answer in answers if isinstance(answer, str)] or _list(dns.get("rdata"))
    if answers:
        fields["answer"] = _one(answers)


def lift_http(http: dict[str, Any], fields: dict[str, Any]) -> None:
    """The names of Sigma's `proxy` category. `c-uri` is the whole URL, put together of host and path."""
    for name, told in _HTTP:
        if told in http:
            fields[name] = http[told]
    host, path = http.get("hostname"), http.get("url")
    if isinstance(path, str):
        whole = "://" in path or not isinstance(host, str)
        fields["c-uri"] = path if whole else f"http://{host}{path}"


def _domain(doc: dict[str, Any]) -> str:
    query = doc.get("query")
    if isinstance(query, str):
        return query
    for head, name in (("tls", "sni"), ("http", "hostname"), ("quic", "sni")):
        inside = doc.get(head)
        if isinstance(inside, dict):
            return first(inside.get, (name,))
    return ""


def _user(doc: dict[str, Any]) -> str:
    for head, name in (("krb5", "cname"), ("ftp", "user")):
        inside = doc.get(head)
        if isinstance(inside, dict):
            return first(inside.get, (name,))
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
