"""What a person sees while photos become scenes: a line a job, from the rows of the job table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from packshot.job import ENDINGS, Job, JobState, ParkedCause
from packshot_cli.event_tap import HeardEvent
from packshot_cli.text import one_line

# These pauses end when somebody does something elsewhere: a demo does not wait for that.
_CAUSES_FOR_A_PERSON = frozenset({ParkedCause.KEY, ParkedCause.CREDITS, ParkedCause.BUDGET})
_NEARLY_DONE = 0.97
_WORDS_KEPT = 120
_NARROW_COLUMNS = 80
# Keys and ids do not fit a table of events in the usual 80 columns.
_NARROW_EVENTS_COLUMNS = 120
_STYLES = {
    JobState.COMPLETED: "green",
    JobState.FAILED: "red",
    JobState.REJECTED: "red",
    JobState.PARKED: "yellow",
    JobState.UNCERTAIN: "yellow",
}


@dataclass(frozen=True)
class Line:
    """A job as it is shown, or a photo that no row knows yet. `share`, 0 to 1, of its bar is full."""

    photo: str
    job: Job | None
    seconds: float
    share: float

    @property
    def scene(self) -> str:
        return self.job.scene if self.job else ""

    @property
    def state(self) -> JobState | None:
        return self.job.state if self.job else None

    @property
    def state_name(self) -> str:
        return self.state or "uploaded"

    @property
    def words(self) -> str:
        """The beginning of why a job did not go well, or of what it waits for."""
        if self.job is None or self.job.error is None or self.job.state is JobState.COMPLETED:
            return ""
        words = one_line(self.job.error.message)
        return words if len(words) <= _WORDS_KEPT else words[:_WORDS_KEPT].rstrip() + "…"

    @property
    def style(self) -> str:
        return _STYLES.get(self.state, "cyan") if self.state else "dim"


def is_settled(job: Job) -> bool:
    """Whether a demo has nothing to wait for: the job ended, or waits for a person."""
    return (
        job.state in ENDINGS
        or (job.state is JobState.PARKED and job.cause in _CAUSES_FOR_A_PERSON)
        or (job.state is JobState.UNCERTAIN and job.due_at is None)
    )


def all_settled(uploaded: Mapping[str, datetime], jobs: Sequence[Job]) -> bool:
    """Whether every uploaded photo, by key, has jobs and all of them are settled."""
    return uploaded.keys() <= {job.photo.key for job in jobs} and all(is_settled(job) for job in jobs)


def lines_of(
    uploaded: Mapping[str, datetime], jobs: Sequence[Job], now: datetime, expected_seconds: float
) -> list[Line]:
    """The lines to show, in the order of the uploads, given by key with their time.

    A job's seconds run from the upload to its end; its bar from the submit to the expected seconds.
    """
    lines = []
    for key, uploaded_at in uploaded.items():
        of_photo: list[Job | None] = [job for job in jobs if job.photo.key == key]
        for job in of_photo or [None]:
            until = job.updated_at if job and is_settled(job) else now
            seconds = max(0.0, (until - uploaded_at).total_seconds())
            lines.append(Line(key, job, seconds, _share(job, now, expected_seconds)))
    return lines


def _share(job: Job | None, now: datetime, expected_seconds: float) -> float:
    if job is None:
        return 0.0
    if job.state in ENDINGS:
        return 1.0
    if job.state is not JobState.SUBMITTED or job.submitted_at is None:
        return 0.0
    elapsed_seconds = (now - job.submitted_at).total_seconds()
    return max(0.0, min(elapsed_seconds / expected_seconds, _NEARLY_DONE))


@contextmanager
def shown(
    console: Console, uploaded: Mapping[str, datetime], expected_seconds: float
) -> Iterator[Callable[[Sequence[Job]], None]]:
    """Show jobs within the block; call what is yielded with the rows as they stand.

    On a terminal a table is drawn anew; anywhere else there is a plain line for each change.
    """
    if is_interactive(console):
        board = Board(uploaded, expected_seconds)
        with Live(board, console=console, refresh_per_second=8) as live:
            yield board.show
            live.vertical_overflow = "visible"
    else:
        yield Changes(console, uploaded, expected_seconds).show


def is_interactive(console: Console) -> bool:
    """Whether a table can be redrawn there. FORCE_COLOR makes `console.is_terminal` true of a file too."""
    return console.file.isatty() and not console.is_dumb_terminal


class Board:
    """The table of lines; the time in it runs on between two looks at the rows."""

    def __init__(self, uploaded: Mapping[str, datetime], expected_seconds: float) -> None:
        self._uploaded = uploaded
        self._expected_seconds = expected_seconds
        self._jobs: Sequence[Job] = ()

    def show(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> Iterator[RenderableType]:
        # A copy: uploads go on while another thread redraws.
        lines = lines_of(dict(self._uploaded), self._jobs, datetime.now(UTC), self._expected_seconds)
        yield table_of(lines, console.width)


class Changes:
    """A plain line for each change of a state."""

    def __init__(self, console: Console, uploaded: Mapping[str, datetime], expected_seconds: float) -> None:
        self._console = console
        self._uploaded = uploaded
        self._expected_seconds = expected_seconds
        self._told: set[tuple[str, str, str, int]] = set()

    def show(self, jobs: Sequence[Job]) -> None:
        for line in lines_of(self._uploaded, jobs, datetime.now(UTC), self._expected_seconds):
            change = (line.photo, line.scene, line.state_name, line.job.attempt if line.job else 0)
            if change not in self._told:
                self._told.add(change)
                parts = (f"{line.seconds:6.1f} s", line.state_name, line.photo, line.scene, line.words)
                self._console.print(Text("  ".join(part for part in parts if part)), soft_wrap=True)


def table_of(lines: Sequence[Line], columns: int) -> Table:
    """The table of a terminal of so many columns."""
    narrow = columns < _NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, 1 if narrow else 2, 0, 0), expand=True)
    table.add_column("photo", no_wrap=True, max_width=columns // 4)
    table.add_column("scene", no_wrap=True, max_width=columns // 6)
    table.add_column("state", no_wrap=True)
    table.add_column("seconds", no_wrap=True, justify="right")
    table.add_column("", ratio=1, min_width=10)
    for line in lines:
        table.add_row(
            Text(line.photo.rsplit("/", 1)[-1], overflow="ellipsis"),
            Text(line.scene, overflow="ellipsis"),
            Text(line.state_name, style=line.style),
            f"{line.seconds:.1f}",
            _bar(line),
        )
    return table


def _bar(line: Line) -> RenderableType:
    style = "red" if line.style == "red" else "green" if line.share == 1 else "cyan"
    bar = ProgressBar(
        total=1,
        completed=line.share,
        style="bright_black",
        complete_style=style,
        finished_style=style,
    )
    cell = Table.grid(expand=True)
    cell.add_row(bar)
    if line.words:
        cell.add_row(Text(line.words, style=line.style))
    return cell


def events_shown(events: Sequence[HeardEvent], columns: int) -> RenderableType:
    """What the bus said, in short: a table, or paragraphs where that would be too narrow."""
    if columns < _NARROW_EVENTS_COLUMNS:
        return Group(*(_paragraph(event) for event in events))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("event", no_wrap=True)
    table.add_column("id", no_wrap=True)
    table.add_column("photo", overflow="fold")
    table.add_column("scene", overflow="fold")
    table.add_column("image, or why not", overflow="fold")
    for event in events:
        table.add_row(
            event.detail_type, event.id[:8], Text(event.photo_key), Text(event.scene), Text(event.about)
        )
    return table


def _paragraph(event: HeardEvent) -> RenderableType:
    head = Text(f"{event.detail_type}  {event.id[:8]}  {event.photo_key}  {event.scene}")
    return Group(head, Padding(Text(event.about, overflow="fold"), (0, 0, 0, 2)))
