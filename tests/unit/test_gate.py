"""The gate: no minute beyond the plan, one trial at a time while it is closed, each pause told once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.gate import (
    PATIENCE,
    RECOVERY,
    TRIAL_PAUSE,
    Gate,
    Pace,
    Slot,
    Wait,
    ask,
    asked,
    closed,
    opened,
    slowed,
    told,
)
from packshot.job import ParkedCause
from tests.unit.fakes import START

PLANS = {"free": (5, 2), "flexible": (60, 3), "pro": (50, 5), "business": (500, 15), "scale": (1000, 30)}
PACE = Pace(60, 3)
SECOND = timedelta(seconds=1)
FAR = START + timedelta(days=1)

paces = st.sampled_from([Pace(*plan) for plan in PLANS.values()]) | st.builds(
    Pace, st.integers(1, 1000), st.integers(2, 50)
)


def taken(gate: Gate, pace: Pace, now: datetime) -> tuple[Gate, Slot]:
    gate, answer = ask(gate, pace, now, FAR)
    assert isinstance(answer, Slot)
    return gate, answer


def refused(gate: Gate, cause: ParkedCause, now: datetime, *, asks_credits: bool = True) -> Gate:
    return closed(gate, cause, now, message="no", job_id="job", asks_credits=asks_credits)


def too_fast(gate: Gate, now: datetime, slot: Slot | None = None, retry_at: datetime | None = None) -> Gate:
    slot = slot or Slot(now, trial=False)
    return slowed(gate, PACE, slot, now, retry_at=retry_at, message="slow down", job_id="job")


# -- the pace --


@given(paces, st.lists(st.floats(0, 90), min_size=1, max_size=120))
def test_no_minute_holds_more_than_the_plan_allows(pace: Pace, pauses: list[float]) -> None:
    gate, now, slots = Gate(), START, []
    for pause in pauses:
        now += timedelta(seconds=pause if pause > 45 else pause / 100)
        gate, slot = taken(gate, pace, now)
        slots.append(slot.at)
    assert all(slot >= START for slot in slots)
    for first, one_too_many in zip(slots, slots[pace.requests_a_minute :], strict=False):
        assert one_too_many - first >= timedelta(minutes=1) - timedelta(milliseconds=1)


@pytest.mark.parametrize("plan", PLANS)
def test_nearly_the_whole_plan_can_be_used(plan: str) -> None:
    pace, gate = Pace(*PLANS[plan]), Gate()
    slots: list[datetime] = []
    while not slots or slots[-1] < START + timedelta(minutes=10):
        gate, slot = taken(gate, pace, START)
        slots.append(slot.at)
    assert len(slots) / 10 >= 0.8 * pace.requests_a_minute


def test_a_few_photos_do_not_wait() -> None:
    gate = Gate()
    for _ in range(10):
        gate, slot = taken(gate, PACE, START)
        assert slot.at == START
    _, slot = taken(gate, PACE, START)
    assert slot.at > START


def test_a_slot_that_is_too_far_off_is_not_taken() -> None:
    gate = Gate()
    for _ in range(40):
        gate, _ = taken(gate, PACE, START)
    unchanged, answer = ask(gate, PACE, START, START + SECOND)
    assert isinstance(answer, Wait)
    assert answer.cause is ParkedCause.RATE
    assert unchanged == gate


@pytest.mark.parametrize("plan", PLANS)
def test_at_the_slowest_pace_submits_still_get_their_turn_in_time(plan: str) -> None:
    """Otherwise a backlog would be parked one by one instead of staying in the queue."""
    pace, gate, now = Pace(*PLANS[plan]), Gate(), START
    for _ in range(20):
        slot = Slot(now, trial=True)
        gate = slowed(gate, pace, slot, now, retry_at=None, message="slow down", job_id="job")
    gate = opened(gate, "job")
    for _ in range(pace.concurrency):
        gate, answer = ask(gate, pace, now, now + PATIENCE)
        assert isinstance(answer, Slot)


# -- too fast --


def test_a_rate_limit_halves_the_pace_and_it_recovers() -> None:
    gate = opened(too_fast(Gate(), START), "job")

    def interval(now: datetime) -> float:
        after, first = taken(gate, PACE, now)
        _, second = taken(after, PACE, first.at)
        return (second.at - first.at).total_seconds()

    assert interval(START + SECOND) == pytest.approx(2 * PACE.interval_seconds, rel=0.01)
    assert interval(START + RECOVERY / 2) == pytest.approx(2**0.5 * PACE.interval_seconds, rel=0.01)
    assert interval(START + RECOVERY) == 0


def test_requests_that_were_under_way_together_slow_it_once() -> None:
    once = too_fast(Gate(), START)
    assert too_fast(once, START).slowness == once.slowness == 2
    assert too_fast(once, START, slot=Slot(START, trial=True)).slowness == 4


def test_the_api_says_when_and_is_heard() -> None:
    gate = too_fast(Gate(), START, retry_at=START + timedelta(minutes=7))
    _, answer = ask(gate, PACE, START + timedelta(minutes=6), FAR)
    assert answer == Wait(START + timedelta(minutes=7), ParkedCause.RATE, "slow down")


def test_a_retry_in_the_past_pauses_all_the_same() -> None:
    gate = too_fast(Gate(), START, retry_at=START - timedelta(days=1))
    assert not gate.admits(START + SECOND)


# -- closed --


@given(st.sampled_from([ParkedCause.CREDITS, ParkedCause.KEY]), st.lists(st.integers(0, 300), max_size=30))
def test_while_it_is_closed_one_job_at_a_time_may_try(cause: ParkedCause, pauses: list[int]) -> None:
    gate, now, last = refused(Gate(), cause, START), START, START
    for pause in pauses:
        now += timedelta(seconds=pause)
        gate, answer = ask(gate, PACE, now, FAR)
        if isinstance(answer, Slot):
            assert answer.trial
            assert answer.at - last >= TRIAL_PAUSE
            last = answer.at
        else:
            assert answer.cause is cause
            assert answer.until <= now + TRIAL_PAUSE


def test_a_job_is_back_within_five_minutes_with_a_sweep_a_minute() -> None:
    assert timedelta(minutes=1) + TRIAL_PAUSE <= timedelta(minutes=5)


def test_enough_credits_open_it() -> None:
    gate = asked(refused(Gate(), ParkedCause.CREDITS, START), START + SECOND, can_pay=True)
    assert not gate.closures
    assert [notice.resumed for notice in gate.owed] == [False, True]


def test_credits_that_open_it_in_vain_are_not_believed_again_so_soon() -> None:
    gate = asked(refused(Gate(), ParkedCause.KEY, START), START, can_pay=True)
    gate = asked(refused(gate, ParkedCause.KEY, START + SECOND), START + 2 * SECOND, can_pay=True)
    assert not gate.admits(START + 2 * SECOND)
    gate, trial = taken(gate, PACE, START + SECOND + TRIAL_PAUSE)
    assert trial.trial
    later = refused(opened(gate, "job"), ParkedCause.KEY, START + 2 * TRIAL_PAUSE)
    assert not asked(later, START + 2 * TRIAL_PAUSE, can_pay=True).closures


def test_as_long_as_the_credits_are_too_few_no_job_tries() -> None:
    gate = refused(Gate(), ParkedCause.CREDITS, START)
    for minute in range(60):
        now = START + timedelta(minutes=minute)
        gate = asked(gate, now, can_pay=False)
        assert not gate.admits(now + timedelta(minutes=1))


def test_the_credits_say_nothing_about_a_permission() -> None:
    gate = refused(Gate(), ParkedCause.KEY, START, asks_credits=False)
    assert not asked(gate, START, can_pay=True).admits(START)


def test_every_cause_has_to_end() -> None:
    gate = refused(Gate(), ParkedCause.CREDITS, START)
    gate = refused(gate, ParkedCause.KEY, START + SECOND, asks_credits=False)
    assert not asked(gate, START + SECOND, can_pay=True).admits(START + SECOND)


# -- told --


def test_each_pause_and_each_resumption_is_owed_once() -> None:
    gate = Gate()
    for second in range(5):
        gate = refused(gate, ParkedCause.KEY, START + second * SECOND)
    gate = opened(gate, "the trial")
    gate = opened(gate, "another")
    paused, resumed = gate.owed
    assert (paused.resumed, resumed.resumed) == (False, True)
    assert (paused.job_id, resumed.job_id) == ("job", "the trial")
    assert paused.since == resumed.since == START
    assert told(gate, (paused,)).owed == (resumed,)
