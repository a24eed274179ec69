"""Pictures by their bytes: which format, how large, whole or broken. Used on photos and on images alike."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from packshot.png import SIGNATURE, check_png, png_head
from packshot.scene import ImageFormat
from packshot.webp import canvas_size, check_webp, is_webp

# MPO is a JPEG with more pictures behind the first, as some cameras and phones write it.
_FORMATS: dict[str, ImageFormat] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png"}

# A progressive JPEG has about ten. Each is a pass over the whole picture, and takes as little as 14 bytes.
MAX_JPEG_SCANS = 200

# Offset, signature, name: what people upload and the model does not take, so that a rejection can name it.
_OTHERS = (
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftyp", "a video"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "SVG or XML"),
    (0, b"PK\x03\x04", "ZIP"),
)


@dataclass(frozen=True)
class Picture:
    """A readable picture; width and height in pixels."""

    format: ImageFormat
    width: int
    height: int


@dataclass(frozen=True)
class NotAPicture:
    """Bytes that are not a whole JPEG, PNG or WebP, and why in words."""

    code: str
    message: str


def read_picture(file: BinaryIO) -> Picture | NotAPicture:
    """Tell what a seekable file is by its content.

    No format is decoded to pixels in full size. Memory stays constant, but for the coefficients of a
    progressive JPEG, about 6 bytes a pixel, and for what a JPEG holds beside its pixels.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes == 0:
        return NotAPicture("EmptyFile", "the file is empty (0 bytes)")
    file.seek(0)
    head = file.read(64)
    try:
        if is_webp(head):
            picture = Picture("webp", *canvas_size(head))
            _check_pixels(picture)
            check_webp(file, size_bytes)
            return picture
        with warnings.catch_warnings():
            # Pillow remarks on odd metadata, which are no reason to refuse a picture.
            warnings.simplefilter("ignore")
            return _opened(file, head)
    except UnidentifiedImageError:
        return _name_other(head)
    except Image.DecompressionBombError:
        return NotAPicture("TooManyPixels", f"the picture has more than {Image.MAX_IMAGE_PIXELS} pixels")
    # Pillow's decoders have no common error: a broken file is one of these, by format.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        return NotAPicture("BrokenPicture", f"the picture is broken: {error}")


def _opened(file: BinaryIO, head: bytes) -> Picture:
    """A whole JPEG or PNG. Raises what Pillow raises for others and for damaged ones, and ValueError."""
    file.seek(0)
    image = Image.open(png_head(file) if head.startswith(SIGNATURE) else file, formats=("JPEG", "PNG"))
    picture = Picture(_FORMATS[image.format or ""], *image.size)
    _check_pixels(picture)
    if picture.format == "png":
        check_png(file)
    else:
        image.draft("L", (1, 1))
        image.fp = cast("IO[bytes]", _Scans(file))
        image.load()
    return picture


def _check_pixels(picture: Picture) -> None:
    """Pillow refuses twice as many, and warns of these."""
    if Image.MAX_IMAGE_PIXELS and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


class _Scans:
    """A JPEG's file as its decoder reads it, with an end to its scans."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen = 0
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._seen += data.count(b"\xff\xda")
        if self._seen > MAX_JPEG_SCANS:
            raise ValueError(f"more than {MAX_JPEG_SCANS} scans")
        return data


def _name_other(head: bytes) -> NotAPicture:
    for offset, signature, name in _OTHERS:
        if head[offset:].startswith(signature):
            return NotAPicture("UnsupportedFormat", f"{name} is not accepted: send JPEG, PNG or WebP")
    kind = "text" if _is_text(head) else "an unknown or damaged format"
    return NotAPicture("UnsupportedFormat", f"the content is {kind}: send JPEG, PNG or WebP")


def _is_text(head: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in head)
