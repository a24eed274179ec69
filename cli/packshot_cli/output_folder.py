"""The folder that a demo leaves behind: one demo at a time, all new or not touched, never anyone else's."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packshot_cli.demo_photos import FOLDER
from packshot_cli.errors import DemoError
from packshot_cli.gallery import GENERATOR

PAGE = "index.html"
PHOTOS = "photos"
_MADE = (PAGE, PHOTOS, FOLDER)
_MAKING = ".making-"


@dataclass(frozen=True)
class OutputFolder:
    """`making` is filled first; `publish` puts it in the place of what an earlier demo left in `path`."""

    path: Path
    making: Path

    def publish(self) -> None:
        for name in _MADE:
            old, new = self.path / name, self.making / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
            if new.exists():
                new.rename(old)


@contextmanager
def output_folder(path: Path) -> Iterator[OutputFolder]:
    """Hold a folder until the block ends. Raises DemoError when it is in use, not ours or not writable."""
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It goes again when nothing was published, but never with anything in it.
            stack.callback(_remove_if_empty, path)
            _check_ours(path)
            for left in path.glob(f"{_MAKING}*"):
                shutil.rmtree(left)  # by a demo that was killed, since nobody else holds the folder
            making = stack.enter_context(TemporaryDirectory(dir=path, prefix=_MAKING))
        except BlockingIOError:
            raise DemoError(
                f"Another demo is writing to {path}: wait for it, or choose another --output"
            ) from None
        except OSError as error:
            raise DemoError(f"{path} cannot be written: {error.strerror}") from None
        yield OutputFolder(path, Path(making))


def _check_ours(path: Path) -> None:
    if all(entry.name.startswith(".") for entry in path.iterdir()):
        return
    page = path / PAGE
    if not page.is_file() or GENERATOR not in page.read_text(errors="replace"):
        raise DemoError(f"{path} holds files that are not a demo's: choose another --output")


def _remove_if_empty(path: Path) -> None:
    with suppress(OSError):
        path.rmdir()
