"""A pause for one is a pause for all, ends soon after its cause, and nobody is hammered meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.gate import PATIENCE, Gate
from packshot.job import Job, JobState, ParkedCause
from packshot.segmind import NoApiKeyError, SegmindError
from tests.unit.fakes import START, CrashError, Outside, World, a_job, a_photo

MINUTE = timedelta(minutes=1)
NO_CREDITS = answers.NotAcceptable("Insufficient credits")
POOR, RICH = answers.Credits(0.0, 0.018), answers.Credits(5.0, 0.018)
UNTOLD = SegmindError("HTTP 404: no such page", 404)


def uploads(world: World, number: int) -> Job:
    return world.uploads(a_photo(f"shoes/{number}.jpg", sha256=f"{number:064}"))


def sweeps_and_submits(world: World) -> None:
    """What a minute brings: a sweep, and its messages delivered."""
    world.clock.step(MINUTE)
    for job_id in world.sweeps():
        world.submitter.job(job_id)


def states(world: World) -> set[JobState]:
    return {job.state for job in world.table.jobs}


PAUSES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    # What the submit answers, what the credits call tells while the cause lasts, and when it has ended.
    "no credits": (NO_CREDITS, [POOR], [RICH]),
    "no credits, and no word of them": (NO_CREDITS, [UNTOLD], [UNTOLD]),
    "a wrong key": (answers.KeyRefused(401, "Invalid API key"), [SegmindError("no", 401)], [RICH]),
    "no key": (NoApiKeyError("empty"), [NoApiKeyError("empty")], [RICH]),
    "a wrong key, and no word of it": (answers.KeyRefused(401, "Invalid API key"), [UNTOLD], [UNTOLD]),
    "not permitted": (answers.KeyRefused(403, "not for your team"), [RICH], [RICH]),
    "retired": (answers.KeyRefused(410, "model retired"), [RICH], [RICH]),
}


@pytest.mark.parametrize("minutes", [7, 8, 9, 10, 11])
@pytest.mark.parametrize("pause", PAUSES)
def test_what_was_parked_is_back_within_five_minutes_after_the_cause_and_nobody_was_hammered(
    pause: str, minutes: int
) -> None:
    world = World()
    answer, meanwhile, afterwards = PAUSES[pause]
    world.segmind.submits, world.segmind.balances = [answer], meanwhile
    for number in range(5):
        assert uploads(world, number).state is JobState.PARKED
    for _ in range(minutes):
        sweeps_and_submits(world)
    # The first, and then at most one every four minutes, however many photos wait.
    assert len(world.segmind.outcomes) <= 1 + minutes // 4
    assert states(world) == {JobState.PARKED}
    world.segmind.submits, world.segmind.balances = [answers.Accepted("request-1")], afterwards
    for _ in range(5):
        sweeps_and_submits(world)
    assert world.table.standing_gate.closures == ()
    sweeps_and_submits(world)
    assert states(world) == {JobState.SUBMITTED}
    told = [name for name in world.bus.told if name.startswith("Submitting")]
    assert told == ["Submitting Paused", "Submitting Resumed"]


def test_when_the_first_is_back_the_others_follow_with_the_next_sweep() -> None:
    world = World()
    world.segmind.submits = [answers.KeyRefused(403, "not for your team")]
    for number in range(5):
        uploads(world, number)
    world.segmind.submits = [answers.Accepted("request-1")]
    while states(world) == {JobState.PARKED}:
        sweeps_and_submits(world)
    assert [job.state for job in world.table.jobs].count(JobState.SUBMITTED) == 1
    sweeps_and_submits(world)
    assert states(world) == {JobState.SUBMITTED}


def test_when_the_credits_are_back_so_are_all_photos_with_the_next_sweep() -> None:
    world = World()
    world.segmind.submits, world.segmind.balances = [NO_CREDITS], [POOR]
    for number in range(5):
        uploads(world, number)
    sweeps_and_submits(world)
    world.segmind.submits, world.segmind.balances = [answers.Accepted("request-1")], [RICH]
    sweeps_and_submits(world)
    assert states(world) == {JobState.SUBMITTED}
    assert world.bus.told[-1] == "Submitting Resumed"


@pytest.mark.parametrize(("balance", "state"), [(RICH, JobState.FAILED), (POOR, JobState.PARKED)])
@pytest.mark.parametrize("words", ["Insufficient credits", "quality is not valid", "spend cap reached"])
def test_the_credits_decide_what_a_406_means_not_its_words(
    world: World, balance: answers.Credits, state: JobState, words: str
) -> None:
    world.segmind.submits, world.segmind.balances = [answers.NotAcceptable(words)], [balance]
    job = world.uploads()
    assert job.state is state
    assert job.error is not None
    assert job.error.message == words


@pytest.mark.parametrize(
    "balance",
    [UNTOLD, NoApiKeyError("empty"), answers.Credits(None, None), answers.Credits(0.08, None)],
)
def test_a_406_without_a_word_of_enough_credits_is_taken_for_want_of_them(
    world: World, balance: answers.Credits | Exception
) -> None:
    world.segmind.submits, world.segmind.balances = [NO_CREDITS], [balance]
    assert world.uploads().cause is ParkedCause.CREDITS


def test_a_submit_waits_for_its_turn(world: World) -> None:
    for number in range(40):
        assert uploads(world, number).state is JobState.SUBMITTED
    waited = world.clock() - START
    assert waited >= timedelta(seconds=30)


def test_a_submit_does_not_wait_for_ever(world: World) -> None:
    world.table.standing_gate = Gate(next_at=START + timedelta(minutes=10))
    job = world.uploads()
    assert (job.state, job.cause) == (JobState.PARKED, ParkedCause.RATE)
    assert job.due_at is not None
    assert job.due_at > START + PATIENCE
    assert world.clock() == START
    assert not world.segmind.posted


def test_while_the_api_wants_a_short_pause_the_backlog_stays_in_the_queue(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None), answers.Accepted("request-1")]
    assert uploads(world, 0).state is JobState.PARKED
    assert [uploads(world, number).state for number in range(1, 9)] == [JobState.SUBMITTED] * 8
    assert world.bus.told == ["Scene Parked", "Submitting Paused", "Submitting Resumed"]


def test_fifty_thousand_parked_jobs_cost_no_hammering(world: World) -> None:
    row = a_job(JobState.PARKED, cause=ParkedCause.CREDITS, due_at=START).row()
    world.table.rows = {f"{number:032}": {**row, "job_id": f"{number:032}"} for number in range(50_000)}
    world.segmind.submits, world.segmind.balances = [NO_CREDITS], [POOR]
    uploads(world, 1)
    before, posted = world.outside.calls, len(world.segmind.posted)
    for _ in range(3):
        sweeps_and_submits(world)
    assert world.outside.calls - before < 50
    assert len(world.segmind.posted) == posted
    world.segmind.balances = [RICH]
    world.clock.step(MINUTE)
    assert len(world.sweeps()) == 60


def test_a_pause_for_the_rate_keeps_no_parked_job_from_the_queue(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None), answers.Accepted("request-1")]
    uploads(world, 0)
    for number in range(1, 6):
        job = a_job(JobState.PARKED, cause=ParkedCause.CREDITS, due_at=START, job_id=f"{number:032}")
        world.puts(world.table.keep(job).photo)
    assert world.table.standing_gate.is_closed_for(ParkedCause.RATE)
    assert len(world.sweeps()) == 5


def test_two_that_change_the_gate_at_once_both_get_their_way(world: World) -> None:
    other = World()
    other.table = world.table
    taken = [world.gatekeeper.slot() for _ in range(3)]
    gate = world.table.gate()
    assert world.table.replace_gate(gate, gate)
    assert not world.table.replace_gate(gate, gate)
    assert len(taken) == 3


@given(st.frozensets(st.integers(0, 30), max_size=4), st.frozensets(st.integers(0, 30), max_size=4))
def test_pauses_and_resumptions_are_told_whoever_dies(before: frozenset[int], after: frozenset[int]) -> None:
    world = World(Outside(before, after))
    world.segmind.balances = [POOR]
    closing = replace(world.gatekeeper)
    job = world.table.keep(a_job(JobState.PARKED, cause=ParkedCause.KEY, due_at=START))
    for step in (
        lambda: closing.closes(job, ParkedCause.KEY, "no", asks_credits=True),
        closing.look,
    ):
        for _ in range(10):
            try:
                step()
            except CrashError:
                continue
            break
    for _ in range(10):
        try:
            world.sweeper.sweep()
        except CrashError:
            continue
    assert set(world.bus.told) == {"Submitting Paused"}
    assert len(world.bus.ids) == 1
    assert world.table.standing_gate.owed == ()
