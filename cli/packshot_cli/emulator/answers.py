"""The API's JSON, as pure functions of what is known: one function for each answer that the sheets show."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from packshot_cli.emulator.ledger import InferenceRequest, Status
from packshot_cli.emulator.settings import OutputShape, Settings

_ERRORS = {
    400: "Invalid parameters or request format",
    401: "Invalid API key",
    403: "Model not permitted for this team",
    404: "Not found",
    406: "Insufficient credits",
    410: "This model has been retired",
    413: "Request body too large",
    429: "Rate limit exceeded",
    500: "Internal server error",
}


def error(status: int, message: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": message or _ERRORS.get(status) or _phrase(status)}


def error_page(status: int) -> str:
    """The HTML of an error that comes from in front of the API: 405, and what gateways say."""
    title = f"{status} {_phrase(status)}"
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"


def _phrase(status: int) -> str:
    # Gateways in front of an API answer with codes of their own too, such as 520.
    return http.client.responses.get(status, "Unknown error")


def status_word(status: Status, settings: Settings) -> str:
    return status.lower() if settings.lower_case_statuses else str(status)


def _urls(request_id: str, api_url: str) -> dict[str, str]:
    return {
        "status_url": f"{api_url}/v2/requests/{request_id}/status",
        "response_url": f"{api_url}/v2/requests/{request_id}",
    }


def accepted(request: InferenceRequest, api_url: str, settings: Settings) -> dict[str, Any]:
    """The answer to a v2 submit."""
    return {
        "request_id": request.request_id,
        "status": status_word(Status.QUEUED, settings),
        "poll_url": f"{api_url}/v1/requests/{request.request_id}",
        **_urls(request.request_id, api_url),
    }


def in_flight(request: InferenceRequest, api_url: str, settings: Settings) -> dict[str, Any]:
    """The answer to a status or result call before the end."""
    return {
        "status": status_word(request.status, settings),
        "request_id": request.request_id,
        **_urls(request.request_id, api_url),
        "metrics": {},
    }


def failed(
    request_id: str, message: str | None, inference_seconds: float | None, settings: Settings
) -> dict[str, Any]:
    """The body, served as HTTP 422, of a FAILED request on either URL."""
    metrics = {} if inference_seconds is None else {"inference_time": round(inference_seconds, 3)}
    return {
        "status": status_word(Status.FAILED, settings),
        "error": message,
        "metrics": metrics,
        "request_id": request_id,
    }


def completed_status(request: InferenceRequest, settings: Settings) -> dict[str, Any]:
    """The answer to a status call after the end: never with the output."""
    return {
        "status": status_word(Status.COMPLETED, settings),
        "request_id": request.request_id,
        "metrics": metrics(request, settings),
    }


def completed_result(
    request: InferenceRequest, output: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """The answer to a result call after the end; `output` from `shape_output`."""
    return {
        "status": status_word(Status.COMPLETED, settings),
        "error": None,
        "metrics": metrics(request, settings),
        **output,
    }


def metrics(request: InferenceRequest, settings: Settings) -> dict[str, Any]:
    """What is measured of a completed request: seconds and USD."""
    inference_seconds = request.inference_seconds or 0.0
    total_seconds = _seconds_between(request.submitted_at, request.finished_at)
    extra = {
        "cost": request.cost_usd,
        "remaining_credits": settings.credits_usd,
        "queue_time": round(total_seconds - inference_seconds, 3),
        "total_time": round(total_seconds, 3),
        "retry_count": 0,
    }
    return {"inference_time": round(inference_seconds, 3)} | {
        name: value for name, value in extra.items() if name in settings.extra_metrics
    }


def shape_output(shape: OutputShape, url: str, image: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a result that give the image; for `binary` there is no JSON to put it in."""
    text = base64.b64encode(image).decode()
    shaped: dict[str, dict[str, Any]] = {
        "url": {"output": url},
        "list": {"output": [url]},
        "object": {"output": {"url": url}},
        "images": {"images": [{"url": url}]},
        "output_images": {"output": {"images": [{"url": url}]}},
        "data_uri": {"output": f"data:{content_type};base64,{text}"},
        "base64": {"output": text},
        "json_text": {"output": json.dumps({"url": url})},
    }
    return shaped[shape]


def credit_balance(settings: Settings) -> dict[str, Any]:
    return {"credits": settings.credits_usd, "free-credits": settings.free_credits_usd}


def _seconds_between(start: datetime, end: datetime | None) -> float:
    return (end - start).total_seconds() if end else 0.0
