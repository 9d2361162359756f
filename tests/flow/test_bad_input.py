"""Whatever a shipper sends ends as a row or as a dead letter, once, and the records around it are unharmed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from pipeline.bench.latency import marker
from pipeline.bench.rig import Identity, rig, wait_for
from tests.faults.scenes import TOPIC, assert_each_once, wait_until_stored

pytestmark = [pytest.mark.flow, pytest.mark.timeout(180)]

NOW_MS = 1_790_000_000_000
GOOD = marker(1, NOW_MS)
HOSTILE: dict[str, bytes | None] = {
    "broken JSON": b'{"EventID": 1, "Channel": ',
    "truncated UTF-8": '{"Channel": "Security", "Hostname": "Алматы'.encode()[:-1],
    "NUL bytes": b"\x00\x00\x00\x00",
    "a NUL inside a string": b'{"Channel": "Security", "EventID": 1, "Hostname": "a\\u0000b"}',
    "a 20 MB record": b'{"Channel": "Security", "EventID": 1, "Message": "' + b"x" * (20 << 20) + b'"}',
    "20 MB of nothing": b"x" * (20 << 20),
    "a null value": None,
    "an empty record": b"",
    "a deeply nested document": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deep arrays": b"[" * 100_000,
    "a number of 2^63": b'{"Channel": "Security", "EventID": 9223372036854775808, "a": 18446744073709551616}',
    "duplicate keys": b'{"Channel": "Security", "EventID": 1, "EventID": 2}',
    "a clock in 1970": b'{"Channel": "Security", "EventID": 1, "@timestamp": "1970-01-01T00:00:00Z"}',
    "a clock in 2106": b'{"Channel": "Security", "EventID": 1, "@timestamp": "2106-02-07T06:28:16Z"}',
    "a clock that is none": b'{"Channel": "Security", "EventID": 1, "@timestamp": "yesterday"}',
    "a scalar": b"42",
    "a list": b"[1, 2, 3]",
    "100,000 keys": orjson.dumps({f"k{n}": n for n in range(100_000)}),
}


def test_hostile_records_are_stored_or_dead_letters_and_the_stream_goes_on(tmp_path: Path) -> None:
    with rig(tmp_path, raw_topics=TOPIC) as scene:
        scene.create_topics(TOPIC, partitions=2)
        published = publish_between_good_ones(scene.broker.address)
        worker = scene.worker("ingest")
        wait_until_stored(scene, len(published), 90)
        assert_each_once(scene, published)
        letters = {str(reason) for (reason,) in scene.query("SELECT DISTINCT reason FROM qorgan.dead_letters")}
        assert {"json", "empty", "shape"} <= letters
        hits = int(scene.query("SELECT count() FROM qorgan.events WHERE host = 'bench-000001'")[0][0])
        assert hits == len(HOSTILE), "a good record beside a hostile one was harmed"
        wait_for(
            "every good record to be found by its rule",
            lambda: worker.total("qorgan_detections_total") >= len(HOSTILE),
            20,
        )
        raw = scene.query("SELECT max(length(raw)) FROM qorgan.dead_letters")[0][0]
        assert raw == 20 << 20, "a large dead letter is not whole in its table"
        assert worker.terminate() == 0


def publish_between_good_ones(bootstrap: str) -> list[Identity]:
    """Each hostile record beside a good one; returns where they stand."""
    published: list[Identity] = []
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 32 << 20, "linger.ms": 5})

    def delivered(error: object, message: object) -> None:
        assert error is None, error
        published.append((TOPIC, message.partition(), message.offset()))  # type: ignore[attr-defined]

    for value in HOSTILE.values():
        for record in (value, GOOD):
            producer.produce(TOPIC, record, timestamp=NOW_MS, on_delivery=delivered)
            producer.poll(0)
    assert producer.flush(60) == 0
    return published
