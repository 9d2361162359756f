"""What indicators are worth: matches from the store, precision from what people found, the least precise first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pipeline.querying import ask
from pipeline.settings import Settings
from pipeline.verdicts import Judged

By = Literal["indicator", "source", "type"]
Row = dict[str, Any]
COLUMNS: Final = ("precision", "verdicts", "proposal", "matches", "last_match", "indicators", "source", "types", "id")

#: A detection names the strongest indicator, and all sources that named the value: each of these has matched.
_MATCHED: Final = """
    SELECT source, id, any(types) AS types, any(title) AS title, sum(matches) AS matches, max(last) AS last_match
    FROM (SELECT source, id, types, title, arrayJoin(values) AS value FROM indicators_last) AS i
    LEFT JOIN (
        SELECT arrayJoin(sources) AS source, value, count() AS matches, toUnixTimestamp64Milli(max(time)) AS last
        FROM (
            SELECT time, JSONExtractString(json, 'indicator', 'value') AS value,
                   JSONExtract(json, 'indicator', 'sources', 'Array(String)') AS sources
            FROM detections_first WHERE kind = 'indicator'
        ) GROUP BY source, value
    ) AS d USING (source, value)
    GROUP BY source, id
"""


def stats(settings: Settings, verdicts: Mapping[str, Judged], floors: Mapping[str, float], by: By) -> list[Row]:
    """A row for each indicator that matched or was judged, or for each source or type; the least precise first.

    `verdicts` by indicator, `floors` by source: under it an indicator is proposed to be expired, never switched off.
    Raises what `pipeline.querying.ask` does.
    """
    return ranked(ask(settings, _MATCHED).rows, verdicts, floors, by)


def ranked(found: Iterable[Row], verdicts: Mapping[str, Judged], floors: Mapping[str, float], by: By) -> list[Row]:
    """The same of rows with source, id, types, matches and last match."""
    groups: dict[tuple[str, str], Row] = {}
    for one in found:
        for key in _keys(one, by):
            row = groups.setdefault(key, _empty(one, key, by))
            told = verdicts.get(one["id"])
            row["indicators"] += 1
            row["matches"] += one["matches"]
            row["last_match"] = max(row["last_match"] or 0, one["last_match"] or 0) or None
            row["verdicts"] += told.looked_at if told else 0
            row["right"] += told.right if told else 0
    rows = [_judged(row, floors) for row in groups.values() if by != "indicator" or row["matches"] or row["verdicts"]]
    return sorted(rows, key=lambda row: (1.0 if row["precision"] is None else row["precision"], -row["matches"]))


def _keys(one: Row, by: By) -> list[tuple[str, str]]:
    if by == "type":
        return [("", kind) for kind in sorted(set(one["types"]))]
    return [(one["source"], "" if by == "source" else one["id"])]


def _empty(one: Row, key: tuple[str, str], by: By) -> Row:
    return {
        "source": key[0],
        "id": one["id"] if by == "indicator" else "",
        "types": [key[1]] if by == "type" else sorted(set(one["types"])) if by == "indicator" else [],
        "title": one["title"] if by == "indicator" else "",
        "indicators": 0,
        "matches": 0,
        "last_match": None,
        "verdicts": 0,
        "right": 0,
    }


def _judged(row: Row, floors: Mapping[str, float]) -> Row:
    right = row.pop("right")
    precision = round(right / row["verdicts"], 3) if row["verdicts"] else None
    under = precision is not None and precision < floors.get(row["source"], 0.0)
    return row | {"precision": precision, "proposal": "expire" if under and row["id"] else ""}
