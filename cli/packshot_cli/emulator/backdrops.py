"""Painted scenes: which one a prompt's words ask for, and how each is painted. All is decided by the seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]
Colour = tuple[float, float, float]
Choice = TypeVar("Choice")
Random = np.random.Generator


@dataclass(frozen=True)
class Light:
    """The colour that light takes (1 is neutral) and the side it comes from: -1 is left, 1 is right."""

    tint: Colour
    side: int


def paint_backdrop(prompt: str, size: tuple[int, int], random: Random) -> tuple[Array, Light]:
    """The scene that the prompt asks for, as floats 0..255 (height, width, 3), and the light in it."""
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    painter = next((paint for names, paint in SCENES if words & names), _studio)
    tint = next((tint for names, tint in LIGHTS if words & names), (1.0, 1.0, 1.0))
    light = Light(tint, int(random.choice([-1, 1])))
    backdrop = painter(size, random, light)
    lit = backdrop * np.asarray(tint, np.float32) * _falloff(size, light)[..., None]
    return _grain(lit, random), light


LIGHTS: list[tuple[set[str], Colour]] = [
    ({"night", "evening", "moonlight", "midnight"}, (0.48, 0.54, 0.72)),
    ({"sunset", "golden", "dusk"}, (1.05, 0.88, 0.72)),
    ({"sunrise", "dawn", "morning", "warm", "cozy", "cosy", "candlelight"}, (1.03, 0.97, 0.9)),
    ({"cool", "cold", "winter", "nordic"}, (0.94, 0.98, 1.04)),
]


# -- Rooms -------------------------------------------------------------------------------------


def _living_room(size: tuple[int, int], random: Random, light: Light) -> Array:
    wall = _pick(
        random, [(226, 219, 208), (208, 215, 209), (219, 211, 214), (204, 211, 220), (232, 226, 214)]
    )
    horizon = float(random.uniform(0.60, 0.66))
    canvas = _wall(size, wall, random)
    layer, draw = _layer(size)
    width, height = size
    window = width * (0.08 if light.side < 0 else 0.66)
    _window(draw, window, height * 0.06, width * 0.26, height * 0.42)
    frame = width * (0.62 if light.side < 0 else 0.10)
    _frame(draw, frame, height * 0.13, width * 0.15, height * 0.2, random)
    _plant(draw, width * (0.93 if light.side < 0 else 0.05), height * (horizon + 0.06), height * 0.36, random)
    canvas = _over(canvas, layer, blur=width / 170)
    return _grounded(canvas, _planks(size, horizon, (176, 137, 100), random), horizon)


def _kitchen(size: tuple[int, int], random: Random, _light: Light) -> Array:
    tile = _pick(random, [(228, 230, 226), (205, 218, 212), (216, 222, 232)])
    canvas = _tiles(size, tile, size[0] / 9, random)
    layer, draw = _layer(size)
    width, height = size
    shelf = height * 0.24
    draw.rectangle((width * 0.04, shelf, width * 0.96, shelf + height * 0.022), fill=(150, 112, 78, 255))
    for spot in np.linspace(0.12, 0.86, 6):
        tall, wide = height * random.uniform(0.06, 0.13), width * random.uniform(0.035, 0.06)
        jar = _pick(random, [(196, 92, 66), (222, 206, 180), (94, 116, 108), (236, 232, 224), (70, 78, 88)])
        x = width * (spot + random.uniform(-0.02, 0.02))
        draw.rounded_rectangle((x, shelf - tall, x + wide, shelf), wide * 0.25, fill=_solid(jar))
    canvas = _over(canvas, layer, blur=width / 120)
    return _grounded(canvas, _planks(size, 0.6, (194, 152, 108), random, across=True), 0.6)


def _bathroom(size: tuple[int, int], random: Random, light: Light) -> Array:
    canvas = _tiles(
        size, _pick(random, [(206, 224, 224), (222, 226, 232), (212, 222, 210)]), size[0] / 7, random
    )
    layer, draw = _layer(size)
    width, height = size
    x = width * (0.68 if light.side < 0 else 0.12)
    draw.ellipse(
        (x, height * 0.08, x + width * 0.24, height * 0.08 + width * 0.24), fill=(240, 246, 248, 255)
    )
    _plant(draw, width * (0.08 if light.side < 0 else 0.9), height * 0.62, height * 0.3, random)
    canvas = _over(canvas, layer, blur=width / 120)
    return _grounded(canvas, _marble(size, (236, 236, 234), random), 0.62)


def _bedroom(size: tuple[int, int], random: Random, light: Light) -> Array:
    horizon = 0.64
    canvas = _wall(size, _pick(random, [(206, 196, 190), (190, 200, 206), (212, 202, 186)]), random)
    layer, draw = _layer(size)
    width, height = size
    draw.rounded_rectangle(
        (width * 0.16, height * 0.3, width * 0.84, height * 0.62), 40, fill=(158, 142, 130, 255)
    )
    for x in (0.22, 0.54):
        box = (width * x, height * 0.42, width * (x + 0.24), height * 0.6)
        draw.rounded_rectangle(box, 46, fill=(240, 236, 230, 255))
    _lamp(draw, width * (0.08 if light.side < 0 else 0.92), height * horizon, height * 0.3)
    canvas = _over(canvas, layer, blur=width / 80)
    return _grounded(canvas, _planks(size, horizon, (164, 130, 100), random), horizon)


def _office(size: tuple[int, int], random: Random, light: Light) -> Array:
    canvas = _wall(size, _pick(random, [(212, 216, 220), (196, 206, 206), (222, 218, 212)]), random)
    layer, draw = _layer(size)
    width, height = size
    _window(draw, width * (0.06 if light.side < 0 else 0.6), height * 0.05, width * 0.34, height * 0.4)
    x = width * (0.64 if light.side < 0 else 0.06)
    for row in (0.2, 0.38):
        draw.rectangle((x, height * row, x + width * 0.3, height * (row + 0.015)), fill=(120, 104, 92, 255))
        left = x + 8
        while left < x + width * 0.27:
            wide, tall = width * random.uniform(0.012, 0.028), height * random.uniform(0.08, 0.13)
            book = _pick(
                random, [(176, 82, 70), (64, 92, 110), (212, 178, 112), (232, 228, 220), (88, 108, 84)]
            )
            draw.rectangle((left, height * row - tall, left + wide, height * row), fill=_solid(book))
            left += wide + 2
    canvas = _over(canvas, layer, blur=width / 110)
    return _grounded(canvas, _planks(size, 0.6, (156, 114, 78), random, across=True), 0.6)


# -- Outside -----------------------------------------------------------------------------------


def _beach(size: tuple[int, int], random: Random, light: Light) -> Array:
    horizon, shore = 0.4, 0.55
    top, low = _pick(random, [((92, 162, 214), (206, 228, 238)), ((120, 180, 220), (240, 226, 208))])
    canvas = _gradient(size, [(0, top), (horizon, low), (1, low)])
    rows = _rows(size)
    deep, shallow = (46, 128, 158), (126, 198, 200)
    sea = _gradient(size, [(0, deep), (horizon, deep), (shore, shallow), (1, shallow)])
    sea = sea + _noise(size, random, 3, stretch=14)[..., None] * 9
    canvas = np.where((rows > horizon)[..., None], sea, canvas)
    edge = shore + _wave(size, random) * 0.012
    foam = np.exp(-(((rows - edge) / 0.008) ** 2))[..., None]
    sand = _gradient(size, [(0, (214, 190, 150)), (shore, (200, 176, 138)), (1, (232, 210, 172))])
    sand = sand + _noise(size, random, 2)[..., None] * 6 + _noise(size, random, 60, stretch=3)[..., None] * 7
    canvas = np.where((rows > edge)[..., None], sand, canvas)
    canvas = canvas * (1 - foam) + 248 * foam
    layer, draw = _layer(size)
    width, height = size
    x = width * (0.2 if light.side < 0 else 0.8)
    draw.ellipse((x - 46, height * 0.1 - 46, x + 46, height * 0.1 + 46), fill=(255, 248, 226, 235))
    return _over(_soften(canvas, width / 400), layer, blur=width / 60)


def _forest(size: tuple[int, int], random: Random, _light: Light) -> Array:
    horizon = 0.56
    canvas = _gradient(size, [(0, (150, 180, 128)), (horizon, (206, 216, 160)), (1, (96, 116, 66))])
    width, height = size
    for depth in range(3):
        layer, draw = _layer(size)
        shade = 118 - 34 * depth
        for _ in range(9 - 2 * depth):
            x, wide = random.uniform(0, width), width * random.uniform(0.012, 0.02) * (1 + depth)
            bark = (shade, shade - 16, shade - 44, 255)
            draw.rectangle((x, 0, x + wide, height * (horizon + 0.03 * depth)), fill=bark)
        for _ in range(60):
            x, y = random.uniform(0, width), random.uniform(-0.1, 0.36) * height
            r = width * random.uniform(0.02, 0.07)
            green = int(random.uniform(96, 176)) - 22 * depth
            draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=(int(green * 0.72), green, int(green * 0.42), 130)
            )
        canvas = _over(canvas, layer, blur=width / (42 + 30 * depth))
    canvas = _bokeh(canvas, random, (244, 250, 200), 0.5)
    ground = _gradient(size, [(0, (112, 128, 66)), (horizon, (112, 128, 66)), (1, (70, 88, 42))])
    ground = (
        ground + _noise(size, random, 5)[..., None] * 15 + _noise(size, random, 40, stretch=3)[..., None] * 20
    )
    return _grounded(canvas, ground, horizon)


def _city(size: tuple[int, int], random: Random, _light: Light) -> Array:
    horizon = 0.6
    canvas = _gradient(size, [(0, (172, 192, 214)), (horizon, (232, 222, 212)), (1, (150, 150, 152))])
    width, height = size
    for depth in range(3):
        (layer, draw), x = _layer(size), -30.0
        while x < width:
            wide = width * random.uniform(0.07, 0.16)
            top = height * (random.uniform(0.05, 0.3) + 0.08 * depth)
            shade = int(184 - 36 * depth + random.uniform(-10, 10))
            draw.rectangle((x, top, x + wide, height * horizon), fill=(shade, shade - 4, shade + 6, 255))
            for floor in np.arange(top + 14, height * horizon - 12, 26):
                for room in np.arange(x + 10, x + wide - 14, 24):
                    if random.random() < 0.4:
                        draw.rectangle((room, floor, room + 10, floor + 14), fill=(255, 234, 190, 190))
            x += wide + width * 0.01
        canvas = _over(canvas, layer, blur=width / (60 + 20 * depth))
    canvas = _bokeh(canvas, random, (255, 226, 176), 0.6)
    ground = _gradient(size, [(0, (146, 144, 142)), (horizon, (140, 138, 136)), (1, (172, 168, 164))])
    return _grounded(canvas, ground + _noise(size, random, 3)[..., None] * 7, horizon)


def _mountains(size: tuple[int, int], random: Random, _light: Light) -> Array:
    horizon = 0.6
    canvas = _gradient(size, [(0, (118, 168, 216)), (horizon, (226, 236, 244)), (1, (226, 236, 244))])
    for depth in range(4):
        line = 0.24 + 0.09 * depth + _ridge(size[0], random) * (0.13 - 0.02 * depth)
        shade = np.asarray((166 - 22 * depth, 186 - 20 * depth, 208 - 18 * depth), np.float32)
        below = _rows(size) - line[None, :]
        snow = np.clip(1 - below / 0.06, 0, 1)[..., None] * (0.8 if depth < 3 else 0.3)
        canvas = np.where((below > 0)[..., None], shade * (1 - snow) + 248 * snow, canvas)
    canvas = _soften(np.asarray(canvas, np.float32), size[0] / 300)
    ground = _gradient(size, [(0, (224, 230, 238)), (horizon, (220, 228, 238)), (1, (246, 248, 250))])
    return _grounded(canvas, ground + _noise(size, random, 30, stretch=3)[..., None] * 7, horizon)


# -- Tables and studios ------------------------------------------------------------------------


def _marble_table(size: tuple[int, int], random: Random, _light: Light) -> Array:
    wall = _pick(random, [(214, 208, 202), (196, 204, 206), (72, 76, 82), (206, 196, 190)])
    canvas = _bokeh(_wall(size, wall, random), random, (255, 250, 240), 0.16)
    stone = _pick(random, [(240, 239, 237), (232, 230, 226), (96, 100, 104)])
    return _grounded(canvas, _marble(size, stone, random), 0.6)


def _wooden_table(size: tuple[int, int], random: Random, _light: Light) -> Array:
    wall = _pick(random, [(196, 186, 172), (150, 158, 150), (178, 170, 166), (122, 116, 112)])
    canvas = _bokeh(_wall(size, wall, random), random, (255, 240, 214), 0.4)
    wood = _pick(random, [(170, 124, 82), (196, 156, 112), (128, 90, 62)])
    return _grounded(canvas, _planks(size, 0.58, wood, random, across=True), 0.58)


def _studio(size: tuple[int, int], random: Random, light: Light) -> Array:
    tones = [
        (222, 206, 192),
        (200, 212, 214),
        (214, 200, 208),
        (206, 212, 196),
        (226, 218, 206),
        (196, 204, 220),
    ]
    tone = _pick(random, tones)
    canvas = _gradient(size, [(0, _shaded(tone, 0.86)), (0.5, tone), (0.64, _shaded(tone, 1.07)), (1, tone)])
    rows, columns = _rows(size), _columns(size)
    centre = 0.5 + 0.22 * light.side
    glow = np.exp(-(((columns - centre) / 0.4) ** 2 + ((rows - 0.3) / 0.4) ** 2))[..., None]
    return np.asarray(canvas + glow * 20, np.float32)


Painter = Callable[[tuple[int, int], Random, Light], Array]
SCENES: list[tuple[set[str], Painter]] = [
    ({"kitchen", "breakfast", "cooking"}, _kitchen),
    ({"bathroom", "spa", "bath", "vanity"}, _bathroom),
    ({"bedroom", "bed", "nightstand"}, _bedroom),
    ({"office", "desk", "workspace", "library", "study"}, _office),
    ({"beach", "sea", "ocean", "coast", "seaside", "sand"}, _beach),
    ({"forest", "garden", "woods", "moss", "mossy", "jungle", "park", "meadow", "grass"}, _forest),
    ({"city", "street", "urban", "town", "skyline", "pavement"}, _city),
    ({"mountain", "mountains", "snow", "snowy", "alps", "alpine"}, _mountains),
    ({"marble", "stone", "granite"}, _marble_table),
    ({"living", "lounge", "room", "interior", "loft", "apartment", "home", "hallway"}, _living_room),
    ({"wood", "wooden", "table", "oak", "walnut", "rustic", "cafe", "shelf", "counter"}, _wooden_table),
]


# -- Brushes -----------------------------------------------------------------------------------


def _pick(random: Random, choices: Sequence[Choice]) -> Choice:
    return choices[int(random.integers(len(choices)))]


def _solid(colour: Colour) -> tuple[int, int, int, int]:
    return (int(colour[0]), int(colour[1]), int(colour[2]), 255)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(252.0, part * factor) for part in colour)
    return (red, green, blue)


def _rows(size: tuple[int, int]) -> Array:
    return np.broadcast_to(np.linspace(0, 1, size[1], dtype=np.float32)[:, None], (size[1], size[0]))


def _columns(size: tuple[int, int]) -> Array:
    return np.broadcast_to(np.linspace(0, 1, size[0], dtype=np.float32)[None, :], (size[1], size[0]))


def _gradient(size: tuple[int, int], stops: list[tuple[float, Colour]]) -> Array:
    rows = np.linspace(0, 1, size[1])
    at = [stop for stop, _ in stops]
    bands = [np.interp(rows, at, [colour[band] for _, colour in stops]) for band in range(3)]
    return np.repeat(np.stack(bands, axis=1)[:, None, :], size[0], axis=1).astype(np.float32)


def _noise(size: tuple[int, int], random: Random, grain: float, stretch: float = 1) -> Array:
    """Smooth noise, about -1..1: dots of `grain` pixels, `stretch` times as wide as high."""
    small = (max(2, int(size[0] / grain / stretch)), max(2, int(size[1] / grain)))
    dots = random.normal(0, 0.5, (small[1], small[0])).astype(np.float32)
    return np.asarray(Image.fromarray(dots).resize(size, Image.Resampling.BICUBIC), np.float32)


def _wave(size: tuple[int, int], random: Random) -> Array:
    x = np.linspace(0, 2 * np.pi, size[0], dtype=np.float32)
    phases = random.uniform(0, 6, 3)
    waves = [np.sin(x * k + phase) / k for k, phase in zip((1, 2.3, 5.1), phases, strict=True)]
    return np.asarray(sum(waves), np.float32)[None, :]


def _ridge(width: int, random: Random) -> Array:
    points = random.uniform(-1, 1, 9)
    coarse = np.interp(np.linspace(0, 8, width), np.arange(9), points)
    fine = np.interp(np.linspace(0, 40, width), np.arange(41), random.uniform(-0.25, 0.25, 41))
    return np.asarray(coarse + fine, np.float32)


def _wall(size: tuple[int, int], colour: Colour, random: Random) -> Array:
    return (
        _gradient(size, [(0, colour), (0.6, _shaded(colour, 1.04)), (1, colour)])
        + _noise(size, random, 90)[..., None] * 2.5
    )


def _tiles(size: tuple[int, int], colour: Colour, side: float, random: Random) -> Array:
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    row = np.floor(y / (side / 2))
    x = x + (row % 2) * side / 2
    high = side / 2
    joint = (np.minimum(x % side, side - x % side) < 2) | (np.minimum(y % high, high - y % high) < 1.6)
    shade = random.normal(1, 0.014, 4096).astype(np.float32)
    tile = shade[((np.floor(x / side) * 131 + row * 71) % 4096).astype(int)]
    tiles = np.asarray(colour, np.float32) * tile[..., None]
    return _soften(np.where(joint[..., None], tiles * 0.88, tiles).astype(np.float32), width / 400)


def _planks(
    size: tuple[int, int], horizon: float, colour: Colour, random: Random, *, across: bool = False
) -> Array:
    """Boards in perspective: toward the viewer on a floor, across on a table top."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = np.maximum((y / height - horizon) / (1 - horizon), 0.0) + 0.34
    away = 1 / depth
    side = (x / width - 0.5) * away
    board, along = (away * 2.1, side * 1.2) if across else (side * 6.5, away * 2.2)
    index = np.floor(board)
    shades = random.normal(1, 0.05, 256).astype(np.float32)
    shift = random.uniform(0, 9, 256).astype(np.float32)
    number = index.astype(int) % 256
    texture = _noise((1024, 512), random, 2, stretch=26) + 0.7 * _noise((1024, 512), random, 9, stretch=14)
    u = (along * 210 + shift[number] * 97).astype(int) % 1024
    v = ((board - index) * 60 + number * 37).astype(int) % 512
    grain = texture[v, u]
    gap = np.minimum(board - index, 1 - board + index) < 0.012 * away
    wood = np.asarray(colour, np.float32) * (shades[number] * (1 + 0.06 * grain))[..., None]
    return np.asarray(np.where(gap[..., None], wood * 0.72, wood), np.float32)


def _marble(size: tuple[int, int], colour: Colour, random: Random) -> Array:
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    away = 1 / (np.maximum(y / size[1] - 0.5, 0) * 1.4 + 0.5)
    octaves = ((260, 3.4), (110, 1.7), (46, 0.8), (16, 0.3))
    turbulence = sum(_noise(size, random, grain) * weight for grain, weight in octaves)
    angle = random.uniform(-0.6, 0.6)
    phase = (x * np.cos(angle) + y * away * 1.6 * np.sin(angle + 0.9)) / size[0] * 9 + turbulence
    vein = np.exp(-np.abs(np.sin(phase)) * 9) * 0.16 + np.exp(-np.abs(np.sin(phase * 0.5 + 1)) * 30) * 0.2
    cloud = _noise(size, random, 120) * 0.012
    return np.asarray(np.asarray(colour, np.float32) * (1 - vein + cloud)[..., None], np.float32)


def _layer(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    return layer, ImageDraw.Draw(layer, "RGBA")


def _over(canvas: Array, layer: Image.Image, blur: float) -> Array:
    """Lay a drawing over the canvas, out of focus."""
    drawn = np.asarray(layer, np.float32)
    premultiplied = np.dstack([drawn[..., :3] * drawn[..., 3:] / 255, drawn[..., 3]])
    soft = np.dstack([_blur(premultiplied[..., band], blur) for band in range(4)])
    return np.asarray(canvas * (1 - soft[..., 3:] / 255) + soft[..., :3], np.float32)


def _blur(band: Array, radius: float) -> Array:
    image = Image.fromarray(band.clip(0, 255).astype(np.uint8), "L").filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32)


def _soften(canvas: Array, radius: float) -> Array:
    return np.dstack([_blur(canvas[..., band], radius) for band in range(3)])


def _bokeh(canvas: Array, random: Random, colour: Colour, strength: float) -> Array:
    height, width = canvas.shape[:2]
    layer, draw = _layer((width, height))
    for _ in range(26):
        x, y, r = (
            random.uniform(0, width),
            random.uniform(0, height * 0.5),
            width * random.uniform(0.012, 0.045),
        )
        alpha = int(255 * strength * random.uniform(0.2, 0.8))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*_solid(colour)[:3], alpha))
    return _over(canvas, layer, blur=width / 220)


def _window(draw: ImageDraw.ImageDraw, x: float, y: float, width: float, height: float) -> None:
    draw.rectangle((x - 9, y - 9, x + width + 9, y + height + 9), fill=(250, 248, 244, 255))
    for band in range(40):
        top = y + height * band / 40
        colour = (int(212 + band * 0.8), int(232 + band * 0.4), 250 - band // 3, 255)
        draw.rectangle((x, top, x + width, top + height / 40 + 1), fill=colour)
    draw.rectangle((x + width / 2 - 5, y, x + width / 2 + 5, y + height), fill=(250, 248, 244, 255))
    draw.rectangle((x, y + height * 0.45 - 4, x + width, y + height * 0.45 + 4), fill=(250, 248, 244, 255))


def _frame(
    draw: ImageDraw.ImageDraw, x: float, y: float, width: float, height: float, random: Random
) -> None:
    draw.rectangle((x, y, x + width, y + height), fill=(88, 70, 56, 255))
    draw.rectangle((x + 8, y + 8, x + width - 8, y + height - 8), fill=(244, 240, 232, 255))
    art = _pick(random, [(188, 108, 82), (92, 122, 134), (206, 168, 96), (112, 132, 106)])
    inset = width * 0.22
    draw.ellipse(
        (x + inset, y + inset * 1.2, x + width - inset, y + width + inset * 0.2 - inset), fill=_solid(art)
    )


def _plant(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float, random: Random) -> None:
    pot = height * 0.16
    draw.rounded_rectangle((x - pot, foot - pot * 1.7, x + pot, foot), pot * 0.3, fill=(214, 202, 186, 255))
    for _ in range(22):
        angle, reach = random.uniform(-1.1, 1.1), height * random.uniform(0.45, 0.85)
        tip = (x + np.sin(angle) * reach * 0.7, foot - pot * 1.6 - np.cos(angle) * reach)
        green = int(random.uniform(86, 138))
        leaf = (int(green * 0.6), green, int(green * 0.62), 235)
        draw.line((x, foot - pot * 1.6, *tip), fill=leaf, width=int(height / 26))


def _lamp(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float) -> None:
    draw.rectangle((x - 4, foot - height * 0.6, x + 4, foot), fill=(90, 78, 68, 255))
    top = foot - height
    shade = [(x - 40, top), (x + 40, top), (x + 64, top + 96), (x - 64, top + 96)]
    draw.polygon(shade, fill=(255, 240, 206, 255))


def _grounded(canvas: Array, ground: Array, horizon: float) -> Array:
    """The ground laid below the horizon, its far edge in the shade of what stands behind it."""
    height, width = canvas.shape[:2]
    rows = _rows((width, height))
    share = np.clip((rows - horizon) * height / 3 + 0.5, 0, 1)[..., None]
    shade = 1 - 0.3 * np.exp(-np.maximum(rows - horizon, 0) / 0.035)[..., None]
    far = _soften(ground, width / 160)
    focus = np.clip((rows - horizon) / 0.22, 0, 1)[..., None]
    near = far * (1 - focus) + ground * focus
    return np.asarray(canvas * (1 - share) + near * shade * share, np.float32)


def _falloff(size: tuple[int, int], light: Light) -> Array:
    """Brighter on the light's side, darker in the corners."""
    across = _columns(size) - 0.5
    distance = across**2 + (_rows(size) - 0.5) ** 2
    return np.asarray(1.02 + 0.1 * across * light.side - 0.22 * distance, np.float32)


def _grain(pixels: Array, random: Random) -> Array:
    """A little noise keeps smooth gradients from showing as bands."""
    return pixels + random.normal(0, 1.1, pixels.shape[:2]).astype(np.float32)[..., None]
