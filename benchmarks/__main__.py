"""`make bench`: measures everything in one run, and writes docs/benchmarks.{json,svg,md}."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CalledProcessError

from rich.console import Console
from rich.table import Table

from benchmarks import cold_start, memory
from benchmarks.bill import read_prices
from benchmarks.designs import BURST, BURST_RATE, DESIGNS
from benchmarks.page import page
from benchmarks.plot import Point, draw
from benchmarks.results import RESULTS, Results, claims, this_machine
from benchmarks.runs import IncompleteRunError, Load, measure
from packshot_cli.errors import LocalCloudError
from packshot_cli.signals import StopError, stopping_at_signals

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLD_STARTS = 7
SIDE_BY_SIDE = Load(60, pause_seconds=1.0, in_flight=15)
CALM = Load(20, pause_seconds=1.2)
ALL_AT_ONCE = Load(300)


def main() -> int:
    """Run the benchmark; 1 when something does not hold that has to, 2 when it could not be run."""
    console = Console(stderr=True)
    try:
        with stopping_at_signals():
            results = _measure(console)
    except StopError as stop:
        console.print("packshot: stopped; nothing was written", highlight=False)
        return stop.exit_code
    except CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").splitlines()
        why = next((line for line in said if line.startswith("ERROR")), str(error))
        console.print(f"packshot: the layer could not be built: {why}", style="red", markup=False)
        return 2
    except (IncompleteRunError, LocalCloudError) as error:
        console.print(f"packshot: {error}", style="red", highlight=False)
        return 2
    write(results)
    found = Table("", "found", "holds")
    for claim in claims(results):
        found.add_row(claim.words, claim.found, "yes" if claim.holds else "[red]no[/red]")
    console.print(found)
    console.print(f"{results.seconds / 60:.1f} minutes; written to docs/benchmarks.md")
    return 0 if all(claim.holds for claim in claims(results)) else 1


def _measure(console: Console) -> Results:
    began = time.monotonic()
    with console.status("Import times") as status:
        cold_starts = cold_start.measure(COLD_STARTS)
        status.update("Memory")
        peaks = memory.measure()
        designs = {}
        for design in DESIGNS:
            (designs[design.name],) = measure(design, [SIDE_BY_SIDE], status.update)
        calm, burst = measure(BURST, [CALM, ALL_AT_ONCE], status.update)
    return Results(
        date=datetime.now(UTC).date().isoformat(),
        machine=this_machine(),
        prices=read_prices(),
        designs=designs,
        calm=calm,
        burst=burst,
        burst_rate=BURST_RATE,
        cold_starts=cold_starts,
        memory=peaks,
        seconds=time.monotonic() - began,
    )


def write(results: Results) -> None:
    """Write what was found, as data, as a picture and as a page."""
    (DOCS / "benchmarks.json").write_bytes(RESULTS.dump_json(results, indent=2) + b"\n")
    points = [Point(run.title, results.usd(name), run.notice.mean) for name, run in results.designs.items()]
    draw(points, DOCS / "benchmarks.svg")
    (DOCS / "benchmarks.md").write_text(page(results))


if __name__ == "__main__":
    sys.exit(main())
