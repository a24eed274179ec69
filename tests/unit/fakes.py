"""The outside world in memory, for tests of the use cases: it keeps what it is told and does as it is bid.

Each fake keeps the promises of what it stands in for; the real ones are tested against AWS's own models.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from PIL import Image as Pillow

from packshot import segmind_answers as answers
from packshot.announcing import Announcer
from packshot.check_settings import DEADLINE
from packshot.checking import Checker
from packshot.downloads import Downloader
from packshot.event_bus import EventBus, EventNotTakenError
from packshot.events import DETAIL_TYPES, Event
from packshot.finalizing import Finalizer
from packshot.gate import Gate, Notice, Pace
from packshot.gatekeeper import Gatekeeper
from packshot.history import RequestHistory
from packshot.http_session import NoRedirectSession
from packshot.image_store import ImageStore
from packshot.inference_times import InferenceTimes
from packshot.job import CLAIMABLE, EDGES, ENDINGS, Job, JobState, ParkedCause
from packshot.job_table import (
    BY_ORDER,
    LEASE,
    OWED_DUE,
    QUEUED_DUE,
    JobTable,
    NewerKnown,
    PathOwned,
    PhotoRow,
    Planned,
    Unmoved,
)
from packshot.manifest import Manifest
from packshot.manifest_store import ManifestStore
from packshot.messages import UploadMessage
from packshot.moments import iso
from packshot.paths import DEFAULT_PATH_TEMPLATE
from packshot.photo import Photo, comparable_sequencer
from packshot.photo_store import Overwritten, PhotoStore, ReadPhoto, Unusable
from packshot.planning import Planner
from packshot.redriving import Redriver
from packshot.scene import Scene, SceneRequest, StoredImage
from packshot.scenes_file import Mistake, ScenesFile, read_scenes_file
from packshot.scenes_store import NoImage, ScenesStore
from packshot.segmind import SegmindClient
from packshot.staging import Root, stack_values
from packshot.submitting import Submitter
from packshot.sweeping import Sweeper
from packshot.upload_queue import UploadQueue
from packshot.workflow import Workflow

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
OUTPUT_URL = "https://images.segmind.com/generations/made.webp"


def picture_bytes(
    file_format: str = "WEBP", mode: str = "RGB", size: tuple[int, int] = (24, 16), **options: Any
) -> bytes:
    """A whole picture of noise, so that damage to its data shows."""
    file = io.BytesIO()
    Pillow.effect_noise(size, 40).convert(mode).save(file, file_format, **options)
    return file.getvalue()


def a_photo(key: str = "shoes/red.jpg", **known: Any) -> Photo:
    """A photo whose bytes were read."""
    details: dict[str, Any] = {
        "etag": "9b2cf535f27731c974343645a3985328",
        "sequencer": "0055AED6DCD90281E5",
        "sha256": "5e" * 32,
        "bytes": 1024,
        **known,
    }
    return Photo(bucket="photos", key=key, **details)


def a_job(state: JobState = JobState.SUBMITTED, **known: Any) -> Job:
    """A job as its row would be in that state, as far as a test does not say otherwise."""
    details: dict[str, Any] = {
        "job_id": "0123456789abcdef0123456789abcdef",
        "photo": a_photo(),
        "scene": "default",
        "parameters": Scene(prompt="in a bright living room"),
        "image_key": "shoes/red/default.webp",
        "manifest_key": "shoes/red/manifest.json",
        "created_at": START,
        "updated_at": START,
        "attempt": 1,
        "seed": 7,
        **known,
    }
    if state is JobState.SUBMITTED:
        details = {"request_id": "request-1", "submitted_at": START, **details}
    return Job(state=state, **details)


@dataclass
class Clock:
    """Stands still until it is stepped."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def step(self, by: timedelta) -> None:
        self.moment += by


class CrashError(Exception):
    """The process is gone, at this line."""


Result = TypeVar("Result")


@dataclass
class Outside:
    """Every call to it passes here; at some of them the process dies, before or after the effect."""

    dies_before: frozenset[int] = frozenset()
    dies_after: frozenset[int] = frozenset()
    calls: int = 0

    def call(self, effect: Callable[[], Result]) -> Result:
        number, self.calls = self.calls, self.calls + 1
        if number in self.dies_before:
            raise CrashError
        result = effect()
        if number in self.dies_after:
            raise CrashError
        return result


class FakePhotoStore(PhotoStore):
    """The photos that stand in the input bucket, by key."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.standing: dict[str, ReadPhoto | Unusable | Overwritten] = {}
        self.failures: list[Exception] = []

    def read(self, found: Photo) -> ReadPhoto | Unusable | Overwritten:
        return self._outside.call(lambda: self.standing[found.key])

    def handed_over(self, photo: Photo, marker: str) -> str | Unusable | Overwritten:
        return self._outside.call(lambda: self._handed_over(photo, marker))

    def _handed_over(self, photo: Photo, marker: str) -> str | Unusable | Overwritten:
        if self.failures:
            raise self.failures.pop()
        standing = self.standing[photo.key]
        return f"https://photos.example/{photo.key}?{marker}" if isinstance(standing, ReadPhoto) else standing


class FakeScenesStore(ScenesStore):
    """What stands beside the photos: scenes files as text, and images, by key."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.files: dict[str, str] = {}
        self.images: dict[str, StoredImage | NoImage] = {}

    def scenes_file(self, photo: Photo, key: str) -> ScenesFile | list[Mistake] | None:
        return self._outside.call(lambda: self._file(key))

    def uploaded_file(self, uploaded: Photo) -> ScenesFile | list[Mistake] | None:
        return self._outside.call(lambda: self._file(uploaded.key))

    def _file(self, key: str) -> ScenesFile | list[Mistake] | None:
        return read_scenes_file(key, self.files[key].encode()) if key in self.files else None

    def image(self, photo: Photo, key: str) -> StoredImage | NoImage:
        absent = NoImage("there is no such object")
        return self._outside.call(lambda: self.images.get(key, absent))


class FakeJobTable(JobTable):
    """Rows in a dictionary, changed under the same conditions as in DynamoDB, and kept as plain data."""

    def __init__(self, outside: Outside, now: Callable[[], datetime]) -> None:
        self._outside = outside
        self._now = now
        self.rows: dict[str, dict[str, Any]] = {}
        self.newest: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.uploads: dict[tuple[str, str], list[str]] = {}
        self.photo_rows: dict[str, PhotoRow] = {}
        self.standing_gate = Gate()
        self.standing_times = InferenceTimes()

    def gate(self) -> Gate:
        return self._outside.call(lambda: self.standing_gate)

    def replace_gate(self, gate: Gate, by: Gate) -> bool:
        return self._outside.call(lambda: self._replace_gate(gate, by))

    def inference_times(self) -> InferenceTimes:
        return self._outside.call(lambda: self.standing_times)

    def replace_inference_times(self, times: InferenceTimes, by: InferenceTimes) -> None:
        self._outside.call(lambda: self._replace_times(times, by))

    def _replace_times(self, times: InferenceTimes, by: InferenceTimes) -> None:
        if times.version == self.standing_times.version:
            self.standing_times = by.model_copy(update={"version": times.version + 1})

    def _replace_gate(self, gate: Gate, by: Gate) -> bool:
        if gate.version != self.standing_gate.version:
            return False
        self.standing_gate = by.model_copy(update={"version": gate.version + 1})
        return True

    @property
    def jobs(self) -> list[Job]:
        return [Job.model_validate(row) for row in self.rows.values()]

    @property
    def only_job(self) -> Job:
        (job,) = self.jobs
        return job

    def keep(self, job: Job) -> Job:
        self.rows[job.job_id] = job.row()
        return job

    def plan(self, photo: Photo, jobs: Sequence[Job]) -> Planned | PathOwned | NewerKnown:
        return self._outside.call(lambda: self._plan(photo, jobs))

    def _plan(self, photo: Photo, jobs: Sequence[Job]) -> Planned | PathOwned | NewerKnown:
        owner = f"{photo.bucket}/{photo.key}"
        sequencer = comparable_sequencer(photo.sequencer)
        planned_before = self.uploads.get(_upload_of(photo))
        if planned_before:
            return Planned(tuple(Job.model_validate(self.rows[job_id]) for job_id in planned_before))
        for path in [jobs[0].manifest_key, *(job.image_key for job in jobs)]:
            if self.owners.get(path or "", owner) != owner:
                return PathOwned(path or "", self.owners[path or ""])
        standing = {job.job_id: job for job in jobs if job.job_id in self.rows}
        if self.newest.get(owner, "") > sequencer:
            return (
                Planned(tuple(self.get_all_now(list(standing))))
                if len(standing) == len(jobs)
                else NewerKnown()
            )
        self.newest[owner] = sequencer
        job_ids = [job.job_id for job in jobs]
        self.photo_rows[owner] = PhotoRow(photo, tuple(job_ids), frozenset(job_ids))
        self.uploads[_upload_of(photo)] = job_ids
        planned = []
        for job in jobs:
            self.owners[job.image_key or ""] = self.owners[job.manifest_key or ""] = owner
            found = self._standing(job.job_id)
            again: dict[str, Any] = {"photo": photo, "manifest_key": job.manifest_key, "uploaded_again": True}
            again["order_version"] = found.order_version + 1 if found else 0
            planned.append(self.keep(found.model_copy(update=again) if found else job))
        return Planned(tuple(planned))

    def close(self, job: Job) -> PhotoRow | None:
        return self._outside.call(lambda: self._close(job))

    def _close(self, job: Job) -> PhotoRow | None:
        owner = f"{job.photo.bucket}/{job.photo.key}"
        if self.newest.get(owner) != comparable_sequencer(job.photo.sequencer):
            return None
        row = self.photo_rows[owner]
        self.photo_rows[owner] = replace(row, open_jobs=row.open_jobs - {job.job_id})
        return self.photo_rows[owner]

    def get_all(self, job_ids: Sequence[str]) -> list[Job]:
        return self._outside.call(lambda: self.get_all_now(job_ids))

    def get_all_now(self, job_ids: Sequence[str]) -> list[Job]:
        return [Job.model_validate(self.rows[job_id]) for job_id in job_ids if job_id in self.rows]

    def get(self, job_id: str) -> Job | None:
        return self._outside.call(lambda: self._standing(job_id))

    def _standing(self, job_id: str) -> Job | None:
        row = self.rows.get(job_id)
        return Job.model_validate(row) if row else None

    def planned_for(self, photo: Photo) -> list[str]:
        return self._outside.call(lambda: list(self.uploads.get(_upload_of(photo), ())))

    def look_again(self, photo: Photo) -> None:
        if not self.is_newest(photo):
            self._outside.call(lambda: self._look_again(photo))

    def _look_again(self, photo: Photo) -> None:
        newest = self.newest[f"{photo.bucket}/{photo.key}"]
        for (key, sequencer), job_ids in self.uploads.items():
            for job in (self._standing(job_id) for job_id in job_ids):
                of_the_newest = key == photo.key and comparable_sequencer(sequencer) == newest
                if job and of_the_newest and job.state in {JobState.COMPLETED, JobState.SUBMITTED}:
                    changes = {"uploaded_again": True, "due_at": self._now(), "queued": False}
                    changes["order_version"] = job.order_version + 1
                    self.keep(job.model_copy(update=changes))

    def is_newest(self, photo: Photo) -> bool:
        newest = self.newest.get(f"{photo.bucket}/{photo.key}", "")
        return self._outside.call(lambda: newest <= comparable_sequencer(photo.sequencer))

    def was_planned(self, photo: Photo) -> bool:
        newest = self.newest.get(f"{photo.bucket}/{photo.key}", "")
        return self._outside.call(lambda: newest >= comparable_sequencer(photo.sequencer))

    def in_state(self, state: JobState) -> Iterator[Job]:
        return self._outside.call(lambda: iter([job for job in self.jobs if job.state is state]))

    def insert_ended(self, job: Job) -> Job:
        owing = job.model_copy(update={"owes_event": True, "due_at": self._now() + OWED_DUE})
        return self._outside.call(lambda: self._standing(job.job_id) or self.keep(owing))

    def claim(self, job_id: str) -> Job | Unmoved:
        return self._outside.call(lambda: self._claim(job_id))

    def _claim(self, job_id: str) -> Job | Unmoved:
        job, now = self._standing(job_id), self._now()
        if job is None or job.state not in CLAIMABLE or job.owes_event:
            return Unmoved(job)
        due = job.queued or (job.due_at is not None and job.due_at <= now)
        if not (job.state is JobState.PLANNED or due):
            return Unmoved(job)
        lease_until = now + LEASE
        claimed: dict[str, Any] = {
            "state": JobState.CLAIMED,
            "cause": None,
            "error": None,
            "lease_until": lease_until,
            "due_at": lease_until,
            "queued": False,
            "attempt": job.attempt + 1,
            "updated_at": now,
        }
        return self.keep(job.model_copy(update=claimed))

    def move(self, job: Job, to: JobState, **changes: Any) -> Job | Unmoved:
        return self._outside.call(lambda: self._move(job, to, changes))

    def _move(self, job: Job, to: JobState, changes: Mapping[str, Any]) -> Job | Unmoved:
        if to not in EDGES[job.state]:
            raise ValueError(f"no edge from {job.state} to {to}")
        owes_event = to in DETAIL_TYPES
        due_at = changes.get("due_at") or (self._now() + OWED_DUE if owes_event else None)
        standing = self._standing(job.job_id)
        if standing and standing.owes_event:
            return Unmoved(standing)
        if to in BY_ORDER and standing:
            if standing.order_version != job.order_version:
                return Unmoved(standing)
            changes = {**changes, "order_version": job.order_version + 1}
        return self._change(
            job,
            {
                **changes,
                "state": to,
                "due_at": due_at,
                "owes_event": owes_event,
                "queued": False,
                "uploaded_again": False,
            },
        )

    def _change(self, job: Job, changes: Mapping[str, Any]) -> Job | Unmoved:
        standing = self._standing(job.job_id)
        if standing is None or (standing.state, standing.attempt) != (job.state, job.attempt):
            return Unmoved(standing)
        return self.keep(standing.model_copy(update={**changes, "updated_at": self._now()}))

    def settle(self, job: Job, *, answered: bool = False) -> Job:
        settled = self._outside.call(lambda: self._settle(job, answered=answered))
        return (settled.job or job) if isinstance(settled, Unmoved) else settled

    def _settle(self, job: Job, *, answered: bool) -> Job | Unmoved:
        standing = self._standing(job.job_id)
        if not job.stands_still or (job.state in ENDINGS and job.uploaded_again and not answered):
            return self._change(job, {"owes_event": False})
        if standing and standing.order_version != job.order_version:
            return Unmoved(standing)
        rest = {"due_at": None, "queued": False, "uploaded_again": False}
        return self._change(job, {"owes_event": False, **rest})

    def next_attempt(self, job: Job) -> Job | Unmoved:
        return self._outside.call(lambda: self._change(job, {"attempt": job.attempt + 1}))

    def postpone(self, job: Job, due_at: datetime) -> Job:
        changes = {"due_at": due_at, "queued": False}
        postponed = self._outside.call(lambda: self._change(job, changes))
        return (postponed.job or job) if isinstance(postponed, Unmoved) else postponed

    def remember_output(self, job: Job, output_url: str) -> None:
        self._outside.call(lambda: self._change(job, {"output_url": output_url}))

    def due(self, cause: ParkedCause | None, limit: int) -> list[str]:
        return self._outside.call(lambda: self._due(cause)[:limit])

    def _due(self, cause: ParkedCause | None) -> list[str]:
        now = iso(self._now())
        waiting = [row for row in self.rows.values() if row["cause"] == cause and "due_at" in row]
        due = sorted((row["due_at"], row["job_id"]) for row in waiting if row["due_at"] <= now)
        return [job_id for _, job_id in due]

    def mark_queued(self, job_id: str) -> None:
        self._outside.call(lambda: self._mark_queued(job_id))

    def _mark_queued(self, job_id: str) -> None:
        job, now = self._standing(job_id), self._now()
        if job and job.due_at and job.due_at <= now:
            self.keep(job.model_copy(update={"queued": True, "due_at": now + QUEUED_DUE}))


def _upload_of(photo: Photo) -> tuple[str, str]:
    return photo.key, photo.sequencer or photo.etag or ""


class FakeSegmind(SegmindClient):
    """Answers as told: what is queued, in order, and the last of it for ever after."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.submits: list[answers.SubmitOutcome | Exception] = [answers.Accepted("request-1")]
        self.statuses: list[answers.RequestOutcome | Exception] = []
        self.results: list[answers.RequestOutcome | Exception] = []
        self.balances: list[answers.Credits | Exception] = [answers.Credits(10.0, 0.0)]
        self.posted: list[SceneRequest] = []
        self.outcomes: list[answers.SubmitOutcome] = []

    def submit(self, request: SceneRequest) -> answers.SubmitOutcome:
        return self._outside.call(lambda: self._submit(request))

    def _submit(self, request: SceneRequest) -> answers.SubmitOutcome:
        outcome: answers.SubmitOutcome = _next(self.submits)
        self.posted.append(request)
        self.outcomes.append(outcome)
        return outcome

    def credits(self) -> answers.Credits:
        balance: answers.Credits = self._outside.call(lambda: _next(self.balances))
        return balance

    def status(self, request_id: str) -> answers.RequestOutcome:
        outcome: answers.RequestOutcome = self._outside.call(lambda: _next(self.statuses))
        return outcome

    def result(self, request_id: str) -> answers.RequestOutcome:
        outcome: answers.RequestOutcome = self._outside.call(lambda: _next(self.results))
        return outcome


def _next(queued: list[Any]) -> Any:
    first = queued.pop(0) if len(queued) > 1 else queued[0]
    if isinstance(first, Exception):
        raise first
    return first


class FakeQueue(UploadQueue):
    """The jobs and the photos that messages were sent for."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.sent: list[str] = []
        self.delays: list[timedelta] = []
        self.uploads: list[Photo] = []

    def send_job(self, job_id: str, after: timedelta = timedelta()) -> None:
        self._outside.call(lambda: self.sent.append(job_id))
        self.delays.append(after)

    def send_upload(self, photo: Photo) -> None:
        self._outside.call(lambda: self.uploads.append(UploadMessage.of(photo).photo()))


class FakeWorkflow(Workflow):
    """Executions by name: a name that was used starts nothing."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.refusals = 0
        self.executions: dict[str, Job] = {}
        self.closed: set[str] = set()

    def start(self, job: Job) -> bool:
        if self.refusals:
            self.refusals -= 1
            raise CrashError
        name = f"{job.job_id}-{job.attempt}"
        self._outside.call(lambda: self.executions.setdefault(name, job))
        return name not in self.closed


class FakeBus(EventBus):
    """The events that were put on the bus, as consumers read them."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.refusals = 0
        self.events: list[tuple[str, dict[str, Any]]] = []

    def put(self, event: Event) -> None:
        self._outside.call(lambda: self._tell(event.detail_type, json.loads(event.detail)))

    def _tell(self, detail_type: str, detail: dict[str, Any]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise EventNotTakenError("ThrottlingException")
        self.events.append((detail_type, detail))

    @property
    def told(self) -> list[str]:
        """The detail-types, in order."""
        return [detail_type for detail_type, _ in self.events]

    @property
    def ids(self) -> set[str]:
        return {detail["id"] for _, detail in self.events}


@dataclass(frozen=True)
class FakeHistory(RequestHistory):
    """What it is told, whether that is true or not; it is asked only when it has an address."""

    requests: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def find(self, marker: str, since: datetime) -> str | None:
        return self.requests.get(marker) if self.url else None

    def output_url(self, request_id: str) -> str | None:
        return self.outputs.get(request_id) if self.url else None


@dataclass(frozen=True)
class FakeDownloader(Downloader):
    """What stands at the output's address: a file, or what happens instead; the last of it for ever after."""

    files: list[bytes | Exception] = field(default_factory=lambda: [picture_bytes()])
    fetched: list[str] = field(default_factory=list)

    def fetch(self, url: str) -> BinaryIO:
        self.fetched.append(url)
        return io.BytesIO(_next(self.files))


class FakeOutputBucket:
    """A versioned bucket as S3's client shows it, with conditional writes; somebody may come in between."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.versions: dict[str, list[tuple[bytes, dict[str, str]]]] = {}
        self.in_between: list[Callable[[], object]] = []

    def head_object(self, **asked: Any) -> dict[str, Any]:
        return self._outside.call(lambda: self._found(asked))

    def get_object(self, **asked: Any) -> dict[str, Any]:
        found = self._outside.call(lambda: self._found(asked))
        return {**found, "Body": StreamingBody(io.BytesIO(found["data"]), len(found["data"]))}

    def put_object(self, **asked: Any) -> dict[str, Any]:
        if self.in_between:
            self.in_between.pop(0)()
        return self._outside.call(lambda: self._put(asked))

    def _found(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        versions = self.versions.get(asked["Key"], [])
        number = int(asked.get("VersionId", f"version-{len(versions)}").removeprefix("version-"))
        if not 1 <= number <= len(versions):
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "HeadObject")
        data, metadata = versions[number - 1]
        return {
            "ETag": f'"{hash(data)}"',
            "VersionId": f"version-{number}",
            "ContentLength": len(data),
            "Metadata": metadata,
            "data": data,
        }

    def _put(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        versions = self.versions.setdefault(asked["Key"], [])
        standing = self._found({"Key": asked["Key"]})["ETag"] if versions else None
        if ("IfNoneMatch" in asked and standing) or asked.get("IfMatch", standing) != standing:
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "PutObject")
        body = asked["Body"]
        if not isinstance(body, bytes):
            # botocore sends a body from its start again when it repeats a call.
            body.seek(0)
            body = body.read()
        versions.append((body, asked.get("Metadata", {})))
        return {"VersionId": f"version-{len(versions)}"}


class World:
    """All of it together, and the use cases in it."""

    def __init__(self, outside: Outside | None = None, segmind: FakeSegmind | None = None) -> None:
        self.outside = outside or Outside()
        self.clock = Clock()
        self.photos = FakePhotoStore(self.outside)
        self.table = FakeJobTable(self.outside, self.clock)
        self.segmind = segmind or FakeSegmind(self.outside)
        self.queue = FakeQueue(self.outside)
        self.workflow = FakeWorkflow(self.outside)
        self.bus = FakeBus(self.outside)
        self.downloader = FakeDownloader(frozenset({"images.segmind.com"}), 1_000_000, NoRedirectSession())
        self.output_bucket = FakeOutputBucket(self.outside)
        self.images = ImageStore(cast("S3Client", self.output_bucket), "images", None)
        self.manifests = ManifestStore(cast("S3Client", self.output_bucket), "images")
        self.announcer = Announcer(self.bus, self.table, self.manifests)
        self.scenes = FakeScenesStore(self.outside)
        self.planner = Planner(
            photos=self.photos,
            scenes=self.scenes,
            table=self.table,
            announcer=self.announcer,
            root=Root(stack_values(Scene(prompt="in a bright living room")), max_jobs=20),
            path_template=DEFAULT_PATH_TEMPLATE,
            sku_pattern=None,
            now=self.clock,
        )
        self.counted: list[Notice] = []
        self.gatekeeper = Gatekeeper(
            table=self.table,
            segmind=self.segmind,
            bus=self.bus,
            pace=Pace(requests_a_minute=60, concurrency=3),
            image_price_usd=0.0891,
            count=self.counted.append,
            now=self.clock,
            sleep=lambda seconds: self.clock.step(timedelta(seconds=seconds)),
        )
        self.history = FakeHistory(None, lambda _: "key", NoRedirectSession(), self.clock)
        self.submitter = Submitter(
            planner=self.planner,
            photos=self.photos,
            table=self.table,
            segmind=self.segmind,
            gatekeeper=self.gatekeeper,
            history=self.history,
            queue=self.queue,
            workflow=self.workflow,
            announcer=self.announcer,
            images=self.images,
            max_submits_per_job=3,
            on_uncertain_submit="resubmit",
            polls_count=False,
            now=self.clock,
        )
        self.finalizer = Finalizer(
            table=self.table,
            segmind=self.segmind,
            downloader=self.downloader,
            images=self.images,
            announcer=self.announcer,
            history=self.history,
            on_expired_result="fail",
            deadline=DEADLINE,
            now=self.clock,
        )
        self.checker = Checker(
            segmind=self.segmind,
            deadline=DEADLINE,
            now=self.clock,
            sleep=lambda seconds: self.clock.step(timedelta(seconds=seconds)),
        )
        self.sweeper = Sweeper(
            table=self.table,
            queue=self.queue,
            gatekeeper=self.gatekeeper,
            requests_a_minute=60,
            now=self.clock,
        )
        self.redriver = Redriver(table=self.table, queue=self.queue, now=self.clock)

    def sweeps(self) -> list[str]:
        """Sweep; the jobs that were queued."""
        self.queue.sent.clear()
        self.sweeper.sweep()
        return list(self.queue.sent)

    @property
    def images_made(self) -> dict[str, list[bytes]]:
        """The versions of each image in the output bucket, the current one last."""
        versions = self.output_bucket.versions
        return {
            key: [data for data, _ in standing]
            for key, standing in versions.items()
            if not key.endswith(".json")
        }

    def manifest(self, key: str) -> Manifest:
        """The manifest that stands under a key."""
        data, _ = self.output_bucket.versions[key][-1]
        return Manifest.model_validate_json(data)

    def puts(self, photo: Photo, **metadata: str) -> Photo:
        """A whole photo is uploaded; what its event tells of it."""
        self.photos.standing[photo.key] = ReadPhoto(
            photo, {name.replace("_", "-"): value for name, value in metadata.items()}
        )
        return photo.model_copy(update={"sha256": None})

    def uploads(self, photo: Photo | None = None, **metadata: str) -> Job:
        """A whole photo is uploaded, and its message delivered."""
        job = self.submitter.upload(self.puts(photo or a_photo(), **metadata))
        assert isinstance(job, Job)
        return job
