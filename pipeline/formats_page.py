"""The page `formats.md` and `qorgan formats list`: every format, rendered from the parsers and the table here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.parsers.cef import CEF
from pipeline.parsers.devices import DEVICES
from pipeline.parsers.formats import NAMED_SHAPES, SHAPES
from pipeline.parsers.shape import Shape
from pipeline.parsers.zeek_logs import SCHEMAS
from pipeline.settings import TopicSettings
from schemas.field_mapping import MappingItem


class About(NamedTuple):
    """What no code says of a format: which time of a record counts, whose zone, whose log source, what settings."""

    time: str
    source: str
    settings: str = ""


_WINDOWS: Final = About("its own, UTC", "`windows`, the channel")
_CLOUD: Final = About("its own, UTC", "its own")
#: A format without a line here is rendered without these words; a test names it.
ABOUT: Final[dict[str, About]] = {
    **dict.fromkeys(("evtx", "winlogbeat", "vector", "otel", "fluent"), _WINDOWS),
    "nxlog": About("its own; the topic's zone where it has none", "`windows`, the channel"),
    "windows": About("its own; the topic's zone where it has none", "`windows`, the channel"),
    **dict.fromkeys(("cloudtrail", "kubernetes", "microsoft365", "azure", "okta", "google", "github"), _CLOUD),
    **dict.fromkeys(("bitbucket", "duo", "onelogin", "opencanary", "ocsf", "qualys"), _CLOUD),
    "wrapped": About("that of the line inside, else the collector's", "that of the line inside"),
    "bundle": About("none: it is refused whole", "`detect` and `publish` take it apart"),
    "journald": About("its own, UTC", "`linux`, by the program"),
    "ecs": About("`@timestamp`", "the operating system and `event.category`, else the topic's", "`mapping`"),
    "eve": About("`timestamp`, with its zone", "`suricata`, the event type; `dns`, `proxy`, `ids`, `firewall`"),
    "zeek": About("`ts`, UTC", "`zeek`, the log", "`service`: the log"),
    "zeek_tsv": About("`ts`, UTC", "`zeek`, the log", "`fields`, `service`: the log"),
    "gelf": About("`timestamp`, UTC", "the topic's", "`product`, `category`, `service`, `columns`"),
    "json": About(
        "what is called a time; the topic's zone where it has none", "the topic's", "`columns`, `product`, …, `mapping`"
    ),
    "syslog": About(
        "the line's; the year from Kafka's time, the topic's zone where it has none",
        "`linux`, by program or facility; `cisco`, `huawei` by the message; the topic's",
        "`timezone`, `product`, `service`",
    ),
    "auditd": About("the record's, UTC", "`linux`, `auditd`"),
    **dict.fromkeys(("laurel", "go-audit", "auditbeat"), About("the event's, UTC", "`linux`, `auditd`")),
    "cef": About(
        "`rt`, `end`, `start`, else syslog's; the topic's zone where it has none",
        "by vendor and product, see below",
        "`product`, `category`, `service`, `timezone`",
    ),
    "leef": About(
        "`devTime` by `devTimeFormat`, else syslog's", "by vendor and product, see below", "`product`, …, `timezone`"
    ),
    "access": About("the line's", "`webserver`, `nginx` or `apache` by program", "`service`: the server"),
    "logfmt": About(
        "`eventtime`, `date` and `time`, `ts`, …; the topic's zone where it has none",
        "`fortigate`, `sophos` by themselves, else the topic's",
        "`product`, …, `columns`, `timezone`",
    ),
    "csv": About("what is called a time; the topic's zone", "the topic's", "`fields`, `delimiter`, `columns`, …"),
}
_FORMS: Final = {"json": "values as JSON strings", "text": "values as they stand", "opaque": "values not in the bytes"}


def rows() -> Iterator[dict[str, str]]:
    """A row a format, in the order in which they are asked."""
    for name, shape in SHAPES.items():
        about = ABOUT.get(name, About("", ""))
        yield {
            "format": name,
            "what": _what(shape),
            "told by": "the topic's `format` alone" if shape in NAMED_SHAPES else _sentence(shape.sniff.__doc__ or ""),
            "time": about.time,
            "log source": about.source,
            "form": _FORMS[shape.format.form],
            "settings": about.settings,
        }


def _what(shape: Shape) -> str:
    """The first sentence of its module, which its sniff is of: some parsers are made of tables elsewhere."""
    return _sentence(sys.modules[shape.sniff.__module__].__doc__ or "")


def _sentence(text: str) -> str:
    first = " ".join(text.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".")


def page() -> str:
    """The page."""
    columns = ("format", "what", "told by", "time", "log source", "form", "settings")
    table = _table(columns, ([row["format"] and f"`{row['format']}`", *list(row.values())[1:]] for row in rows()))
    topic = _table(
        ("setting", "default", "meaning"),
        (
            [f"`{name}`", f"`{info.default}`" if info.default not in ("", (), {}) else "", info.description or ""]
            for name, info in TopicSettings.model_fields.items()
            if name != "topic"
        ),
    )
    devices = _table(
        ("vendor", "product", "kind", "log source"),
        ([each.vendor, each.product, each.kind, "/".join(each.source)] for each in DEVICES),
    )
    names = [
        (field, ", ".join(f"`{each}`" for each in told), item.sources)
        for item in _items()
        for field, told in item.names
    ]
    fields = _table(
        ("category", "rule's field", "in CEF"),
        (
            [", ".join("/".join(filter(None, source)) for source in sources), f"`{field}`", told]
            for field, told, sources in names
        ),
    )
    logs = ", ".join(f"`{log}`" for log in SCHEMAS)
    return _PAGE.format(table=table, topic=topic, devices=devices, fields=fields, logs=logs)


def _items() -> tuple[MappingItem, ...]:
    return CEF.mapping.items if CEF.mapping is not None else ()


def _table(head: tuple[str, ...], lines: Iterator[list[str]]) -> str:
    every = [list(head), ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in every)


_PAGE: Final = """# Formats: what shippers may send

Every record is told by itself, so a raw topic may carry several formats. `qorgan formats list` prints the table,
`qorgan formats detect FILE` says what a file holds, what of it is not read and why, and which settings would help:
ask it before a new shipper's topic goes live.

{table}
*Form* is what the matcher may conclude from a record's bytes; a record with escapes is looked at by its values.

A line of syslog is read as what it carries: an audit record, CEF, LEEF, a JSON object, pairs of a firewall, a web
server's line. Its own time and host complete what the inside does not say. What is broken inside stays a message.
RFC 3164 has no year: it is the one that brings the time nearest to the record's time in Kafka.

## Settings of a topic

`QORGAN_TOPICS` (or `[[topics]]` in the settings file) says of a topic what its records do not. Example: a directory of
card terminals as JSON, and a firewall whose clock is in UTC:

```toml
[[topics]]
topic = "raw.terminals"
product = "acme"
columns = {{ time = "meta.at", host = "terminal.id", user = "operator", src_ip = "net.from", category = "kind" }}

[[topics]]
topic = "raw.firewall"
timezone = "UTC"
observables = "text"
```

{topic}
`columns` takes `time`, `host`, `user`, `src_ip`, `dst_ip`, `process`, `command_line`, `domain`, and `product`,
`category`, `service`; what a record does not hold stays as its format found it. How rules find their fields is said by
`mapping`, see [rules](rules.md).

## Values without names: CSV and Zeek's tab separated logs

A record must be readable from itself and its topic's settings alone, since it is read again by other processes, and by
hunts months later. So its values are named by, in this order: its own header lines (a record of a header and one row),
the topic's `fields`, and for Zeek the log that the topic's `service` names, where the number of values is that of
Zeek's own scripts ({logs}). `qorgan publish` and `qorgan detect` put a file's header before each of its lines. Prefer
JSON from Zeek (`LogAscii::use_json = T`): it costs nothing of this.

## Devices

CEF and LEEF name vendor and product; of the lines that fit the first counts. A topic's `product` or `category` goes
before this table. A vendor in no line is a log source by its own names.

{devices}
Rules of the generic categories find their fields in CEF so (LEEF and pairs alike, `detectors/sigma/mappings/`):

{fields}
"""
