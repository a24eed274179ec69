"""Every ending of a request, success or not, has this one author: the image, the record, the event."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from packshot import segmind_answers as answers
from packshot.announcing import Announcer
from packshot.downloads import CutShortError, Downloader, DownloadError, ForbiddenOutputError
from packshot.history import RequestHistory
from packshot.image_store import ImageStore, Newer
from packshot.job import ENDINGS, NEWER_PHOTO, Job, JobState, Reason
from packshot.job_table import JobTable, Unmoved
from packshot.pictures import NotAPicture, Picture, read_picture
from packshot.polling import OUTPUT_KEPT
from packshot.segmind import NoApiKeyError, SegmindClient
from packshot.settings import OnExpiredResult

# A file that is wrong is fetched again before that is believed.
FETCHES = 3
# A first look comes late by less than this: the workflow's own pace, and a cold start.
SURELY_SECONDS = 2.0
# A fetch that fails is tried again by the workflow, then ever more seldom for as long as the file is kept.
WORKFLOW_FETCHES_FOR = timedelta(minutes=5)
LONGEST_FETCH_PAUSE = timedelta(hours=1)
# Words of a failure that lies in the fetching of the photo. Mistaken, they cost a free request.
PHOTO_NOT_FETCHED = re.compile(
    r"(fail|could not|cannot|can't|unable|error|invalid|time).{0,40}"
    r"(download|fetch|retriev|load|read|access|reach|open).{0,60}(image|photo|url|file|input)"
    r"|(image|photo|url|file|input).{0,60}(not|n't|fail).{0,40}"
    r"(download|fetch|retriev|load|read|access|reach|open)",
    re.IGNORECASE | re.DOTALL,
)


class NotFinishedError(Exception):
    """The request has no ending yet, or it cannot be told now: ask again."""


@dataclass(frozen=True)
class _Wrong:
    """What was fetched, or where it is, cannot become the image."""

    reason: Reason


@dataclass(frozen=True)
class Finalizer:
    """The collaborators of an ending."""

    table: JobTable
    segmind: SegmindClient
    downloader: Downloader
    images: ImageStore
    announcer: Announcer
    history: RequestHistory
    deadline: timedelta
    on_expired_result: OnExpiredResult
    now: Callable[[], datetime]

    def finalize(
        self, job_id: str, attempt: int, *, gone: bool = False, age_seconds: float = 0.0
    ) -> Job | None:
        """Bring a submitted job to its end; the job as it stands then, None when it moved on meanwhile.

        `gone` says that the API has been heard, often enough to be believed, to know nothing of the request.
        `age_seconds` is how old the request was when it was found to be over.
        Raises NotFinishedError, DownloadError, and whatever AWS raises: the workflow then tries again.
        """
        job = self.table.get(job_id)
        if job is None or job.attempt != attempt:
            return None
        if job.state in ENDINGS:
            # Finished before, perhaps without its event having got out: the same fact has the same id.
            return self.announcer.announce(job)
        if job.state is not JobState.SUBMITTED or job.request_id is None:
            return None
        return self._finish(job, job.request_id, gone=gone, age_seconds=age_seconds)

    def _finish(self, job: Job, request_id: str, *, gone: bool, age_seconds: float) -> Job:
        try:
            outcome = self.segmind.result(request_id)
        except NoApiKeyError as error:
            outcome = answers.TryLater(str(error))
        match outcome:
            case answers.Completed(output, inference_seconds, cost_usd):
                ended = self._complete(job, output, inference_seconds=inference_seconds, cost_usd=cost_usd)
                self._learn(job, outcome, age_seconds)
                return ended
            case answers.Failed(message) if PHOTO_NOT_FETCHED.search(message) and not job.second_chance:
                # Not charged; and the next submit gives the photo a fresh address.
                return self._plan_again(job, message)
            case answers.Failed(message, inference_seconds):
                reason = Reason(code="GenerationFailed", message=message)
                return self._end(job, JobState.FAILED, error=reason, inference_seconds=inference_seconds)
            case answers.Unknown(message) if gone or self._is_past_deadline(job):
                return self._unknown(job, message)
            case answers.Unknown(message):
                raise NotFinishedError(message)
            case answers.Pending(status):
                return self._past_deadline(job, f"the request is {status}")
            case answers.TryLater(message):
                return self._past_deadline(job, message)

    def _learn(self, job: Job, completed: answers.Completed, age_seconds: float) -> None:
        """Remember how long it took: as the API tells it, else from the submit until it was noticed.

        The API may keep silent about the queue. But a request that was watched was not over a look earlier.
        """
        told = completed.inference_seconds is not None
        seconds = (completed.inference_seconds or 0.0) + (completed.queue_seconds or 0.0)
        if not told:
            seconds = (self.now() - (job.submitted_at or job.updated_at)).total_seconds()
        elif age_seconds > job.polling.first_wait_seconds + job.polling.cadence_seconds + SURELY_SECONDS:
            seconds = max(seconds, age_seconds - job.polling.cadence_seconds)
        times = self.table.inference_times()
        learned = times.with_one_more(seconds, self.now(), told=told)
        if learned != times:
            self.table.replace_inference_times(times, learned)

    def _complete(self, job: Job, output: answers.Output | None, **measured: Any) -> Job:
        age = self.now() - (job.submitted_at or job.updated_at)
        is_young = age < WORKFLOW_FETCHES_FOR
        if not is_young:
            # Whoever dies over a young one comes back long before the API forgets where its image is.
            self._remember(job, output)
        try:
            return self._publish(job, output, **measured)
        except DownloadError as error:
            if is_young:
                self._remember(job, output)
                raise
            message = answers.words(str(error))
        if age >= OUTPUT_KEPT:
            return self._gone(job, Reason(code="OutputExpired", message=message), **measured)
        # The sweep starts the next attempt: what was paid for is worth more patience than a workflow has.
        return self.table.postpone(job, self.now() + min(age, LONGEST_FETCH_PAUSE))

    def _remember(self, job: Job, output: answers.Output | None) -> None:
        if output is not None and output.url is not None:
            self.table.remember_output(job, output.url)

    def _publish(self, job: Job, output: answers.Output | None, **measured: Any) -> Job:
        if output is None:
            reason = Reason(code="NoOutput", message="the result is COMPLETED but names no image")
            return self._end(job, JobState.FAILED, error=reason, **measured)
        made = self._fetch(job, output)
        if isinstance(made, _Wrong):
            # The output's address stays in the record: it was paid for, and a person may still fetch it.
            return self._end(job, JobState.FAILED, error=made.reason, output_url=output.url, **measured)
        file, picture = made
        with file:
            published = self.images.publish(job, file, picture)
            if isinstance(published, Newer):
                late = self.images.set_aside(job, file, picture)
                return self._end(
                    job, JobState.SUPERSEDED, image=late, error=NEWER_PHOTO, output_url=None, **measured
                )
        # S3 compares ETags, and the same bytes put again have the same one: a newer image may be covered now.
        self.table.look_again(job.photo)
        return self._end(job, JobState.COMPLETED, image=published, error=None, output_url=None, **measured)

    def _fetch(self, job: Job, output: answers.Output) -> tuple[BinaryIO, Picture] | _Wrong:
        wrong = _Wrong(Reason(code="NoOutput", message="nothing was fetched"))
        for _ in range(FETCHES):
            try:
                file = self.downloader.fetch(output.url) if output.url else io.BytesIO(output.data or b"")
            except CutShortError as error:
                wrong = _Wrong(Reason(code="WrongOutput", message=str(error)))
                continue
            except ForbiddenOutputError as error:
                return _Wrong(Reason(code="OutputForbidden", message=answers.words(str(error))))
            picture = read_picture(file)
            problem = _problem(job, picture)
            if isinstance(picture, Picture) and problem is None:
                return file, picture
            file.close()
            wrong = _Wrong(
                Reason(code="WrongOutput", message=f"the file is not the image asked for: {problem}")
            )
        return wrong

    def _unknown(self, job: Job, message: str) -> Job:
        """The request's record is gone. Its image may still be where it was, or the history tells where."""
        output_url = job.output_url or self.history.output_url(job.request_id or "")
        if output_url is not None:
            return self._complete(job, answers.Output(url=output_url))
        return self._gone(job, Reason(code="RequestUnknown", message=message))

    def _gone(self, job: Job, reason: Reason, **measured: Any) -> Job:
        """What was paid for cannot be had any more."""
        if self.on_expired_result == "resubmit" and not job.second_chance:
            return self._plan_again(job, reason.message)
        return self._end(job, JobState.FAILED, error=reason, **measured)

    def _plan_again(self, job: Job, message: str) -> Job:
        """One more request, once, as soon as the next sweep."""
        reason = Reason(code="SubmittedAgain", message=message)
        return self._end(job, JobState.PLANNED, error=reason, due_at=self.now(), second_chance=True)

    def _past_deadline(self, job: Job, message: str) -> Job:
        if not self._is_past_deadline(job):
            raise NotFinishedError(message)
        if job.output_url is not None:
            return self._complete(job, answers.Output(url=job.output_url))
        minutes = int(self.deadline.total_seconds() // 60)
        words = f"no ending within {minutes} minutes; last: {message}"
        return self._end(job, JobState.FAILED, error=Reason(code="DeadlinePassed", message=words))

    def _is_past_deadline(self, job: Job) -> bool:
        return job.submitted_at is not None and self.now() - job.submitted_at >= self.deadline

    def _end(self, job: Job, ending: JobState, **changes: Any) -> Job:
        moved = self.table.move(job, ending, **changes)
        if isinstance(moved, Unmoved):
            moved = moved.job or job
            if (moved.state, moved.attempt) == (job.state, job.attempt):
                raise NotFinishedError("the photo was uploaded again meanwhile")
        return self.announcer.announce(moved)


def _problem(job: Job, picture: Picture | NotAPicture) -> str | None:
    """Why a fetched file is not the image that was asked for; None when it is."""
    if isinstance(picture, NotAPicture):
        return picture.message
    asked = job.parameters.image_format if job.parameters else picture.format
    return None if picture.format == asked else f"{picture.format} instead of {asked}"
