"""Makes the virtual environment DIRECTORY hold what its files pin: `environment.py DIRECTORY FILE...`

A FILE is a lock file, or a `pyproject.toml`, whose project is then installed as editable. What is installed
is recorded in `DIRECTORY/.installed`, as digests: nothing is done while they hold. The record goes before any
change and comes back after the last one, so what an interrupted run leaves, the next run makes again.
Uses the standard library alone: it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def main(directory: Path, files: list[Path]) -> None:
    """Bring `directory` up to date with `files`."""
    with _alone():
        wanted = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        wanted["made in"] = str(directory.resolve())  # the scripts in it hold this path: none survives a move
        if "PYTHON" in os.environ:
            wanted["python"] = platform.python_version()
        record = directory / ".installed"
        installed = _read(record) if (directory / "bin/python").exists() else {}
        missing = [name for name, digest in wanted.items() if installed.get(name) != digest]
        if not missing:
            return
        record.unlink(missing_ok=True)
        # A lock file that changed may have dropped a package: only a new environment is sure not to hold it.
        changed = [name for name in missing if name in installed and not name.endswith(".toml")]
        if changed or not installed or "python" in missing:
            _say(f"{directory}: a new environment, Python {platform.python_version()}")
            venv.create(directory, clear=True, symlinks=True, with_pip=True)
            installed, missing = {}, list(wanted)
        locks = [name for name in missing if name.endswith(".txt")]
        if locks:
            _say(f"{directory}: packages of {' and '.join(locks)}")
            _pip(directory, *(argument for lock in locks for argument in ("-r", lock)))
        for project in (Path(name).parent for name in missing if name.endswith(".toml")):
            _say(f"{directory}: this project, editable")
            _pip(directory, "--no-deps", "--no-build-isolation", "-e", str(project))
        record.write_text(json.dumps(installed | wanted), encoding="utf-8")


def _read(record: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _pip(directory: Path, *arguments: str) -> None:
    # What pip cannot clear up when it is interrupted goes with this folder, or with the environment.
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as folder:
        subprocess.run(
            [directory / "bin/python", "-m", "pip", "install", "-qq", *arguments],
            check=True,
            env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "TMPDIR": str(Path(folder).resolve())},
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends; wait for whoever holds it."""
    with Path(__file__).open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another make is installing: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    print(message, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except subprocess.CalledProcessError as error:
        sys.exit(f"{sys.argv[1]}: pip stopped with code {error.returncode}; make starts again from here")
    except KeyboardInterrupt:
        sys.exit(f"{sys.argv[1]}: interrupted; the next make starts it again")
