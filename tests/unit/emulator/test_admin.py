"""What the emulator tells about itself, and takes."""

from __future__ import annotations

from packshot_cli.emulator.settings import MODEL
from tests.unit.emulator.conftest import Emulate

KEY = "a-secret-key"


def test_health_needs_no_key(emulate: Emulate) -> None:
    answer = emulate(api_key=KEY).get("/_emulator/health", headers={"x-api-key": ""})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_settings_are_shown_without_the_key_and_changed_all_or_none(emulate: Emulate) -> None:
    emulated = emulate(api_key=KEY)
    assert KEY not in emulated.get("/_emulator/settings").text
    refused = emulated.call("PATCH", "/_emulator/settings", json={"seconds": 5, "price_usd": -1})
    assert refused.status_code == 422
    assert emulated.get("/_emulator/settings").json()["seconds"] == 20
    unknown = emulated.call("PATCH", "/_emulator/settings", json={"unknown": 5})
    assert unknown.status_code == 422
    changes = {"seconds": 5, "price_usd": 1, "api_key": "another", "output_shape": "list"}
    changed = emulated.call("PATCH", "/_emulator/settings", json=changes)
    assert changed.status_code == 200
    assert "another" not in changed.text
    assert changed.json() == emulated.get("/_emulator/settings").json()
    assert (changed.json()["seconds"], changed.json()["output_shape"]) == (5, "list")
    assert emulated.get("/v1/get-user-credits", headers={"x-api-key": KEY}).status_code == 401
    assert emulated.get("/v1/get-user-credits", headers={"x-api-key": "another"}).status_code == 200


def test_faults_are_put_read_and_removed(emulate: Emulate) -> None:
    rule = {"call": "credits", "effect": {"kind": "answer", "status": 503}}
    emulated = emulate(rule)
    assert emulated.get("/v1/get-user-credits").status_code == 503
    assert emulated.get("/_emulator/faults").json() == [{**rule, "seen": 1, "struck": 1}]
    other = {"call": "submit", "nth": 2, "effect": {"kind": "answer", "status": 500}}
    assert emulated.call("PUT", "/_emulator/faults", json=[other]).json() == [
        {**other, "seen": 0, "struck": 0}
    ]
    assert emulated.get("/v1/get-user-credits").status_code == 200
    assert [emulated.submit().status_code for _ in range(3)] == [200, 500, 200]
    assert emulated.call("PUT", "/_emulator/faults", json=[{"call": "nothing"}]).status_code == 422
    assert emulated.get("/_emulator/faults").json()[0]["seen"] == 3
    assert emulated.call("DELETE", "/_emulator/faults").json() == []


def test_counts_of_calls_and_answers(emulate: Emulate) -> None:
    emulated = emulate({"call": "status", "nth": 2, "effect": {"kind": "answer", "status": 502, "html": "x"}})
    request_id = emulated.submitted()
    emulated.submit(quality=0)
    for _ in range(3):
        emulated.status(request_id)
    emulated.status("unknown")
    emulated.get("/inference-request/request-history")
    emulated.get("/nowhere")
    counts = emulated.counts()
    assert counts["calls"] == {
        "submit": 2, "status": 4, "result": 0, "file": 0, "credits": 0, "history": 1, "v1": 0
    }  # fmt: skip
    assert counts["answers"]["submit"] == {"200": 1, "400": 1}
    assert counts["answers"]["status"] == {"200": 2, "502": 1, "404": 1}
    assert (counts["accepted"], counts["charged"]) == (1, 0)


def test_bodies_that_come_again_are_counted(emulate: Emulate) -> None:
    emulated = emulate()
    for query in ("a", "a", "b"):
        emulated.submitted(image_1=f"http://127.0.0.1:1/photo?signature={query}")
    counts = emulated.counts()
    assert (counts["duplicates"], counts["duplicates_but_for_url_queries"]) == (1, 2)
    emulated.submitted(image_1="http://127.0.0.1:1/another")
    emulated.submitted(image_1="AAAA")
    emulated.submitted(image_1="BBBB")
    assert emulated.counts()["duplicates_but_for_url_queries"] == 2


def test_when_an_end_was_first_read(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.submitted()
    emulated.clock.step(2)
    emulated.until_status(request_id, "PROCESSING")
    emulated.until(emulated.requests_painted, lambda painted: painted == 1)
    emulated.clock.step(18)
    (completion,) = emulated.until(lambda: emulated.counts()["completions"], len)
    assert completion == {
        "request_id": request_id,
        "status": "COMPLETED",
        "finished_at": "2026-03-14T09:30:20Z",
        "first_read_at": None,
        "noticed_seconds": None,
    }
    for _ in range(2):
        emulated.clock.step(1.5)
        emulated.result(request_id)
    (noticed,) = emulated.counts()["completions"]
    assert noticed["noticed_seconds"] == 1.5


def test_an_end_that_a_fault_hid_was_not_read(emulate: Emulate) -> None:
    emulated = emulate({"call": "status", "effect": {"kind": "answer", "status": 502}})
    request_id = emulated.submitted(prompt="forbidden-content")
    emulated.clock.step(2)
    emulated.until(lambda: emulated.counts()["completions"], len)
    emulated.status(request_id)
    assert emulated.counts()["completions"][0]["first_read_at"] is None


def test_a_key_on_the_file_host_is_counted_and_not_kept(emulate: Emulate) -> None:
    emulated = emulate()
    url = emulated.result(emulated.completed()).json()["output"]
    emulated.get(url, headers={"x-api-key": KEY})
    assert emulated.counts()["keys_seen_on_file_host"] == 1
    assert KEY not in emulated.get("/_emulator/counts").text + emulated.get("/_emulator/requests").text


def test_requests_are_told_with_bodies_times_and_states_but_no_photo(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.submitted(image_1="http://127.0.0.1:1/photo?signature=secret", extra=1)
    (row,) = emulated.requests()
    assert row == {
        "request_id": request_id,
        "api": "v2",
        "model": MODEL,
        "body": {"prompt": "on a table", "image_1": "http://127.0.0.1:1/photo", "extra": 1},
        "seed": row["seed"],
        "status": "QUEUED",
        "error": None,
        "cost_usd": None,
        "image_name": None,
        "inference_seconds": None,
        "submitted_at": "2026-03-14T09:30:00Z",
        "started_at": None,
        "painted_at": None,
        "due_at": "2026-03-14T09:30:20Z",
        "finished_at": None,
        "first_read_at": None,
        "expires_at": "2026-03-14T10:30:00Z",
    }
