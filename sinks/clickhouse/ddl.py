"""The tables, as data: what is stored, in which order, for how long, and how a retry is recognised.

Everything here is checked again at first contact (`check.py`), because a table that lacks a deduplication window, or
whose retention is shorter than the law's, would lose or double records without a word.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Blocks that each table remembers by token. It counts per table: hours on one node.
WINDOW = 100_000
#: Days that events must stay searchable (three months), and years that incidents must stay provable.
LEAST_EVENT_DAYS = 93
LEAST_PROOF_DAYS = 5 * 366

#: Chosen in one place, so that a cluster's rendering can name replicated engines.
ENGINE = "MergeTree"

#: What every table has. Synced to disk at each insert: what the ledger calls stored outlives a power cut; at one block
#: a partition every few seconds it costs nothing that could be measured.
SETTINGS = {
    "non_replicated_deduplication_window": WINDOW,
    "ttl_only_drop_parts": 1,
    "fsync_after_insert": 1,
    "fsync_part_directory": 1,
}

LOW = "LowCardinality(String)"
MOMENT = "DateTime64(3, 'UTC')"
ZSTD = "ZSTD(1)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `codec` is what stands inside CODEC(…), `default` what stands after DEFAULT; '' for neither."""

    name: str
    type: str
    codec: str = ""
    default: str = ""

    def __str__(self) -> str:
        default = f" DEFAULT {self.default}" if self.default else ""
        codec = f" CODEC({self.codec})" if self.codec else ""
        return f"`{self.name}` {self.type}{default}{codec}"


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `partition` is '' where a token must hold across days; `expires` says that the retention applies."""

    name: str
    columns: tuple[Column, ...]
    order: str
    partition: str = "toDate(received)"
    expires: bool = False
    indexes: tuple[str, ...] = ()

    def create(self, database: str, days: int) -> str:
        """The statement that creates it where it is missing. `days` is the retention of what expires."""
        body = ",\n  ".join([*map(str, self.columns), *self.indexes])
        lines = [f"CREATE TABLE IF NOT EXISTS `{database}`.`{self.name}` (\n  {body}\n) ENGINE = {ENGINE}"]
        if self.partition:
            lines.append(f"PARTITION BY {self.partition}")
        lines.append(f"ORDER BY {self.order}")
        if self.expires:
            lines.append(f"TTL toDateTime(received) + INTERVAL {days} DAY")
        lines.append("SETTINGS " + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items()))
        return "\n".join(lines)


def _record(prefix: str = "") -> tuple[Column, ...]:
    """Who a record is: four columns. Where a table also names the raw record, these carry a prefix."""
    return (
        Column(f"{prefix}log", LOW),
        Column(f"{prefix}topic", LOW),
        Column(f"{prefix}partition", "UInt32", ZSTD),
        Column(f"{prefix}offset", "UInt64", f"Delta, {ZSTD}"),
    )


RECEIVED = Column("received", MOMENT, ZSTD)
KEY_AND_HEADERS = (Column("key", "Nullable(String)", ZSTD), Column("headers", "String", ZSTD))
NEAR_OFFSET = ("INDEX near_offset offset TYPE minmax GRANULARITY 1",)

EVENTS = Table(
    "events",
    (
        *_record(),
        RECEIVED,
        Column("time", MOMENT, f"Delta, {ZSTD}"),
        Column("kafka_time", MOMENT, f"Delta, {ZSTD}"),
        Column("late", "Bool", ZSTD),
        Column("doubtful", "Bool", ZSTD),
        Column("format", LOW),
        Column("product", LOW),
        Column("category", LOW),
        Column("service", LOW),
        Column("event_id", "UInt32", ZSTD),
        Column("host", LOW),
        Column("user", "String", ZSTD),
        Column("src_ip", "String", ZSTD),
        Column("dst_ip", "String", ZSTD),
        Column("process", "String", ZSTD),
        Column("command_line", "String", ZSTD),
        Column("domain", "String", ZSTD),
        *KEY_AND_HEADERS,
        Column("raw", "String", ZSTD),
        Column("raw_sha256", "FixedString(32)", "NONE"),
    ),
    order="(product, service, toStartOfHour(time), host, time)",
    expires=True,
    indexes=NEAR_OFFSET,
)

OBSERVABLES = Table(
    "observables",
    (
        Column("type", LOW),
        Column("value", "String", ZSTD),
        Column("day", "Date", ZSTD, default="toDate(received)"),
        Column("first", MOMENT, ZSTD),
        Column("last", MOMENT, ZSTD),
        Column("count", "UInt64", ZSTD),
        Column("hosts", "Array(LowCardinality(String))", ZSTD),
        Column("host_count", "UInt32", ZSTD),
        RECEIVED,
        Column("log", LOW),
        Column("topic", LOW),
        Column("partition", "UInt32", ZSTD),
        Column("block_first", "UInt64", ZSTD),
        Column("block_last", "UInt64", ZSTD),
    ),
    order="(type, value, day)",
    expires=True,
)

DEAD_LETTERS = Table(
    "dead_letters",
    (
        *_record(),
        RECEIVED,
        Column("kafka_time", MOMENT, f"Delta, {ZSTD}"),
        Column("reason", LOW),
        *KEY_AND_HEADERS,
        Column("raw", "Nullable(String)", ZSTD),
        Column("raw_sha256", "FixedString(32)", "NONE"),
    ),
    order="(topic, reason, kafka_time)",
    expires=True,
)

DETECTIONS = Table(
    "detections",
    (
        Column("id", "String", ZSTD),
        Column("kind", LOW),
        Column("subject", LOW),
        Column("revision", LOW),
        Column("title", LOW),
        Column("level", LOW),
        Column("tags", "Array(LowCardinality(String))", ZSTD),
        *_record(),
        Column("time", MOMENT, f"Delta, {ZSTD}"),
        Column("kafka_time", MOMENT, f"Delta, {ZSTD}"),
        Column("late", "Bool", ZSTD),
        Column("doubtful_time", "Bool", ZSTD),
        Column("raw_sha256", "String", ZSTD),
        Column("format", LOW),
        Column("product", LOW),
        Column("category", LOW),
        Column("service", LOW),
        Column("event_id", "UInt32", ZSTD),
        Column("host", LOW),
        Column("user", "String", ZSTD),
        Column("src_ip", "String", ZSTD),
        Column("entities", "Array(String)", ZSTD),
        Column("item", LOW),
        Column("finding", "String", ZSTD),
        Column("entity", "String", ZSTD),
        Column("retrospective", "Bool", ZSTD),
        Column("json", "String", ZSTD),
        RECEIVED,
        *_record("record_"),
    ),
    order="(subject, time, id)",
    partition="toYYYYMM(received)",
)

INCIDENTS = Table(
    "incidents",
    (
        Column("id", "String", ZSTD),
        Column("number", "String", ZSTD),
        Column("revision", "UInt64", ZSTD),
        Column("opened", MOMENT, ZSTD),
        Column("changed", MOMENT, ZSTD),
        Column("respond_by", MOMENT, ZSTD),
        Column("first_event", MOMENT, ZSTD),
        Column("last_event", MOMENT, ZSTD),
        Column("status", LOW),
        Column("class", LOW),
        Column("priority", "UInt8", ZSTD),
        Column("severity", LOW),
        Column("item", LOW),
        Column("title", "String", ZSTD),
        Column("entities", "Array(String)", ZSTD),
        Column("retrospective", "Bool", ZSTD),
        Column("json", "String", ZSTD),
        RECEIVED,
        *_record("record_"),
    ),
    order="(id, revision)",
    partition="toYYYYMM(received)",
)

INDICATORS = Table(
    "indicators",
    (
        Column("source", LOW),
        Column("id", "String", ZSTD),
        Column("revision", "UInt64", ZSTD),
        Column("at", MOMENT, ZSTD),
        Column("state", LOW),
        Column("feed", LOW),
        Column("title", "String", ZSTD),
        Column("types", "Array(LowCardinality(String))", ZSTD),
        Column("values", "Array(String)", ZSTD),
        Column("authority", LOW),
        Column("owner", LOW),
        Column("tlp", LOW),
        Column("valid_until", MOMENT, ZSTD),
        Column("reasons", "Array(LowCardinality(String))", ZSTD),
        Column("hosts", "UInt32", ZSTD),
        Column("json", "String", ZSTD),
        RECEIVED,
        *_record("record_"),
    ),
    order="(source, id, revision)",
    partition="toYYYYMM(received)",
)

#: Not partitioned: a token does not hold across partitions, and a chain is claimed by token.
LEDGER = Table(
    "ledger",
    (
        Column("log", LOW),
        Column("topic", LOW),
        Column("partition", "UInt32"),
        Column("number", "UInt64"),
        Column("first", "Int64"),
        Column("last", "Int64"),
        Column("count", "UInt64"),
        Column("content", "String"),
        Column("previous", "String"),
        Column("hash", "String"),
        RECEIVED,
        Column("revision", LOW),
        Column("owner", LOW),
    ),
    order="(topic, partition, log, number)",
    partition="",
)

TABLES = (EVENTS, OBSERVABLES, DEAD_LETTERS, DETECTIONS, INCIDENTS, INDICATORS, LEDGER)

#: Views: name → what it reads. A detection's first delivery stands, an incident's and an indicator's last revision.
VIEWS = {
    "detections_first": "SELECT * FROM `{database}`.`detections` WHERE kind != 'contribution' "
    "ORDER BY received, record_offset LIMIT 1 BY id",
    "incidents_last": "SELECT * FROM `{database}`.`incidents` ORDER BY revision DESC, received LIMIT 1 BY id",
    # A record without an id is curate's word that the topic is complete.
    "indicators_last": "SELECT * FROM `{database}`.`indicators` WHERE id != '' "
    "ORDER BY revision DESC, received LIMIT 1 BY source, id",
}


def statements(database: str, days: int) -> list[str]:
    """Everything that must exist, in order; each may be sent by several workers at once."""
    return [
        f"CREATE DATABASE IF NOT EXISTS `{database}`",
        *(table.create(database, days) for table in TABLES),
        *(
            f"CREATE OR REPLACE VIEW `{database}`.`{name}` AS {text.format(database=database)}"
            for name, text in VIEWS.items()
        ),
    ]
