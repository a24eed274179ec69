"""PNG by its chunks, in constant memory: Pillow holds each of them whole, and one may hold all the pixels."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of what stands before the pixels, as much is shown to Pillow: a profile and a few texts have kilobytes.
MAX_HEAD_BYTES = 1024 * 1024
_PART_BYTES = 64 * 1024
_END = b"\0\0\0\0IEND"


def png_head(file: BinaryIO) -> BinaryIO:
    """What Pillow needs to open a PNG: all before its pixels, but for chunks that would make it too large.

    Raises ValueError when the file ends there.
    """
    head = io.BytesIO()
    head.write(SIGNATURE)
    for kind, start, length in _chunks(file):
        if kind in (b"IDAT", b"fdAT", b"IEND"):
            head.write(_END)
            head.seek(0)
            return head
        if head.tell() + length <= MAX_HEAD_BYTES:
            file.seek(start - 8)
            head.write(file.read(8 + length + 4))
    raise ValueError("cut short before its pixels")


def check_png(file: BinaryIO) -> None:
    """Raise ValueError unless all its chunks are there, pixels among them, and their checksums are right."""
    kind, has_pixels = b"", False
    for kind, start, length in _chunks(file):
        file.seek(start)
        checksum, left = zlib.crc32(kind), length
        while part := file.read(min(left, _PART_BYTES)):
            checksum = zlib.crc32(part, checksum)
            left -= len(part)
        if file.read(4) != checksum.to_bytes(4, "big") or not kind.isalpha():
            raise ValueError(f"damaged, or cut short, in {kind!r}")
        has_pixels |= kind == b"IDAT"
        if kind == b"fdAT" and not has_pixels:
            raise ValueError("an animation's second picture stands first")
    if kind != b"IEND" or not has_pixels:
        raise ValueError("cut short, or without pixels")


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, where its data starts, and the length it tells; up to IEND, or to the file's end."""
    kind, at = b"", len(SIGNATURE)
    while kind != b"IEND":
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        kind, length = header[4:], int.from_bytes(header[:4], "big")
        yield kind, at + 8, length
        at += 8 + length + 4
