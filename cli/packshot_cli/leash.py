"""Runs a command that must not outlive whoever started it: `leash.py FOLDER COMMAND...`

The command runs while the leash's standard input is open, so that it ends with its starter even when that is
killed. Then its folder is removed and every process of the leash's group is killed, the leash with them: the
starter must give it a session of its own. The standard library alone, because it starts before anything else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

GRACE_SECONDS = 3.0


def main(folder: str, command: list[str]) -> None:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: child.terminate())
    threading.Thread(target=_end_with_standard_input, args=(child,), daemon=True).start()
    child.wait()
    os.killpg(0, signal.SIGTERM)
    _remove(folder)
    os.killpg(0, signal.SIGKILL)


def _remove(folder: str) -> None:
    """Until it stays away: whoever is ending may write into it once more."""
    ends_at = time.monotonic() + GRACE_SECONDS
    there = Path(folder)
    while there.exists() and time.monotonic() < ends_at:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def _end_with_standard_input(child: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    child.terminate()
    time.sleep(GRACE_SECONDS)
    child.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
