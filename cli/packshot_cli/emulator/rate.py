"""The rate limit: so many calls in any sixty seconds."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

_WINDOW = timedelta(seconds=60)


class RateWindow:
    """The times of the calls that were let through in the last minute."""

    def __init__(self) -> None:
        self._passed: deque[datetime] = deque()

    def pass_or_wait(self, now: datetime, requests_a_minute: int | None) -> datetime | None:
        """None lets the call through, and counts it; otherwise when the next one will be."""
        while self._passed and now - self._passed[0] >= _WINDOW:
            self._passed.popleft()
        if requests_a_minute is not None and len(self._passed) >= requests_a_minute:
            return self._passed[-requests_a_minute] + _WINDOW
        self._passed.append(now)
        return None
