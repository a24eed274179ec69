"""Where the `packshot` command begins: a Ctrl-C ends it quietly even before the command can say so itself."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command. Importing all that it needs takes a moment, in which nothing has been started yet."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from packshot_cli.main import app

    app()


if __name__ == "__main__":
    main()
