"""The world of a schedule: the use cases on the fakes, and around them what AWS and Segmind do by themselves.

Nothing happens here but by a call from the schedule, in the order of its calls.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from packshot.check_settings import DEADLINE
from packshot.http_session import NoRedirectSession
from packshot.job import Job, Reason
from packshot.photo import Photo
from packshot.photo_store import Overwritten, ReadPhoto, Unusable
from packshot.polling import FIRST_WAIT_SECONDS, Polling
from packshot.redriving import LeaveAlone, step_for
from packshot.scenes_file import SCENES_FILE
from packshot.submitting import LeaseHeldError
from packshot.workflow import WorkflowState, attempt_of_execution
from tests.simulation.bounds import (
    CHECK_TIMEOUT,
    FINALIZE_TIMEOUT,
    MAX_RECEIVES,
    MAX_RETRIES,
    SUBMIT_TIMEOUT,
    SWEEP_TIMEOUT,
    VISIBILITY,
    retry_wait,
)
from tests.simulation.processes import Fate, Process, Seams
from tests.simulation.promises import Watch
from tests.simulation.segmind_ledger import DOWNLOADS, FINE, HOST, Downloads, Request, SegmindLedger
from tests.unit.fakes import FakePhotoStore, World

# Two names of one image path among them.
KEYS = ("shoes/red.jpg", "shoes/red.png", "bag.jpg")
# Two that take turns, and a third.
CONTENTS = "ABABC"
# What may stand at the root of the bucket: without any, a photo has the one scene of the stack.
_BEACH = {"prompt": "on a beach"}
SCENES_FILES = (
    None,
    json.dumps({"scenes": {"default": {}, "beach": _BEACH}}),
    json.dumps({"scenes": {"beach": _BEACH}}),
    json.dumps({"scenes": {"default": {}, "beach": {"prompt": "on a beach at night"}}}),
    json.dumps({"scenes": {"beach": {"prompt": ""}}}),
)


class InputBucket(FakePhotoStore):
    """The input bucket, versioned or not: every upload there was, in order, and what was deleted."""

    def __init__(self, seams: Seams, versioned: bool) -> None:
        super().__init__(seams)
        self.versioned = versioned
        self.uploads: list[Photo] = []
        self.deleted: set[str] = set()

    def put(self, key: str, content: str) -> Photo:
        """A photo is uploaded; what its event tells of it."""
        number = len(self.uploads) + 1
        photo = Photo(
            bucket="photos",
            key=key,
            version_id=f"version-{number}" if self.versioned else None,
            etag=hashlib.md5(content.encode()).hexdigest(),
            # S3's have no fixed length: compared as they are, the longer of two would count as the newer.
            sequencer=f"00{number:04X}" + ("00A1" if number % 2 else ""),
            bytes=1024,
        )
        self.uploads.append(photo.model_copy(update={"sha256": sha256_of(content)}))
        return photo

    def stands(self, photo: Photo) -> ReadPhoto | Unusable | Overwritten:
        """What a reader of exactly that photo finds."""
        versions = [upload for upload in self.uploads if upload.key == photo.key]
        found = versions[-1]
        if self.versioned:
            (found,) = [upload for upload in versions if upload.version_id == photo.version_id]
        if found.sequencer in self.deleted:
            return Unusable(photo, Reason(code="PhotoMissing", message="the object was deleted"))
        if found.etag != photo.etag:
            return Overwritten()
        return ReadPhoto(photo.model_copy(update={"sha256": found.sha256}), {})

    def read(self, found: Photo) -> ReadPhoto | Unusable | Overwritten:
        return self._outside.call(lambda: self.stands(found))

    def _handed_over(self, photo: Photo, marker: str) -> str | Unusable | Overwritten:
        # A URL is presigned without a look at what stands there.
        return f"https://photos.example/{photo.key}?versionId={photo.version_id}&{marker}"


def sha256_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Message:
    """A message in the upload queue: the event of an upload, or the id of a job."""

    body: Photo | str
    visible_at: datetime
    receives: int = 0
    # Receives that ended in an error or a death, other than "somebody holds the lease".
    failures: int = 0

    def __str__(self) -> str:
        return f"job {self.body[:6]}" if isinstance(self.body, str) else f"upload {label(self.body)}"


def label(photo: Photo) -> str:
    return f"{photo.key}#{photo.sequencer}"


@dataclass
class Execution:
    """A running execution of the workflow: which task comes next, and when."""

    name: str
    state: WorkflowState
    due_at: datetime
    task: str = "check"
    retries: int = 0
    busy: bool = False


class Cloud(World):
    """All of it. What is quiet has no message, no execution, no process and no due row."""

    def __init__(self, *, versioned: bool) -> None:
        self.seams = Seams()
        self.ledger = SegmindLedger(self.seams)
        super().__init__(self.seams, self.ledger)
        self.ledger.now = self.clock
        self.began = self.clock()
        self.input = InputBucket(self.seams, versioned)
        self.downloads = Downloads(frozenset({HOST}), 1_000_000, NoRedirectSession(), self.seams)
        self.planner = replace(self.planner, photos=self.input)
        self.submitter = replace(self.submitter, photos=self.input, planner=self.planner)
        self.finalizer = replace(self.finalizer, downloader=self.downloads)
        self.watch = Watch(self)
        self.messages: list[Message] = []
        self.dead_letters: list[Message] = []
        self.told_uploads: list[Photo] = []
        self.executions: list[Execution] = []
        self.seen_executions: set[str] = set()
        self.processes: list[Process] = []
        self._when_over: dict[Process, Callable[[BaseException | None], None]] = {}
        self.story: list[str] = []

    def tell(self, words: str) -> None:
        passed = self.clock() - self.began
        self.story.append(f"{passed.total_seconds():7.0f}s  {words}")

    # -- processes --

    def start(
        self,
        name: str,
        work: Callable[[], None],
        timeout: timedelta,
        when_over: Callable[[BaseException | None], None],
        calls: int,
        fate: Fate,
    ) -> None:
        process = Process(name, work, self.clock() + timeout)
        self.processes.append(process)
        self._when_over[process] = when_over
        self.resume(process, calls, fate)

    def resume(self, process: Process, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        """Let a process run on, and see what it leaves behind."""
        done = len(process.calls)
        self.seams.advance(process, calls, fate)
        ended = f" -> {process.error or 'done'!r}" if process.over else " ..."
        self.tell(f"{process.name}: {', '.join(process.calls[done:])}{ended}")
        if process.over:
            self.processes.remove(process)
            self._when_over.pop(process)(process.error)
        self.messages += [Message(job_id, self.clock()) for job_id in self.queue.sent]
        self.queue.sent.clear()
        self.messages += [Message(photo, self.clock()) for photo in self.queue.uploads]
        self.queue.uploads.clear()
        self._see_executions()

    # -- the input bucket and the upload queue --

    def upload(self, key: str, content: str) -> None:
        photo = self.input.put(key, content)
        self.tell(f"{content} is uploaded as {label(photo)}")
        self.tell_of(photo)

    def tell_of(self, photo: Photo) -> None:
        """EventBridge delivers the event of an upload, perhaps not for the first time."""
        self.told_uploads.append(photo)
        self.messages.append(Message(photo, self.clock()))

    def delete(self, photo: Photo) -> None:
        self.tell(f"{label(photo)} is deleted")
        self.input.deleted.add(photo.sequencer)

    @property
    def visible(self) -> list[Message]:
        return [message for message in self.messages if message.visible_at <= self.clock()]

    def receive(self, message: Message, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        """SubmitFunction is given a message; one received too often goes to the dead-letter queue instead."""
        if message.receives >= MAX_RECEIVES:
            self.tell(f"{message} goes to the dead-letter queue")
            self.messages.remove(message)
            self.dead_letters.append(message)
            return
        message.receives += 1
        message.visible_at = self.clock() + VISIBILITY

        def handler() -> None:
            try:
                if isinstance(message.body, Photo):
                    self.submitter.upload(message.body)
                else:
                    self.submitter.job(message.body)
            except LeaseHeldError as error:
                until = error.until
                self.seams.call(lambda: self._hide(message, until))
                raise

        def over(error: BaseException | None) -> None:
            if error is None:
                self.messages.remove(message)
            elif not isinstance(error, LeaseHeldError):
                message.failures += 1

        self.start(f"submit {message}", handler, SUBMIT_TIMEOUT, over, calls, fate)

    def _hide(self, message: Message, until: datetime) -> None:
        message.visible_at = until

    def write_scenes(self, text: str | None) -> None:
        """The owner of the photos writes another scenes file, or deletes it."""
        self.tell(f"the scenes file is {text}")
        if text is None:
            self.scenes.files.pop(SCENES_FILE, None)
        else:
            self.scenes.files[SCENES_FILE] = text

    # -- a person --

    @property
    def redrivable(self) -> list[Job]:
        """What has ended badly, and can be done again at no cost."""
        return [
            job
            for job in self.table.jobs
            if not isinstance(step_for(job, self.clock(), pay_again=False), LeaveAlone)
        ]

    def redrive(self, job: Job, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        def work() -> None:
            agreed = self.redriver.look(job, pay_again=False)
            self.redriver.redrive(job.job_id, agreed, pay_again=False)

        self.start(f"redrive {job.job_id[:6]}", work, SWEEP_TIMEOUT, _forget, calls, fate)

    # -- the workflow --

    def _see_executions(self) -> None:
        for name, job in self.workflow.executions.items():
            if name not in self.seen_executions:
                self.seen_executions.add(name)
                state = WorkflowState(
                    job_id=job.job_id,
                    attempt=job.attempt,
                    request_id=job.request_id or "",
                    submitted_at=job.submitted_at or job.updated_at,
                    polling=Polling(),
                    wait_seconds=FIRST_WAIT_SECONDS,
                )
                first = self.clock() + timedelta(seconds=state.wait_seconds)
                self.executions.append(Execution(name, state, first))

    @property
    def due_executions(self) -> list[Execution]:
        return [found for found in self.waiting_executions if found.due_at <= self.clock()]

    @property
    def waiting_executions(self) -> list[Execution]:
        return [found for found in self.executions if not found.busy]

    def execute(self, execution: Execution, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        """The next task of an execution whose time has come."""
        execution.busy = True
        answer: list[WorkflowState] = []

        def check() -> None:
            answer.append(self.checker.check(execution.state))

        def finalize() -> None:
            self.finalizer.finalize(execution.state.job_id, execution.state.attempt)

        def over(error: BaseException | None) -> None:
            execution.busy = False
            if execution not in self.executions:
                return
            if error is not None:
                self._retry(execution)
            elif execution.task == "finalize":
                self._close(execution)
            else:
                self._go_on(execution, answer[0])

        name = f"{execution.task} {execution.name[:6]}{execution.name[32:]}"
        if execution.task == "check":
            self.start(name, check, CHECK_TIMEOUT, over, calls, fate)
        else:
            self.start(name, finalize, FINALIZE_TIMEOUT, over, calls, fate)

    def _go_on(self, execution: Execution, state: WorkflowState) -> None:
        execution.state, execution.retries = state, 0
        execution.due_at = self.clock()
        if state.finished or state.age_seconds >= DEADLINE.total_seconds():
            execution.task = "finalize"
        else:
            execution.due_at += timedelta(seconds=state.wait_seconds)

    def _retry(self, execution: Execution) -> None:
        execution.retries += 1
        if execution.retries > MAX_RETRIES:
            self.lose(execution, reported=True)
        else:
            execution.due_at = self.clock() + retry_wait(execution.retries)

    def _close(self, execution: Execution) -> None:
        self.executions.remove(execution)
        self.workflow.closed.add(execution.name)

    def lose(self, execution: Execution, *, reported: bool) -> None:
        """An execution dies; the rule on that wakes its job, if AWS reports it (best effort)."""
        self.tell(f"execution {execution.name[:6]}{execution.name[32:]} dies")
        self._close(execution)
        if reported:
            job_id, attempt = attempt_of_execution(execution.name)
            self.start(
                "wake", lambda: self.sweeper.wake(job_id, attempt), SWEEP_TIMEOUT, _forget, 0, Fate.RUN
            )

    # -- the sweep --

    def sweep(self, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        self.start("sweep", lambda: _none(self.sweeper.sweep()), SWEEP_TIMEOUT, _forget, calls, fate)

    # -- Segmind --

    @property
    def in_flight(self) -> list[Request]:
        requests = self.ledger.requests.values()
        return [found for found in requests if found.status == "PROCESSING" and not found.hangs]

    def finish(self, request: Request, status: str) -> None:
        self.tell(f"{request.request_id} is {status}")
        request.status = status

    # -- time --

    @property
    def due_rows(self) -> list[Job]:
        return [job for job in self.table.jobs if job.due_at and job.due_at <= self.clock()]

    def moments(self) -> list[datetime]:
        """When something is to happen by itself, unless it is waited for a process."""
        return [
            *(message.visible_at for message in self.messages),
            *(execution.due_at for execution in self.waiting_executions),
            *(job.due_at for job in self.table.jobs if job.due_at),
        ]

    def next_moment(self) -> datetime | None:
        """The first of them that is still to come."""
        return min((moment for moment in self.moments() if moment > self.clock()), default=None)

    def pass_to(self, moment: datetime) -> None:
        """Time passes; processes that stand still for longer than they may run are killed."""
        self.clock.moment = moment
        for process in list(self.processes):
            if process.ends_at <= moment:
                self.resume(process, 0, Fate.KILL)

    # -- quiet --

    def calm(self) -> None:
        """All faults stop, and whatever stands still goes on."""
        self.tell("all faults stop")
        self.ledger.post_weather = self.ledger.get_weather = FINE
        self.downloads.weather[0] = DOWNLOADS[0]
        self.bus.refusals = 0
        for process in list(self.processes):
            self.resume(process)

    def round(self) -> bool:
        """What happens by itself at this moment, or time passes to the next; whether there was anything."""
        for request in self.in_flight:
            if self.clock() - request.taken_at >= timedelta(seconds=20):
                self.finish(request, "COMPLETED")
        for message in self.visible:
            self.receive(message)
        for execution in self.due_executions:
            self.execute(execution)
        # The sweep comes every minute; here, only when it has something to do.
        if self.due_rows or self.table.standing_gate.owed:
            self.sweep()
            if not self.visible and not self.due_executions:
                # What is due may have to wait for the gate.
                self.pass_to(self.clock() + timedelta(minutes=1))
        elif not self.visible and not self.due_executions:
            moment = self.next_moment()
            if moment is None:
                return False
            self.pass_to(moment)
        return True

    def stop(self) -> None:
        """No process outlives its schedule."""
        for process in list(self.processes):
            self.seams.advance(process, 0, Fate.KILL)


def _none(_: object) -> None:
    return None


def _forget(error: BaseException | None) -> None:
    """A sweep that fails needs nobody: the next one does its work."""
