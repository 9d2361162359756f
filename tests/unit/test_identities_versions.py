"""Versions: what was in force when stays so, a broken export is refused, and a running worker takes a new one whole."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from enrichers.table import DamagedError, Table, build
from pipeline import loading
from pipeline.identities import versions
from pipeline.identities.versions import Version, in_force, keep, load_identities, read_versions
from pipeline.metrics import Metrics
from pipeline.reloading import Reloading
from pipeline.settings import load
from pipeline.watched import fingerprint
from schemas.errors import RefusedError
from tests.identities import BEGINNING, SID, T0, built, kept
from tests.sigma import rule_text

NOW = datetime(2026, 3, 10, 5, 0, 30, tzinfo=UTC)


def people(*names: str) -> Mapping[str, tuple[dict[str, Any], str]]:
    return {"p.csv": ({"kind": "people"}, "name\n" + "".join(f"{name}\n" for name in names))}


def many(count: int) -> Mapping[str, tuple[dict[str, Any], str]]:
    return people(*(f"user{n}" for n in range(count)))


def add(folder: Path, files: Mapping[str, tuple[dict[str, Any], str]], at: datetime, **said: Any) -> Version:
    return keep(built(folder / "exports", files), folder, at, said.pop("effective", None), 100, **said)


def test_a_version_counts_in_ten_minutes_so_that_every_worker_has_read_it(tmp_path: Path) -> None:
    made = add(tmp_path, people("asel"), NOW)
    assert datetime.fromtimestamp(made.since / 1_000, UTC) == NOW.replace(minute=10, second=0)
    found = load_identities(tmp_path)
    assert found.at(made.since - 1) is None
    snapshot = found.at(made.since)
    assert snapshot is not None
    assert snapshot.revision == made.revision


def test_the_first_may_count_for_the_past_and_no_other(tmp_path: Path) -> None:
    add(tmp_path, people("asel"), NOW, effective=BEGINNING)
    with pytest.raises(RefusedError, match="that is past, and was decided"):
        add(tmp_path, people("bolat"), NOW, effective=BEGINNING + timedelta(days=1))
    add(tmp_path, people("bolat"), NOW, effective=NOW + timedelta(hours=1))
    with pytest.raises(RefusedError, match="Name a later time"):
        add(tmp_path, people("dana"), NOW)
    assert len(read_versions(tmp_path)) == 2


def test_old_versions_stay_in_force_for_their_time(tmp_path: Path) -> None:
    first = add(tmp_path, people("asel"), NOW)
    second = add(tmp_path, people("bolat"), NOW + timedelta(days=1))
    found = load_identities(tmp_path)
    before, after = found.at(second.since - 1), found.at(second.since)
    assert before is not None
    assert after is not None
    assert before.revision == first.revision
    assert (before.user("bolat").how, after.user("bolat").how) == ("unknown", "name")
    assert in_force([first, second], second.since) == second
    assert in_force([first, second], first.since - 1) is None


def test_half_as_many_are_a_broken_export_unless_it_is_said(tmp_path: Path) -> None:
    add(tmp_path, many(100), NOW)
    later = NOW + timedelta(days=1)
    with pytest.raises(RefusedError, match=r"There would be 49 people, and there were 100.*--shrunk"):
        add(tmp_path, many(49), later)
    add(tmp_path, many(50), later)
    add(tmp_path, many(3), later + timedelta(days=1), shrunk=True)
    add(tmp_path, many(1), later + timedelta(days=2))  # so few may go


def test_versions_are_dropped_when_events_are_and_share_their_parts(tmp_path: Path) -> None:
    add(tmp_path, people("asel"), NOW)
    add(tmp_path, people("asel"), NOW + timedelta(days=10))
    parts = set((tmp_path / "parts").iterdir())
    assert len(parts) == 3  # people, hubs, and one without an entry
    add(tmp_path, people("bolat"), NOW + timedelta(days=105))
    assert len(read_versions(tmp_path)) == 3
    add(tmp_path, people("bolat"), NOW + timedelta(days=120))
    assert [each.since // 86_400_000 - int(NOW.timestamp()) // 86_400 for each in read_versions(tmp_path)] == [
        10,
        105,
        120,
    ]
    add(tmp_path, people("bolat"), NOW + timedelta(days=300))
    assert len(read_versions(tmp_path)) == 2
    assert len(set((tmp_path / "parts").iterdir())) == 3
    assert not set((tmp_path / "parts").iterdir()) >= parts


def test_what_was_damaged_is_refused_and_not_used(tmp_path: Path) -> None:
    made = add(tmp_path, people("asel"), NOW)
    part = tmp_path / "parts" / f"{made.parts['people']}.table"
    whole = part.read_bytes()
    versions._parts.clear()
    for damaged in (b"", whole[:-1], whole[:30], b"x" + whole[1:], whole.replace(b"asel", b"bell")):
        part.write_bytes(damaged)
        with pytest.raises(RefusedError, match="missing or damaged"):
            load_identities(tmp_path)
    part.write_bytes(whole)
    manifest = tmp_path / "versions" / f"{made.name}.json"
    manifest.write_text(manifest.read_text().replace(made.parts["people"], made.parts["assets"]))
    with pytest.raises(RefusedError, match="was changed"):
        load_identities(tmp_path)
    manifest.write_text("{}")
    with pytest.raises(RefusedError, match="is no version of identities"):
        load_identities(tmp_path)
    with pytest.raises(RefusedError, match="is no folder"):
        load_identities(tmp_path / "nosuch")


def test_a_table_finds_what_is_in_it_alone() -> None:
    table = Table(build({"a": "1", "b": "", "й": "ж", "": "empty"}))
    assert [table.get(key) for key in ("a", "b", "й", "", "c", "a\0", "\0a", "a\1", "1", "\ud800")] == [
        "1", "", "ж", "empty", None, None, None, None, None, None,
    ]  # fmt: skip
    assert dict(table.items()) == {"a": "1", "b": "", "й": "ж", "": "empty"}
    with pytest.raises(DamagedError):
        Table(b"QORGANT1")


async def test_a_running_worker_takes_a_version_whole_and_builds_nothing_else_anew(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_bytes(rule_text({"s": {"F": 1}, "condition": "s"}))
    folder = kept(tmp_path)
    settings = load(
        rules=(tmp_path / "rules",), state_dir=tmp_path / "state", identities=folder, rules_watch=0.001, rules_trial=60
    )
    metrics, loaded = Metrics(), loading.load(settings)
    used: list[Any] = []

    async def never() -> None:
        raise AssertionError("the rules were built anew")

    reloading = Reloading(
        settings, loaded, fingerprint(settings), used.append, metrics, before=never, wall=lambda: T0 / 1_000
    )
    value = metrics.registry.get_sample_value
    assert value("qorgan_identities", {"kind": "accounts"}) == 6
    assert value("qorgan_identities_due_timestamp_seconds") == T0 / 1_000 + 86_400
    # While the parts are mapped, a new version comes.
    keep(built(tmp_path / "new", people("bolat")), folder, NOW, NOW, 100, shrunk=True)
    for _ in range(1_000):
        reloading.tick()
        if used:
            break
        await asyncio.sleep(0.005)
    (fresh,) = used
    now = int(NOW.timestamp() * 1_000)
    assert fresh.identities.at(now).user("bolat").how == "name"
    assert fresh.identities.at(now - 1).user(SID).entity == "pgustavo"
    assert fresh.engine is loaded.decide.engine
    assert fresh.revision != loaded.decide.revision
    assert value("qorgan_reloads_total", {"outcome": "swapped"}) == 1
    await reloading.stop()


async def test_a_version_that_cannot_be_read_leaves_the_old_ones_in_force(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_bytes(rule_text({"s": {"F": 1}, "condition": "s"}))
    folder = kept(tmp_path)
    settings = load(rules=(tmp_path / "rules",), state_dir=tmp_path / "state", identities=folder, rules_watch=0.001)
    metrics, loaded = Metrics(), loading.load(settings)
    used: list[Any] = []
    reloading = Reloading(settings, loaded, fingerprint(settings), used.append, metrics)
    (folder / "versions" / "20400101T000000Z-0.json").write_text("{")
    for _ in range(1_000):
        reloading.tick()
        if metrics.registry.get_sample_value("qorgan_reloads_total", {"outcome": "refused"}):
            break
        await asyncio.sleep(0.005)
    else:
        raise AssertionError("it was not refused")
    assert used == []
    await reloading.stop()


def test_a_snapshot_that_is_no_longer_in_force_goes_without_the_collector(tmp_path: Path) -> None:
    add(tmp_path, people("asel"), NOW)
    found = load_identities(tmp_path)
    snapshot = found.at(int((NOW + timedelta(hours=1)).timestamp() * 1_000))
    assert snapshot is not None
    snapshot.resolve("a", "asel", "10.0.0.1", T0)
    gone = ref(snapshot)
    gc.disable()
    try:
        del snapshot, found
        assert gone() is None
    finally:
        gc.enable()


def test_many_versions_are_opened_when_a_record_of_their_time_comes(tmp_path: Path) -> None:
    for day in range(30):
        add(tmp_path, people(f"user{day}"), NOW + timedelta(days=day))
    found = load_identities(tmp_path)
    assert len(versions._parts) < 8
    oldest = found.at(int((NOW + timedelta(hours=1)).timestamp() * 1_000))
    assert oldest is not None
    assert oldest.user("user0").how == "name"
