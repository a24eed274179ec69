"""A folder of photos and scenes files through the real template: what is sent, made and told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
import requests

from packshot.events import CompletionDetail, Detail, ScenesRejectedDetail
from packshot.manifest import Manifest
from tests.photos import packshot
from tests.recorded import recorded_cloud
from tests.shop import Event, Shop, about

MODEL = "qwen-image-edit-plus-product-photography"
LORAS = {"lora_2_url": "https://loras.example/film.safetensors", "lora_3_url": "https://loras.example/grain"}

# The shop's own parameters are the root: quality 80 is theirs.
TREE: dict[str, dict[str, Any]] = {
    "tree/scenes.json": {
        "version": 1,
        "ignore": ["*-swatch.*", "drafts/**"],
        "defaults": {"image_format": "jpeg", "aspect_ratio": "1:1", "lora": "product_photography"},
        "variables": {"product": "piece", "mood": "calm"},
        "scenes": {
            "studio": {"prompt": "The {product} in a {mood} studio", "seed": 100},
            "night": {"prompt": "The {product} at night in {folder}", "seed": 200, "quality": 40},
        },
    },
    "tree/sofas/scenes.json": {
        "inherit": True,
        "defaults": {"aspect_ratio": "3:2"},
        "variables": {"product": "sofa"},
        "scenes": {
            "living-room": {
                "prompt": "Place the {product} in a living room",
                "aspect_ratio": "4:5",
                "seed": 7,
            },
            "beach": {
                "prompt": "Place the {product} on a beach at {time_of_day}",
                "variations": 3,
                "seed": 40,
                "image_2": "_props/parasol.png",
            },
        },
    },
    "tree/sofas/sku-123.jpg.scenes.json": {
        "inherit": True,
        "variables": {"time_of_day": "noon"},
        "scenes": {
            "attic": {
                "prompt": "SKU {sku}, {stem}, {{as it is}}",
                "seed": -1,
                "base64": True,
                "image_2": "/tree/lamps/_props/rug.jpg",
                "image_3": "../lamps/_props/rug.jpg",
                **LORAS,
            }
        },
    },
    "tree/lamps/scenes.json": {
        "scenes": {"desk": {"prompt": "The lamp on a desk, {light}", "variations": 2}},
        "variables": {"light": "lit"},
    },
}
PROPS = {"tree/sofas/_props/parasol.png": "PNG", "tree/lamps/_props/rug.jpg": "JPEG"}
METADATA = {
    "tree/sofas/sku-123.jpg": {"packshot-image-format": "png", "packshot-var-mood": "stormy"},
    "tree/sofas/grey.jpg": {"packshot-var-time-of-day": "dusk"},
    "tree/lamps/lamp.png": {},
}
SOFA = {"aspect_ratio": "3:2", "quality": 80, "image_format": "jpeg"}
PARASOL = {"image_2": "tree/sofas/_props/parasol.png"}
# By photo and scene, what is sent beside the photo; where no seed is given it is drawn.
SENT: dict[str, dict[str, dict[str, Any]]] = {
    "tree/sofas/sku-123.jpg": {
        name: {**SOFA, **values, "image_format": "png"}
        for name, values in {
            "studio": {"prompt": "The sofa in a stormy studio", "seed": 100},
            "night": {"prompt": "The sofa at night in tree/sofas", "seed": 200, "quality": 40},
            "living-room": {"prompt": "Place the sofa in a living room", "seed": 7, "aspect_ratio": "4:5"},
            "beach-1": {"prompt": "Place the sofa on a beach at noon", "seed": 40, **PARASOL},
            "beach-2": {"prompt": "Place the sofa on a beach at noon", "seed": 41, **PARASOL},
            "beach-3": {"prompt": "Place the sofa on a beach at noon", "seed": 42, **PARASOL},
            "attic": {
                "prompt": "SKU 123, sku-123, {as it is}",
                "base64": True,
                "image_2": "tree/lamps/_props/rug.jpg",
                "image_3": "tree/lamps/_props/rug.jpg",
                **LORAS,
            },
        }.items()
    },
    "tree/sofas/grey.jpg": {
        "studio": {**SOFA, "prompt": "The sofa in a calm studio", "seed": 100},
        "night": {**SOFA, "prompt": "The sofa at night in tree/sofas", "seed": 200, "quality": 40},
        "living-room": {
            **SOFA,
            "prompt": "Place the sofa in a living room",
            "seed": 7,
            "aspect_ratio": "4:5",
        },
        **{
            f"beach-{number}": {
                **SOFA,
                **PARASOL,
                "prompt": "Place the sofa on a beach at dusk",
                "seed": 39 + number,
            }
            for number in (1, 2, 3)
        },
    },
    "tree/lamps/lamp.png": {
        f"desk-{number}": {
            "prompt": "The lamp on a desk, lit",
            "aspect_ratio": "match_input_image",
            "image_format": "webp",
            "quality": 80,
        }
        for number in (1, 2)
    },
}
SUFFIXES = {"jpeg": "jpg", "png": "png", "webp": "webp"}


@pytest.fixture(scope="module")
def completed(shop: Shop) -> dict[str, Event]:
    """The detail of `Photo Completed` for each photo of the tree, which was put there scenes first."""
    for key, image_format in PROPS.items():
        shop.upload(key, packshot(image_format, colour="orange"))
    for key, file in TREE.items():
        shop.upload(key, json.dumps(file).encode())
    for key in ("tree/sofas/red-swatch.jpg", "tree/drafts/sketch.jpg"):
        shop.upload(key, packshot())
    for number, (key, metadata) in enumerate(METADATA.items()):
        image_format = "PNG" if key.endswith("png") else "JPEG"
        shop.upload(key, packshot(image_format, size=(200 + number, 120)), metadata)
    return {key: shop.event(key, "Photo Completed", 120) for key in METADATA}


def test_every_parameter_is_sent_at_least_once() -> None:
    sent = {name for scenes in SENT.values() for body in scenes.values() for name in body}
    assert sent | {"image_1", "lora"} == {
        *("prompt", "image_1", "image_2", "image_3", "aspect_ratio", "image_format", "quality", "seed"),
        *("base64", "lora", "lora_2_url", "lora_3_url"),
    }


def test_the_wire_carries_exactly_what_the_files_say(shop: Shop, completed: Mapping[str, Event]) -> None:
    accepted = {each["request_id"]: each["body"] for each in _requests(shop)}
    bucket = f"{shop.aws_url}/{shop.input_bucket}"
    for key, scenes in SENT.items():
        manifest = _manifest(shop, completed[key])
        assert list(manifest.scenes) == list(scenes)
        for name, values in scenes.items():
            told = manifest.scenes[name]
            expected = {
                "seed": told.seed,
                "base64": False,
                "lora": "product_photography",
                **values,
                "image_1": f"{bucket}/{key}",
            }
            for reference in ("image_2", "image_3"):
                if reference in values:
                    expected[reference] = f"{bucket}/{values[reference]}"
            assert accepted[str(told.request_id)] == expected


def test_nothing_else_was_paid_for(shop: Shop, completed: Mapping[str, Event]) -> None:
    jobs = [body for body in _requests(shop) if "/tree/" in body["body"]["image_1"]]
    assert len(jobs) == sum(map(len, SENT.values())) == 15


def test_the_manifest_is_the_whole_truth(shop: Shop, completed: Mapping[str, Event]) -> None:
    for key, scenes in SENT.items():
        manifest = _manifest(shop, completed[key])
        head = shop.s3.head_object(Bucket=shop.input_bucket, Key=key)
        photo = shop.s3.get_object(Bucket=shop.input_bucket, Key=key)["Body"].read()
        assert manifest.photo.model_dump() == {
            "bucket": shop.input_bucket,
            "key": key,
            "version_id": head["VersionId"],
            "etag": head["ETag"].strip('"'),
            "sha256": hashlib.sha256(photo).hexdigest(),
            "bytes": len(photo),
        }
        assert manifest.sku == ("123" if "sku-123" in key else None)
        assert manifest.model == MODEL
        for name, values in scenes.items():
            told = manifest.scenes[name]
            row = shop.row(told.job_id)
            assert (told.state, told.error, told.cause) == ("COMPLETED", None, None)
            assert (told.prompt, told.seed) == (values["prompt"], values.get("seed", row["seed"]))
            assert told.request_id == row["request_id"]
            assert told.inference_seconds == pytest.approx(float(row["inference_seconds"]))
            assert told.image is not None
            assert told.image.key == f"{key.rpartition('.')[0]}/{name}.{SUFFIXES[values['image_format']]}"
            answer = shop.s3.get_object(
                Bucket=told.image.bucket, Key=told.image.key, VersionId=told.image.version_id
            )
            data = answer["Body"].read()
            assert (told.image.bytes, told.image.content_type) == (
                len(data),
                f"image/{values['image_format']}",
            )
            assert told.image.sha256 == hashlib.sha256(data).hexdigest()
            assert (told.image.width, told.image.height) == shop.image(told.image.key).size
    assert {scene.seed for scene in _manifest(shop, completed["tree/lamps/lamp.png"]).scenes.values()} != {
        None
    }


def test_one_event_says_that_the_photo_is_complete(shop: Shop, completed: Mapping[str, Event]) -> None:
    for key, detail in completed.items():
        jsonschema.validate(detail, CompletionDetail.model_json_schema())
        manifest = _manifest(shop, detail)
        assert detail["manifest"]["key"] == f"{key.rpartition('.')[0]}/manifest.json"
        assert detail["sku"] == manifest.sku
        assert detail["photo"]["key"] == key
        assert detail["failures"] == []
        assert (detail["images_count"], detail["failures_count"]) == (len(manifest.scenes), 0)
        expected = []
        for name, scene in manifest.scenes.items():
            assert scene.image is not None
            told = {"scene": name, "job_id": scene.job_id, "seed": scene.seed}
            expected.append({**scene.image.model_dump(), **told})
        assert detail["images"] == expected
        facts = {
            event["detail"]["id"]
            for event in shop.seen
            if (event["detail-type"], about(event)) == ("Photo Completed", key)
        }
        assert facts == {detail["id"]}


def test_what_a_scenes_file_ignores_is_passed_over(shop: Shop, completed: Mapping[str, Event]) -> None:
    assert not {"tree/sofas/red-swatch.jpg", "tree/drafts/sketch.jpg"} & set(map(about, shop.seen))


def test_partial_success_is_visible(shop: Shop) -> None:
    scenes = {"good": {"prompt": "A fine day"}, "bad": {"prompt": "A bad day"}}
    shop.upload("partial/scenes.json", json.dumps({"scenes": scenes}).encode())
    fault = {"call": "work", "times": 1, "effect": {"kind": "failed", "message": "NSFW content detected"}}
    requests.put(f"{shop.cloud.segmind_url}/_emulator/faults", json=[fault], timeout=10).raise_for_status()
    shop.upload("partial/doll.jpg", packshot(colour="pink"))
    detail = shop.event("partial/doll.jpg", "Photo Completed")
    assert (detail["images_count"], detail["failures_count"]) == (1, 1)
    (failure,) = detail["failures"]
    assert failure["state"] == "FAILED"
    assert failure["reason"] == {"code": "GenerationFailed", "message": "NSFW content detected"}
    assert {failure["scene"], detail["images"][0]["scene"]} == {"good", "bad"}
    manifest = _manifest(shop, detail)
    assert manifest.scenes[failure["scene"]].error is not None
    assert manifest.scenes[failure["scene"]].image is None


def test_a_changed_scenes_file_is_for_photos_that_are_uploaded_later(shop: Shop) -> None:
    def say(prompt: str) -> None:
        shop.upload("changed/scenes.json", json.dumps({"scenes": {"spot": {"prompt": prompt}}}).encode())

    say("before")
    shop.upload("changed/cup.jpg", packshot(colour="brown"))
    first = shop.event("changed/cup.jpg", "Photo Completed")
    say("after")
    shop.upload("changed/cup.jpg", packshot(colour="brown"))
    shop.listen_until(lambda: len(_completions(shop, "changed/cup.jpg")) == 2)
    second = _completions(shop, "changed/cup.jpg")[-1]
    assert first["images"][0]["job_id"] != second["images"][0]["job_id"]
    assert _manifest(shop, second).scenes["spot"].prompt == "after"


def test_a_scenes_file_that_comes_right_after_its_photo_is_waited_for() -> None:
    with recorded_cloud(wait_scale=0.05, emulator_seconds=0.5, parameters={"SettleSeconds": "4"}) as shop:
        shop.upload("late/cup.jpg", packshot())
        shop.upload("late/scenes.json", json.dumps({"scenes": {"spot": {"prompt": "in time"}}}).encode())
        (image,) = shop.event("late/cup.jpg", "Photo Completed")["images"]
        assert image["scene"] == "spot"


# The file, where it is wrong, and a part of what is allowed there.
BROKEN: dict[str, tuple[str, str, str]] = {
    "no JSON": ('{"scenes": {"a": {"quality": 80,}}}', "$", "JSON, without comments"),
    "an unknown name": ('{"scene": {}}', "$.scene", "scenes"),
    "an unknown parameter": ('{"defaults": {"qality": 3}}', "$.defaults.qality", "quality"),
    "a number that is a text": ('{"defaults": {"quality": "95"}}', "$.defaults.quality", "1 to 100"),
    "out of range": ('{"scenes": {"a": {"quality": 101}}}', "$.scenes.a.quality", "1 to 100"),
    "no such format": ('{"scenes": {"a": {"image_format": "gif"}}}', "$.scenes.a.image_format", "webp"),
    "no name": ('{"scenes": {"a/b": {}}}', '$.scenes["a/b"]', "letters"),
    "a name twice": ('{"scenes": {"a": {}, "a": {}}}', "$.scenes.a", "once"),
    "names that collide": ('{"scenes": {"a": {"variations": 2}, "a-2": {}}}', "$.scenes.a-2", "of its own"),
    "http": ('{"scenes": {"a": {"image_2": "http://x.example/y"}}}', "$.scenes.a.image_2", "https://"),
    "braces": ('{"scenes": {"a": {"prompt": "a {b"}}}', "$.scenes.a.prompt", "twice"),
    "too many variations": ('{"scenes": {"a": {"variations": 11}}}', "$.scenes.a.variations", "10"),
    "another version": ('{"version": 2}', "$.version", "1"),
}
# What only shows when there is a photo.
BROKEN_FOR_A_PHOTO: dict[str, tuple[str, str, str]] = {
    "unknown placeholder": (
        '{"scenes": {"a": {"prompt": "a {b}"}}}',
        "$.scenes.a.prompt",
        "{folder}, {stem}",
    ),
    "no such image": ('{"defaults": {"image_3": "_props/x.png"}}', "$.defaults.image_3", "_props/x.png"),
    "too many jobs": (
        json.dumps({"scenes": {name: {"variations": 7} for name in "abc"}}),
        "$.scenes",
        "at most 20",
    ),
}


def test_a_broken_scenes_file_is_told_of_at_once_and_again_for_each_photo(shop: Shop) -> None:
    before = len(_requests(shop))
    files = {f"broken/{name}/scenes.json": each for name, each in {**BROKEN, **BROKEN_FOR_A_PHOTO}.items()}
    for key, (text, _, _) in files.items():
        shop.upload(key, text.encode())
    for name, (_, path, allowed) in BROKEN.items():
        key = f"broken/{name}/scenes.json"
        detail = shop.event(key, "Scenes Rejected")
        jsonschema.validate(detail, ScenesRejectedDetail.model_json_schema())
        assert [mistake["path"] for mistake in detail["mistakes"]] == [path]
        assert allowed in detail["mistakes"][0]["allowed"]
        assert detail["reason"]["message"].startswith(f"{key}: {path}: found ")
    for key in files:
        shop.upload(key.replace("scenes.json", "chair.jpg"), packshot())
    for key, (_, path, words) in files.items():
        detail = shop.event(key.replace("scenes.json", "chair.jpg"), "Photo Rejected")
        jsonschema.validate(detail, Detail.model_json_schema())
        assert detail["reason"]["code"] == "InvalidScene"
        assert detail["reason"]["message"].startswith(f"{key}: {path}: found ")
        assert words in detail["reason"]["message"]
    assert len(_requests(shop)) == before
    rejected = {about(event) for event in shop.seen if event["detail-type"] == "Scenes Rejected"}
    assert rejected == {f"broken/{name}/scenes.json" for name in BROKEN}


def _requests(shop: Shop) -> list[dict[str, Any]]:
    return list(requests.get(f"{shop.cloud.segmind_url}/_emulator/requests", timeout=10).json())


def _manifest(shop: Shop, completed: Event) -> Manifest:
    place = completed["manifest"]
    answer = shop.s3.get_object(Bucket=place["bucket"], Key=place["key"])
    assert answer["ContentType"] == "application/json"
    return Manifest.model_validate_json(answer["Body"].read())


def _completions(shop: Shop, key: str) -> list[Event]:
    """The different facts of that kind about a photo."""
    found = [e["detail"] for e in shop.seen if (e["detail-type"], about(e)) == ("Photo Completed", key)]
    return list({detail["id"]: detail for detail in found}.values())
