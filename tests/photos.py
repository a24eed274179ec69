"""Test photos, made in code."""

from __future__ import annotations

import io
import os

from PIL import Image, ImageDraw


def packshot(image_format: str = "JPEG", size: tuple[int, int] = (320, 240), colour: str = "navy") -> bytes:
    """A block of colour on white: a product photo as small as it gets. Another colour is another photo."""
    image = Image.new("RGB", size, "white")
    width, height = size
    ImageDraw.Draw(image).rectangle((width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill=colour)
    return encoded(image, image_format)


def noise(size: tuple[int, int]) -> bytes:
    """A PNG that does not compress: about three bytes a pixel."""
    width, height = size
    return encoded(Image.frombytes("RGB", size, os.urandom(width * height * 3)), "PNG")


def encoded(image: Image.Image, image_format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


def corrupt_png() -> bytes:
    """A PNG with one flipped byte in the middle of its data."""
    data = bytearray(noise((40, 40)))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)
