"""Where photos and the files beside them are looked at before they cost anything: a folder, or a bucket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from packshot.scenes_file import SCENES_FILE
from packshot_cli.errors import PhotosError
from packshot_cli.text import one_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Found:
    """What stands under a key. `data` is empty where there is more of it than was asked for."""

    size_bytes: int
    data: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoFolder:
    """A folder that stands for the bucket: a file's key is its path from there."""

    root: Path

    def keys(self, path: Path) -> list[str]:
        """The keys of a file, or of all files in and below a folder, in order; not of linked folders.

        Raises PhotosError.
        """
        if path.is_file():
            return [self._key(path)]
        if not path.is_dir():
            raise PhotosError(f"There is no {one_line(str(path))}")
        found = [
            self._key(Path(folder, name))
            for folder, _, names in os.walk(path, onerror=_refuse)
            for name in names
            # Not a pipe, a device, or a link to nothing.
            if Path(folder, name).is_file()
        ]
        return sorted(found)

    def read(self, key: str, max_bytes: int) -> Found | None:
        """What stands under a key; None when there is no such file. Raises PhotosError."""
        file = self.root / key
        try:
            if not file.is_file():
                return None
            size_bytes = file.stat().st_size
            return Found(size_bytes, file.read_bytes() if size_bytes <= max_bytes else b"")
        except OSError as error:
            raise PhotosError(f"{one_line(str(file))} cannot be read: {error.strerror}") from None

    def has(self, key: str) -> bool:
        """Whether there is such a file."""
        return (self.root / key).is_file()

    def place(self, key: str) -> str:
        """How a person finds it."""
        return str(self.root / key)

    def _key(self, path: Path) -> str:
        key = path.relative_to(self.root).as_posix()
        try:
            key.encode()
        except UnicodeEncodeError:
            raise PhotosError(f"A file's name is not UTF-8, {key!a}: rename it") from None
        return key


def folder_below(path: Path, root: Path | None) -> tuple[PhotoFolder, Path]:
    """The folder that stands for the bucket, and the path in it. Raises PhotosError.

    Without a root that is the path itself, or the folder of a file.
    """
    top = (root or (path.parent if path.is_file() else path)).resolve()
    place = path.resolve()
    if not place.is_relative_to(top):
        raise PhotosError(f"{one_line(str(path))} is not below {one_line(str(root))}")
    return PhotoFolder(top), place


def folder_of_photo(photo: Path, root: Path | None) -> tuple[PhotoFolder, str]:
    """The folder that stands for the bucket, and the key of a photo in it. Raises PhotosError."""
    if not photo.is_file():
        raise PhotosError(f"There is no file {one_line(str(photo))}")
    folder, place = folder_below(photo, root)
    (key,) = folder.keys(place)
    return folder, key


def unread_above(folder: PhotoFolder) -> Path | None:
    """The nearest scenes file above the folder that stands for the bucket: nobody will read it."""
    above = (parent / SCENES_FILE for parent in folder.root.parents)
    return next((file for file in above if file.is_file()), None)


@dataclass(frozen=True)
class PhotoBucket:
    """A bucket in S3."""

    client: S3Client
    bucket: str

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so, in order. Raises ClientError."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", []))

    def read(self, key: str, max_bytes: int) -> Found | None:
        """What stands under a key; None when there is nothing. Raises ClientError."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        size_bytes = answer["ContentLength"]
        data = answer["Body"].read() if size_bytes <= max_bytes else b""
        answer["Body"].close()
        return Found(size_bytes, data, answer["Metadata"])

    def place(self, key: str) -> str:
        """How a person finds it."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True)
class UploadedFolder:
    """A bucket as it will be once a folder was uploaded to it."""

    folder: PhotoFolder
    bucket: PhotoBucket

    def read(self, key: str, max_bytes: int) -> Found | None:
        """What will stand under a key. Raises PhotosError and ClientError."""
        return self.folder.read(key, max_bytes) or self.bucket.read(key, max_bytes)

    def place(self, key: str) -> str:
        """How a person finds it then."""
        return self.bucket.place(key)


PhotoSource = PhotoFolder | PhotoBucket | UploadedFolder


def _refuse(error: OSError) -> None:
    raise PhotosError(f"{one_line(str(error.filename))} cannot be read: {error.strerror}")
