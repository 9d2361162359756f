"""The benchmark of indicators: what it makes loads whole, is found by nothing, and every figure is there."""

from __future__ import annotations

from pathlib import Path

from pipeline.bench import indicators
from pipeline.indicators import load_indicators


def test_what_is_made_loads_whole_and_is_of_many_types(tmp_path: Path) -> None:
    indicators.write(tmp_path / "a.csv", 2_000)
    loaded = load_indicators([tmp_path / "a.csv"])
    assert (loaded.count, loaded.faults) == (2_000, ())
    assert {one.type for one in loaded.index} >= {"sha256", "domain", "url", "cidr", "file_name", "registry_key"}
    indicators.write(tmp_path / "b.csv", 2_000)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes(), "the same each time"


def test_every_figure_is_measured_in_a_process_of_its_own() -> None:
    figures = indicators.run(made_indicators=3_000, events=2_000)
    assert (figures["indicators"], figures["faults"]) == (3_000, 0)
    assert figures["events"] > 1_000
    assert set(figures) == {
        "indicators", "faults", "load_s", "memory_mb", "bytes_each", "events", "observables", "event_us",
        "event_us_of_1000", "put_us", "put_us_most", "remove_us", "revision_us",
    }  # fmt: skip
    assert figures["load_s"] > 0
    assert 0 < figures["event_us"] < 1_000
