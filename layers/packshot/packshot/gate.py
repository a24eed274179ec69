"""The gate that every paid request passes: how fast they may follow each other, and whether any may be sent.

Pure: each decision takes the gate as it stands and gives the gate as it is to stand. One row of the job table
holds it, so that all functions share it.

The pace is a generic cell rate algorithm: `next_at` is when a request would be on time if all before it came
evenly. A closure is a circuit breaker: the first to meet a cause closes the gate for all, and from `trial_at`
on a single job may try whether the cause has ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from packshot.job import ParkedCause
from packshot.row_types import Moment

# With a sweep a minute, so that a job is back within five minutes after the cause has ended.
TRIAL_PAUSE = timedelta(minutes=4)
DOUBT = timedelta(minutes=5)
RATE_TRIAL_PAUSE = timedelta(seconds=5)
# A pace that was halved is back to the plan's after this, doubled back after twice as long, and so on.
RECOVERY = timedelta(minutes=5)
MINUTE_SECONDS = 60.0
# What a request takes, roughly: only for an estimate of how many there are.
USUAL_TIME = timedelta(seconds=22)
# So long a submit waits for its turn, for then the backlog stays in the queue; longer, and its job is parked.
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Pace:
    """What the plan allows; `concurrency` is how many submits can wait for their turn at the same time."""

    requests_a_minute: int
    concurrency: int

    @property
    def burst(self) -> int:
        """So many requests may come at once."""
        return max(1, self.requests_a_minute // 6)

    @property
    def interval_seconds(self) -> float:
        """Between requests after a burst: no minute holds more than the plan allows, wherever it begins."""
        return MINUTE_SECONDS / max(1, self.requests_a_minute - self.burst)

    @property
    def most_slowness(self) -> float:
        """Slower, and submits would lose their patience though only the pace holds them."""
        return max(1.0, PATIENCE.total_seconds() / self.concurrency / self.interval_seconds)


class Closure(BaseModel):
    """Why no request is sent, and from when one may be tried all the same."""

    model_config = ConfigDict(frozen=True)

    cause: ParkedCause
    message: str
    since: Moment
    job_id: str
    trial_at: Moment
    trial_pause_seconds: float
    asks_credits: bool


class Notice(BaseModel):
    """That submitting was paused or resumed, as an event has to tell; by the job that found it out."""

    model_config = ConfigDict(frozen=True)

    resumed: bool
    cause: ParkedCause
    message: str
    since: Moment
    job_id: str


class Gate(BaseModel):
    """The state of the gate.

    `slowness` is how many times slower than the plan it went, at `slowed_at`; `believed_at` is when the
    credits call opened it last. `in_flight` is about how many requests were waited for at `in_flight_at`.
    """

    model_config = ConfigDict(frozen=True)

    version: int = 0
    next_at: Moment | None = None
    slowness: float = 1.0
    slowed_at: Moment | None = None
    closures: tuple[Closure, ...] = ()
    believed_at: Moment | None = None
    in_flight: float = 0.0
    in_flight_at: Moment | None = None
    owed: tuple[Notice, ...] = ()

    def is_closed_for(self, cause: ParkedCause) -> bool:
        """Whether it is closed for this cause."""
        return any(closure.cause is cause for closure in self.closures)

    def admits(self, now: datetime) -> bool:
        """Whether a job that comes now may be sent, be it as a trial."""
        return all(closure.trial_at <= now for closure in self.closures)


@dataclass(frozen=True)
class Slot:
    """A request may be sent at this time; a trial, to find out whether a cause has ended.

    `in_flight` is about how many are waited for then, `is_behind` whether this one had to wait for the pace.
    """

    at: datetime
    trial: bool
    in_flight: float = 1.0
    is_behind: bool = False


@dataclass(frozen=True)
class Wait:
    """Ask again at this time."""

    until: datetime
    cause: ParkedCause
    message: str


def ask(gate: Gate, pace: Pace, now: datetime, latest: datetime) -> tuple[Gate, Slot | Wait]:
    """Take the next slot, unless it is later than `latest` or the gate is closed."""
    if not gate.admits(now):
        last = max(gate.closures, key=lambda closure: closure.trial_at)
        return gate, Wait(last.trial_at, last.cause, last.message)
    interval = timedelta(seconds=_interval_seconds(gate, pace, now))
    # After a pause, and at less than the plan's pace, nothing comes at once.
    tolerance = interval * (pace.burst - 1 if _slowness(gate, now) == 1 else 0)
    next_at = gate.next_at or now
    at = max(now, next_at - tolerance)
    if at > latest:
        return gate, Wait(at, ParkedCause.RATE, "the plan's requests a minute are used up")
    closures = tuple(
        closure.model_copy(update={"trial_at": at + timedelta(seconds=closure.trial_pause_seconds)})
        for closure in gate.closures
    )
    in_flight = _in_flight(gate, at) + 1
    taken = {
        "next_at": max(at, next_at) + interval,
        "closures": closures,
        "in_flight": in_flight,
        "in_flight_at": at,
    }
    return gate.model_copy(update=taken), Slot(at, bool(closures), in_flight, is_behind=at > now)


def closed(
    gate: Gate, cause: ParkedCause, now: datetime, *, message: str, job_id: str, asks_credits: bool
) -> Gate:
    """The gate after a job met a cause that keeps every job from being sent.

    The credits call is not believed again so soon after it has opened the gate: then only a trial does.
    """
    doubted = gate.believed_at is not None and now - gate.believed_at < DOUBT
    closure = Closure(
        cause=cause,
        message=message,
        since=now,
        job_id=job_id,
        trial_at=now + TRIAL_PAUSE,
        trial_pause_seconds=TRIAL_PAUSE.total_seconds(),
        asks_credits=asks_credits and not doubted,
    )
    return _with(gate, closure)


def slowed(
    gate: Gate, pace: Pace, slot: Slot, now: datetime, *, retry_at: datetime | None, message: str, job_id: str
) -> Gate:
    """The gate after a request came too fast: a pause, then half the pace, which recovers by itself.

    Requests that were under way together slow it only once.
    """
    if slot.trial or not gate.is_closed_for(ParkedCause.RATE):
        slowness = min(2 * _slowness(gate, now), pace.most_slowness)
        gate = gate.model_copy(update={"slowness": slowness, "slowed_at": now})
    pause = max(RATE_TRIAL_PAUSE, timedelta(seconds=_interval_seconds(gate, pace, now)))
    closure = Closure(
        cause=ParkedCause.RATE,
        message=message,
        since=now,
        job_id=job_id,
        trial_at=max(retry_at or now, now + pause),
        trial_pause_seconds=pause.total_seconds(),
        asks_credits=False,
    )
    return _with(gate, closure)


def opened(gate: Gate, job_id: str) -> Gate:
    """The gate after a trial succeeded."""
    notices = tuple(_notice(closure, resumed=True, job_id=job_id) for closure in gate.closures)
    return gate.model_copy(update={"closures": (), "owed": gate.owed + notices})


def asked(gate: Gate, now: datetime, *, can_pay: bool) -> Gate:
    """The gate after the credits call: open if an image can be paid for, else no trial yet."""
    waiting = tuple(closure for closure in gate.closures if closure.asks_credits)
    others = tuple(closure for closure in gate.closures if not closure.asks_credits)
    if can_pay:
        notices = tuple(_notice(closure, resumed=True, job_id=closure.job_id) for closure in waiting)
        return gate.model_copy(update={"closures": others, "owed": gate.owed + notices, "believed_at": now})
    later = tuple(closure.model_copy(update={"trial_at": now + TRIAL_PAUSE}) for closure in waiting)
    return gate.model_copy(update={"closures": others + later})


def told(gate: Gate, notices: tuple[Notice, ...]) -> Gate:
    """The gate after these events got out."""
    return gate.model_copy(update={"owed": tuple(notice for notice in gate.owed if notice not in notices)})


def _with(gate: Gate, closure: Closure) -> Gate:
    """A cause is told of once, however many jobs meet it."""
    owed = gate.owed
    if gate.is_closed_for(closure.cause):
        (standing,) = (found for found in gate.closures if found.cause is closure.cause)
        closure = closure.model_copy(update={"since": standing.since})
    else:
        owed += (_notice(closure, resumed=False, job_id=closure.job_id),)
    others = tuple(found for found in gate.closures if found.cause is not closure.cause)
    return gate.model_copy(update={"closures": (*others, closure), "owed": owed})


def _notice(closure: Closure, *, resumed: bool, job_id: str) -> Notice:
    return Notice(
        resumed=resumed, cause=closure.cause, message=closure.message, since=closure.since, job_id=job_id
    )


def _in_flight(gate: Gate, now: datetime) -> float:
    """About how many requests are waited for: each counts less and less, as if it were done by chance."""
    if gate.in_flight_at is None:
        return 0.0
    return float(gate.in_flight * math.exp(-max(now - gate.in_flight_at, timedelta()) / USUAL_TIME))


def _slowness(gate: Gate, now: datetime) -> float:
    """How many times slower than the plan it goes now."""
    if gate.slowed_at is None:
        return 1.0
    recovered = 2.0 ** ((now - gate.slowed_at) / RECOVERY)
    return float(max(1.0, gate.slowness / recovered))


def _interval_seconds(gate: Gate, pace: Pace, now: datetime) -> float:
    return pace.interval_seconds * _slowness(gate, now)
