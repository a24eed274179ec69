"""Pictures for the emulator: the real product, cut out, in a painted scene. Deterministic in the seed."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, UnidentifiedImageError

from packshot_cli.emulator.backdrops import Light, paint_backdrop
from packshot_cli.emulator.cutout import SOLID_ALPHA, Cutout, UnreadablePhotoError, cut_out

__all__ = ["UnreadablePhotoError", "paint", "paint_plain"]

PIXELS = 1024 * 1024
SIDE_STEP = 8
LONGEST_RATIO = 4
# Where the product stands, and the most it fills of the picture.
FOOT = 0.86
WIDEST, TALLEST = 0.76, 0.64

Array = NDArray[np.float32]


def paint(
    photo: bytes | None, *, prompt: str, aspect_ratio: str, image_format: str, quality: int, seed: int
) -> bytes:
    """A picture of about one megapixel in the format asked for; without a photo, the scene alone.

    `aspect_ratio` is one of the model's; `image_format` is jpeg, png or webp. Raises UnreadablePhotoError.
    """
    cutout = cut_out(photo) if photo is not None else None
    size = picture_size(aspect_ratio, cutout.photo_size if cutout else (1, 1))
    random = np.random.default_rng(_entropy(prompt, seed))
    backdrop, light = paint_backdrop(prompt, size, random)
    picture = Image.fromarray(backdrop.clip(0, 255).astype(np.uint8), "RGB")
    if cutout is not None:
        picture = _place(picture, light, cutout)
    _caption(picture, f"emulated · seed {seed}")
    file = io.BytesIO()
    picture.save(file, image_format, quality=quality)
    return file.getvalue()


def paint_plain(
    photo: bytes | None, *, image_format: str, quality: int, seed: int, **_parameters: str
) -> bytes:
    """A picture of the photo's size, or of 48 x 32 pixels, in one colour that the seed decides.

    It takes hardly any time, for whoever measures something else. Raises UnreadablePhotoError.
    """
    size = (48, 32)
    if photo is not None:
        try:
            with Image.open(io.BytesIO(photo)) as opened:
                size = opened.size
        except UnidentifiedImageError:
            raise UnreadablePhotoError("Failed to decode image_1") from None
    picture = io.BytesIO()
    Image.new("RGB", size, (seed % 251, seed % 241, seed % 239)).save(picture, image_format, quality=quality)
    return picture.getvalue()


def picture_size(aspect_ratio: str, photo_size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of about one megapixel, both multiples of 8; never longer than 4 to 1."""
    wide, high = photo_size if aspect_ratio == "match_input_image" else map(int, aspect_ratio.split(":"))
    ratio = min(max(wide / high, 1 / LONGEST_RATIO), LONGEST_RATIO)
    height = (PIXELS / ratio) ** 0.5
    return _rounded(height * ratio), _rounded(height)


def _rounded(side: float) -> int:
    return round(side / SIDE_STEP) * SIDE_STEP


def _entropy(prompt: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()[:8], "big")


def _place(picture: Image.Image, light: Light, cutout: Cutout) -> Image.Image:
    """Stand the product on the ground, in its shadow and in the scene's light."""
    width, height = picture.size
    left, top, right, bottom = cutout.solid
    scale = min(WIDEST * width / (right - left), TALLEST * height / (bottom - top))
    whole = cutout.product
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    product = _lit(whole.resize(size, Image.Resampling.LANCZOS), light)
    corner = (round(width / 2 - (left + right) / 2 * scale), round(height * FOOT - bottom * scale))
    solid = product.getchannel("A").point(lambda alpha: 255 if alpha > SOLID_ALPHA else 0)
    shadow = _shadow(picture.size, solid.crop(solid.getbbox()), round(height * FOOT), light)
    darkness = np.asarray(shadow, np.float32)[..., None] / 255
    pixels = np.asarray(picture, np.float32) * (1 - darkness * np.asarray((0.92, 0.95, 0.98), np.float32))
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")
    picture.paste(product, corner, product)
    return picture


def _lit(product: Image.Image, light: Light) -> Image.Image:
    """The product takes on half of the light's colour, and is a little brighter on the light's side."""
    pixels = np.asarray(product, np.float32)
    tint = 1 + (np.asarray(light.tint, np.float32) - 1) * 0.55
    across = np.linspace(-0.5, 0.5, product.width, dtype=np.float32)[None, :, None]
    lit = pixels[..., :3] * tint * (1 + 0.07 * across * light.side)
    return Image.fromarray(np.dstack([lit, pixels[..., 3:]]).clip(0, 255).astype(np.uint8), "RGBA")


def _shadow(size: tuple[int, int], solid: Image.Image, foot: int, light: Light) -> Image.Image:
    """How dark the ground gets: tight under the product, long and soft away from the light."""
    width = solid.width
    left = (size[0] - width) // 2
    cast = Image.new("L", size, 0)
    fallen = solid.resize((width, max(1, solid.height // 6)))
    lean = -light.side * 0.8
    fallen = fallen.transform(
        (width * 2, fallen.height),
        Image.Transform.AFFINE,
        (1, lean, -width / 2 - lean * fallen.height, 0, 1, 0),
    )
    cast.paste(fallen.point(lambda value: value * 84 // 255), (left - width // 2, foot - fallen.height + 6))
    cast = cast.filter(ImageFilter.GaussianBlur(size[0] / 50))
    contact = Image.new("L", size, 0)
    flat = solid.crop((0, solid.height * 9 // 10, width, solid.height)).resize((width, max(2, size[1] // 60)))
    contact.paste(flat.point(lambda value: value * 190 // 255), (left, foot - flat.height * 2 // 3))
    contact = contact.filter(ImageFilter.GaussianBlur(size[0] / 130))
    both = np.maximum(np.asarray(cast, np.float32), np.asarray(contact, np.float32))
    return Image.fromarray(both.astype(np.uint8), "L")


def _caption(picture: Image.Image, text: str) -> None:
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(13, picture.height // 64))
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font=font)
    margin = picture.height // 60
    x, y = picture.width - (x1 - x0) - 2 * margin, picture.height - (y1 - y0) - 2 * margin
    box = (x - margin * 0.6, y - margin * 0.5, x + x1 - x0 + margin * 0.6, y + y1 - y0 + margin * 0.5)
    draw.rounded_rectangle(box, margin * 0.6, fill=(0, 0, 0, 90))
    draw.text((x - x0, y - y0), text, font=font, fill=(255, 255, 255, 225))
