"""A hunt finds in the store what the stream would have found, by the same ids, and reads no more than it must."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from detectors.ioc.lookback import LookBack
from detectors.ioc.match import IndicatorIndex
from detectors.ioc.observables import take_path
from detectors.sigma.engine import Engine
from detectors.triage.attribution import Attribution
from pipeline import topics
from pipeline.delivery import Outgoing
from pipeline.detecting import DetectionSet
from pipeline.embedded.children import Broker, Store
from pipeline.event_list import load_event_list
from pipeline.hunts.hunt import HuntProgress, HuntSummary, Search, chunks, clients, hunt
from pipeline.hunts.past import Past
from pipeline.indicators import load_indicators
from pipeline.parsers import Reader, Reading
from pipeline.settings import Settings
from pipeline.storing import open_store
from schemas.detection import Detection
from schemas.event import RecordBatch, Source
from schemas.identity import Origin
from sinks.clickhouse.ledger import Chain, Claim
from sinks.clickhouse.rows import EventColumns
from tests.builders import FakeRecord
from tests.embedded import client

pytestmark = pytest.mark.flow

#: The store forgets by its own clock, so these tests live in the present; at noon, so that a day is a day.
NOW_MS = int(time.time()) // 86_400 * 86_400_000 + 43_200_000
TODAY = datetime.fromtimestamp(NOW_MS / 1000, UTC).date()
LONG_AGO = date(2020, 1, 1)
DAY_MS = 86_400_000


class FakeDelivery:
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.sent: list[Detection] = []

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        assert topic == "detections"
        self.sent += [Detection.from_bytes(record.value) for record in records]


class WideReader(Reader):
    """Also takes the paths of programs, whatever the formats' tables name."""

    def read(self, batch: RecordBatch) -> Reading:
        reading = super().read(batch)
        for event in reading.events:
            found = set(event.observables)
            take_path(event.process, found)
            event.observables = tuple(sorted(found))
        return reading


class StoredBank:
    """A store of its own database, filled as a storer fills it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reader = WideReader(settings)
        self.batches: list[RecordBatch] = []
        self._store = open_store(settings)
        self._store.check()

    def store(self, *values: bytes, first: int, log: str = "log0", received: int = NOW_MS) -> RecordBatch:
        """One block of records, a second apart, received at one time."""
        records = [FakeRecord(first + n, value, received - 60_000 + n * 1000) for n, value in enumerate(values)]
        batch = RecordBatch(log, "raw.events", 0, first, first + len(records), records)
        columns = EventColumns()
        columns.add(batch, self.reader.read(batch), [hashlib.sha256(value).digest() for value in values])
        chain = Chain(log, batch.topic, 0)
        claim = Claim(chain, first, batch.next - 1, len(records), "", "", received, "test", "test")
        for table, rows in columns.tables(claim).items():
            self._store.insert(table, rows, claim.token(table))
        self.batches.append(batch)
        return batch

    def decide(self, indicators: Path) -> DetectionSet:
        index: IndicatorIndex = load_indicators([indicators]).index
        return DetectionSet(Engine(()), index, Attribution(load_event_list(None)))

    async def hunt(
        self, indicators: Path, since: date = LONG_AGO, progress: Any = None
    ) -> tuple[HuntSummary, list[Detection]]:
        delivery = FakeDelivery()
        past = Past(clients(self.settings), self.settings.database)
        search = Search(past, self.reader, self.decide(indicators), LookBack())
        return await search.run(delivery, since, TODAY, progress), delivery.sent


@pytest.fixture
def bank(embedded_store: Store, tmp_path: Path) -> Iterator[StoredBank]:
    name = "hunt_" + hashlib.md5(str(tmp_path).encode()).hexdigest()[:12]
    yield StoredBank(Settings(clickhouse=embedded_store.url, database=name, events_days=400))
    client(embedded_store).command(f"DROP DATABASE `{name}` SYNC")


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    file = tmp_path / "new.csv"
    file.write_text(
        "type,value,title,valid_from\n"
        "domain,evil.example,Control server,2099-01-01\n"
        f"md5,{'ab' * 16},Dropper,\n"
        "ip,203.0.113.7,Exit node,\n"
        "domain,never-seen.example,,\n"
    )
    return file


def dns(host: str, name: str) -> bytes:
    fields = {"EventID": 22, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": host, "QueryName": name}
    return orjson.dumps(fields)


def connection(source: str, target: str) -> bytes:
    head = {"timestamp": "-", "event_type": "flow", "flow_id": 1}
    return orjson.dumps(head | {"src_ip": source, "dest_ip": target})


def image(host: str, digest: str, imports: str = "0" * 32) -> bytes:
    fields = {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": host}
    return orjson.dumps(fields | {"Hashes": f"MD5={digest.upper()},IMPHASH={imports}"})


def started(host: str, path: str) -> bytes:
    fields = {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": host, "Image": path}
    return orjson.dumps(fields)


def quiet(count: int) -> list[bytes]:
    return [dns(f"ws-{n:03}", f"host{n}.bank.example") for n in range(count)]


async def test_a_hunt_gives_the_streams_ids_and_marks_them_retrospective(bank: StoredBank, wanted: Path) -> None:
    bank.store(*quiet(3), dns("ws-007", "cdn.Evil.example."), image("ws-008", "ab" * 16), first=0)
    bank.store(connection("10.0.0.5", "203.0.113.7"), *quiet(2), first=5, log="log1", received=NOW_MS - 40 * DAY_MS)
    summary, found = await bank.hunt(wanted)
    decide = bank.decide(wanted)
    expected = {
        decide.of_indicator(_origin(batch, event.offset), event, match).id
        for batch in bank.batches
        for events in [bank.reader.read(batch).events]
        for match in decide.indicators.match(events, LookBack())
        for event in [events[match.index]]
    }
    assert len(expected) == 3
    assert {one.id for one in found} == expected
    assert all(one.retrospective for one in found)
    assert {one.title for one in found} == {"Control server", "Dropper", "Exit node"}
    assert {(one.log, one.offset) for one in found} == {("log0", 3), ("log0", 4), ("log1", 5)}
    assert (summary.detections, summary.blocks, summary.days) == (3, 2, 2)
    assert len(summary.found) == 3


async def test_an_indicator_counts_before_its_valid_from_in_a_hunt_alone(bank: StoredBank, wanted: Path) -> None:
    batch = bank.store(dns("ws-001", "evil.example"), first=0)
    stream = bank.decide(wanted).detect("log0", "raw.events", 0, bank.reader.read(batch).events)
    _, hunted = await bank.hunt(wanted)
    assert stream == []
    assert [one.title for one in hunted] == ["Control server"]


async def test_run_twice_a_hunt_delivers_the_same_ids(bank: StoredBank, wanted: Path) -> None:
    bank.store(dns("ws-001", "a.evil.example"), image("ws-002", "ab" * 16), first=0)
    _, once = await bank.hunt(wanted)
    _, again = await bank.hunt(wanted)
    assert sorted(one.id for one in once) == sorted(one.id for one in again)
    assert len(once) == 2


async def test_only_events_that_can_hold_the_value_are_read(bank: StoredBank, wanted: Path) -> None:
    bank.store(*quiet(500), dns("ws-900", "evil.example"), *quiet(500), first=0)
    summary, found = await bank.hunt(wanted)
    assert len(found) == 1
    assert summary.events == 1


async def test_events_without_a_host_are_read_too(bank: StoredBank, wanted: Path) -> None:
    bank.store(connection("10.0.0.5", "203.0.113.7"), dns("ws-001", "evil.example"), first=0)
    _, found = await bank.hunt(wanted)
    assert len(found) == 2


async def test_a_value_on_more_hosts_than_are_listed_is_found_on_all(bank: StoredBank, wanted: Path) -> None:
    bank.store(*(dns(f"ws-{n:03}", "evil.example") for n in range(40)), first=0)
    _, found = await bank.hunt(wanted)
    assert {one.offset for one in found} == set(range(40))


async def test_days_before_the_window_are_not_searched_and_progress_is_told(bank: StoredBank, wanted: Path) -> None:
    bank.store(dns("ws-001", "evil.example"), first=0, received=NOW_MS - 100 * DAY_MS)
    bank.store(dns("ws-002", "evil.example"), first=1)
    told: list[HuntProgress] = []
    _, found = await bank.hunt(wanted, since=date.fromordinal(TODAY.toordinal() - 92), progress=told.append)
    assert [one.host for one in found] == ["ws-002"]
    assert [(one.days, one.of, one.detections) for one in told] == [(1, 1, 1)]


async def test_a_record_comes_back_from_the_store_byte_by_byte(bank: StoredBank, wanted: Path) -> None:
    odd = b"<38>May 28 20:25:00 srv01 app[1]: \xff\x00 https://evil.example/\xd0\xb0?q=%27"
    batch = bank.store(odd, first=0)
    _, found = await bank.hunt(wanted)
    event = bank.reader.read(batch).events[0]
    assert [one.raw_sha256 for one in found] == [hashlib.sha256(odd).hexdigest()]
    assert (found[0].time, found[0].kafka_time) == (event.time_ms, event.kafka_ms)


EVERY_TYPE = """type,value,id
cidr,203.0.113.0/27,wide
cidr,203.0.113.4/30,narrow
cidr,198.51.100.0/24,elsewhere
cidr,2001:db8:40::/44,six
cidr,2001:db8:80::/41,six elsewhere
domain,evil.example,domain
ipv6,2001:db8:41::7,address
file_name,evil.exe,name
file_path,C:\\Users\\Public\\evil.exe,path
file_name,notevil,elsewhere too
imphash,abababababababababababababababab,imports
"""


async def test_every_type_is_found_in_the_past_as_on_the_stream(bank: StoredBank, tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_text(EVERY_TYPE)
    bank.store(
        connection("10.0.0.5", "203.0.113.31"),
        connection("10.0.0.5", "203.0.113.32"),
        connection("10.0.0.5", "203.0.113.5"),
        connection("2001:db8:4f::1", "2001:db8:41::7"),
        connection("2001:db8:50::1", "::ffff:203.0.113.1"),
        started("ws-001", "c:\\users\\public\\EVIL.exe"),
        started("ws-002", "/opt/evil.exe"),
        started("ws-003", "C:\\opt\\notevil.exe"),
        image("ws-004", "11" * 16, "ab" * 16),
        dns("ws-005", "a.b.evil.example"),
        first=0,
    )
    batch = bank.batches[0]
    live = bank.decide(file).detect(batch.log, batch.topic, 0, bank.reader.read(batch).events)
    summary, hunted = await bank.hunt(file)
    assert sorted((one.offset, one.subject) for one in live) == [
        (0, "wide"), (2, "narrow"), (2, "wide"), (3, "address"), (3, "six"), (4, "wide"), (5, "name"), (5, "path"),
        (6, "name"), (8, "imports"), (9, "domain"),
    ]  # fmt: skip
    assert sorted(hunted, key=_id) == sorted((one.model_copy(update=_marked(one)) for one in live), key=_id)
    assert summary.detections == len(live)


def _id(detection: Detection) -> str:
    return detection.id


def _marked(one: Detection) -> dict[str, Any]:
    """How a detection in the past differs: its mark, and the item of the event list that claims it."""
    decide = Attribution(load_event_list(None))
    assert one.indicator is not None
    finding = decide.attribute(
        kind="indicator", subject=one.subject, tags=one.tags, level=one.level, retrospective=True,
        source=Source(one.product, one.category, one.service), entities=one.entities, topic=one.topic,
        time_ms=one.time, indicator_type=one.indicator.type,
    )  # fmt: skip
    return {"retrospective": True, "finding": finding}


async def test_a_verdict_names_its_rule_and_is_weaker_beyond_the_look_back(bank: StoredBank, tmp_path: Path) -> None:
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    soon, later = ((at + timedelta(days=days)).date().isoformat() for days in (20, 40))
    file = tmp_path / "new.csv"
    file.write_text(
        f"type,value,id,confidence,valid_from,valid_until\nip,203.0.113.1,near,80,{soon},\nip,203.0.113.2,far,80,{later},\n"
        f"md5,{'ab' * 16},digest,80,{later},\nip,203.0.113.3,over,80,,{(at - timedelta(days=1)).date()}\n"
        "ip,203.0.113.4,known,80,,\n"
    )
    bank.store(*(connection("10.0.0.5", f"203.0.113.{n}") for n in range(1, 5)), image("ws-1", "ab" * 16), first=0)
    _, found = await bank.hunt(file)
    told = {one.subject: (one.indicator.rule, one.indicator.confidence) for one in found if one.indicator is not None}
    assert told == {
        "near": ("look-back:30d", 80),
        "far": ("beyond:30d", 40),
        "digest": ("look-back:all", 80),
        "known": ("valid", 80),
    }


def _origin(batch: RecordBatch, offset: int) -> Origin:
    return Origin(batch.log, batch.topic, batch.partition, offset)


async def test_thousands_of_indicators_are_asked_for_in_several_questions(bank: StoredBank, tmp_path: Path) -> None:
    bank.store(dns("ws-001", "www.evil0.example"), dns("ws-002", "evil2.example"), image("ws-003", "ab" * 16), first=0)
    many = tmp_path / "many.csv"
    domains = (f"domain,evil{n}.example" for n in range(3))
    digests = (f"sha256,{n:064x}" for n in range(1, 3_200))
    many.write_text("\n".join(["type,value", *domains, *digests, f"md5,{'ab' * 16}"]))
    assert len(list(chunks(bank.decide(many).indicators))) > 1
    _, found = await bank.hunt(many)
    assert sorted(one.offset for one in found) == [0, 1, 2]


def test_the_whole_hunt_delivers_to_the_topic(bank: StoredBank, wanted: Path, embedded_broker: Broker) -> None:
    bank.store(dns("ws-001", "evil.example"), first=0)
    settings = bank.settings.model_copy(update={"kafka": embedded_broker.address})
    topics.ensure(settings)
    summary = hunt(settings, [wanted], since=92 * 86_400)
    assert (summary.detections, summary.indicators, summary.unread) == (1, 4, 0)
    assert summary.seconds > 0
    delivered = asyncio.run(read_detections(embedded_broker.address))
    batch = bank.batches[0]
    decide = bank.decide(wanted)
    event = bank.reader.read(batch).events[0]
    (match,) = decide.indicators.match([event], LookBack())
    expected = decide.of_indicator(_origin(batch, 0), event, match, retrospective=True)
    assert expected in delivered


async def read_detections(address: str) -> list[Detection]:
    consumer = AIOKafkaConsumer("detections", bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while not (some := await consumer.getmany(timeout_ms=1_000)):
            pass
        return [Detection.from_bytes(record.value) for records in some.values() for record in records]
    finally:
        await consumer.stop()
