"""What the upload queue carries: an upload (S3's event, as EventBridge passes it on) or a job.

EventBridge gives keys as they are: they are never URL-decoded. Only versioned buckets give a version id.
Every text has a bound, since rows, events and an image's metadata are bounded and have to hold it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from packshot.photo import MAX_KEY_BYTES, MAX_SEQUENCER_DIGITS, Photo

# The longest name that S3 ever gave a bucket, in us-east-1 before 2018.
_MAX_BUCKET_CHARACTERS = 255
_MAX_ETAG_CHARACTERS = 128
# S3's own bound on a version id, which is fit for a URL.
_MAX_VERSION_BYTES = 1024
_MAX_SIZE_BYTES = 2**63 - 1
_VISIBLE = r"^[!-~]*$"


def _key(key: str) -> str:
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"a key has at most {MAX_KEY_BYTES} bytes")
    return key


class _Bucket(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=_MAX_BUCKET_CHARACTERS, pattern=_VISIBLE)]


class _Object(BaseModel):
    key: Annotated[str, Field(min_length=1), AfterValidator(_key)]
    size: Annotated[int, Field(ge=0, le=_MAX_SIZE_BYTES)] | None = None
    etag: Annotated[str, Field(max_length=_MAX_ETAG_CHARACTERS, pattern=_VISIBLE)] | None = None
    version_id: Annotated[
        Annotated[str, Field(max_length=_MAX_VERSION_BYTES, pattern=_VISIBLE)] | None,
        Field(alias="version-id"),
    ] = None
    sequencer: Annotated[str, Field(pattern=rf"^[0-9A-Fa-f]{{0,{MAX_SEQUENCER_DIGITS}}}$")] = ""


class _ObjectCreated(BaseModel):
    bucket: _Bucket
    object: _Object


class UploadMessage(BaseModel):
    """S3's `Object Created` event: a photo may have been uploaded."""

    detail_type: Annotated[Literal["Object Created"], Field(alias="detail-type")]
    time: AwareDatetime | None = None
    detail: _ObjectCreated

    @classmethod
    def of(cls, photo: Photo) -> UploadMessage:
        """The message that tells of a photo that is known already: the same again, as far as it was read."""
        found = {
            "key": photo.key,
            "size": photo.bytes,
            "etag": photo.etag,
            "version-id": photo.version_id,
            "sequencer": photo.sequencer,
        }
        detail = {"bucket": {"name": photo.bucket}, "object": found}
        return cls.model_validate({"detail-type": "Object Created", "detail": detail})

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
            uploaded_at=self.time,
        )


class JobMessage(BaseModel):
    """A planned job is to be submitted."""

    model_config = ConfigDict(extra="forbid")

    job_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


_MESSAGE: TypeAdapter[UploadMessage | JobMessage] = TypeAdapter(UploadMessage | JobMessage)


def parse_message(body: str) -> UploadMessage | JobMessage:
    """The message in a queue record's body. Raises pydantic's ValidationError on anything else."""
    return _MESSAGE.validate_json(body)
