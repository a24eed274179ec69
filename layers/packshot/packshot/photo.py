"""Photos: what an uploaded source image is, and which keys are photos."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from packshot.scenes_file import is_scenes_key

# S3's own bound on a key, in bytes of UTF-8.
MAX_KEY_BYTES = 1024
# S3's are of 16 and 18 hexadecimal digits.
MAX_SEQUENCER_DIGITS = 64


class Photo(BaseModel):
    """An uploaded source image, as far as it is known: the hash and size only once its bytes were read.

    `uploaded_at` is only known to the one who is told of the upload.
    """

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    sequencer: str = ""
    uploaded_at: Annotated[datetime | None, Field(exclude=True)] = None
    sku: str | None = None
    sha256: str | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None


def is_photo_key(key: str) -> bool:
    """Whether a key names a photo: folders, hidden names, names that begin with `_` and scenes files do not.

    A leading `.` or `_` counts in any part of the path: a folder of props (`_props/`) is passed over whole.
    The type of the file is not decided here but by its content, aloud.
    """
    if key.endswith("/"):
        return False
    if any(part.startswith((".", "_")) for part in key.split("/")):
        return False
    return not is_scenes_key(key)


def folder_of(key: str) -> str:
    """The part of a key before its last slash; nothing at the root."""
    return key.rpartition("/")[0]


def stem_of(key: str) -> str:
    """A key's file name, without its extension."""
    return PurePosixPath(key.rpartition("/")[2]).stem


def sku_in(key: str, pattern: re.Pattern[str] | None) -> str | None:
    """The SKU in a photo's key: what the pattern's first group finds, or all of it where it has none."""
    found = pattern.search(key) if pattern else None
    return (found.group(1) if found.re.groups else found.group()) or None if found else None


def comparable_sequencer(sequencer: str) -> str:
    """A sequencer that orders as S3 says: hexadecimal text, the shorter one padded on the right."""
    return sequencer.upper().ljust(MAX_SEQUENCER_DIGITS, "0")
