"""The promises hold in every schedule: whoever dies, whatever comes twice, late, or in another order.

`SIMULATION_SCHEDULES` says how many are played, `SIMULATION_SEED` which ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import SystemRandom

import hypothesis
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from tests.simulation.schedules import BrokenPromiseError, Step, play, schedules

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "400"))
# The same ones every time where nobody looks, new ones on a desk.
ANY_SEED = 1 if os.environ.get("CI") else SystemRandom().randrange(2**32)
SEED = int(os.environ.get("SIMULATION_SEED") or ANY_SEED)


@pytest.mark.timeout(3600)
def test_the_promises_hold_in_every_schedule(record_property: Callable[[str, object], None]) -> None:
    played, began = 0, time.monotonic()

    @hypothesis.seed(SEED)
    @settings(
        max_examples=SCHEDULES,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(schedules, st.booleans())
    def holds(schedule: list[Step], versioned: bool) -> None:
        nonlocal played
        played += 1
        play(schedule, versioned=versioned)

    try:
        holds()
    except BrokenPromiseError as error:
        error.add_note(f"SIMULATION_SEED={SEED} SIMULATION_SCHEDULES={SCHEDULES}")
        raise
    record_property("simulation", f"{played} schedules in {time.monotonic() - began:.1f} s, seed {SEED}")
