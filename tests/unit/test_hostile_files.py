"""No file, and no server of files, does worse than to be refused: in time, and in little memory."""

from __future__ import annotations

import io
import resource
import struct
import time
import warnings
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from packshot.downloads import Downloader, DownloadError, ForbiddenOutputError
from packshot.http_session import NoRedirectSession
from packshot.pictures import MAX_JPEG_SCANS, NotAPicture, Picture, read_picture
from tests.unit.fakes import picture_bytes
from tests.unit.hostile import held, memory
from tests.unit.wire import Step, answer, wired

MEGABYTE = 1_000_000
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG, JPEG, WEBP = (picture_bytes(kind) for kind in ("PNG", "JPEG", "WEBP"))
ANIMATED = picture_bytes("WEBP", "RGBA", save_all=True, append_images=[Pillow.new("RGBA", (24, 16))])


def read(data: bytes) -> Picture | NotAPicture:
    """As the functions read a file; and what it says of one can be told."""
    found = read_picture(io.BytesIO(data))
    if isinstance(found, NotAPicture):
        held(found.message)
    return found


# -- formats, taken apart and put together wrongly but with all their sums right --

Part = tuple[bytes, bytes]


def png_parts(data: bytes) -> list[Part]:
    parts, at = [], len(PNG_START)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def png_of(parts: list[Part]) -> bytes:
    return PNG_START + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def webp_parts(data: bytes) -> list[Part]:
    parts, at = [], 12
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def webp_of(parts: list[Part]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_parts(data: bytes) -> list[Part]:
    """Its segments up to the scan; the last has all the rest."""
    parts, at = [], 2
    while data[at : at + 2] != b"\xff\xda":
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append((data[at : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return [*parts, (b"", data[at:])]


def jpeg_of(parts: list[Part]) -> bytes:
    return b"\xff\xd8" + b"".join(
        kind + struct.pack(">H", len(data) + 2) + data if kind else data for kind, data in parts
    )


def deflated(data: bytes) -> bytes:
    return b"a\0\0" + zlib.compress(data)


WEBP_PARTS = st.tuples(
    st.sampled_from([b"VP8X", b"VP8 ", b"VP8L", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"odd "]),
    st.binary(max_size=40),
) | st.sampled_from([*webp_parts(WEBP), *webp_parts(ANIMATED)])
FORMATS: dict[str, tuple[list[Part], Callable[[list[Part]], bytes], st.SearchStrategy[Part]]] = {
    "png": (
        png_parts(PNG),
        png_of,
        st.tuples(
            st.sampled_from([b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"iCCP", b"zTXt", b"iTXt"])
            | st.sampled_from(
                [b"eXIf", b"acTL", b"fcTL", b"fdAT", b"pHYs", b"gAMA", b"sRGB", b"odd ", b"\0\0\0\0"]
            ),
            st.binary(max_size=40) | st.binary(max_size=40).map(deflated),
        ),
    ),
    "jpeg": (
        jpeg_parts(JPEG),
        jpeg_of,
        st.tuples(
            st.sampled_from(
                [0xC0, 0xC2, 0xC4, 0xC8, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE]
            ).map(lambda code: bytes([0xFF, code])),
            st.builds(
                bytes.__add__,
                st.sampled_from(
                    [b"", b"JFIF\0", b"Exif\0\0MM\0*", b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"MPF\0"]
                )
                | st.sampled_from([b"Exif\0\0II*\0\x08\0\0\0", b"Adobe", b"http://ns.adobe.com/xap/1.0/\0"]),
                st.binary(max_size=60),
            ),
        ),
    ),
    "webp": (webp_parts(WEBP), webp_of, WEBP_PARTS),
    "webp, animated": (webp_parts(ANIMATED), webp_of, WEBP_PARTS),
}


@st.composite
def rebuilt(draw: st.DrawFn) -> bytes:
    """A picture with parts changed, moved, left out and made up."""
    whole, put_together, odd_part = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    parts = list(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(parts)))
        match draw(st.sampled_from(["insert", "change", "drop", "move"])):
            case "insert":
                parts.insert(at, draw(odd_part))
            case "change" if at < len(parts):
                kind, data = parts[at]
                where = draw(st.integers(0, len(data)))
                parts[at] = (kind, data[:where] + draw(st.binary(max_size=8)) + data[where + 4 :])
            case "drop" if at < len(parts):
                del parts[at]
            case "move" if at < len(parts):
                parts.append(parts.pop(at))
    return put_together(parts)


def test_what_is_put_together_again_is_what_it_was() -> None:
    for data, (parts, put_together, _) in zip((PNG, JPEG, WEBP, ANIMATED), FORMATS.values(), strict=True):
        assert put_together(parts) == data


@settings(max_examples=400)
@given(rebuilt())
def test_a_picture_of_odd_parts_is_refused_or_one_that_pillow_opens_too(data: bytes) -> None:
    found = read(data)
    if isinstance(found, Picture):
        with warnings.catch_warnings(action="ignore"), Pillow.open(io.BytesIO(data)) as opened:
            assert opened.size == (found.width, found.height)


def webp_with(data: bytes, number: int, at: int, new: bytes) -> bytes:
    """A WebP with other bytes in one of its chunks."""
    parts = webp_parts(data)
    kind, old = parts[number]
    parts[number] = (kind, old[:at] + new + old[at + len(new) :])
    return webp_of(parts)


LOSSLESS = picture_bytes("WEBP", lossless=True)
STILL = webp_of([(b"VP8X", bytes(4) + b"\x17\0\0\x0f\0\0"), *webp_parts(WEBP)])
WRONG_WEBPS = {
    "a flag that does not exist": webp_with(STILL, 0, 0, b"\x01"),
    "a larger canvas than the picture": webp_with(STILL, 0, 4, b"\x18"),
    "two pictures": webp_of([*webp_parts(STILL), *webp_parts(WEBP)]),
    "no picture": webp_of(webp_parts(STILL)[:1]),
    "an alpha too much": webp_of([*webp_parts(WEBP), (b"ALPH", b"alpha"), *webp_parts(LOSSLESS)]),
    "a frame to the right of the canvas": webp_with(ANIMATED, 2, 0, b"\x01"),
    "a frame below the canvas": webp_with(ANIMATED, 2, 3, b"\x01"),
    "a frame that says it is huge": webp_with(ANIMATED, 2, 6, b"\xff" * 6),
    "a frame of nothing": webp_of([*webp_parts(ANIMATED), (b"ANMF", bytes(16))]),
    "frames before their animation": webp_of([webp_parts(ANIMATED)[at] for at in (0, 2, 1)]),
    "no frames": webp_of(webp_parts(ANIMATED)[:2]),
    "no key frame": webp_with(WEBP, 0, 0, bytes([webp_parts(WEBP)[0][1][0] | 1])),
    "a first part beyond the end": webp_with(WEBP, 0, 2, b"\xff"),
    "another start code": webp_with(WEBP, 0, 3, b"\0"),
    "no width": webp_with(WEBP, 0, 6, b"\0\0"),
    "another lossless signature": webp_with(LOSSLESS, 0, 0, b"\0"),
    "another lossless version": webp_with(LOSSLESS, 0, 4, b"\xff"),
    "a chunk beyond the end": WEBP[:16] + b"\xff" + WEBP[17:],
}


@pytest.mark.parametrize("name", WRONG_WEBPS)
def test_a_webp_that_libwebp_does_not_take_is_refused_without_it(name: str) -> None:
    with pytest.raises(OSError, match="decoder"):
        Pillow.open(io.BytesIO(WRONG_WEBPS[name]))
    found = read(WRONG_WEBPS[name])
    assert isinstance(found, NotAPicture)
    assert found.code == "BrokenPicture"
    assert isinstance(read(STILL), Picture)


STARTS = {"png": PNG_START, "jpeg": b"\xff\xd8\xff\xe0", "webp": b"RIFF\x10\0\0\0WEBP", "gif": b"GIF89a"}


@given(st.sampled_from(sorted(STARTS)), st.sampled_from([PNG, JPEG, WEBP, b""]), st.binary(max_size=60))
def test_a_file_that_begins_as_one_thing_and_goes_on_as_another_is_the_first_or_nothing(
    start: str, rest: bytes, noise: bytes
) -> None:
    found = read(STARTS[start] + noise + rest)
    assert isinstance(found, NotAPicture) or found.format == start


@pytest.mark.parametrize(
    "behind",
    [b"<script>alert(1)</script>", b"PK\x03\x04" + b"x" * 50, picture_bytes("PNG"), b"\xff\xda" * 90],
)
@pytest.mark.parametrize("data", [PNG, JPEG, WEBP], ids=["png", "jpeg", "webp"])
def test_what_stands_behind_a_picture_does_not_change_what_it_is(data: bytes, behind: bytes) -> None:
    assert read(data + behind) == read(data)
    assert isinstance(read(data), Picture)


# -- little memory, little time --


def png_that_says(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")])


def jpeg_that_says(width: int, height: int) -> bytes:
    parts = [
        (kind, data[:1] + struct.pack(">HH", height, width) + data[5:])
        if kind == b"\xff\xc0"
        else (kind, data)
        for kind, data in jpeg_parts(JPEG)
    ]
    return jpeg_of(parts)


def webp_that_says(width: int, height: int, *, animated: bool) -> bytes:
    (kind, data), *_ = webp_parts(WEBP)
    frame = kind + struct.pack("<I", len(data)) + data
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = (b"VP8X", bytes([2 if animated else 0, 0, 0, 0]) + canvas)
    if not animated:
        return webp_of([head, (kind, data)])
    place = bytes(6) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little") + bytes(4)
    return webp_of([head, (b"ANIM", bytes(6)), (b"ANMF", place + frame)])


BOMBS = {
    "png": png_that_says(60_000, 60_000),
    "jpeg": jpeg_that_says(65_500, 65_500),
    "webp": webp_that_says(16_383, 16_383, animated=False),
    "webp, animated": webp_that_says(16_383, 16_383, animated=True),
    "png, text": png_of([*png_parts(png_that_says(8, 8))[:1], *[(b"zTXt", deflated(bytes(900_000)))] * 100]),
    "png, profile": png_of([*png_parts(png_that_says(8, 8))[:1], (b"iCCP", deflated(bytes(50 * MEGABYTE)))]),
}


def most_memory_ever() -> int:
    """What this process has held at most, C libraries included, in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_says_it_is_huge_takes_no_memory(name: str) -> None:
    before = most_memory_ever()
    started = time.monotonic()
    with memory() as peak:
        assert isinstance(read(BOMBS[name]), NotAPicture)
    assert time.monotonic() - started < 5
    assert peak.bytes < 80 * MEGABYTE
    assert most_memory_ever() - before < 150 * MEGABYTE


def scans(count: int) -> bytes:
    """A progressive JPEG of four megapixels that goes over all of them so many times more."""
    file = io.BytesIO()
    Pillow.new("RGB", (2000, 2000), "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last, end = data[data.rindex(b"\xff\xda") : -2], data[-2:]
    return data[:-2] + last * count + end


def test_a_progressive_picture_may_have_more_scans_than_usual() -> None:
    assert read(scans(30)) == Picture("jpeg", 2000, 2000)


def test_a_picture_of_a_hundred_thousand_scans_is_not_decoded_for_hours() -> None:
    bomb = scans(100_000)
    assert len(bomb) < 2 * MEGABYTE
    started = time.monotonic()
    found = read(bomb)
    assert time.monotonic() - started < 5
    assert isinstance(found, NotAPicture)
    assert found.code == "BrokenPicture"
    assert str(MAX_JPEG_SCANS) in found.message


MUCH = bytes(20 * MEGABYTE)
LARGE = {
    "webp, behind": webp_of([*webp_parts(WEBP), (b"odd ", MUCH)]),
    "webp, the picture": webp_of([(kind, data + MUCH) for kind, data in webp_parts(WEBP)]),
    "webp, a frame": webp_of([*webp_parts(webp_that_says(24, 16, animated=True)), (b"XMP ", MUCH)]),
    "png, before": png_of([png_parts(PNG)[0], (b"eXIf", MUCH), *png_parts(PNG)[1:]]),
    "png, the pixels": png_of([(kind, data + MUCH * (kind == b"IDAT")) for kind, data in png_parts(PNG)]),
    "png, behind": png_of([*png_parts(PNG)[:-1], (b"odDs", MUCH), (b"IEND", b"")]),
    "jpeg": JPEG[:-2] + MUCH + JPEG[-2:],
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_takes_as_little_memory_as_a_small_one(name: str) -> None:
    file = io.BytesIO(LARGE[name])
    with memory() as peak:
        assert isinstance(read_picture(file), Picture)
    assert peak.bytes < MEGABYTE


# -- servers of files --

IMAGE_URL = "http://127.0.0.1:8766/made.webp"


def fetch() -> bytes:
    hosts = frozenset({"127.0.0.1:8766"})
    with Downloader(hosts, MEGABYTE, NoRedirectSession()).fetch(IMAGE_URL) as file:
        return file.read()


fields = st.lists(
    st.sampled_from(
        [
            b"Content-Length: -5",
            b"Content-Length: 3, 4",
            b"Content-Length: 99999999999999999999999999",
            b"Content-Length: \xb2",
            b"Content-Length: 0",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Content-Encoding: gzip",
            b"Content-Encoding: deflate, gzip",
            b"Content-Encoding: br",
            b"Location: //[",
            b"Location: http://127.0.0.1:8766/\xff\xfe",
            b"Location: \x00",
            b"Set-Cookie: \xff=;;; expires=Mon, 99-Foo-99999 99:99:99; max-age=99999999999999999999; a=..",
            b"Connection: \xe9",
            b"no colon",
        ]
    )
    | st.binary(max_size=30),
    max_size=3,
)


@settings(max_examples=300)
@given(st.sampled_from([b"200", b"206", b"302", b"99", b"-1", b"\xb2", b""]), fields, st.binary(max_size=200))
def test_any_bytes_of_a_server_are_a_file_or_one_of_two_errors(
    status: bytes, lines: list[bytes], body: bytes
) -> None:
    with wired() as wire:
        wire.will(*[[b"HTTP/1.1 " + status + b" Words\r\n" + b"\r\n".join([*lines, b"", b""]) + body]] * 5)
        try:
            data = fetch()
        except (DownloadError, ForbiddenOutputError) as refusal:
            held(str(refusal))
        else:
            assert len(data) <= MEGABYTE


LIES: dict[str, list[Step]] = {
    "longer than it says": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(WEBP) - 40), WEBP],
    "nothing": [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
}


@pytest.mark.parametrize("name", LIES)
def test_a_length_that_lies_leaves_no_picture(name: str) -> None:
    with wired() as wire:
        wire.will(LIES[name])
        assert isinstance(read(fetch()), NotAPicture)


def test_a_compressed_bomb_is_cut_at_the_largest_image() -> None:
    packed = zlib.compressobj(9, wbits=31)
    data = packed.compress(bytes(300 * MEGABYTE)) + packed.flush()
    with wired() as wire, memory() as peak:
        wire.will(answer(body=data, headers={"Content-Encoding": "gzip"}))
        with pytest.raises(ForbiddenOutputError, match="more than 1000000 bytes"):
            fetch()
    assert peak.bytes < 5 * MEGABYTE
