"""A picture is known by its bytes: whole, or refused with a name for what it is, and no exception."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from packshot.pictures import NotAPicture, Picture, read_picture
from tests.unit.fakes import picture_bytes


def read(data: bytes) -> Picture | NotAPicture:
    return read_picture(io.BytesIO(data))


def several(file_format: str) -> bytes:
    """One file with three pictures in it."""
    frames = [Pillow.effect_noise((24, 16), 40).convert("RGB") for _ in range(3)]
    file = io.BytesIO()
    frames[0].save(file, file_format, save_all=True, append_images=frames[1:])
    return file.getvalue()


def with_exif() -> bytes:
    exif = Pillow.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = 6
    return picture_bytes("JPEG", exif=exif, progressive=True)


@cache
def whole() -> dict[str, bytes]:
    return {
        "jpeg": picture_bytes("JPEG"),
        "jpeg, grey": picture_bytes("JPEG", "L"),
        "jpeg, cmyk": picture_bytes("JPEG", "CMYK"),
        "jpeg, progressive, with exif": with_exif(),
        "jpeg, several (mpo)": several("MPO"),
        "png": picture_bytes("PNG"),
        "png, transparent": picture_bytes("PNG", "RGBA"),
        "png, palette": picture_bytes("PNG", "P"),
        "png, 16 bits": picture_bytes("PNG", "I;16"),
        "png, one bit": picture_bytes("PNG", "1"),
        "png, several": several("PNG"),
        "webp": picture_bytes("WEBP"),
        "webp, lossless and transparent": picture_bytes("WEBP", "RGBA", lossless=True),
        "webp, transparent, with exif": picture_bytes("WEBP", "RGBA", exif=Pillow.Exif()),
        "webp, several": several("WEBP"),
    }


@pytest.mark.parametrize("name", whole())
def test_a_whole_picture_is_accepted_with_its_size(name: str) -> None:
    image_format, _, _ = name.partition(",")
    assert read(whole()[name]) == Picture(image_format, 24, 16)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["jpeg", "jpeg, progressive, with exif", "png", "webp"])
def test_a_picture_that_is_cut_short_is_broken(name: str, share: float) -> None:
    data = whole()[name]
    assert read(data[: int(len(data) * share)]).__class__ is NotAPicture


# What each format is written with; a second picture makes an animation.
OPTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "JPEG": [
        ("RGB", {"quality": 90}),
        ("L", {"quality": 10, "progressive": True}),
        ("CMYK", {"optimize": True, "comment": "words"}),
    ],
    "PNG": [
        ("RGB", {}),
        ("RGBA", {"compress_level": 0}),
        ("P", {"optimize": True}),
        ("LA", {"dpi": (300, 300)}),
        ("I;16", {}),
        ("1", {"icc_profile": b"a profile"}),
    ],
    "WEBP": [
        ("RGB", {"quality": 80}),
        ("RGBA", {"quality": 30}),
        ("RGBA", {"lossless": True, "exact": True}),
        ("RGB", {"lossless": True, "icc_profile": b"a profile"}),
        ("RGBA", {"lossless": True, "xmp": b"<x/>"}),
    ],
}


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A picture as Pillow writes it: of noise, or of one colour, as large as a point or larger."""
    file_format = draw(st.sampled_from(sorted(OPTIONS)))
    mode, options = draw(st.sampled_from(OPTIONS[file_format]))
    sides = st.sampled_from([1, 2, 3, 8, 17, 255, 300]) | st.integers(1, 64)
    size = draw(st.tuples(sides, sides))
    picture = Pillow.effect_noise(size, draw(st.sampled_from([0, 90]))).convert(mode)
    if mode.endswith("A"):
        picture.putalpha(draw(st.integers(0, 255)))
    if draw(st.booleans()):
        exif = Pillow.Exif()
        exif[0x0112] = draw(st.integers(1, 8))
        options = {**options, "exif": exif}
    if file_format != "JPEG" and mode != "I;16" and draw(st.booleans()):
        options = {**options, "save_all": True, "append_images": [picture.rotate(180)], "duration": 40}
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


@given(written())
def test_a_picture_is_read_as_pillow_reads_it(data: bytes) -> None:
    with Pillow.open(io.BytesIO(data)) as opened:
        assert read(data) == Picture(opened.format.lower(), *opened.size)  # type: ignore[union-attr, arg-type]


@given(written(), st.data())
def test_any_picture_that_ends_too_early_is_broken(data: bytes, some: st.DataObject) -> None:
    share = some.draw(st.floats(0, 1, exclude_max=True))
    # What ends a JPEG may be missing: its decoder has all rows before.
    cut = data[: int(len(data) * share)] if data[:2] != b"\xff\xd8" else data[: len(data) // 3]
    assert isinstance(read(cut), NotAPicture)


@pytest.mark.parametrize("name", [name for name in whole() if name.startswith(("png", "webp"))])
def test_a_png_or_a_webp_is_broken_wherever_it_ends_too_early(name: str) -> None:
    data = whole()[name]
    assert {read(data[:end]).__class__ for end in range(len(data))} == {NotAPicture}


@pytest.mark.parametrize("name", [name for name in whole() if name.startswith("png")])
def test_every_changed_bit_of_a_png_is_noticed(name: str) -> None:
    data = bytearray(whole()[name])
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        assert isinstance(read(bytes(data)), NotAPicture), f"bit {bit}"
        data[bit // 8] ^= 1 << bit % 8


def test_a_damaged_png_is_broken() -> None:
    data = bytearray(whole()["png"])
    data[data.index(b"IDAT") + 100] ^= 1
    assert isinstance(verdict := read(bytes(data)), NotAPicture)
    assert verdict.code == "BrokenPicture"


def test_a_jpeg_of_header_alone_is_broken() -> None:
    data = whole()["jpeg"]
    assert isinstance(read(data[: data.index(b"\xff\xda") + 12]), NotAPicture)


def test_an_empty_file_is_called_empty() -> None:
    assert read(b"") == NotAPicture("EmptyFile", "the file is empty (0 bytes)")


def saved(file_format: str) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(file, file_format)
    return file.getvalue()


OTHERS = {
    "AVIF": b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1miaf",
    "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "a video": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42",
    "GIF": saved("GIF"),
    "TIFF": saved("TIFF"),
    "BMP": saved("BMP"),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "Photoshop": b"8BPS\x00\x01\x00\x00",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "ZIP": b"PK\x03\x04\x14\x00",
    "text": b"not a picture at all\n",
    "unknown": bytes(range(256)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_file_is_refused_by_its_name(name: str) -> None:
    verdict = read(OTHERS[name])
    assert isinstance(verdict, NotAPicture)
    assert verdict.code == "UnsupportedFormat"
    assert name in verdict.message
    assert "JPEG, PNG or WebP" in verdict.message


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is that large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(whole()["jpeg"])
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "bomb", [png_of(100_000, 100_000), png_of(10_000, 10_000), jpeg_of(65_500, 65_500)], ids=len
)
def test_a_picture_that_says_it_is_huge_is_not_decoded(bomb: bytes) -> None:
    verdict = read(bomb)
    assert isinstance(verdict, NotAPicture)
    assert verdict.code == "TooManyPixels"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_not(data: bytes) -> None:
    assert isinstance(read(data), Picture | NotAPicture)


damages = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["set", "cut", "drop", "insert"]),
        st.binary(max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, damage: list[tuple[float, str, bytes]]) -> bytes:
    for share, kind, new in damage:
        at = int(len(data) * share)
        match kind:
            case "set":
                data = data[:at] + new + data[at + len(new) :]
            case "cut":
                data = data[:at]
            case "drop":
                data = data[:at] + data[at + len(new) :]
            case "insert":
                data = data[:at] + new + data[at:]
    return data


@given(st.sampled_from(sorted(whole())), damages)
def test_any_damage_leaves_a_picture_or_not(name: str, damage: list[tuple[float, str, bytes]]) -> None:
    """And no warning either: warnings are errors here."""
    assert isinstance(read(damaged(whole()[name], damage)), Picture | NotAPicture)


def test_a_picture_with_damaged_metadata_is_a_picture() -> None:
    data = with_exif()
    start = data.index(b"Exif\0\0") + 14
    assert read(data[:start] + b"\xff" * 4 + data[start + 4 :]) == Picture("jpeg", 24, 16)
