"""`packshot probe`: the open questions about Segmind's API, asked of it, and of the emulator beside it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence

import requests
import typer
from rich.console import Console
from rich.table import Table

from packshot_cli.demo_photos import SAMPLES
from packshot_cli.errors import LocalCloudError, PhotosError
from packshot_cli.local_cloud import emulated_segmind
from packshot_cli.paying import cost_in_words, is_agreed_to
from packshot_cli.probing import MOST_IMAGES, Api, Finding, Pace, probe
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.text import one_line
from packshot_cli.trying import api_key_in

PHOTO = SAMPLES / "mug.jpg"
# Of the API, whose images take about 20 seconds, and of the emulator, whose take one.
LIVE_PACE = Pace(look_seconds=2.0, many_looks_seconds=50.0)
EMULATED_PACE = Pace(look_seconds=0.05, many_looks_seconds=0.0)
EMULATED_SECONDS = 1.0
HISTORY_PATH = "/inference-request/request-history"


def run(*, segmind_url: str, history_url: str | None, yes: bool) -> None:
    """Say what it costs, ask both, and print them side by side; leaves with a line and 1 when it cannot."""
    console = Console(stderr=True)
    try:
        with stopping_at_signals():
            api_key = api_key_in(os.environ)
            console.print(f"Segmind will be paid for {cost_in_words(MOST_IMAGES)}", highlight=False)
            if history_url:
                console.print(f"The key goes to {one_line(history_url)}, too", highlight=False)
            if not yes and not is_agreed_to(console):
                raise PhotosError("Nothing was sent, nothing is paid; --yes does not ask")
            emulated = _emulated(with_history=bool(history_url))
            live = []
            for finding in probe(
                Api(segmind_url.rstrip("/"), api_key, LIVE_PACE, history_url), PHOTO.read_bytes()
            ):
                console.print(f"{finding.question}: {_shown(finding.answer)}", style="dim", highlight=False)
                live.append(finding)
            show(live, emulated)
    except (LocalCloudError, PhotosError) as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except requests.RequestException as error:
        # Not its text, which may hold an address that was signed.
        console.print(f"No answer ({type(error).__name__}): what was sent before will be paid", style="red")
        raise typer.Exit(1) from None
    except StopError as stop:
        console.print("Stopped: what Segmind took before will be paid")
        raise typer.Exit(stop.exit_code) from None


def _emulated(*, with_history: bool) -> list[Finding]:
    api_key = secrets.token_urlsafe(24)
    with emulated_segmind(EMULATED_SECONDS, api_key) as (_, url):
        history_url = f"{url}{HISTORY_PATH}" if with_history else None
        return list(probe(Api(url, api_key, EMULATED_PACE, history_url), PHOTO.read_bytes()))


def show(live: Sequence[Finding], emulated: Sequence[Finding]) -> None:
    """A table on a terminal; in a pipe a line a question, with tabs between."""
    assumed = {finding.question: finding.answer for finding in emulated}
    rows = [(each.question, _shown(each.answer), assumed.get(each.question, "not asked")) for each in live]
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("question", "Segmind", "the emulator"):
        table.add_column(title, overflow="fold")
    for question, answer, assumption in rows:
        table.add_row(question, answer, assumption, style=None if answer == assumption else "yellow")
    Console().print(table)


def _shown(answer: str) -> str:
    return one_line(answer)[:200]
