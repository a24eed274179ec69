"""`packshot emulator`: from its arguments to a running server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from packshot_cli.emulator.app import create_app
from packshot_cli.emulator.faults import RULES, Rule
from packshot_cli.emulator.parameters import problems
from packshot_cli.emulator.server import EmulatorServer, PortInUseError, listen, url_of
from packshot_cli.emulator.settings import Settings


def run(port: int, given: Mapping[str, Any], switches: Iterable[str], faults_file: Path | None) -> None:
    """Serve until a signal; leaves with one line on standard error and a code when it cannot.

    `given` are settings, of which None stands for the default; `switches` are more of them as NAME=VALUE.
    """
    settings = _read_settings({name: value for name, value in given.items() if value is not None}, switches)
    rules = _read_rules(faults_file)
    try:
        listener = listen(port)
    except PortInUseError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    server = EmulatorServer(
        create_app(settings, rules),
        on_ready=lambda: typer.echo(f"Segmind emulator on {url_of(listener)}", err=True),
    )
    with listener:
        server.run(sockets=[listener])


def _read_settings(given: Mapping[str, Any], switches: Iterable[str]) -> Settings:
    values = dict(given)
    for switch in switches:
        name, equals, value = switch.partition("=")
        if not equals:
            raise typer.BadParameter(f"{name}: NAME=VALUE is wanted", param_hint="--set")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from None


def _read_rules(faults_file: Path | None) -> list[Rule]:
    if faults_file is None:
        return []
    try:
        return RULES.validate_json(faults_file.read_bytes())
    except ValidationError as error:
        raise typer.BadParameter(problems(error), param_hint="--faults") from None
