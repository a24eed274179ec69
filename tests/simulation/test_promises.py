"""The promises hold in every schedule: whoever dies, whatever comes twice, late, or in another order."""

from __future__ import annotations

import os
import random

import hypothesis
from hypothesis import Phase, settings
from hypothesis import strategies as st

from tests.simulation.schedules import Step, play, schedules

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "400"))
SEED = int(os.environ.get("SIMULATION_SEED") or random.SystemRandom().randrange(2**32))


@hypothesis.seed(SEED)
@settings(
    max_examples=SCHEDULES,
    deadline=None,
    derandomize=False,
    print_blob=True,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(schedules, st.booleans())
def test_schedules(schedule: list[Step], versioned: bool) -> None:
    play(schedule, versioned=versioned)
