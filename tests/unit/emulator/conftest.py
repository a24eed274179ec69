"""The emulator without a socket: called as an ASGI application, on a clock that tests step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from packshot_cli.emulator.app import create_app
from packshot_cli.emulator.clock import Clock
from packshot_cli.emulator.faults import RULES
from packshot_cli.emulator.painter import paint_plain
from packshot_cli.emulator.settings import MODEL, Settings
from packshot_cli.emulator.worker import Paint

KEY = {"x-api-key": "a-key"}


class SteppedClock(Clock):
    """Stands still until it is stepped; or, once told, goes to each moment that is waited for, at once."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
        self._waits = True

    def now(self) -> datetime:
        return self._now

    def step(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def step_at_once(self) -> None:
        self._waits = False

    async def sleep_until(self, moment: datetime) -> None:
        if not self._waits:
            self._now = max(self._now, moment)
        while self._now < moment:
            await asyncio.sleep(0.001)


class Emulated:
    """One emulator, called with a key, and its clock; its loop runs in a thread."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient, clock: SteppedClock) -> None:
        self._portal = portal
        self._client = client
        self.clock = clock

    def call(self, method: str, path: str, **details: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.request, method, path, **details))

    def get(self, path: str, **details: Any) -> httpx.Response:
        return self.call("GET", path, **details)

    def submit(self, **parameters: Any) -> httpx.Response:
        return self.call("POST", f"/v2/{MODEL}", json={"prompt": "on a table", **parameters})

    def submitted(self, **parameters: Any) -> str:
        """The id of a request that was accepted."""
        response = self.submit(**parameters)
        assert response.status_code == 200, response.text
        request_id: str = response.json()["request_id"]
        return request_id

    def status(self, request_id: str) -> httpx.Response:
        return self.get(f"/v2/requests/{request_id}/status")

    def result(self, request_id: str) -> httpx.Response:
        return self.get(f"/v2/requests/{request_id}")

    def credits(self) -> float:
        balance: float = self.get("/v1/get-user-credits").json()["credits"]
        return balance

    def requests(self) -> list[dict[str, Any]]:
        """The accepted requests, oldest first."""
        accepted: list[dict[str, Any]] = self.get("/_emulator/requests").json()
        return accepted

    def requests_painted(self) -> int:
        return sum(request["painted_at"] is not None for request in self.requests())

    def completed(self, **parameters: Any) -> str:
        """The id of a request that has just ended well, 20 seconds after its acceptance."""
        request_id = self.submitted(**parameters)
        self.clock.step(2)
        self.until_status(request_id, "PROCESSING")
        self.until(self.requests_painted, lambda painted: painted == len(self.requests()))
        self.clock.step(18)
        self.until_status(request_id, "COMPLETED")
        return request_id

    def counts(self) -> Any:
        return self.get("/_emulator/counts").json()

    def until_status(self, request_id: str, status: str) -> Any:
        """Poll until the painter's thread and the loop have brought the request there; the clock stands."""
        return self.until(lambda: self.status(request_id), lambda answer: answer.json()["status"] == status)

    @staticmethod
    def until(read: Callable[[], Any], holds: Callable[[Any], object]) -> Any:
        """Read until it holds, for two seconds of real time at most."""
        deadline = time.monotonic() + 2
        while not holds(value := read()):
            assert time.monotonic() < deadline, f"still {value}"
            time.sleep(0.002)
        return value


class Emulate(Protocol):
    """Starts an emulator whose jobs take 20 seconds, of which 2 in the queue, unless told otherwise."""

    def __call__(self, *rules: dict[str, Any], painter: Paint = paint_plain, **settings: Any) -> Emulated: ...


@pytest.fixture
def emulate() -> Iterator[Emulate]:
    with ExitStack() as stack:

        def start(*rules: dict[str, Any], painter: Paint = paint_plain, **settings: Any) -> Emulated:
            clock = SteppedClock()
            app = create_app(
                Settings.model_validate({"seconds": 20, **settings}),
                RULES.validate_python(list(rules)),
                painter=painter,
                clock=clock,
            )
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://emulator.test", headers=KEY
            )
            stack.enter_context(portal.wrap_async_context_manager(client))
            return Emulated(portal, client, clock)

        yield start
