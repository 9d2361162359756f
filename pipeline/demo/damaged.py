"""Records as broken as real ones get: each must end as a dead letter or stored, and harm nothing."""

from __future__ import annotations

from pipeline.demo.scene import LINUX, NETWORK, WINDOWS, Message

_HEAD = b'{"Event":{"System":{"Channel":"Security","Computer":"srv-sql-01","EventID":'
_BEAT = b'{"@timestamp":"%s","host":{"name":"ws-099"},"winlog":{"channel":"Security","event_id":"4634"}}'
#: Over the 512 KB above which a dead letter is shortened; below Kafka's usual limit of 1 MB.
_LARGE = 700_000


def damaged(time_ms: int) -> list[Message]:
    """One of each kind of damage, at `time_ms` by the shipper's clock."""
    values: list[tuple[str, bytes | None]] = [
        (WINDOWS, _HEAD + b'4624,"TimeCreated":{"#attr'),  # cut off
        (WINDOWS, '{"Hostname":"srv-fs-01","Message":"Вход выполнен'.encode()[:-1]),  # cut inside a letter
        (NETWORK, b"\x00" * 64),
        (NETWORK, b'{"event_type":"dns","timestamp":"\x00"}'),
        (LINUX, b""),
        (WINDOWS, None),
        (WINDOWS, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
        (WINDOWS, _BEAT % b"1970-01-01T00:00:00.000Z"),
        (WINDOWS, _BEAT % b"2106-02-07T06:28:15.000Z"),
        (WINDOWS, _HEAD + b"9223372036854775808}}}"),
        (WINDOWS, _HEAD + b'4624,"EventID":4625,"EventID":1}}}'),
        (LINUX, b"\xff\xfe<\x003\x004\x00>\x001\x00"),
        (WINDOWS, b'{"Message":"' + b"A" * _LARGE),
    ]
    return [Message(topic, b"damaged", value, time_ms + number * 1_000) for number, (topic, value) in enumerate(values)]
