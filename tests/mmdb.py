"""A database in MaxMind's format, small and whole: https://maxmind.github.io/MaxMind-DB/ (records of 24 bits)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from typing import Any

_TYPES = {str: 2, float: 3, int: 6, dict: 7, list: 11, bool: 14}
#: Numbers of the metadata whose type is prescribed: 16 and 64 bits.
_NUMBERS = dict.fromkeys(("record_size", "ip_version", "binary_format_major_version"), 5)
_NUMBERS |= {"binary_format_minor_version": 5, "build_epoch": 9}


def database(networks: Mapping[str, Any]) -> bytes:
    """Networks of IPv4 and IPv6, none within another, and their records."""
    tree: list[list[Any]] = [[None, None]]
    for text, record in networks.items():
        network = ipaddress.ip_network(text)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        bits = "0" * 96 + bits if network.version == 4 else bits
        node = 0
        for bit in map(int, bits[:-1]):
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = len(tree) - 1
            node = tree[node][bit]
        tree[node][int(bits[-1])] = {"record": record}
    data, nodes = b"", b""
    for sides in tree:
        for side in sides:
            value = len(tree) if side is None else side
            if isinstance(side, dict):
                value = len(tree) + 16 + len(data)
                data += _encoded(side["record"])
            nodes += value.to_bytes(3, "big")
    meta = {
        "node_count": len(tree), "record_size": 24, "ip_version": 6, "database_type": "Test", "languages": ["en"],
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "description": {},
    }  # fmt: skip
    return nodes + b"\0" * 16 + data + b"\xab\xcd\xefMaxMind.com" + _encoded(meta)


def _encoded(value: Any, kind: int = 0) -> bytes:
    kind = kind or _TYPES[type(value)]
    if isinstance(value, bool):
        return _head(kind, int(value))
    if isinstance(value, str):
        return _head(kind, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return _head(kind, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _head(kind, len(raw)) + raw
    if isinstance(value, list):
        return _head(kind, len(value)) + b"".join(map(_encoded, value))
    return _head(kind, len(value)) + b"".join(
        _encoded(key) + _encoded(each, _NUMBERS.get(key, 0)) for key, each in value.items()
    )


def _head(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])
