"""A photo through the front door of the real template: what goes in, what comes out, what is told."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest
import requests

from packshot.events import Detail
from packshot.messages import JobMessage
from tests.integration.conftest import MAX_PHOTO_BYTES
from tests.photos import HEIC, corrupt_png, noise, packshot
from tests.shop import SWEEP_PATIENCE_SECONDS, Shop, about


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_a_photo_becomes_an_image_a_record_and_an_event(shop: Shop, image_format: str) -> None:
    key = f"catalogue/chair-{image_format}.jpg"
    shop.upload(
        key,
        packshot(colour="teal"),
        {
            "packshot-prompt": "Place the chair on a marble floor",
            "packshot-image-format": image_format,
            "packshot-aspect-ratio": "16:9",
            "packshot-seed": "7",
        },
    )

    event = shop.event(key, "Scene Generated")
    jsonschema.validate(event, Detail.model_json_schema())
    image_key = f"catalogue/chair-{image_format}/default.{'jpg' if image_format == 'jpeg' else image_format}"
    assert event["image"]["key"] == image_key

    head = shop.s3.head_object(Bucket=shop.cloud.outputs["OutputBucketName"], Key=image_key)
    image = shop.image(image_key)
    assert (image.format or "").lower() == image_format
    assert image.width / image.height == pytest.approx(16 / 9, rel=0.02)
    assert (event["image"]["width"], event["image"]["height"]) == image.size
    assert event["image"]["bytes"] == head["ContentLength"]
    assert event["image"]["version_id"] == head["VersionId"]
    assert event["image"]["content_type"] == head["ContentType"] == f"image/{image_format}"
    assert head["Metadata"]["packshot-job-id"] == event["job_id"]
    assert head["Metadata"]["packshot-seed"] == "7"
    assert head["CacheControl"] == "public, max-age=300"

    row = shop.settled_row(event["job_id"])
    assert row["state"] == "COMPLETED"
    assert row["image_key"] == image_key
    assert row["request_id"] == event["request_id"]
    assert row["inference_seconds"] > 0
    assert row["error"] is None
    assert "due_at" not in row


def test_a_request_is_waited_for_and_ended_at_the_first_try(shop: Shop) -> None:
    shop.upload("first-try/lamp.jpg", packshot(colour="ivory"))
    job_id = shop.event("first-try/lamp.jpg", "Scene Generated")["job_id"]
    passed = shop.execution(job_id)
    assert passed[-1] == "ExecutionSucceeded"
    assert [each for each in passed if "Failed" in each or "TimedOut" in each] == []


def test_the_model_gets_exactly_what_the_scene_says(shop: Shop) -> None:
    shop.upload(
        "wire/lamp.png",
        packshot("PNG", colour="gold"),
        {"packshot-prompt": "caf%C3%A9 table", "packshot-quality": "55"},
    )
    event = shop.event("wire/lamp.png", "Scene Generated")

    accepted = _accepted(shop, event["request_id"])
    assert accepted.pop("image_1").startswith(f"{shop.aws_url}/{shop.input_bucket}/wire/lamp.png")
    assert accepted == {
        "prompt": "café table",
        "aspect_ratio": "match_input_image",
        "image_format": "webp",
        "quality": 55,
        "seed": event["seed"],
        "base64": False,
        "lora": "product_photography",
    }


KEYS = [
    "with space/red shoe.jpg",
    "plus+sign/a+b.jpg",
    "unicode/été-ソファ.png",
    "percent/100%/a%20b%2Bc.jpg",
    "suffix/SHOUTED.JPG",
    "suffix/Mixed.WebP",
    "deep/er/and/deeper/still.jpg",
    "root.jpg",
]


def test_every_kind_of_key_finds_its_way(shop: Shop) -> None:
    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    for key in KEYS:
        shop.upload(key, packshot(formats[key.rpartition(".")[2].lower()]))
    for key in KEYS:
        image_key = shop.event(key, "Scene Generated")["image"]["key"]
        assert image_key == f"{key.rpartition('.')[0]}/default.webp"
        assert shop.image(image_key).format == "WEBP"


@pytest.mark.parametrize(
    ("key", "data", "metadata", "code", "words"),
    [
        ("bad/zero.jpg", b"", {}, "EmptyFile", "0 bytes"),
        ("bad/text.jpg", b"I am not a photo", {}, "UnsupportedFormat", "text"),
        ("bad/corrupt.png", corrupt_png(), {}, "BrokenPicture", "broken"),
        ("bad/cut.jpg", packshot(size=(900, 900))[:2500], {}, "BrokenPicture", "broken"),
        ("bad/phone.heic", HEIC, {}, "UnsupportedFormat", "HEIC"),
        ("bad/phone.jpg", HEIC, {}, "UnsupportedFormat", "HEIC"),
        ("bad/large.png", noise((400, 400)), {}, "PhotoTooLarge", str(MAX_PHOTO_BYTES)),
        ("bad/quality.jpg", packshot(), {"packshot-quality": "101"}, "InvalidScene", "packshot-quality"),
        ("bad/ratio.jpg", packshot(), {"packshot-aspect-ratio": "7:5"}, "InvalidScene", "21:9"),
        ("bad/name.jpg", packshot(), {"packshot-colour": "red"}, "InvalidScene", "packshot-prompt"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("bad/") else "",
)
def test_what_is_no_photo_or_no_scene_is_rejected_aloud(
    shop: Shop, key: str, data: bytes, metadata: dict[str, str], code: str, words: str
) -> None:
    before = _counts(shop)["accepted"]
    shop.upload(key, data, metadata)
    event = shop.event(key, "Photo Rejected")
    jsonschema.validate(event, Detail.model_json_schema())
    assert event["reason"]["code"] == code
    assert words in event["reason"]["message"]
    assert event["image"] is None
    assert shop.row(event["job_id"])["state"] == "REJECTED"
    assert _counts(shop)["accepted"] == before


def test_a_photo_deleted_before_it_is_read_is_rejected(shop: Shop) -> None:
    shop.sqs.send_message(
        QueueUrl=shop.cloud.outputs["UploadQueueUrl"], MessageBody=_object_created(shop, "gone/vase.jpg")
    )
    assert shop.event("gone/vase.jpg", "Photo Rejected")["reason"]["code"] == "PhotoMissing"


def test_the_first_photo_owns_its_path(shop: Shop) -> None:
    shop.upload("same/mug.jpg", packshot(colour="red"))
    image_key = shop.event("same/mug.jpg", "Scene Generated")["image"]["key"]
    shop.upload("same/mug.png", packshot("PNG", colour="blue"))
    reason = shop.event("same/mug.png", "Photo Rejected")["reason"]
    assert reason["code"] == "PathTaken"
    assert image_key in reason["message"]
    assert "same/mug.jpg" in reason["message"]


def test_what_is_not_meant_to_be_a_photo_is_passed_over(shop: Shop) -> None:
    for key in ("quiet/", "quiet/.DS_Store", "quiet/_props/parasol.jpg", "quiet/scenes.json"):
        shop.upload(key, packshot() if key.endswith(".jpg") else b"{}")
    shop.upload("quiet/last.jpg", packshot())
    shop.event("quiet/last.jpg", "Scene Generated")
    keys = {about(event) for event in shop.seen}
    assert {key for key in keys if key.startswith("quiet/")} == {"quiet/last.jpg"}


def test_the_same_event_twice_is_one_request(shop: Shop) -> None:
    shop.upload("twice/bag.jpg", packshot(colour="olive"))
    event = shop.event("twice/bag.jpg", "Scene Generated")
    before = _counts(shop)["accepted"]
    head = shop.s3.head_object(Bucket=shop.input_bucket, Key="twice/bag.jpg")
    sequencer = shop.row(event["job_id"])["photo"]["sequencer"]
    body = _object_created(shop, "twice/bag.jpg", etag=head["ETag"].strip('"'), sequencer=sequencer)
    shop.sqs.send_message(QueueUrl=shop.cloud.outputs["UploadQueueUrl"], MessageBody=body)
    shop.listen_until(lambda: [e["detail"] for e in shop.seen].count(event) == 2)
    assert _counts(shop)["accepted"] == before


def test_a_then_b_then_a_again_ends_with_the_image_of_a_and_two_requests(shop: Shop) -> None:
    """In the emulator's picture the product is what it was in the photo: its colour tells whose it is."""
    before = _counts(shop)["accepted"]
    key, image_key = "again/cup.jpg", "again/cup/default.webp"
    versions = []
    for number, colour in enumerate(("red", "blue", "red"), start=1):
        shop.upload(key, packshot(colour=colour))
        shop.listen_until(lambda number=number: len(_generated(shop, key)) == number)  # type: ignore[misc]
        versions.append(_generated(shop, key)[-1]["image"]["version_id"])
        red, _, blue = shop.image(image_key).convert("RGB").resize((9, 9)).getpixel((4, 5))  # type: ignore[misc]
        assert (red > blue) is (colour == "red")
    assert len(set(versions)) == 3
    assert _counts(shop)["accepted"] - before == 2


def test_a_failed_request_ends_in_a_record_and_an_event_with_the_api_s_words(shop: Shop) -> None:
    words = "NSFW content detected in the output"
    _put_faults(shop, [{"call": "work", "times": 1, "effect": {"kind": "failed", "message": words}}])
    shop.upload("fails/doll.jpg", packshot(colour="pink"))
    event = shop.event("fails/doll.jpg", "Scene Failed")
    assert event["reason"] == {"code": "GenerationFailed", "message": words}
    row = shop.settled_row(event["job_id"])
    assert (row["state"], row["error"]["message"], row["cost_usd"]) == ("FAILED", words, None)


def test_a_rate_limited_photo_waits_visibly_and_comes_back_by_itself(shop: Shop) -> None:
    fault = {"kind": "answer", "status": 429, "headers": {"Retry-After": "2"}}
    _put_faults(shop, [{"call": "submit", "times": 1, "effect": fault}])
    shop.upload("waits/kettle.jpg", packshot(colour="silver"))
    parked = shop.event("waits/kettle.jpg", "Scene Parked")
    assert parked["cause"] == "rate"
    generated = shop.event("waits/kettle.jpg", "Scene Generated", SWEEP_PATIENCE_SECONDS)
    assert (generated["job_id"], generated["attempt"]) == (parked["job_id"], 2)


def test_a_job_that_is_told_of_again_on_its_way_is_one_request(shop: Shop) -> None:
    """While its request is being posted, and while that is waited for."""
    before = _counts(shop)["accepted"]
    _put_faults(
        shop,
        [
            {"call": "submit", "times": 1, "effect": {"kind": "slow", "seconds": 3}},
            {"call": "work", "times": 1, "effect": {"kind": "slow", "seconds": 3}},
        ],
    )
    shop.upload("again/bell.jpg", packshot(colour="khaki"))
    for state in ("CLAIMED", "SUBMITTED"):
        job_id = shop.job_in_state("again/bell.jpg", state)
        body = JobMessage(job_id=job_id).model_dump_json()
        shop.sqs.send_message(QueueUrl=shop.cloud.outputs["UploadQueueUrl"], MessageBody=body)
    shop.event("again/bell.jpg", "Scene Generated")
    assert _counts(shop)["accepted"] - before == 1
    assert shop.refusals() == []


def test_a_burst_loses_nothing_and_pays_once(shop: Shop) -> None:
    _put_faults(shop, [])
    before = _counts(shop)["accepted"]
    keys = [f"burst/{number:02}.jpg" for number in range(20)]
    photos = [packshot(size=(100 + number, 90)) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shop.upload, keys, photos))
    for key in keys:
        shop.event(key, "Scene Generated")
    assert _counts(shop)["accepted"] - before == len(keys)
    assert shop.dead_letters() == 0


def test_the_key_is_seen_by_the_api_alone(shop: Shop) -> None:
    shop.upload("secret/ring.jpg", packshot(colour="gold"))
    shop.event("secret/ring.jpg", "Scene Generated")
    assert _counts(shop)["keys_seen_on_file_host"] == 0


def _object_created(
    shop: Shop,
    key: str,
    etag: str = "d41d8cd98f00b204e9800998ecf8427e",
    sequencer: str = "00FFFFFFFFFFFFFFFF",
) -> str:
    return json.dumps(
        {
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {
                "bucket": {"name": shop.input_bucket},
                "object": {"key": key, "size": 1000, "etag": etag, "sequencer": sequencer},
            },
        }
    )


def _generated(shop: Shop, key: str) -> list[dict[str, Any]]:
    """The different facts that were told of images of that photo."""
    details = [event["detail"] for event in shop.seen if event["detail-type"] == "Scene Generated"]
    return list({detail["id"]: detail for detail in details if detail["photo"]["key"] == key}.values())


def _counts(shop: Shop) -> dict[str, Any]:
    answer = requests.get(f"{shop.cloud.segmind_url}/_emulator/counts", timeout=10)
    return dict(answer.json())


def _accepted(shop: Shop, request_id: str) -> dict[str, Any]:
    accepted = requests.get(f"{shop.cloud.segmind_url}/_emulator/requests", timeout=10).json()
    return dict(next(each["body"] for each in accepted if each["request_id"] == request_id))


def _put_faults(shop: Shop, rules: list[dict[str, Any]]) -> None:
    requests.put(f"{shop.cloud.segmind_url}/_emulator/faults", json=rules, timeout=10).raise_for_status()
