"""A request's states in time: on a clock that stands until it is stepped."""

from __future__ import annotations

import base64
import statistics
import threading
from datetime import datetime
from typing import Any

import pytest

from packshot_cli.emulator.painter import paint_plain
from tests.unit.emulator.conftest import Emulate


def test_queued_then_processing_then_completed_when_it_is_due(emulate: Emulate) -> None:
    emulated = emulate(seconds=20, queue_share=0.1)
    request_id = emulated.submitted()
    urls = {
        "status_url": f"http://emulator.test/v2/requests/{request_id}/status",
        "response_url": f"http://emulator.test/v2/requests/{request_id}",
    }
    emulated.clock.step(1.999)
    queued = {"status": "QUEUED", "request_id": request_id, **urls, "metrics": {}}
    assert emulated.status(request_id).json() == emulated.result(request_id).json() == queued
    emulated.clock.step(0.001)
    processing = emulated.until_status(request_id, "PROCESSING")
    assert processing.status_code == 200
    assert processing.json() == {**queued, "status": "PROCESSING"} == emulated.result(request_id).json()
    emulated.clock.step(17.999)
    assert emulated.status(request_id).json()["status"] == "PROCESSING"
    emulated.clock.step(0.001)
    completed = emulated.until_status(request_id, "COMPLETED")
    assert completed.status_code == 200
    assert completed.json() == {
        "status": "COMPLETED",
        "request_id": request_id,
        "metrics": {"inference_time": 18.0},
    }
    result = emulated.result(request_id)
    assert result.status_code == 200
    assert result.json().keys() == {"status", "error", "metrics", "output"}
    assert result.json()["error"] is None
    assert result.json()["metrics"] == {"inference_time": 18.0}


def test_a_slow_painter_puts_the_end_off(emulate: Emulate) -> None:
    may_paint = threading.Event()

    def paint_late(photo: bytes | None, **parameters: Any) -> bytes:
        assert may_paint.wait(5)
        return paint_plain(photo, **parameters)

    emulated = emulate(painter=paint_late)
    request_id = emulated.submitted()
    emulated.clock.step(2)
    emulated.until_status(request_id, "PROCESSING")
    emulated.clock.step(28)
    assert emulated.status(request_id).json()["status"] == "PROCESSING"
    may_paint.set()
    assert emulated.until_status(request_id, "COMPLETED").json()["metrics"] == {"inference_time": 28.0}


def test_the_end_is_the_due_moment_however_late_it_is_noticed(emulate: Emulate) -> None:
    emulated = emulate(queue_share=0)
    request_id = emulated.submitted()
    emulated.until_status(request_id, "PROCESSING")
    emulated.until(emulated.requests_painted, lambda painted: painted == 1)
    emulated.clock.step(500)
    assert emulated.until_status(request_id, "COMPLETED").json()["metrics"] == {"inference_time": 20.0}
    (completion,) = emulated.counts()["completions"]
    assert completion["noticed_seconds"] == 480.0


def test_the_record_expires_an_hour_after_submission_and_the_file_after_seven_days(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.completed()
    url = emulated.result(request_id).json()["output"]
    emulated.clock.step(3600 - 20 - 0.001)
    assert emulated.status(request_id).status_code == 200
    emulated.clock.step(0.001)
    for expired in (emulated.status(request_id), emulated.result(request_id)):
        assert expired.status_code == 404
        assert expired.json() == {"error": f"Request {request_id} not found"}
    emulated.clock.step(7 * 86400 - 3600 + 20 - 0.001)
    assert emulated.get(url).status_code == 200
    emulated.clock.step(0.001)
    assert emulated.get(url).status_code == 404


def test_an_unknown_request_is_not_found(emulate: Emulate) -> None:
    emulated = emulate()
    for missing in (emulated.status("no-such-id"), emulated.result("no-such-id")):
        assert missing.status_code == 404
        assert missing.json() == {"error": "Request no-such-id not found"}


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        ("http://[::1", "Failed to download image_1: InvalidURL from http://[::1"),
        ("no base64!", "Failed to read image_1: neither an http(s) URL nor valid base64"),
        (base64.b64encode(b"no picture").decode(), "Failed to decode image_1"),
    ],
)
def test_a_photo_that_cannot_be_had_fails_the_job_and_says_so(
    emulate: Emulate, photo: str, said: str
) -> None:
    emulated = emulate()
    request_id = emulated.submitted(image_1=photo)
    emulated.clock.step(2)
    failed = emulated.until_status(request_id, "FAILED")
    assert failed.status_code == emulated.result(request_id).status_code == 422
    assert failed.json() == emulated.result(request_id).json()
    assert failed.json() == {
        "status": "FAILED",
        "error": said,
        "metrics": {"inference_time": 0.0},
        "request_id": request_id,
    }


def test_a_photo_is_read_when_the_work_starts_not_before(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.submitted(image_1="no base64!")
    emulated.clock.step(1.9)
    assert emulated.status(request_id).json()["status"] == "QUEUED"


def test_a_painter_that_breaks_fails_the_job(emulate: Emulate, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(photo: bytes | None, **_: Any) -> bytes:
        raise ZeroDivisionError

    emulated = emulate(painter=break_down)
    request_id = emulated.submitted()
    emulated.clock.step(2)
    assert emulated.until_status(request_id, "FAILED").json()["error"] == "Internal server error"
    assert request_id in caplog.text


def test_blocked_content_is_accepted_and_then_fails(emulate: Emulate) -> None:
    emulated = emulate(content_filter=["weapons"])
    blocked, free = emulated.submitted(prompt="Many WEAPONS"), emulated.submitted(prompt="forbidden-content")
    emulated.clock.step(2)
    assert "content policy" in emulated.until_status(blocked, "FAILED").json()["error"]
    emulated.clock.step(18)
    emulated.until_status(free, "COMPLETED")


def test_forbidden_content_is_blocked_unless_told_otherwise(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.submitted(prompt="some forbidden-content here")
    emulated.clock.step(2)
    emulated.until_status(request_id, "FAILED")


def test_a_bad_value_can_be_accepted_and_then_fail(emulate: Emulate) -> None:
    emulated = emulate(validate_at="work")
    request_id = emulated.submitted(quality=0)
    emulated.clock.step(2)
    failed = emulated.until_status(request_id, "FAILED").json()
    assert failed["error"].startswith("Validation error: quality: ")


def test_work_faults_fail_a_job_when_it_is_due_or_delay_it(emulate: Emulate) -> None:
    emulated = emulate(
        {"call": "work", "nth": 1, "effect": {"kind": "failed", "message": "out of memory"}},
        {"call": "work", "prompt_contains": "slow", "effect": {"kind": "slow", "seconds": 5}},
    )
    fails = emulated.submitted()
    emulated.clock.step(2)
    emulated.until_status(fails, "PROCESSING")
    delayed = emulated.submitted(prompt="a slow one")
    emulated.clock.step(18)
    assert emulated.until_status(fails, "FAILED").json()["error"] == "out of memory"
    emulated.clock.step(6.9)
    assert emulated.status(delayed).json()["status"] == "PROCESSING"
    emulated.clock.step(0.1)
    emulated.until_status(delayed, "COMPLETED")


def test_job_times_are_lognormal_around_the_median_and_repeat_with_the_seed(emulate: Emulate) -> None:
    def job_seconds(**settings: Any) -> list[float]:
        emulated = emulate(seconds=100, price_usd=0, **settings)
        for _ in range(200):
            emulated.submitted()
        return [
            (
                datetime.fromisoformat(row["due_at"]) - datetime.fromisoformat(row["submitted_at"])
            ).total_seconds()
            for row in emulated.requests()
        ]

    first = job_seconds(sigma=0.25, random_seed=7)
    assert statistics.median(first) == pytest.approx(100, rel=0.06)
    assert statistics.stdev(first) == pytest.approx(26, rel=0.2)
    assert job_seconds(sigma=0.25, random_seed=7) == first
    assert job_seconds(sigma=0.25, random_seed=8) != first
    assert set(job_seconds(sigma=0)) == {100.0}


def test_a_missing_or_random_seed_is_drawn_and_a_given_one_is_used(emulate: Emulate) -> None:
    emulated = emulate(random_seed=3)
    for seed in (None, -1, 0, 4711):
        emulated.submitted(seed=seed)
    drawn, random, *given = [request["seed"] for request in emulated.requests()]
    assert given == [0, 4711]
    assert drawn != random
    assert min(drawn, random) >= 0
