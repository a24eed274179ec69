"""The request history: the SDK's filters over the ledger, page by page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from packshot_cli.emulator.ledger import ENDINGS, InferenceRequest

MAX_WINDOW_DAYS = 31
_DEFAULT_WINDOW_DAYS = 7


class HistoryError(Exception):
    """A query that the history refuses; the text says why."""


class HistoryQuery(BaseModel):
    """The query of a history call, as the SDK documents it; `user_id` and `user_email` change nothing."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    from_date: date | None = None
    to_date: date | None = None
    model_name: str = ""
    status: Literal["COMPLETED", "FAILED", "PENDING"] | None = None
    sort_by: Literal["model_created", "model_name", "credits_deduction"] = "model_created"
    sort_order: Literal["asc", "desc"] = "desc"


def select(query: HistoryQuery, requests: Iterable[InferenceRequest], today: date) -> list[InferenceRequest]:
    """The requests that a query asks for, in its order, all pages; raises HistoryError."""
    last = query.to_date or today
    first = query.from_date or last - timedelta(days=_DEFAULT_WINDOW_DAYS)
    if last - first > timedelta(days=MAX_WINDOW_DAYS):
        raise HistoryError(f"The window may span at most {MAX_WINDOW_DAYS} days")
    wanted = (
        request
        for request in requests
        if first <= request.submitted_at.date() <= last
        and query.model_name in request.model
        and query.status in (None, status_in_history(request))
    )
    keys: dict[str, Any] = {
        "model_created": lambda request: request.submitted_at,
        "model_name": lambda request: request.model,
        "credits_deduction": lambda request: request.cost_usd or 0.0,
    }
    return sorted(wanted, key=keys[query.sort_by], reverse=query.sort_order == "desc")


def status_in_history(request: InferenceRequest) -> str:
    """The history has one word for everything before the end."""
    return request.status if request.status in ENDINGS else "PENDING"


def history_row(request: InferenceRequest, files_url: str) -> dict[str, Any]:
    """A request in the history, with the keys that the SDK's documentation names."""
    finished_at = request.finished_at
    return {
        "request_id": request.request_id,
        "model_name": request.model,
        "model_status": status_in_history(request),
        "credits_deduction": request.cost_usd,
        "request_body": dict(request.body),
        "generation_url": f"{files_url}/generations/{request.image.name}" if request.image else None,
        "latency_ms": finished_at and round((finished_at - request.submitted_at).total_seconds() * 1000),
        "model_created": request.submitted_at.isoformat(),
        "model_completed": finished_at and finished_at.isoformat(),
        "error": request.error,
    }


def history_page(query: HistoryQuery, selected: list[InferenceRequest], files_url: str, rows_key: str) -> Any:
    """One page of the selected requests, with the numbers to turn it."""
    start = (query.page - 1) * query.per_page
    rows = [history_row(request, files_url) for request in selected[start : start + query.per_page]]
    return {
        rows_key: rows,
        "page": query.page,
        "per_page": query.per_page,
        "total": len(selected),
        "total_pages": math.ceil(len(selected) / query.per_page),
    }
