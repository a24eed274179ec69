"""What is refused, and how: key, model, rate, body, parameters, credits; and the money."""

from __future__ import annotations

from typing import Any

import pytest

from packshot_cli.emulator.settings import MODEL
from tests.unit.emulator.conftest import Emulate

SUBMIT = f"/v2/{MODEL}"
KEYED_CALLS = [
    ("POST", SUBMIT),
    ("POST", f"/v1/{MODEL}"),
    ("GET", "/v2/requests/some-id/status"),
    ("GET", "/v2/requests/some-id"),
    ("GET", "/v1/get-user-credits"),
    ("GET", "/inference-request/request-history"),
    ("GET", "/inference-request/request-history/some-id"),
]


@pytest.mark.parametrize(("method", "path"), KEYED_CALLS)
@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": "another"}, {"x-api-key": ""}, {"x-api-key": "", "authorization": "Bearer the-key"}],
)
def test_only_the_key_in_x_api_key_opens(
    emulate: Emulate, method: str, path: str, headers: dict[str, str]
) -> None:
    refused = emulate(api_key="the-key").call(method, path, headers=headers, json={"prompt": "x"})
    assert refused.status_code == 401
    assert refused.json() == {"error": "Invalid API key"}


@pytest.mark.parametrize(("method", "path"), KEYED_CALLS)
def test_without_a_key_of_its_own_the_emulator_takes_any_but_none(
    emulate: Emulate, method: str, path: str
) -> None:
    emulated = emulate()
    assert emulated.call(method, path, headers={"x-api-key": ""}, json={}).status_code == 401
    assert emulated.call(method, path, headers={"x-api-key": "any"}, json={}).status_code != 401


def test_the_right_key_opens(emulate: Emulate) -> None:
    emulated = emulate(api_key="the-key")
    opened = emulated.call("POST", SUBMIT, headers={"x-api-key": "the-key"}, json={"prompt": "x"})
    assert opened.status_code == 200


def test_the_answer_to_a_submit(emulate: Emulate) -> None:
    answer = emulate().submit()
    request_id = answer.json()["request_id"]
    assert answer.json() == {
        "request_id": request_id,
        "status": "QUEUED",
        "poll_url": f"http://emulator.test/v1/requests/{request_id}",
        "status_url": f"http://emulator.test/v2/requests/{request_id}/status",
        "response_url": f"http://emulator.test/v2/requests/{request_id}",
    }


def test_ids_never_come_back_although_all_else_repeats_with_the_seed(emulate: Emulate) -> None:
    assert emulate(random_seed=1).submitted() != emulate(random_seed=1).submitted()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_unknown_model_is_not_found(emulate: Emulate, version: str) -> None:
    missing = emulate().call("POST", f"/{version}/another-model", json={"prompt": "x"})
    assert missing.status_code == 404
    assert missing.json() == {"error": "Model another-model not found"}


def test_an_unknown_path_is_not_found_and_a_wrong_method_gets_a_page(emulate: Emulate) -> None:
    emulated = emulate()
    missing = emulated.get("/v3/something")
    assert (missing.status_code, missing.json()) == (404, {"error": "Not found"})
    wrong = emulated.get(SUBMIT)
    assert wrong.status_code == 405
    assert wrong.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("details", "status"),
    [
        ({"content": b"{not json", "headers": {"content-type": "application/json"}}, 400),
        ({"json": ["prompt"]}, 400),
        ({"json": {}}, 400),
        ({"json": {"prompt": "x", "quality": 0}}, 400),
        ({"json": {"prompt": "x", "unknown": 0}}, 200),
        ({"data": {"prompt": "x"}}, 406),
        ({"content": b'{"prompt": "x"}'}, 406),
        (
            {
                "content": b'{"prompt": "x"}',
                "headers": {"content-type": "Application/JSON; charset=utf-8"},
            },
            200,
        ),
    ],
)
def test_bodies(emulate: Emulate, details: dict[str, Any], status: int) -> None:
    answer = emulate().call("POST", SUBMIT, **details)
    assert answer.status_code == status
    if status != 200:
        assert list(answer.json()) == ["error"]


def test_a_refused_value_can_be_406_and_an_unknown_parameter_refused(emulate: Emulate) -> None:
    emulated = emulate(rejected_value_status=406, unknown_parameter="reject")
    for body in ({"quality": 0}, {"steps": 9}):
        refused = emulated.submit(**body)
        assert refused.status_code == 406
        assert next(iter(body)) in refused.json()["error"]
    assert emulated.counts()["accepted"] == 0


def test_a_large_body_is_refused_above_the_limit(emulate: Emulate) -> None:
    emulated = emulate(max_body_bytes=100)
    assert emulated.submit().status_code == 200
    assert emulated.submit(image_1="A" * 100).status_code == 413


def test_the_rate_limit_holds_for_submits_of_both_kinds(emulate: Emulate) -> None:
    emulated = emulate(requests_a_minute=2)
    request_id = emulated.submitted()
    emulated.submitted()
    for path in (SUBMIT, f"/v1/{MODEL}"):
        limited = emulated.call("POST", path, json={"prompt": "x"})
        assert limited.status_code == 429
        assert limited.json() == {"error": "Rate limit exceeded"}
        assert not {"retry-after", "x-rate-limit-reset-at-utc"} & limited.headers.keys()
    for _ in range(5):
        assert emulated.status(request_id).status_code == 200
    emulated.clock.step(60)
    assert emulated.submit().status_code == 200


def test_polls_count_against_the_rate_limit_when_told(emulate: Emulate) -> None:
    emulated = emulate(requests_a_minute=3, polls_count=True)
    request_id = emulated.submitted()
    assert [emulated.status(request_id).status_code, emulated.result(request_id).status_code] == [200, 200]
    assert [emulated.status(request_id).status_code, emulated.result(request_id).status_code] == [429, 429]
    assert emulated.submit().status_code == 429


@pytest.mark.parametrize(
    ("switch", "present"),
    [
        ("reset_at", {"x-rate-limit-reset-at-utc"}),
        ("retry_after", {"retry-after"}),
        ("both", {"x-rate-limit-reset-at-utc", "retry-after"}),
    ],
)
def test_a_429_can_say_when_to_come_back(emulate: Emulate, switch: str, present: set[str]) -> None:
    emulated = emulate(requests_a_minute=1, rate_limit_headers=switch)
    emulated.submitted()
    emulated.clock.step(17.5)
    headers = emulated.submit().headers
    assert {"x-rate-limit-reset-at-utc", "retry-after"} & headers.keys() == present
    assert headers.get("retry-after", "43") == "43"
    assert (
        headers.get("x-rate-limit-reset-at-utc", "2026-03-14T09:31:00+00:00") == "2026-03-14T09:31:00+00:00"
    )


def test_a_success_is_charged_when_it_ends_and_a_failure_is_not(emulate: Emulate) -> None:
    emulated = emulate(credits_usd=1, price_usd=0.0891, free_credits_usd=0.018)
    failing = emulated.submitted(image_1="no base64!")
    emulated.clock.step(2)
    emulated.until_status(failing, "FAILED")
    succeeding = emulated.submitted()
    emulated.clock.step(2)
    emulated.until_status(succeeding, "PROCESSING")
    assert emulated.credits() == 1
    emulated.clock.step(18)
    emulated.until_status(succeeding, "COMPLETED")
    assert emulated.get("/v1/get-user-credits").json() == {"credits": 0.9109, "free-credits": 0.018}
    counts = emulated.counts()
    assert (counts["accepted"], counts["charged"], counts["charged_usd"]) == (2, 1, 0.0891)


def test_without_credits_for_what_is_in_flight_nothing_more_is_taken(emulate: Emulate) -> None:
    emulated = emulate(credits_usd=0.2, price_usd=0.0891)
    emulated.submitted(image_1="no base64!")
    emulated.submitted()
    refused = emulated.submit()
    assert refused.status_code == 406
    assert refused.json() == {"error": "Insufficient credits"}
    emulated.clock.step(2)
    emulated.until(lambda: emulated.submit().status_code, lambda status: status == 200)
    assert emulated.submit().status_code == 406


def test_a_balance_that_was_topped_up_opens_again(emulate: Emulate) -> None:
    emulated = emulate(credits_usd=0)
    assert emulated.submit().status_code == 406
    assert emulated.call("PATCH", "/_emulator/settings", json={"credits_usd": 5}).status_code == 200
    assert emulated.submit().status_code == 200


def test_a_price_to_the_last_cent_is_enough(emulate: Emulate) -> None:
    emulated = emulate(credits_usd=0.3, price_usd=0.1)
    assert [emulated.submit().status_code for _ in range(4)] == [200, 200, 200, 406]
