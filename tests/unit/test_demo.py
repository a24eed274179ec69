"""The demo's decisions: which photos, which Segmind, what is shown of the rows, whose folder is written."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from packshot.events import event_of
from packshot.job import Image, Job, JobState, ParkedCause, Reason
from packshot_cli import demo as demo_module
from packshot_cli.demo import Segmind, choose
from packshot_cli.demo_photos import MAX_PHOTOS, PROMPTS, SAMPLES, find_photos
from packshot_cli.errors import DemoError
from packshot_cli.event_tap import EventTap, HeardEvent, heard_event
from packshot_cli.gallery import GENERATOR
from packshot_cli.main import app
from packshot_cli.output_folder import output_folder
from packshot_cli.progress import all_settled, events_shown, is_settled, lines_of, shown, table_of
from packshot_cli.text import bytes_in_words, counted, one_line
from tests.unit.fakes import START, a_job, a_photo

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

EXPECTED_SECONDS = 5.0
KEY = "SG_0123456789abcdef"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def a_job_of(name: str, state: JobState = JobState.SUBMITTED, **known: Any) -> Job:
    return a_job(state, photo=a_photo(f"catalogue/{name}"), **known)


def rendered(renderable: RenderableType, columns: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=columns).print(renderable)
    return file.getvalue().splitlines()


# -- Which photos --------------------------------------------------------------------------------------------


def test_the_samples_are_photos_and_each_has_a_scene_of_its_own() -> None:
    photos = find_photos(SAMPLES)

    assert len(photos) >= 5
    assert all(photo.prompt for photo in photos)
    assert len({photo.prompt for photo in photos}) == len(photos)
    assert all(photo.key.startswith("catalogue/") for photo in photos)


def test_a_prompt_travels_as_metadata_which_is_ascii() -> None:
    assert all(prompt.isascii() and "%" not in prompt for prompt in PROMPTS.values())


def test_photos_are_told_by_their_names(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.jpeg", "c.png", "d.webp", ".hidden.jpg", "_draft.png", "notes.txt", "e.gif"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()

    photos = find_photos(tmp_path)

    assert [photo.file.name for photo in photos] == ["a.JPG", "b.jpeg", "c.png", "d.webp"]
    assert photos[0].prompt is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "holds no photo"),
        (["notes.txt"], "holds no photo"),
        ([f"{number}.jpg" for number in range(MAX_PHOTOS + 1)], f"holds {MAX_PHOTOS + 1} photos"),
        (["new\nline.jpg"], "cannot be shown"),
    ],
)
def test_a_folder_that_cannot_be_shown_is_refused_in_a_line(
    tmp_path: Path, names: list[str], words: str
) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(DemoError, match=words) as refused:
        find_photos(tmp_path)

    assert "\n" not in str(refused.value)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(DemoError, match="cannot be read as a folder"):
            find_photos(path)


# -- Which Segmind -------------------------------------------------------------------------------------------


def test_without_a_word_the_samples_go_to_the_emulator() -> None:
    segmind, folder = choose({"SEGMIND_API_KEY": KEY}, None, None, live=False)

    assert folder == SAMPLES
    assert segmind.is_emulated
    assert segmind.api_key is None


def test_the_workflow_waits_in_proportion_to_the_emulators_time() -> None:
    told = Segmind(seconds=2.03).cloud_arguments()

    assert told["emulator_seconds"] == 2.03
    assert told["wait_scale"] == pytest.approx(0.1)


def test_live_the_photos_travel_inline_and_the_waits_are_the_workflows_own() -> None:
    segmind, folder = choose({"SEGMIND_API_KEY": f" {KEY}\n"}, "shop", None, live=True)
    told = segmind.cloud_arguments()

    assert folder == Path("shop")
    assert told["segmind_url"] == "https://api.segmind.com"
    assert told["api_key"] == KEY
    assert told["parameters"] == {"ImageTransfer": "inline"}
    assert "wait_scale" not in told


@pytest.mark.parametrize(
    ("environment", "photos", "given_seconds", "words"),
    [
        ({}, "shop", None, "SEGMIND_API_KEY is not set"),
        ({"SEGMIND_API_KEY": "  "}, "shop", None, "SEGMIND_API_KEY is not set"),
        ({"SEGMIND_API_KEY": "two words"}, "shop", None, "is not a key"),
        ({"SEGMIND_API_KEY": "schlüssel"}, "shop", None, "is not a key"),
        ({"SEGMIND_API_KEY": KEY}, None, None, "No photos are named"),
        ({"SEGMIND_API_KEY": KEY}, "", None, "No photos are named"),
        ({"SEGMIND_API_KEY": KEY}, "shop", 3.0, "--seconds"),
    ],
)
def test_live_says_in_a_line_what_is_missing(
    environment: dict[str, str], photos: str | None, given_seconds: float | None, words: str
) -> None:
    with pytest.raises(DemoError, match=words) as refused:
        choose(environment, photos, given_seconds, live=True)

    assert "\n" not in str(refused.value)
    assert environment.get("SEGMIND_API_KEY", "").strip() not in str(refused.value).split()


def test_the_key_is_in_no_picture_of_the_choice() -> None:
    segmind, _ = choose({"SEGMIND_API_KEY": KEY}, "shop", None, live=True)

    assert KEY not in repr(segmind)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos each demo began with; none is really run."""
    begun: list[int] = []

    def show(_console: Console, photos: list[Any], *_: Any, **__: Any) -> int:
        begun.append(len(photos))
        return 0

    monkeypatch.setattr(demo_module, "show", show)
    return begun


def test_a_live_demo_says_first_what_it_may_cost(
    started: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.png", "c.webp"):
        (tmp_path / name).touch()
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)

    result = CliRunner().invoke(app, ["demo", "--live", "--yes", "--photos", str(tmp_path)])

    assert result.exit_code == 0
    assert started == [3]
    assert "3 images: about $0.27" in result.output
    assert KEY not in result.output


def test_where_nobody_can_be_asked_nothing_is_paid_without_a_yes(
    started: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").touch()
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)

    result = CliRunner().invoke(app, ["demo", "--live", "--photos", str(tmp_path)])

    assert result.exit_code == 1
    assert not started
    assert "nothing is paid" in result.output


def test_what_is_passed_over_is_named(started: list[int], tmp_path: Path) -> None:
    for name in ("a.jpg", "b.gif", "notes.txt", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "shoes").mkdir()

    result = CliRunner().invoke(app, ["demo", "--photos", str(tmp_path)])

    assert started == [1]
    assert "b.gif, notes.txt, shoes" in result.output
    assert ".hidden" not in result.output


def test_a_disk_that_is_full_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "scene.webp")

    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr("packshot_cli.demo.show", full)

    result = CliRunner().invoke(app, ["demo", "--photos", str(tmp_path)])

    assert result.exit_code == 1
    assert result.output == "scene.webp cannot be written: No space left on device\n"


@pytest.mark.parametrize(("answer", "begun"), [("y\n", [1]), ("n\n", []), ("\n", []), ("", [])])
def test_on_a_terminal_nothing_is_paid_without_a_yes(
    started: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, begun: list[int]
) -> None:
    (tmp_path / "a.jpg").touch()
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)

    with pytest.raises(typer.Exit) as left:
        demo_module.run(
            photos=str(tmp_path), seconds=None, live=True, output=tmp_path / "out", keep=False, yes=False
        )

    assert started == begun
    assert left.value.exit_code == (0 if begun else 1)


# -- What is shown of the rows -------------------------------------------------------------------------------


def test_a_photo_without_a_row_is_uploaded_and_its_time_runs() -> None:
    (line,) = lines_of({"catalogue/red.jpg": START}, [], START + seconds(1.5), EXPECTED_SECONDS)

    assert (line.state_name, line.seconds, line.share) == ("uploaded", 1.5, 0)


@pytest.mark.parametrize(("elapsed_seconds", "share"), [(-1, 0), (0, 0), (2.5, 0.5), (5, 0.97), (500, 0.97)])
def test_a_bar_grows_with_the_time_since_the_submit_but_is_never_full_early(
    elapsed_seconds: float, share: float
) -> None:
    job = a_job_of("red.jpg")

    (line,) = lines_of({job.photo.key: START}, [job], START + seconds(elapsed_seconds), EXPECTED_SECONDS)

    assert line.share == pytest.approx(share)


def test_a_job_at_its_end_keeps_its_time_and_its_full_bar() -> None:
    job = a_job_of("red.jpg", JobState.COMPLETED, updated_at=START + seconds(6))

    (line,) = lines_of({job.photo.key: START}, [job], START + seconds(90), EXPECTED_SECONDS)

    assert (line.seconds, line.share, line.words) == (6, 1, "")


def test_lines_follow_the_uploads_and_every_scene_has_one() -> None:
    uploaded = {"catalogue/b.jpg": START, "catalogue/a.jpg": START}
    jobs = [a_job_of("a.jpg"), a_job_of("b.jpg"), a_job_of("b.jpg", scene="garden")]

    lines = lines_of(uploaded, jobs, START, EXPECTED_SECONDS)

    assert [(line.photo, line.scene) for line in lines] == [
        ("catalogue/b.jpg", "default"),
        ("catalogue/b.jpg", "garden"),
        ("catalogue/a.jpg", "default"),
    ]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_table_says_it_all_at_any_width(columns: int) -> None:
    reason = Reason(
        code="GenerationFailed", message="Content blocked: \x1b[31mthe prompt\nviolates the policy"
    )
    jobs = [
        a_job_of("mug.jpg", JobState.COMPLETED),
        a_job_of("sofa.jpg", JobState.FAILED, error=reason),
        a_job_of("lamp.png", JobState.PARKED, cause=ParkedCause.RATE),
    ]
    uploaded = {job.photo.key: START for job in jobs} | {"catalogue/late.webp": START}

    lines = rendered(table_of(lines_of(uploaded, jobs, START, EXPECTED_SECONDS), columns), columns)

    text = " ".join(" ".join(lines).split())
    assert all(len(line) <= columns for line in lines)
    for expected in ("mug.jpg", "COMPLETED", "FAILED", "PARKED", "late.webp", "uploaded", "Content blocked"):
        assert expected in text
    assert "\x1b" not in text


def test_the_bar_of_a_failure_is_red_and_of_a_success_green() -> None:
    def colours(job: Job) -> str:
        file = io.StringIO()
        console = Console(file=file, width=80, force_terminal=True, color_system="standard")
        console.print(table_of(lines_of({job.photo.key: START}, [job], START, EXPECTED_SECONDS), 80))
        return file.getvalue()

    red, green = "\x1b[31m━", "\x1b[32m━"
    failed = colours(a_job_of("red.jpg", JobState.FAILED))
    completed = colours(a_job_of("red.jpg", JobState.COMPLETED))
    assert (red in failed, green in failed) == (True, False)
    assert (red in completed, green in completed) == (False, True)


def test_without_a_terminal_each_change_is_one_plain_line() -> None:
    file = io.StringIO()
    uploaded = {"catalogue/red.jpg": START}
    submitted, completed = a_job_of("red.jpg"), a_job_of("red.jpg", JobState.COMPLETED)

    with shown(Console(file=file, force_terminal=True), uploaded, EXPECTED_SECONDS) as tell:
        for jobs in ([], [], [submitted], [submitted], [completed], [completed]):
            tell(jobs)

    lines = file.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["uploaded", "SUBMITTED", "COMPLETED"]
    assert all("catalogue/red.jpg" in line for line in lines)
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(
    ("state", "known", "settled"),
    [
        (JobState.PLANNED, {}, False),
        (JobState.SUBMITTED, {}, False),
        (JobState.COMPLETED, {}, True),
        (JobState.REJECTED, {}, True),
        (JobState.SUPERSEDED, {}, True),
        (JobState.PARKED, {"cause": ParkedCause.RATE}, False),
        (JobState.PARKED, {"cause": ParkedCause.KEY}, True),
        (JobState.PARKED, {"cause": ParkedCause.CREDITS}, True),
        (JobState.UNCERTAIN, {"due_at": START}, False),
        (JobState.UNCERTAIN, {}, True),
    ],
)
def test_a_demo_waits_for_what_comes_back_by_itself(
    state: JobState, known: dict[str, Any], settled: bool
) -> None:
    assert is_settled(a_job_of("red.jpg", state, **known)) is settled


def test_all_is_settled_when_every_photo_is() -> None:
    uploaded = {"catalogue/a.jpg": START, "catalogue/b.jpg": START}
    completed = a_job_of("a.jpg", JobState.COMPLETED)

    assert not all_settled(uploaded, [completed])
    assert not all_settled(uploaded, [completed, a_job_of("b.jpg")])
    assert all_settled(uploaded, [completed, a_job_of("b.jpg", JobState.REJECTED)])


# -- What the bus says ---------------------------------------------------------------------------------------


def delivered(job: Job) -> dict[str, Any]:
    """The job's event, as EventBridge hands it to a queue."""
    event = event_of(job)
    assert event is not None
    return {"source": "packshot", "detail-type": event.detail_type, "detail": json.loads(event.detail)}


IMAGE = Image(
    bucket="out",
    key="catalogue/red/default.webp",
    version_id=None,
    bytes=1,
    content_type="image/webp",
    width=1,
    height=1,
)


def test_an_event_in_short_names_the_image_or_the_reason() -> None:
    made = heard_event(delivered(a_job_of("red.jpg", JobState.COMPLETED, image=IMAGE)))
    refused = heard_event(
        delivered(a_job_of("red.jpg", JobState.REJECTED, error=Reason(code="EmptyFile", message="0\nbytes")))
    )

    assert (made.detail_type, made.about) == ("Scene Generated", "catalogue/red/default.webp")
    assert (refused.detail_type, refused.about) == ("Photo Rejected", "EmptyFile: 0 bytes")
    assert made.photo_key == refused.photo_key == "catalogue/red.jpg"
    assert made.id != refused.id


class FakeQueue:
    """An SQS queue that delivers what it was given, once each; the queue itself does not tell repetitions."""

    def __init__(self, bodies: list[dict[str, Any]]) -> None:
        self.bodies = bodies
        self.deleted: list[str] = []

    def receive_message(self, **_: Any) -> dict[str, Any]:
        bodies, self.bodies = self.bodies[:10], self.bodies[10:]
        return {"Messages": [{"Body": json.dumps(body), "ReceiptHandle": "r"} for body in bodies]}

    def delete_message(self, *, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803  SQS's name
        self.deleted.append(ReceiptHandle)


def test_a_fact_is_heard_once_however_often_it_is_delivered() -> None:
    completed = a_job_of("red.jpg", JobState.COMPLETED, image=IMAGE)
    queue = FakeQueue([delivered(completed)] * 12)
    tap = EventTap(cast("SQSClient", queue), "queue-url")

    assert tap.owed([completed, a_job_of("blue.jpg")]) == [completed]
    tap.listen()

    assert len(tap.heard) == 1
    assert len(queue.deleted) == 12
    assert tap.owed([completed]) == []


@pytest.mark.parametrize("columns", [50, 60, 120])
def test_events_are_readable_at_any_width(columns: int) -> None:
    event = HeardEvent(
        id="0123456789abcdef",
        job_id="j",
        detail_type="Scene Generated",
        photo_key="catalogue/red.jpg",
        scene="default",
        about="catalogue/red/default.webp",
    )

    lines = rendered(events_shown([event], columns), columns)

    assert all(len(line) <= columns for line in lines)
    for expected in ("Scene Generated", "01234567", "catalogue/red.jpg", "default", event.about):
        assert any(expected in line for line in lines)


# -- Whose folder is written ---------------------------------------------------------------------------------


def fill(folder: Path, words: str) -> None:
    """What a demo makes, as small as it gets."""
    with output_folder(folder) as output:
        (output.making / "index.html").write_text(f"{GENERATOR}{words}")
        (output.making / "photos").mkdir()
        (output.making / "photos" / words).touch()
        output.publish()


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_new_demo_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    fill(folder, "first")
    (folder / "catalogue").mkdir()
    fill(folder, "second")

    assert names(folder) == {"index.html", "photos", "photos/second"}


def test_a_demo_that_is_stopped_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "demo", "first")

    with suppress(KeyboardInterrupt), output_folder(tmp_path / "demo") as output:
        (output.making / "index.html").touch()
        raise KeyboardInterrupt

    assert names(tmp_path / "demo") == {"index.html", "photos", "photos/first"}


def test_a_first_demo_that_is_stopped_leaves_no_folder(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), output_folder(tmp_path / "demo"):
        raise KeyboardInterrupt

    assert names(tmp_path) == set()


def test_what_a_killed_demo_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".making-left" / "photos").mkdir(parents=True)
    fill(tmp_path, "next")

    assert names(tmp_path) == {"index.html", "photos", "photos/next"}


def other_files(path: Path) -> None:
    (path / "photos").mkdir()
    (path / "photos" / "precious.jpg").touch()


def other_page(path: Path) -> None:
    (path / "index.html").write_text("<title>My shop</title>")


@pytest.mark.parametrize("put", [other_files, other_page])
def test_a_folder_of_someone_else_is_not_touched(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path)
    before = names(tmp_path)

    with pytest.raises(DemoError, match="not a demo's"), output_folder(tmp_path):
        pytest.fail("it was given")

    assert names(tmp_path) == before


def test_one_demo_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with output_folder(tmp_path / "one"), output_folder(tmp_path / "two"):
        with pytest.raises(DemoError, match="Another demo"), output_folder(tmp_path / "one"):
            pytest.fail("it was given")
        assert (tmp_path / "one").is_dir()

    with output_folder(tmp_path / "one"):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DemoError, match="cannot be written"), output_folder(path):
            pytest.fail("it was given")


# -- Words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 bytes"), (1_000, "1 kB"), (182_345, "182 kB"), (2_560_000, "2.6 MB")]
)
def test_sizes_are_told_with_their_unit(count: int, words: str) -> None:
    assert bytes_in_words(count) == words


def test_one_photo_and_two_photos() -> None:
    assert (counted(1, "photo"), counted(0, "photo"), counted(3412, "photo")) == (
        "1 photo",
        "0 photos",
        "3,412 photos",
    )


@given(st.text())
def test_foreign_words_cannot_steer_a_terminal(text: str) -> None:
    assert one_line(text).isprintable()
