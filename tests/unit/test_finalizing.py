"""Every ending of a request: an image where it belongs, a record, an event; or a reason in its place."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.check_settings import DEADLINE
from packshot.downloads import DownloadError, ForbiddenOutputError
from packshot.event_bus import EventNotTakenError
from packshot.finalizing import FETCHES, NotFinishedError
from packshot.job import ENDINGS, Image, Job, JobState, Reason
from packshot.polling import Polling
from packshot.scene import Scene
from packshot.segmind import NoApiKeyError
from tests.unit.fakes import OUTPUT_URL, START, CrashError, Outside, World, a_job, picture_bytes

DONE = answers.Completed(answers.Output(url=OUTPUT_URL), 13.06, 0.0891)
SECOND = timedelta(seconds=1)


def finalized(world: World, *results: answers.RequestOutcome | Exception, **known: Any) -> Job:
    """A job that was submitted, brought to its end."""
    job = world.table.keep(a_job(due_at=START + DEADLINE, **known))
    world.segmind.results = list(results)
    world.clock.step(timedelta(seconds=20))
    ended = world.finalizer.finalize(job.job_id, job.attempt, gone=True)
    assert ended is not None
    assert ended == world.table.only_job
    return ended


def failed(world: World, job: Job, code: str) -> str:
    """What every failure has: its record, its event, no image; the words of its reason."""
    assert job.state is JobState.FAILED
    assert job.due_at is None
    assert job.error is not None
    assert job.error.code == code
    assert not world.images_made
    assert world.bus.told == ["Scene Failed"]
    assert world.bus.events[0][1]["reason"] == job.error.model_dump()
    return job.error.message


# -- the good way --


def test_a_finished_request_becomes_an_image_a_record_and_an_event(world: World) -> None:
    data = picture_bytes(size=(80, 60))
    world.downloader.files[:] = [data]
    job = finalized(world, DONE)
    assert job.state is JobState.COMPLETED
    assert (job.inference_seconds, job.cost_usd, job.error, job.due_at) == (13.06, 0.0891, None, None)
    assert job.image == Image(
        bucket="images",
        key="shoes/red/default.webp",
        version_id="version-1",
        bytes=len(data),
        content_type="image/webp",
        width=80,
        height=60,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    assert world.images_made == {"shoes/red/default.webp": [data]}
    assert world.downloader.fetched == [OUTPUT_URL]
    assert world.bus.told == ["Scene Generated"]
    assert world.bus.events[0][1]["image"] == job.image.model_dump()


def test_an_address_is_not_kept_when_it_is_of_no_more_use(world: World) -> None:
    assert finalized(world, DONE).output_url is None


def test_an_image_that_came_with_the_answer_is_published(world: World) -> None:
    data = picture_bytes("PNG")
    parameters = Scene(prompt="p", image_format="png")
    job = finalized(
        world,
        answers.Completed(answers.Output(data=data), None, None),
        parameters=parameters,
        image_key="shoes/red/default.png",
    )
    assert job.state is JobState.COMPLETED
    assert world.images_made == {"shoes/red/default.png": [data]}
    assert not world.downloader.fetched
    assert (job.inference_seconds, job.cost_usd) == (None, None)


# -- failures --


def test_a_failed_request_fails_with_the_apis_words(world: World) -> None:
    job = finalized(world, answers.Failed("content policy violation", 0.008))
    assert failed(world, job, "GenerationFailed") == "content policy violation"
    assert job.inference_seconds == 0.008
    assert job.cost_usd is None


def test_a_result_that_is_unknown_once_decides_nothing(world: World) -> None:
    job = world.table.keep(a_job(due_at=START + DEADLINE))
    world.segmind.results = [answers.Unknown("Request request-1 not found"), DONE]
    world.clock.step(timedelta(seconds=20))
    with pytest.raises(NotFinishedError, match="not found"):
        world.finalizer.finalize(job.job_id, job.attempt)
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    assert ended.state is JobState.COMPLETED


def test_a_result_that_stays_unknown_ends_with_the_deadline(world: World) -> None:
    job = world.table.keep(a_job(due_at=START + DEADLINE))
    world.segmind.results = [answers.Unknown("Request request-1 not found")]
    world.clock.step(DEADLINE)
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    failed(world, ended, "RequestUnknown")


# -- second chances --

EXPIRED = answers.Unknown("Request request-1 not found")
NOT_FETCHED = "Failed to download image_1: HTTP 403 from https://photos.example/red.jpg"


def planned_again(world: World, job: Job) -> Job:
    """A second chance is one more request, by the next sweep."""
    assert job.state is JobState.PLANNED
    assert not world.bus.events
    world.puts(job.photo)
    assert world.sweeps() == [job.job_id]
    submitted = world.submitter.job(job.job_id)
    assert submitted.state is JobState.SUBMITTED
    assert submitted.error is None
    assert len(world.segmind.posted) == 1
    return submitted


@pytest.mark.parametrize(
    "words",
    [
        NOT_FETCHED,
        "Could not fetch the input image",
        "Unable to load image from url",
        "Invalid image url: cannot be accessed",
        "image_1 could not be retrieved",
        "Error while reading image_1: timed out",
    ],
)
def test_a_photo_that_could_not_be_fetched_is_submitted_once_more_with_a_fresh_address(
    world: World, words: str
) -> None:
    first = finalized(world, answers.Failed(words, None))
    submitted = planned_again(world, first)
    assert submitted.marker in world.segmind.posted[0].image_1
    assert submitted.marker != first.marker
    world.segmind.results = [answers.Failed(words, None)]
    ended = world.finalizer.finalize(submitted.job_id, submitted.attempt)
    assert ended is not None
    assert failed(world, ended, "GenerationFailed") == words


@pytest.mark.parametrize(
    "words", ["content policy violation", "NSFW content detected", "CUDA out of memory", "model timed out"]
)
def test_another_failure_is_final(world: World, words: str) -> None:
    failed(world, finalized(world, answers.Failed(words, None)), "GenerationFailed")


def test_the_history_tells_where_the_image_of_an_expired_request_is(world: World) -> None:
    history = replace(world.history, url="https://history.example", outputs={"request-1": OUTPUT_URL})
    world.finalizer = replace(world.finalizer, history=history)
    assert finalized(world, EXPIRED).state is JobState.COMPLETED
    assert world.downloader.fetched == [OUTPUT_URL]


def test_an_expired_result_is_made_again_once_if_someone_wants_that(world: World) -> None:
    world.finalizer = replace(world.finalizer, on_expired_result="resubmit")
    submitted = planned_again(world, finalized(world, EXPIRED))
    world.segmind.results = [EXPIRED]
    ended = world.finalizer.finalize(submitted.job_id, submitted.attempt, gone=True)
    assert ended is not None
    failed(world, ended, "RequestUnknown")


def test_a_request_that_is_unknown_often_enough_fails(world: World) -> None:
    job = finalized(world, answers.Unknown("Request request-1 not found"))
    assert failed(world, job, "RequestUnknown") == "Request request-1 not found"


def test_a_request_whose_record_expired_is_fetched_from_where_its_image_was_seen(world: World) -> None:
    job = finalized(world, answers.Unknown("Request request-1 not found"), output_url=OUTPUT_URL)
    assert job.state is JobState.COMPLETED
    assert world.downloader.fetched == [OUTPUT_URL]


def test_a_result_without_an_image_fails_and_keeps_what_was_measured(world: World) -> None:
    job = finalized(world, answers.Completed(None, 13.06, 0.0891))
    failed(world, job, "NoOutput")
    assert (job.inference_seconds, job.cost_usd) == (13.06, 0.0891)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "text"),
        (picture_bytes()[:-40], "broken"),
        (picture_bytes("PNG"), "png instead of webp"),
        (picture_bytes("JPEG"), "jpeg instead of webp"),
    ],
)
def test_a_wrong_file_is_fetched_again_before_that_is_believed(world: World, data: bytes, words: str) -> None:
    world.downloader.files[:] = [data]
    job = finalized(world, DONE)
    assert words in failed(world, job, "WrongOutput")
    assert world.downloader.fetched == [OUTPUT_URL] * FETCHES
    assert job.output_url == OUTPUT_URL
    assert job.cost_usd == 0.0891


def test_a_wrong_file_that_is_right_the_next_time_is_published(world: World) -> None:
    world.downloader.files[:] = [b"<html>busy</html>", picture_bytes()]
    assert finalized(world, DONE).state is JobState.COMPLETED


def test_an_image_on_a_forbidden_host_is_not_fetched_again(world: World) -> None:
    world.downloader.files[:] = [ForbiddenOutputError("the image's host is not on the list: evil.example")]
    job = finalized(world, DONE)
    assert "evil.example" in failed(world, job, "OutputForbidden")
    assert len(world.downloader.fetched) == 1


@pytest.mark.parametrize(("minutes", "remembered"), [(0, None), (6, OUTPUT_URL)])
def test_where_an_image_is_outlives_a_death_once_its_request_may_soon_be_forgotten(
    world: World, minutes: int, remembered: str | None
) -> None:
    world.segmind.results = [DONE]
    world.downloader.files[:] = [MemoryError()]
    job = world.table.keep(a_job())
    world.clock.step(timedelta(minutes=minutes))
    with pytest.raises(MemoryError):
        world.finalizer.finalize(job.job_id, job.attempt)
    assert world.table.only_job.output_url == remembered


@pytest.mark.parametrize(
    ("age_seconds", "learned_seconds"),
    [
        # Over at the first look: all that is known is what the API tells.
        (13, 13.06),
        # Watched: a look before, it was not over, whatever the API leaves out.
        (25, 24.5),
    ],
)
def test_what_the_api_leaves_out_of_its_times_is_seen(
    world: World, age_seconds: int, learned_seconds: float
) -> None:
    world.segmind.results = [DONE]
    world.downloader.files[:] = [picture_bytes()]
    for number in range(8):
        polling = Polling(first_wait_seconds=12, cadence_seconds=0.5)
        job = world.table.keep(a_job(job_id=f"{number:032}", polling=polling))
        world.clock.step(SECOND)
        world.finalizer.finalize(job.job_id, job.attempt, age_seconds=age_seconds)
    median_seconds = world.table.inference_times().quantile_seconds(0.5)
    assert median_seconds == pytest.approx(learned_seconds, rel=0.08)


def test_a_download_that_breaks_off_is_tried_again_by_the_workflow(world: World) -> None:
    world.downloader.files[:] = [DownloadError("the image was cut short"), picture_bytes()]
    with pytest.raises(DownloadError):
        finalized(world, DONE)
    standing = world.table.only_job
    assert standing.state is JobState.SUBMITTED
    assert standing.output_url == OUTPUT_URL
    assert not world.bus.events
    ended = world.finalizer.finalize(standing.job_id, standing.attempt)
    assert ended is not None
    assert ended.state is JobState.COMPLETED


def test_an_image_that_cannot_be_fetched_is_looked_for_ever_more_seldom_and_not_for_ever(
    world: World,
) -> None:
    world.downloader.files[:] = [DownloadError("the image's host answered HTTP 404")]
    world.segmind.results = [DONE]
    job = world.table.keep(a_job(due_at=START))
    looks, attempt = 0, job.attempt
    while (standing := world.table.only_job).state is JobState.SUBMITTED:
        world.clock.step(max(standing.due_at or START, world.clock() + timedelta(minutes=1)) - world.clock())
        looks += 1
        with suppress(DownloadError):
            world.finalizer.finalize(job.job_id, attempt)
    assert failed(world, standing, "OutputExpired") == "the image's host answered HTTP 404"
    assert timedelta(days=7) <= world.clock() - START <= timedelta(days=7, hours=1)
    assert 100 < looks < 300
    assert not world.segmind.posted


def test_an_image_that_can_be_fetched_days_later_is_fetched(world: World) -> None:
    job = world.table.keep(a_job(due_at=START, output_url=OUTPUT_URL))
    world.segmind.results = [EXPIRED]
    world.downloader.files[:] = [DownloadError("the image's host answered HTTP 503"), picture_bytes()]
    world.clock.step(timedelta(days=5))
    later = world.finalizer.finalize(job.job_id, job.attempt, gone=True)
    assert later is not None
    assert (later.state, later.due_at) == (JobState.SUBMITTED, world.clock() + timedelta(hours=1))
    ended = world.finalizer.finalize(job.job_id, job.attempt, gone=True)
    assert ended is not None
    assert ended.state is JobState.COMPLETED


@pytest.mark.parametrize("result", [answers.TryLater("HTTP 502"), answers.Pending("PROCESSING")])
def test_after_the_deadline_an_image_that_was_seen_still_counts(
    world: World, result: answers.RequestOutcome
) -> None:
    job = world.table.keep(a_job(due_at=START, output_url=OUTPUT_URL))
    world.segmind.results = [result]
    world.clock.step(DEADLINE)
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    assert ended.state is JobState.COMPLETED


# -- not over yet --

UNDECIDED = [
    answers.Pending("PROCESSING"),
    answers.TryLater("HTTP 502: Bad Gateway"),
    NoApiKeyError("the API key's secret is empty"),
]


@pytest.mark.parametrize("undecided", UNDECIDED)
def test_what_cannot_be_told_before_the_deadline_is_asked_again(
    world: World, undecided: answers.RequestOutcome | Exception
) -> None:
    with pytest.raises(NotFinishedError):
        finalized(world, undecided, submitted_at=START - DEADLINE + 21 * SECOND)
    assert world.table.only_job.state is JobState.SUBMITTED
    assert not world.bus.events


@pytest.mark.parametrize("undecided", UNDECIDED)
def test_at_the_deadline_it_ends(world: World, undecided: answers.RequestOutcome | Exception) -> None:
    job = finalized(world, undecided, submitted_at=START - DEADLINE + 20 * SECOND)
    assert failed(world, job, "DeadlinePassed").startswith("no ending within 50 minutes; last: ")


def test_a_result_that_comes_after_the_deadline_is_published_all_the_same(world: World) -> None:
    assert finalized(world, DONE, submitted_at=START - DEADLINE).state is JobState.COMPLETED


# -- the same again --


def test_an_attempt_that_is_over_does_nothing(world: World) -> None:
    world.table.keep(a_job(attempt=2))
    assert world.finalizer.finalize(a_job().job_id, 1) is None
    assert world.table.only_job == a_job(attempt=2)
    assert not world.bus.events


@pytest.mark.parametrize("state", sorted(set(JobState) - ENDINGS - {JobState.SUBMITTED}))
def test_a_job_that_was_not_submitted_is_left_alone(world: World, state: JobState) -> None:
    world.table.keep(a_job(state))
    assert world.finalizer.finalize(a_job().job_id, 1) is None
    assert not world.bus.events


def test_a_job_that_is_not_there_is_left_alone(world: World) -> None:
    assert world.finalizer.finalize("f" * 32, 1) is None


@pytest.mark.parametrize("state", sorted(ENDINGS - {JobState.REJECTED}))
def test_a_job_that_ended_is_told_of_if_it_still_is_to_be(world: World, state: JobState) -> None:
    world.table.keep(a_job(state, error=Reason(code="x", message="y"), owes_event=True, due_at=START))
    for _ in range(2):
        told = world.finalizer.finalize(a_job().job_id, 1)
        assert told == world.table.only_job
        assert (told.owes_event, told.due_at) == (False, None)
    assert len(world.bus.events) == 1


def test_an_event_that_the_bus_refused_is_told_the_next_time(world: World) -> None:
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        finalized(world, DONE)
    world.finalizer.finalize(a_job().job_id, 1)
    assert world.bus.told == ["Scene Generated"]
    assert len(world.downloader.fetched) == 1


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            [answers.Pending("QUEUED"), answers.TryLater("HTTP 502"), answers.Failed("no", None), DONE]
        ),
        max_size=4,
    ),
    st.frozensets(st.integers(0, 15), max_size=4),
    st.frozensets(st.integers(0, 15), max_size=4),
)
def test_a_crash_at_any_line_ends_in_one_ending_that_is_told(
    results: list[answers.RequestOutcome], dies_before: frozenset[int], dies_after: frozenset[int]
) -> None:
    """The workflow tries again; Segmind does not take back what it said."""
    world = World(Outside(dies_before, dies_after))
    decided = next(
        (at for at, result in enumerate(results) if isinstance(result, answers.Failed | answers.Completed)),
        None,
    )
    world.segmind.results = [*results[: decided + 1]] if decided is not None else [*results, DONE]
    job = world.table.keep(a_job(due_at=START + DEADLINE))
    for _ in range(20):
        try:
            ended = world.finalizer.finalize(job.job_id, job.attempt)
        except (CrashError, NotFinishedError):
            world.clock.step(timedelta(seconds=2))
            continue
        break
    assert ended is not None
    assert ended.state in {JobState.COMPLETED, JobState.FAILED}
    assert ended == world.table.only_job
    assert len(world.bus.ids) == 1
    told = {"COMPLETED": "Scene Generated", "FAILED": "Scene Failed"}[ended.state]
    assert set(world.bus.told) == {told}
    assert bool(world.images_made) == (ended.state is JobState.COMPLETED)
