"""Sixty products that nobody sells: shapes of code, no two alike."""

from __future__ import annotations

import colorsys
import random

from PIL import Image, ImageDraw, ImageFont

from tests.photos import encoded

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
_SIZES = ((360, 300), (300, 360), (320, 320))


def product_photo(number: int, of: int, suffix: str, chance: random.Random) -> bytes:
    """A coloured thing on white that bears its number; its hue is its own among `of` photos."""
    width, height = chance.choice(_SIZES)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    inset = chance.uniform(0.2, 0.3)
    box = (width * inset, height * inset, width * (1 - inset), height * (1 - inset))
    red, green, blue = colorsys.hsv_to_rgb(number / of, 0.85, chance.uniform(0.5, 0.8))
    colour = (round(red * 255), round(green * 255), round(blue * 255))
    chance.choice((draw.rectangle, draw.ellipse))(box, fill=colour)
    middle = (width / 2, height / 2)
    draw.text(middle, str(number), fill="white", anchor="mm", font=ImageFont.load_default(size=height // 6))
    return encoded(image, FORMATS[suffix])
