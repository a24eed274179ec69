from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from packshot_cli.emulator.painter import paint_plain
from packshot_cli.emulator.settings import MODEL
from tests.unit.emulator.conftest import Emulate, Emulated

PAINTED: Any = {"prompt": "", "aspect_ratio": "1:1", "quality": 95}
HISTORY = "/inference-request/request-history"


def rows(emulated: Emulated, **query: Any) -> list[dict[str, Any]]:
    answer = emulated.get(HISTORY, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def test_a_row_tells_inputs_outcome_and_cost(emulate: Emulate) -> None:
    emulated = emulate(price_usd=0.5)
    photo = b64encode(paint_plain(None, image_format="png", seed=1, **PAINTED)).decode()
    request_id = emulated.completed(image_1=photo, seed=5)
    (row,) = rows(emulated)
    assert row == {
        "request_id": request_id,
        "model_name": MODEL,
        "model_status": "COMPLETED",
        "credits_deduction": 0.5,
        "request_body": {"prompt": "on a table", "image_1": photo, "seed": 5},
        "generation_url": emulated.result(request_id).json()["output"],
        "latency_ms": 20_000,
        "model_created": "2026-03-14T09:30:00+00:00",
        "model_completed": "2026-03-14T09:30:20+00:00",
        "error": None,
    }
    assert emulated.get(f"{HISTORY}/{request_id}").json() == row


def test_failures_and_what_is_in_flight_are_there_too(emulate: Emulate) -> None:
    emulated = emulate()
    failing = emulated.submitted(image_1="no base64!")
    emulated.clock.step(2)
    emulated.until_status(failing, "FAILED")
    emulated.submitted()
    pending, failed = rows(emulated)
    assert (pending["model_status"], pending["credits_deduction"], pending["latency_ms"]) == (
        "PENDING",
        None,
        None,
    )
    assert (failed["model_status"], failed["credits_deduction"]) == ("FAILED", 0)
    assert "image_1" in failed["error"]
    assert [row["request_id"] for row in rows(emulated, status="FAILED")] == [failing]
    assert rows(emulated, status="COMPLETED") == []


def test_pages_newest_first_unless_told_otherwise(emulate: Emulate) -> None:
    emulated = emulate()
    ids = []
    for _ in range(5):
        ids.append(emulated.submitted())
        emulated.clock.step(0.1)
    page = emulated.get(HISTORY, params={"page": 2, "per_page": 2}).json()
    assert [row["request_id"] for row in page.pop("data")] == [ids[2], ids[1]]
    assert page == {"page": 2, "per_page": 2, "total": 5, "total_pages": 3}
    assert [row["request_id"] for row in rows(emulated, sort_order="asc")] == ids
    assert rows(emulated, page=4, per_page=2) == []


def test_by_model_and_by_day(emulate: Emulate) -> None:
    emulated = emulate()
    emulated.submitted()
    assert len(rows(emulated, model_name="product-photo")) == 1
    assert rows(emulated, model_name="another") == []
    assert len(rows(emulated, from_date="2026-03-14", to_date="2026-03-14")) == 1
    assert rows(emulated, to_date="2026-03-13") == []
    emulated.clock.step(7 * 86400)
    assert len(rows(emulated)) == 1
    emulated.clock.step(86400)
    assert rows(emulated) == []
    assert len(rows(emulated, from_date="2026-03-01")) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"from_date": "2026-02-10", "to_date": "2026-03-14"},
        {"from_date": "2025-01-01"},
        {"from_date": "yesterday"},
        {"per_page": 101},
        {"page": 0},
        {"status": "QUEUED"},
        {"sort_by": "prompt"},
    ],
)
def test_a_query_that_means_nothing_or_spans_more_than_31_days_is_refused(
    emulate: Emulate, query: dict[str, Any]
) -> None:
    refused = emulate().get(HISTORY, params=query)
    assert refused.status_code == 400
    assert list(refused.json()) == ["error"]


def test_31_days_are_not_too_many(emulate: Emulate) -> None:
    assert rows(emulate(), from_date="2026-02-11", to_date="2026-03-14") == []


def test_the_history_outlives_the_record(emulate: Emulate) -> None:
    emulated = emulate()
    request_id = emulated.completed()
    emulated.clock.step(4000)
    assert emulated.status(request_id).status_code == 404
    assert emulated.get(f"{HISTORY}/{request_id}").json()["model_status"] == "COMPLETED"


def test_v2_ids_may_not_resolve(emulate: Emulate) -> None:
    emulated = emulate(history_knows_v2=False, history_rows_key="requests")
    emulated.clock.step_at_once()
    v2 = emulated.submitted()
    emulated.call("POST", f"/v1/{MODEL}", json={"prompt": "x"})
    (row,) = emulated.get(HISTORY).json()["requests"]
    assert row["request_id"] != v2
    assert emulated.get(f"{HISTORY}/{row['request_id']}").status_code == 200
    missing = emulated.get(f"{HISTORY}/{v2}")
    assert missing.status_code == 404
    assert missing.json() == {"error": f"Request {v2} not found"}
