"""The events that Packshot puts on its bus: source `packshot`, detail-types in the past tense.

Delivered at least once; the same fact always has the same `detail.id`. Consumers tell repetitions by it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from packshot.gate import Notice
from packshot.job import PERSON_DECIDES, Image, Job, JobState, ParkedCause, Reason, iso
from packshot.scene import MODEL

SOURCE = "packshot"
VERSION: Literal["1"] = "1"
MAX_DETAIL_BYTES = 10_000

DETAIL_TYPES: dict[JobState, str] = {
    JobState.COMPLETED: "Scene Generated",
    JobState.FAILED: "Scene Failed",
    JobState.SUPERSEDED: "Scene Superseded",
    JobState.PARKED: "Scene Parked",
    JobState.UNCERTAIN: "Scene Uncertain",
    JobState.REJECTED: "Photo Rejected",
}


class EventPhoto(BaseModel):
    """Which photo."""

    model_config = ConfigDict(extra="forbid")

    bucket: str
    key: str
    version_id: str | None
    etag: str | None


class Detail(BaseModel):
    """The detail of every event about a job. What is not known, or does not apply, is null."""

    model_config = ConfigDict(extra="forbid", title="Packshot event detail")

    id: Annotated[
        str, Field(description="The same for every delivery of the same fact.", pattern="^[0-9a-f]{32}$")
    ]
    version: Annotated[Literal["1"], Field(description="The version of this contract.")]
    job_id: str
    photo: EventPhoto
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


def _detail(job: Job, event_id: str) -> Detail:
    return Detail(
        id=event_id,
        version=VERSION,
        job_id=job.job_id,
        photo=EventPhoto.model_validate(job.photo.model_dump(include=set(EventPhoto.model_fields))),
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
    person = [PERSON_DECIDES] if job.stands_still and job.state is JobState.UNCERTAIN else []
    return _id([job.job_id, job.attempt, job.state, *image, *person])


def _id(fact: list[str | int | None]) -> str:
    return hashlib.sha256(json.dumps(fact).encode()).hexdigest()[:32]


def _bounded(detail: Detail) -> str:
    """The detail as JSON of at most 10 kB: only the words of the reason can be long, so they give way."""
    text = detail.model_dump_json()
    excess = len(text.encode()) - MAX_DETAIL_BYTES
    if excess <= 0 or detail.reason is None or len(detail.reason.message) <= 1:
        return text
    kept = detail.reason.message.encode()[: -excess - 8].decode("utf-8", "ignore") + "…"
    shorter = detail.reason.model_copy(update={"message": kept})
    return _bounded(detail.model_copy(update={"reason": shorter}))
