"""What a call passes before it is answered: key, model, rate, body, parameters, credits, in that order."""

from __future__ import annotations

import hmac
import json
import math
from typing import Any, Literal

from fastapi import Request

from packshot_cli.emulator.clock import Clock
from packshot_cli.emulator.ledger import ENDINGS, InferenceRequest, InsufficientCreditsError, Ledger
from packshot_cli.emulator.parameters import ParameterError, Parameters, read_parameters
from packshot_cli.emulator.rate import RateWindow
from packshot_cli.emulator.settings import MODEL, Settings


class ApiError(Exception):
    """An answer that is an error: its code, what it says (None: the code's usual words), and headers."""

    def __init__(
        self, status: int, message: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class Desk:
    """Takes requests and finds them again; everything it refuses is an ApiError."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._rate = RateWindow()

    def authorize(self, request: Request) -> None:
        """The key counts in `x-api-key` alone."""
        key = request.headers.get("x-api-key", "")
        wanted = self._settings.api_key
        if wanted is None:
            valid = bool(key)
        else:
            valid = hmac.compare_digest(key.encode(), wanted.get_secret_value().encode())
        if not valid:
            raise ApiError(401)

    async def accept(self, model: str, request: Request, api: Literal["v1", "v2"]) -> InferenceRequest:
        """Take the request that a POST asks for into the ledger; its work is not begun."""
        self.authorize(request)
        if model != MODEL:
            raise ApiError(404, f"Model {model} not found")
        self._limit_rate()
        raw_body = await request.body()
        body = self._read_body(raw_body, request.headers.get("content-type", ""))
        parameters, invalid = self._read_parameters(body)
        try:
            return self._ledger.accept(
                model,
                api,
                body,
                raw_body=raw_body,
                parameters=parameters,
                invalid=invalid,
                now=self._clock.now(),
            )
        except InsufficientCreditsError:
            raise ApiError(406, "Insufficient credits") from None

    def find(self, request_id: str, request: Request) -> InferenceRequest:
        """The request that a status or result call asks for, noting the first time that its end is read."""
        self.authorize(request)
        if self._settings.polls_count:
            self._limit_rate()
        found = self._ledger.find(request_id, self._clock.now())
        if found is None:
            raise ApiError(404, f"Request {request_id} not found")
        if found.status in ENDINGS and found.first_read_at is None:
            found.first_read_at = self._clock.now()
        return found

    def _limit_rate(self) -> None:
        now = self._clock.now()
        free_at = self._rate.pass_or_wait(now, self._settings.requests_a_minute)
        if free_at is None:
            return
        headers = {}
        if self._settings.rate_limit_headers in ("reset_at", "both"):
            headers["x-rate-limit-reset-at-utc"] = free_at.isoformat()
        if self._settings.rate_limit_headers in ("retry_after", "both"):
            headers["retry-after"] = str(math.ceil((free_at - now).total_seconds()))
        raise ApiError(429, headers=headers)

    def _read_body(self, raw_body: bytes, content_type: str) -> dict[str, Any]:
        limit = self._settings.max_body_bytes
        if limit is not None and len(raw_body) > limit:
            raise ApiError(413)
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise ApiError(406, "Content-Type must be application/json")
        try:
            body = json.loads(raw_body)
        except ValueError:
            raise ApiError(400, "The body is not valid JSON") from None
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object")
        return body

    def _read_parameters(self, body: dict[str, Any]) -> tuple[Parameters | None, str | None]:
        reject_unknown = self._settings.unknown_parameter == "reject"
        try:
            return read_parameters(body, reject_unknown=reject_unknown), None
        except ParameterError as error:
            message = f"Validation error: {error}"
            if self._settings.validate_at == "submit":
                raise ApiError(self._settings.rejected_value_status, message) from None
            return None, message
