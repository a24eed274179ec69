"""The worker: takes each request through its states, and has its picture painted beside the server's loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from packshot_cli.emulator.clock import Clock
from packshot_cli.emulator.faults import Failed, Faults, Slow
from packshot_cli.emulator.ledger import Image, InferenceRequest, Ledger
from packshot_cli.emulator.painter import UnreadablePhotoError, paint_plain
from packshot_cli.emulator.parameters import Parameters
from packshot_cli.emulator.photos import PhotoError, read_photo
from packshot_cli.emulator.settings import Settings

logger = logging.getLogger(__name__)

_DOWNLOADS_AT_ONCE = 16
_Result = TypeVar("_Result")


class Paint(Protocol):
    """Makes the picture's bytes; raises UnreadablePhotoError."""

    def __call__(
        self,
        photo: bytes | None,
        *,
        prompt: str,
        aspect_ratio: str,
        image_format: str,
        quality: int,
        seed: int,
    ) -> bytes: ...


class Worker:
    """Works on every request at once, as a large fleet would; only painting waits for a processor."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        faults: Faults,
        clock: Clock,
        painter: Paint,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._faults = faults
        self._clock = clock
        self._paint = painter
        self._folder = folder
        self._downloads = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
        self._painters = asyncio.Semaphore(os.cpu_count() or 1)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: InferenceRequest) -> None:
        """Begin a request's way through its states."""
        task = asyncio.create_task(self._work(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _work(self, request: InferenceRequest) -> None:
        try:
            await self._clock.sleep_until(request.starts_at)
            self._ledger.start(request, self._clock.now())
            await self._process(request)
        except (PhotoError, UnreadablePhotoError) as error:
            self._ledger.fail(request, str(error), self._clock.now())
        except Exception:
            logger.exception("The emulator failed on request %s", request.request_id)
            self._ledger.fail(request, "Internal server error", self._clock.now())

    async def _process(self, request: InferenceRequest) -> None:
        parameters = request.parameters
        if parameters is None or _is_blocked(parameters.prompt, self._settings.content_filter):
            self._ledger.fail(
                request,
                request.invalid or "Content blocked: the prompt violates the content policy",
                self._clock.now(),
            )
            return
        fault = self._faults.strike(
            "work",
            random_seed=self._settings.random_seed,
            request_id=request.request_id,
            prompt=parameters.prompt,
        )
        if isinstance(fault, Failed):
            await self._clock.sleep_until(request.due_at)
            self._ledger.fail(request, fault.message, request.due_at)
            return
        if isinstance(fault, Slow):
            request.due_at += timedelta(seconds=fault.seconds)
        image = await self._make_image(parameters, request.seed)
        request.painted_at = self._clock.now()
        await self._clock.sleep_until(request.due_at)
        # The moment that was due, or the painter's, not the one at which this loop woke up.
        self._ledger.complete(request, image, max(request.painted_at, request.due_at))

    async def _make_image(self, parameters: Parameters, seed: int) -> Image:
        async with self._downloads:
            photos = {
                name: await _in_thread(partial(read_photo, name, photo))
                for name, photo in parameters.photos.items()
            }
        name = f"{uuid.uuid4()}.{parameters.image_format}"
        path = self._folder / name
        painter: Paint = paint_plain if self._settings.pictures == "plain" else self._paint

        def paint() -> None:
            path.write_bytes(
                painter(
                    photos.get("image_1"),
                    prompt=parameters.prompt,
                    aspect_ratio=parameters.aspect_ratio,
                    image_format=parameters.image_format,
                    quality=parameters.quality,
                    seed=seed,
                )
            )

        async with self._painters:
            await _in_thread(paint)
        return Image(name=name, path=path, content_type=f"image/{parameters.image_format}")


def _is_blocked(prompt: str, content_filter: tuple[str, ...]) -> bool:
    return any(word.casefold() in prompt.casefold() for word in content_filter)


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    """Run blocking work beside the loop, in a daemon thread.

    Not asyncio.to_thread: the threads of a pool are joined when the process ends, so that a photo's host that
    hangs would hold up the end of the emulator.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001  it is raised again where it is awaited
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await done
