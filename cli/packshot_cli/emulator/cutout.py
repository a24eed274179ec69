"""Products cut out of their white background."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP")
# Distances below are in pixels of a photo this wide or high.
WORKING_SIDE = 800
# After the sweep was evened out to white: how bright, and how grey, a pixel of it is.
BACKGROUND_LEVEL = 238
SURELY_BACKGROUND_LEVEL = 250
BACKGROUND_CHROMA = 14
# A shadow on the sweep is darker and takes on some of the product's colour.
SHADOW_LEVEL = 110
SHADOW_CHROMA = 24
# An outline: the dark side of a contrast that blurring takes away. A shadow's edge is soft already.
FINE_BLUR, COARSE_BLUR = 0.8, 2.8
OUTLINE_CONTRAST = 1.6
OUTLINE_PIXELS = 40
# Where product and shadow are equally bright the outline has a gap. A shadow is entered by wider openings
# only, and by wider ones still when what came in has taken more of the photo than a shadow does.
GAPS = (8, 16, 32)
MOST_SHADOW = 0.5
# What is smaller than this share of the product is not a part of it when a shadow surrounds it.
CRUMB = 1 / 20
# Shadows are darkest, and lines in them sharpest, at the foot of the product: in this part of its height.
FOOT = 0.35
LINE_RADIUS = 3
CONTACT_LEVEL = 40
CONTACT_PIXELS = 24
# A piece of sweep seen through the product, as through a handle, is as white as the sweep, and not small.
HOLE_DEVIATION = 0.012
HOLE_RADIUS = 6
EDGE_PIXELS = 4
SOLID_ALPHA = 150
EVERY_NEIGHBOUR = np.ones((3, 3), np.bool_)


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
        with Image.open(io.BytesIO(photo), formats=PHOTO_FORMATS) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
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
    against_sweep = rgb / _sweep(rgb)
    rgb = np.asarray((against_sweep * 254).clip(0, 255), np.float32)
    level = rgb.min(axis=2)
    chroma = rgb.max(axis=2) - level
    outline = _outline(level)
    plain = (np.abs(against_sweep - 1).max(axis=2) < HOLE_DEVIATION) & ~outline
    holes = _opened(plain, HOLE_RADIUS)
    bright = (level > SURELY_BACKGROUND_LEVEL) | ((level > BACKGROUND_LEVEL) & ~outline)
    background = _reach(_border(level.shape) | holes, bright & (chroma < BACKGROUND_CHROMA))
    shadow = _shadow(background, (level > SHADOW_LEVEL) & (chroma < SHADOW_CHROMA), outline)
    shadow |= _under(shadow, level, chroma)
    edge = _near(shadow, EDGE_PIXELS) & ~shadow
    # In a shadow, and on the edge, a pixel is its own colour over white: take the white out of it.
    alpha = np.where(shadow, 1 - level / 255, np.where(edge, _share_of_product(level), 1.0))
    alpha = np.where(background, 0, alpha).astype(np.float32)
    share = np.maximum(alpha, 0.02)[..., None]
    own = np.where((alpha < 1)[..., None], (rgb - 255 * (1 - share)) / share, rgb)
    return np.dstack([own, alpha * 255]).astype(np.float32)


def _sweep(rgb: Array) -> Array:
    """The light on the white sweep, behind the product too: a curved plane fitted to the borders."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    level = rgb.min(axis=2)
    sweep = (np.maximum(np.abs(x), np.abs(y)) > 0.93) & (level > 165) & (rgb.max(axis=2) - level < 30)
    if sweep.sum() < 200:
        return np.full_like(rgb, 255)
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    weights = np.linalg.lstsq(terms[sweep], rgb[sweep], rcond=None)[0]
    return np.asarray((terms @ weights).clip(150, 255), np.float32)


def _outline(level: Array) -> Mask:
    """Lines along the edges of things, on the darker side; noise makes dots, which are left out."""
    contrast = ndimage.gaussian_filter(level, FINE_BLUR) - ndimage.gaussian_filter(level, COARSE_BLUR)
    return _pieces(contrast < -OUTLINE_CONTRAST, OUTLINE_PIXELS)


def _shadow(background: Mask, greyish: Mask, outline: Mask) -> Mask:
    """The background with the shadows on it; without them, when they cannot be told from the product."""
    grey = greyish & ~outline
    shadow = background
    for gap in GAPS:
        open_ground = _reach(background, background | _shrunk(grey | background, gap))
        entered = ndimage.binary_dilation(open_ground, iterations=gap, mask=grey | open_ground)
        if (entered & ~background).sum() < MOST_SHADOW * (~background).sum():
            shadow = np.asarray(entered)
            break
    crumb = CRUMB * _largest(~shadow)
    foot = _foot(~shadow)
    grey_crumbs = grey & ~shadow & ~_pieces(grey & ~shadow, crumb)
    shadow = shadow | _reach(_near(shadow, EDGE_PIXELS), grey_crumbs & foot)
    lines = greyish & foot & ~_opened(~shadow, LINE_RADIUS) & ~_near(background, EDGE_PIXELS)
    return ~_pieces(~(shadow | lines), crumb)


def _under(shadow: Mask, level: Array, chroma: Array) -> Mask:
    """The darkest of the shadow, too steep to tell from an outline: grey, with nothing coloured below it.

    Only under a coloured product: of a grey one it would take the foot.
    """
    coloured = (ndimage.gaussian_filter(chroma, LINE_RADIUS) > 2 * BACKGROUND_CHROMA) & ~shadow
    lowest = np.logical_or.accumulate(coloured[::-1], axis=0)[::-1]
    below = ~lowest & coloured.any(axis=0)
    dark = below & (level > CONTACT_LEVEL) & (chroma < BACKGROUND_CHROMA)
    wide = ndimage.binary_opening(dark, np.ones((1, CONTACT_PIXELS), np.bool_))
    return np.asarray(_reach(shadow, shadow | wide) & _near(shadow, CONTACT_PIXELS))


def _foot(product: Mask) -> Mask:
    rows = np.flatnonzero(product.any(axis=1))
    top, bottom = (rows[0], rows[-1]) if rows.size else (0, 0)
    return np.asarray(np.arange(product.shape[0])[:, None] > bottom - FOOT * (bottom - top))


def _share_of_product(level: Array) -> Array:
    """How much of an edge pixel is product: as far as it is from white, against the darkest pixel near it."""
    contrast = np.maximum(255 - ndimage.minimum_filter(level, 2 * EDGE_PIXELS + 1), 1)
    return np.asarray(np.clip((255 - level) / contrast, 0, 1), np.float32)


def _border(shape: tuple[int, ...]) -> Mask:
    border = np.ones(shape, np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _reach(seeds: Mask, passable: Mask) -> Mask:
    """What of `passable` hangs together with the seeds."""
    part, parts = ndimage.label(passable)
    reached = np.zeros(parts + 1, np.bool_)
    reached[part[seeds]] = True
    reached[0] = False
    return np.asarray(reached[part])


def _pieces(mask: Mask, pixels: float) -> Mask:
    """What of `mask` hangs together in pieces of so many pixels or more."""
    part, _ = ndimage.label(mask, EVERY_NEIGHBOUR)
    large = np.bincount(part.ravel()) >= pixels
    large[0] = False
    return np.asarray(large[part])


def _largest(mask: Mask) -> int:
    part, _ = ndimage.label(mask, EVERY_NEIGHBOUR)
    return int(np.bincount(part.ravel())[1:].max(initial=0))


def _near(mask: Mask, pixels: int) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(~mask) <= pixels)


def _shrunk(mask: Mask, pixels: int) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(mask) > pixels)


def _opened(mask: Mask, pixels: int) -> Mask:
    return _near(_shrunk(mask, pixels), pixels) & mask
