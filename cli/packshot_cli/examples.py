"""An example of each event and of a manifest, made by the code that makes the real ones."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from packshot.events import (
    SOURCE,
    Event,
    ManifestPlace,
    completion_event,
    event_of,
    pause_event,
    scenes_rejected_event,
)
from packshot.gate import Notice
from packshot.job import NEWER_PHOTO, Image, Job, JobState, ParkedCause, Reason
from packshot.manifest import manifest_of
from packshot.moments import iso
from packshot.photo import Photo
from packshot.scene import Scene
from packshot.scenes_file import Mistake, read_scenes_file


def _made_up(name: str) -> str:
    """64 hexadecimal digits, always the same."""
    return hashlib.sha256(name.encode()).hexdigest()


MOMENT = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
OUTPUT_BUCKET = "packshot-outputbucket-1abcdefghijkl"
MANIFEST_KEY = "shoes/SN-10482/front/manifest.json"
PHOTO = Photo(
    bucket="packshot-inputbucket-1abcdefghijkl",
    key="shoes/SN-10482/front.jpg",
    version_id="pExampleVersion0Kq7TbR2Wd4Yz9f",
    etag=_made_up("photo")[:32],
    sequencer="0069B5295D0000001E",
    sku="SN-10482",
    sha256=_made_up("photo"),
    bytes=48213,
)
SCENES_FILE = Photo(
    bucket=PHOTO.bucket,
    key="shoes/scenes.json",
    version_id="sExampleVersion0Bn3LcX8Vt6Mh1u",
    etag=_made_up("scenes")[:32],
    sequencer="0069B52A1100000001",
)
# One aspect ratio that there is not, and one misspelt parameter.
BROKEN_SCENES = b"""{
  "scenes": {
    "forest": { "prompt": "Place the {product} on a mossy forest floor", "aspect_ratio": "16:10" },
    "studio": { "promt": "Place the {product} on a grey seamless backdrop" }
  }
}"""
IMAGE = Image(
    bucket=OUTPUT_BUCKET,
    key="shoes/SN-10482/front/forest.webp",
    version_id="iExampleVersion0Jd5MsG8Rc6aLh1e",
    bytes=183204,
    content_type="image/webp",
    width=1024,
    height=1024,
    sha256=_made_up("image"),
)
# The scene `forest` before it was ever submitted, and as it is on its way.
PLANNED = Job(
    job_id=_made_up("forest")[:32],
    state=JobState.PLANNED,
    photo=PHOTO,
    scene="forest",
    parameters=Scene(prompt="Place the red sneaker on a mossy forest floor"),
    image_key=IMAGE.key,
    manifest_key=MANIFEST_KEY,
    created_at=MOMENT,
    updated_at=MOMENT,
)
CLAIMED = PLANNED.model_copy(update={"state": JobState.CLAIMED, "attempt": 1, "seed": 1327239018})
REQUEST_ID = "6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11"


def _became(job: Job, state: JobState, **known: Any) -> Job:
    return job.model_copy(update={"state": state, **known})


FOREST = _became(
    CLAIMED,
    JobState.COMPLETED,
    image=IMAGE,
    request_id=REQUEST_ID,
    inference_seconds=13.06,
    cost_usd=0.0891,
)
STUDIO = _became(
    CLAIMED,
    JobState.FAILED,
    job_id=_made_up("studio")[:32],
    scene="studio",
    parameters=Scene(prompt="Place the red sneaker on a grey seamless backdrop"),
    image_key="shoes/SN-10482/front/studio.webp",
    seed=933254401,
    request_id="0c9d1b52-7e0f-4f3b-9a3e-5d1c7b6a2f84",
    inference_seconds=0.008,
    error=Reason(code="GenerationFailed", message="content policy violation"),
)
OUT_OF_CREDITS = Reason(code="Parked:credits", message="Insufficient credits")
JOBS = (
    FOREST,
    STUDIO,
    _became(PLANNED, JobState.SUPERSEDED, error=NEWER_PHOTO),
    _became(CLAIMED, JobState.PARKED, cause=ParkedCause.CREDITS, error=OUT_OF_CREDITS),
    _became(
        CLAIMED,
        JobState.UNCERTAIN,
        error=Reason(code="AnswerLost", message="the answer was lost: ReadTimeout, TimeoutError"),
    ),
    _became(
        PLANNED,
        JobState.REJECTED,
        scene="default",
        parameters=None,
        error=Reason(code="UnsupportedFormat", message="HEIC is not accepted: send JPEG, PNG or WebP"),
    ),
)
MANIFEST = manifest_of(PHOTO, [FOREST, STUDIO], revision=2)


def _mistakes() -> list[Mistake]:
    found = read_scenes_file(SCENES_FILE.key, BROKEN_SCENES)
    if not isinstance(found, list):
        raise TypeError("a scenes file without mistakes is no example of Scenes Rejected")
    return found


def _notice(*, resumed: bool) -> Notice:
    return Notice(
        resumed=resumed,
        cause=ParkedCause.CREDITS,
        message=OUT_OF_CREDITS.message,
        since=MOMENT,
        job_id=CLAIMED.job_id,
    )


EVENTS: tuple[Event, ...] = (
    *(event for event in map(event_of, JOBS) if event),
    completion_event(
        PHOTO,
        [FOREST, STUDIO],
        ManifestPlace(bucket=OUTPUT_BUCKET, key=MANIFEST_KEY, revision=MANIFEST.revision),
    ),
    scenes_rejected_event(SCENES_FILE, _mistakes()),
    pause_event(CLAIMED, _notice(resumed=False)),
    pause_event(
        _became(CLAIMED, JobState.SUBMITTED, attempt=2, request_id=REQUEST_ID), _notice(resumed=True)
    ),
)


def delivered(event: Event) -> dict[str, Any]:
    """An event as EventBridge would deliver it."""
    detail = json.loads(event.detail)
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, detail["id"])),
        "detail-type": event.detail_type,
        "source": SOURCE,
        "account": "123456789012",
        "time": f"{iso(MOMENT)[:19]}Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }
