"""What a person sees of a drill: how it stands, and in the end the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from packshot_cli.progress import is_interactive
from tests.drill.conduct import Glance
from tests.drill.evidence import Evidence
from tests.drill.plan import STATUS_FAULTS, SUBMIT_FAULTS, Plan

PLAIN_LINE_EVERY_SECONDS = 15.0


@contextmanager
def progress(console: Console, plan: Plan) -> Iterator[Callable[[Glance], None]]:
    """Show how it stands: one changing line on a terminal, a plain line now and then anywhere else."""
    if is_interactive(console):
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda glance: live.update(Text(_line(glance, plan), overflow="fold"), refresh=True)
    else:
        yield _plain_lines(console, plan)


def _plain_lines(console: Console, plan: Plan) -> Callable[[Glance], None]:
    told_at_seconds, told_weather = -PLAIN_LINE_EVERY_SECONDS, ""

    def show(glance: Glance) -> None:
        nonlocal told_at_seconds, told_weather
        late = glance.elapsed_seconds - told_at_seconds >= PLAIN_LINE_EVERY_SECONDS
        if late or glance.weather != told_weather:
            told_at_seconds, told_weather = glance.elapsed_seconds, glance.weather
            console.print(Text(_line(glance, plan)), soft_wrap=True)

    return show


def _line(glance: Glance, plan: Plan) -> str:
    return "  ".join(
        (
            f"{glance.elapsed_seconds:4.0f} s",
            f"{glance.weather:17}",
            f"{glance.uploaded}/{len(plan.uploads)} photos",
            f"{glance.killed} killed",
            f"{glance.events} events",
            _counts(glance.jobs),
        )
    )


def outcome(plan: Plan, evidence: Evidence) -> Table:
    """The table that a drill ends with."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for row in _rows(plan, evidence):
        table.add_row(*row)
    return table


def _rows(plan: Plan, evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    jobs, told = evidence.jobs, evidence.facts_told
    dead_letters = sum(evidence.dead_letters.values())
    right = sum(problem is None for problem in evidence.images.values())
    yield "seed", str(plan.seed), ""
    yield "photos", str(len(evidence.uploads)), f"{evidence.delivered_again} events delivered a second time"
    yield (
        "without credits",
        f"{plan.without_credits_seconds:.0f} s",
        f"of a storm of {plan.storm_seconds:.0f} s",
    )
    for call, kinds in (("submit", SUBMIT_FAULTS), ("status", STATUS_FAULTS)):
        faults = {kind: evidence.faults.get((call, kind), 0) for kind in kinds}
        words = f"of {evidence.calls.get(call, 0)} in the storm: {_counts(faults)}"
        yield f"faults of {call} calls", str(sum(faults.values())), words
    yield (
        "handlers killed",
        str(sum(evidence.killed.values())),
        f"{sum(evidence.killed_at_work.values())} of them at work: {_counts(evidence.killed_at_work)}",
    )
    yield "jobs", str(len(jobs)), _counts(Counter(str(job.state) for job in jobs))
    yield (
        "events",
        str(len(evidence.events)),
        f"of {len(told)} facts, {len(evidence.events) - len(told)} again",
    )
    yield "", "", _counts(Counter(event["detail-type"] for event in evidence.events))
    yield (
        "ambiguous answers",
        str(evidence.ambiguous_answers),
        f"the jobs count {evidence.lost_answers} of them",
    )
    yield "requests paid", str(evidence.paid), f"of {len(evidence.requests)} accepted"
    completed = {event["detail"]["id"] for event in evidence.completions}
    yield "photos completed", str(len(completed)), f"of {len(evidence.uploads)}"
    yield "executions", str(sum(evidence.executions.values())), _counts(evidence.executions)
    yield "images right", str(right), f"of {len(evidence.uploads)}"
    yield "errors logged", str(sum(evidence.errors_logged.values())), _counts(evidence.errors_logged)
    yield "dead letters", str(dead_letters), ""
    yield "seconds", f"{evidence.seconds:.0f}", ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
