"""Ending in good order when a signal asks for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class StopError(BaseException):
    """A signal asked this process to end: no `except Exception` on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        # What a shell reports for a process that a signal ended.
        self.exit_code = 128 + number


@contextmanager
def stopping_at_signals() -> Iterator[None]:
    """Within the block, the first SIGINT, SIGTERM or SIGHUP raises StopError and further ones do nothing."""
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    # Once: a second signal would only break the clearing up, which ends by itself.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise StopError(number)
