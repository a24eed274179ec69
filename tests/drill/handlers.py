"""The Lambda handlers of the local cloud as processes of this machine, and somebody who kills them.

MiniStack runs a handler in a process that it keeps for later calls, named by the function. Killed at work, it
is an error of that one call, and the next call starts another; killed at rest, nobody notices. When one is
killed while it starts, MiniStack takes the function for broken and ends all handlers of it, at work or not.
AWS would do no such thing, so only those are killed that were seen at rest before.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_WORKER = re.compile(r"/ministack-lambda-\S*?(?P<function>[A-Z][A-Za-z]+Function)\S*/_worker\.py")
# What looks at rest before this age may only wait for a processor to start on.
GROWN_SECONDS = 2
LOOK_EVERY_SECONDS = 0.05
# So long the killer waits for a handler of the function that he has in mind.
PATIENCE_SECONDS = 1.5
FUNCTIONS = ("SubmitFunction", "CheckStatusFunction", "FinalizeFunction", "SweepFunction")
# From the moment at which a handler is seen to compute until it dies. Half of them die at once, the others
# may be anywhere by then: waiting for an answer, in the next call, or at rest.
LONGEST_DELAY_SECONDS = 0.25


@dataclass(frozen=True)
class Handler:
    """A handler's process; one that waits for an answer, or for work, does not compute."""

    pid: int
    function: str
    age_seconds: int
    computes: bool


def handlers(group_id: int) -> list[Handler]:
    """The handlers in the process group of a MiniStack."""
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,pgid=,stat=,etime=,command="], capture_output=True, text=True, check=True
    )
    return list(parsed(listing.stdout, group_id))


def any_alive(group_id: int) -> bool:
    """Whether a process of a group still runs; one that only waits for its parent to look at it does not."""
    listing = subprocess.run(["ps", "-ax", "-o", "pgid=,stat="], capture_output=True, text=True, check=True)
    lines = (line.split() for line in listing.stdout.splitlines())
    return any(int(group) == group_id and not state.startswith("Z") for group, state in lines)


def parsed(listing: str, group_id: int) -> Iterator[Handler]:
    """The handlers in what ps lists."""
    for line in listing.splitlines():
        pid, group, state, age, command = line.split(maxsplit=4)
        worker = _WORKER.search(command)
        if worker and int(group) == group_id and not state.startswith("Z"):
            yield Handler(int(pid), worker["function"], _seconds(age), state.startswith("R"))


def _seconds(elapsed: str) -> int:
    """What ps calls etime: [[days-]hours:]minutes:seconds."""
    days, _, clock = elapsed.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 86400 + seconds


@dataclass
class Killer:
    """Every few seconds, SIGKILL for a handler that was just seen at work; counts them by function."""

    group_id: int
    every_seconds: tuple[float, float]
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    _started: set[int] = field(default_factory=set)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def at_large(self) -> Iterator[None]:
        """Kill while the block runs, or until `stop`."""
        thread = threading.Thread(target=self._hunt, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        self._enough.set()

    def at_work(self, alive: Sequence[Handler]) -> list[Handler]:
        """Those that do more than start, to judge by this look and those before."""
        self._started |= {
            each.pid for each in alive if not each.computes and each.age_seconds >= GROWN_SECONDS
        }
        return [each for each in alive if each.computes and each.pid in self._started]

    def _hunt(self) -> None:
        while not self._enough.wait(self.chance.uniform(*self.every_seconds)):
            # Each function in its turn, or those that take longest would be the only ones.
            wanted = self.chance.choice(FUNCTIONS)
            patient_until = time.monotonic() + PATIENCE_SECONDS
            while not self._enough.wait(LOOK_EVERY_SECONDS):
                at_work = self.at_work(handlers(self.group_id))
                victims = [each for each in at_work if each.function == wanted]
                if not victims and time.monotonic() > patient_until:
                    victims = at_work
                if victims:
                    self._kill(self.chance.choice(victims))
                    break

    def _kill(self, victim: Handler) -> None:
        time.sleep(max(0.0, self.chance.uniform(-LONGEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)))
        with suppress(ProcessLookupError):
            if os.getpgid(victim.pid) == self.group_id:
                os.kill(victim.pid, signal.SIGKILL)
                self.killed[victim.function] += 1
