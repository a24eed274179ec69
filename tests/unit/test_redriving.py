"""Doing it again: what each job is redriven to, that nothing is paid for again unasked, and that it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.job import PERSON_DECIDES, Image, Job, JobState, ParkedCause, Reason
from packshot.photo_store import Unusable
from packshot.polling import OUTPUT_KEPT
from packshot.redriving import (
    MOVED_ON,
    NEVER_CHARGED,
    PLANNED_SINCE,
    LeaveAlone,
    PostAgain,
    Resume,
    SendAgain,
    Step,
    step_for,
)
from tests.unit.fakes import OUTPUT_URL, START, CrashError, FakeJobTable, World, a_job, a_photo, picture_bytes

HOUR = timedelta(hours=1)
NOW = START + HOUR
FREE, PAID = PostAgain(charged=False), PostAgain(charged=True)
ASK = "--pay-again"
IMAGE = Image(
    bucket="images",
    key="shoes/red/default.webp",
    version_id="v1",
    bytes=7,
    content_type="image/webp",
    width=800,
    height=600,
)


def failed(code: str, **known: Any) -> Job:
    details = {"request_id": "request-1", "submitted_at": START, **known}
    return a_job(JobState.FAILED, error=Reason(code=code, message="the API's words"), **details)


def undecided(**known: Any) -> Job:
    return a_job(JobState.UNCERTAIN, error=Reason(code=PERSON_DECIDES, message="?"), lost_answers=3, **known)


def both(job: Job, now: Any = NOW) -> tuple[Step, Step]:
    """What is done without being asked to pay again, and with it."""
    return step_for(job, now, pay_again=False), step_for(job, now, pay_again=True)


def is_asked(step: Step) -> bool:
    return isinstance(step, LeaveAlone) and ASK in step.reason


# -- What is done --


@pytest.mark.parametrize("code", sorted(NEVER_CHARGED))
def test_what_was_never_charged_is_posted_again(code: str) -> None:
    assert both(failed(code)) == (FREE, FREE)
    assert both(failed(code, request_id=None, submitted_at=None)) == (FREE, FREE)


def test_every_refusal_counts_as_never_charged() -> None:
    for status_code in {*range(400, 500)} - {408}:
        outcome = answers.submit_outcome(status_code, {}, b"{}", NOW)
        if isinstance(outcome, answers.Refused):
            assert outcome.code in NEVER_CHARGED


@pytest.mark.parametrize("code", ["WrongOutput", "OutputForbidden", "NoOutput", "DeadlinePassed", "Unheard"])
def test_a_stored_output_is_fetched_and_not_made_again(code: str) -> None:
    assert both(failed(code, output_url=OUTPUT_URL)) == (Resume(), Resume())


def test_an_output_that_was_fetched_again_in_vain_is_made_anew_if_asked() -> None:
    assert both(failed("WrongOutput", output_url=OUTPUT_URL, resumed=True)) == (Resume(), PAID)


def test_an_output_that_segmind_keeps_no_longer_is_not_fetched() -> None:
    job = failed("WrongOutput", output_url=OUTPUT_URL)
    assert both(job, START + OUTPUT_KEPT - timedelta(seconds=1)) == (Resume(), Resume())
    unasked, asked = both(job, START + OUTPUT_KEPT)
    assert is_asked(unasked)
    assert asked == PAID


def test_a_request_that_was_late_is_asked_again() -> None:
    assert both(failed("DeadlinePassed")) == (Resume(), Resume())
    assert both(failed("DeadlinePassed", resumed=True)) == (Resume(), PAID)


@pytest.mark.parametrize("code", ["RequestUnknown", "NoOutput", "WrongOutput", "OutputForbidden", "Unheard"])
def test_what_may_have_been_charged_is_posted_only_if_asked(code: str) -> None:
    unasked, asked = both(failed(code))
    assert is_asked(unasked)
    assert asked == PAID


@pytest.mark.parametrize("known", [{"lost_answers": 1}, {"output_url": OUTPUT_URL}])
def test_a_failure_is_free_only_if_nothing_before_it_may_have_been_charged(known: dict[str, Any]) -> None:
    for code in NEVER_CHARGED:
        assert step_for(failed(code, **known), NOW, pay_again=False) != FREE


def test_an_uncertain_job_that_a_person_decides_on_is_posted_only_if_asked() -> None:
    unasked, asked = both(undecided())
    assert is_asked(unasked)
    assert asked == PAID


def test_what_was_never_sent_is_sent_again() -> None:
    job = a_job(JobState.REJECTED, error=Reason(code="PhotoTooLarge", message="?"), parameters=None)
    assert both(job) == (SendAgain(), SendAgain())


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (a_job(JobState.COMPLETED, image=IMAGE), "its image is at shoes/red/default.webp"),
        (a_job(JobState.SUPERSEDED), "a newer photo"),
        (a_job(JobState.PLANNED, due_at=START), "due at 2026-03-14T09:30:00.000000Z"),
        (a_job(JobState.CLAIMED, due_at=START), "on its way"),
        (a_job(JobState.SUBMITTED, due_at=START), "on its way"),
        (a_job(JobState.PARKED, due_at=START, cause=ParkedCause.KEY), "on its way"),
        (a_job(JobState.UNCERTAIN, due_at=START, error=Reason(code="AnswerLost", message="?")), "on its way"),
        (failed("GenerationFailed", owes_event=True), "event"),
        (undecided(owes_event=True), "event"),
        (a_job(JobState.REJECTED, owes_event=True), "event"),
    ],
    ids=lambda value: value.state if isinstance(value, Job) else "",
)
def test_everything_else_is_left_alone_and_told_why(job: Job, words: str) -> None:
    for step in both(job):
        assert isinstance(step, LeaveAlone)
        assert words in step.reason


anything = st.builds(
    a_job,
    st.sampled_from(JobState),
    error=st.none()
    | st.builds(
        Reason, code=st.sampled_from([*sorted(NEVER_CHARGED), "NoOutput", PERSON_DECIDES]), message=st.text()
    ),
    lost_answers=st.integers(0, 4),
    request_id=st.sampled_from([None, "request-1"]),
    output_url=st.sampled_from([None, OUTPUT_URL]),
    submitted_at=st.sampled_from([None, START, START - OUTPUT_KEPT]),
    resumed=st.booleans(),
    owes_event=st.booleans(),
)


@given(anything)
def test_unasked_only_a_failure_that_was_surely_free_is_posted(job: Job) -> None:
    step = step_for(job, NOW, pay_again=False)
    assert step != PAID
    if step == FREE:
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.code in NEVER_CHARGED
        assert (job.lost_answers, job.output_url) == (0, None)


@given(anything)
def test_a_step_is_one_that_the_row_can_take(job: Job) -> None:
    """No edge is missing, whatever is decided, and whoever comes second finds the job moved on."""
    for pay_again in (False, True):
        world = World()
        world.table.keep(job)
        step = world.redriver.look(job, pay_again=pay_again)
        assert world.redriver.redrive(job.job_id, step, pay_again=pay_again) == step
        if isinstance(step, Resume | PostAgain):
            assert world.table.only_job.due_at is not None
            assert world.redriver.redrive(job.job_id, step, pay_again=pay_again) == MOVED_ON
            assert world.queue.sent == [job.job_id]


def test_two_at_once_move_a_job_once(world: World) -> None:
    """Both have read the row; the write of the second meets a false condition."""
    world.table.keep(failed("NotAccepted"))

    class Slow(FakeJobTable):
        def get(self, job_id: str) -> Job | None:
            job = super().get(job_id)
            self.get = super().get  # type: ignore[method-assign]
            assert other.redrive(job_id, FREE, pay_again=False) == FREE
            return job

    other = world.redriver
    slow = Slow(world.outside, world.clock)
    slow.rows = world.table.rows
    assert replace(other, table=slow).redrive(failed("").job_id, FREE, pay_again=False) == MOVED_ON
    assert world.queue.sent == [failed("").job_id]


def test_what_was_not_agreed_to_is_not_done(world: World) -> None:
    job = world.table.keep(failed("RequestUnknown"))
    for agreed in (FREE, Resume(), SendAgain()):
        assert world.redriver.redrive(job.job_id, agreed, pay_again=True) == MOVED_ON
    assert world.redriver.redrive("f" * 32, FREE, pay_again=True) == MOVED_ON
    assert world.table.only_job == job
    assert not world.queue.sent


# -- What becomes of it --


def redrives(world: World, *, pay_again: bool = False) -> Step:
    """Redrive the only job, and deliver the messages."""
    job = world.table.only_job
    agreed = world.redriver.look(job, pay_again=pay_again)
    step = world.redriver.redrive(job.job_id, agreed, pay_again=pay_again)
    delivers(world)
    return step


def delivers(world: World) -> None:
    while world.queue.sent or world.queue.uploads:
        if world.queue.uploads:
            world.submitter.upload(world.queue.uploads.pop(0))
        else:
            world.submitter.job(world.queue.sent.pop(0))


def finishes(world: World, *results: answers.RequestOutcome) -> Job:
    """The execution that waits for the only job comes to its end."""
    if results:
        world.segmind.results = list(results)
    job = world.table.only_job
    assert f"{job.job_id}-{job.attempt}" in world.workflow.executions
    finished = world.finalizer.finalize(job.job_id, job.attempt)
    world.workflow.closed.add(f"{job.job_id}-{job.attempt}")
    assert finished is not None
    return finished


DONE = answers.Completed(answers.Output(url=OUTPUT_URL), 13.06, 0.0891)
FAILS = answers.Failed("no", None)
GONE = answers.Unknown("Request request-1 not found")


def test_a_wrong_output_is_fetched_again_days_later_without_another_request(world: World) -> None:
    world.uploads()
    world.downloader.files[:] = [b"a page"]
    assert finishes(world, DONE).error == Reason(
        code="WrongOutput",
        message="the file is not the image asked for: the content is text: send JPEG, PNG or WebP",
    )
    world.clock.step(timedelta(days=3))
    world.downloader.files[:] = [picture_bytes()]

    assert redrives(world) == Resume()

    job = finishes(world, GONE)
    assert (job.state, job.attempt, job.error, job.output_url) == (JobState.COMPLETED, 2, None, None)
    assert (job.inference_seconds, job.cost_usd) == (13.06, 0.0891)
    assert len(world.segmind.posted) == 1
    assert world.bus.told == ["Scene Failed", "Photo Completed", "Scene Generated", "Photo Completed"]


def test_an_output_that_stays_wrong_is_paid_for_again_when_asked_twice(world: World) -> None:
    world.uploads()
    world.downloader.files[:] = [b"a page"]
    finishes(world, DONE)

    assert redrives(world, pay_again=True) == Resume()
    finishes(world)
    assert len(world.segmind.posted) == 1
    assert redrives(world, pay_again=True) == PAID
    assert len(world.segmind.posted) == 2
    assert world.table.only_job.output_url is None

    world.downloader.files[:] = [picture_bytes()]
    job = finishes(world, DONE)
    assert (job.state, job.attempt, job.resumed) == (JobState.COMPLETED, 3, False)


def test_a_request_that_was_late_is_found_when_it_is_asked_again(world: World) -> None:
    world.uploads()
    world.clock.step(timedelta(minutes=50))
    assert finishes(world, answers.Pending("PROCESSING")).state is JobState.FAILED

    assert redrives(world) == Resume()

    assert finishes(world, DONE).state is JobState.COMPLETED
    assert len(world.segmind.posted) == 1


def test_a_failed_request_is_made_again_with_the_same_seed(world: World) -> None:
    world.uploads()
    finishes(world, answers.Failed("out of memory", 0.5))

    assert redrives(world) == FREE

    one, other = world.segmind.posted
    assert one.seed == other.seed
    assert one.prompt == other.prompt
    job = finishes(world, DONE)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert world.bus.told == ["Scene Failed", "Photo Completed", "Scene Generated", "Photo Completed"]
    assert len(world.bus.ids) == 4


def test_what_was_surely_not_accepted_gets_all_its_attempts_anew(world: World) -> None:
    world.segmind.submits = [answers.NotAccepted("Internal server error")]
    world.uploads()
    while world.table.only_job.state is not JobState.FAILED:
        world.clock.step(HOUR)
        world.submitter.job(world.table.only_job.job_id)
    before = len(world.segmind.posted)

    assert redrives(world) == FREE

    job = world.table.only_job
    assert (job.state, job.not_accepted) == (JobState.PLANNED, 1)
    assert len(world.segmind.posted) == before + 1


def test_an_uncertain_job_makes_one_more_request_and_then_a_person_decides_again(world: World) -> None:
    world.segmind.submits = [answers.AnswerLost("ReadTimeout")]
    world.uploads()
    while not world.table.only_job.stands_still:
        world.clock.step(HOUR)
        world.submitter.job(world.table.only_job.job_id)

    assert is_asked(redrives(world))
    assert len(world.segmind.posted) == 3
    assert redrives(world, pay_again=True) == PAID

    assert len(world.segmind.posted) == 4
    job = world.table.only_job
    assert (job.state, job.due_at) == (JobState.UNCERTAIN, None)
    assert job.stands_still


def test_a_photo_that_a_newer_one_followed_is_not_posted(world: World) -> None:
    world.uploads(a_photo(sequencer="01"))
    finishes(world, FAILS)
    world.table.newest = {"photos/shoes/red.jpg": "F" * 64}

    assert redrives(world) == FREE

    assert world.table.only_job.state is JobState.SUPERSEDED
    assert len(world.segmind.posted) == 1


# -- What was never sent --


def test_a_rejected_photo_is_planned_by_what_holds_today(world: World) -> None:
    too_large = Unusable(a_photo(), Reason(code="PhotoTooLarge", message="?"))
    photo = world.puts(a_photo())
    good, world.photos.standing[photo.key] = world.photos.standing[photo.key], too_large
    world.submitter.upload(photo)
    world.photos.standing[photo.key] = good

    assert redrives(world) == SendAgain()

    rejected, planned = world.table.jobs
    assert (rejected.state, planned.state) == (JobState.REJECTED, JobState.SUBMITTED)
    assert planned.photo.sequencer == photo.sequencer
    assert world.redriver.look(rejected, pay_again=True) == PLANNED_SINCE


def test_a_photo_that_is_rejected_again_is_told_again(world: World) -> None:
    world.submitter.upload(world.puts(a_photo(), packshot_quality="0"))
    assert redrives(world) == SendAgain()
    assert world.bus.told == ["Photo Rejected"] * 2
    assert world.table.only_job.state is JobState.REJECTED


# -- What breaks off --


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("before", [True, False])
def test_a_crash_at_any_line_is_mended_by_the_sweep_or_by_doing_it_again(call: int, before: bool) -> None:
    world = World()
    world.uploads()
    finishes(world, FAILS)
    calls = frozenset({world.outside.calls + call})
    world.outside.dies_before, world.outside.dies_after = (
        (calls, frozenset()) if before else (frozenset(), calls)
    )
    job = world.table.only_job
    try:
        world.redriver.redrive(job.job_id, FREE, pay_again=False)
    except CrashError:
        world.queue.sent.clear()
    world.outside.dies_before = world.outside.dies_after = frozenset()
    if world.table.only_job.state is JobState.PLANNED:
        world.clock.step(timedelta(minutes=15))
        world.sweeps()
        delivers(world)
    else:
        redrives(world)
    assert world.table.only_job.state is JobState.SUBMITTED
    assert len(world.segmind.posted) == 2


submits: st.SearchStrategy[answers.SubmitOutcome] = st.sampled_from(
    [
        answers.Accepted("request-1"),
        answers.Refused("BadRequest", "no"),
        answers.NotAccepted("Internal server error"),
        answers.AnswerLost("ReadTimeout"),
        answers.RateLimited("slow down", None),
    ]
)
results: st.SearchStrategy[answers.RequestOutcome] = st.sampled_from(
    [
        DONE,
        answers.Completed(None, None, None),
        FAILS,
        GONE,
        answers.Pending("PROCESSING"),
    ]
)
files = st.sampled_from([picture_bytes(), b"a page"])


@settings(max_examples=300)
@given(st.data())
def test_however_often_it_is_redriven_nothing_is_paid_again_unasked(data: st.DataObject) -> None:
    """A request that may have been charged is the last, but for those after answers that were lost."""
    world = World()
    world.uploads()
    may_be_charged = is_completed = False
    for _ in range(12):
        before = len(world.segmind.posted)
        world.segmind.submits = [data.draw(submits)]
        world.downloader.files[:] = [data.draw(files)]
        job = world.table.only_job
        if job.state is JobState.SUBMITTED:
            # What is completed once does not fail any more; its record may be gone.
            result = data.draw(results.filter(lambda found: found != FAILS) if is_completed else results)
            is_completed = is_completed or isinstance(result, answers.Completed)
            world.clock.step(timedelta(minutes=50))
            ended = finishes(world, result)
            may_be_charged = ended.error is None or ended.error.code != "GenerationFailed"
        elif job.stands_still:
            redrives(world)
        else:
            world.clock.step(HOUR)
            world.submitter.job(job.job_id)
        assert not (may_be_charged and len(world.segmind.posted) > before)
    lost = [found for found in world.segmind.outcomes if isinstance(found, answers.AnswerLost)]
    assert len(lost) <= 3
    event(f"{world.table.only_job.state} after {len(world.segmind.posted)} posts")
