"""The emulator's time, which tests replace by a clock that they step."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """UTC that never jumps: the wall clock read once, the monotonic one since."""

    def __init__(self) -> None:
        self._origin = datetime.now(UTC)
        self._started_seconds = time.monotonic()

    def now(self) -> datetime:
        return self._origin + timedelta(seconds=time.monotonic() - self._started_seconds)

    async def sleep_until(self, moment: datetime) -> None:
        await asyncio.sleep((moment - self.now()).total_seconds())
