"""What the upload queue carries: an upload (S3's event, as EventBridge passes it on) or a job.

EventBridge gives keys as they are: they are never URL-decoded. Only versioned buckets give a version id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from packshot.photo import MAX_KEY_BYTES, Photo


class _Bucket(BaseModel):
    name: Annotated[str, Field(min_length=1)]


class _Object(BaseModel):
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_BYTES)]
    size: Annotated[int, Field(ge=0)] | None = None
    etag: str | None = None
    version_id: Annotated[str | None, Field(alias="version-id")] = None
    sequencer: str = ""


class _ObjectCreated(BaseModel):
    bucket: _Bucket
    object: _Object


class UploadMessage(BaseModel):
    """S3's `Object Created` event: a photo may have been uploaded."""

    detail_type: Annotated[Literal["Object Created"], Field(alias="detail-type")]
    detail: _ObjectCreated

    def photo(self) -> Photo:
        """The photo as far as the event knows it."""
        found = self.detail.object
        return Photo(
            bucket=self.detail.bucket.name,
            key=found.key,
            version_id=found.version_id or None,
            etag=found.etag,
            sequencer=found.sequencer,
            bytes=found.size,
        )


class JobMessage(BaseModel):
    """A planned job is to be submitted."""

    model_config = ConfigDict(extra="forbid")

    job_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


_MESSAGE: TypeAdapter[UploadMessage | JobMessage] = TypeAdapter(UploadMessage | JobMessage)


def parse_message(body: str) -> UploadMessage | JobMessage:
    """The message in a queue record's body. Raises pydantic's ValidationError on anything else."""
    return _MESSAGE.validate_json(body)
