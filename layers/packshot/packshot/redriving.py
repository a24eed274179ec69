"""Doing it again, when a person asks for it: what has ended badly goes on from where that costs the least.

What was made is fetched, what was never charged is posted again, what was never sent is planned anew.
Whatever may have been charged is posted again only for a person who says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packshot.job import Job, JobState
from packshot.job_table import JobTable, Unmoved
from packshot.moments import iso
from packshot.planning import PLANNED_DUE
from packshot.polling import OUTPUT_KEPT
from packshot.segmind_answers import REFUSAL_CODES
from packshot.submitting import SUBMITTED_DUE
from packshot.upload_queue import UploadQueue

# It failed at Segmind (failures are not charged), it was refused, or it was never posted.
NEVER_CHARGED = REFUSAL_CODES | {
    "GenerationFailed",
    "NotAcceptable",
    "NotAccepted",
    "PhotoMissing",
    "PhotoArchived",
    "ReferenceChanged",
}


@dataclass(frozen=True)
class Resume:
    """Its request is asked again, and its stored output fetched. Costs nothing."""


@dataclass(frozen=True)
class PostAgain:
    """Another request is made. `charged` says that one before it may have been charged."""

    charged: bool


@dataclass(frozen=True)
class SendAgain:
    """It was never sent: its photo is judged and planned anew, by the parameters of today."""


@dataclass(frozen=True)
class LeaveAlone:
    """Nothing is done, and why."""

    reason: str


Step = Resume | PostAgain | SendAgain | LeaveAlone

MOVED_ON = LeaveAlone("it moved on meanwhile")
PLANNED_SINCE = LeaveAlone("this photo, or a newer one under its key, was planned since")


def step_for(job: Job, now: datetime, *, pay_again: bool) -> Step:
    """What redriving a job as it stands would do."""
    if job.state is JobState.COMPLETED:
        return LeaveAlone(f"its image is at {job.image.key}" if job.image else "it has its image")
    if job.state is JobState.SUPERSEDED:
        return LeaveAlone("a newer photo took its place")
    if job.owes_event:
        return LeaveAlone("its event is about to be told; then it can be redriven")
    if job.state is JobState.REJECTED:
        return SendAgain()
    if job.state is JobState.FAILED:
        return _step_for_failed(job, now, pay_again=pay_again)
    if job.state is JobState.UNCERTAIN and job.stands_still:
        return _pay(pay_again=pay_again)
    return LeaveAlone(f"it is on its way, and due at {iso(job.due_at)}" if job.due_at else "it is on its way")


def _step_for_failed(job: Job, now: datetime, *, pay_again: bool) -> Step:
    code = job.error.code if job.error else ""
    made = job.output_url is not None
    if code in NEVER_CHARGED and not made and not job.lost_answers:
        return PostAgain(charged=False)
    kept = made and job.submitted_at is not None and now < job.submitted_at + OUTPUT_KEPT
    late = code == "DeadlinePassed" and job.request_id is not None
    if (kept or late) and not (pay_again and job.resumed):
        return Resume()
    return _pay(pay_again=pay_again)


def _pay(*, pay_again: bool) -> Step:
    if pay_again:
        return PostAgain(charged=True)
    return LeaveAlone("it may have been paid; it is paid again only with --pay-again")


@dataclass(frozen=True)
class Redriver:
    """The collaborators of a redrive. Each step is a conditional write and then a message.

    What dies in between is due, so the sweep sends the message. Two at once move a job once.
    """

    table: JobTable
    queue: UploadQueue
    now: Callable[[], datetime]

    def look(self, job: Job, *, pay_again: bool) -> Step:
        """What `redrive` would do. Raises whatever AWS raises."""
        step = step_for(job, self.now(), pay_again=pay_again)
        if isinstance(step, SendAgain) and self.table.was_planned(job.photo):
            # With other parameters it would be another job, and be paid for.
            return PLANNED_SINCE
        return step

    def redrive(self, job_id: str, agreed: Step, *, pay_again: bool) -> Step:
        """Do what `look` said of a job, if it still says so; what was done. Raises whatever AWS raises."""
        job = self.table.get(job_id)
        if job is None or self.look(job, pay_again=pay_again) != agreed:
            return MOVED_ON
        match agreed:
            case Resume():
                return self._go_on(
                    job,
                    agreed,
                    JobState.SUBMITTED,
                    # The name of the execution before is used up.
                    attempt=job.attempt + 1,
                    resumed=True,
                    due_at=self.now() + SUBMITTED_DUE,
                )
            case PostAgain():
                return self._go_on(
                    job,
                    agreed,
                    JobState.PLANNED,
                    due_at=self.now() + PLANNED_DUE,
                    resumed=False,
                    # A new start; but no new allowance of lost answers, each of which may have been charged.
                    not_accepted=0,
                    second_chance=False,
                    request_id=None,
                    submitted_at=None,
                    output_url=None,
                    inference_seconds=None,
                    cost_usd=None,
                )
            case SendAgain():
                self.queue.send_upload(job.photo)
        return agreed

    def _go_on(self, job: Job, step: Step, to: JobState, **changes: Any) -> Step:
        moved = self.table.move(job, to, error=None, **changes)
        if isinstance(moved, Unmoved):
            return MOVED_ON
        self.queue.send_job(job.job_id)
        return step
