"""Cisco's messages in syslog, `%FACILITY-SEVERITY-MNEMONIC: text`: log source, addresses, what was done.

Of a firewall's messages the addresses have the names of Sigma's firewall category. Source: Cisco's system message
guides for IOS and ASA.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pipeline.parsers.shape import source
from schemas.event import Source

_MNEMONIC = re.compile(r"%([A-Z][A-Z0-9_]{1,31}(?:-[A-Z][A-Z0-9_]{0,31}){0,2})-(?:([0-7])-)?([A-Z0-9_]{2,64}):? ?")
_HUAWEI = re.compile(r"%%\d\d([A-Z0-9_]{1,32})/(\d)/([A-Za-z0-9_]{1,64})")
_END = r"(?:\w[\w-]{0,63}[:/])?([0-9A-Fa-f.:]{3,45}?)[/(](\d{1,5})\)?"
#: `Deny tcp src outside:…/… dst inside:…/…`; `Built inbound … for … to …`; `… denied tcp …(…) -> …(…)`.
_ENDS: Final = (
    re.compile(rf"\bsrc {_END}.{{0,120}}? dst {_END}"),
    re.compile(rf"\bfor {_END}.{{0,120}}? to {_END}"),
    re.compile(rf"\b(?:tcp|udp|icmp|igmp|[0-9]+) {_END} -> {_END}"),
)
_ACTION = re.compile(r"\b(Deny|Built|Teardown|denied|permitted|dropped)\b")
_USER = re.compile(
    r"\buser(?:name)?(?: ?[=:] ?['\"\[]?| ['\"])([^\s'\"\],:]{1,128})|\bconsole by (\S{1,128}) on ", re.IGNORECASE
)
_LOOKED: Final = 1_024

_FIREWALLS: Final = frozenset({"ASA", "PIX", "FTD", "FWSM"})
_COMMANDS: Final = frozenset({"AAA", "AAAA", "PARSER", "SEC_LOGIN", "TAC", "TACACS", "TPLUS", "HA_EM", "AUTHMGR"})


def device(message: str, fields: dict[str, Any]) -> Source | None:
    """The log source of a device's message, its fields added; None: it is no such message."""
    if message.startswith("%%"):
        found = _HUAWEI.match(message)
        if found is None:
            return None
        fields["facility"], fields["severity"], fields["mnemonic"] = found.groups()
        return source("huawei", "", "bgp" if "BGP" in found[1] else "syslog")
    found = _MNEMONIC.match(message)
    if found is None:
        return None
    facility, severity, mnemonic = found.groups()
    fields["facility"], fields["mnemonic"] = facility, mnemonic
    if severity:
        fields["severity"] = severity
    _ends(message[:_LOOKED], fields)
    return _source(facility, mnemonic, message)


def _source(facility: str, mnemonic: str, message: str) -> Source:
    if facility in _FIREWALLS:
        return source("cisco", "firewall", "asa")
    if facility in _COMMANDS or mnemonic == "CFGLOG_LOGGEDCMD":
        return source("cisco", "", "aaa")
    if "BGP" in facility or (mnemonic == "BADAUTH" and ":179" in message):
        return source("cisco", "", "bgp")
    if "LDP" in facility or "MD5_AUTHEN_FAIL" in mnemonic or "LDP" in mnemonic:
        return source("cisco", "", "ldp")
    return source("cisco", "firewall", "acl") if mnemonic.startswith("IPACCESSLOG") else source("cisco", "", "syslog")


def _ends(text: str, fields: dict[str, Any]) -> None:
    action = _ACTION.search(text)
    if action is not None:
        fields["action"] = action[1]
        for pattern in _ENDS:
            found = pattern.search(text)
            if found is not None:
                one, other = found.groups()[:2], found.groups()[2:]
                # `Built outbound … for outside:… to inside:…` names the other side first.
                if " outbound " in text[: found.start()]:
                    one, other = other, one
                (fields["src_ip"], fields["src_port"]), (fields["dst_ip"], fields["dst_port"]) = one, other
                break
    user = _USER.search(text)
    if user is not None:
        fields["user"] = user[1] or user[2]
