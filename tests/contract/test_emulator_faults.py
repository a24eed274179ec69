"""Every kind of fault, as a client meets it on a real socket."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from packshot_cli.emulator.settings import MODEL
from tests.emulator_server import RunningEmulator, emulator_in_thread

SUBMIT = f"/v2/{MODEL}"
V1 = f"/v1/{MODEL}"
BODY = {"prompt": "a modern living room", "image_format": "webp"}


@pytest.fixture(scope="module")
def served() -> Iterator[RunningEmulator]:
    with emulator_in_thread(seconds=0.05, credits_usd=1000) as running:
        yield running


@pytest.fixture
def emulator(served: RunningEmulator) -> RunningEmulator:
    served.put_faults()
    return served


@pytest.fixture
def client(emulator: RunningEmulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, headers={"x-api-key": "a-key"}, timeout=5) as client:
        yield client


def image_url(client: httpx.Client) -> str:
    """Of an image that was just made."""
    request_id = client.post(SUBMIT, json=BODY).json()["request_id"]
    while (result := client.get(f"/v2/requests/{request_id}").json())["status"] != "COMPLETED":
        time.sleep(0.01)
    url: str = result["output"]
    return url


CALLS: dict[str, tuple[str, str, Any]] = {
    "submit": ("POST", SUBMIT, BODY),
    "v1": ("POST", V1, BODY),
    "status": ("GET", "/v2/requests/some-id/status", None),
    "result": ("GET", "/v2/requests/some-id", None),
    "file": ("GET", "/generations/some-name", None),
    "credits": ("GET", "/v1/get-user-credits", None),
    "history": ("GET", "/inference-request/request-history", None),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "content_type", "body"),
    [
        ({"status": 502, "html": "<h1>Bad Gateway</h1>"}, "text/html; charset=utf-8", "<h1>Bad Gateway</h1>"),
        ({"status": 429, "json": {"error": "slow down"}}, "application/json", '{"error":"slow down"}'),
        ({"status": 403}, "application/json", '{"error":"Model not permitted for this team"}'),
        ({"status": 410}, "application/json", '{"error":"This model has been retired"}'),
        ({"status": 504}, "application/json", '{"error":"Gateway Timeout"}'),
        ({"status": 520}, "application/json", '{"error":"Unknown error"}'),
    ],
)
def test_another_answer(
    client: httpx.Client,
    emulator: RunningEmulator,
    call: str,
    answer: dict[str, Any],
    content_type: str,
    body: str,
) -> None:
    accepted = emulator.counts()["accepted"]
    emulator.put_faults(
        {"call": call, "effect": {"kind": "answer", **answer, "headers": {"retry-after": "7"}}}
    )
    method, path, sent = CALLS[call]
    met = client.request(method, path, json=sent)
    assert (met.status_code, met.headers["content-type"], met.text) == (answer["status"], content_type, body)
    assert met.headers["retry-after"] == "7"
    assert emulator.counts()["accepted"] == accepted


@pytest.mark.parametrize("call", CALLS)
def test_a_reset_before_the_call_does_anything(
    client: httpx.Client, emulator: RunningEmulator, call: str
) -> None:
    before = emulator.counts()
    emulator.put_faults({"call": call, "nth": 1, "effect": {"kind": "reset"}})
    method, path, sent = CALLS[call]
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        client.request(method, path, json=sent)
    after = emulator.counts()
    assert after["accepted"] == before["accepted"]
    assert after["answers"][call]["reset"] == before["answers"][call].get("reset", 0) + 1
    assert client.request(method, path, json=sent).status_code in (200, 404)


@pytest.mark.parametrize("call", ["submit", "v1"])
def test_a_lost_answer_to_a_request_that_is_taken_and_charged(
    client: httpx.Client, emulator: RunningEmulator, call: str
) -> None:
    before = emulator.counts()
    emulator.put_faults({"call": call, "effect": {"kind": "lost"}})
    method, path, sent = CALLS[call]
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        client.request(method, path, json=sent)
    time.sleep(0.2)
    after = emulator.counts()
    assert after["accepted"] == before["accepted"] + 1
    assert after["charged"] == before["charged"] + 1
    assert after["answers"][call]["lost"] == before["answers"][call].get("lost", 0) + 1


@pytest.mark.parametrize("call", CALLS)
def test_a_slow_answer_is_the_right_one(client: httpx.Client, emulator: RunningEmulator, call: str) -> None:
    emulator.put_faults({"call": call, "nth": 1, "effect": {"kind": "slow", "seconds": 0.25}})
    method, path, sent = CALLS[call]
    started = time.monotonic()
    slow = client.request(method, path, json=sent)
    assert time.monotonic() - started >= 0.25
    assert slow.status_code == client.request(method, path, json=sent).status_code


def test_without_a_fault_an_answer_takes_milliseconds(client: httpx.Client) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        client.get("/v2/requests/some-id/status")
        return time.perf_counter() - started

    assert min(seconds() for _ in range(10)) < 0.03  # Nagle's algorithm made it 0.04 and more, each time


def test_a_slow_answer_does_not_hold_up_others_and_may_time_out_after_acceptance(
    client: httpx.Client, emulator: RunningEmulator
) -> None:
    accepted = emulator.counts()["accepted"]
    emulator.put_faults({"call": "submit", "effect": {"kind": "slow", "seconds": 1}})
    with pytest.raises(httpx.ReadTimeout):
        client.post(SUBMIT, json=BODY, timeout=0.1)
    started = time.monotonic()
    assert emulator.counts()["accepted"] == accepted + 1
    assert time.monotonic() - started < 0.5


def test_a_truncated_file_under_the_whole_length(client: httpx.Client, emulator: RunningEmulator) -> None:
    url = image_url(client)
    whole = client.get(url).content
    emulator.put_faults({"call": "file", "effect": {"kind": "truncated", "keep": 0.5}})
    received = bytearray()

    def receive(answer: httpx.Response) -> None:
        for part in answer.iter_bytes():
            received.extend(part)

    with httpx.stream("GET", url) as cut:
        assert cut.headers["content-length"] == str(len(whole))
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            receive(cut)
    assert received == whole[: len(whole) // 2]


def test_a_truncated_file_under_its_own_length(client: httpx.Client, emulator: RunningEmulator) -> None:
    url = image_url(client)
    whole = client.get(url).content
    emulator.put_faults(
        {"call": "file", "effect": {"kind": "truncated", "keep": 0.25, "declare_whole": False}}
    )
    cut = client.get(url)
    assert cut.status_code == 200
    assert cut.content == whole[: len(whole) // 4]


@pytest.mark.parametrize("call", ["submit", "v1", "status", "result", "credits", "history"])
def test_any_answer_can_be_truncated(client: httpx.Client, emulator: RunningEmulator, call: str) -> None:
    emulator.put_faults({"call": call, "effect": {"kind": "truncated"}})
    method, path, sent = CALLS[call]
    with pytest.raises(httpx.RemoteProtocolError):
        client.request(method, path, json=sent)


@pytest.mark.parametrize(
    ("effect", "content_type", "start"),
    [
        ({"content": "html"}, "text/html", b"<html>"),
        ({"content": "html", "content_type": "image/webp"}, "image/webp", b"<html>"),
        ({"content": "text"}, "text/plain", b"temporarily"),
        ({"content": "empty"}, "image/webp", b""),
        ({"content": "other_format"}, "image/webp", b"\x89PNG"),
        ({"content": "other_format", "content_type": "image/png"}, "image/png", b"\x89PNG"),
    ],
)
def test_a_wrong_file(
    client: httpx.Client, emulator: RunningEmulator, effect: dict[str, str], content_type: str, start: bytes
) -> None:
    url = image_url(client)
    emulator.put_faults({"call": "file", "effect": {"kind": "wrong_file", **effect}})
    wrong = client.get(url)
    assert (wrong.status_code, wrong.headers["content-type"]) == (200, content_type)
    assert wrong.content.startswith(start)
    assert wrong.headers["content-length"] == str(len(wrong.content))
    if effect["content"] == "other_format":
        with Image.open(io.BytesIO(wrong.content)) as picture:
            assert picture.size == (48, 32)
    if effect["content"] == "empty":
        assert wrong.content == b""


def test_a_file_that_is_not_there_cannot_be_wrong(client: httpx.Client, emulator: RunningEmulator) -> None:
    emulator.put_faults({"call": "file", "effect": {"kind": "wrong_file", "content": "other_format"}})
    assert client.get("/generations/no-such-image").status_code == 404


def test_a_file_fault_for_one_request(client: httpx.Client, emulator: RunningEmulator) -> None:
    one, other = image_url(client), image_url(client)
    request_id = emulator.requests()[-2]["request_id"]
    emulator.put_faults(
        {"call": "file", "request_id": request_id, "effect": {"kind": "answer", "status": 503}}
    )
    assert (client.get(one).status_code, client.get(other).status_code) == (503, 200)


def test_a_failed_status_while_the_job_goes_on(client: httpx.Client, emulator: RunningEmulator) -> None:
    emulator.put_faults({"call": "status", "nth": 1, "effect": {"kind": "failed", "message": "not true"}})
    request_id = client.post(SUBMIT, json=BODY).json()["request_id"]
    lie = client.get(f"/v2/requests/{request_id}/status")
    assert lie.status_code == 422
    assert lie.json() == {"status": "FAILED", "error": "not true", "metrics": {}, "request_id": request_id}
    assert client.get(f"/v2/requests/{request_id}/status").json()["status"] != "FAILED"


def test_a_completed_status_and_then_a_failed_result(client: httpx.Client, emulator: RunningEmulator) -> None:
    emulator.put_faults({"call": "result", "effect": {"kind": "failed", "message": "gone"}})
    request_id = client.post(SUBMIT, json=BODY).json()["request_id"]
    while client.get(f"/v2/requests/{request_id}/status").json()["status"] != "COMPLETED":
        time.sleep(0.01)
    result = client.get(f"/v2/requests/{request_id}")
    assert (result.status_code, result.json()["status"], result.json()["error"]) == (422, "FAILED", "gone")


def test_redirects_can_be_answered_too(client: httpx.Client, emulator: RunningEmulator) -> None:
    away = {"kind": "answer", "status": 302, "headers": {"location": "http://elsewhere.example/"}}
    emulator.put_faults({"call": "file", "effect": away})
    redirected = client.get("/generations/some-name")
    assert (redirected.status_code, redirected.headers["location"]) == (302, "http://elsewhere.example/")
