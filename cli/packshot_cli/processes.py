"""Processes of the local cloud: each has its own folder and environment, and none outlives this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from packshot_cli import leash
from packshot_cli.errors import LocalCloudError

LINES_KEPT = 50
LOOK_EVERY_SECONDS = 0.02


class Process:
    """A command on a leash, and the last lines of what it says."""

    def __init__(self, name: str, popen: subprocess.Popen[str], said: IO[str]) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._popen = popen
        self._said = said
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def group_id(self) -> int:
        """The process group of it and of whatever it starts."""
        return self._popen.pid

    def check(self) -> None:
        """Raise LocalCloudError, with the last thing it said, when the process has ended."""
        if self._popen.poll() is None:
            return
        self._listener.join(timeout=1)
        raise LocalCloudError(f"{self.name} ended: {last_words(list(self.lines)) or 'it said nothing'}")

    def wait_until(self, ready: Callable[[], bool], within_seconds: float) -> None:
        """Return once `ready()`; raise LocalCloudError when the process ends first or time runs out."""
        deadline = time.monotonic() + within_seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise LocalCloudError(f"{self.name} was not ready within {within_seconds:g} seconds")
            time.sleep(LOOK_EVERY_SECONDS)

    def end(self) -> None:
        """End it and whatever it started. Returns when they are gone."""
        if self._popen.stdin:
            self._popen.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2 * leash.GRACE_SECONDS)
        # The leash does this too, unless it was itself killed. macOS answers EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._listener.join()
        self._said.close()

    def _listen(self) -> None:
        for line in self._said:
            self.lines.append(line.rstrip())


@contextmanager
def running(name: str, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Process]:
    """Run a command until the block ends, in an empty folder, with `environment` as its environment.

    What it writes to standard output and standard error is kept in `Process.lines`, up to LINES_KEPT lines.
    """
    with TemporaryDirectory(prefix=f"packshot-{name.lower()}-", ignore_cleanup_errors=True) as folder:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(leash.__file__)), folder, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,
            env=environment(folder, variables),
            start_new_session=True,
        )
        if popen.stdout is None:
            raise TypeError("a pipe was asked for")
        process = Process(name, popen, popen.stdout)
        try:
            yield process
        finally:
            process.end()


def environment(folder: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a process: nothing of the caller's but PATH.

    Home and temporary files are in `folder`, so that no credentials or settings of the caller are found.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder, **variables}


def last_words(lines: Sequence[str]) -> str:
    """The last line with a letter or digit in it, without the frame that a terminal program draws.

    A line of JSON is a record of something else: metrics, for one.
    """
    for line in reversed(lines):
        if any(character.isalnum() for character in line) and not line.startswith("{"):
            return line.strip(" │|")
    return ""
