"""The Segmind emulator for tests: in a thread of the test's process, or as the real command.

with emulator_in_thread(seconds=0.2, output_shape="list") as emulator:
    emulator.url, emulator.counts(), emulator.put_faults({"call": "submit", "effect": {"kind": "lost"}})
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from packshot_cli.emulator.app import create_app
from packshot_cli.emulator.painter import paint_plain
from packshot_cli.emulator.server import EmulatorServer, listen, url_of
from packshot_cli.emulator.settings import Settings
from packshot_cli.emulator.worker import Paint

START_SECONDS = 20
END_SECONDS = 10


@dataclass(frozen=True)
class RunningEmulator:
    """What a test may ask of an emulator, beside calling its API at `url`."""

    url: str

    def counts(self) -> dict[str, Any]:
        return self._ask("GET", "counts")  # type: ignore[no-any-return]

    def requests(self) -> list[dict[str, Any]]:
        """The accepted requests, oldest first."""
        return self._ask("GET", "requests")  # type: ignore[no-any-return]

    def change_settings(self, **changes: Any) -> dict[str, Any]:
        return self._ask("PATCH", "settings", changes)  # type: ignore[no-any-return]

    def put_faults(self, *rules: dict[str, Any]) -> None:
        self._ask("PUT", "faults", list(rules))

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, each with how often it has `seen` a call and `struck`."""
        return self._ask("GET", "faults")  # type: ignore[no-any-return]

    def _ask(self, method: str, what: str, json: Any = None) -> Any:
        response = httpx.request(method, f"{self.url}/_emulator/{what}", json=json)
        response.raise_for_status()
        return response.json()


@contextmanager
def emulator_in_thread(painter: Paint | None = None, **settings: Any) -> Iterator[RunningEmulator]:
    """Serve on a free port while the block runs; `settings` are the emulator's, `seconds` 0.1 unless told."""
    app = create_app(Settings.model_validate({"seconds": 0.1, **settings}), painter=painter or paint_plain)
    ready = threading.Event()
    server = EmulatorServer(app, on_ready=ready.set)
    with listen(0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(START_SECONDS)
            yield RunningEmulator(url_of(listener))
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def emulator_process(*arguments: str) -> Iterator[tuple[RunningEmulator, subprocess.Popen[str]]]:
    """Run `packshot emulator --port 0 …` while the block runs; a process that still lives then is ended."""
    command = [sys.executable, "-m", "packshot_cli", "emulator", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            assert line.startswith("Segmind emulator on http://127.0.0.1:"), line + process.stderr.read()
            yield RunningEmulator(line.split()[-1]), process
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
