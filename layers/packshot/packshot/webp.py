"""WebP by its containers, in constant memory: RIFF chunks are walked, and their data is not loaded.

What they hold and in which order is in RFC 9649; the headers of the two kinds of pixels are in RFC 6386 (VP8,
section 9.1) and RFC 9649 (VP8L, section 3.4). No pixels are decoded: damage inside them is not found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

_PIXELS = (b"VP8 ", b"VP8L")
_LETTERS = {b"VP8X": b"X", b"ANIM": b"A", b"ANMF": b"F", b"ALPH": b"a", b"VP8 ": b"p", b"VP8L": b"l"}
# Orders of chunks by these letters, a point for any other. libwebp refuses what they do not match.
_SIMPLE = re.compile(rb"[pl][^a]*")
_STILL = re.compile(rb"X\.*(ap|p|l)\.*")
_ANIMATED = re.compile(rb"X\.*A[A.]*F[AF.]*")
_FRAME = re.compile(rb"(ap|p|l)\.*")
# Bits in the first byte of a VP8X.
_ANIMATION, _RESERVED = 0x02, 0xC1

Size = tuple[int, int]


def is_webp(head: bytes) -> bool:
    """Whether a file that begins so, with 16 bytes at least, says that it is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP" and head[12:16] in (*_PIXELS, b"VP8X")


def canvas_size(head: bytes) -> Size:
    """Width and height in pixels of a WebP that begins so, with 30 bytes at least. Raises ValueError."""
    return _size(head[12:16], head[20:30], _number(head[16:20]))


def check_webp(file: BinaryIO, size_bytes: int) -> None:
    """Raise ValueError unless it is all there, and a picture or frames are where they should be."""
    head = _read(file, 0, 30)
    end = 8 + _number(head[4:8])
    if end > size_bytes:
        raise ValueError(f"cut short: {size_bytes} of {end} bytes")
    canvas, order = canvas_size(head), _SIMPLE
    if head[12:16] == b"VP8X":
        if _number(head[16:20]) != 10 or head[20] & _RESERVED:
            raise ValueError("a damaged header: VP8X")
        order = _ANIMATED if head[20] & _ANIMATION else _STILL
    for kind, start, length in _chunks(file, 12, end, order):
        if order is _ANIMATED and kind == b"ANIM" and length < 6:
            raise ValueError("a damaged header: ANIM")
        if order is _ANIMATED and kind == b"ANMF":
            _check_frame(file, start, start + length, canvas)
        if order is _STILL and kind in _PIXELS and _size(kind, _read(file, start, 10), length) != canvas:
            raise ValueError("the picture is not as large as its canvas")


def _check_frame(file: BinaryIO, start: int, end: int, canvas: Size) -> None:
    """Of an animation: where it goes on the canvas and how large it is (16 bytes), then chunks of its own."""
    place = _read(file, start, 16)
    left, top = 2 * _number(place[0:3]), 2 * _number(place[3:6])
    width, height = _number(place[6:9]) + 1, _number(place[9:12]) + 1
    for kind, at, length in _chunks(file, start + 16, end, _FRAME):
        if kind in _PIXELS:
            size = _size(kind, _read(file, at, 10), length)
            if left + max(width, size[0]) > canvas[0] or top + max(height, size[1]) > canvas[1]:
                raise ValueError("a frame is not within the canvas")


def _chunks(file: BinaryIO, at: int, end: int, order: re.Pattern[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, where its data starts, and how many bytes that are.

    Raises ValueError when one does not end where it should; behind the last, when they are in another order.
    """
    letters = bytearray()
    while at < end:
        header = _read(file, at, 8)
        kind, start, length = header[:4], at + 8, _number(header[4:8])
        at = start + length + length % 2
        if at > end:
            raise ValueError("a chunk is longer than what it is in")
        letters += _LETTERS.get(kind, b".")
        yield kind, start, length
    if not order.fullmatch(letters):
        raise ValueError("a chunk is missing, or where it does not belong")


def _size(kind: bytes, header: bytes, length: int) -> Size:
    """Width and height as a chunk of that length tells them in its first 10 bytes."""
    width = height = 0
    if kind == b"VP8X":
        width, height = _number(header[4:7]) + 1, _number(header[7:10]) + 1
    elif kind == b"VP8L" and length >= 5 and header[:1] == b"\x2f":
        bits = _number(header[1:5])
        if bits >> 29 == 0:
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and length >= 10 and header[3:6] == b"\x9d\x01\x2a":
        tag = _number(header[:3])
        # A key frame that is shown, of a known version, whose first part ends within the chunk.
        if tag & 1 == 0 and tag >> 4 & 1 and tag >> 1 & 7 <= 3 and tag >> 5 < length:
            width, height = _number(header[6:8]) & 0x3FFF, _number(header[8:10]) & 0x3FFF
    if not width or not height:
        raise ValueError(f"a damaged header: {kind.decode()}")
    return width, height


def _read(file: BinaryIO, at: int, size_bytes: int) -> bytes:
    file.seek(at)
    return file.read(size_bytes)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
