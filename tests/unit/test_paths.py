"""Where images and manifests go is predictable, and no template sends two of them to one place."""

from __future__ import annotations

import pytest

from packshot.paths import DEFAULT_PATH_TEMPLATE, NAMES, checked_template, image_key, manifest_key
from packshot.photo import Photo
from packshot.placeholders import UnknownPlaceholderError
from packshot.scene import EXTENSIONS, ImageFormat


def a_photo(key: str, sku: str | None = None) -> Photo:
    return Photo(bucket="photos", key=key, sku=sku)


def image(template: str, key: str, sku: str | None = None, image_format: ImageFormat = "webp") -> str:
    return image_key(template, a_photo(key, sku), "beach", image_format)


# -- templates --


@pytest.mark.parametrize(
    "template",
    [
        DEFAULT_PATH_TEMPLATE,
        "{stem}/{scene}.{ext}",
        "{stem}-{scene}",
        "{key}/{scene}.{ext}",
        "{scene}/{key}",
        "{sku}/{stem}_{scene}.{ext}",
        "scenes of {folder}/{stem}/{scene}.{ext}",
        "v1.2/{stem}._{scene}.{ext}",
    ],
)
def test_a_template_that_names_scene_and_photo_is_taken(template: str) -> None:
    assert checked_template(template) == template


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{folder}/{stem}.{ext}", "{scene}"),
        ("{folder}/{scene}.{ext}", "{stem} or {key}"),
        ("{sku}/{scene}.{ext}", "{stem} or {key}"),
        ("{{scene}}/{stem}", "{scene}"),
        ("images/all.webp", "{scene}"),
        ("", "{scene}"),
        ("{stem}/{scene}.{format}", "{ext}, {folder}, {key}, {scene}, {sku}, {stem}"),
        ("{stem}/{scene}/{bucket}", "only"),
        ("{stem}/{scene!r}", "{name}"),
        ("{stem}/{scene:>9}", "{name}"),
        ("{stem}/{scene.name}", "{name}"),
        ("{stem}/{}", "{name}"),
        ("{stem}/{scene", "{name}"),
        ("{stem}/scene}", "{name}"),
        ("/{stem}/{scene}.{ext}", "slash"),
        (".images/{stem}/{scene}", "dot"),
        ("_superseded/{stem}/{scene}", "_"),
        ("{stem}/../{scene}", "dot"),
        ("{stem}/_{scene}", "_"),
    ],
)
def test_a_template_whose_images_would_meet_or_leave_their_place_is_refused(
    template: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("{", r"\{")):
        checked_template(template)


# -- images --


@pytest.mark.parametrize(
    ("template", "key", "path"),
    [
        (DEFAULT_PATH_TEMPLATE, "shoes/summer/red.jpg", "shoes/summer/red/beach.webp"),
        (DEFAULT_PATH_TEMPLATE, "red.jpg", "red/beach.webp"),
        ("v2/{folder}/{stem}/{scene}.{ext}", "shoes/red.jpg", "v2/shoes/red/beach.webp"),
        ("v2/{folder}/{stem}/{scene}.{ext}", "red.jpg", "v2/red/beach.webp"),
        ("{scene}/{folder}/{stem}.{ext}", "red.jpg", "beach/red.webp"),
        ("{key}/{scene}.{ext}", "shoes/red.jpg", "shoes/red.jpg/beach.webp"),
        ("{scene}/{key}", "red.jpg", "beach/red.jpg"),
        ("{stem}/{{{scene}}}.{ext}", "shoes/red.jpg", "red/{beach}.webp"),
    ],
)
def test_an_image_goes_where_the_template_says_and_at_the_root_without_a_slash(
    template: str, key: str, path: str
) -> None:
    assert image(template, key) == path


@pytest.mark.parametrize("image_format", EXTENSIONS)
def test_the_extension_is_that_of_the_image_and_not_of_the_photo(image_format: ImageFormat) -> None:
    path = image("{stem}/{scene}.{ext}", "red.png", image_format=image_format)
    assert path == f"red/beach.{EXTENSIONS[image_format]}"


@pytest.mark.parametrize("key", ["{scene}/{stem}.jpg", "}{/{0}.jpg", "{folder}/red.jpg"])
def test_braces_in_a_key_are_only_characters(key: str) -> None:
    folder, _, name = key.rpartition("/")
    assert image(DEFAULT_PATH_TEMPLATE, key) == f"{folder}/{name.removesuffix('.jpg')}/beach.webp"


def test_a_sku_is_in_the_path_where_that_is_wanted() -> None:
    assert image("{sku}/{stem}-{scene}.{ext}", "shoes/red.jpg", "4711") == "4711/red-beach.webp"


@pytest.mark.parametrize("sku", [None, ""])
def test_a_photo_without_the_sku_that_its_path_needs_has_no_path(sku: str | None) -> None:
    with pytest.raises(UnknownPlaceholderError) as raised:
        image("{sku}/{stem}-{scene}.{ext}", "shoes/red.jpg", sku)
    assert raised.value.unknown == "{sku}"


def test_a_sku_that_no_path_asks_for_need_not_be_there() -> None:
    assert image(DEFAULT_PATH_TEMPLATE, "red.jpg", "4711") == image(DEFAULT_PATH_TEMPLATE, "red.jpg")


# -- manifests --


@pytest.mark.parametrize(
    ("template", "key", "path"),
    [
        (DEFAULT_PATH_TEMPLATE, "shoes/red.jpg", "shoes/red/manifest.json"),
        (DEFAULT_PATH_TEMPLATE, "red.jpg", "red/manifest.json"),
        ("{scene}/{stem}.{ext}", "shoes/red.jpg", "shoes/red/manifest.json"),
        ("{sku}/{stem}-{scene}.{ext}", "shoes/red.jpg", "shoes/red/manifest.json"),
        ("{key}/{scene}.{ext}", "shoes/red.jpg", "shoes/red.jpg/manifest.json"),
        ("{scene}/{key}", "red.jpg", "red.jpg/manifest.json"),
        ("{key}/{stem}-{scene}.{ext}", "shoes/red.jpg", "shoes/red.jpg/manifest.json"),
    ],
)
def test_a_manifest_goes_by_what_its_photos_images_go_by(template: str, key: str, path: str) -> None:
    """It needs no SKU: whatever became of the photo, its manifest is found."""
    assert manifest_key(template, a_photo(key)) == path


KEYS = ["red.jpg", "red.png", "shoes/red.jpg", "shoes/red.png", "red/shoes.jpg", "shoes/red/a.jpg"]


@pytest.mark.parametrize(
    "template",
    [
        "{key}/{scene}.{ext}",
        "{scene}/{key}",
        "{key}/{stem}-{scene}.{ext}",
        "{stem}/{scene}/{key}",
        "{sku}/{key}/{scene}",
    ],
)
def test_photos_whose_images_never_meet_have_manifests_that_never_meet(template: str) -> None:
    """`red.jpg` and `red.png` side by side are what a template by keys is for."""
    assert len({image(template, key, "4711") for key in KEYS}) == len(KEYS)
    assert len({manifest_key(template, a_photo(key)) for key in KEYS}) == len(KEYS)


def test_every_name_of_a_template_has_a_meaning() -> None:
    everything = "-".join(f"{{{name}}}" for name in sorted(NAMES))
    assert image(everything, "shoes/red.jpg", "4711") == "webp-shoes-shoes/red.jpg-beach-4711-red"
