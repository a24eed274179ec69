"""The scene holds every parameter of the model, and what a photo may carry of it."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from packshot.model import MODEL
from packshot.scene import (
    ASPECT_RATIOS,
    EXTENSIONS,
    IMAGE_FORMATS,
    MAX_SEED,
    Scene,
    SceneRequest,
)
from packshot.scenes_file import PARAMETERS
from tests.unit.staged import RefusedError, scene_with_overrides

PROMPT = "in a bright living room"
ROOT = Scene(prompt=PROMPT)
PHOTO_URL = "https://photos.example/red.jpg"
JOB_ID = "89abcdef0123456789abcdef01234567"

# The model's page, by hand: name, default, what it takes and what it refuses.
RATIOS = ["match_input_image", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"]
NOTHING = "nothing"
PAGE: dict[str, tuple[object, list[object], list[object]]] = {
    "prompt": (NOTHING, ["a", "a sofa in a modern living room"], ["", None, 7]),
    "aspect_ratio": ("match_input_image", [*RATIOS], ["1:2", "1 : 1", "", None]),
    "base64": (False, [True, False], ["perhaps", None]),
    "image_1": (NOTHING, [PHOTO_URL, "iVBORw0KGgo="], ["", None]),
    "image_2": (None, [PHOTO_URL, "iVBORw0KGgo=", None], ["", 7]),
    "image_3": (None, [PHOTO_URL, "iVBORw0KGgo=", None], ["", 7]),
    "image_format": ("webp", ["jpeg", "png", "webp"], ["jpg", "WEBP", "gif", None]),
    "lora": ("product_photography", ["product_photography"], ["other", "", None]),
    "lora_2_url": (None, ["https://loras.example/a.safetensors", None], ["ftp://loras.example/a", "a"]),
    "lora_3_url": (None, ["https://loras.example/a.safetensors", None], ["ftp://loras.example/a", "a"]),
    "quality": (95, [1, 95, 100], [0, 101, -1, 95.5, None]),
    "seed": (None, [-1, 0, 87568756, 2147483647, None], [-2, 2147483648, 0.5]),
}


def request(**parameters: object) -> SceneRequest:
    return SceneRequest.model_validate({"prompt": PROMPT, "image_1": PHOTO_URL, **parameters})


def test_every_parameter_of_the_page_is_there_and_no_other() -> None:
    assert set(SceneRequest.model_fields) == set(PAGE)
    with pytest.raises(ValidationError):
        request(guidance=3)


@pytest.mark.parametrize("name", PAGE)
def test_a_parameter_has_the_default_of_the_page(name: str) -> None:
    field = SceneRequest.model_fields[name]
    assert (NOTHING if field.is_required() else field.default) == PAGE[name][0]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in PAGE for value in PAGE[name][1]])
def test_what_the_page_allows_is_sent_as_it_is(name: str, value: object) -> None:
    body = request(**{name: value}).body()
    if value is None:
        assert name not in body
    else:
        assert body[name] == value
        assert type(body[name]) is type(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in PAGE for value in PAGE[name][2]])
def test_what_the_page_forbids_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        request(**{name: value})


def test_the_names_of_the_model_its_formats_and_its_ratios() -> None:
    assert MODEL == "qwen-image-edit-plus-product-photography"
    assert list(ASPECT_RATIOS) == RATIOS
    assert list(IMAGE_FORMATS) == ["jpeg", "png", "webp"]
    assert EXTENSIONS == {"jpeg": "jpg", "png": "png", "webp": "webp"}


def test_a_request_is_the_scene_its_photo_and_a_seed() -> None:
    scene = Scene(prompt=PROMPT, quality=80, image_2=PHOTO_URL)
    assert scene.request("aW1hZ2U=", 7).body() == {
        "prompt": PROMPT,
        "aspect_ratio": "match_input_image",
        "base64": False,
        "image_1": "aW1hZ2U=",
        "image_2": PHOTO_URL,
        "image_format": "webp",
        "lora": "product_photography",
        "quality": 80,
        "seed": 7,
    }


def test_a_photo_in_base64_does_not_show_when_the_request_is_printed() -> None:
    assert "aW1hZ2U=" not in repr(ROOT.request("aW1hZ2U=", 7))


# -- identity --

scenes = st.builds(
    Scene,
    prompt=st.text(max_size=50).map(lambda text: f"a {text}"),
    aspect_ratio=st.sampled_from(RATIOS),
    image_format=st.sampled_from(IMAGE_FORMATS),
    quality=st.integers(1, 100),
    seed=st.none() | st.integers(-1, MAX_SEED),
    base64=st.booleans(),
)


@given(scenes, st.randoms())
def test_the_digest_does_not_depend_on_order_or_on_the_spelling_of_defaults(
    scene: Scene, random: Any
) -> None:
    every = list(scene.model_dump().items())
    random.shuffle(every)
    needed = scene.model_dump(exclude_defaults=True)
    assert Scene.model_validate(dict(every)).digest == scene.digest
    assert Scene.model_validate(needed).digest == scene.digest


@given(scenes, scenes)
def test_different_scenes_have_different_digests(one: Scene, other: Scene) -> None:
    def drawn(scene: Scene) -> Scene:
        return scene.model_copy(update={"seed": None}) if scene.seed == -1 else scene

    assert (one.digest == other.digest) == (drawn(one) == drawn(other))


def test_a_seed_that_is_drawn_is_one_thing_however_it_is_asked_for() -> None:
    assert Scene(prompt=PROMPT, seed=-1).digest == Scene(prompt=PROMPT).digest


job_ids = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(job_ids, st.sampled_from([None, -1]))
def test_a_missing_seed_is_drawn_from_the_job_id(job_id: str, seed: int | None) -> None:
    drawn = Scene(prompt=PROMPT, seed=seed).seed_for(job_id)
    assert 0 <= drawn <= MAX_SEED
    assert drawn == Scene(prompt=PROMPT).seed_for(job_id)


def test_jobs_draw_different_seeds() -> None:
    drawn = {ROOT.seed_for(f"{number:08x}" + JOB_ID[8:]) for number in range(0, 2**31, 2**24)}
    assert len(drawn) == 128


@given(job_ids, st.integers(0, MAX_SEED))
def test_a_given_seed_is_the_seed(job_id: str, seed: int) -> None:
    assert Scene(prompt=PROMPT, seed=seed).seed_for(job_id) == seed


# -- overrides --


def encoded_word(text: str) -> str:
    """As S3 gives metadata that is not ASCII."""
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="


def encoded_words(text: str) -> str:
    """As a mail client writes a long one: several words, the space between them meaning nothing."""
    return " ".join(encoded_word(text[start : start + 9]) for start in range(0, len(text), 9))


def q_word(text: str) -> str:
    return "=?utf-8?q?" + "".join(f"={byte:02X}" for byte in text.encode()) + "?="


overrides = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.text(max_size=200).map(lambda text: f"a {text}".replace("{", "").replace("}", "")),
        "aspect_ratio": st.sampled_from(RATIOS),
        "image_format": st.sampled_from(IMAGE_FORMATS),
        "quality": st.integers(1, 100),
        "seed": st.integers(-1, MAX_SEED),
    },
)


@given(overrides, st.sampled_from([quote, encoded_word, encoded_words, q_word]), st.booleans())
@example({"prompt": "a sofa in « Rome », 100 % wool + 1"}, quote, True)
def test_admissible_overrides_arrive_however_they_are_encoded(
    values: dict[str, Any], encode: Any, upper: bool
) -> None:
    names = {name: "packshot-" + name.replace("_", "-") for name in values}
    metadata = {
        (names[name].upper() if upper else names[name]): encode(str(value)) for name, value in values.items()
    }
    assert scene_with_overrides(ROOT, metadata) == ROOT.model_copy(update=values)


@pytest.mark.parametrize("text", ["a sofa", "100 % wool", "50% off", "a + b", "=?not a word?=", "50%25"])
def test_plain_text_is_taken_as_it_is(text: str) -> None:
    assert scene_with_overrides(ROOT, {"packshot-prompt": text}).prompt == text.replace("%25", "%")


def test_what_is_not_overridden_stays() -> None:
    root = Scene(prompt=PROMPT, quality=50, image_2=PHOTO_URL, aspect_ratio="4:5")
    scene = scene_with_overrides(root, {"packshot-aspect-ratio": "4:5", "packshot-quality": "80"})
    assert scene == root.model_copy(update={"aspect_ratio": "4:5", "quality": 80})


@given(st.dictionaries(st.text().filter(lambda name: not name.casefold().startswith("packshot-")), st.text()))
@example({"author": "me", "packshot": "x", "xpackshot-prompt": "y", "prompt": "z"})
def test_metadata_that_is_not_ours_is_ignored(metadata: dict[str, str]) -> None:
    assert scene_with_overrides(ROOT, metadata) == ROOT


@pytest.mark.parametrize(
    "name", ["packshot-promt", "packshot-", "packshot-image-1", "Packshot-Variations", "packshot-scenes"]
)
def test_an_unknown_override_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(name.lower())) as refusal:
        scene_with_overrides(ROOT, {name: "1"})
    for known in PARAMETERS:
        assert "packshot-" + known.replace("_", "-") in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("packshot-quality", "0"),
        ("packshot-quality", "101"),
        ("packshot-quality", "best"),
        ("packshot-quality", ""),
        ("packshot-quality", "1e400"),
        ("packshot-quality", "9" * 5000),
        ("packshot-seed", "-2"),
        ("packshot-seed", "2147483648"),
        ("packshot-seed", "None"),
        ("packshot-aspect-ratio", "7:5"),
        ("packshot-image-format", "jpg"),
        ("packshot-prompt", ""),
        ("packshot-prompt", "%FF"),
        ("packshot-prompt", "%ED%A0%80"),
        ("packshot-prompt", "=?UTF-8?B?/w==?="),
        ("packshot-prompt", "=?UTF-8?B?a?="),
        ("packshot-prompt", "=?no-such-charset?B?YQ==?="),
        ("packshot-prompt", "=?ü?q?x?="),
        ("packshot-prompt", "=?hex?q?6a?="),
        ("packshot-prompt", r"=?unicode_escape?q?\ud800?="),
    ],
)
def test_an_inadmissible_override_is_refused_by_name_and_value(name: str, value: str) -> None:
    with pytest.raises(RefusedError, match=f"{name}: found ") as refusal:
        scene_with_overrides(ROOT, {name: value})
    assert len(str(refusal.value)) < 500
    str(refusal.value).encode()


any_value = st.one_of(
    st.text(),
    st.text("0123456789.-+eE_ "),
    st.builds(
        "=?{}?{}?{}?=".format,
        st.sampled_from(
            ["utf-8", "utf-16", "utf-7", "latin-1", "idna", "punycode", "unicode_escape", "", "ü"]
        )
        | st.text(),
        st.sampled_from("bBqQx"),
        st.text(),
    ),
    st.binary().map(quote),
)


@given(
    st.dictionaries(st.sampled_from([*PARAMETERS, "other"]), any_value, max_size=3),
    st.text("-_", max_size=1),
)
def test_any_override_makes_an_admissible_scene_or_is_refused_by_name(
    values: dict[str, str], separator: str
) -> None:
    metadata = {"packshot-" + name.replace("_", separator or "-"): value for name, value in values.items()}
    refused = ""
    scene = ROOT
    try:
        scene = scene_with_overrides(ROOT, metadata)
    except RefusedError as refusal:
        refused = str(refusal)
    assert Scene.model_validate(scene.model_dump()) == scene
    assert not refused or refused.startswith("the photo's metadata: packshot-")
