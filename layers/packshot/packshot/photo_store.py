"""Photos in the input bucket: read once and judged by their bytes, and handed to Segmind."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from packshot.job import Reason
from packshot.photo import Photo
from packshot.pictures import NotAPicture, read_picture
from packshot.settings import ImageTransfer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

# How long a presigned URL outlives the deadline: Segmind may fetch the photo late.
URL_MARGIN = timedelta(minutes=10)


@dataclass(frozen=True)
class ReadPhoto:
    """A photo whose bytes were read and are a whole picture, and its user metadata."""

    photo: Photo
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Unusable:
    """What was uploaded is no photo that could be sent."""

    photo: Photo
    reason: Reason


@dataclass(frozen=True)
class Overwritten:
    """The object is not the one the event told of: a newer one, with an event of its own, took its place."""


_MISSING = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}
_CHANGED = {"PreconditionFailed", "412"}


class PhotoStore:
    """The input bucket, read only."""

    def __init__(
        self, client: S3Client, image_transfer: ImageTransfer, max_photo_bytes: int, deadline: timedelta
    ) -> None:
        self._client = client
        self._image_transfer = image_transfer
        self._max_photo_bytes = max_photo_bytes
        self._url_lifetime = deadline + URL_MARGIN

    def read(self, found: Photo) -> ReadPhoto | Unusable | Overwritten:
        """Read and judge an uploaded photo with one GET. Raises ClientError where a retry may help."""
        answer = self._get(found)
        if isinstance(answer, Unusable | Overwritten):
            return answer
        size_bytes = answer["ContentLength"]
        photo = found.model_copy(
            update={
                "etag": answer["ETag"].strip('"'),
                "version_id": answer.get("VersionId") or found.version_id,
                "bytes": size_bytes,
            }
        )
        if size_bytes > self._max_photo_bytes:
            answer["Body"].close()
            message = f"the file has {size_bytes} bytes; at most {self._max_photo_bytes} are accepted"
            return Unusable(photo, Reason(code="PhotoTooLarge", message=message))
        data = answer["Body"].read()
        photo = photo.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
        match read_picture(io.BytesIO(data)):
            case NotAPicture(code, message):
                return Unusable(photo, Reason(code=code, message=message))
        return ReadPhoto(photo, answer["Metadata"])

    def handed_over(self, photo: Photo, marker: str) -> str | Unusable | Overwritten:
        """What the API is given for a photo: a presigned GET of it that carries the marker, or its base64."""
        if self._image_transfer == "inline":
            answer = self._get(photo)
            if isinstance(answer, Unusable | Overwritten):
                return answer
            return base64.b64encode(answer["Body"].read()).decode()
        # For S3 it is a header of the answer. It is signed, so it reaches Segmind and its history unchanged.
        disposition = f"inline; filename={marker}"
        parameters = {"Bucket": photo.bucket, "Key": photo.key, "ResponseContentDisposition": disposition}
        if photo.version_id:
            parameters["VersionId"] = photo.version_id
        return self._client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=int(self._url_lifetime.total_seconds())
        )

    def _get(self, photo: Photo) -> GetObjectOutputTypeDef | Unusable | Overwritten:
        try:
            return self._client.get_object(**_locate(photo))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _MISSING:
                return Unusable(
                    photo, Reason(code="PhotoMissing", message="the object was deleted before it was read")
                )
            if code in _CHANGED:
                return Overwritten()
            if code == "InvalidObjectState":
                return Unusable(
                    photo, Reason(code="PhotoArchived", message="the object is in an archive class")
                )
            raise


def _locate(photo: Photo) -> Any:
    """The exact object: its version where there is one, else what stands there if it still is the same."""
    located = {"Bucket": photo.bucket, "Key": photo.key}
    if photo.version_id:
        return {**located, "VersionId": photo.version_id}
    return {**located, "IfMatch": photo.etag} if photo.etag else located
