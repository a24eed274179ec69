"""Photos: what an uploaded source image is, which keys are photos, and where their images go."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from packshot.scene import EXTENSIONS, ImageFormat

# S3's own bound on a key, in bytes of UTF-8.
MAX_KEY_BYTES = 1024
# S3's are of 16 and 18 hexadecimal digits.
MAX_SEQUENCER_DIGITS = 64


class Photo(BaseModel):
    """An uploaded source image, as far as it is known: the hash and size only once its bytes were read."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    sequencer: str = ""
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
    name = key.rsplit("/", 1)[-1]
    return name != "scenes.json" and not name.endswith(".scenes.json")


def image_key(photo_key: str, scene: str, image_format: ImageFormat) -> str:
    """Where the image of a photo in a scene goes: `{folder}/{stem}/{scene}.{ext}`, no slash at the root."""
    folder, _, name = photo_key.rpartition("/")
    stem = PurePosixPath(name).stem
    path = f"{stem}/{scene}.{EXTENSIONS[image_format]}"
    return f"{folder}/{path}" if folder else path


def comparable_sequencer(sequencer: str) -> str:
    """A sequencer that orders as S3 says: hexadecimal text, the shorter one padded on the right."""
    return sequencer.upper().ljust(MAX_SEQUENCER_DIGITS, "0")
