"""What tests and benchmarks ask of the emulator itself, under `/_emulator/`; no key, and never the key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import ValidationError

from packshot_cli.emulator.faults import Faults, Rule
from packshot_cli.emulator.gateway import Tally
from packshot_cli.emulator.ledger import InferenceRequest, Ledger
from packshot_cli.emulator.parameters import problems
from packshot_cli.emulator.photos import shown
from packshot_cli.emulator.settings import Settings


def admin_routes(settings: Settings, ledger: Ledger, faults: Faults, tally: Tally) -> APIRouter:
    """GET health, counts, requests; GET and PATCH settings; GET, PUT and DELETE faults."""
    routes = APIRouter(prefix="/_emulator")

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/settings")
    async def read_settings() -> Settings:
        return settings

    @routes.patch("/settings")
    async def change_settings(changes: dict[str, Any]) -> Settings:
        try:
            settings.change(changes)
        except ValidationError as error:
            raise HTTPException(422, problems(error)) from None
        return settings

    @routes.get("/faults")
    async def read_faults() -> list[dict[str, Any]]:
        return faults.report()

    @routes.put("/faults")
    async def replace_faults(rules: list[Rule]) -> list[dict[str, Any]]:
        faults.replace(rules)
        return faults.report()

    @routes.delete("/faults")
    async def remove_faults() -> list[dict[str, Any]]:
        faults.replace([])
        return faults.report()

    @routes.get("/counts")
    async def counts() -> dict[str, Any]:
        return {
            "calls": tally.calls,
            "answers": tally.answers,
            "keys_seen_on_file_host": tally.keys_seen_on_file_host,
            **ledger.totals(),
            "completions": [_completion(request) for request in ledger if request.finished_at],
        }

    @routes.get("/requests")
    async def requests() -> list[dict[str, Any]]:
        return [_request(request) for request in ledger]

    return routes


def _completion(request: InferenceRequest) -> dict[str, Any]:
    """When a request ended, when a client first read so, and the seconds between."""
    finished_at, first_read_at = request.finished_at, request.first_read_at
    return {
        "request_id": request.request_id,
        "status": request.status,
        "finished_at": finished_at,
        "first_read_at": first_read_at,
        "noticed_seconds": (first_read_at - finished_at).total_seconds()
        if first_read_at and finished_at
        else None,
    }


def _request(request: InferenceRequest) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "api": request.api,
        "model": request.model,
        "body": shown(request.body),
        "seed": request.seed,
        "status": request.status,
        "error": request.error,
        "cost_usd": request.cost_usd,
        "image_name": request.image.name if request.image else None,
        "inference_seconds": request.inference_seconds,
        "submitted_at": request.submitted_at,
        "started_at": request.started_at,
        "painted_at": request.painted_at,
        "due_at": request.due_at,
        "finished_at": request.finished_at,
        "first_read_at": request.first_read_at,
        "expires_at": request.expires_at,
    }
