"""The emulator's pictures: the size, format and product asked for, and the same again for the same seed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS
from packshot_cli.emulator.backdrops import paint_backdrop
from packshot_cli.emulator.cutout import cut_out
from packshot_cli.emulator.painter import UnreadablePhotoError, paint
from tests.photos import encoded, packshot

RED = (200, 20, 20)


def picture(
    photo: bytes | None = None, prompt: str = "studio", seed: int = 1, **asked: object
) -> Image.Image:
    arguments: dict[str, object] = {"aspect_ratio": "1:1", "image_format": "png", "quality": 90, **asked}
    return Image.open(io.BytesIO(paint(photo, prompt=prompt, seed=seed, **arguments)))  # type: ignore[arg-type]


def labelled(background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """A red block with a white label in it, on a sweep."""
    image = Image.new("RGB", (400, 400), background)
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 80, 300, 340), fill=RED)
    draw.rectangle((160, 150, 240, 220), fill=(246, 245, 243))
    return image


@pytest.mark.parametrize("aspect_ratio", ASPECT_RATIOS)
def test_the_picture_has_the_ratio_asked_for_and_about_a_megapixel(aspect_ratio: str) -> None:
    width, height = picture(packshot(size=(320, 240)), aspect_ratio=aspect_ratio).size
    wide, high = (4, 3) if aspect_ratio == "match_input_image" else map(int, aspect_ratio.split(":"))
    assert width / height == pytest.approx(wide / high, rel=0.02)
    assert width * height == pytest.approx(1024 * 1024, rel=0.05)
    assert width % 8 == height % 8 == 0


@pytest.mark.parametrize("image_format", IMAGE_FORMATS)
def test_the_picture_has_the_format_asked_for(image_format: str) -> None:
    assert (picture(packshot(), image_format=image_format).format or "").lower() == image_format


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_a_lower_quality_is_a_smaller_file(image_format: str) -> None:
    asked = {"prompt": "beach", "aspect_ratio": "1:1", "image_format": image_format, "seed": 1}
    low, high = (len(paint(None, quality=quality, **asked)) for quality in (20, 95))  # type: ignore[arg-type]
    assert low < high / 2


def test_the_seed_decides_everything() -> None:
    photo = packshot()
    again = [np.asarray(picture(photo, "living room", seed)) for seed in (5, 5, 6)]
    assert (again[0] == again[1]).all()
    assert np.abs(again[0].astype(int) - again[2]).mean() > 5


PROMPTS = [
    "living room",
    "kitchen",
    "bathroom",
    "bedroom",
    "office",
    "beach",
    "forest",
    "city",
    "snow",
    "marble",
    "wooden table",
    "nothing in particular",
]


def test_every_kind_of_prompt_has_a_scene_of_its_own() -> None:
    scenes = [paint_backdrop(prompt, (256, 256), np.random.default_rng(1))[0] for prompt in PROMPTS]
    for number, scene in enumerate(scenes):
        assert all(np.abs(scene - other).mean() > 4 for other in scenes[:number])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_scene_can_be_painted_whatever_is_drawn_by_chance(prompt: str) -> None:
    for seed in range(10):
        pixels, _ = paint_backdrop(prompt, (400, 304), np.random.default_rng(seed))
        assert pixels.shape == (304, 400, 3)
        assert np.isfinite(pixels).all()


@pytest.mark.parametrize("background", [(255, 255, 255), (238, 236, 233)])
def test_the_background_goes_and_white_inside_the_product_stays(background: tuple[int, int, int]) -> None:
    alpha = np.asarray(cut_out(encoded(labelled(background), "PNG")).product)[..., 3]
    assert alpha[:70].max() == 0
    assert alpha[:, :90].max() == 0
    assert alpha[160:210, 170:230].min() == 255
    assert alpha[100:330, 110:150].min() == 255


def neutral(tone: int, edge_blur: float, *, shadow: bool) -> Image.Image:
    """A grey or white block, rounder than a sheet of paper, sharp or not, with its soft shadow or without."""
    size = (480, 480)
    photo = Image.new("L", size, 255)
    if shadow:
        dark = Image.new("L", size, 0)
        ImageDraw.Draw(dark).ellipse((110, 340, 380, 410), fill=150)
        photo.paste(0, mask=dark.filter(ImageFilter.GaussianBlur(14)))
    body = tone * (1 - 0.12 * np.abs(np.linspace(-1, 1, size[0]))) * np.ones((size[1], 1))
    block = Image.new("L", size, 0)
    ImageDraw.Draw(block).rounded_rectangle((130, 100, 350, 370), 30, fill=255)
    photo.paste(
        Image.fromarray(body.astype(np.uint8)), mask=block.filter(ImageFilter.GaussianBlur(edge_blur))
    )
    return photo.convert("RGB")


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize("edge_blur", [0.5, 1.6])
@pytest.mark.parametrize("tone", [60, 100, 140, 170, 200, 215, 235])
def test_a_grey_or_white_product_stays_whole(tone: int, edge_blur: float, shadow: bool) -> None:
    alpha = np.asarray(cut_out(encoded(neutral(tone, edge_blur, shadow=shadow), "JPEG")).product)[..., 3]
    assert alpha[115:355, 145:335].mean() > 0.99 * 255
    assert alpha[:80].max() == alpha[:, :60].max() == 0
    fallen = alpha[385:400, 150:330].mean() / 255
    assert 0.1 < fallen < 0.6 if shadow else fallen == 0


def test_what_is_seen_through_a_handle_goes_too() -> None:
    image = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(image).ellipse((100, 100, 300, 300), outline=RED, width=40)
    assert np.asarray(cut_out(encoded(image, "PNG")).product)[200, 200, 3] == 0


def test_a_photo_that_brings_its_own_mask_keeps_it() -> None:
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((100, 100, 200, 250), fill=(255, 255, 255, 255))
    cutout = cut_out(encoded(image, "PNG"))
    assert cutout.solid == (100, 100, 201, 251)


def test_there_is_no_white_rim_around_the_product() -> None:
    """Over black, whatever is left of the white background would shine."""
    smooth = labelled().resize((397, 397), Image.Resampling.BICUBIC)
    product = cut_out(encoded(smooth, "PNG")).product
    black = Image.new("RGBA", product.size, "black")
    black.alpha_composite(product)
    pixels = np.asarray(black.convert("RGB"), np.int16)
    pixels[140:225, 150:245] = 0
    assert pixels.min(axis=2).max() < 90


def test_the_product_is_in_the_picture() -> None:
    pixels = np.asarray(picture(encoded(labelled(), "PNG")).convert("RGB"), np.int16)
    red = (pixels[..., 0] > 140) & (pixels[..., 1] < 70) & (pixels[..., 2] < 70)
    assert 0.08 < red.mean() < 0.5


def test_the_picture_says_that_it_is_emulated() -> None:
    one, other = (np.asarray(picture(prompt="studio", seed=seed).convert("L"), np.int16) for seed in (1, 1))
    assert (one == other).all()
    corner = one[-60:, -260:]
    assert corner.max() - corner.min() > 90


@pytest.mark.parametrize("size", [(1, 1), (900, 3), (3, 900)])
def test_a_photo_of_any_shape_has_a_picture(size: tuple[int, int]) -> None:
    wide, high = picture(packshot(size=size), aspect_ratio="match_input_image").size
    assert max(wide / high, high / wide) <= 4.05


@pytest.mark.parametrize("photo", [b"", b"no photo", packshot()[:300], packshot("GIF")])
def test_what_cannot_be_decoded_is_said_to_be_unreadable(photo: bytes) -> None:
    with pytest.raises(UnreadablePhotoError):
        picture(photo)


def test_a_photo_that_is_too_large_to_decode_is_said_to_be_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadablePhotoError):
        picture(packshot())
