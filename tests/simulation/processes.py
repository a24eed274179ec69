"""Processes that can be stopped, killed and disturbed at every call to the outside, one running at a time.

A process is a thread only if it has to stand still in its middle; whoever runs holds the only baton, so what
happens follows from the schedule alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TypeVar

from tests.unit.fakes import Outside

Result = TypeVar("Result")


class Fate(Enum):
    """What becomes of a process, after some undisturbed calls, at the next one."""

    RUN = "runs to its end"
    PAUSE = "stands still before"
    KILL = "dies before"
    KILL_AFTER = "dies after"
    FAIL = "meets an error instead of"
    LOSE = "meets an error after"
    TWICE = "repeats"


class Killed(BaseException):
    """The process is gone at this line: no handler of exceptions runs in it any more."""


class OutsideError(Exception):
    """A call that did not get through, for all its retries; its effect may have come about."""


class Process:
    """One invocation of a function. `ends_at` is when its time-out kills it."""

    def __init__(self, name: str, work: Callable[[], None], ends_at: datetime) -> None:
        self.name = name
        self.ends_at = ends_at
        self.over = False
        self.error: BaseException | None = None
        # Whether something was done to it from outside that its own code is not to blame for.
        self.disturbed = False
        self.calls: list[str] = []
        self._work = work
        self._fate = Fate.RUN
        self._calls_left = 0
        self._thread: threading.Thread | None = None
        self._may_run = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)

    def advance(self, calls: int, fate: Fate) -> None:
        """Let it make so many calls, and meet its fate at the next one; until it is over or stands still."""
        self._calls_left, self._fate = calls, fate
        if self._thread is None and fate is not Fate.PAUSE:
            self._run()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_and_tell, daemon=True)
            self._thread.start()
        else:
            self._may_run.release()
        self._stands.acquire()

    def at_a_call(self, name: str, effect: Callable[[], Result]) -> Result:
        """The process calls the outside."""
        if self._fate is Fate.RUN or self._calls_left > 0:
            self._calls_left -= 1
            self.calls.append(name)
            return effect()
        fate, self._fate = self._fate, Fate.RUN
        self.calls.append(f"[{fate.value}] {name}")
        if fate is Fate.PAUSE:
            self._stands.release()
            self._may_run.acquire()
            return self.at_a_call(name, effect)
        # Neither requests nor we repeat a call to the API, and its client answers instead of raising.
        api = "Segmind" in name
        if fate is Fate.TWICE:
            # botocore repeats a call whose answer it did not get.
            if not api:
                effect()
            return effect()
        self.disturbed = True
        if fate in {Fate.KILL_AFTER, Fate.LOSE}:
            effect()
        if api or fate in {Fate.KILL, Fate.KILL_AFTER}:
            raise Killed
        raise OutsideError(name)

    def _run_and_tell(self) -> None:
        self._run()
        self._stands.release()

    def _run(self) -> None:
        try:
            self._work()
        except (Exception, Killed) as error:  # noqa: BLE001 a process may end in any way
            self.error = error
        self.over = True


class Seams(Outside):
    """All calls of the use cases to the outside: whichever process runs decides what happens there."""

    running: Process | None = None

    def call(self, effect: Callable[[], Result]) -> Result:
        if self.running is None:
            return effect()
        name = effect.__qualname__.partition(".<locals>")[0]
        return self.running.at_a_call(name, effect)

    def advance(self, process: Process, calls: int = 0, fate: Fate = Fate.RUN) -> None:
        """Let one process run, until it is over or stands still."""
        self.running = process
        try:
            process.advance(calls, fate)
        finally:
            self.running = None
