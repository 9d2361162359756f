"""The other side of a connection in a SOCKADDR record: the kernel's `sockaddr`, or what the audit tools made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from socket import AF_INET6, inet_ntop
from typing import Any, Final

_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+\Z")
#: `SADDR={ saddr_fam=inet laddr=192.0.2.1 lport=443 }`, and the same as `ausearch -i` writes it.
_TOLD: Final = re.compile(r"(?:laddr|addr)[=:]([0-9A-Fa-f.:]{2,45}) (?:lport|port)[=:](\d{1,5})")


def peer(saddr: str) -> tuple[str, str]:
    """Address and port of a `sockaddr` in hexadecimal digits, its family in the machine's byte order; '' for none."""
    if not _HEX.match(saddr):
        return "", ""
    data = bytes.fromhex(saddr[:64])
    port = str(int.from_bytes(data[2:4]))
    if data[:2] == b"\x02\0" and len(data) >= 8:
        return ".".join(str(part) for part in data[4:8]), port
    if data[:2] == b"\x0a\0" and len(data) >= 24:
        if data[8:20] == b"\0" * 10 + b"\xff\xff":  # an IPv4 address spoken to by a socket of both kinds
            return ".".join(str(part) for part in data[20:24]), port
        return inet_ntop(AF_INET6, data[8:24]), port
    return "", ""


def peer_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """The same of a record, whoever wrote it."""
    found = peer(str(record.get("saddr", "")))
    if found[0]:
        return found
    said = record.get("SADDR")
    if isinstance(said, Mapping):  # laurel can take it apart
        address, port = (said.get("laddr") or said.get("addr"), said.get("lport") or said.get("port"))
        return (str(address), str(port or "")) if address else ("", "")
    told = _TOLD.search(str(said)[:256]) if said else None
    return (told[1], told[2]) if told is not None else ("", "")
