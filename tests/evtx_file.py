"""A minimal binary EVTX file: header, chunks, records of BinXML without templates.

After the format's description by libevtx ("Windows XML Event Log (EVTX) format") and Microsoft's MS-EVEN6 (BinXML).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from pipeline.recordings_evtx import file_header
from tests.shippers import WindowsEvent

CHUNK = 65_536
_HEAD = 512
_NS = "http://schemas.microsoft.com/win/2004/08/events/event"

Element = tuple[str, dict[str, str], "str | list[Element]"]
"""Name, attributes, text or elements within."""


def evtx_file(*chunks: bytes) -> bytes:
    """A file of these chunks."""
    return file_header(len(chunks)) + b"".join(chunks)


def evtx_chunk(events: Sequence[WindowsEvent], first: int = 1) -> bytes:
    """A chunk of 64 KiB with these events, numbered from `first`."""
    data = b""
    at = _HEAD
    for number, one in enumerate(events, first):
        at = _HEAD + len(data)
        data += _record(one, number, at)
    last = first + len(events) - 1
    head = b"ElfChnk\0" + struct.pack(
        "<QQQQIIII", first, last, first, last, 128, at, _HEAD + len(data), zlib.crc32(data)
    )
    head = head.ljust(120, b"\0")
    table = bytes(_HEAD - 128)
    return (head + struct.pack("<II", 0, zlib.crc32(head + table)) + table + data).ljust(CHUNK, b"\0")


def _record(one: WindowsEvent, number: int, at: int) -> bytes:
    system: list[Element] = [
        ("Provider", {"Name": one.provider}, []),
        ("EventID", {}, str(one.number)),
        ("TimeCreated", {"SystemTime": one.iso}, []),
        ("EventRecordID", {}, str(number)),
        ("Channel", {}, one.channel),
        ("Computer", {}, one.computer),
    ]
    data: list[Element] = [("Data", {"Name": name}, value) for name, value in one.data.items()]
    event: Element = ("Event", {"xmlns": _NS}, [("System", {}, system), ("EventData", {}, data)])
    xml = b"\x0f\x01\x01\x00" + _element(event, at + 28) + b"\x00"
    size = 28 + len(xml)
    filetime = one.time_ms * 10_000 + 116_444_736_000_000_000
    return struct.pack("<IIQQ", 0x2A2A, size, number, filetime) + xml + struct.pack("<I", size)


def _element(element: Element, at: int) -> bytes:
    """BinXML of an element that begins at a place of its chunk: names are found by place."""
    name, attributes, inside = element
    named = _name(name, at + 5)  # outside of templates an element bears no dependency
    made = b""
    if attributes:
        place = at + 5 + len(named) + 4
        listed = b""
        for key, value in attributes.items():
            token = b"\x06" + _name(key, place + len(listed) + 1)
            listed += token + _text(value)
        made += struct.pack("<I", len(listed)) + listed
    body = at + 5 + len(named) + len(made)
    if not inside:
        made += b"\x03"
    else:
        made += b"\x02"
        body += 1
        if isinstance(inside, str):
            made += _text(inside)
        else:
            for child in inside:
                part = _element(child, body)
                body += len(part)
                made += part
        made += b"\x04"
    token = b"\x41" if attributes else b"\x01"
    return token + struct.pack("<I", len(named) + len(made)) + named + made


def _name(name: str, at: int) -> bytes:
    """The place of a name, and right behind it the name itself."""
    digest = 0
    for char in name:
        digest = (digest * 65_599 + ord(char)) & 0xFFFFFFFF
    text = struct.pack("<IHH", 0, digest & 0xFFFF, len(name)) + name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<I", at + 4) + text


def _text(text: str) -> bytes:
    return b"\x05\x01" + struct.pack("<H", len(text)) + text.encode("utf-16-le")


def nested_chunk(depth: int) -> bytes:
    """A chunk with one record whose elements stand in one another so many times, all by one name."""
    at = _HEAD + 28
    name = _name("a", at + 5)
    first = b"\x01" + struct.pack("<I", 0) + name + b"\x02"
    again = b"\x01" + struct.pack("<I", 0) + name[:4] + b"\x02"
    xml = b"\x0f\x01\x01\x00" + first + again * (depth - 1) + b"\x04" * depth + b"\x00"
    size = 28 + len(xml)
    data = struct.pack("<IIQQ", 0x2A2A, size, 1, 0) + xml + struct.pack("<I", size)
    head = b"ElfChnk\0" + struct.pack("<QQQQIIII", 1, 1, 1, 1, 128, _HEAD, _HEAD + len(data), zlib.crc32(data))
    head = head.ljust(120, b"\0")
    table = bytes(_HEAD - 128)
    return (head + struct.pack("<II", 0, zlib.crc32(head + table)) + table + data).ljust(CHUNK, b"\0")
