"""The events that Packshot puts on its bus: source `packshot`, detail-types in the past tense.

Delivered at least once; the same fact always has the same `detail.id`. Consumers tell repetitions by it.
The models only grow: none forbids what it does not know, so that who knows an older one can read a newer one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from packshot.gate import Notice
from packshot.job import (
    PERSON_DECIDES,
    Image,
    Job,
    JobState,
    ParkedCause,
    Reason,
)
from packshot.model import MODEL
from packshot.moments import iso
from packshot.photo import Photo
from packshot.scenes_file import MAX_MISTAKES, Mistake, told

SOURCE = "packshot"
VERSION: Literal["1"] = "1"
MAX_DETAIL_BYTES = 10_000
# So many of a photo's images its event names; the manifest has them all.
MAX_IMAGES = 20
# Words of one of several reasons, and of a reason that has them all.
SHORT_CHARACTERS = 200
MAX_REASON_CHARACTERS = 2000

# The code of whatever is wrong with what the owner of the photos wrote.
INVALID_SCENE = "InvalidScene"

DETAIL_TYPES: dict[JobState, str] = {
    JobState.COMPLETED: "Scene Generated",
    JobState.FAILED: "Scene Failed",
    JobState.SUPERSEDED: "Scene Superseded",
    JobState.PARKED: "Scene Parked",
    JobState.UNCERTAIN: "Scene Uncertain",
    JobState.REJECTED: "Photo Rejected",
}
COMPLETED = "Photo Completed"


class EventPhoto(BaseModel):
    """Which photo."""

    bucket: str
    key: str
    version_id: str | None
    etag: str | None


class Detail(BaseModel):
    """The detail of every event about a job. What is not known, or does not apply, is null."""

    model_config = ConfigDict(title="Packshot event detail")

    id: Annotated[
        str, Field(description="The same for every delivery of the same fact.", pattern="^[0-9a-f]{32}$")
    ]
    version: Annotated[Literal["1"], Field(description="The version of this contract.")]
    job_id: str
    photo: EventPhoto
    sku: Annotated[str | None, Field(description="As the stack's SkuPattern finds it in the photo's key.")]
    scene: str
    attempt: Annotated[
        int, Field(ge=0, description="How often the job was taken up to be submitted; 0 when it never was.")
    ]
    image: Annotated[Image | None, Field(description="The published image; null when there is none.")]
    reason: Annotated[Reason | None, Field(description="Why it did not go well; null when it did.")]
    cause: Annotated[ParkedCause | None, Field(description="What a parked job waits for.")]
    model: str
    seed: Annotated[
        int | None, Field(description="The seed that was sent; with it the image can be made again.")
    ]
    request_id: str | None
    inference_seconds: Annotated[
        float | None, Field(description="The API's own measure; null when it gave none.")
    ]
    cost_usd: Annotated[float | None, Field(description="As the API told it; null when it did not, never 0.")]


class CompletedImage(Image):
    """A published image, and whose it is."""

    scene: str
    job_id: str
    seed: int | None


class Failure(BaseModel):
    """A scene of which there is no image."""

    scene: str
    job_id: str
    state: JobState
    reason: Reason | None


class ManifestPlace(BaseModel):
    """Where the whole truth about a photo stands."""

    bucket: str
    key: str
    revision: Annotated[
        int, Field(ge=1, description="The one that says this; a greater one says what is newer.")
    ]


class CompletionDetail(BaseModel):
    """The detail of `Photo Completed`: all scenes of a photo have ended."""

    model_config = ConfigDict(title="Packshot photo completed")

    id: Annotated[
        str, Field(description="The same for every delivery of the same fact.", pattern="^[0-9a-f]{32}$")
    ]
    version: Annotated[Literal["1"], Field(description="The version of this contract.")]
    order: Annotated[
        str,
        Field(description="Of two completions of one photo, the newer one has the greater text."),
    ]
    photo: EventPhoto
    sku: Annotated[str | None, Field(description="As the stack's SkuPattern finds it in the photo's key.")]
    model: str
    manifest: Annotated[ManifestPlace, Field(description="All of it, however long the lists are.")]
    images_count: Annotated[int, Field(ge=0, description="Of all images, listed here or not.")]
    failures_count: Annotated[int, Field(ge=0, description="Of all failures, listed here or not.")]
    images: Annotated[
        list[CompletedImage],
        Field(max_length=MAX_IMAGES, description="Or the first of them: the manifest has the rest."),
    ]
    failures: Annotated[
        list[Failure],
        Field(max_length=MAX_IMAGES, description="Or the first of them: the manifest has the rest."),
    ]


class EventMistake(BaseModel):
    """Something that nobody can act on: where it stands, what was found there, and what is allowed."""

    path: Annotated[str, Field(description="A JSON path in the file.")]
    found: str
    allowed: str


class ScenesRejectedDetail(BaseModel):
    """The detail of `Scenes Rejected`: a scenes file was uploaded that cannot be used."""

    model_config = ConfigDict(title="Packshot scenes rejected")

    id: Annotated[
        str, Field(description="The same for every delivery of the same fact.", pattern="^[0-9a-f]{32}$")
    ]
    version: Annotated[Literal["1"], Field(description="The version of this contract.")]
    file: Annotated[EventPhoto, Field(description="Which scenes file.")]
    reason: Annotated[Reason, Field(description="All mistakes in words.")]
    mistakes: Annotated[list[EventMistake], Field(min_length=1, max_length=MAX_MISTAKES)]


@dataclass(frozen=True)
class Event:
    """An event as EventBridge takes it."""

    detail_type: str
    detail: str


def event_of(job: Job) -> Event | None:
    """The event that a job's present state owes to the world; None for the states that have none."""
    detail_type = DETAIL_TYPES.get(job.state)
    return Event(detail_type, _bounded(_detail(job, _event_id(job)))) if detail_type else None


def pause_event(job: Job, notice: Notice) -> Event:
    """That no job is submitted any more, or that they are again; `job` is the one that found it out."""
    state = "Resumed" if notice.resumed else "Paused"
    reason = Reason(code=f"{state}:{notice.cause}", message=notice.message)
    detail = _detail(job, _id([state, notice.cause, iso(notice.since)]))
    return Event(
        f"Submitting {state}",
        _bounded(detail.model_copy(update={"cause": notice.cause, "reason": reason, "image": None})),
    )


def completion_event(photo: Photo, jobs: Sequence[Job], manifest: ManifestPlace) -> Event:
    """That all scenes of a photo have ended, with the images of `jobs`, and why there are none of others.

    `manifest` is where that is written down.
    """
    made = [job for job in jobs if job.state is JobState.COMPLETED and job.image]
    failed = [job for job in jobs if job not in made]
    fact = [[job.job_id, job.attempt, job.state, job.image.version_id if job.image else None] for job in jobs]
    detail = CompletionDetail(
        id=_id(["completed", photo.bucket, photo.key, photo.sequencer, fact]),
        version=VERSION,
        order=_order(photo, jobs, manifest.revision),
        photo=_event_photo(photo),
        sku=photo.sku,
        model=MODEL,
        manifest=manifest,
        images_count=len(made),
        failures_count=len(failed),
        images=[
            CompletedImage(**job.image.model_dump(), scene=job.scene, job_id=job.job_id, seed=job.seed)
            for job in made[:MAX_IMAGES]
            if job.image
        ],
        failures=[
            Failure(scene=job.scene, job_id=job.job_id, state=job.state, reason=_short(job.error))
            for job in failed[:MAX_IMAGES]
        ],
    )
    while len((text := detail.model_dump_json()).encode()) > MAX_DETAIL_BYTES:
        # The manifest has them all.
        (detail.images if len(detail.images) > len(detail.failures) else detail.failures).pop()
    return Event(COMPLETED, text)


def scenes_rejected_event(uploaded: Photo, mistakes: Sequence[Mistake]) -> Event:
    """That a scenes file was uploaded that cannot be used, and what is wrong with it."""
    detail = ScenesRejectedDetail(
        id=_id(["scenes", uploaded.bucket, uploaded.key, uploaded.etag, uploaded.sequencer]),
        version=VERSION,
        file=_event_photo(uploaded),
        reason=Reason(code=INVALID_SCENE, message=told(mistakes)[:MAX_REASON_CHARACTERS]),
        mistakes=[EventMistake(path=each.path, found=each.found, allowed=each.allowed) for each in mistakes],
    )
    while len(detail.model_dump_json().encode()) > MAX_DETAIL_BYTES and len(detail.mistakes) > 1:
        detail.mistakes.pop()
    return Event("Scenes Rejected", _bounded(detail))


def _order(photo: Photo, jobs: Sequence[Job], revision: int) -> str:
    """Orders as text: by the upload, then by the attempts of its jobs, then by the manifest's revision.

    A sequencer orders as text without the zeros at its end. The attempts count because a manifest that was
    deleted begins anew, and what a person has redriven is newer all the same.
    """
    attempts = sum(job.attempt for job in jobs)
    return f"{photo.sequencer.upper().rstrip('0')}-{attempts:06}-{revision:06}"


def _short(reason: Reason | None) -> Reason | None:
    return reason and reason.model_copy(update={"message": reason.message[:SHORT_CHARACTERS]})


def _event_photo(photo: Photo) -> EventPhoto:
    return EventPhoto.model_validate(photo.model_dump(include=set(EventPhoto.model_fields)))


def _detail(job: Job, event_id: str) -> Detail:
    return Detail(
        id=event_id,
        version=VERSION,
        job_id=job.job_id,
        photo=_event_photo(job.photo),
        sku=job.photo.sku,
        scene=job.scene,
        attempt=job.attempt,
        image=job.image,
        reason=job.error,
        cause=job.cause,
        model=MODEL,
        seed=job.seed,
        request_id=job.request_id,
        inference_seconds=job.inference_seconds,
        cost_usd=job.cost_usd,
    )


def _event_id(job: Job) -> str:
    """The fact is that this attempt of this job entered this state, with this image if it has one."""
    image = [job.image.key, job.image.version_id] if job.image else []
    person = [PERSON_DECIDES] if job.waits_for_a_person else []
    return _id([job.job_id, job.attempt, job.state, *image, *person])


def _id(fact: list[Any]) -> str:
    return hashlib.sha256(json.dumps(fact).encode()).hexdigest()[:32]


def _bounded(detail: Detail | ScenesRejectedDetail) -> str:
    """The detail as JSON of at most 10 kB: only the words of the reason can be long, so they give way."""
    text = detail.model_dump_json()
    excess = len(text.encode()) - MAX_DETAIL_BYTES
    if excess <= 0 or detail.reason is None or len(detail.reason.message) <= 1:
        return text
    kept = detail.reason.message.encode()[: -excess - 8].decode("utf-8", "ignore") + "…"
    shorter = detail.reason.model_copy(update={"message": kept})
    return _bounded(detail.model_copy(update={"reason": shorter}))
