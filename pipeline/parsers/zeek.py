"""Zeek's JSON logs, one object a line: the log's name is the service, the fields keep Zeek's own names.

Rules of Sigma's `dns`, `proxy`, `webserver` and `firewall` categories find them by `detectors/sigma/providers.py`.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import (
    DIGESTS,
    Rows,
    take_address,
    take_agent,
    take_certificate,
    take_email,
    take_host,
    take_ja3,
    take_ja4,
    take_path,
)
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, address_of, first_of, source
from schemas.event import Event, Format

ZEEK = Format("zeek", "json")

OBSERVABLES: Final[Rows] = (
    ("query", take_host),
    ("answers", take_host),
    ("host", take_host),
    ("server_name", take_host),
    ("user_agent", take_agent),
    ("filename", take_path),
    ("fingerprint", take_certificate),
    ("san.dns", take_host),
    ("ja3", take_ja3),
    ("ja3s", take_ja3),
    ("ja4", take_ja4),
    ("ja4s", take_ja4),
    ("mailfrom", take_email),
    ("rcptto", take_email),
    ("assigned_addr", take_address),
    ("seen.indicator", take_host),
    *DIGESTS.items(),
)

_SRC_IP = address_of("id.orig_h", "client_addr", "src")
_DST_IP = address_of("id.resp_h", "server_addr", "dst")
_DOMAIN = first_of("query", "server_name", "host")
_USER = first_of("user", "username")
#: Logs that name the user in words of their own; `client` is a program elsewhere.
_USERS: Final = {"kerberos": first_of("client"), "rdp": first_of("cookie")}
#: What tells a log that does not name itself (`_path`): a field that it alone has, the most frequent logs first.
_LOGS: Final = (
    ("conn_state", "conn"),
    ("qtype_name", "dns"),
    ("trans_id", "dns"),
    ("uri", "http"),
    ("status_code", "http"),
    ("cipher", "ssl"),
    ("fingerprint", "x509"),
    ("certificate.serial", "x509"),
    ("endpoint", "dce_rpc"),
    ("share_type", "smb_mapping"),
    ("helo", "smtp"),
    ("seen_bytes", "files"),
    ("mime_type", "files"),
    ("request_type", "kerberos"),
    ("domainname", "ntlm"),
    ("note", "notice"),
    ("addl", "weird"),
    ("is_exe", "pe"),
    ("msg_types", "dhcp"),
    ("software_type", "software"),
    ("seen.indicator", "intel"),
    ("security_protocol", "rdp"),
    ("keyboard_layout", "rdp"),
    ("kex_alg", "ssh"),
    ("auth_success", "ssh"),
    ("auth_attempts", "ssh"),
    ("reply_code", "ftp"),
    ("action", "smb_files"),
)
#: Logs without a connection, told by their own fields beside the time.
_ALONE: Final = (("fuid", "source"), ("fingerprint", "certificate.serial"), ("mac", "msg_types"),
                 ("software_type", "unparsed_version"), ("is_exe", "machine"), ("note", "actions"))  # fmt: skip


def is_zeek(doc: dict[str, Any]) -> bool:
    """A connection's id with its ends, a log that names itself beside a time of Zeek's, or one known by its fields."""
    if "id.orig_h" in doc:
        return "uid" in doc or "ts" in doc
    return "ts" in doc and ("_path" in doc or any(one in doc and other in doc for one, other in _ALONE))


def log_of(doc: dict[str, Any]) -> str:
    """Which log a line is of, by its fields; '' where nothing tells."""
    for field, name in _LOGS:
        if field in doc:
            # A certificate's cipher is a TLS connection's, and a ticket's is Kerberos's.
            return "kerberos" if name == "ssl" and "request_type" in doc else name
    return ""


def zeek(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """One line of a log."""
    log = doc.get("_path")
    if type(log) is not str:
        log = topic.source.service or log_of(doc)
    return zeek_event(doc, raw, ZEEK, log, topic)


def zeek_event(doc: dict[str, Any], raw: bytes, form: Format, log: str, topic: Topic) -> Event:
    """The event of a line whose fields are as Zeek's JSON has them."""
    get = doc.get
    known = source("zeek", topic.source.category, log)
    if topic.bare:
        return Event(0, raw, form, known, doc, 0, 0)
    return Event(
        0,
        raw,
        form,
        known,
        doc,
        0,
        moment(get("ts"), topic.zone),
        False,
        False,
        "",
        _USERS.get(log, _USER)(get),
        _SRC_IP(get),
        _DST_IP(get),
        "",
        "",
        _DOMAIN(get),
    )
