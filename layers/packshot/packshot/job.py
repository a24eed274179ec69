"""Jobs: one photo in one scene, the closed set of states, and the edges between them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from packshot.photo import Photo
from packshot.polling import Polling
from packshot.row_types import Moment
from packshot.scene import Scene


class JobState(StrEnum):
    """Where a job is on its way."""

    PLANNED = "PLANNED"
    CLAIMED = "CLAIMED"
    SUBMITTED = "SUBMITTED"
    PARKED = "PARKED"
    UNCERTAIN = "UNCERTAIN"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"


class ParkedCause(StrEnum):
    """What a parked job waits for."""

    RATE = "rate"
    CREDITS = "credits"
    KEY = "key"
    BUDGET = "budget"


_S = JobState
EDGES: dict[JobState, frozenset[JobState]] = {
    _S.PLANNED: frozenset({_S.CLAIMED, _S.SUPERSEDED}),
    _S.CLAIMED: frozenset({_S.PLANNED, _S.SUBMITTED, _S.PARKED, _S.UNCERTAIN, _S.FAILED, _S.SUPERSEDED}),
    _S.PARKED: frozenset({_S.CLAIMED, _S.SUPERSEDED}),
    # Uncertain still: from now on a person decides, and may pay for one more request: planned again.
    _S.UNCERTAIN: frozenset({_S.CLAIMED, _S.SUBMITTED, _S.UNCERTAIN, _S.PLANNED}),
    # Planned again: the result is gone, or the photo could not be fetched.
    _S.SUBMITTED: frozenset({_S.COMPLETED, _S.FAILED, _S.SUPERSEDED, _S.PLANNED}),
    # The same photo came again as the newest: its image is made the current one, or is still to be made.
    _S.COMPLETED: frozenset({_S.COMPLETED}),
    _S.SUPERSEDED: frozenset({_S.COMPLETED, _S.PLANNED}),
    # Only when a person has it redriven: its request is asked again, or another is made.
    _S.FAILED: frozenset({_S.SUBMITTED, _S.PLANNED}),
    _S.REJECTED: frozenset(),
}
ENDINGS = frozenset({_S.COMPLETED, _S.FAILED, _S.REJECTED, _S.SUPERSEDED})
CLAIMABLE = frozenset(state for state, following in EDGES.items() if _S.CLAIMED in following)


# The code of an uncertain job that nothing more is done about by itself.
PERSON_DECIDES = "PersonDecides"


class Reason(BaseModel):
    """Why something did not go well: a stable code, and words for a person (the API's own where it spoke)."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


NEWER_PHOTO = Reason(code="NewerPhoto", message="a newer photo under the same key came first")


class Image(BaseModel):
    """A published image. Width and height in pixels; SHA-256 of its bytes, in hex."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str | None
    bytes: int
    content_type: str
    width: int
    height: int
    sha256: str | None = None


class Job(BaseModel):
    """One photo in one scene: the row of the job table."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    state: JobState
    photo: Photo
    scene: str
    parameters: Scene | None
    image_key: str | None
    manifest_key: str | None = None
    created_at: Moment
    updated_at: Moment
    due_at: Moment | None = None
    queued: bool = False
    owes_event: bool = False
    uploaded_again: bool = False
    order_version: int = 0
    resumed: bool = False
    cause: ParkedCause | None = None
    attempt: int = 0
    lost_answers: int = 0
    not_accepted: int = 0
    second_chance: bool = False
    lease_until: Moment | None = None
    request_id: str | None = None
    submitted_at: Moment | None = None
    polling: Polling = Polling()
    seed: int | None = None
    output_url: str | None = None
    image: Image | None = None
    error: Reason | None = None
    inference_seconds: float | None = None
    cost_usd: float | None = None

    def row(self) -> dict[str, Any]:
        """The row as plain data, times as ISO 8601 text. What is unknown is null, so that it is seen to be.

        Only `due_at` is left out when there is none: with `due_group` it is indexed, on rows that wait for
        anything. `queued` says that a message is on its way, `owes_event` that the state is still to be told,
        `uploaded_again` that the same photo came anew since the state was entered, `resumed` that a person
        had the present request looked for again after it had failed. `order_version` goes up whenever the
        job's place in the order of photos is asked for or decided: what was found out before holds no more.
        """
        row = {**self.model_dump(mode="json"), "due_group": due_group(self.cause)}
        if self.due_at is None:
            del row["due_at"]
        return row

    @property
    def stands_still(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDINGS or (self.error is not None and self.error.code == PERSON_DECIDES)

    @property
    def waits_for_a_person(self) -> bool:
        """Whether the answers to its submits were lost too often."""
        return self.state is JobState.UNCERTAIN and self.stands_still

    @property
    def marker(self) -> str:
        """What tells this attempt from all others in the requests that Segmind remembers."""
        return f"packshot-{self.job_id}-{self.attempt}"

    def is_due(self, now: datetime) -> bool:
        """Whether its time has come, or a message says so."""
        return self.queued or (self.due_at is not None and self.due_at <= now)

    def for_log(self) -> dict[str, Any]:
        """What a log line tells of a job."""
        return self.model_dump(mode="json", include=_LOGGED, exclude_none=True)


def due_group(cause: ParkedCause | None) -> str:
    """What a due row waits for: a cause of its own, or merely its turn."""
    return cause or "turn"


_LOGGED = {"job_id", "state", "cause", "attempt", "scene", "request_id", "image_key", "error", "photo"}


def job_id(photo: Photo, scene: str, scene_digest: str) -> str:
    """The identity of the work, 32 hex digits: same bytes under the same key in the same scene, same id."""
    return _hash(photo.bucket, photo.key, photo.sha256, scene, scene_digest)


def upload_id(photo: Photo) -> str:
    """The identity of an upload that no work comes of, 32 hex digits: told twice, it ends once."""
    return _hash("upload", photo.bucket, photo.key, photo.etag, photo.sequencer)


def _hash(*identity: str | None) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
