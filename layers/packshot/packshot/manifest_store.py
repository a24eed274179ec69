"""Manifests in the output bucket: replaced by compare-and-swap, so that each is one whole truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from packshot.manifest import Manifest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABSENT = {"NoSuchKey", "404"}
# S3's words for "it is not what you thought it was" (docs: conditional writes).
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "409", "412"}


@dataclass(frozen=True)
class StandingManifest:
    """What stands under a manifest's key; `manifest` is None where that cannot be read as one."""

    manifest: Manifest | None
    etag: str

    @property
    def revision(self) -> int:
        """How often it was written, as far as is known."""
        return self.manifest.revision if self.manifest else 0


@dataclass(frozen=True)
class ManifestStore:
    """The output bucket, as far as it holds manifests."""

    client: S3Client
    bucket: str

    def read(self, key: str) -> StandingManifest | None:
        """The manifest that stands under a key, or None."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        try:
            manifest = Manifest.model_validate_json(answer["Body"].read())
        except ValidationError:
            manifest = None
        return StandingManifest(manifest, answer["ETag"])

    def replace(self, key: str, standing: StandingManifest | None, manifest: Manifest) -> bool:
        """Put a manifest in the place of the standing one; False when that does not stand there any more."""
        condition: Any = {"IfMatch": standing.etag} if standing else {"IfNoneMatch": "*"}
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=(manifest.model_dump_json(indent=2) + "\n").encode(),
                ContentType="application/json",
                # It changes as long as scenes end: no cache may tell an older truth.
                CacheControl="no-cache",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                return False
            raise
        return True
