"""The published schemas say what the code says, and the samples beside them are what consumers get."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from packshot.events import SOURCE, Event, completion_event, scenes_rejected_event
from packshot.job import Image, Job, JobState, Reason
from packshot.manifest import Manifest, manifest_of
from packshot.photo import Photo
from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS, MAX_SEED, Scene
from packshot.scenes_file import IGNORE_PATTERN, PARAMETERS, Mistake, ScenesFile, read_scenes_file
from packshot_cli.schemas import SCHEMAS, event_detail_schema, scenes_schema, schema_text, write_schemas
from tests.unit.fakes import START, a_job

PROJECT = Path(__file__).parents[2]
EVENTS = PROJECT / "events"
KEY = "shoes/scenes.json"


def validator(place: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((PROJECT / place).read_text(encoding="utf-8")))


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
    for folder in ("docs", "events/schema"):
        (tmp_path / folder).mkdir(parents=True)
    write_schemas(tmp_path)
    for place in SCHEMAS:
        assert (tmp_path / place).read_bytes() == (PROJECT / place).read_bytes()
    assert (tmp_path / "docs/scenes.schema.json").read_text(encoding="utf-8") == scenes_schema()
    event_detail = tmp_path / "events/schema/event-detail.schema.json"
    assert event_detail.read_text(encoding="utf-8") == event_detail_schema()


# -- the samples --

PHOTO = Photo(
    bucket="packshot-inputbucket-1abcdefghijkl",
    key="shoes/SN-10482/front.jpg",
    version_id="pExampleVersion0Kq7TbR2Wd4Yz9f",
    etag="9b2cf535f27731c974343645a3985328",
    sequencer="0069B5295DCD90281E",
    sku="SN-10482",
    sha256="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    bytes=48213,
)
SCENES_UPLOAD = Photo(
    bucket=PHOTO.bucket,
    key=KEY,
    version_id="sExampleVersion0Bn3LcX8Vt6Mh1u",
    etag="0f343b0931126a20f133d67c2b018a3b",
    sequencer="0069B52A11C0FFEE01",
)
BROKEN = b"""{
  "scenes": {
    "forest": { "prompt": "Place the {product} on a mossy forest floor", "aspect_ratio": "16:10" },
    "studio": { "promt": "Place the {product} on a grey seamless backdrop" }
  }
}"""
MANIFEST_KEY = "shoes/SN-10482/front/manifest.json"


def jobs_of_the_photo() -> list[Job]:
    made = Image(
        bucket="packshot-outputbucket-1abcdefghijkl",
        key="shoes/SN-10482/front/forest.webp",
        version_id="iExampleVersion0Jd5MsG8Rc6aLh1e",
        bytes=183204,
        content_type="image/webp",
        width=1024,
        height=1024,
        sha256="7d1f0b8e3c5a4d2f9e6b1a0c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e",
    )
    forest = a_job(
        JobState.COMPLETED,
        job_id="4f1c0f6ae9b14c7e9a4c7d1d8f3b2a60",
        photo=PHOTO,
        scene="forest",
        parameters=Scene(prompt="Place the red sneaker on a mossy forest floor"),
        image_key=made.key,
        manifest_key=MANIFEST_KEY,
        image=made,
        seed=1327239018,
        request_id="6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11",
        inference_seconds=13.06,
        cost_usd=0.0891,
    )
    studio = a_job(
        JobState.FAILED,
        job_id="b7a3d1c95e2f4086a1d0c3b2e4f5a697",
        photo=PHOTO,
        scene="studio",
        parameters=Scene(prompt="Place the red sneaker on a grey seamless backdrop"),
        image_key="shoes/SN-10482/front/studio.webp",
        manifest_key=MANIFEST_KEY,
        seed=933254401,
        request_id="0c9d1b52-7e0f-4f3b-9a3e-5d1c7b6a2f84",
        inference_seconds=0.008,
        error=Reason(code="GenerationFailed", message="content policy violation"),
        updated_at=START + timedelta(seconds=31),
    )
    return [forest, studio]


def photo_completed() -> Event:
    return completion_event(PHOTO, jobs_of_the_photo(), "packshot-outputbucket-1abcdefghijkl", MANIFEST_KEY)


def scenes_rejected() -> Event:
    mistakes = read_scenes_file(KEY, BROKEN)
    assert isinstance(mistakes, list)
    return scenes_rejected_event(SCENES_UPLOAD, mistakes)


@pytest.mark.parametrize(
    ("name", "event"),
    [("photo-completed", photo_completed()), ("scenes-rejected", scenes_rejected())],
    ids=["photo-completed", "scenes-rejected"],
)
def test_a_sample_is_what_consumers_get(name: str, event: Event) -> None:
    sample = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    assert sample["source"] == SOURCE
    assert sample["detail-type"] == event.detail_type
    assert sample["detail"] == json.loads(event.detail)
    validator(f"events/schema/{name}.schema.json").validate(sample["detail"])


def test_the_sample_of_a_manifest_is_what_consumers_get() -> None:
    manifest = manifest_of(PHOTO, jobs_of_the_photo(), revision=2)
    written = (EVENTS / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.model_validate_json(written) == manifest
    assert written == manifest.model_dump_json(indent=2) + "\n"
    validator("events/schema/manifest.schema.json").validate(json.loads(written))


def test_every_sample_of_an_event_about_a_job_has_all_fields_of_today() -> None:
    about_jobs = validator("events/schema/event-detail.schema.json")
    samples = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))]
    told = [sample["detail"] for sample in samples if sample.get("source") == SOURCE]
    details = [detail for detail in told if "job_id" in detail]
    assert len(details) == 8
    for detail in details:
        about_jobs.validate(detail)
        assert detail["image"] is None or detail["image"]["sha256"]


@pytest.mark.parametrize(
    "damage",
    [{"id": "no"}, {"version": "2"}, {"more": 1}, {"images_count": -1}, {"photo": None}, {"sku": 1}],
)
def test_the_schema_refuses_what_is_no_completion(damage: dict[str, object]) -> None:
    detail = json.loads(photo_completed().detail)
    assert not validator("events/schema/photo-completed.schema.json").is_valid({**detail, **damage})


@pytest.mark.parametrize("damage", [{"id": "no"}, {"mistakes": []}, {"file": KEY}, {"reason": None}])
def test_the_schema_refuses_what_is_no_rejection(damage: dict[str, object]) -> None:
    detail = json.loads(scenes_rejected().detail)
    assert not validator("events/schema/scenes-rejected.schema.json").is_valid({**detail, **damage})


@pytest.mark.parametrize("damage", [{"revision": 0}, {"version": 1}, {"scenes": []}, {"more": 1}])
def test_the_schema_refuses_what_is_no_manifest(damage: dict[str, object]) -> None:
    manifest = json.loads(manifest_of(PHOTO, jobs_of_the_photo(), 1).model_dump_json())
    assert not validator("events/schema/manifest.schema.json").is_valid({**manifest, **damage})


hex_digits = st.text("0123456789abcdef", min_size=1, max_size=32)
mistakes = st.builds(
    Mistake, st.just(KEY), st.text(max_size=300), st.text(max_size=120), st.text(max_size=300)
)


@given(
    st.lists(mistakes, min_size=1, max_size=20), st.sampled_from(["scenes.json", "靴" * 300, "\x01" * 1012])
)
def test_a_rejection_of_any_mistakes_is_small_and_valid(found: list[Mistake], folder: str) -> None:
    upload = SCENES_UPLOAD.model_copy(update={"key": f"{folder}/scenes.json"})
    told = scenes_rejected_event(upload, found).detail
    assert len(told.encode()) <= 10_000
    validator("events/schema/scenes-rejected.schema.json").validate(json.loads(told))


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
