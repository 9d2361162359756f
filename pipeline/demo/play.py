"""`qorgan demo`: everything embedded on free ports, a day of the bank, one new indicator, the account.

One loop serves everything: it publishes, reads what is found, shows it, and looks whether the processes still live.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.demo import own, watch
from pipeline.demo.account import Books, Line, balance
from pipeline.demo.premises import Premises, opened
from pipeline.demo.press import TURN_S, Press
from pipeline.demo.programme import DAMAGED, EARLY_CONTACT, Marked, Programme, indicator_file, last_working_day
from pipeline.demo.scene import TOPICS, Message
from pipeline.demo.view import Progress, View
from pipeline.demo.watch import Watch
from pipeline.hunts import hunt
from pipeline.journal import journal_folder
from pipeline.logs import Logs
from schemas.detection import Detection
from schemas.errors import Exit, QorganError
from sinks.journal.files import read, verify

#: Slow enough to watch, fast enough that a day of the bank takes seconds; a user's own events go at full speed.
RATE: Final = 4_000.0
START_S: Final = 180.0
STORE_S: Final = 300.0
SETTLE_S: Final = 60.0
#: What was found must be visible before the next question; without news for QUIET_S nothing more is expected.
PAUSE_S: Final = 0.5
QUIET_S: Final = 15.0
COUNT_S: Final = 1.0
#: Steps of the attack that lie further apart are kept apart.
LONG_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for. `files` empty: the simulated bank."""

    seed: int = 7
    events: int = 40_000
    files: tuple[str, ...] = ()
    rules: tuple[Path, ...] = ()
    indicators: tuple[Path, ...] = ()
    lang: str = "en"
    keep: bool = False


def run_demo(wish: Wish, view: View) -> int:
    """Perform, show, settle the account. Returns the exit code: OK only if every line of the account holds."""
    with tempfile.TemporaryDirectory(prefix="qorgan-demo-") as folder, contextlib.closing(view):
        view.say(_introduction(wish, folder))
        named = own.topics(wish.files) if wish.files else {}
        settings = _settings(wish, tuple(named.values()) or TOPICS)
        with opened(Path(folder), settings) as premises:
            performance = Performance(wish, premises, view, named)
            try:
                lines = performance.play()
            finally:
                performance.close()
            view.account(lines)
            if wish.keep:
                view.say("\n".join(premises.addresses()))
                premises.stay()
    return Exit.OK if all(line.ok for line in lines) else Exit.FAILED


class Performance:
    """One run: what has been published, what has been seen, and what the account says of it."""

    def __init__(self, wish: Wish, premises: Premises, view: View, named: Mapping[str, str]) -> None:
        self._wish, self._premises, self._view, self._named = wish, premises, view, named
        self._programme = Programme(wish.seed, wish.events, last_working_day(int(time.time() * 1000)))
        self._progress = Progress()
        self._watch = Watch(premises.settings)
        logs = Logs(premises.settings)
        self._press = Press(premises.settings, asyncio.run(_log_ids(logs, premises.settings.raw_topics)))
        self._counted = self._heard = time.monotonic()
        self._hunted = 0

    def play(self) -> list[Line]:
        """Wait for the workers, publish, wait for the outcome, hunt, and draw up the account."""
        self._phase("Waiting for the workers")
        if not self._until(self._premises.ready, START_S):
            raise QorganError(f"The workers are not ready after {START_S:.0f} s: is the machine very busy? Try again.")
        rules, refused = self._premises.rules()
        self._view.say(f"Rules in force: {rules:,.0f}" + (f"; refused: {refused:,.0f}" if refused else "") + ".")
        self._phase("Publishing")
        self._press.publish(self._records(), 0.0 if self._named else RATE, self._turn)
        self._phase("Storing what is left")
        self._until(self._all_stored, STORE_S)
        self._settle()
        if not self._named:
            self._hunt()
            self._settle()
        return self._account()

    def close(self) -> None:
        """Leave broker and store."""
        self._watch.close()

    def _records(self) -> Iterable[Marked]:
        if self._named:
            return own.records(self._premises.settings, dict(self._named))
        self._progress.total = self._programme.total
        return self._in_order(self._programme.records())

    def _in_order(self, records: Iterable[Marked]) -> Iterator[Marked]:
        """The records, with a pause where the attack goes on elsewhere or later.

        A day passes in seconds here. Partitions are read side by side, so without the pause an effect could be judged
        before its cause, which half an hour lay between.
        """
        stages = {stage.name for stage in self._programme.stages()}
        last: Message | None = None
        for marked in records:
            message = marked.message
            if marked.mark in stages:
                if last and (message.key != last.key or message.time_ms - last.time_ms > LONG_MS):
                    self._press.flush(self._turn)
                    self._wait_settled()
                last = message
            yield marked

    def _hunt(self) -> None:
        self._phase("Hunting for the new indicator in three months of events")
        file = self._premises.rig.folder / "new-indicator.csv"
        file.write_text(indicator_file())
        self._view.say(f"A new indicator arrives; the same as: qorgan hunt --indicators {file.name} --since 92d")
        done = hunt(self._premises.settings, (file,), since=92 * 86_400)
        self._hunted = done.detections
        self._view.say(f"The hunt took {done.seconds:.1f} s; records uncovered: {done.detections}.")

    def _settle(self) -> None:
        self._phase("Waiting for the last findings and incidents")
        self._wait_settled()

    def _wait_settled(self) -> None:
        self._heard = time.monotonic()
        self._until(self._settled, SETTLE_S)

    def _settled(self) -> bool:
        """Whether all is judged, delivered and part of an incident, or nothing has come for so long that it will not.

        Counters of a worker that was interrupted and read records again count too much; hence the second way.
        """
        quiet = time.monotonic() - self._heard
        if quiet < PAUSE_S:
            return False
        judged, detected = self._premises.judged()
        delivered = self._progress.detections + self._progress.contributions >= detected + self._hunted
        held = sum(incident.counts.findings for incident in self._watch.incidents.values())
        caught_up = judged >= self._press.confirmed and delivered and held >= len(self._progress.findings)
        return caught_up or quiet > QUIET_S

    def _account(self) -> list[Line]:
        """The account; a line that does not hold is looked at again for a while: tables follow their topics."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            lines = balance(self._books())
            if all(line.ok for line in lines) or time.monotonic() > deadline:
                return lines
            self._until(lambda: False, COUNT_S)

    def _all_stored(self) -> bool:
        return self._progress.stored + self._progress.dead >= self._press.confirmed

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether it came to hold in time. What does not is for the account to say."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._turn()
            time.sleep(TURN_S)
        return True

    def _phase(self, phase: str) -> None:
        self._progress.phase = phase
        self._view.say(phase + ".")

    def _turn(self) -> None:
        """Read what came, count now and then, show."""
        for piece in self._watch.news():
            self._heard = time.monotonic()
            if isinstance(piece, Detection):
                self._found(piece)
            else:
                self._progress.incidents.add(piece.id)
                self._view.incident(piece)
        self._progress.published = self._press.confirmed
        if time.monotonic() - self._counted > COUNT_S:
            self._premises.check()
            self._progress.stored, self._progress.dead = watch.counts(self._premises.rig.query)
            self._counted = time.monotonic()
        self._view.progress(self._progress)

    def _found(self, detection: Detection) -> None:
        if detection.kind == "contribution":
            self._progress.contributions += 1
        else:
            self._progress.detections += 1
        if detection.finding is not None and detection.finding.id not in self._progress.findings:
            self._progress.findings.add(detection.finding.id)
            self._view.finding(detection)

    def _books(self) -> Books:
        query = self._premises.rig.query
        press, simulated = self._press, not self._named
        folder = journal_folder(self._premises.settings)
        broken = verify(folder).broken
        return Books(
            published=press.published(),
            stored=watch.stored(query, "events"),
            dead=watch.stored(query, "dead_letters"),
            detections=self._watch.found(),
            kept_detections=watch.kept_detections(query),
            incidents=self._watch.raised(read(folder), self._wish.lang),
            journal=str(broken or ""),
            undelivered=press.failed,
            stages={s.title: press.published(s.name) for s in self._programme.stages()} if simulated else None,
            early=press.published(EARLY_CONTACT) if simulated else None,
            damaged=press.published(DAMAGED),
        )


def _settings(wish: Wish, raw_topics: Sequence[str]) -> dict[str, str]:
    """The workers' settings, by name. Few partitions and young blocks: the day is short."""
    paths = {"rules": wish.rules, "indicators": wish.indicators}
    named = {name: ",".join(str(path.resolve()) for path in some) for name, some in paths.items() if some}
    partitions = "1" if wish.files else "2"
    return named | {"raw_topics": ",".join(raw_topics), "raw_partitions": partitions, "block_age": "1"}


async def _log_ids(logs: Logs, topics: Sequence[str]) -> dict[str, str]:
    return {topic: await logs.current(topic) for topic in topics}


def _introduction(wish: Wish, folder: str) -> str:
    names = [Path(file).name for file in wish.files]
    what = f"a working day of a simulated bank (200 hosts, 500 people, {wish.events:,} events) with an attack in it"
    if names:
        what = f"your own events ({', '.join(names[:3])}{' …' if names[3:] else ''})"
    return (
        f"This starts a whole Qorgan on this machine: a broker, a store and four workers, on free ports of loopback.\n"
        f"It publishes {what}, shows what is found, and settles the account.\n"
        f"It takes about two minutes, writes to {folder} alone, and removes that at the end. Ctrl-C stops it."
    )
