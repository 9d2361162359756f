"""What the joined view of audit records costs: µs a record in ingest and in correlate, and bytes a record on the topic.

Over recordings of audit records, or starts of programs that are made up: seven records each, as a kernel writes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from detectors.audit.join import Joins
from detectors.audit.parcels import packed, read
from pipeline.bench.parsers import BenchRecord
from pipeline.bench.sample import lines_of
from pipeline.joining import Joining, pieces, told
from pipeline.loading import load
from pipeline.parsers import Reader
from pipeline.settings import load as load_settings
from schemas.errors import RefusedError
from schemas.event import Event, RecordBatch

SLICE = 128
#: Records of one batch of ingest.
BATCH = 2_000


def run(files: Sequence[Path] = (), rules: Iterable[Path] = (), events: int = 5_000) -> dict[str, Any]:
    """Records of these files, else of `events` starts made up; `rules` as the settings have them where none is named.

    Raises RefusedError where no rule in force looks at joined events.
    """
    settings = load_settings(**({"rules": tuple(rules)} if rules else {}))
    decide = load(settings, offline=True).decide
    if not decide.joins:
        raise RefusedError("bench audit: no rule in force looks at joined audit events. Name some with --rules.")
    lines = list(lines_of(files)) if files else [line for number in range(events) for line in _start(number)]
    reader, spent = Reader(settings), dict.fromkeys(("parse", "pick", "pack", "unpack", "join", "judge"), 0.0)
    joining, joins = Joining.of(decide), Joins()
    counts = {"records": len(lines), "sent": 0, "bytes": 0, "joined": 0, "detections": 0}

    def timed(what: str, started: float) -> float:
        now = time.thread_time()
        spent[what] += now - started
        return now

    for at in range(0, len(lines), BATCH):
        made = []
        for batch in _slices(lines[at : at + BATCH], at):
            now = time.thread_time()
            found: list[Event] = reader.read(batch).events
            now = timed("parse", now)
            made += pieces("bench/bench/0", found)
            timed("pick", now)
        now = time.thread_time()
        sent = told(made, decide.joins)
        now = timed("pick", now)
        values = list(packed(sent))
        now = timed("pack", now)
        taken = [read(value) for value in values]
        now = timed("unpack", now)
        joined = [one for parcel in taken for one in joins.take(parcel)]
        now = timed("join", now)
        detections = joining.judge(joined).detections
        timed("judge", now)
        counts["sent"] += len(sent)
        counts["bytes"] += sum(map(len, values))
        counts["joined"] += len(joined)
        counts["detections"] += len(detections)
    records = max(1, len(lines))
    return {
        **counts,
        "bytes_a_record_sent": round(counts["bytes"] / max(1, counts["sent"])),
        "us_a_record": {what: round(seconds / records * 1e6, 2) for what, seconds in spent.items()},
    }


def _slices(lines: list[bytes], first: int) -> Iterator[RecordBatch]:
    for at in range(0, len(lines), SLICE):
        part = [BenchRecord(first + number, -1, line) for number, line in enumerate(lines[at : at + SLICE], at)]
        yield RecordBatch("bench", "bench", 0, first + at, first + at + len(part), part)


def _start(number: int) -> list[bytes]:
    head = f"msg=audit({1_791_738_000 + number // 100}.{number % 1000:03d}:{number}):"
    path = "inode=18350 dev=fd:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0"
    call = (
        f"SYSCALL {head} arch=c000003e syscall=59 success=yes exit=0 a0=55d5f4a1b2c0 a1=55d5f4a1b300 a2=55d5f4a1b400 "
        f"a3=8 items=2 ppid=1723 pid={20_000 + number} auid=1000 uid=1000 gid=1000 euid=1000 suid=1000 fsuid=1000 "
        'egid=1000 sgid=1000 fsgid=1000 tty=pts0 ses=3 comm="ls" exe="/usr/bin/ls" subj=unconfined key="exec"'
        '\x1dARCH=x86_64 SYSCALL=execve AUID="dana" UID="dana" GID="dana" EUID="dana" SUID="dana" FSUID="dana"'
    )
    said = (
        call,
        f'EXECVE {head} argc=3 a0="ls" a1="-l" a2={f"/srv/share/{number} x".encode().hex().upper()}',
        f'CWD {head} cwd="/srv/share"',
        f'PATH {head} item=0 name="/usr/bin/ls" {path}',
        f'PATH {head} item=1 name="/lib64/ld-linux-x86-64.so.2" {path}',
        f"PROCTITLE {head} proctitle={b'ls'.hex().upper()}",
        f"EOE {head} ",
    )
    return [f"node=srv{number % 50} type={record}".encode() for record in said]
