"""What a long-lived worker asks of its memory: give back what is no longer used, and do not look at it too often.

Blocks of tens of megabytes come and go every few seconds. glibc's defaults keep a heap for each thread and raise the
size from which memory is mapped and unmapped; a worker then stays a third larger than it ever needs to be.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from importlib.abc import MetaPathFinder

# The numbers of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
MAPPED_FROM = 256 << 10
TRIMMED_FROM = 1 << 20
#: Containers made and not yet freed before the collector looks at the youngest.
COLLECT_AFTER = 50_000
#: Seconds that a thread keeps the interpreter when another wants it.
SWITCH_S = 0.0002


def give_back() -> None:
    """Bound the heaps and map large pieces by themselves. Before threads start; nothing happens without glibc."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none, and does not need it
        for option, value in (
            (_M_ARENA_MAX, 1),
            (_M_MMAP_THRESHOLD, MAPPED_FROM),
            (_M_TRIM_THRESHOLD, TRIMMED_FROM),
        ):
            mallopt(option, value)


def collect_seldom() -> None:
    """After loading: let no collection look at rules and indicators again, and let collections be rare.

    An event's dictionaries hold no cycles and go when the last reference does; by default they set off a collection
    every few dozen events all the same, which costs a third of reading and matching them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def share_the_interpreter() -> None:
    """Let the judging thread have the interpreter back soon.

    It gives it away for each scan, some 30 µs; a storing thread that takes it meanwhile keeps it for the switch
    interval, by default 5 ms: matching then takes three times as long as alone.
    """
    sys.setswitchinterval(SWITCH_S)


def arrow_too() -> None:
    """The same for Arrow: its own pool keeps what it once had, and it loads pandas (45 MB) to tell what a list is."""
    if not any(isinstance(finder, _WithoutPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutPandas())
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


class _WithoutPandas(MetaPathFinder):
    """In a worker pandas is not to be had, though the embedded store's engine has it installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("A worker does without pandas.", name=fullname)
