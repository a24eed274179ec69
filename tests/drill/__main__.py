"""`python -m tests.drill`: a storm over a local cloud, and whether the promises were kept in it.

Leaves with 0 when they were, with 1 and a line for each that was broken, or with a signal's code.
"""

from __future__ import annotations

import random
import sys
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from packshot_cli.errors import LocalCloudError
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.text import counted, one_line
from tests.drill.conduct import drill
from tests.drill.display import outcome, progress
from tests.drill.evidence import broken_promises
from tests.drill.plan import draw_plan

PIPE_COLUMNS = 160
SHORT_WITHOUT_CREDITS_SECONDS, FULL_WITHOUT_CREDITS_SECONDS = 60.0, 300.0
# A killed submitter's message stays hidden for the queue's time; longer than the lease, as in the template.
SHORT_HELD_SECONDS = 200
# After the storm: a message that was held, a lease, two pauses, and the sweeps between them.
SHORT_PATIENCE_SECONDS, FULL_PATIENCE_SECONDS = 460.0, 1500.0
PROMISES_SHOWN = 20


def main(
    seed: Annotated[
        int | None, typer.Option(help="Of all that is drawn by chance; a new one unless told.")
    ] = None,
    photos: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 60,
    full: Annotated[
        bool, typer.Option("--full", help="Five minutes without credits, and the template's own queue times.")
    ] = False,
) -> None:
    """Drill the stack on this machine: duplicates, faults, killed handlers, and a time without credits."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    without_credits_seconds = FULL_WITHOUT_CREDITS_SECONDS if full else SHORT_WITHOUT_CREDITS_SECONDS
    plan = draw_plan(seed, photos, without_credits_seconds)
    console.print(
        f"Drill with seed {seed}: {counted(photos, 'photo')}, a storm of {plan.storm_seconds:.0f} s"
    )
    try:
        with stopping_at_signals(), progress(console, plan) as show:
            evidence = drill(
                plan,
                patience_seconds=FULL_PATIENCE_SECONDS if full else SHORT_PATIENCE_SECONDS,
                held_seconds=None if full else SHORT_HELD_SECONDS,
                tell=console.print,
                show=show,
            )
    except (LocalCloudError, BotoCoreError, ClientError) as error:
        typer.echo(f"The drill was cut short (seed {seed}): {one_line(str(error))}", err=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        typer.echo("Stopped: nothing is left running", err=True)
        raise typer.Exit(stop.exit_code) from None
    console.print(outcome(plan, evidence))
    broken = broken_promises(evidence)
    for line in broken[:PROMISES_SHOWN]:
        console.print(Text(one_line(line), style="red"), soft_wrap=True)
    if broken:
        console.print(f"{counted(len(broken), 'promise')} broken; again with: make drill-cloud SEED={seed}")
        raise typer.Exit(1)
    console.print("Every promise was kept")


if __name__ == "__main__":
    typer.run(main)
