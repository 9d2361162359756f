"""A simulated bank's ordinary day: `events` yields it in time order, the same bytes for the same seed.

Nothing here is an attack, though some of it looks a little like one. The benchmarks use it as their 0.9 KB load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from pipeline.demo import logons, network, unix, windows
from pipeline.demo.cast import cast
from pipeline.demo.scene import TOPICS, Message, Scene

__all__ = ["DAY_MS", "TOPICS", "Message", "events"]

MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS

#: How busy each hour of a working day is, midnight to midnight: people from eight, lunch at one, backups at two.
_RHYTHM: Final = (2, 2, 4, 3, 2, 2, 3, 8, 30, 62, 60, 56, 52, 30, 50, 58, 56, 50, 30, 12, 7, 5, 4, 3)

Kind = Callable[[Scene, int], Message]

#: (what happens, weight by day, weight by night)
_KINDS: Final[tuple[tuple[Kind, int, int], ...]] = (
    (windows.desk_program, 75, 3),
    (windows.system_program, 45, 80),
    (windows.admin_program, 10, 2),
    (windows.program_4688, 25, 40),
    (windows.desk_lookup, 75, 10),
    (windows.desk_connection, 80, 10),
    (windows.file_created, 35, 1),
    (windows.image_loaded, 45, 8),
    (windows.scanner_reads_lsass, 8, 12),
    (windows.service_installed, 1, 1),
    (logons.desk_logon, 14, 1),
    (logons.share_logon, 50, 15),
    (logons.logoff, 45, 12),
    (logons.mistyped, 4, 0),
    (logons.privileges, 8, 6),
    (logons.runas, 2, 0),
    (logons.ticket, 35, 10),
    (unix.ssh_login, 25, 20),
    (unix.ssh_session, 50, 50),
    (unix.ssh_mistyped, 2, 0),
    (unix.admin_sudo, 15, 5),
    (unix.audited, 85, 90),
    (network.daily_flow, 75, 40),
    (network.name, 70, 30),
    (network.tls, 65, 15),
    (network.web, 35, 20),
    (network.noise, 6, 3),
)
_DAY: Final = tuple(kind for kind, day, _ in _KINDS for _ in range(day))
_NIGHT: Final = tuple(kind for kind, _, night in _KINDS for _ in range(night))
#: Most of what a shipper's buffer delays a record; far below the lateness of ten minutes.
_DELAY_MS: Final = 4_000


def events(seed: int, count: int, start_ms: int, span_ms: int = DAY_MS) -> Iterator[Message]:
    """Yield `count` records of `span_ms` from `start_ms` (a local midnight, milliseconds UTC), in arrival order.

    Arrival is not quite the order of the events' own times: shippers deliver up to seconds late. Same arguments,
    same bytes. About 30,000 a second.
    """
    rng = Random(f"bank/{seed}")  # noqa: S311 (a simulation must be repeatable)
    scene = Scene(cast(seed), rng)
    for arrival in _arrivals(rng, count, start_ms, span_ms):
        hour = (arrival - start_ms) // (60 * MINUTE_MS) % 24
        kinds = _DAY if 8 <= hour < 19 else _NIGHT
        yield scene.pick(kinds)(scene, arrival - int(_DELAY_MS * rng.random() ** 4))


def _arrivals(rng: Random, count: int, start_ms: int, span_ms: int) -> Iterator[int]:
    """Rising times, as dense as the rhythm says, exactly `count` of them."""
    minutes = max(1, span_ms // MINUTE_MS)
    weights = [_RHYTHM[minute // 60 % 24] for minute in range(minutes)]
    total, passed, given = sum(weights), 0, 0
    for minute, weight in enumerate(weights):
        passed += weight
        due = count * passed // total - given
        given += due
        base = start_ms + minute * MINUTE_MS
        yield from sorted(base + int(rng.random() * MINUTE_MS) for _ in range(due))
