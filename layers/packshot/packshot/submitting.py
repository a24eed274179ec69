"""From a planned job to a request: claim, submit, store the request id, start the workflow.

One paid POST a message. Whatever is repeated or comes back finds the job's row and goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from packshot import segmind_answers as answers
from packshot.announcing import Announcer
from packshot.gate import Slot, Wait
from packshot.gatekeeper import Gatekeeper
from packshot.history import RequestHistory
from packshot.image_store import ImageStore
from packshot.inference_times import InferenceTimes
from packshot.job import ENDINGS, NEWER_PHOTO, PERSON_DECIDES, Image, Job, JobState, ParkedCause, Reason
from packshot.job_table import JobTable, Unmoved
from packshot.photo import Photo
from packshot.photo_store import Overwritten, PhotoStore, Unusable
from packshot.planning import OVERWRITTEN, PLANNED_DUE, NotAPhoto, Planner
from packshot.polling import Polling, polling_for
from packshot.scene import Scene, SceneRequest
from packshot.segmind import NoApiKeyError, SegmindClient
from packshot.settings import OnUncertainSubmit
from packshot.upload_queue import UploadQueue
from packshot.workflow import Workflow

# What is parked is due after this, and comes when the gate opens.
PARKED_PAUSE = timedelta(minutes=1)
UNCERTAIN_PAUSE = timedelta(minutes=1)
NOT_ACCEPTED_PAUSE = timedelta(seconds=15)
MAX_NOT_ACCEPTED = 5
# A submitted job is looked at again after this, and then as often: is it still waited for?
SUBMITTED_DUE = timedelta(minutes=15)


class LeaseHeldError(Exception):
    """Another worker holds the job's lease; the message has to come again after it."""

    def __init__(self, job_id: str, until: datetime) -> None:
        super().__init__(job_id)
        self.until = until


class UnknownJobError(Exception):
    """A message names a job that has no row."""


@dataclass(frozen=True)
class _NotSent:
    """A claimed job whose photo is not to be sent any more."""

    ending: JobState
    reason: Reason


@dataclass(frozen=True)
class Submitter:
    """The collaborators of a submit, and the two things that a message may ask for."""

    planner: Planner
    photos: PhotoStore
    table: JobTable
    segmind: SegmindClient
    gatekeeper: Gatekeeper
    history: RequestHistory
    queue: UploadQueue
    workflow: Workflow
    announcer: Announcer
    images: ImageStore
    max_submits_per_job: int
    on_uncertain_submit: OnUncertainSubmit
    polls_count: bool
    now: Callable[[], datetime]

    def upload(self, found: Photo) -> Job | NotAPhoto:
        """Plan what an upload asks for and submit the first job; or what it is, if it is no photo."""
        planned = self.planner.plan(found)
        if not isinstance(planned, list):
            return planned
        first, *others = planned
        for other in others:
            self.queue.send_job(other)
        return self.job(first)

    def job(self, wanted_id: str) -> Job:
        """Submit one planned job, if that is what its state calls for; the job as it stands afterwards.

        Raises LeaseHeldError, UnknownJobError, and whatever AWS raises: the message then comes again.
        """
        standing = self.table.get(wanted_id)
        if standing is None:
            raise UnknownJobError(wanted_id)
        if standing.owes_event:
            # Told first, or nobody would hear of the state that a claim takes the job out of.
            standing = self.announcer.announce(standing)
            if standing.stands_still and not standing.uploaded_again:
                return standing
        if standing.state is JobState.UNCERTAIN and standing.is_due(self.now()):
            cleared = self._clear_up(standing)
            if cleared is not None:
                return cleared
        claimed = self.table.claim(wanted_id)
        if isinstance(claimed, Job):
            return self._post(claimed)
        return self._resume(claimed.job or standing)

    def _resume(self, job: Job) -> Job:
        """Go on from where a message that was repeated finds the job. Never posts."""
        if job.owes_event:
            # Someone moved it meanwhile, and may be dead: what is owed comes first.
            return self.job(job.job_id)
        now = self.now()
        match job.state:
            case JobState.SUBMITTED:
                self._wait_for(job)
            case JobState.CLAIMED if job.lease_until and job.lease_until > now:
                raise LeaseHeldError(job.job_id, job.lease_until)
            case JobState.CLAIMED:
                return self._uncertain(job, "whoever submitted it ended before the answer was stored")
            case JobState.COMPLETED | JobState.SUPERSEDED if job.parameters:
                return self._asked_again(job)
            case _ if job.state in ENDINGS:
                return self._tell_again(job)
        # What is parked or uncertain comes back when it is due.
        return job

    def _asked_again(self, job: Job) -> Job:
        """The image of a job that ended takes its place again among those of newer and older photos.

        One that was never made is made now, if its photo is the newest (again).
        """
        newest = self.table.is_newest(job.photo)
        if newest and job.state is JobState.SUPERSEDED and job.image is None and job.uploaded_again:
            planned = self._move(job, JobState.PLANNED, due_at=self.now() + PLANNED_DUE, error=None)
            return self.job(job.job_id) if planned.state in {JobState.PLANNED, job.state} else planned
        if job.image and (newest or job.uploaded_again):
            # The newest photo may come to no image: publishing itself keeps to the order.
            current = self.images.republish(job, job.image)
            if isinstance(current, Image) and current != job.image:
                self.table.look_again(job.photo)
                moved = self._move(job, JobState.COMPLETED, image=current, error=None)
                # If someone else was at it meanwhile, another image may be the current one by now.
                return moved if moved.image == current else self.job(job.job_id)
        return self._tell_again(job)

    def _tell_again(self, job: Job) -> Job:
        """Asked for again, told again: the same fact has the same id."""
        self.announcer.tell(job)
        return self.table.settle(job, answered=True) if job.due_at or job.uploaded_again else job

    def _post(self, job: Job) -> Job:
        if job.parameters is None or job.seed is None:
            raise UnknownJobError(job.job_id)
        try:
            images = self._images(job, job.parameters)
            # Read before the POST: after it, nothing comes before the request's id.
            times = self.table.inference_times()
            turn = images if isinstance(images, _NotSent) else self.gatekeeper.slot()
        except Exception:
            # Nothing was posted: give the claim back, or its end would count as a lost answer.
            self.table.move(job, JobState.PLANNED, due_at=job.due_at)
            raise
        match images, turn:
            case dict(), Slot():
                request = job.parameters.request(seed=job.seed, **images)
                return self._post_in_turn(job, turn, request, self._polling(job, turn, times))
            case dict(), Wait(until, ParkedCause.RATE as cause, message):
                return self._park(job, cause, message, until=until)
            case dict(), Wait(_, cause, message):
                # Not until the next trial: the others follow as soon as that succeeds.
                return self._park(job, cause, message)
            case _NotSent(ending, reason), _:
                ended = self._move(job, ending, error=reason)
        if ended.state is JobState.CLAIMED:
            # The photo came again meanwhile, and may be the newest now.
            return self._move(job, JobState.PLANNED, due_at=self.now())
        return ended

    def _post_in_turn(self, job: Job, slot: Slot, request: SceneRequest, polling: Polling) -> Job:
        try:
            outcome = self.segmind.submit(request)
        except NoApiKeyError as error:
            return self._close(job, ParkedCause.KEY, str(error))
        return self._answered(job, slot, outcome, polling)

    def _answered(self, job: Job, slot: Slot, outcome: answers.SubmitOutcome, polling: Polling) -> Job:
        """What the answer says about the job; then, and only then, what it says about all the others."""
        match outcome:
            case answers.Accepted(request_id):
                submitted = self._submitted(job, request_id, polling)
                self.gatekeeper.accepted(job, slot)
                return submitted
            case answers.RateLimited(message, retry_at):
                parked = self._park(job, ParkedCause.RATE, message, until=retry_at)
                self.gatekeeper.rate_limited(job, slot, message, retry_at)
                return parked
            case answers.NotAcceptable(message):
                if self.gatekeeper.can_pay():
                    return self._move(
                        job, JobState.FAILED, error=Reason(code="NotAcceptable", message=message)
                    )
                return self._close(job, ParkedCause.CREDITS, message)
            case answers.KeyRefused(status_code, message):
                # The credits call tells whether the key is good, not what it may be used for.
                words = f"HTTP {status_code}: {message}"
                return self._close(job, ParkedCause.KEY, words, asks_credits=status_code == 401)
            case answers.Refused(code, message):
                return self._move(job, JobState.FAILED, error=Reason(code=code, message=message))
            case answers.NotAccepted(message):
                return self._not_accepted(job, message)
            case answers.AnswerLost(message):
                return self._uncertain(job, message)

    def _images(self, job: Job, scene: Scene) -> dict[str, str] | _NotSent:
        """The photo and what goes along with it, as the API is given them; or why it is not sent any more."""
        if not self.table.is_newest(job.photo):
            return _NotSent(JobState.SUPERSEDED, NEWER_PHOTO)
        match self.photos.handed_over(job.photo, job.marker):
            case Unusable(_, reason):
                return _NotSent(JobState.FAILED, reason)
            case Overwritten():
                return _NotSent(JobState.SUPERSEDED, OVERWRITTEN)
            case image_1:
                images = {"image_1": image_1}
        for name, stored in scene.stored_images.items():
            beside = Photo(
                bucket=job.photo.bucket, key=stored.key, version_id=stored.version_id, etag=stored.etag
            )
            match self.photos.handed_over(beside, job.marker):
                case str() as image:
                    images[name] = image
                case _:
                    message = f"{name}, {stored.key}, is not what it was when the photo was planned"
                    return _NotSent(JobState.FAILED, Reason(code="ReferenceChanged", message=message))
        return images

    def _polling(self, job: Job, slot: Slot, times: InferenceTimes) -> Polling:
        """How the request of a job is to be waited for."""
        return polling_for(
            times,
            chance=int(job.job_id[-8:], 16) / 2**32,
            requests_a_minute=self.gatekeeper.pace.requests_a_minute,
            polls_count=self.polls_count,
            in_flight=slot.in_flight,
            is_behind=slot.is_behind,
        )

    def _submitted(self, job: Job, request_id: str, polling: Polling) -> Job:
        now = self.now()
        submitted = self._move(
            job,
            JobState.SUBMITTED,
            request_id=request_id,
            submitted_at=now,
            polling=polling,
            due_at=now + SUBMITTED_DUE,
            output_url=None,
            error=None,
        )
        if submitted.state is JobState.SUBMITTED:
            self._wait_for(submitted)
        return submitted

    def _wait_for(self, job: Job) -> None:
        """See to it that an execution waits for a submitted job: one that died is followed by the next."""
        if self.workflow.start(job):
            return
        match self.table.next_attempt(job):
            case Job() as next_job:
                self.workflow.start(next_job)

    def _park(self, job: Job, cause: ParkedCause, message: str, until: datetime | None = None) -> Job:
        due_at = max(until or self.now(), self.now() + PARKED_PAUSE)
        reason = Reason(code=f"Parked:{cause}", message=message)
        return self._move(job, JobState.PARKED, due_at=due_at, cause=cause, error=reason)

    def _close(self, job: Job, cause: ParkedCause, message: str, *, asks_credits: bool = True) -> Job:
        parked = self._park(job, cause, message)
        self.gatekeeper.closes(job, cause, message, asks_credits=asks_credits)
        return parked

    def _not_accepted(self, job: Job, message: str) -> Job:
        """Nothing was taken, so nothing is paid: another attempt is free, and bounded."""
        count = job.not_accepted + 1
        reason = Reason(code="NotAccepted", message=message)
        if count >= MAX_NOT_ACCEPTED:
            return self._move(job, JobState.FAILED, not_accepted=count, error=reason)
        pause = NOT_ACCEPTED_PAUSE * 2**job.not_accepted
        return self._move(job, JobState.PLANNED, due_at=self.now() + pause, not_accepted=count, error=reason)

    def _uncertain(self, job: Job, message: str) -> Job:
        """The answer may have been yes. What may be done about it is done when the job is due."""
        job = job.model_copy(update={"lost_answers": job.lost_answers + 1})
        reason, due_at = Reason(code="AnswerLost", message=message), self.now() + UNCERTAIN_PAUSE
        if not self.history.url and not self._may_be_asked_again(job):
            return self._let_a_person_decide(job, message)
        return self._move(job, JobState.UNCERTAIN, lost_answers=job.lost_answers, error=reason, due_at=due_at)

    def _may_be_asked_again(self, job: Job) -> bool:
        """One more request for each lost answer, up to the limit, if that is wanted at all."""
        return self.on_uncertain_submit == "resubmit" and job.lost_answers < self.max_submits_per_job

    def _clear_up(self, job: Job) -> Job | None:
        """What became of an uncertain job without another request; None when it may be submitted again."""
        request_id = self.history.find(job.marker, since=job.updated_at)
        if request_id and self._knows(request_id):
            return self._submitted(job, request_id, Polling())
        if job.stands_still:
            return job
        if self._may_be_asked_again(job):
            return None
        return self._let_a_person_decide(job, job.error.message if job.error else "")

    def _knows(self, request_id: str) -> bool:
        """Whether the API itself knows a request that the history tells of."""
        try:
            outcome = self.segmind.status(request_id)
        except NoApiKeyError:
            return False
        return isinstance(outcome, answers.Pending | answers.Completed | answers.Failed)

    def _let_a_person_decide(self, job: Job, message: str) -> Job:
        reason = Reason(code=PERSON_DECIDES, message=message)
        return self._move(job, JobState.UNCERTAIN, lost_answers=job.lost_answers, error=reason, due_at=None)

    def _move(self, job: Job, to: JobState, **changes: Any) -> Job:
        moved = self.table.move(job, to, **changes)
        if isinstance(moved, Unmoved):
            # Someone else moved it on meanwhile (the lease ran out): what stands is the truth.
            return moved.job or job
        return self.announcer.announce(moved)
