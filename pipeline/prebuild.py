"""Reads what the settings name, in a process of its own: what pySigma makes of changed rules is then in the cache.

Reading thousands of rules with pySigma takes a processor for half a minute. A worker that did it on a thread would give
its stream half of its time; from the cache the same rules are read in a second. What hangs or crashes on a rule's text
does so here, and costs the worker nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Final

from detectors.ioc.match import IndicatorIndex
from pipeline import loading
from pipeline.settings import load
from schemas.errors import QorganError, RefusedError

#: Longer than the whole of SigmaHQ takes on a slow machine.
SECONDS: Final = 300.0
#: Behind the stream, whose processor it may be.
NICE: Final = 10
MODULE: Final = "pipeline.prebuild"


async def prebuild(seconds: float = SECONDS) -> None:
    """Run this module; it has the same environment, so the same settings. Raises RefusedError with what it says."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(child.communicate(), seconds)
    except TimeoutError:
        raise RefusedError(
            f"Reading the new rules takes more than {seconds:.0f} s. `qorgan rules check` shows which."
        ) from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise RefusedError(last[0])


def main() -> int:
    """Load, say in a line what is refused. Returns the exit code."""
    os.nice(NICE)
    try:
        loading.load(load(), index=IndicatorIndex())
    except QorganError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
