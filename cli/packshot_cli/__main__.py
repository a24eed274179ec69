"""Where the `packshot` command begins, and what holds for all of it: Ctrl-C, and an output that is full."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

_TAKES_NO_MORE = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


def main() -> None:
    """Run the command. Importing all that it needs takes a moment, in which Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from packshot_cli.main import app

    try:
        app()
    except OSError as error:
        if error.errno not in _TAKES_NO_MORE:
            raise
        # Python would complain once more about what is left of it, when it ends.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        sys.exit(f"The output cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()
