"""A visit to a request: watched for a while, over or not; and what cannot be told now is asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.check_settings import DEADLINE
from packshot.polling import SLOW_CADENCE_SECONDS, VISIT_PAUSE_SECONDS, Polling, next_wait_seconds
from packshot.segmind import NoApiKeyError
from packshot.workflow import WorkflowState
from tests.unit.fakes import START, CrashError, World

STATE = WorkflowState(
    job_id="0123456789abcdef0123456789abcdef",
    attempt=2,
    request_id="request-1",
    submitted_at=START,
    # One look a visit.
    polling=Polling(window_seconds=0),
    wait_seconds=13,
)
SECOND = timedelta(seconds=1)
PENDING = answers.Pending("PROCESSING")
LATER = answers.TryLater("HTTP 502: Bad Gateway")


def checked(world: World, outcome: answers.RequestOutcome | Exception, age: timedelta) -> WorkflowState:
    world.segmind.statuses = [outcome]
    world.clock.step(age)
    return world.checker.check(STATE)


@pytest.mark.parametrize("age", [timedelta(seconds=13), timedelta(hours=2)])
@pytest.mark.parametrize(
    "outcome", [answers.Completed(None, 13.06, None), answers.Failed("content policy violation", 0.008)]
)
def test_an_ending_is_an_ending(world: World, outcome: answers.RequestOutcome, age: timedelta) -> None:
    assert checked(world, outcome, age).finished


@pytest.mark.parametrize("age", [timedelta(), timedelta(seconds=13), DEADLINE - SECOND])
@pytest.mark.parametrize("outcome", [PENDING, LATER, NoApiKeyError("the API key's secret is empty")])
def test_what_cannot_be_told_now_is_asked_again(
    world: World, outcome: answers.RequestOutcome | Exception, age: timedelta
) -> None:
    assert not checked(world, outcome, age).finished


@pytest.mark.parametrize("age", [DEADLINE, timedelta(hours=2)])
def test_after_the_deadline_nobody_is_asked(world: World, age: timedelta) -> None:
    """Whatever an answer would do to the function, the request comes to its end."""
    after = checked(world, CrashError(), age)
    assert (after.finished, after.age_seconds) == (True, age.total_seconds())


@pytest.mark.parametrize(
    ("seconds", "finished"), [(0, False), (13, False), (59.999, False), (60, True), (4000, True)]
)
def test_an_unknown_request_is_believed_after_a_minute(world: World, seconds: float, finished: bool) -> None:
    world.segmind.statuses = [answers.Unknown("Request not found")]
    world.clock.step(timedelta(seconds=seconds))
    assert world.checker.check(replace(STATE, unknowns=2)).finished is finished


@given(st.lists(st.sampled_from([PENDING, LATER, answers.Unknown("Request not found")]), max_size=12))
def test_one_odd_answer_decides_nothing(outcomes: list[answers.RequestOutcome]) -> None:
    """Only three running are believed."""
    world, state, running = World(), STATE, 0
    world.clock.step(timedelta(minutes=2))
    for outcome in outcomes:
        world.segmind.statuses = [outcome]
        state = world.checker.check(state)
        running = running + 1 if isinstance(outcome, answers.Unknown) else 0
        assert state.finished is (running >= 3)


def test_the_rest_of_the_state_is_carried_on(world: World) -> None:
    after = checked(world, PENDING, timedelta(seconds=13.9))
    assert after == replace(STATE, wait_seconds=1, age_seconds=13)


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (timedelta(), VISIT_PAUSE_SECONDS),
        (timedelta(seconds=299), VISIT_PAUSE_SECONDS),
        (timedelta(seconds=300), SLOW_CADENCE_SECONDS),
        (timedelta(minutes=49), SLOW_CADENCE_SECONDS),
    ],
)
def test_looks_are_rarer_after_five_minutes(world: World, age: timedelta, seconds: int) -> None:
    assert next_wait_seconds(age) == seconds
    assert checked(world, PENDING, age).wait_seconds == seconds


WATCHED = replace(STATE, polling=Polling(window_seconds=25, cadence_seconds=0.5))


def test_a_visit_watches_until_the_request_is_over(world: World) -> None:
    world.segmind.statuses = [PENDING, PENDING, LATER, answers.Completed(None, 13.06, None)]
    world.clock.step(timedelta(seconds=13))
    after = world.checker.check(WATCHED)
    assert (after.finished, after.age_seconds) == (True, 14)
    assert world.clock() - START == timedelta(seconds=14.5)


def test_a_visit_ends_with_its_window(world: World) -> None:
    world.segmind.statuses = [PENDING]
    world.clock.step(timedelta(seconds=13))
    after = world.checker.check(WATCHED)
    assert not after.finished
    assert after.wait_seconds == VISIT_PAUSE_SECONDS
    assert world.clock() - START == timedelta(seconds=13 + 25)


def test_a_request_that_takes_long_is_looked_at_and_not_watched(world: World) -> None:
    world.segmind.statuses = [PENDING]
    world.clock.step(timedelta(minutes=6))
    assert world.checker.check(WATCHED).wait_seconds == SLOW_CADENCE_SECONDS
    assert world.clock() - START == timedelta(minutes=6)


def test_a_visit_keeps_to_what_the_api_asks_for(world: World) -> None:
    """Where that is longer than its window, the workflow waits for it."""
    began = START + timedelta(seconds=13)
    soon = answers.TryLater("HTTP 429: slow down", began + timedelta(seconds=10))
    world.segmind.statuses = [soon, answers.Completed(None, 13.06, None)]
    world.clock.step(timedelta(seconds=13))
    assert world.checker.check(WATCHED).finished
    assert world.clock() == began + timedelta(seconds=10)

    late = World()
    late.segmind.statuses = [answers.TryLater("HTTP 429: slow down", began + timedelta(minutes=1))]
    late.clock.step(timedelta(seconds=13))
    assert late.checker.check(WATCHED).wait_seconds == 61
    assert late.clock() == began


def test_a_limit_that_says_when_is_believed(world: World) -> None:
    age = timedelta(seconds=13)
    limited = answers.TryLater("HTTP 429: slow down", START + age + timedelta(seconds=30))
    assert checked(world, limited, age).wait_seconds == 31


@given(
    st.integers(0, 7200),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_no_wait_leads_past_the_deadline_or_is_shorter_than_the_cadence(
    age_seconds: int, retry_at: datetime
) -> None:
    """The record of a request that is paid is gone an hour after its submission."""
    age = timedelta(seconds=age_seconds)
    wait_seconds = checked(World(), answers.TryLater("slow down", retry_at), age).wait_seconds
    cadence_seconds = next_wait_seconds(age)
    assert wait_seconds >= cadence_seconds
    assert age + wait_seconds * SECOND <= max(DEADLINE + SECOND, age + cadence_seconds * SECOND)
