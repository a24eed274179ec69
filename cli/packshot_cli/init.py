"""`packshot init`: a folder of photos gets a scenes file to begin with, and the schema for editors."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from packshot.scenes_file import SCENES_FILE
from packshot_cli.paying import PRICE_USD
from packshot_cli.schemas import scenes_schema
from packshot_cli.text import counted
from packshot_cli.trades import Trade

# Its name begins with `_`, so that Packshot passes it over.
SCHEMA_FILE = "_scenes.schema.json"
STARTER_FILE = "starter_scenes.json"


def run(folder: Path, trades: Sequence[Trade]) -> None:
    """The command: leaves with 1 and a line of why where there are scenes already, or none can be written."""
    starter = starter_scenes(trades or list(Trade))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / SCENES_FILE).open("x", encoding="utf-8") as file:
            file.write(json.dumps(starter, indent=2, ensure_ascii=False) + "\n")
        (folder / SCHEMA_FILE).write_text(scenes_schema(), encoding="utf-8")
    except FileExistsError as error:
        typer.echo(f"{error.filename} is there already: nothing was changed", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{error.filename or folder} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(next_steps(folder, list(starter["scenes"])))


def starter_scenes(trades: Sequence[Trade]) -> dict[str, Any]:
    """The starter scenes file, as JSON data, with the scenes of these trades alone."""
    text = files("packshot_cli").joinpath(STARTER_FILE).read_text(encoding="utf-8")
    starter: dict[str, Any] = json.loads(text)
    scenes = starter["scenes"].items()
    return {**starter, "scenes": {name: scene for name, scene in scenes if name.partition("-")[0] in trades}}


def next_steps(folder: Path, scenes: Sequence[str]) -> str:
    """What to do now that the files are there."""
    command = f"packshot explain {shlex.quote(str(folder))}"
    each = f"{counted(len(scenes), 'image')}, about ${len(scenes) * PRICE_USD:,.2f}"
    return "\n".join(
        [
            f"{folder / SCENES_FILE} has {counted(len(scenes), 'scene')}: {', '.join(scenes)}.",
            f"  1. Edit it: say what the product is, and keep only what you need. Each photo makes {each}.",
            f"  2. See what each photo will become, and what is wrong: {command}",
            "  3. Send it with your photos: packshot upload FOLDER",
        ]
    )
