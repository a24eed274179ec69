"""The published schemas say what the code says, and the examples beside them are what consumers get."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from packshot.events import COMPLETED, DETAIL_TYPES, SOURCE, scenes_rejected_event
from packshot.job import Image
from packshot.manifest import Manifest
from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS, MAX_SEED
from packshot.scenes_file import IGNORE_PATTERN, PARAMETERS, Mistake, ScenesFile, read_scenes_file
from packshot_cli import examples
from packshot_cli.schemas import (
    DETAILS,
    SCHEMAS,
    example_texts,
    scenes_schema,
    schema_text,
    slug,
    write_schemas,
)

PROJECT = Path(__file__).parents[2]
EVENTS = PROJECT / "events"
KEY = "shoes/scenes.json"


def validator(place: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((PROJECT / place).read_text(encoding="utf-8")))


def event_validator(detail_type: str) -> Draft202012Validator:
    return validator(f"events/schemas/{slug(detail_type)}.schema.json")


# -- published --


@pytest.mark.parametrize("place", SCHEMAS)
def test_the_published_schema_is_that_of_the_code(place: str) -> None:
    published = (PROJECT / place).read_text(encoding="utf-8")
    assert published == schema_text(*SCHEMAS[place])
    Draft202012Validator.check_schema(json.loads(published))


def test_every_published_schema_has_a_model() -> None:
    published = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("*/**/*.schema.json")}
    assert {place for place in published if place.startswith(("docs/", "events/"))} == set(SCHEMAS)


def test_they_are_written_where_they_are_published(tmp_path: Path) -> None:
    for folder in ("docs", "events/schemas", "events/examples"):
        (tmp_path / folder).mkdir(parents=True)
    write_schemas(tmp_path)
    for place in [*SCHEMAS, *example_texts()]:
        assert (tmp_path / place).read_bytes() == (PROJECT / place).read_bytes()
    assert (tmp_path / "docs/scenes.schema.json").read_text(encoding="utf-8") == scenes_schema()


# -- the examples --


@pytest.mark.parametrize("place", example_texts())
def test_the_published_example_is_what_the_code_makes(place: str) -> None:
    assert (PROJECT / place).read_text(encoding="utf-8") == example_texts()[place]


def test_every_schema_has_its_example_and_no_example_is_left_over() -> None:
    published = {path.relative_to(PROJECT).as_posix() for path in (EVENTS / "examples").iterdir()}
    assert published == set(example_texts())
    of_schemas = {place.replace("schemas", "examples").replace(".schema", "") for place in SCHEMAS}
    assert published == of_schemas - {"docs/scenes.json"}


def test_every_event_has_a_schema_and_an_example() -> None:
    of_the_code = {
        *DETAIL_TYPES.values(),
        COMPLETED,
        "Scenes Rejected",
        "Submitting Paused",
        "Submitting Resumed",
    }
    assert set(DETAILS) == {event.detail_type for event in examples.EVENTS} == of_the_code


@pytest.mark.parametrize("detail_type", DETAILS)
def test_an_example_is_what_consumers_get(detail_type: str) -> None:
    example = json.loads((EVENTS / f"examples/{slug(detail_type)}.json").read_text(encoding="utf-8"))
    assert (example["source"], example["detail-type"]) == (SOURCE, detail_type)
    event_validator(detail_type).validate(example)
    # It shows all fields of today.
    assert set(DETAILS[detail_type].model_fields) == set(example["detail"])
    image = example["detail"].get("image")
    assert image is None or set(image) == set(Image.model_fields)


@pytest.mark.parametrize("detail_type", DETAILS)
def test_no_other_event_fits_an_events_schema(detail_type: str) -> None:
    schema = event_validator(detail_type)
    for event in examples.EVENTS:
        assert schema.is_valid(examples.delivered(event)) is (event.detail_type == detail_type)


def test_the_example_of_a_manifest_is_what_consumers_get() -> None:
    written = (EVENTS / "examples/manifest.json").read_text(encoding="utf-8")
    assert Manifest.model_validate_json(written) == examples.MANIFEST
    validator("events/schemas/manifest.schema.json").validate(json.loads(written))


def damaged(detail_type: str, damage: dict[str, object]) -> dict[str, Any]:
    (event,) = (event for event in examples.EVENTS if event.detail_type == detail_type)
    delivered = examples.delivered(event)
    return {**delivered, "detail": {**delivered["detail"], **damage}}


@pytest.mark.parametrize("detail_type", DETAILS)
def test_the_schema_lets_pass_what_may_be_told_one_day(detail_type: str) -> None:
    event_validator(detail_type).validate({**damaged(detail_type, {"more": 1}), "replay-name": "monday"})


@pytest.mark.parametrize("detail_type", DETAILS)
@pytest.mark.parametrize("damage", [{"id": "no"}, {"id": None}, {"version": "2"}, {"version": 1}])
def test_the_schema_refuses_what_is_no_event(detail_type: str, damage: dict[str, object]) -> None:
    assert not event_validator(detail_type).is_valid(damaged(detail_type, damage))


@pytest.mark.parametrize("damage", [{"attempt": -1}, {"cause": "weather"}, {"photo": None}, {"image": {}}])
def test_the_schema_refuses_what_is_no_scene(damage: dict[str, object]) -> None:
    assert not event_validator("Scene Generated").is_valid(damaged("Scene Generated", damage))


@pytest.mark.parametrize("damage", [{"images_count": -1}, {"photo": None}, {"sku": 1}, {"order": None}])
def test_the_schema_refuses_what_is_no_completion(damage: dict[str, object]) -> None:
    assert not event_validator(COMPLETED).is_valid(damaged(COMPLETED, damage))


@pytest.mark.parametrize("damage", [{"mistakes": []}, {"file": "shoes/scenes.json"}, {"reason": None}])
def test_the_schema_refuses_what_is_no_rejection(damage: dict[str, object]) -> None:
    assert not event_validator("Scenes Rejected").is_valid(damaged("Scenes Rejected", damage))


@pytest.mark.parametrize("damage", [{"revision": 0}, {"version": 1}, {"scenes": []}])
def test_the_schema_refuses_what_is_no_manifest(damage: dict[str, object]) -> None:
    manifest = json.loads(examples.MANIFEST.model_dump_json())
    assert not validator("events/schemas/manifest.schema.json").is_valid({**manifest, **damage})


hex_digits = st.text("0123456789abcdef", min_size=1, max_size=32)
mistakes = st.builds(
    Mistake, st.just(KEY), st.text(max_size=300), st.text(max_size=120), st.text(max_size=300)
)


@given(
    st.lists(mistakes, min_size=1, max_size=20), st.sampled_from(["scenes.json", "靴" * 300, "\x01" * 1012])
)
def test_a_rejection_of_any_mistakes_is_small_and_valid(found: list[Mistake], folder: str) -> None:
    upload = examples.SCENES_FILE.model_copy(update={"key": f"{folder}/scenes.json"})
    told = scenes_rejected_event(upload, found)
    assert len(told.detail.encode()) <= 10_000
    event_validator("Scenes Rejected").validate(examples.delivered(told))


# -- the schema of scenes files says what the models say --

texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="{}"), max_size=30)
keys = texts.map(lambda text: f"_props/{text}".replace("://", ""))
urls = st.builds("https://cdn.example/{}".format, st.text("abc/._-%20", max_size=20))
parameters: dict[str, st.SearchStrategy[Any]] = {
    "prompt": texts.map(lambda text: f"a {{product}} {text}"),
    "image_2": st.none() | keys | urls,
    "image_3": st.none() | keys | urls,
    "aspect_ratio": st.sampled_from(ASPECT_RATIOS),
    "image_format": st.sampled_from(IMAGE_FORMATS),
    "quality": st.integers(1, 100),
    "seed": st.none() | st.integers(-1, MAX_SEED - 9),
    "base64": st.booleans(),
    "lora": st.just("product_photography"),
    "lora_2_url": st.none() | urls,
    "lora_3_url": st.none() | urls,
}
# No two of these names, with -1 to -10 behind them, are the same.
scene_names = st.text("abcXYZ019_", max_size=10).map(lambda text: f"s{text}")
variable_names = st.text("abc019_", max_size=10).map(lambda text: f"v{text}")
valid_files = st.fixed_dictionaries(
    {},
    optional={
        "$schema": st.none() | texts,
        "version": st.just(1),
        "inherit": st.booleans(),
        "ignore": st.lists(
            texts.map(lambda text: f"*{text}").filter(re.compile(IGNORE_PATTERN).match), max_size=4
        ),
        "defaults": st.fixed_dictionaries({}, optional=parameters),
        "variables": st.dictionaries(variable_names, texts, max_size=3),
        "scenes": st.dictionaries(
            scene_names,
            st.fixed_dictionaries({}, optional={**parameters, "variations": st.integers(1, 10)}),
            max_size=3,
        ),
    },
)


def test_the_strategy_has_every_parameter() -> None:
    assert set(parameters) == set(PARAMETERS)


@given(valid_files)
def test_a_file_that_is_valid_is_so_by_the_schema_too(document: dict[str, Any]) -> None:
    read = read_scenes_file(KEY, json.dumps(document).encode())
    assert isinstance(read, ScenesFile), read
    validator("docs/scenes.schema.json").validate(document)
    assert read.model_dump(by_alias=True, exclude_unset=True) == document


WRONG_VALUES: dict[str, list[Any]] = {
    "prompt": ["", " ", None, "x" * 5001, 7],
    "image_2": ["", "http://cdn.example/a.jpg", "s3://bucket/a.jpg", 7, "x" * 2049],
    "image_3": ["", "http://cdn.example/a.jpg", 7],
    "aspect_ratio": ["16:10", "", None],
    "image_format": ["jpg", None],
    "quality": [0, 101, "95", 95.5, True, None],
    "seed": [-2, MAX_SEED + 1, "7", 0.5],
    "base64": ["true", 1, None],
    "lora": ["other", None],
    "lora_2_url": ["_props/a.safetensors", "http://loras.example/a", "https://", ""],
    "lora_3_url": ["ftp://loras.example/a", 7],
}


@pytest.mark.parametrize(
    "document",
    [
        [],
        "scenes",
        {"scene": {}},
        {"version": 2},
        {"version": "1"},
        {"inherit": "yes"},
        {"ignore": "*.tif"},
        {"ignore": [""]},
        *({"ignore": [pattern]} for pattern in ("!a", "./a", "a/../b", "*.{a,b}", "[ab")),
        {"ignore": ["x" * 201]},
        {"ignore": ["x"] * 101},
        {"defaults": []},
        {"defaults": {"variations": 2}},
        {"defaults": {"image_1": "a.jpg"}},
        {"variables": {"Product": "sofa"}},
        {"variables": {"sku": "1"}},
        {"variables": {"product": 1}},
        {"variables": {"product": "x" * 1001}},
        {"variables": {f"v{number}": "" for number in range(101)}},
        {"scenes": []},
        {"scenes": {"beach": "on a beach"}},
        {"scenes": {"-beach": {}}},
        {"scenes": {"beach/1": {}}},
        {"scenes": {"x" * 65: {}}},
        {"scenes": {"beach": {"variations": 0}}},
        {"scenes": {"beach": {"variations": 11}}},
        {"scenes": {f"s{number}": {} for number in range(101)}},
        *({"defaults": {name: wrong}} for name, wrongs in WRONG_VALUES.items() for wrong in wrongs),
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_a_file_that_is_wrong_is_so_by_the_schema_too(document: Any) -> None:
    assert isinstance(read_scenes_file(KEY, json.dumps(document).encode()), list)
    assert not validator("docs/scenes.schema.json").is_valid(document)
