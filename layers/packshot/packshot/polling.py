"""When to ask about a request, how often, and when to stop: pure functions of what is known.

An execution waits for free until the request may be done, then one status check watches for a while. On AWS
a state transition costs as much as 15 seconds of that check (128 MB): a few long visits beat many short ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packshot.inference_times import InferenceTimes

# The page gives 20.3 s as the model's usual time; asking before 13 s finds nearly nothing finished.
FIRST_WAIT_SECONDS = 13
# A first look after this share of all requests is done: earlier costs watching, later costs delay.
LOW_SHARE = 0.1
# Where asking takes from submitting, the first look comes when nearly all are done.
HIGH_SHARE = 0.95
# Of requests whose time the API does not tell, so many are looked at early, or a shorter one were never seen.
EARLY_SHARE = 0.1

# How long a status check stays: as long as the three transitions of another visit would pay for.
WINDOW_SECONDS = 45
QUICKEST_CADENCE_SECONDS = 0.5
SLOWEST_CADENCE_SECONDS = 5.0
# A look of each job that is watched takes the time of three submits at the plan's pace.
SUBMITS_A_LOOK = 3
# What polls may take of the plan's requests, where they count.
POLLS_SHARE = 0.5
# The part of its time that a request is watched.
WATCHED_SHARE = 1 / 3

# Between two visits of the check.
VISIT_PAUSE_SECONDS = 1
SLOW_AFTER_SECONDS = 5 * 60
SLOW_CADENCE_SECONDS = 15

# Segmind keeps the file of an image as long, and forgets the request after an hour.
OUTPUT_KEPT = timedelta(days=7)

# A request may be unknown to the API for a moment after it was accepted.
UNKNOWN_BELIEVED_AFTER = timedelta(minutes=1)
# One odd answer decides nothing: it has to be unknown so many times running.
UNKNOWNS_BELIEVED = 3


@dataclass(frozen=True)
class Polling:
    """How a request is waited for: when first, for how long at a time, and how often meanwhile."""

    first_wait_seconds: int = FIRST_WAIT_SECONDS
    window_seconds: int = WINDOW_SECONDS
    cadence_seconds: float = SLOWEST_CADENCE_SECONDS


def polling_for(
    times: InferenceTimes,
    *,
    chance: float,
    requests_a_minute: int,
    polls_count: bool,
    in_flight: float,
    is_behind: bool,
) -> Polling:
    """How to wait for one request more.

    `chance`, 0 to 1, is the job's own. `in_flight` is about how many requests are waited for, `is_behind`
    whether submits wait for the plan's pace. `polls_count` says that asking takes from that pace.
    """
    submit_seconds = 60 / requests_a_minute
    if polls_count and is_behind:
        # About one look at each: whatever is left of the pace is for submits.
        late_seconds = times.quantile_seconds(HIGH_SHARE) or 2 * FIRST_WAIT_SECONDS
        return Polling(first_wait_seconds=round(late_seconds), cadence_seconds=SLOWEST_CADENCE_SECONDS)
    cadence_seconds = min(
        max(SUBMITS_A_LOOK * submit_seconds, QUICKEST_CADENCE_SECONDS), SLOWEST_CADENCE_SECONDS
    )
    if polls_count:
        cadence_seconds = max(cadence_seconds, in_flight * WATCHED_SHARE * submit_seconds / POLLS_SHARE)
    first_seconds = times.quantile_seconds(LOW_SHARE) or FIRST_WAIT_SECONDS
    if not times.told and chance < EARLY_SHARE:
        first_seconds /= 2
    return Polling(first_wait_seconds=max(1, int(first_seconds)), cadence_seconds=round(cadence_seconds, 3))


def window_seconds(polling: Polling, age: timedelta) -> int:
    """How long a visit at this age watches; a request that takes so long is looked at once, and rarely."""
    return polling.window_seconds if age.total_seconds() < SLOW_AFTER_SECONDS else 0


def next_wait_seconds(age: timedelta) -> int:
    """How long to wait before the next visit to a request of this age."""
    return VISIT_PAUSE_SECONDS if age.total_seconds() < SLOW_AFTER_SECONDS else SLOW_CADENCE_SECONDS
