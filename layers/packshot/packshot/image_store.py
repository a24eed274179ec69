"""Images in the output bucket. Under each key the newest photo's image is the current version.

Publishing is compare-and-swap: it is put where nothing stands, or in the place of what was looked at before.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from botocore.exceptions import ClientError

from packshot.check_settings import SettingError
from packshot.job import Image, Job
from packshot.model import MODEL
from packshot.photo import comparable_sequencer
from packshot.pictures import Picture
from packshot.scene import CONTENT_TYPES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An image that came too late is kept where no photo's image can be: no photo's key has a part that begins so.
LATE_PREFIX = "_superseded/"
SWAPS = 5
# S3's words for "it is not what you thought it was" (docs: conditional writes).
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "409", "412"}
_ABSENT = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}
_PART_BYTES = 1024 * 1024


class ImageContendedError(Exception):
    """Others kept changing the image meanwhile: try again."""


@dataclass(frozen=True)
class Newer:
    """The current image belongs to a newer photo."""


@dataclass(frozen=True)
class ImageStore:
    """The output bucket."""

    client: S3Client
    bucket: str
    cache_control: str | None

    def check_versions(self) -> None:
        """Raise SettingError for a bucket that keeps no versions.

        A photo that comes again has its image back from its version, without another request.
        """
        if self.client.get_bucket_versioning(Bucket=self.bucket).get("Status") != "Enabled":
            raise SettingError(
                f"ExistingOutputBucketName: {self.bucket} keeps no versions: switch its versioning on"
            )

    def publish(self, job: Job, file: BinaryIO, picture: Picture) -> Image | Newer:
        """Make an image the current one where its photo's scene belongs, unless a newer photo's is there.

        An image that this job has put there before is found and not put again. Raises ImageContendedError.
        """
        key = job.image_key or ""
        ours = comparable_sequencer(job.photo.sequencer)
        # Most images are the first of their scene: what stands there is looked at only if something does.
        condition = {"IfNoneMatch": "*"}
        for _ in range(SWAPS):
            try:
                return self._put(key, job, file, picture, **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _CHANGED:
                    raise
            current = self._head(key)
            condition = {"IfNoneMatch": "*"}
            if current is not None:
                theirs = current["Metadata"].get("packshot-sequencer", "")
                if theirs > ours:
                    return Newer()
                if theirs == ours and current["Metadata"].get("packshot-job-id") == job.job_id:
                    return self._image(key, current.get("VersionId"), file, picture)
                condition = {"IfMatch": current["ETag"]}
        raise ImageContendedError(key)

    def set_aside(self, job: Job, file: BinaryIO, picture: Picture) -> Image:
        """Keep an image that came too late: it was paid for, and its photo may become the newest again."""
        return self._put(LATE_PREFIX + (job.image_key or ""), job, file, picture)

    def republish(self, job: Job, image: Image) -> Image | Newer | None:
        """Make an image that was made before the current one again; None when it is not there any more.

        Raises ImageContendedError.
        """
        picture = Picture(_FORMATS[image.content_type], image.width, image.height)
        located: Any = {"Bucket": image.bucket, "Key": image.key}
        if image.version_id:
            located["VersionId"] = image.version_id
        with tempfile.TemporaryFile() as file:
            try:
                body = self.client.get_object(**located)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in _ABSENT:
                    return None
                raise
            for part in body.iter_chunks(_PART_BYTES):
                file.write(part)
            if _sha256(cast("BinaryIO", file)) != image.sha256:
                # Of a bucket that kept no versions for a while, this is another image.
                return None
            return self.publish(job, cast("BinaryIO", file), picture)

    def _head(self, key: str) -> Any:
        try:
            return self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise

    def _put(self, key: str, job: Job, file: Any, picture: Picture, **condition: Any) -> Image:
        file.seek(0)
        if self.cache_control:
            condition["CacheControl"] = self.cache_control
        answer = self.client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=file,
            ContentType=CONTENT_TYPES[picture.format],
            Metadata=image_metadata(job),
            **condition,
        )
        return self._image(key, answer.get("VersionId"), file, picture)

    def _image(self, key: str, version_id: str | None, file: BinaryIO, picture: Picture) -> Image:
        sha256 = _sha256(file)
        return Image(
            bucket=self.bucket,
            key=key,
            version_id=version_id,
            bytes=file.seek(0, os.SEEK_END),
            sha256=sha256,
            content_type=CONTENT_TYPES[picture.format],
            width=picture.width,
            height=picture.height,
        )


def _sha256(file: BinaryIO) -> str:
    """Of the whole file, which is read to its end."""
    file.seek(0)
    return hashlib.file_digest(cast("Any", file), "sha256").hexdigest()


_FORMATS = {content_type: image_format for image_format, content_type in CONTENT_TYPES.items()}


def image_metadata(job: Job) -> dict[str, str]:
    """The user metadata of an image: what it takes to know it and to make it again. ASCII, under 2 KB."""
    prompt = job.parameters.prompt if job.parameters else ""
    return {
        "packshot-job-id": job.job_id,
        "packshot-sequencer": quote(comparable_sequencer(job.photo.sequencer)),
        "packshot-scene": quote(job.scene),
        "packshot-seed": str(job.seed),
        "packshot-model": MODEL,
        "packshot-prompt-sha256": hashlib.sha256(prompt.encode()).hexdigest(),
    }
