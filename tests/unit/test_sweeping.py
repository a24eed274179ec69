"""What is due is queued again: oldest first, at the plan's rate, and never lost or hidden by a crowd."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.job import JobState, ParkedCause
from packshot.sweeping import MAX_TURNS
from tests.unit.fakes import START, CrashError, Outside, World, a_job


def waiting(world: World, count: int, cause: ParkedCause | None) -> list[str]:
    """Jobs that are due, the oldest first."""
    state = JobState.PARKED if cause else JobState.PLANNED
    of_cause = list(ParkedCause).index(cause) if cause else 15
    ids = [f"{of_cause:x}{number:031x}" for number in range(count)]
    for number, job_id in enumerate(ids):
        due_at = START - timedelta(seconds=count - number)
        world.table.keep(a_job(state, job_id=job_id, due_at=due_at, cause=cause))
    return ids


def test_what_is_not_due_waits(world: World) -> None:
    world.table.keep(a_job(JobState.PARKED, due_at=START + timedelta(seconds=1), cause=ParkedCause.RATE))
    assert not world.sweeps()


def test_parked_jobs_come_back_at_the_plans_rate_and_the_oldest_first(world: World) -> None:
    ids = waiting(world, 150, ParkedCause.CREDITS)
    assert [world.sweeps() for _ in range(4)] == [ids[:60], ids[60:120], ids[120:], []]


def test_all_causes_share_the_rate(world: World) -> None:
    for cause in ParkedCause:
        waiting(world, 30, cause)
    assert len(world.sweeps()) == 60


def test_a_crowd_of_parked_jobs_hides_nothing_else(world: World) -> None:
    waiting(world, 2000, ParkedCause.CREDITS)
    turns = waiting(world, 5, None)
    assert world.sweeps()[:5] == turns


def test_a_sweep_has_an_end(world: World) -> None:
    waiting(world, MAX_TURNS + 1, None)
    assert len(world.sweeps()) == MAX_TURNS
    assert len(world.sweeps()) == 1


def test_a_job_whose_message_was_lost_is_queued_again(world: World) -> None:
    (job_id,) = waiting(world, 1, ParkedCause.RATE)
    assert world.sweeps() == [job_id]
    assert not world.sweeps()
    world.clock.step(timedelta(minutes=15))
    assert world.sweeps() == [job_id]


def test_two_sweeps_at_once_cost_a_message_and_no_request(world: World) -> None:
    (job_id,) = waiting(world, 1, ParkedCause.RATE)
    world.puts(a_job().photo)
    world.sweeps()
    for _ in range(2):
        world.submitter.job(job_id)
    assert len(world.segmind.posted) == 1


@given(st.frozensets(st.integers(0, 40), max_size=5), st.frozensets(st.integers(0, 40), max_size=5))
def test_a_sweep_that_dies_anywhere_loses_nothing(before: frozenset[int], after: frozenset[int]) -> None:
    world = World(Outside(before, after))
    ids = set(waiting(world, 10, ParkedCause.KEY))
    for _ in range(20):
        try:
            world.sweeper.sweep()
        except CrashError:
            continue
    assert set(world.queue.sent) == ids
    assert all(job.queued for job in world.table.jobs)


@pytest.mark.parametrize("state", [JobState.CLAIMED, JobState.SUBMITTED])
def test_waking_a_job_asks_for_a_look_at_it(world: World, state: JobState) -> None:
    job = world.table.keep(a_job(state))
    world.sweeper.wake(job.job_id, 1)
    assert world.queue.sent == [job.job_id]


def test_executions_that_die_at_their_start_are_followed_ever_more_seldom(world: World) -> None:
    """Or a definition that cannot run would be paid for many times a second, by every job."""
    for attempt in range(1, 101):
        world.sweeper.wake("1", attempt)
    at_once, *later = world.queue.delays
    assert at_once == timedelta()
    assert later == sorted(later)
    assert sum(pause < timedelta(minutes=15) for pause in later) < 12
    assert later[-1] == timedelta(minutes=15), "as long as SQS can hold a message back"
