"""Sysmon, Security, Entra, VPN and auditd events of one person fall into one group, and into one finding.

Entra's sign-in is as Azure Monitor exports it, the VPN's gateway a FortiGate; that a session is used is told in JSON,
with the topic's settings as log source.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from detectors.correlation.correlator import Correlator
from pipeline import loading
from pipeline.agents.raw_to_detections import resolved
from pipeline.correlating import Gathering, Shares
from pipeline.detecting import Judgement
from pipeline.identities.versions import keep
from pipeline.loading import Loaded
from pipeline.parsers import Reader
from pipeline.settings import Settings, TopicSettings, load
from schemas.detection import Detection
from tests.builders import batch_of
from tests.identities import FILES, OBJECT, PEOPLE, SID, T0, built, kept
from tests.sigma import rule_text
from tests.triage import raised, triaged, update

MINUTE = 60_000
SYSMON = {
    "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Hostname": "WORKSTATION5.theshire.local",
    "EventTime": "2026-03-10T05:01:00Z", "User": "THESHIRE\\pgustavo", "Image": "C:\\Tools\\pay.exe",
    "CommandLine": "pay.exe /limit:0", "ProcessId": 4711,
}  # fmt: skip
SECURITY = {
    "Channel": "Security", "EventID": 4688, "Hostname": "PAY-1.theshire.local", "EventTime": "2026-03-10T05:02:00Z",
    "SubjectUserSid": SID[:-4] + "2104", "SubjectUserName": "adm-pgustavo", "SubjectDomainName": "THESHIRE",
    "NewProcessName": "C:\\Tools\\pay.exe", "NewProcessId": "0x1267",
}  # fmt: skip
ENTRA = {
    "time": "2026-03-10T05:03:00Z", "category": "SignInLogs", "operationName": "Sign-in activity", "resultType": "0",
    "resourceId": "/tenants/1/providers/Microsoft.aadiam", "callerIpAddress": "203.0.113.80",
    "properties": {
        "createdDateTime": "2026-03-10T05:03:00Z", "userPrincipalName": "P.Gustavo@bank.example", "userId": OBJECT,
        "appDisplayName": "Mail", "ipAddress": "203.0.113.80", "status": {"errorCode": 0},
    },
}  # fmt: skip
VPN = (
    'date=2026-03-10 time=10:04:00 tz="+0500" devname="vpn-1" devid="FGT-1" logid="0101039424" type="event" '
    'subtype="vpn" level="information" vd="root" logdesc="SSL VPN tunnel up" action="tunnel-up" '
    'remip=198.51.100.23 tunnelip=10.200.0.5 user="pedro.gustavo@bank.example" msg="SSL tunnel established"'
)
BEHIND_VPN = {
    "time": "2026-03-10T05:05:00Z", "device": "pay-1", "action": "session-used", "src_ip": "10.200.0.5"
}  # fmt: skip
AUDITD = (
    "node=lnx-7.unix.example type=SYSCALL msg=audit(1773119160.123:456): arch=c000003e syscall=59 success=yes exit=0 "
    "ppid=1 pid=4712 auid=1001 uid=0 gid=0 euid=0 tty=pts0 ses=3 comm=\"pay\" exe=\"/opt/pay/pay\" key=\"pay\""
)  # fmt: skip
#: Rule's name → its log source, what it looks for, and the topic and record in which it is found.
SEEN: dict[str, tuple[dict[str, str], dict[str, Any], str, Any]] = {
    "sysmon": ({"product": "windows", "service": "sysmon"}, {"Image|endswith": "\\pay.exe"}, "raw.windows", SYSMON),
    "security": ({"product": "windows", "service": "security"}, {"EventID": 4688}, "raw.windows", SECURITY),
    "entra": ({"product": "azure", "service": "signinlogs"}, {"resultType": 0}, "raw.entra", ENTRA),
    "vpn": ({"product": "fortigate", "service": "event"}, {"action": "tunnel-up"}, "raw.network", VPN),
    "behind": ({"product": "gateway", "service": "vpn"}, {"action": "session-used"}, "raw.vpn", BEHIND_VPN),
    "auditd": ({"product": "linux", "service": "auditd"}, {"exe": "/opt/pay/pay"}, "raw.linux", AUDITD),
}
CORRELATION = b"""---
title: One person on many systems
name: everywhere
level: high
tags: [attack.t1657]
correlation:
  type: temporal
  rules: [sysmon, security, entra, vpn, behind, auditd]
  group-by: [entity.user]
  timespan: 30m
  generate: true
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Loaded]:
    folder = tmp_path_factory.mktemp("bank")
    (folder / "rules").mkdir()
    texts = [
        rule_text(
            {"s": wanted, "condition": "s"},
            id=f"3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d{number}",
            name=name,
            logsource=source,
            tags=["attack.t1657"],
            level="high",
        )
        for number, (name, (source, wanted, _, _)) in enumerate(SEEN.items(), 20)
    ]
    (folder / "rules" / "all.yml").write_bytes(b"---\n".join(texts) + CORRELATION)
    topics = (TopicSettings(topic="raw.vpn", product="gateway", service="vpn"),)
    settings = load(rules=(folder / "rules",), state_dir=folder / "state", topics=topics, identities=kept(folder))
    return settings, loading.load(settings)


def judged(bank: tuple[Settings, Loaded]) -> list[Judgement]:
    settings, loaded = bank
    reader, found = Reader(settings), []
    for offset, (_, _, topic, record) in enumerate(SEEN.values()):
        value = record.encode() if isinstance(record, str) else orjson.dumps(record)
        reading = reader.read(batch_of(value, first=offset, topic=topic, timestamp=T0 + 10 * MINUTE))
        assert not reading.dead
        found.append(loaded.decide.judge("log", topic, 0, reading.events))
    return found


def detections(found: Sequence[Judgement]) -> list[Detection]:
    return [one for each in found for one in each.detections]


def test_events_of_one_person_from_everywhere_are_one_group(bank: tuple[Settings, Loaded]) -> None:
    found = judged(bank)
    assert {one.group for each in found for one in each.contributions} == {"pgustavo"}
    _, loaded = bank
    gathering = Gathering(loaded.decide.correlations, loaded.decide.attribution, "raw.events")
    for each in found:
        gathering.take(Shares(list(each.contributions), each.dropped))
    (row,) = gathering.rows()
    assert (row["title"], row["events"], row["matched"]) == (
        "One person on many systems",
        len(SEEN),
        {"entity.user": "pgustavo"},
    )


def test_they_are_one_finding_and_one_incident(bank: tuple[Settings, Loaded]) -> None:
    found = detections(judged(bank))
    assert len(found) == len(SEEN)
    assert len({one.finding.id for one in found if one.finding}) == 1
    (incident,) = raised(triaged(update(*found)))
    assert "user:pgustavo" in incident.entities


def test_each_says_how_it_knows_and_keeps_the_raw_name(bank: tuple[Settings, Loaded]) -> None:
    told = {}
    for name, one in zip(SEEN, detections(judged(bank)), strict=True):
        assert one.who is not None
        told[name] = (one.user, one.who.user.how if one.who.user else "")
    assert told == {
        "sysmon": ("THESHIRE\\pgustavo", "upn"),
        "security": ("adm-pgustavo", "sid"),
        "entra": ("P.Gustavo@bank.example", "upn"),
        "vpn": ("pedro.gustavo@bank.example", "mail"),
        "behind": ("", ""),
        "auditd": ("1001", "number"),
    }
    again = Detection.from_bytes(detections(judged(bank))[1].to_bytes())
    assert again.who is not None
    assert again.who.asset is not None
    assert (again.who.asset.criticality, again.who.asset.processes) == ("critical", ("cards",))


def test_what_a_correlation_says_of_them_names_the_asset(bank: tuple[Settings, Loaded]) -> None:
    settings, loaded = bank
    gathered = Correlator(loaded.decide.correlations)
    for each in judged(bank):
        gathered.feed([one._replace(lane="log/raw.events/0") for one in each.contributions])
    (verdict,) = (one for one in gathered.finish() if one.state == "closed")
    said = loading.correlating(settings).detection(verdict, T0)
    assert said.entities[1] == "user:pgustavo"
    assert said.who is not None
    assert said.who.asset is not None
    assert (said.who.asset.name, said.who.asset.criticality) == ("workstation5.theshire.local", "low")


def test_metrics_count_how_they_were_resolved(bank: tuple[Settings, Loaded]) -> None:
    counted = resolved(detections(judged(bank)))
    assert counted["user", "number"] == counted["user", "mail"] == 1
    assert counted["source", "hub"] == counted["source", "lease"] == counted["source", "unknown"] == 1
    assert sum(count for (part, _), count in counted.items() if part == "user") == len(SEEN) - 1


def test_a_later_snapshot_rewrites_no_verdict_of_the_past(bank: tuple[Settings, Loaded], tmp_path: Path) -> None:
    settings, _ = bank
    folder = kept(tmp_path)
    settings = settings.model_copy(update={"identities": folder})
    before = judged((settings, loading.load(settings)))
    later = datetime.fromtimestamp((T0 + 60 * MINUTE) / 1_000, UTC)
    renamed = {"ad.csv": (FILES["ad.csv"][0], PEOPLE.replace("pgustavo", "pg"))}
    keep(built(tmp_path / "later", renamed), folder, later, later, 100, shrunk=True)
    loaded = loading.load(settings)
    again = judged((settings, loaded))
    assert [one.to_bytes() for one in detections(again)] == [one.to_bytes() for one in detections(before)]
    assert [each.contributions for each in again] == [each.contributions for each in before]
    reading = Reader(settings).read(batch_of(orjson.dumps(SYSMON), topic="raw.windows", timestamp=T0 + 61 * MINUTE))
    (fresh,) = loaded.decide.detect("log", "raw.windows", 0, reading.events)
    assert fresh.entities == ("host:workstation5", "user:pgustavo")
    old = detections(before)[0].who
    assert fresh.who is not None
    assert fresh.who.user is not None
    assert old is not None
    assert fresh.who.snapshot != old.snapshot
    assert fresh.who.user.how == "unknown"


def test_without_a_snapshot_they_are_six_strangers_less_one(bank: tuple[Settings, Loaded], tmp_path: Path) -> None:
    settings, _ = bank
    bare = settings.model_copy(update={"identities": None, "state_dir": tmp_path})
    found = detections(judged((bare, loading.load(bare))))
    people = {name for one in found for name in one.entities if name.startswith("user:")}
    assert len(people) == 5
    assert all(one.who is None for one in found)
