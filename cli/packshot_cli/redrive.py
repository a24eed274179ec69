"""`packshot redrive`: what ended badly in a deployed stack is done again, from where that costs the least.

All of it is looked at first; a person is asked, if something may be paid twice; then it is done, and told.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from rich.text import Text

from packshot.job import Job, JobState
from packshot.job_table import JobTable
from packshot.messages import JobMessage, UploadMessage
from packshot.redriving import LeaveAlone, PostAgain, Redriver, Resume, SendAgain, Step
from packshot.upload_queue import UploadQueue
from packshot_cli.dead_letters import DeadLetterQueue
from packshot_cli.errors import StackError
from packshot_cli.paying import cost_in_words, is_agreed_to
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack import Stack, aws_in_a_line, find_stack
from packshot_cli.text import counted, one_line

# Ids and reasons do not fit a table in the usual 80 columns.
_NARROW_COLUMNS = 120
DRY_RUN = "Nothing was changed: this was a dry run"
_STYLES = {"resumed": "green", "posted again": "cyan", "paid again": "yellow", "sent again": "cyan"}


@dataclass(frozen=True)
class Line:
    """A job, or a dead letter about one, and what is done with it."""

    job_id: str
    photo: str
    scene: str
    state: str
    code: str
    step: Step

    @property
    def done(self) -> str:
        match self.step:
            case Resume():
                return "resumed"
            case PostAgain(charged):
                return "paid again" if charged else "posted again"
            case SendAgain():
                return "sent again"
            case LeaveAlone():
                return "left alone"

    @property
    def why(self) -> str:
        return one_line(self.step.reason) if isinstance(self.step, LeaveAlone) else ""


def run(
    *,
    jobs: Sequence[str],
    state: str | None,
    dead_letters: bool,
    pay_again: bool,
    dry_run: bool,
    yes: bool,
    stack: str | None,
    region: str | None,
    profile: str | None,
) -> None:
    """The command: leaves with 0 when all was looked at, or with a code and a line of why it was not."""
    if sum((bool(jobs), state is not None, dead_letters)) != 1:
        raise typer.BadParameter("say --job, --state or --dead-letters, and one of them alone")
    if dead_letters and pay_again:
        raise typer.BadParameter(
            "--pay-again goes with --job or --state: dead letters are paid as if sent first"
        )
    try:
        with stopping_at_signals(), aws_in_a_line():
            found = find_stack(stack, region, profile, Path.cwd())
            if dead_letters:
                _move_dead_letters(found, dry_run=dry_run)
            else:
                _redrive(found, jobs, state, pay_again=pay_again, dry_run=dry_run, agreed=yes)
    except StackError as error:
        _tell(str(error))
        raise typer.Exit(1) from None
    except StopError as stop:
        _tell("Stopped: what was done stays done, and the rest can be redriven")
        raise typer.Exit(stop.exit_code) from None


def _redrive(
    stack: Stack, job_ids: Sequence[str], state: str | None, *, pay_again: bool, dry_run: bool, agreed: bool
) -> None:
    table = JobTable(stack.client("dynamodb"), stack.output("JobTableName"))
    queue = UploadQueue(stack.client("sqs"), stack.output("UploadQueueUrl"))
    redriver = Redriver(table=table, queue=queue, now=lambda: datetime.now(UTC))
    jobs = table.in_state(JobState(state)) if state else _named(table, job_ids, stack.name)
    looked = (line_of(job, redriver.look(job, pay_again=pay_again)) for job in jobs)
    lines = list(_tracked(looked, "Looking", len(job_ids) or None))
    if dry_run:
        show(lines)
    else:
        _agree_to_pay(lines, agreed=agreed)
        redriven = (_redriven(line, redriver, pay_again=pay_again) for line in lines)
        lines = show(_tracked(redriven, "Redriving", len(lines)))
    _sum_up(lines, "job")
    if dry_run:
        _tell(DRY_RUN)


def _named(table: JobTable, job_ids: Iterable[str], stack_name: str) -> list[Job]:
    jobs = {job_id: table.get(job_id) for job_id in job_ids}
    if missing := [job_id for job_id, job in jobs.items() if job is None]:
        raise StackError(f"The stack {stack_name} has no job {one_line(', '.join(missing))}")
    return [job for job in jobs.values() if job is not None]


def _redriven(line: Line, redriver: Redriver, *, pay_again: bool) -> Line:
    if isinstance(line.step, LeaveAlone):
        return line
    return replace(line, step=redriver.redrive(line.job_id, line.step, pay_again=pay_again))


def _agree_to_pay(lines: Sequence[Line], *, agreed: bool) -> None:
    """Ask for a yes, where something may be paid twice. Raises StackError without one."""
    paid_again = sum(line.step == PostAgain(charged=True) for line in lines)
    if not paid_again or agreed:
        return
    _tell(
        f"{counted(paid_again, 'job')} may be paid again, since it cannot be told whether they were charged"
    )
    _tell(f"In all, Segmind may be paid for {cost_in_words(_requests(lines))}")
    answer = is_agreed_to(Console(stderr=True, highlight=False))
    if answer is None:
        raise StackError("Nothing was changed, nothing is paid: there is nobody to ask, and no --yes")
    if not answer:
        raise StackError("Nothing was changed, nothing is paid")


def _move_dead_letters(stack: Stack, *, dry_run: bool) -> None:
    sqs, upload_queue_url = stack.client("sqs"), stack.output("UploadQueueUrl")
    urls = (stack.output("UploadDeadLetterQueueUrl"), stack.physical_id("UploadRuleDeadLetterQueue"))
    queues = [DeadLetterQueue(sqs, url, upload_queue_url) for url in urls]
    counts = [queue.count() for queue in queues]
    if dry_run:
        _tell(counted(sum(counts), "dead letter"))
        _tell(DRY_RUN)
        return
    moved = (
        line_of_letter(message)
        for queue, count in zip(queues, counts, strict=True)
        for message in queue.move(count)
    )
    _sum_up(show(_tracked(moved, "Moving", sum(counts))), "dead letter")


def _sum_up(lines: Sequence[Line], noun: str) -> None:
    _tell(summary(lines, noun))
    if requests := _requests(lines):
        _tell(f"Segmind may be paid for {cost_in_words(requests)}")


def line_of(job: Job, step: Step) -> Line:
    """What is shown of a job."""
    code = job.error.code if job.error else ""
    return Line(job.job_id, one_line(job.photo.key), one_line(job.scene), job.state, code, step)


def line_of_letter(message: UploadMessage | JobMessage | None) -> Line:
    """What is shown of a dead letter; None is one that stays, because it is no message of ours."""
    match message:
        case UploadMessage():
            return Line("", one_line(message.photo().key), "", "upload", "", SendAgain())
        case JobMessage():
            return Line(message.job_id, "", "", "job", "", SendAgain())
        case None:
            return Line("", "", "", "message", "", LeaveAlone("it is neither an upload nor a job"))


def summary(lines: Sequence[Line], noun: str) -> str:
    """`3 jobs: 2 resumed, 1 left alone`."""
    if not lines:
        return f"No {noun} was found"
    counts = Counter(line.done for line in lines).most_common()
    return f"{counted(len(lines), noun)}: " + ", ".join(f"{count:,} {done}" for done, count in counts)


def _requests(lines: Iterable[Line]) -> int:
    """How many requests may be made: one a job or message, as with those that S3 sends."""
    return sum(isinstance(line.step, PostAgain | SendAgain) for line in lines)


def show(lines: Iterable[Line]) -> list[Line]:
    """Tell lines on standard output: on a terminal as a table, else tab-separated, each as it comes."""
    is_terminal = sys.stdout.isatty()
    shown: list[Line] = []
    try:
        for line in lines:
            shown.append(line)
            if not is_terminal:
                typer.echo(tab_separated(line))
    finally:
        # After a failure or a signal too: what was done is told.
        if is_terminal and shown:
            console = Console(highlight=False)
            console.print(table_of(shown, console.width))
    return shown


def tab_separated(line: Line) -> str:
    """Job, photo, scene, state, code, what was done, why nothing was."""
    return "\t".join((line.job_id, line.photo, line.scene, line.state, line.code, line.done, line.why))


def table_of(lines: Sequence[Line], columns: int) -> RenderableType:
    """The lines on a terminal of so many columns: a table, or paragraphs where that would be too narrow."""
    if columns < _NARROW_COLUMNS:
        return Group(*(_paragraph(line) for line in lines))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("job", no_wrap=True)
    for name in ("photo", "scene", "state", "done"):
        table.add_column(name, overflow="fold")
    for line in lines:
        texts = (line.job_id, line.photo, line.scene, f"{line.state} {line.code}".rstrip())
        table.add_row(*(Text(text) for text in texts), _done(line))
    return table


def _paragraph(line: Line) -> RenderableType:
    parts = (line.job_id, line.photo, line.scene, line.state, line.code)
    head = Text("  ".join(part for part in parts if part), overflow="fold")
    return Group(head, Padding(_done(line), (0, 0, 0, 2)))


def _done(line: Line) -> Text:
    return Text(
        f"{line.done}: {line.why}" if line.why else line.done, _STYLES.get(line.done, ""), overflow="fold"
    )


def _tracked(lines: Iterable[Line], words: str, total: int | None) -> Iterator[Line]:
    """The lines, with a bar on standard error while they come, if that is a terminal."""
    progress = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
        # Redirected, what is told on standard output would end up on standard error.
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        yield from progress.track(lines, total=total, description=words)


def _tell(words: str) -> None:
    typer.echo(words, err=True)
