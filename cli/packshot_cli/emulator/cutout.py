"""Products cut out of their white background."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORKING_SIDE = 960
# After the sweep was evened out to white: how bright, and how grey, a pixel of it is.
BACKGROUND_LEVEL = 238
BACKGROUND_CHROMA = 14
# A shadow on the sweep is darker and takes on some of the product's colour, but is as smooth.
SHADOW_LEVEL = 125
SHADOW_CHROMA = 20
SHADOW_STEP = 9.0
# A piece of sweep seen through the product, as through a handle, is exactly white and not small.
HOLE_LEVEL = 252
HOLE_SIDE = 13
EDGE_PIXELS = 4
# Where the product stands: how far up its foot reaches, and how wide a pale rim there may be.
FOOT_SHARE = 0.65
RIM_PIXELS = 9
RIM_LEVEL = 150
RIM_CHROMA = 14
SOLID_ALPHA = 150


class UnreadablePhotoError(ValueError):
    """The photo's bytes cannot be decoded."""


@dataclass(frozen=True)
class Cutout:
    """A product without its background (RGBA), where in it the product itself is, and the photo's size.

    What lies outside `solid` (left, top, right, bottom) is shadow.
    """

    product: Image.Image
    solid: tuple[int, int, int, int]
    photo_size: tuple[int, int]


def cut_out(photo: bytes) -> Cutout:
    """Key out what is white from the borders inward; white inside the product stays.

    Raises UnreadablePhotoError.
    """
    try:
        with Image.open(io.BytesIO(photo)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UnreadablePhotoError("the photo cannot be decoded") from error
    size = image.size
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.float32)
    keyed = pixels if pixels[..., 3].min() < 250 else _key(pixels[..., :3])
    product = Image.fromarray(keyed.clip(0, 255).astype(np.uint8), "RGBA")
    solid = product.getchannel("A").point(lambda alpha: 255 if alpha > SOLID_ALPHA else 0).getbbox()
    return Cutout(product, solid or (0, 0, *product.size), size)


def _key(rgb: Array) -> Array:
    """White turned into transparency, wherever it belongs to the background or to its shadows."""
    holes = _holes(rgb.min(axis=2))
    rgb = _evened(rgb)
    level = rgb.min(axis=2)
    chroma = rgb.max(axis=2) - level
    white = (level > BACKGROUND_LEVEL) & (chroma < BACKGROUND_CHROMA)
    background = _reach(_border(level.shape) | holes, white)
    shadow = _reach(background, background | _shadow(level, chroma))
    shadow |= _rim(shadow, level, chroma)
    edge = _grow(shadow, EDGE_PIXELS) & ~shadow
    # In a shadow, and on the edge, a pixel is its own colour over white: take the white out of it.
    alpha = np.where(shadow, 1 - level / 255, np.where(edge, _share_of_product(level), 1.0)).astype(
        np.float32
    )
    alpha = np.where(background, 0, alpha)
    share = np.maximum(alpha, 0.02)[..., None]
    own = np.where((alpha < 1)[..., None], (rgb - 255 * (1 - share)) / share, rgb)
    return np.dstack([own, alpha * 255]).astype(np.float32)


def _evened(rgb: Array) -> Array:
    """The photo as if its sweep were pure white all over: a plane of light is fitted to its borders."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    level, chroma = rgb.min(axis=2), np.ptp(rgb, axis=2)
    sweep = (np.maximum(np.abs(x), np.abs(y)) > 0.93) & (level > 165) & (chroma < 30)
    if sweep.sum() < 200:
        return rgb
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    light = np.empty_like(rgb)
    for band in range(3):
        weights = np.linalg.lstsq(terms[sweep], rgb[..., band][sweep], rcond=None)[0]
        light[..., band] = terms @ weights
    return np.asarray((rgb * 254 / light.clip(150, 255)).clip(0, 255), np.float32)


def _share_of_product(level: Array) -> Array:
    """How much of an edge pixel is product: as far as it is from white, against the darkest pixel near it."""
    darkest = Image.fromarray(level.astype(np.uint8)).filter(ImageFilter.MinFilter(2 * EDGE_PIXELS + 1))
    contrast = np.maximum(255 - np.asarray(darkest, np.float32), 1)
    return np.asarray(np.clip((255 - level) / contrast, 0, 1), np.float32)


def _holes(level: Array) -> Mask:
    return ~_grow(level < HOLE_LEVEL, HOLE_SIDE // 2)


def _shadow(level: Array, chroma: Array) -> Mask:
    calm = np.asarray(
        Image.fromarray(level.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.6)), np.float32
    )
    down = np.abs(np.diff(calm, axis=0, prepend=calm[:1]))
    across = np.abs(np.diff(calm, axis=1, prepend=calm[:, :1]))
    smooth = np.maximum(down, across) < SHADOW_STEP
    return np.asarray(smooth & (level > SHADOW_LEVEL) & (chroma < SHADOW_CHROMA))


def _rim(shadow: Mask, level: Array, chroma: Array) -> Mask:
    """The pale line between a shadow and the foot of the product, too steep to count as smooth."""
    rows = np.flatnonzero((~shadow).any(axis=1))
    if rows.size == 0:
        return shadow
    foot = np.arange(level.shape[0])[:, None] > rows[0] + FOOT_SHARE * (rows[-1] - rows[0])
    return np.asarray(_grow(shadow, RIM_PIXELS) & (level > RIM_LEVEL) & (chroma < RIM_CHROMA) & foot)


def _border(shape: tuple[int, ...]) -> Mask:
    border = np.ones(shape[:2], np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _reach(seeds: Mask, passable: Mask) -> Mask:
    """What of `passable` hangs together with the seeds: whole runs at a time, by rows and columns in turn."""
    reached = seeds & passable
    while True:
        grown = _along_rows(_along_rows(reached, passable).T, passable.T).T
        if grown.sum() == reached.sum():
            return grown
        reached = grown


def _along_rows(reached: Mask, passable: Mask) -> Mask:
    walls = ~passable
    walls[:, 0] |= True
    run = np.cumsum(walls).reshape(walls.shape)
    touched = np.zeros(int(run[-1, -1]) + 1, np.bool_)
    touched[run[reached]] = True
    return np.asarray(passable & touched[run] | reached)


def _grow(mask: Mask, pixels: int) -> Mask:
    # A blur is quicker than a filter that takes the maximum, and leaves nothing at zero within its reach.
    image = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(pixels))
    return np.asarray(image) > 0
