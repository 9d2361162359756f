"""New rules in a running worker: noticed, built off the hot path, swapped whole, on trial for their first minutes.

    files change, or SIGHUP ── prebuild (own process) ── load, compile (slow thread) ── swap ── trial ──┬─ proven
                                    └── refused: the old set stays                                    └─ rolled back

What was refused or rolled back is not tried again until the files change. A set that comes while another is on trial is
compared with the one that was proven.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import structlog

from pipeline import loading
from pipeline.loading import Loaded
from pipeline.metrics import Metrics
from pipeline.pace import AbandonedError, Pace
from pipeline.prebuild import prebuild
from pipeline.rulecounts import RuleCounts
from pipeline.settings import Settings
from pipeline.trial import Bounds, Detects, OnTrial
from pipeline.watched import fingerprint, only_apart
from schemas.errors import QorganError

#: Seconds between two times that the rules' counts are told.
TELL_S = 10.0

log = structlog.get_logger("rules")


class Reloading:
    """The set in force and what comes next. Everything is called on the event loop.

    `known` is the files' fingerprint from before `loaded` was read. `use` puts what judges into force. `before` is
    awaited ahead of reading the files; by default the process of its own. The clock is monotonic, in seconds; `wall`
    is the time of day, by which a snapshot of identities comes into force.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        known: str,
        use: Callable[[Detects], None],
        metrics: Metrics,
        *,
        before: Callable[[], Awaitable[None]] = prebuild,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.proven = loaded
        self._settings = settings
        self._use = use
        self._metrics = metrics
        self._before = before
        self._clock = clock
        self._wall = wall
        self._counts = RuleCounts(metrics)
        self._bounds = Bounds(settings.rules_trial_factor, settings.rules_trial_failures)
        self._new: Loaded | None = None
        self._trial: OnTrial | None = None
        self._until = 0.0
        self._known = known
        """The files as they were when they were last read."""
        self._changed = ""
        """The files as they were at the last look, where that was new: they may still be being written."""
        self._gone = ""
        """The files whose set was rolled back."""
        self._look_at = clock() + settings.rules_watch
        self._tell_at = clock() + TELL_S
        self._pace = Pace()
        self._asked = False
        self._busy: asyncio.Task[None] | None = None
        loading.count(loaded, metrics)
        loading.count_identities(loaded, metrics, wall() * 1_000)
        _say_blind(loaded)

    @property
    def in_force(self) -> Loaded:
        """The set that judges now."""
        return self._new or self.proven

    def tick(self) -> None:
        """What is due: a verdict, a look at the files, the metrics. Raises what a task has failed of."""
        now = self._clock()
        self._judge(now)
        if now >= self._tell_at:
            self._tell_at = now + TELL_S
            self._counts.tell(self.in_force.decide.engine)
            loading.count_identities(self.in_force, self._metrics, self._wall() * 1_000)
        if self._busy is not None and self._busy.done():
            self._busy.result()
            self._busy = None
        if self._busy is None:
            self._start(now)

    def _start(self, now: float) -> None:
        if self._asked:
            self._asked = False
            self._busy = asyncio.create_task(self._build())
        elif self._settings.rules_watch and now >= self._look_at:
            self._look_at = now + self._settings.rules_watch
            self._busy = asyncio.create_task(self._look())

    def ask(self) -> None:
        """SIGHUP: read the files at the next tick, or after what is under way then."""
        self._asked = True

    async def stop(self) -> None:
        """Give up what is being built."""
        self._pace.abandon()
        if self._busy is not None:
            self._busy.cancel()
            await asyncio.wait([self._busy])

    async def _look(self) -> None:
        """Reload when the files differ from those read, and no longer change."""
        seen = await asyncio.to_thread(fingerprint, self._settings)
        if seen == self._known:
            self._changed = ""
        elif seen != self._changed:
            self._changed = seen
        else:
            log.info("the files of rules have changed")
            await self._build()

    async def _build(self) -> None:
        """Build the new set beside the old one and swap it whole, or keep the old one and say why."""
        before, self._known = self._known, await asyncio.to_thread(fingerprint, self._settings)
        self._changed = ""
        if self._known == self._gone:
            self._outcome("refused")
            log.error("These rules were rolled back, and are not tried again until their files change.")
            return
        started = self._clock()
        try:
            if only_apart(before, self._known):
                self._renew(await asyncio.to_thread(loading.renewed, self._settings))
                return
            await self._before()
            loaded = await asyncio.to_thread(self._load)
        except AbandonedError:
            return
        except QorganError as error:
            self._outcome("refused")
            log.error(f"The new rules are refused and the old ones stay. {error}")  # noqa: TRY400 - a sentence
            return
        except Exception as error:  # a fault of ours that these files bring out; the stream does not stop for it
            self._outcome("refused")
            log.exception("The new rules cannot be built and the old ones stay.", error=type(error).__name__)
            return
        self._swap(loaded, self._clock() - started)

    def _load(self) -> Loaded:
        """On a thread of its own."""
        loaded = loading.load(self._settings, pause=self._pace, index=self.proven.decide.indicators)
        loaded.decide.engine.prepare(self.in_force.decide.engine.seen(), self._pace)
        return loaded

    def _swap(self, loaded: Loaded, seconds: float) -> None:
        revision = loaded.decide.revision
        if revision == self.in_force.decide.revision:
            self._outcome("unchanged")
            loading.count(loaded, self._metrics)
            log.info("the rules are the same as before", revision=revision)
            return
        self._counts.tell(self.in_force.decide.engine)
        self._trial = None
        if self._settings.rules_trial:
            self._new, self._until = loaded, self._clock() + self._settings.rules_trial
            self._trial = OnTrial(loaded.decide, self.proven.decide)
            self._use(self._trial)
        else:
            self._new, self.proven = None, loaded
            self._use(loaded.decide)
        gc.freeze()  # as at start: no collection looks at a million objects of rules again
        loading.count(loaded, self._metrics)
        _say_blind(loaded)
        self._outcome("swapped")
        log.info("new rules in force", revision=revision, rules=len(loaded.rules.rules), seconds=round(seconds, 1))

    def _renew(self, renew: Callable[[Loaded], Loaded]) -> None:
        """Who is who has changed, and nothing else: no trial, and one that goes on goes on."""
        self.proven = renew(self.proven)
        if self._new is not None and self._trial is not None:
            self._new = renew(self._new)
            self._trial = OnTrial(self._new.decide, self.proven.decide, self._trial.broken)
        self._use(self._trial or self.proven.decide)
        loading.count_identities(self.in_force, self._metrics, self._wall() * 1_000)
        self._outcome("swapped")
        log.info("new identities in force", revision=self.in_force.decide.identities.revision)

    def _judge(self, now: float) -> None:
        if self._trial is None or self._new is None:
            return
        reason = self._trial.verdict(self._bounds)
        if reason is not None:
            self._roll_back(reason)
        elif now >= self._until:
            self.proven, self._new, self._trial = self._new, None, None
            self._use(self.proven.decide)

    def _roll_back(self, reason: str) -> None:
        gone = self.in_force.decide
        self._counts.tell(gone.engine)
        self._new = self._trial = None
        self._gone = self._known
        self._use(self.proven.decide)
        loading.count(self.proven, self._metrics)
        self._outcome("rolled_back")
        log.error(
            f"The new rules are rolled back: {reason}. The old ones judge again; mend the files.",
            revision=gone.revision,
            again=self.proven.decide.revision,
        )

    def _outcome(self, outcome: str) -> None:
        self._metrics["reloads_total"].labels(outcome=outcome).inc()


def _say_blind(loaded: Loaded) -> None:
    for title in loading.blind(loaded):
        log.warning("a detector finds nothing: QORGAN_GEO names no file of networks and their places", detector=title)
