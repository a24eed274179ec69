"""The manifest of a photo: what became of each of its scenes, in one JSON file beside its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from packshot.job import Image, Job, JobState, ParkedCause, Reason
from packshot.model import MODEL
from packshot.photo import Photo


class ManifestPhoto(BaseModel):
    """The source: a photo in the input bucket. SHA-256 of its bytes, in hex."""

    bucket: str
    key: str
    version_id: str | None
    etag: str | None
    sha256: str | None
    bytes: int | None


class ManifestScene(BaseModel):
    """What became of one scene. What is not known, or does not apply, is null."""

    job_id: str
    state: JobState
    cause: Annotated[ParkedCause | None, Field(description="What a parked job waits for.")]
    image: Annotated[Image | None, Field(description="The published image; null when there is none.")]
    seed: Annotated[int | None, Field(description="As sent; with it the image can be made again.")]
    prompt: Annotated[str | None, Field(description="As sent.")]
    request_id: str | None
    inference_seconds: Annotated[
        float | None, Field(description="The API's own measure; null when it gave none.")
    ]
    cost_usd: Annotated[float | None, Field(description="As the API told it; null when it did not, never 0.")]
    error: Annotated[Reason | None, Field(description="Why it did not go well; null when it did.")]


class Manifest(BaseModel):
    """All that is known of a photo and its images at one moment."""

    model_config = ConfigDict(title="Packshot manifest")

    version: Annotated[Literal["1"], Field(description="The version of this format.")] = "1"
    revision: Annotated[int, Field(ge=1, description="How often this file was written.")]
    photo: ManifestPhoto
    sku: str | None
    model: str = MODEL
    scenes: Annotated[dict[str, ManifestScene], Field(description="By the name of the scene.")]

    def says_the_same(self, other: Manifest) -> bool:
        """Whether it tells nothing new."""
        return self.model_copy(update={"revision": other.revision}) == other


def manifest_of(photo: Photo, jobs: Sequence[Job], revision: int) -> Manifest:
    """The manifest of the newest photo under a key and its jobs, as their rows are."""
    return Manifest(
        revision=revision,
        photo=ManifestPhoto.model_validate(photo.model_dump(include=set(ManifestPhoto.model_fields))),
        sku=photo.sku,
        scenes={
            job.scene: ManifestScene(
                job_id=job.job_id,
                state=job.state,
                cause=job.cause,
                image=job.image,
                seed=job.seed,
                prompt=job.parameters.prompt if job.parameters else None,
                request_id=job.request_id,
                inference_seconds=job.inference_seconds,
                cost_usd=job.cost_usd,
                error=job.error,
            )
            for job in jobs
        },
    )
