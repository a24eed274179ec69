"""The emulator as an application: API, file host and history host on one address."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from pydantic import AnyHttpUrl, ValidationError
from starlette.exceptions import HTTPException

from packshot_cli.emulator import answers
from packshot_cli.emulator.admin import admin_routes
from packshot_cli.emulator.clock import Clock
from packshot_cli.emulator.desk import ApiError, Desk
from packshot_cli.emulator.faults import Faults, Rule
from packshot_cli.emulator.gateway import Gateway, Tally
from packshot_cli.emulator.history import HistoryError, HistoryQuery, history_page, history_row, select
from packshot_cli.emulator.ledger import Image, InferenceRequest, Ledger, Status
from packshot_cli.emulator.painter import paint
from packshot_cli.emulator.parameters import problems
from packshot_cli.emulator.settings import Settings
from packshot_cli.emulator.worker import Paint, Worker


def create_app(
    settings: Settings | None = None,
    rules: Iterable[Rule] = (),
    *,
    painter: Paint = paint,
    clock: Clock | None = None,
) -> FastAPI:
    """One emulator with its own ledger; its images live in a folder of its own, gone at its end.

    Breaking connections works only under `packshot_cli.emulator.server`; the rest under any ASGI server.
    """
    settings = settings or Settings()
    clock = clock or Clock()
    ledger, faults, tally = Ledger(settings), Faults(rules), Tally()
    desk = Desk(settings, ledger, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="segmind-emulator-", ignore_cleanup_errors=True) as folder:
            worker = Worker(
                settings=settings,
                ledger=ledger,
                faults=faults,
                clock=clock,
                painter=painter,
                folder=Path(folder),
            )
            app.state.worker = worker
            yield
            worker.stop()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.include_router(admin_routes(settings, ledger, faults, tally))
    app.include_router(_account_routes(settings, ledger, clock, desk))
    app.include_router(_file_routes(ledger, clock))
    app.include_router(_model_routes(settings, clock, desk))
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_unrouted)
    app.add_middleware(Gateway, settings=settings, ledger=ledger, faults=faults, tally=tally)
    return app


def _model_routes(settings: Settings, clock: Clock, desk: Desk) -> APIRouter:
    """Submit, status, result, and the synchronous call."""
    routes = APIRouter()

    @routes.post("/v2/{model}")
    async def submit(model: str, request: Request) -> Response:
        accepted = await desk.accept(model, request, "v2")
        _worker(request).take(accepted)
        return JSONResponse(answers.accepted(accepted, _host(settings.api_url, request), settings))

    @routes.get("/v2/requests/{request_id}/status")
    async def status(request_id: str, request: Request) -> Response:
        found = desk.find(request_id, request)
        if found.image is None:
            return _answer_without_image(found, settings, request)
        return JSONResponse(answers.completed_status(found, settings))

    # The URL that submit names as `poll_url`: no page shows its answer, so it gives the newer one's.
    @routes.get("/v1/requests/{request_id}")
    @routes.get("/v2/requests/{request_id}")
    async def result(request_id: str, request: Request) -> Response:
        found = desk.find(request_id, request)
        if found.image is None:
            return _answer_without_image(found, settings, request)
        return _answer_result(found, found.image, settings, request)

    @routes.post("/v1/{model}")
    async def run(model: str, request: Request) -> Response:
        accepted = await desk.accept(model, request, "v1")
        _worker(request).take(accepted)
        await accepted.ended.wait()
        accepted.first_read_at = clock.now()
        if accepted.image is None:
            raise ApiError(422, accepted.error)
        return _answer_sync(accepted, accepted.image, settings)

    return routes


def _account_routes(settings: Settings, ledger: Ledger, clock: Clock, desk: Desk) -> APIRouter:
    """The balance, and the request history, which the SDK looks for on another host."""
    routes = APIRouter()

    @routes.get("/v1/get-user-credits")
    async def credit_balance(request: Request) -> Response:
        desk.authorize(request)
        return JSONResponse(answers.credit_balance(settings))

    def known() -> list[InferenceRequest]:
        return [request for request in ledger if request.api == "v1" or settings.history_knows_v2]

    @routes.get("/inference-request/request-history")
    async def history(request: Request) -> Response:
        desk.authorize(request)
        try:
            query = HistoryQuery.model_validate(dict(request.query_params))
            selected = select(query, known(), clock.now().date())
        except ValidationError as error:
            raise ApiError(400, problems(error)) from None
        except HistoryError as error:
            raise ApiError(400, str(error)) from None
        files_url = _host(settings.files_url, request)
        return JSONResponse(history_page(query, selected, files_url, settings.history_rows_key))

    @routes.get("/inference-request/request-history/{request_id}")
    async def history_entry(request_id: str, request: Request) -> Response:
        desk.authorize(request)
        for candidate in known():
            if candidate.request_id == request_id:
                return JSONResponse(history_row(candidate, _host(settings.files_url, request)))
        raise ApiError(404, f"Request {request_id} not found")

    return routes


def _file_routes(ledger: Ledger, clock: Clock) -> APIRouter:
    """The file host: public."""
    routes = APIRouter()

    @routes.api_route("/generations/{name}", methods=["GET", "HEAD"])
    async def image(name: str) -> Response:
        found = ledger.find_image(name, clock.now())
        if found is None:
            return HTMLResponse(answers.error_page(404), status_code=404)
        return FileResponse(found.path, media_type=found.content_type)

    return routes


def _worker(request: Request) -> Worker:
    worker: Worker = request.app.state.worker
    return worker


def _host(configured: AnyHttpUrl | None, request: Request) -> str:
    return str(configured or request.base_url).rstrip("/")


def _answer_without_image(found: InferenceRequest, settings: Settings, request: Request) -> Response:
    if found.status is Status.FAILED:
        body = answers.failed(found.request_id, found.error, found.inference_seconds, settings)
        return JSONResponse(body, status_code=422)
    return JSONResponse(answers.in_flight(found, _host(settings.api_url, request), settings))


def _answer_result(found: InferenceRequest, image: Image, settings: Settings, request: Request) -> Response:
    shape = settings.base64_output_shape if found.wants_base64 else settings.output_shape
    content = image.path.read_bytes()
    if shape == "binary":
        return Response(content, media_type=image.content_type)
    url = f"{_host(settings.files_url, request)}/generations/{image.name}"
    output = answers.shape_output(shape, url, content, image.content_type)
    return JSONResponse(answers.completed_result(found, output, settings))


def _answer_sync(done: InferenceRequest, image: Image, settings: Settings) -> Response:
    headers = {
        "x-cost": str(done.cost_usd),
        "x-remaining-credits": str(settings.credits_usd),
        "x-request-id": done.request_id,
        "x-generation-time": f"{done.inference_seconds:.3f}",
        "x-seed-value": str(done.seed),
    }
    content = image.path.read_bytes()
    if not done.wants_base64:
        return Response(content, media_type=image.content_type, headers=headers)
    text = base64.b64encode(content).decode()
    if settings.sync_base64_shape == "json":
        return JSONResponse({"image": text}, headers=headers)
    head = f"data:{image.content_type};base64," if settings.sync_base64_shape == "data_uri" else ""
    return PlainTextResponse(head + text, headers=headers)


async def _answer_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(answers.error(error.status, error.message), error.status, error.headers)


async def _answer_unrouted(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 405:
        return HTMLResponse(answers.error_page(405), status_code=405, headers=error.headers)
    return JSONResponse(answers.error(error.status_code), error.status_code, error.headers)
