"""What stands beside the photos in the input bucket: scenes files, and images that go along with photos.

Both are kept in memory, and serve only photos that were settled when they were read.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from packshot.photo import Photo
from packshot.pictures import NotAPicture, read_picture
from packshot.scene import StoredImage
from packshot.scenes_file import MAX_FILE_BYTES, SIDECAR_SUFFIX, Mistake, ScenesFile, read_scenes_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The clocks of S3 and of the function may differ by as much, and the time of an event is in whole seconds.
CLOCK_SKEW = timedelta(seconds=2)
MAX_KEPT = 100
_ABSENT = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}
_CHANGED = {"PreconditionFailed", "412"}
_UNCHANGED = {"NotModified", "304"}
_ARCHIVED = {"InvalidObjectState"}


@dataclass(frozen=True)
class NoImage:
    """What stands under a key is no image that could go along, and why in words."""

    why: str


@dataclass(frozen=True)
class _Kept:
    """What was found under a key, and when it was asked for."""

    found: Any
    etag: str | None
    read_at: datetime


class ScenesStore:
    """The input bucket, read only. `settle` is how long an upload is held back for what belongs to it."""

    def __init__(
        self, client: S3Client, max_image_bytes: int, settle: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._max_image_bytes = max_image_bytes
        self._settle = settle
        self._now = now
        # By what it was read as, too: someone may name a scenes file as an image.
        self._kept: dict[tuple[str, str, Callable[[str, Any], Any]], _Kept] = {}

    def scenes_file(self, photo: Photo, key: str) -> ScenesFile | list[Mistake] | None:
        """The scenes file under a key beside a photo, what is wrong with it, or None where there is none.

        Raises ClientError where a retry may help.
        """
        found: ScenesFile | list[Mistake] | None = self._find(photo, key, self._read_file)
        return found

    def image(self, photo: Photo, key: str) -> StoredImage | NoImage:
        """The image under a key, as it goes along with a photo. Raises ClientError where a retry may help."""
        found: StoredImage | NoImage | None = self._find(photo, key, self._read_image)
        return found or NoImage("there is no such object")

    def uploaded_file(self, uploaded: Photo) -> ScenesFile | list[Mistake] | None:
        """The very scenes file that an event tells of; None when it is gone, or another took its place."""
        located: dict[str, Any] = {"Bucket": uploaded.bucket, "Key": uploaded.key}
        if uploaded.version_id:
            located["VersionId"] = uploaded.version_id
        elif uploaded.etag:
            located["IfMatch"] = uploaded.etag
        try:
            return self._read_file(uploaded.key, self._client.get_object(**located))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _ABSENT | _CHANGED:
                return None
            if code in _ARCHIVED:
                return _archived_file(uploaded.key)
            raise

    def _find(self, photo: Photo, key: str, read: Callable[[str, Any], Any]) -> Any:
        place = (photo.bucket, key, read)
        kept = self._kept.pop(place, None)
        if kept is None or not self._serves(kept, photo):
            kept = self._read(photo.bucket, key, kept, read)
        if not key.endswith(SIDECAR_SUFFIX):
            # The one asked for last stands last, so that the first is the one to go.
            self._kept[place] = kept
            if len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return kept.found

    def _serves(self, kept: _Kept, photo: Photo) -> bool:
        """Whether whatever was uploaded along with the photo had arrived when this was read."""
        if photo.uploaded_at is None:
            return False
        return kept.read_at >= photo.uploaded_at + self._settle + CLOCK_SKEW

    def _read(self, bucket: str, key: str, kept: _Kept | None, read: Callable[[str, Any], Any]) -> _Kept:
        read_at = self._now()
        condition: Any = {"IfNoneMatch": kept.etag} if kept and kept.etag else {}
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **condition)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _ABSENT:
                return _Kept(None, None, read_at)
            if kept and code in _UNCHANGED:
                return replace(kept, read_at=read_at)
            if code in _ARCHIVED:
                no_image = NoImage("the object is in an archive class")
                return _Kept(no_image if read == self._read_image else _archived_file(key), None, read_at)
            raise
        return _Kept(read(key, answer), answer["ETag"], read_at)

    def _read_file(self, key: str, answer: Any) -> ScenesFile | list[Mistake]:
        # One byte more than allowed tells that it is too large.
        return read_scenes_file(key, answer["Body"].read(MAX_FILE_BYTES + 1))

    def _read_image(self, key: str, answer: Any) -> StoredImage | NoImage:
        if answer["ContentLength"] > self._max_image_bytes:
            answer["Body"].close()
            return NoImage(f"it has {answer['ContentLength']} bytes, of at most {self._max_image_bytes}")
        data = answer["Body"].read()
        match read_picture(io.BytesIO(data)):
            case NotAPicture(_, message):
                return NoImage(message)
        return StoredImage(
            key=key,
            version_id=answer.get("VersionId"),
            etag=answer["ETag"].strip('"'),
            sha256=hashlib.sha256(data).hexdigest(),
        )


def _archived_file(key: str) -> list[Mistake]:
    return [Mistake(key, "$", "an object in an archive class", "one that can be read at once")]
