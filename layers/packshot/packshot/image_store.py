"""Images in the output bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from packshot.job import Image, Job
from packshot.pictures import Picture
from packshot.scene import CONTENT_TYPES, MODEL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class ImageStore:
    """The output bucket, written only."""

    client: S3Client
    bucket: str
    cache_control: str | None

    def publish(self, job: Job, file: BinaryIO, picture: Picture) -> Image:
        """Put an image where its photo's scene belongs. The file is read from its start, in parts."""
        key = job.image_key or ""
        content_type = CONTENT_TYPES[picture.format]
        arguments: dict[str, Any] = {"CacheControl": self.cache_control} if self.cache_control else {}
        file.seek(0)
        answer = self.client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=file,
            ContentType=content_type,
            Metadata=image_metadata(job),
            **arguments,
        )
        return Image(
            bucket=self.bucket,
            key=key,
            version_id=answer.get("VersionId"),
            bytes=file.seek(0, 2),
            content_type=content_type,
            width=picture.width,
            height=picture.height,
        )


def image_metadata(job: Job) -> dict[str, str]:
    """The user metadata of an image: what it takes to know it and to make it again. ASCII, under 2 KB."""
    prompt = job.parameters.prompt if job.parameters else ""
    return {
        "packshot-job-id": job.job_id,
        "packshot-scene": quote(job.scene),
        "packshot-seed": str(job.seed),
        "packshot-model": MODEL,
        "packshot-prompt-sha256": hashlib.sha256(prompt.encode()).hexdigest(),
    }
