"""Random rules, conditions and events for a time: nothing raises, hangs, or is found otherwise than plainly.

QORGAN_FUZZ is the seconds of each target; `make fuzz ARGS=600` for a long run by hand.
"""

from __future__ import annotations

import os
import time
from random import Random, SystemRandom

import pytest

from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("QORGAN_FUZZ", "2"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.timeout(SECONDS + 120)
def test_random_input_does_no_harm(target: str) -> None:
    tried, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        # CI judges a change, so it tries the same inputs each time, as many as there is time for.
        seed = tried if os.environ.get("CI") else SystemRandom().getrandbits(64)
        try:
            TARGETS[target](Random(seed))
        except BaseException as error:
            error.add_note(f'the input of seed {seed}: TARGETS["{target}"](Random({seed}))')
            raise
        tried += 1
    assert tried > 10
