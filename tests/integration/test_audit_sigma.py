"""SigmaHQ's rules for Linux find in joined audit records what they find in the same told by Sysmon for Linux.

For each rule an activity is made that it asks for, and told in both ways; what all rules find must be the same.
"""

from __future__ import annotations

import json
import random
import tarfile
from typing import Any

import pytest

from detectors.audit.join import Joins
from detectors.sigma.engine import Engine
from detectors.sigma.rule import Node, Rule
from pipeline.joining import joined_rules
from pipeline.parsers.audit_joined import event_of
from pipeline.rules import LoadedRules, load_rules
from schemas.event import Event
from tests.audit import connected, parts, started, written
from tests.integration.test_sigma_recordings import read, shared

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]

CATEGORIES = {"process_creation": 1, "network_connection": 3, "file_event": 11}
TRIES = 40
Wishes = dict[str, list[tuple[str, str]]]


def wish(node: Node, chance: random.Random, wishes: Wishes) -> None:
    """Fields and texts of one way in which a condition holds; what it must not hold is left to luck."""
    kind = node[0]
    if kind == "and":
        for child in node[1:]:
            wish(child, chance, wishes)
    elif kind == "or":
        wish(chance.choice(node[1:]), chance, wishes)
    elif kind in ("eq", "starts", "ends", "has") and node[1]:
        wishes.setdefault(node[1], []).append((kind, chance.choice(node[2])))
    elif kind == "like" and node[1]:
        text = "".join(part if isinstance(part, str) else "x" for part in chance.choice(node[2]))
        wishes.setdefault(node[1], []).append(("has", text))
    elif kind == "num":
        wishes.setdefault(node[1], []).append(("eq", str(chance.choice(node[2]))))


def granted(wishes: list[tuple[str, str]], between: str) -> str:
    """A text of which all this holds, if one can."""
    said = {kind: [text for each, text in wishes if each == kind] for kind in ("eq", "starts", "has", "ends")}
    if said["eq"]:
        return said["eq"][0]
    inner = [text for text in said["has"] if not any(text in other for other in (*said["starts"], *said["ends"]))]
    return between.join([*said["starts"], *inner, *said["ends"]])


def told(rule: Rule, chance: random.Random) -> tuple[Event, Event] | None:
    """The same activity, by Sysmon for Linux and by the audit system; None for what no kernel could write."""
    wishes: Wishes = {}
    wish(rule.tree, chance, wishes)
    said = {name: granted(some, " " if name == "CommandLine" else "") for name, some in wishes.items()}
    category = rule.logsource.category
    image = said.get("Image") or "/opt/x/y"
    image = image if image.startswith("/") else f"/{image}"
    common: dict[str, Any] = {"Image": image, "User": "root", "LogonId": "0"}
    if category == "process_creation":
        line, folder = said.get("CommandLine") or image, said.get("CurrentDirectory") or "/opt"
        common |= {"CommandLine": line, "CurrentDirectory": folder}
        parent, typed = said.get("ParentImage") or "/opt/p", said.get("ParentCommandLine") or "/opt/p"
        common |= {"ParentImage": parent, "ParentCommandLine": typed, "ParentProcessId": "20001"}
        records = [
            *started(1, typed.split(" "), exe=parent),
            *started(2, line.split(" "), exe=image, cwd=folder, ppid=20_001),
        ]
    elif category == "file_event":
        name = said.get("TargetFilename", "")
        name = name if name.startswith("/") else f"/{name}"
        common |= {"TargetFilename": name}
        records = written(1, name, exe=image)
    else:
        port = int(said.get("DestinationPort", "443"))
        common |= {"Initiated": "true", "DestinationIp": "203.0.113.9", "DestinationPort": str(port)}
        records = connected(1, f"0200{port:04X}CB0071090000000000000000", exe=image)
    sysmon = {"Channel": "Linux-Sysmon/Operational", "EventID": CATEGORIES[category], "Hostname": "srv01"}
    time = {"EventTime": "2026-10-11T17:14:15.003Z"}
    (plain,) = read([json.dumps(sysmon | time | common).encode()])
    joins = Joins(parents=True)
    event = event_of([*joins.take(parts(*records)), *joins.finish()][-1])
    return (plain, event) if event is not None else None


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> LoadedRules:
    folder = tmp_path_factory.mktemp("sigma")
    with tarfile.open(shared() / "sigmahq-rules.tar.xz") as archive:
        mine = [member for member in archive if "/linux/" in member.name or "_lnx_" in member.name]
        archive.extractall(folder, members=mine, filter="data")
    return load_rules([folder])


def test_what_sysmon_shows_the_joined_view_shows(linux: LoadedRules) -> None:
    rules = joined_rules(linux.rules)
    engine, chance = Engine(rules), random.Random(1)
    assert sum(rule.logsource.category == "process_creation" for rule in rules) >= 144
    found: set[str] = set()
    for rule in rules:
        for _ in range(TRIES):
            pair = told(rule, chance)
            if pair is None:
                continue
            sysmon, audit = ({match.rule.id for match in engine.match([one])} for one in pair)
            assert audit == sysmon, (rule.title, pair[1].fields)
            found |= audit
            if rule.id in audit:
                break
    assert len(found) >= 150, "the others ask for names of hosts, or patterns that are not made here"
