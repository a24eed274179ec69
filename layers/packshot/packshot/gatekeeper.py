"""Who opens and closes the gate: a slot for each submit, and what each answer says about all the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from packshot import gate as gates
from packshot.event_bus import EventBus
from packshot.gate import PATIENCE, Gate, Notice, Pace, Slot, Wait
from packshot.job import Job, ParkedCause
from packshot.job_table import JobTable
from packshot.segmind import NoApiKeyError, SegmindClient, SegmindError

# Tries to change the row while others change it: each time at least one of them succeeds.
CHANGES = 50
MOST_BACKOFF_SECONDS = 0.1

Result = TypeVar("Result")


class GateContendedError(Exception):
    """Others kept changing the gate meanwhile: try again."""


@dataclass(frozen=True)
class Gatekeeper:
    """The collaborators of the gate. `image_price_usd` is the least balance that pays for an image."""

    table: JobTable
    segmind: SegmindClient
    bus: EventBus
    pace: Pace
    image_price_usd: float
    count: Callable[[Notice], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def slot(self) -> Slot | Wait:
        """Wait for the next slot; a Wait when that would take longer than a submit's patience.

        Raises GateContendedError.
        """
        latest = self.now() + PATIENCE
        while True:
            answer = self._change(lambda gate: gates.ask(gate, self.pace, self.now(), latest))
            moment = answer.at if isinstance(answer, Slot) else answer.until
            if moment > latest:
                return answer
            self._sleep_until(moment)
            if isinstance(answer, Slot):
                return answer

    def accepted(self, job: Job, slot: Slot) -> None:
        """A request was accepted: if that was a trial, the others may follow."""
        if slot.trial:
            self._change(lambda gate: (gates.opened(gate, job.job_id), None))
            self.tell()

    def rate_limited(self, job: Job, slot: Slot, message: str, retry_at: datetime | None) -> None:
        """The API wants less: everyone pauses, and goes on slower."""
        self._change(
            lambda gate: (
                gates.slowed(
                    gate,
                    self.pace,
                    slot,
                    self.now(),
                    retry_at=retry_at,
                    message=message,
                    job_id=job.job_id,
                ),
                None,
            )
        )
        self.tell()

    def closes(self, job: Job, cause: ParkedCause, message: str, *, asks_credits: bool) -> None:
        """No job can be sent until a person has acted."""
        self._change(
            lambda gate: (
                gates.closed(
                    gate, cause, self.now(), message=message, job_id=job.job_id, asks_credits=asks_credits
                ),
                None,
            )
        )
        self.tell()

    def can_pay(self) -> bool | None:
        """Whether the key is good and the balance pays for an image, by the free call; None if untold."""
        try:
            balance_usd = self.segmind.credits().balance_usd
        except NoApiKeyError:
            return False
        except SegmindError as error:
            return False if error.status_code == 401 else None
        return None if balance_usd is None else balance_usd >= self.image_price_usd

    def look(self) -> Gate:
        """Tell what is owed, and ask for the credits if the gate waits for them; the gate as it stands then.

        Where the call tells nothing, a single job now and then has to find it out.
        """
        self.tell()
        gate = self.table.gate()
        if any(closure.asks_credits for closure in gate.closures):
            can_pay = self.can_pay()
            if can_pay is not None:
                gate = self._change(lambda gate: _twice(gates.asked(gate, self.now(), can_pay=can_pay)))
                self.tell()
        return gate

    def tell(self) -> None:
        """Put the events on the bus that pauses and resumptions owe."""
        notices = self.table.gate().owed
        for notice in notices:
            job = self.table.get(notice.job_id)
            if job is not None:
                self.bus.announce_pause(job, notice)
                self.count(notice)
        if notices:
            self._change(lambda gate: (gates.told(gate, notices), None))

    def _change(self, step: Callable[[Gate], tuple[Gate, Result]]) -> Result:
        for _ in range(CHANGES):
            gate = self.table.gate()
            changed, result = step(gate)
            if changed == gate or self.table.replace_gate(gate, changed):
                return result
            self.sleep(random.uniform(0, MOST_BACKOFF_SECONDS))  # noqa: S311
        raise GateContendedError

    def _sleep_until(self, moment: datetime) -> None:
        self.sleep(max((moment - self.now()).total_seconds(), 0.0))


def count(notice: Notice) -> None:
    """The metrics `SubmittingPaused` and `SubmittingResumed`, by cause."""
    name = "SubmittingResumed" if notice.resumed else "SubmittingPaused"
    with single_metric(name=name, unit=MetricUnit.Count, value=1) as metric:
        metric.add_dimension(name="cause", value=notice.cause)


def _twice(gate: Gate) -> tuple[Gate, Gate]:
    return gate, gate
