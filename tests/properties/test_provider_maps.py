"""A provider's names, values and readings: the engine on its raw events equals the rule on events in Sigma's words."""

from __future__ import annotations

import random
from datetime import UTC
from typing import Any

import orjson
import pytest

from detectors.sigma.engine import Engine
from detectors.sigma.fields import View, elements, fold, pick, text_of
from detectors.sigma.mapping import Names, Told
from detectors.sigma.predicates import predicate
from detectors.sigma.providers import Place, providers
from detectors.sigma.readings import READINGS
from detectors.sigma.rule import LogSource, Node, Rule
from schemas.event import Source
from schemas.severity import Severity
from tests.sigma import WRITERS, event, pairs, plain_pairs

#: Log source → the place whose maps are tried, and values that its fields may hold, in its own words.
RAW: dict[LogSource, dict[str, list[Any]]] = {
    LogSource("windows", "process_creation"): {
        "NewProcessName": ["C:\\Windows\\System32\\whoami.exe", "\\Device\\HarddiskVolume2\\Temp\\a:b.exe", "", "-"],
        "ParentProcessName": ["\\??\\D:\\Tools\\x.exe", "c:\\windows\\explorer.exe", "Ж:\\а.exe"],
        "NewProcessId": ["0x1a4", "0X1A4", "420", 420, "0xzz"],
        "ProcessId": ["0x4", "0x1a4"],
        "MandatoryLabel": ["S-1-16-12288", "S-1-16-16384", "S-1-16-8192", "s-1-16-0"],
        "SubjectUserName": ["WS1$", "dana", "-"],
        "SubjectDomainName": ["BANK", "-"],
        "SubjectUserSid": ["S-1-5-18", "S-1-5-21-1"],
        "TargetUserName": ["-", "aigerim"],
        "TargetDomainName": ["BANK"],
        "CommandLine": ["whoami /all", ""],
    },
    LogSource("windows", "network_connection"): {
        "Application": ["\\device\\harddiskvolume2\\windows\\notepad.exe", "System", "C:\\x.exe"],
        "Direction": ["%%14592", "%%14593"],
        "Protocol": ["6", 17, "1"],
        "SourceAddress": ["10.0.0.1"],
        "DestAddress": ["::ffff:8.8.8.8", "8.8.8.8"],
        "DestPort": ["88", 443],
    },
    LogSource("windows", "registry_set"): {
        "ObjectName": [
            "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Control\\Lsa",
            "\\REGISTRY\\MACHINE\\SOFTWARE\\Classes\\ms-settings",
            "\\REGISTRY\\USER\\S-1-5-21-1\\Software\\Run",
        ],
        "ObjectValueName": ["RunAsPPL", "-", "a\\b", ""],
        "OperationType": ["%%1904", "%%1905", "%%1906"],
        "NewValueType": ["%%1876", "%%1873", "%%1883", "%%1875"],
        "NewValue": ["1", "0x10", "cmd.exe", 1, "18446744073709551615"],
        "ProcessName": ["C:\\Windows\\regedit.exe", "\\Device\\HarddiskVolume1\\Windows\\regedit.exe"],
    },
    LogSource("linux", "process_creation"): {
        "type": ["EXECVE", "SYSCALL", "PATH"],
        "SYSCALL": ["execve", "open"],
        "exe": ["/usr/bin/curl", "/tmp/x/curl"],
        "a0": ["curl", "/bin/sh", "./x"],
        "CommandLine": ["curl http://x", "sh -c id"],
    },
    LogSource("", "proxy"): {
        "uri": ["/a/b.exe?x=1", "/a.b/c", "/x.dll#f"],
        "host": ["bad.example", ""],
        "status_code": [200, "404"],
        "id.resp_h": ["10.1.2.3"],
    },
}
SOURCES = {
    LogSource("windows", "process_creation"): Source("windows", "", "security", 4688),
    LogSource("windows", "network_connection"): Source("windows", "", "security", 5156),
    LogSource("windows", "registry_set"): Source("windows", "", "security", 4657),
    LogSource("linux", "process_creation"): Source("linux", "", "auditd"),
    LogSource("", "proxy"): Source("zeek", "", "http"),
}
#: Parts of values in Sigma's words, and in the providers'.
TEXTS = (  # noqa: SIM905 - a list of fifty quoted words is harder to read
    "c:\\windows\\system32\\whoami.exe|\\whoami.exe|c:\\temp\\a:b.exe|a:b|d:\\tools|\\device\\|high|system|s-1-16-12288|"
    "medium|420|bank\\dana|dana|nt authority\\system|aigerim|ws1$|c:\\windows|:\\windows|c:|true|false|tcp|udp|6|"
    "hklm\\system\\currentcontrolset\\control\\lsa\\runasppl|\\currentcontrolset\\control|control\\lsa\\|\\runasppl|"
    "hkcr\\ms-settings|hklm\\software\\classes|\\a\\b|dword (0x00000001)|dword (|0x00000010|binary data|cmd|setvalue|"
    "qword (0xffffffff-0xffffffff)|/curl|/usr/bin/|/bin/sh|curl|sh -c|exe|dll|.exe|bad.example|-|а.exe|ж:\\|whoami"
).split("|")


def place_of(source: LogSource) -> Place:
    """The provider of these events."""
    raw = SOURCES[source]
    (found,) = [
        place
        for place in providers(source)
        if (place.product, place.service) == (raw.product, raw.service)
        and (not place.event_ids or raw.event_id in place.event_ids)
    ]
    return found


def in_sigmas_words(fields: dict[str, Any], names: Names) -> dict[str, Any]:
    """The event as Sysmon could have written it: each mapped field with all its spellings."""
    said = dict(fields)
    for name, told in names.items():
        said[name] = spellings(fields, told)
    return {name: value for name, value in said.items() if value != []}


def spellings(fields: dict[str, Any], told: Told) -> list[Any]:
    """Every spelling in which a field counts."""
    if told.reading:
        return list(READINGS[told.reading].read(fields, told.name))
    raw = [item for item in elements(pick(fields, told.name)) if item is not None]
    by_text = {key.lower(): said for key, said in told.values.items()}
    return [*raw, *(by_text[text.lower()] for item in raw if (text := text_of(item)) and text.lower() in by_text)]


def holds(tree: Node, view: View) -> bool:
    """The rule itself, leaf by leaf."""
    if tree[0] == "and":
        return all(holds(child, view) for child in tree[1:])
    if tree[0] == "or":
        return any(holds(child, view) for child in tree[1:])
    return not holds(tree[1], view) if tree[0] == "not" else predicate(tree, UTC)(view)


def leaves(source: LogSource) -> list[Node]:
    """Every field of a provider against every text, in every way; and what is no text."""
    names = [*place_of(source).names, *(name for name in ("CommandLine", "host") if name in RAW[source])]
    found: list[Node] = []
    for name in names:
        texts = telling(source, name)
        found += [[kind, name, [text], False] for text in texts for kind in ("eq", "starts", "ends", "has")]
        found += [["like", name, [[0, text, 0]], False] for text in texts]
        found += [["re", name, pattern, "i"] for pattern in ("exe$", "^C:", "0x0+1", "high")]
        found += [["num", name, [420, 4, 6]], ["cmp", name, "gt", 5], ["null", name], ["exists", name, True]]
        found += [["exists", name, False], ["has", name, ["nothing", *TEXTS[:5]], False]]
    references: list[Node] = [["ref", a, b, False, True, False] for a in names for b in names if _read(source, a, b)]
    return found + references


def telling(source: LogSource, name: str) -> list[str]:
    """The texts that a field may hold, and a few that it does not."""
    told = place_of(source).names.get(name, Told(name))
    values = {fold(str(value)) for fields in raw_events(source, 100) for value in spellings(fields, told)}
    held = [text for text in TEXTS if any(text in value for value in values)]
    return [*held, *(text for text in TEXTS if text not in held)][: len(held) + 4]


def _read(source: LogSource, *names: str) -> bool:
    """Whether these are names or readings: closed lists of values are not compared with one another."""
    told = place_of(source).names
    return all(name in told and not told[name].values for name in names)


def raw_events(source: LogSource, count: int) -> list[dict[str, Any]]:
    """Events in the provider's words, each field present in most."""
    draw = random.Random(20261123)
    fields = RAW[source].items()
    return [{name: draw.choice(values) for name, values in fields if draw.random() < 0.85} for _ in range(count)]


@pytest.mark.parametrize("source", RAW)
def test_a_rule_in_a_providers_words_finds_what_it_finds_in_sigmas(source: LogSource) -> None:
    place, trees = place_of(source), leaves(source)
    trees += [["not", tree] for tree in trees[::7]] + [
        ["and", a, b] for a, b in zip(trees[::5], trees[3::5], strict=False)
    ]
    rules = [
        Rule(str(number), "", Severity.LOW, (), source, "", "", "", orjson.dumps(tree))
        for number, tree in enumerate(trees)
    ]
    engine, writers = Engine(rules), list(WRITERS.values())
    events, wanted = [], []
    for at, fields in enumerate(raw_events(source, 14)):
        raw = writers[at % len(writers)](fields)
        events.append(event(orjson.loads(raw), SOURCES[source], raw=raw))
        if place.when is None or holds(place.when, View(fields)):
            view = View(in_sigmas_words(fields, place.names))
            wanted += [(at, str(number)) for number, tree in enumerate(trees) if holds(tree, view)]
    assert len(wanted) > 90
    found = pairs(engine, events)
    assert sorted(found) == sorted(wanted)
    assert found == plain_pairs(engine, events)


@pytest.mark.parametrize("source", RAW)
def test_every_map_that_stands_in_the_table_is_tried(source: LogSource) -> None:
    assert {told.name for told in place_of(source).names.values()} & set(RAW[source])
