"""The journal's files: what was written together is there together, one writer at a time, and a change is named."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.errors import QorganError, RefusedError, UnreachableError
from schemas.journal import GENESIS, BrokenJournalError, Fact, Head, Intake, Notified, Sealed, chained
from sinks.journal.files import FileJournal, read, verify


def entries(count: int, after: Head = GENESIS, epoch: int = 1) -> list[Sealed]:
    """Entries to be written together."""
    facts = [
        Fact(
            at=1_000 + number,
            incident="i",
            revision=1,
            intake=Intake(log="l", offset=number),
            body=Notified(reason="registered", severity="high", priority=1),
        )
        for number in range(count)
    ]
    return chained(after, epoch, facts)


@contextmanager
def writer(folder: Path, segment_bytes: int = 1 << 20) -> Iterator[FileJournal]:
    journal = FileJournal(folder, segment_bytes)
    journal.take(wait=0.2)
    try:
        journal.read(lambda _: None)
        yield journal
    finally:
        journal.close()


def seqs(folder: Path) -> list[int]:
    return [sealed.entry.seq for sealed in read(folder)]


def test_what_was_appended_is_read_again_in_order_over_all_segments(tmp_path: Path) -> None:
    with writer(tmp_path / "journal", segment_bytes=1_000) as journal:
        for _ in range(10):
            journal.append(entries(3, journal.head))
    seen: list[Sealed] = []
    again = FileJournal(tmp_path / "journal", 1_000)
    again.take()
    assert again.read(seen.append) == 0
    assert [sealed.entry.seq for sealed in seen] == list(range(1, 31))
    again.append(entries(1, again.head, epoch=2))
    again.close()
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) > 3
    assert verify(tmp_path / "journal").head.seq == 31


def test_no_one_else_may_read_it(tmp_path: Path) -> None:
    with writer(tmp_path / "journal") as journal:
        journal.append(entries(1))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "journal", *(tmp_path / "journal").iterdir())]
    assert modes[0] == 0o700
    assert set(modes[1:]) == {0o600}


def test_a_write_torn_at_any_byte_is_cut_back_whole_and_writing_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with writer(folder) as journal:
        journal.append(entries(2))
        kept = next(folder.glob("*.jsonl")).stat().st_size
        journal.append(entries(3, journal.head))
    whole = next(folder.glob("*.jsonl")).read_bytes()
    for size in range(kept, len(whole)):
        next(folder.glob("*.jsonl")).write_bytes(whole[:size])
        assert seqs(folder) == [1, 2]
        if size % 20 and len(whole) - size > 3:
            continue  # reading is tried at every byte, mending (which syncs) at some
        journal = FileJournal(folder)
        journal.take(wait=0.2)
        assert journal.read(lambda _: None) == size - kept
        assert journal.head.seq == 2
        journal.close()
        assert next(folder.glob("*.jsonl")).stat().st_size == kept
    with writer(folder) as journal:
        journal.append(entries(1, journal.head, epoch=2))
    assert seqs(folder) == [1, 2, 3]


def test_a_torn_first_write_leaves_an_empty_journal(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with writer(folder) as journal:
        journal.append(entries(2))
    path = next(folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes()[:-1])
    with writer(folder) as journal:
        assert journal.head == GENESIS
        journal.append(entries(1, journal.head))
    assert seqs(folder) == [1]


def test_a_flipped_bit_in_any_byte_is_refused_with_its_entry_named(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with writer(folder) as journal:
        for _ in range(3):
            journal.append(entries(1, journal.head))
    path = next(folder.glob("*.jsonl"))
    whole = path.read_bytes()
    starts = [0, *(place + 1 for place, byte in enumerate(whole) if byte == 0x0A)]
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        expected = max(number for number, start in enumerate(starts, start=1) if start <= place)
        found = verify(folder)
        assert found.broken is not None, f"byte {place}"
        assert found.broken.seq == expected, f"byte {place}"
        with pytest.raises(BrokenJournalError, match=f"entry {expected}"), writer(folder):
            pass
        assert path.stat().st_size == len(whole), "a journal that is refused is not touched"


@pytest.mark.parametrize("what", ["removed", "doubled", "swapped", "first gone", "segment gone"])
def test_entries_that_are_removed_doubled_or_moved_are_named(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "journal"
    with writer(folder, segment_bytes=1 if what == "segment gone" else 1 << 20) as journal:
        for _ in range(5):
            journal.append(entries(1, journal.head))
    path = min(folder.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    if what == "segment gone":
        sorted(folder.glob("*.jsonl"))[2].unlink()
        assert verify(folder).broken.seq == 3  # type: ignore[union-attr] # it is broken
        return
    order = {"removed": [0, 1, 3, 4], "doubled": [0, 1, 1, 2], "swapped": [0, 2, 1, 3], "first gone": [1, 2, 3, 4]}
    path.write_bytes(b"".join(lines[number] for number in order[what]))
    broken = verify(folder).broken
    assert broken is not None
    assert broken.seq == {"removed": 3, "doubled": 3, "swapped": 2, "first gone": 1}[what]


def test_a_chain_forged_with_a_smaller_epoch_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with writer(folder) as journal:
        journal.append(entries(1, epoch=5))
        journal.append(entries(1, journal.head, epoch=4))
    assert verify(folder).broken.seq == 2  # type: ignore[union-attr] # it is broken


def test_a_second_writer_waits_and_then_says_who_stands_in_the_way(tmp_path: Path) -> None:
    with writer(tmp_path / "journal"), pytest.raises(UnreachableError, match="still holds the journal"):
        FileJournal(tmp_path / "journal").take(wait=0.1)
    with writer(tmp_path / "journal"):
        pass


def test_a_writer_that_is_killed_lets_the_next_one_in_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, time; from sinks.journal.files import FileJournal;"
        "j = FileJournal(pathlib.Path(sys.argv[1])); j.take(); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "journal")], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(UnreachableError):
            FileJournal(tmp_path / "journal").take(wait=0.0)
    finally:
        child.kill()
        child.communicate()
    with writer(tmp_path / "journal") as journal:
        journal.append(entries(1))


def test_a_disk_that_refuses_ends_the_writer_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with writer(tmp_path / "journal") as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(QorganError, match="No space left"):
            journal.append(entries(1))
        monkeypatch.undo()
        with pytest.raises(QorganError, match="not held"):
            journal.append(entries(1))


def test_a_folder_that_cannot_be_made_is_refused_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RefusedError, match="QORGAN_STATE_DIR"):
        FileJournal(tmp_path / "file" / "journal").take()
