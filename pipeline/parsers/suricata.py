"""Suricata's EVE JSON. Fields keep their nesting (`alert.signature`, `tls.sni`).

DNS and HTTP events also get the names of Sigma's `dns` and `proxy` categories, so that those rules see the network
sensor too. EVE's `host` is the sensor, not a party of the event, and is no host column.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import (
    DIGESTS,
    Rows,
    Table,
    take_address,
    take_agent,
    take_certificate,
    take_email,
    take_host,
    take_ja3,
    take_ja4,
    take_name,
    take_path,
    take_url,
)
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, first, ip, reach, source, word
from schemas.event import Event, Format

EVE = Format("eve", "json", frozenset({"c-uri"}))

_HANDSHAKE: Final[Table] = {
    "sni": take_host,
    "ja3": {"hash": take_ja3},
    "ja3s": {"hash": take_ja3},
    "ja4": take_ja4,
}
_FILE: Final[Table] = {"filename": take_path, **DIGESTS}

OBSERVABLES: Final[Rows] = (
    ("query", take_host),
    ("answer", take_host),
    ("c-uri", take_url),
    ("http", {"hostname": take_host, "http_user_agent": take_agent, "http_refer": take_url, "xff": take_address}),
    ("tls", {**_HANDSHAKE, "fingerprint": take_certificate, "subjectaltname": take_host}),
    ("quic", _HANDSHAKE),
    ("fileinfo", _FILE),
    ("files", _FILE),
    ("email", {"from": take_email, "to": take_email, "cc": take_email, "attachment": take_name, "url": take_url}),
    ("smtp", {"mail_from": take_email, "rcpt_to": take_email, "helo": take_host}),
    ("smb", {"filename": take_path, "ntlmssp": {"host": take_host}}),
    ("ftp_data", {"filename": take_path}),
    ("tftp", {"file": take_path}),
    ("nfs", {"filename": take_path}),
    ("dhcp", {"assigned_ip": take_address, "hostname": take_host}),
)

#: Sigma's category by event type; the others have none.
_CATEGORIES: Final = {"dns": "dns", "http": "proxy", "alert": "ids", "anomaly": "ids", "drop": "firewall"}

#: Our name ← EVE's, within `http`.
_HTTP: Final = (
    ("cs-method", "http_method"),
    ("cs-host", "hostname"),
    ("c-useragent", "http_user_agent"),
    ("cs-referrer", "http_refer"),
    ("sc-status", "status"),
    ("c-uri-stem", "url"),
)
#: Where a protocol's record names the user.
_USERS: Final = (
    ("krb5", ("cname",)),
    ("smb", ("ntlmssp", "user")),
    ("rdp", ("cookie",)),
    ("mqtt", ("connect", "username")),
    ("sip", ("from",)),
)
_USER_HEADS: Final = frozenset(("ftp", *(head for head, _ in _USERS)))
_NAMES: Final = (("tls", "sni"), ("http", "hostname"), ("quic", "sni"))


def is_eve(doc: dict[str, Any]) -> bool:
    """An event type, a time, and something of a flow or a sensor."""
    return (
        isinstance(doc.get("event_type"), str)
        and "timestamp" in doc
        and ("flow_id" in doc or "src_ip" in doc or "in_iface" in doc or doc["event_type"] == "stats")
    )


def eve(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """One EVE record."""
    get = doc.get
    kind = doc["event_type"]
    dns, http = get("dns"), get("http")
    if type(dns) is dict:
        lift_dns(dns, doc)
    elif type(dns) is list:  # of an alert: the transaction's queries and answers
        lift_dns({"queries": dns, "answers": dns}, doc)
    if type(http) is dict:
        lift_http(http, doc)
    known = source("suricata", _CATEGORIES.get(kind, ""), kind)
    if topic.bare:
        return Event(0, raw, EVE, known, doc, 0, 0)
    return Event(
        0,
        raw,
        EVE,
        known,
        doc,
        0,
        moment(get("timestamp"), topic.zone),
        False,
        False,
        "",
        _user(doc),
        ip(get("src_ip")),
        ip(get("dest_ip")),
        "",
        "",
        _domain(doc),
    )


def lift_dns(dns: dict[str, Any], fields: dict[str, Any]) -> None:
    """`query`, `record_type`, `answer` out of the three layouts that Suricata has had."""
    queries = dns.get("queries")
    if queries is None:
        fields["query"], fields["record_type"] = dns.get("rrname"), dns.get("rrtype")
    else:
        asked = [part for part in _list(queries) if isinstance(part, dict)] or [dns]
        fields["query"] = _one([part.get("rrname") for part in asked])
        fields["record_type"] = _one([part.get("rrtype") for part in asked])
    answers: list[Any] = []
    if "answers" in dns:
        answers = [part.get("rdata") for part in _list(dns["answers"]) if isinstance(part, dict)]
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
    if type(query) is str:
        return query
    for head, name in _NAMES:
        inside = doc.get(head)
        if type(inside) is dict:
            return first(inside.get, (name,))
    return ""


def _user(doc: dict[str, Any]) -> str:
    if _USER_HEADS.isdisjoint(doc):
        return ""
    for head, path in _USERS:
        if head in doc:
            said = reach(doc[head], path)
            return word(said)
    ftp = doc.get("ftp")
    if isinstance(ftp, dict):
        return word(ftp.get("command_data") if ftp.get("command") == "USER" else ftp.get("user"))
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
