"""Types that hold two values (`filename|sha256`, `domain|ip`, `ip-dst|port`), as MISP and CSV feeds write them.

What is said of the pair decides: the digest alone tells a file, under any name; a domain and its address are two ways
to meet the same; a port is a remark; a registry value's data counts only together with its key.
"""

from __future__ import annotations

from typing import Final

from detectors.ioc.feeds.entry import ForeignError
from detectors.ioc.feeds.made import told
from detectors.ioc.feeds.stix_pattern import Row
from detectors.ioc.indicators import ALIASES, normal

#: Types of MISP that are no observables here: they may be named, while any other word may be a value.
_UNMATCHED: Final = frozenset((
    "aba-rtn", "as", "attachment", "authentihash", "bic", "btc", "campaign-name", "cc-number", "cdhash", "comment",
    "community-id", "cookie", "cpe", "counter", "dash", "datetime", "dns-soa-email", "email-attachment", "email-body",
    "email-header", "email-message-id", "email-mime-boundary", "email-subject", "email-thread-index",
    "email-x-mailer", "filename-pattern", "filename|authentihash", "filename|impfuzzy", "filename|pehash",
    "filename|sha224", "filename|sha384", "filename|tlsh", "filename|vhash", "float", "gene", "git-commit-id",
    "github-username", "hassh-md5", "hasshserver-md5", "hex", "http-method", "impfuzzy", "integer", "jabber-id",
    "jarm-fingerprint", "kusto-query", "mac-address", "mac-eui-64", "malware-type", "mime-type",
    "mobile-application-id", "named-pipe", "other", "pattern-in-file", "pattern-in-memory", "pattern-in-traffic",
    "pdb", "pehash", "pgp-public-key", "phone-number", "port", "process-state", "prtn", "regkey|value", "sha224",
    "sha3-256", "sha3-384", "sha3-512", "sha384", "sha512/224", "sha512/256", "sigma", "size-in-bytes", "snort",
    "telfhash", "text", "threat-actor", "tlsh", "twitter-id", "vhash", "vulnerability", "weakness",
    "whois-registrant-email", "windows-scheduled-task", "windows-service-name", "x509-fingerprint", "xmr", "yara",
    "zeek",
))  # fmt: skip
_PORTS: Final = {
    "ip-src|port": "ip",
    "ip-dst|port": "ip",
    "ip|port": "ip",
    "ip:port": "ip",
    "hostname|port": "domain",
    "domain|port": "domain",
}


def rows(kind: str, text: str) -> tuple[list[Row], tuple[str, ...]]:
    """A value's rows, and the tags that its remark gives. Raises ForeignError for a type that is not matched."""
    kind = kind.strip().lower()
    if not kind:
        return [told(text)], ()
    if kind in ALIASES:
        return [(normal(kind, text),)], ()
    first, _, second = text.partition("|")
    name, _, digest = kind.partition("|")
    if kind == "malware-sample":
        name, digest = "filename", "md5"
    if name == "filename" and ALIASES.get(digest) in ("md5", "sha1", "sha256", "sha512", "imphash", "ssdeep"):
        return [(normal(digest, second),)], (f"file:{first.strip()}",)
    if kind == "domain|ip":
        return [(normal("domain", first),), (normal("ip", second),)], ()
    if kind in _PORTS:
        host, port = _host_and_port(text)
        return [(normal(_PORTS[kind], host),)], (f"port:{port}",)
    if kind == "regkey|value":
        raise ForeignError("a registry key with its data: the data is no observable, and half of it would be too much")
    raise ForeignError("an unknown type" + (f" ({kind})" if kind in _UNMATCHED else ""))


def _host_and_port(text: str) -> tuple[str, str]:
    host, mark, port = text.rpartition("|" if "|" in text else ":")
    if not mark or not (port.strip().isdecimal() and int(port.strip()[:6]) <= 65_535):
        raise ValueError("a value without its port")
    return host.strip(" []") if host.count(":") > 1 else host, port.strip()
