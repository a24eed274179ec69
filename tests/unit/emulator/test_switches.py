"""The switches for what nobody knows about the answers of the API."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from packshot_cli.emulator.settings import MODEL, Settings
from tests.unit.emulator.conftest import Emulate

URL = "http://emulator.test/generations/"


READ_URL: dict[str, Callable[[Any], Any]] = {
    "url": lambda body: body["output"],
    "list": lambda body: body["output"][0],
    "object": lambda body: body["output"]["url"],
    "images": lambda body: body["images"][0]["url"],
    "output_images": lambda body: body["output"]["images"][0]["url"],
    "json_text": lambda body: json.loads(body["output"])["url"],
}


@pytest.mark.parametrize("shape", READ_URL)
def test_a_result_names_the_image_in_the_shape_that_was_chosen(emulate: Emulate, shape: str) -> None:
    emulated = emulate(output_shape=shape)
    body = emulated.result(emulated.completed()).json()
    url = READ_URL[shape](body)
    assert url.startswith(URL)
    assert url.endswith(".webp")
    image = emulated.get(url)
    assert image.headers["content-type"] == "image/webp"
    assert image.content.startswith(b"RIFF")
    expected = {"status", "error", "metrics", "images" if shape == "images" else "output"}
    assert body.keys() == expected


@pytest.mark.parametrize("wants_base64", [False, True])
@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("base64", lambda answer: base64.b64decode(answer.json()["output"])),
        (
            "data_uri",
            lambda answer: base64.b64decode(
                answer.json()["output"].removeprefix("data:image/png;base64,"), validate=True
            ),
        ),
        ("binary", lambda answer: answer.content),
    ],
)
def test_a_result_can_carry_the_image_itself(
    emulate: Emulate, shape: str, read: Callable[[Any], bytes], wants_base64: bool
) -> None:
    switch = "base64_output_shape" if wants_base64 else "output_shape"
    settings: Any = {switch: shape}
    emulated = emulate(**settings)
    request_id = emulated.completed(image_format="png", base64=wants_base64)
    assert read(emulated.result(request_id)).startswith(b"\x89PNG")


def test_base64_in_v2_is_bare_unless_told_otherwise(emulate: Emulate) -> None:
    emulated = emulate()
    output = emulated.result(emulated.completed(base64=True)).json()["output"]
    assert base64.b64decode(output, validate=True).startswith(b"RIFF")


def test_every_shape_is_tested_here() -> None:
    shapes = Settings.model_json_schema()["properties"]["output_shape"]["enum"]
    assert set(shapes) == {*READ_URL, "base64", "data_uri", "binary"}


def test_more_metrics_come_with_a_completed_request(emulate: Emulate) -> None:
    names = ["cost", "remaining_credits", "queue_time", "total_time", "retry_count"]
    emulated = emulate(extra_metrics=names, credits_usd=10, price_usd=0.5)
    request_id = emulated.completed()
    metrics = {
        "inference_time": 18.0,
        "cost": 0.5,
        "remaining_credits": 9.5,
        "queue_time": 2.0,
        "total_time": 20.0,
        "retry_count": 0,
    }
    assert emulated.status(request_id).json()["metrics"] == metrics
    assert emulated.result(request_id).json()["metrics"] == metrics


def test_some_metrics_without_the_others(emulate: Emulate) -> None:
    emulated = emulate(extra_metrics=["cost"])
    assert emulated.result(emulated.completed()).json()["metrics"].keys() == {"inference_time", "cost"}


def test_statuses_can_be_in_lower_case(emulate: Emulate) -> None:
    emulated = emulate(lower_case_statuses=True)
    submitted = emulated.submit(prompt="forbidden-content").json()
    assert submitted["status"] == "queued"
    assert emulated.status(submitted["request_id"]).json()["status"] == "queued"
    emulated.clock.step(2)
    failed = emulated.until_status(submitted["request_id"], "failed")
    assert failed.status_code == 422
    request_id = emulated.submitted()
    emulated.clock.step(2)
    emulated.until_status(request_id, "processing")
    emulated.clock.step(18)
    emulated.until_status(request_id, "completed")
    assert emulated.result(request_id).json()["status"] == "completed"


def test_urls_can_name_other_hosts(emulate: Emulate) -> None:
    emulated = emulate(api_url="https://api.example", files_url="https://files.example/")
    answer = emulated.submit().json()
    request_id = answer["request_id"]
    assert answer["status_url"] == f"https://api.example/v2/requests/{request_id}/status"
    assert answer["response_url"] == f"https://api.example/v2/requests/{request_id}"
    assert emulated.status(request_id).json()["status_url"] == answer["status_url"]
    url = emulated.result(emulated.completed()).json()["output"]
    assert url.startswith("https://files.example/generations/")


def test_the_poll_url_of_v1_answers_as_the_result_does(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.completed()
    assert emulated.get(f"/v1/requests/{request_id}").json() == emulated.result(request_id).json()


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("text", lambda answer: answer.text),
        ("json", lambda answer: answer.json()["image"]),
        ("data_uri", lambda answer: answer.text.removeprefix("data:image/webp;base64,")),
    ],
)
def test_v1_with_base64(emulate: Emulate, shape: str, read: Callable[[Any], str]) -> None:
    emulated = emulate(seconds=1e-6, sync_base64_shape=shape)
    emulated.clock.step_at_once()
    answer = emulated.call("POST", f"/v1/{MODEL}", json={"prompt": "x", "base64": True})
    assert base64.b64decode(read(answer), validate=True).startswith(b"RIFF")
    assert answer.headers["x-seed-value"].isdigit()


def test_v1_answers_with_the_bytes_and_says_what_they_cost(emulate: Emulate) -> None:
    emulated = emulate(price_usd=0.25, credits_usd=1)
    emulated.clock.step_at_once()
    answer = emulated.call("POST", f"/v1/{MODEL}", json={"prompt": "x", "image_format": "jpeg", "seed": 7})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    (row,) = emulated.requests()
    told = {name: answer.headers[name] for name in answer.headers if name.startswith("x-")}
    assert told == {
        "x-cost": "0.25",
        "x-remaining-credits": "0.75",
        "x-request-id": row["request_id"],
        "x-generation-time": "18.000",
        "x-seed-value": "7",
    }


def test_a_failure_of_v1_is_an_error_with_its_reason(emulate: Emulate) -> None:
    emulated = emulate()
    emulated.clock.step_at_once()
    answer = emulated.call("POST", f"/v1/{MODEL}", json={"prompt": "x", "image_1": "no base64!"})
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]
    assert "image_1" in answer.json()["error"]
