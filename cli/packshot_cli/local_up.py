"""`packshot local up`: a local cloud in the foreground, and one JSON object on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterable

import typer

from packshot_cli.errors import LocalCloudError
from packshot_cli.local_cloud import local_cloud, parse_parameters
from packshot_cli.signals import StopError, stopping_at_signals


def run(
    segmind_url: str | None,
    api_key: str | None,
    port: int | None,
    wait_scale: float,
    parameters: Iterable[str],
) -> None:
    """Stay until a signal; leaves with one line on standard error and code 1 when that cannot be."""
    try:
        with (
            stopping_at_signals(),
            local_cloud(
                segmind_url=segmind_url,
                api_key=api_key,
                port=port,
                wait_scale=wait_scale,
                parameters=parse_parameters(parameters),
                tell=_tell,
            ) as cloud,
        ):
            typer.echo(json.dumps(cloud.description()))
            cloud.stay()
    except LocalCloudError as error:
        _tell(str(error))
        raise typer.Exit(1) from None
    except StopError:
        _tell("Stopped")


def _tell(line: str) -> None:
    typer.echo(line, err=True)
