"""Which keys are photos, where their images go, and which of two photos is newer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.paths import DEFAULT_PATH_TEMPLATE
from packshot.paths import image_key as image_key_of
from packshot.photo import Photo, comparable_sequencer, is_photo_key
from packshot.scene import EXTENSIONS, ImageFormat


def image_key(key: str, scene: str, image_format: ImageFormat) -> str:
    return image_key_of(DEFAULT_PATH_TEMPLATE, Photo(bucket="photos", key=key), scene, image_format)


PATHS = {
    "red.jpg": "red/default.webp",
    "shoes/red.jpg": "shoes/red/default.webp",
    "shoes/summer/2026/red.jpg": "shoes/summer/2026/red/default.webp",
    "red.v2.final.jpg": "red.v2.final/default.webp",
    "v1.2/red.jpg": "v1.2/red/default.webp",
    "red shoe (1).jpg": "red shoe (1)/default.webp",
    "Schuhe/rot-größe-42.jpg": "Schuhe/rot-größe-42/default.webp",
    "靴/赤.png": "靴/赤/default.webp",
    "100%25.jpg": "100%25/default.webp",
    "a+b c%20d.jpg": "a+b c%20d/default.webp",
    "red.JPG": "red/default.webp",
    "red.WebP": "red/default.webp",
    "red": "red/default.webp",
    "shoes/red": "shoes/red/default.webp",
    "red.": "red./default.webp",
    "shoes//red.jpg": "shoes//red/default.webp",
    "shoes\\red.jpg": "shoes\\red/default.webp",
}


@pytest.mark.parametrize("key", PATHS)
def test_the_image_goes_where_its_photo_says(key: str) -> None:
    assert image_key(key, "default", "webp") == PATHS[key]


@pytest.mark.parametrize("image_format", EXTENSIONS)
def test_the_suffix_is_that_of_the_image(image_format: ImageFormat) -> None:
    assert image_key("shoes/red.png", "beach", image_format) == f"shoes/red/beach.{EXTENSIONS[image_format]}"


photo_keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(is_photo_key)


@given(photo_keys | st.from_regex(r"[a-c/. _+%]{1,12}", fullmatch=True).filter(is_photo_key))
def test_an_image_is_in_its_photos_folder_under_its_photos_name(key: str) -> None:
    path = image_key(key, "default", "webp")
    assert path.endswith("/default.webp")
    assert not path.startswith("/") or key.startswith("/")
    folder, _, name = key.rpartition("/")
    stem = path.removesuffix("/default.webp").removeprefix(f"{folder}/" if folder else "")
    assert stem
    assert name.startswith(stem)


@given(photo_keys)
def test_photos_in_different_scenes_do_not_meet(key: str) -> None:
    assert image_key(key, "default", "webp") != image_key(key, "beach", "webp")


@pytest.mark.parametrize(
    "key",
    [
        "shoes/",
        "/",
        ".DS_Store",
        "shoes/.hidden.jpg",
        ".git/red.jpg",
        "_draft.jpg",
        "shoes/_draft.jpg",
        "_props/vase.jpg",
        "shoes/_props/vase.jpg",
        "scenes.json",
        "shoes/scenes.json",
        "shoes/red.scenes.json",
    ],
)
def test_what_is_no_photo_is_passed_over(key: str) -> None:
    assert not is_photo_key(key)


@pytest.mark.parametrize(
    "key", [*PATHS, "notes.txt", "scenes.json.jpg", "my_photo.jpg", "a.b/c_d.jpg", "myscenes.json"]
)
def test_everything_else_is_looked_at(key: str) -> None:
    assert is_photo_key(key)


# S3: hexadecimal text; the shorter of two is padded with zeros on the right, then they compare as text.
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E501"),
        ("0055AED6DCD9", "0055AED6DCD90281E5"),
        ("0055AED6DCD90281E5FF", "0055AED6DCD90281E6"),
        ("0055aed6dcd90281e5", "0055AED6DCD90281E6"),
        ("", "0055AED6DCD90281E5"),
    ],
)
def test_sequencers_order_as_s3_says(older: str, newer: str) -> None:
    assert comparable_sequencer(older) < comparable_sequencer(newer)


def test_zeros_at_the_end_of_a_sequencer_mean_nothing() -> None:
    assert comparable_sequencer("0055AED6DCD9") == comparable_sequencer("0055aed6dcd900")


sequencers = st.text("0123456789ABCDEF", max_size=40)


@given(sequencers, sequencers)
def test_the_order_is_that_of_right_padded_numbers(one: str, other: str) -> None:
    def number(sequencer: str) -> int:
        return int(sequencer.ljust(40, "0"), 16)

    assert (comparable_sequencer(one) < comparable_sequencer(other)) == (number(one) < number(other))
