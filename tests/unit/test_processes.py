"""A process on its leash: what it sees, what it leaves, and that it never outlives us."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from packshot_cli.errors import LocalCloudError
from packshot_cli.processes import Process, environment, last_words, running

# Says where it is and starts another process, which then outlives it unless somebody ends both.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getcwd(), os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STARTER = f"""
import sys
from packshot_cli.processes import running
with running("Family", [sys.executable, "-c", {FAMILY!r}], {{}}) as family:
    family.wait_until(lambda: bool(family.lines), 20)
    print(family.lines[0], flush=True)
    sys.stdin.read()
"""


def _alive(pid: int) -> bool:
    """Whether a process runs: one that nobody has asked about since its end counts as gone."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and "Z" not in state


def _eventually(true: Callable[[], bool], within_seconds: float = 10) -> bool:
    deadline = time.monotonic() + within_seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def _family(process: Process) -> tuple[Path, list[int]]:
    process.wait_until(lambda: bool(process.lines), 20)
    folder, *pids = process.lines[0].split()
    return Path(folder), [int(pid) for pid in pids]


def test_nothing_is_left_after_the_block() -> None:
    with running("Family", [sys.executable, "-c", FAMILY], {}) as process:
        folder, pids = _family(process)
        assert folder.is_dir()
        assert all(_alive(pid) for pid in pids)
        process.check()
    assert not folder.exists()
    assert _eventually(lambda: not any(_alive(pid) for pid in pids))


def test_nothing_is_left_when_the_starter_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        folder, *pids = starter.stdout.readline().split()
        starter.kill()
    assert _eventually(lambda: not any(_alive(int(pid)) for pid in pids))
    assert _eventually(lambda: not Path(folder).exists())


def test_nothing_is_left_when_the_leash_is_killed() -> None:
    with running("Family", [sys.executable, "-c", FAMILY], {}) as process:
        folder, pids = _family(process)
        os.kill(os.getpgid(pids[0]), 9)
    assert not folder.exists()
    assert _eventually(lambda: not any(_alive(pid) for pid in pids))


def test_a_process_that_ends_is_reported_with_its_last_words() -> None:
    hasty = "import sys; print('one', file=sys.stderr); sys.exit('the disk is full')"
    with running("Hasty", [sys.executable, "-c", hasty], {}) as process:
        with pytest.raises(LocalCloudError, match=r"^Hasty ended: the disk is full$"):
            process.wait_until(lambda: False, 20)
        with pytest.raises(LocalCloudError, match=r"^Hasty ended: the disk is full$"):
            process.check()


def test_a_process_that_is_never_ready_is_reported_in_time() -> None:
    with (
        running("Slow", [sys.executable, "-c", "import time; time.sleep(600)"], {}) as process,
        pytest.raises(LocalCloudError, match=r"Slow was not ready within 0.1 seconds"),
    ):
        process.wait_until(lambda: False, 0.1)


def test_a_process_sees_nothing_of_its_caller_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "SEGMIND_API_KEY", "PYTHONPATH", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "the caller's")
    monkeypatch.setenv("PATH", "/bin:/usr/bin")

    assert environment("/private", {"AUTH": "true"}) == {
        "AUTH": "true",
        "HOME": "/private",
        "PATH": "/bin:/usr/bin",
        "TMPDIR": "/private",
    }


def test_last_words_are_not_the_frame_around_them() -> None:
    assert last_words(["Usage: packshot", "╭─ Error ─╮", "│ seconds: too small  │", "╰─────────╯"]) == (
        "seconds: too small"
    )
    assert last_words([]) == ""
