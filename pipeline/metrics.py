"""Every metric, declared once, as data. Seconds and bytes; closed label sets; never a host, a user or a message.

`deploy/docs/metrics.md` and the Grafana dashboard are rendered from this table, and a test compares them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "qorgan_"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
RECORDS = (1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000)
BYTES = (1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24, 1 << 25, 1 << 26)


class Metric(NamedTuple):
    """One metric: its name without the prefix, kind, meaning, labels, and a histogram's bounds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: tuple[Metric, ...] = (
    # What comes in.
    Metric("records_total", "counter", "Records read and judged", ("topic",)),
    Metric("record_bytes_total", "counter", "Bytes of records read and judged", ("topic",)),
    Metric("batch_records", "histogram", "Records in one fetched batch", ("topic",), RECORDS),
    Metric("stage_seconds_total", "counter", "Time spent by stage of the hot path", ("stage",)),
    Metric("late_total", "counter", "Records whose own time is later than the lateness allows", ("topic",)),
    Metric("doubtful_time_total", "counter", "Records judged by Kafka's time for want of a credible own", ("topic",)),
    Metric("dead_letters_total", "counter", "Records that could not be parsed", ("topic", "reason")),
    # The two cursors.
    Metric("detect_lag_records", "gauge", "Records behind the log's end, detections delivered", ("topic", "partition")),
    Metric("detect_uncommitted_seconds", "gauge", "Age of the oldest batch not yet committed", ("topic", "partition")),
    Metric("store_lag_records", "gauge", "Records behind the log's end, stored", ("topic", "partition")),
    Metric("store_unstored_seconds", "gauge", "Age of the oldest record not yet stored", ("topic", "partition")),
    Metric("store_state", "gauge", "1 for the storer's state", ("topic", "partition", "state")),
    Metric("detection_gap_records_total", "counter", "Records that left the log before they were judged", ("topic",)),
    # Storing.
    Metric("block_rows", "histogram", "Records in one stored block", ("topic",), RECORDS),
    Metric("block_bytes", "histogram", "Bytes of the records in one stored block", ("topic",), BYTES),
    Metric("store_seconds", "histogram", "Time of one request to ClickHouse", ("what",), SECONDS),
    Metric("store_errors_total", "counter", "Requests to ClickHouse that failed and are tried again", ("what",)),
    Metric("store_up", "gauge", "1 while ClickHouse answers"),
    Metric("open_blocks_bytes", "gauge", "Bytes held by blocks that are not stored yet"),
    Metric("dropped_rows_total", "counter", "Live rows not kept because the storer catches up from Kafka", ("topic",)),
    Metric("searchable_seconds", "histogram", "From Kafka's timestamp to stored", ("topic",), SECONDS),
    # What is found.
    Metric("detections_total", "counter", "Detections delivered", ("kind", "level")),
    Metric(
        "contributions_total", "counter", "Matches handed to correlations, or dropped for want of a value", ("outcome",)
    ),
    Metric("correlation_groups", "gauge", "Groups held by correlations"),
    Metric("correlation_bytes", "gauge", "About what the state of correlations takes"),
    Metric("correlation_evicted_total", "counter", "Contributions that went for want of room", ("rule",)),
    Metric("correlation_watermark_seconds", "gauge", "How far correlations' final results are behind", ("partition",)),
    Metric(
        "audit_pieces_total",
        "counter",
        "Audit records to be joined: sent by ingest; taken, doubled, behind the watermark; cut for want of room",
        ("outcome",),
    ),
    Metric("audit_joined_total", "counter", "Audit events joined, by how they ended: whole, due", ("end",)),
    Metric("audit_held", "gauge", "Audit records that wait for others of their event, or for the watermark"),
    Metric("audit_bytes", "gauge", "About what these take"),
    Metric("rules_loaded", "gauge", "Sigma rules in force"),
    Metric("rules_shadow", "gauge", "Of these, rules in shadow: they detect and page nobody"),
    Metric("rules_off", "gauge", "Of these, rules that raised too often and are off until the next set"),
    Metric("rule_failures_total", "counter", "Exceptions in rules; the log names them"),
    Metric(
        "rule_tries_total", "counter", "Evaluations by rule, estimated; the busiest by id, the rest `other`", ("rule",)
    ),
    Metric("rule_hits_total", "counter", "Matches by rule; the busiest by id, the rest as `other`", ("rule",)),
    Metric("shadow_detections_total", "counter", "Of the detections delivered, those of rules in shadow", ("level",)),
    Metric("detectors_blind", "gauge", "Detectors in force that find nothing for want of QORGAN_GEO"),
    Metric("rules_refused", "gauge", "Sigma rules that could not be compiled"),
    Metric("suppressions", "gauge", "Filters and disabled rules: in_force, expired, refused", ("state",)),
    Metric("suppressed_total", "counter", "Matches of a rule that a suppression hid", ("rule", "suppression")),
    Metric("indicators_loaded", "gauge", "Indicators in force"),
    Metric("reloads_total", "counter", "Reloads of rules, indicators and event list", ("outcome",)),
    Metric("findings_total", "counter", "Findings handed to triage", ("item",)),
    Metric("incidents_total", "counter", "Incidents registered", ("priority",)),
    Metric("incident_revisions_total", "counter", "Revisions of incidents published"),
    Metric("journal_entries_total", "counter", "Entries appended to the journal", ("kind",)),
    Metric(
        "incident_seconds", "histogram", "From Kafka's timestamp of the event to its incident revision", (), SECONDS
    ),
    # The process.
    Metric("role_ready", "gauge", "1 when joined or standing by, with rules loaded", ("role",)),
    Metric("role_active", "gauge", "1 while this process holds partitions of its role's topics", ("role",)),
    Metric("start_seconds", "gauge", "From start to the first batch", ("phase",)),
)


class Metrics:
    """The metrics of one process, on a registry of its own. `metrics["records_total"].labels(topic=…).inc(n)`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._made: dict[str, Any] = {metric.name: self._make(metric) for metric in METRICS}

    def __getitem__(self, name: str) -> Any:
        return self._made[name]

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        name = PREFIX + metric.name
        if metric.kind == "counter":
            return Counter(name, metric.help, metric.labels, registry=self.registry)
        if metric.kind == "gauge":
            return Gauge(name, metric.help, metric.labels, registry=self.registry)
        return Histogram(name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets)
