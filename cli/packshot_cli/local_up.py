"""`packshot local up`: a local cloud in the foreground, and one JSON object on standard output."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from types import FrameType

import typer

from packshot_cli.errors import LocalCloudError
from packshot_cli.local_cloud import local_cloud, parse_parameters


class _StopError(BaseException):
    """A signal asked us to end: no `except Exception` on the way may swallow it."""


def run(
    segmind_url: str | None,
    api_key: str | None,
    port: int | None,
    wait_scale: float,
    parameters: Iterable[str],
) -> None:
    """Stay until SIGINT or SIGTERM; leaves with one line on standard error and code 1 when that fails."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        with local_cloud(
            segmind_url=segmind_url,
            api_key=api_key,
            port=port,
            wait_scale=wait_scale,
            parameters=parse_parameters(parameters),
            tell=lambda line: typer.echo(line, err=True),
        ) as cloud:
            typer.echo(json.dumps(cloud.description()))
            cloud.stay()
    except LocalCloudError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except _StopError:
        typer.echo("Stopped", err=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Once: a second signal would only break the clearing up, which ends by itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise _StopError
