"""The Grafana dashboard, made from the metrics that are declared: no panel can name one that does not exist.

A row of the dashboard is a line of ROWS; a metric's panel follows from its kind. `make docs` writes the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pipeline.metrics import METRICS, PREFIX, Metric

#: Row of the dashboard → its metrics, from what the duty officer looks at first.
ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Is it well", ("role_ready", "role_active", "store_up", "detection_gap_records_total")),
    ("What is found", ("incidents_total", "detections_total", "findings_total", "incident_seconds")),
    (
        "What comes in",
        (
            "records_total",
            "record_bytes_total",
            "dead_letters_total",
            "late_total",
            "doubtful_time_total",
            "batch_records",
        ),
    ),
    (
        "How far it has come",
        (
            "detect_lag_records",
            "detect_uncommitted_seconds",
            "store_lag_records",
            "store_unstored_seconds",
            "store_state",
            "searchable_seconds",
        ),
    ),
    (
        "Storing",
        (
            "store_seconds",
            "store_errors_total",
            "block_rows",
            "block_bytes",
            "open_blocks_bytes",
            "dropped_rows_total",
        ),
    ),
    ("What is suppressed", ("suppressed_total", "suppressions")),
    (
        "Rules and indicators",
        ("rules_loaded", "detectors_blind", "rules_refused", "indicators_loaded", "reloads_total"),
    ),
    ("Rules' life", ("rules_shadow", "rules_off", "rule_failures_total", "shadow_detections_total")),
    ("Rules' work", ("rule_tries_total", "rule_hits_total")),
    (
        "Correlations",
        (
            "contributions_total",
            "correlation_watermark_seconds",
            "correlation_groups",
            "correlation_bytes",
            "correlation_evicted_total",
        ),
    ),
    ("Audit records joined", ("audit_pieces_total", "audit_joined_total", "audit_held", "audit_bytes")),
    ("Inside", ("stage_seconds_total", "journal_entries_total", "incident_revisions_total", "start_seconds")),
)
WIDTH, HEIGHT, ACROSS = 6, 7, 4
SOURCE = {"type": "prometheus", "uid": "${source}"}


def render() -> str:
    """The dashboard as Grafana imports it: JSON, sorted, so that a change is a readable difference."""
    dashboard = {
        "title": "Qorgan",
        "uid": "qorgan",
        "tags": ["qorgan"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": list(_panels()),
    }
    return orjson.dumps(dashboard, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    declared = {metric.name: metric for metric in METRICS}
    number, y = 1, 0
    for title, names in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH * ACROSS, "h": 1},
        }
        y += 1
        for at, name in enumerate(names):
            number += 1
            x, down = at % ACROSS * WIDTH, at // ACROSS * HEIGHT
            yield _panel(number, declared[name], {"x": x, "y": y + down, "w": WIDTH, "h": HEIGHT})
        number += 1
        y += -(-len(names) // ACROSS) * HEIGHT


def _panel(number: int, metric: Metric, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": metric.help,
        "description": PREFIX + metric.name,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": _unit(metric), "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(_queries(metric))
        ],
    }


def _queries(metric: Metric) -> list[tuple[str, str]]:
    """Expression and legend of each line of a metric's panel."""
    name, labels = PREFIX + metric.name, ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or "{{instance}}"
    if metric.kind == "counter":
        by = f" by ({labels})" if labels else ""
        return [(f"sum{by} (rate({name}[$__rate_interval]))", legend if labels else "a second")]
    if metric.kind == "gauge":
        return [(f"max by ({labels or 'instance'}) ({name})", legend)]
    le = ", ".join(("le", *metric.labels))
    return [
        (
            f"histogram_quantile({quantile}, sum by ({le}) (rate({name}_bucket[$__rate_interval])))",
            f"p{round(quantile * 100)} {legend if labels else ''}".strip(),
        )
        for quantile in (0.5, 0.99)
    ]


def _unit(metric: Metric) -> str:
    stem = metric.name.removesuffix("_total")
    if metric.kind == "counter":
        return {"record_bytes": "Bps", "stage_seconds": "percentunit"}.get(stem, "cps")
    return "s" if stem.endswith("_seconds") else "bytes" if stem.endswith("_bytes") else "short"
