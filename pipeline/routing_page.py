"""The page `routing.md`: which log sources are carried, by whom and in which words, rendered from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Final, Literal, NamedTuple

from detectors.sigma.activities import ACTIVITY_FIELDS
from detectors.sigma.mapping import Told
from detectors.sigma.providers import ANYWHERE, CARRIED, LINUX, SYSMON_EVENTS, WINDOWS_CATEGORIES, Place, providers
from detectors.sigma.routing import ECS_SOURCES, carried
from detectors.sigma.rule import LogSource
from schemas.activity import SPAN_MS

Status = Literal["carried", "by map", "not"]

#: Each shape that a mapping or a parser of ours takes to Sigma's names: where it is done.
MAPPINGS: Final = (
    ("NXLog, flat JSON", "told by `EventID` beside a channel", "`pipeline/parsers/nxlog.py`"),
    ("EVTX as JSON, and binary in files", "told by `Event.System`", "`pipeline/parsers/evtx.py`"),
    ("Winlogbeat, Elastic Agent on Windows", "told by `winlog`", "`pipeline/parsers/winlogbeat.py`"),
    ("Vector's `windows_event_log`", "told by `event_id`, `channel`", "`pipeline/parsers/collectors.py`"),
    ("OpenTelemetry's `windowseventlog`", "told by `event_id.id`", "`pipeline/parsers/collectors.py`"),
    ("Fluent Bit, Fluentd on Windows", "told by `StringInserts`, `ProviderName`", "`pipeline/parsers/fluent.py`"),
    ("other flat Windows events", "told by names for `EventID` and a channel", "`pipeline/parsers/fluent.py`"),
    ("journald", "told by `_BOOT_ID`, `SYSLOG_IDENTIFIER`", "`pipeline/parsers/journald.py`"),
    ("auditd", "told by `type=… audit(…)`, also in syslog", "`pipeline/parsers/auditd.py`; [auditd.md](auditd.md)"),
    ("laurel, go-audit", "told by `ID`; by `sequence` and `messages`", "`pipeline/parsers/audit_shippers.py`"),
    ("Auditbeat", "told by `auditd.data`", "`pipeline/parsers/audit_shippers.py`"),
    ("ECS (Elastic's agents, Filebeat)", "told by `ecs` or `event.category`", "`detectors/sigma/mappings/ecs.yml`"),
    ("OCSF 1.x", "told by `class_uid`", "`detectors/sigma/mappings/ocsf.yml`"),
    ("Zeek", "told by `uid` and `id.orig_h`, or `_path`", "`pipeline/parsers/zeek.py`, names by provider"),
    ("Suricata", "told by `event_type`", "`pipeline/parsers/suricata.py`, names by provider"),
    (
        "CEF, LEEF, pairs of firewalls",
        "told by `CEF:`, `LEEF:`, `key=value`; see [formats](formats.md)",
        "`detectors/sigma/mappings/`, log source by `pipeline/parsers/devices.py`",
    ),
    ("Cisco, Huawei", "told by `%FACILITY-5-MNEMONIC`", "`pipeline/parsers/cisco.py`"),
    ("Access logs, error logs of web servers", "told by their time", "`pipeline/parsers/access.py`"),
    ("CloudTrail", "told by `eventSource`, `eventName`", "`detectors/sigma/mappings/cloudtrail.yml`"),
    ("Kubernetes audit", "told by `audit.k8s.io`", "`detectors/sigma/mappings/kubernetes.yml`"),
    ("Microsoft 365", "told by `Operation`, `Workload`", "`detectors/sigma/mappings/microsoft365.yml`"),
    ("Entra ID, Azure", "told by `operationName`, or Graph's names", "`detectors/sigma/mappings/azure.yml`"),
    ("Okta", "told by `eventType`, `actor`", "`pipeline/parsers/okta.py`"),
    ("Google Cloud and Workspace", "told by `protoPayload`", "`detectors/sigma/mappings/google.yml`"),
    ("GitHub, Bitbucket, Duo, OneLogin, OpenCanary", "told by their own names", "`pipeline/parsers/services.py`"),
)


class Known(NamedTuple):
    """A log source that SigmaHQ's rules use, and by how many."""

    source: LogSource
    rules: int


def sigmahq() -> list[Known]:
    """SigmaHQ's log sources, as the table lists them."""
    text = resources.files("detectors.sigma").joinpath("sigmahq.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return [Known(LogSource(product, category, service), int(rules)) for product, category, service, rules in rows]


def status(source: LogSource) -> Status:
    """`carried`: some parser gives such records in Sigma's words; `by map`: in others; `not`: settings must name it."""
    if not carried(source):
        return "not"
    known = providers(source)
    own = source in CARRIED or (not known and source not in ECS_SOURCES)
    return "carried" if own or any(not place.names for place in known) else "by map"


def by(source: LogSource) -> str:
    """Who gives such records."""
    known = [place.title or place.service or place.category for place in providers(source)]
    if known:
        return ", ".join(dict.fromkeys(known))
    if source in ECS_SOURCES:
        return "ECS"
    if not carried(source):
        return "a topic whose settings name it"
    return "every event of the product" if not source.service and not source.category else "the parser"


def page() -> str:
    """The whole page."""
    known = sigmahq()
    counts = {each: sum(status(source) == each for source, _ in known) for each in ("carried", "by map", "not")}
    rules = {each: sum(n for source, n in known if status(source) == each) for each in counts}
    summary = ", ".join(f"{counts[each]} {each} ({rules[each]:,} rules)" for each in counts)
    return f"""# Routing: which rule looks at which event

A rule names a log source, an event comes from a source (product, category, service; on Windows the channel and the
event's number). Every rule looks at the source it names literally, and at the *providers* of the tables below: places
where such events really stand, each with its own names and values. Maps are worked into a rule when a route is
compiled; an event costs nothing more for them. A mapped value counts in both spellings: `IntegrityLevel: High` also
finds `S-1-16-12288`, and a rule that says `S-1-16-12288` finds it too.

A rule that names no product looks at the providers of all products, one that names a category and a service at those
that are both. About a record whose log source neither its shape nor `QORGAN_TOPICS` tells, a worker asks no rule;
`qorgan detect` asks every rule, and says how many such lines there were.

`qorgan rules coverage` says for each rule and provider what that means: **full**; **narrower**, where an alternative
asks for a field that the provider lacks; **weaker**, where a filter does (likelier false positives); or **cannot
fire**. Given recordings, or `--store DAYS`, it also names fields that never came and log sources that are silent.

## Providers of the generic categories

A field that is listed nowhere in a row has Sigma's own name. *Absent*: what Sysmon gives of the category and this
provider does not.

{_table(("category", "provider", "in other words", "absent"), _provider_rows())}
`read as` a path: `\\Device\\HarddiskVolume2\\…` and `\\??\\C:\\…` as `C:\\…` (a volume's number tells no letter); as an
account: `DOMAIN\\name`, the name alone, and `NT AUTHORITY\\SYSTEM` by its SID; as registry: key and value's name with
`HKLM`, `HKU`, `HKCR`, `CurrentControlSet`; as details: `DWORD (0x00000001)`; as hex: also in decimal; as program:
`exe`, else the first argument, as typed; as extension: the ending of the file in an address.

## One activity, two providers

A program's start can stand in Sysmon 1 and in Security 4688. When these fields and the host are equal and the times
at most {SPAN_MS // 1000} s apart, a rule that finds both counts once; both detections stay as evidence.

{_table(("category", "fields"), ((f"`{name}`", _code(fields)) for name, fields in ACTIVITY_FIELDS.items()))}
## Shapes that are known by themselves

{_table(("shape", "how it is known", "where it is mapped"), iter(MAPPINGS))}
A record on a topic is one event. Clouds also write documents that hold many (`{{"Records": [ … ]}}`, `records`, an
`EventList`, an array): `qorgan detect` and `qorgan publish` take files of them apart, on a topic they are refused
whole, as dead letters by the reason `shape`. Take them apart in the shipper: `unnest` of Vector, `split` of Logstash,
`expand_event_list_from_field` of Filebeat. Binary EVTX files are read by the same two commands.

Names with blanks stand without them too (`Threat Name`, `ThreatName`), channels are compared in lower case, a program
in syslog may stand with its folder.

## To add a shipper

1. Its records are one of the shapes above: nothing to do. Try with `qorgan detect FILE --topic TOPIC`.
2. It sends other JSON: name the log source and the mapping of its topic in the settings, and see with
   `qorgan rules coverage FILE --topic TOPIC` which fields never come:

   ```
   QORGAN_TOPICS='[{{"topic": "raw.edr", "product": "windows", "category": "process_creation", "mapping": "edr.yml"}}]'
   ```

   `mapping` is `ecs`, or a file: a pySigma processing pipeline. Only `field_name_mapping` is carried out, for all rules
   or under `rule_conditions` of the type `logsource`; any other transformation is refused by name when a worker starts,
   because without it a rule would mean something else. A list of names means one of them. Mappings are read at start.

   ```yaml
   name: our EDR
   transformations:
     - type: field_name_mapping
       mapping: {{Image: proc.path, CommandLine: proc.cmd, User: [proc.user, proc.owner]}}
       rule_conditions: [{{type: logsource, category: process_creation}}]
   ```

3. It gives a generic category that others give too, in every bank: add a provider, a line in
   `detectors/sigma/providers.py`, and, when it may double another, the fields that tell an activity in
   `detectors/sigma/activities.py`. Values of a closed list are a map; for others add a reading with what its plain
   fields must then hold to `detectors/sigma/readings.py`. The tests compare every reading with plain evaluation.

## SigmaHQ's {len(known)} log sources

{summary}. *By map*: only through names or values of a provider, or ECS. *Not*: when a topic's settings name it.

{_table(("product", "category", "service", "rules", "state", "from"), _source_rows(known))}"""


def _provider_rows() -> Iterator[tuple[str, ...]]:
    for product, table in (("windows", WINDOWS_CATEGORIES),):
        for category, found in table.items():
            yield from _rows(f"{product} {category}", category, found)
    for (category, _), found in LINUX.items():
        if category:
            yield from _rows(f"linux {category}", category, found)
    for (category, service), found in ANYWHERE.items():
        yield from _rows(category or service, "", found)


def _rows(label: str, category: str, found: Sequence[Place]) -> Iterator[tuple[str, ...]]:
    full = frozenset(SYSMON_EVENTS[category][1].split()) if category in SYSMON_EVENTS else frozenset()
    seen = set()
    for place in found:
        if place.title and place.title not in seen:
            seen.add(place.title)
            told = ", ".join(f"`{name}` ← {_told(each)}" for name, each in place.names.items())
            yield f"`{label}`", place.title, told, _code(sorted(full - place.fields))


def _told(told: Told) -> str:
    if told.reading:
        return f"`{told.name}` read as {told.reading}"
    values = ", ".join(f"{raw}={said}" for raw, said in told.values.items())
    return f"`{told.name}` ({values})" if values else f"`{told.name}`"


def _source_rows(known: Sequence[Known]) -> Iterator[tuple[str, ...]]:
    for source, rules in known:
        yield (*source, str(rules), status(source), by(source))


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
