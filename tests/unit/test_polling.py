"""How requests are waited for follows from the plan, how many there are, and what was seen lately."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.inference_times import SAMPLE_PAUSE, InferenceTimes
from packshot.polling import (
    FIRST_WAIT_SECONDS,
    QUICKEST_CADENCE_SECONDS,
    SLOWEST_CADENCE_SECONDS,
    WINDOW_SECONDS,
    Polling,
    polling_for,
)
from tests.unit.fakes import START

SECOND = timedelta(seconds=1)


def seen(
    seconds: Iterable[float], times: InferenceTimes | None = None, *, told: bool = True
) -> InferenceTimes:
    """What is known after requests that took so long, one a second."""
    known = times or InferenceTimes()
    for number, each in enumerate(seconds):
        begin = known.seen_at or START
        known = known.with_one_more(each, begin + SECOND, told=told)
        assert known.seen_at == begin + SECOND, number
    return known


def lognormal(median: float, count: int, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [median * math.exp(0.25 * chance.gauss()) for _ in range(count)]


def polling(times: InferenceTimes | None = None, **known: object) -> Polling:
    given: dict[str, object] = {
        "chance": 0.5,
        "requests_a_minute": 1000,
        "polls_count": False,
        "in_flight": 15.0,
        "is_behind": False,
        **known,
    }
    return polling_for(times or InferenceTimes(), **given)  # type: ignore[arg-type]


# -- what was seen --


def test_a_cold_start_waits_as_the_models_page_suggests() -> None:
    assert polling().first_wait_seconds == FIRST_WAIT_SECONDS == 13
    assert polling(seen([2.0] * 5)).first_wait_seconds == 13


def test_the_first_wait_follows_the_low_end_of_what_was_seen() -> None:
    times = sorted(lognormal(20.3, 400))
    tenth = times[40]
    assert polling(seen(lognormal(20.3, 400))).first_wait_seconds == pytest.approx(tenth, abs=2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("median", [10.0, 40.0])
def test_another_truth_is_followed_within_50_jobs(median: float, seed: int) -> None:
    before = seen(lognormal(20.0, 200, seed))
    after = seen(lognormal(median, 50, seed + 100), before)
    steady = seen(lognormal(median, 200, seed + 200))
    wait, expected = polling(after).first_wait_seconds, polling(steady).first_wait_seconds
    assert wait == pytest.approx(expected, rel=0.25)


def late_and_watched(waits: Iterable[float], times: Iterable[float]) -> tuple[float, float]:
    """Means: seconds between the end and the look that sees it, and seconds that were watched."""
    late, watched, count = 0.0, 0.0, 0
    for wait, taken in zip(waits, times, strict=True):
        looks = max(0, math.ceil((taken - wait) / QUICKEST_CADENCE_SECONDS))
        noticed = wait + looks * QUICKEST_CADENCE_SECONDS
        late, watched, count = late + noticed - taken, watched + noticed - wait, count + 1
    return late / count, watched / count


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "times",
    [
        lambda seed: lognormal(20.3, 400, seed),
        lambda seed: lognormal(20, 150, seed) + lognormal(10, 150, seed) + lognormal(40, 150, seed),
    ],
    ids=["steady", "shifting"],
)
def test_no_constant_first_wait_that_costs_as_little_is_much_earlier(
    times: Callable[[int], list[float]], seed: int
) -> None:
    """Of the constants on a grid, the earliest of those that watch no longer."""
    taken, known, waits = times(seed), InferenceTimes(), []
    for each in taken:
        waits.append(float(polling(known).first_wait_seconds))
        known = seen([each], known)
    late, watched = late_and_watched(waits, taken)
    grid = [late_and_watched([constant / 2] * len(taken), taken) for constant in range(2, 120)]
    best = min(constant_late for constant_late, constant_watched in grid if constant_watched <= watched)
    assert late <= 1.1 * best


def test_a_shorter_truth_is_found_out_though_the_api_tells_no_times() -> None:
    """Then one request in ten is looked at early: at half the wait, a tenth of all job ids."""
    untold = seen([20.0] * 50, told=False)
    waits = [polling(untold, chance=number / 1000).first_wait_seconds for number in range(1000)]
    assert waits.count(min(waits)) == 100
    assert min(waits) == pytest.approx(max(waits) / 2, abs=1)
    told = seen([20.0] * 50)
    assert {polling(told, chance=number / 100).first_wait_seconds for number in range(100)} == {max(waits)}


def test_at_many_jobs_a_second_a_sample_is_enough() -> None:
    times = seen([20.0])
    again = times.with_one_more(30.0, START + SECOND + SAMPLE_PAUSE / 2, told=True)
    assert again == times


@given(st.lists(st.floats(0, 1e9), max_size=60), st.floats(0, 1))
def test_whatever_is_seen_the_row_stays_small_and_the_quantiles_in_order(
    seconds: list[float], share: float
) -> None:
    times = seen(seconds)
    assert len(times.weights) <= 140
    assert sum(times.weights.values()) <= 17
    quantile = times.quantile_seconds(share)
    if quantile is not None:
        assert 0.09 < quantile < 4000
        assert quantile <= (times.quantile_seconds(1.0) or 0)
    assert InferenceTimes.model_validate(times.model_dump(mode="json")) == times


# -- the plan --


def test_larger_plans_are_asked_more_often_within_bounds() -> None:
    cadences = [polling(requests_a_minute=plan).cadence_seconds for plan in (5, 60, 120, 500, 1000)]
    assert cadences == [5.0, 3.0, 1.5, 0.5, 0.5]
    assert all(earlier >= later for earlier, later in pairwise(cadences))


@given(st.integers(1, 2000), st.floats(1, 500))
def test_where_polls_count_they_take_half_of_the_plan_at_most(plan: int, in_flight: float) -> None:
    found = polling(requests_a_minute=plan, polls_count=True, in_flight=in_flight)
    watched = in_flight / 3
    assert watched * 60 / found.cadence_seconds <= 0.51 * plan


def test_where_polls_count_and_submits_wait_there_is_about_one_poll_for_an_image() -> None:
    times = lognormal(20.3, 300)
    found = polling(seen(times), polls_count=True, is_behind=True)
    looks = [
        1 + max(0, math.ceil((each - found.first_wait_seconds) / found.cadence_seconds)) for each in times
    ]
    assert sum(looks) / len(looks) < 1.2
    assert (
        polling(seen(times), polls_count=False, is_behind=True).first_wait_seconds < found.first_wait_seconds
    )


def test_the_window_holds_nearly_all_that_is_to_come() -> None:
    times = lognormal(20.3, 1000)
    found = polling(seen(times))
    assert found.window_seconds == WINDOW_SECONDS
    late = [each for each in times if each > found.first_wait_seconds + found.window_seconds]
    assert len(late) < 20
    assert found.cadence_seconds <= SLOWEST_CADENCE_SECONDS
