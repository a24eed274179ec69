"""The official SDK against the emulator, over a real socket."""

from __future__ import annotations

import importlib
import io
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image
from segmind import InferenceFailed, InferenceTimeout, SegmindClient, SegmindError

from packshot_cli.emulator.settings import MODEL
from tests.emulator_server import RunningEmulator, emulator_in_thread

KEY = "SG_0123456789abcdef"
PROMPT = {"prompt": "a modern living room"}


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    with emulator_in_thread(api_key=KEY, credits_usd=1, price_usd=0.0891) as running:
        yield running


@pytest.fixture
def sdk(emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[SegmindClient]:
    # The one address that the SDK's base URL does not move.
    monkeypatch.setattr(
        importlib.import_module("segmind.generations"),
        "REQUEST_HISTORY_URL",
        f"{emulator.url}/inference-request/request-history",
    )
    with sdk_for(emulator, KEY) as client:
        yield client


@contextmanager
def sdk_for(emulator: RunningEmulator, key: str) -> Iterator[SegmindClient]:
    client = SegmindClient(api_key=key, base_url=f"{emulator.url}/v1")
    with client._client:
        yield client


def test_run(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    result = sdk.run(MODEL, **PROMPT, image_format="png", seed=5)
    assert result["status"] == "COMPLETED"
    assert result["error"] is None
    assert result["metrics"]["inference_time"] == pytest.approx(0.09, abs=0.05)
    image = httpx.get(result["output"])
    assert image.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(image.content)) as picture:
        assert (picture.format, picture.size) == ("PNG", (48, 32))
    assert emulator.counts()["keys_seen_on_file_host"] == 0


def test_run_with_every_parameter_of_the_model_page(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    photo = httpx.get(sdk.run(MODEL, **PROMPT, image_format="jpeg")["output"]).content
    served = sdk.run(MODEL, **PROMPT)["output"]
    job = sdk.submit_async(
        MODEL,
        **PROMPT,
        image_1=served + "?signature=secret",
        image_2=b64encode(photo).decode(),
        image_3=None,
        lora="product_photography",
        lora_2_url="https://loras.example/one.safetensors",
        lora_3_url=None,
        aspect_ratio="match_input_image",
        seed=87568756,
        image_format="webp",
        quality=95,
        base64=False,
    )
    assert job.wait(timeout=5, interval=0.02)["status"] == "COMPLETED"
    body = emulator.requests()[-1]["body"]
    assert body["image_1"] == served
    assert body["image_2"].startswith("<")
    assert body["seed"] == 87568756


def test_submit_status_wait_result(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    job = sdk.submit_async(MODEL, **PROMPT)
    assert job.submit_response["status"] == "QUEUED"
    assert job.status_url == f"{emulator.url}/v2/requests/{job.request_id}/status"
    assert job.response_url == f"{emulator.url}/v2/requests/{job.request_id}"
    assert job.status()["status"] in ("QUEUED", "PROCESSING")
    result = job.wait(timeout=5, interval=0.01)
    assert result == job.result()
    assert job.status() == {
        "status": "COMPLETED",
        "request_id": job.request_id,
        "metrics": result["metrics"],
    }
    (completion,) = emulator.counts()["completions"]
    assert 0 <= completion["noticed_seconds"] < 0.1


def test_run_sync(sdk: SegmindClient) -> None:
    response = sdk.run_sync(MODEL, **PROMPT, seed=5)
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["x-seed-value"] == "5"
    assert response.headers["x-cost"] == "0.0891"
    assert float(response.headers["x-remaining-credits"]) == 0.9109
    with Image.open(io.BytesIO(response.content)) as picture:
        assert picture.format == "WEBP"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"prompt": "forbidden-content"}, "content policy"),
        ({**PROMPT, "image_1": "no base64!"}, "image_1"),
        ({**PROMPT, "image_1": "{emulator}/generations/gone.png?signature=secret"}, "HTTP 404"),
        ({**PROMPT, "image_1": "{emulator}/_emulator/health"}, "Failed to decode"),
        ({**PROMPT, "image_1": "http://127.0.0.1:1/photo.png"}, "ConnectionError"),
    ],
)
def test_a_failed_job(
    sdk: SegmindClient, emulator: RunningEmulator, parameters: dict[str, str], said: str
) -> None:
    filled = {name: value.replace("{emulator}", emulator.url) for name, value in parameters.items()}
    job = sdk.submit_async(MODEL, **filled)
    with pytest.raises(InferenceFailed) as failed:
        job.wait(timeout=5, interval=0.01)
    assert said in failed.value.detail
    assert "secret" not in failed.value.detail
    assert failed.value.status_body["request_id"] == job.request_id
    assert job.result() == failed.value.status_body
    assert sdk._request("GET", "/get-user-credits").json()["credits"] == 1


def test_a_job_that_takes_too_long(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    emulator.change_settings(seconds=60)
    job = sdk.submit_async(MODEL, **PROMPT)
    with pytest.raises(InferenceTimeout) as timed_out:
        job.wait(timeout=0.05, interval=0.01)
    assert timed_out.value.request_id == job.request_id


def test_a_wrong_key(emulator: RunningEmulator) -> None:
    with sdk_for(emulator, "SG_another") as stranger, pytest.raises(SegmindError) as refused:
        stranger.run(MODEL, **PROMPT)
    assert (refused.value.status, refused.value.detail) == (401, "Invalid API key")


def test_the_key_as_a_bearer_token_is_no_key(emulator: RunningEmulator) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{emulator.url}/v2/{MODEL}", headers=bearer, json=PROMPT)
    assert answer.status_code == 401


def test_an_unknown_model_and_an_expired_request(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    with pytest.raises(SegmindError) as unknown:
        sdk.submit_async("another-model", **PROMPT)
    assert unknown.value.status == 404
    emulator.change_settings(record_seconds=0.05)
    job = sdk.submit_async(MODEL, **PROMPT)
    time.sleep(0.06)
    with pytest.raises(SegmindError) as expired:
        job.wait(timeout=1, interval=0.01)
    assert (expired.value.status, expired.value.detail) == (404, f"Request {job.request_id} not found")


def test_a_refused_value(sdk: SegmindClient) -> None:
    with pytest.raises(SegmindError) as refused:
        sdk.submit_async(MODEL, **PROMPT, quality=0)
    assert refused.value.status == 400
    assert "quality" in refused.value.detail


def test_credits_run_out_and_come_back(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    def balance() -> Any:
        return sdk._request("GET", "/get-user-credits").json()

    assert balance() == {"credits": 1.0, "free-credits": 0.0}
    sdk.submit_async(MODEL, **PROMPT).wait(timeout=5, interval=0.01)
    assert balance()["credits"] == 0.9109
    emulator.change_settings(credits_usd=0.05)
    with pytest.raises(SegmindError) as refused:
        sdk.submit_async(MODEL, **PROMPT)
    assert (refused.value.status, refused.value.detail) == (406, "Insufficient credits")
    emulator.change_settings(credits_usd=1)
    sdk.submit_async(MODEL, **PROMPT)


def test_history(sdk: SegmindClient) -> None:
    done = sdk.submit_async(MODEL, **PROMPT, seed=5)
    output = done.wait(timeout=5, interval=0.01)["output"]
    failing = sdk.submit_async(MODEL, prompt="forbidden-content")
    with pytest.raises(InferenceFailed):
        failing.wait(timeout=5, interval=0.01)
    page = sdk.generations.history(model_name=MODEL, sort_order="asc")
    assert [row["request_id"] for row in page["data"]] == [done.request_id, failing.request_id]
    row = sdk.generations.get(done.request_id)
    assert row == page["data"][0]
    assert row["model_name"] == MODEL
    assert row["model_status"] == "COMPLETED"
    assert row["credits_deduction"] == 0.0891
    assert row["request_body"] == {**PROMPT, "seed": 5}
    assert row["generation_url"] == output
    assert row["latency_ms"] == pytest.approx(100, abs=60)
    assert [row["request_id"] for row in sdk.generations.history(status="FAILED")["data"]] == [
        failing.request_id
    ]
    with pytest.raises(SegmindError) as missing:
        sdk.generations.get("no-such-id")
    assert missing.value.status == 404
    with pytest.raises(SegmindError) as too_wide:
        sdk.generations.history(from_date="2020-01-01")
    assert too_wide.value.status == 400


def test_the_sdk_takes_a_contradicting_result_for_a_success(
    sdk: SegmindClient, emulator: RunningEmulator
) -> None:
    emulator.put_faults({"call": "result", "effect": {"kind": "failed", "message": "lost on the way"}})
    result = sdk.submit_async(MODEL, **PROMPT).wait(timeout=5, interval=0.01)
    assert (result["status"], result["error"]) == ("FAILED", "lost on the way")


def test_the_sdk_takes_a_binary_result_for_nothing(sdk: SegmindClient, emulator: RunningEmulator) -> None:
    emulator.change_settings(output_shape="binary")
    assert sdk.submit_async(MODEL, **PROMPT).wait(timeout=5, interval=0.01) == {}


def test_the_sdk_polls_a_lower_case_status_until_the_timeout(
    sdk: SegmindClient, emulator: RunningEmulator
) -> None:
    emulator.change_settings(lower_case_statuses=True)
    with pytest.raises(InferenceTimeout):
        sdk.submit_async(MODEL, **PROMPT).wait(timeout=0.3, interval=0.02)
