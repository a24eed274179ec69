"""From an upload to a request: nothing is lost or paid twice, whatever comes again or breaks off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.event_bus import EventNotTakenError
from packshot.events import DETAIL_TYPES
from packshot.gate import TRIAL_PAUSE
from packshot.job import ENDINGS, PERSON_DECIDES, Job, JobState, ParkedCause, Reason
from packshot.job_table import LEASE, Unmoved
from packshot.photo import Photo
from packshot.photo_store import Overwritten, Unusable
from packshot.planning import NotAPhoto
from packshot.scene import MAX_SEED, Scene
from packshot.segmind import NoApiKeyError, SegmindError
from packshot.submitting import (
    MAX_NOT_ACCEPTED,
    LeaseHeldError,
    UnknownJobError,
)
from tests.unit.fakes import START, CrashError, Outside, World, a_job, a_photo

NO_KEY = NoApiKeyError("the API key's secret is empty")
VISIBILITY = timedelta(seconds=720)

# -- the good way --


def test_an_upload_becomes_one_paid_request_that_is_waited_for(world: World) -> None:
    job = world.uploads()
    assert (job.state, job.request_id, job.attempt) == (JobState.SUBMITTED, "request-1", 1)
    assert job.submitted_at == START
    assert len(world.segmind.posted) == 1
    assert list(world.workflow.executions) == [f"{job.job_id}-1"]
    assert world.workflow.executions[f"{job.job_id}-1"].request_id == "request-1"
    assert world.table.only_job == job
    assert not world.queue.sent
    assert not world.bus.events


def test_the_request_is_the_stacks_scene_with_the_photos_overrides(world: World) -> None:
    job = world.uploads(packshot_quality="80", packshot_prompt="am%20Strand", author="me")
    (posted,) = world.segmind.posted
    assert posted == Scene(prompt="am Strand", quality=80).request(
        f"https://photos.example/shoes/red.jpg?{job.marker}", job.seed or 0
    )
    assert job.parameters == Scene(prompt="am Strand", quality=80)
    assert job.image_key == "shoes/red/default.webp"


def test_a_seed_is_drawn_sent_and_recorded(world: World) -> None:
    job = world.uploads()
    assert job.seed is not None
    assert 0 <= job.seed <= MAX_SEED
    assert world.segmind.posted[0].seed == job.seed


def test_the_same_photo_draws_the_same_seed() -> None:
    assert World().uploads().seed == World().uploads(a_photo(etag="other", sequencer="01")).seed


def test_a_photo_in_another_format_lands_under_its_suffix(world: World) -> None:
    assert world.uploads(packshot_image_format="jpeg").image_key == "shoes/red/default.jpg"


@pytest.mark.parametrize("key", ["shoes/", ".hidden.jpg", "_props/vase.jpg", "scenes.json"])
def test_what_is_no_photo_leaves_no_trace(world: World, key: str) -> None:
    assert isinstance(world.submitter.upload(a_photo(key)), NotAPhoto)
    assert not world.table.rows
    assert not world.bus.events


# -- the same again --


def set_to(world: World, state: JobState, **changes: object) -> Job:
    """A job that was uploaded and stands in that state now."""
    job = world.uploads()
    world.segmind.posted.clear()
    world.workflow.executions.clear()
    world.bus.events.clear()
    world.queue.sent.clear()
    return world.table.keep(job.model_copy(update={"state": state, "due_at": None, **changes}))


SOON = START + timedelta(minutes=1)
STANDING: dict[str, tuple[JobState, dict[str, object]]] = {
    "claimed by another": (JobState.CLAIMED, {"lease_until": SOON, "due_at": SOON}),
    "claimed by one that ended": (JobState.CLAIMED, {"lease_until": START, "due_at": START}),
    "submitted": (JobState.SUBMITTED, {"due_at": SOON}),
    "parked": (JobState.PARKED, {"due_at": SOON, "cause": ParkedCause.RATE}),
    "uncertain": (JobState.UNCERTAIN, {"due_at": SOON}),
    "a person's": (JobState.UNCERTAIN, {"due_at": None}),
    "completed": (JobState.COMPLETED, {}),
    "failed": (JobState.FAILED, {}),
    "superseded": (JobState.SUPERSEDED, {}),
}


@pytest.mark.parametrize("way", ["upload", "job"])
@pytest.mark.parametrize("name", STANDING)
def test_a_message_that_comes_again_never_posts_again(world: World, name: str, way: str) -> None:
    state, changes = STANDING[name]
    job = set_to(world, state, **changes)
    redeliver: Callable[[], object] = (
        world.uploads if way == "upload" else lambda: world.submitter.job(job.job_id)
    )
    if name == "claimed by another":
        with pytest.raises(LeaseHeldError):
            redeliver()
    else:
        redeliver()
    assert not world.segmind.posted


def test_a_submitted_job_is_waited_for_once_however_often_it_comes(world: World) -> None:
    job = world.uploads()
    for _ in range(3):
        assert world.uploads() == job
    assert len(world.segmind.posted) == 1
    assert len(world.workflow.executions) == 1


@pytest.mark.parametrize("state", [JobState.PARKED, JobState.UNCERTAIN])
def test_a_job_that_waits_comes_back_when_it_is_due_and_its_event_is_told(
    world: World, state: JobState
) -> None:
    job = set_to(world, state, due_at=START + LEASE, owes_event=True)
    assert world.submitter.job(job.job_id).state is state
    assert len(world.bus.events) == 1
    assert not world.sweeps()
    world.clock.step(LEASE)
    assert world.sweeps() == [job.job_id]
    assert world.submitter.job(job.job_id).state is JobState.SUBMITTED
    assert len(world.bus.events) == 1


def test_a_state_that_was_not_told_of_is_told_before_it_is_left(world: World) -> None:
    job = set_to(world, JobState.PARKED, due_at=START, cause=ParkedCause.RATE, owes_event=True)
    assert world.submitter.job(job.job_id).state is JobState.SUBMITTED
    assert world.bus.told == ["Scene Parked"]


def test_an_execution_that_died_is_followed_by_the_next_attempt_without_another_request(world: World) -> None:
    job = world.uploads()
    world.workflow.closed.add(f"{job.job_id}-1")
    world.clock.step(timedelta(minutes=15))
    assert world.sweeps() == [job.job_id]
    world.submitter.job(job.job_id)
    assert list(world.workflow.executions) == [f"{job.job_id}-1", f"{job.job_id}-2"]
    assert world.table.only_job.attempt == 2
    assert world.table.only_job.request_id == job.request_id
    assert len(world.segmind.posted) == 1


def test_an_execution_that_ended_with_its_job_is_not_followed(world: World) -> None:
    """It may end between two lines: the row was read as submitted, and is at its end a moment later."""
    job = world.uploads()
    world.workflow.closed.add(f"{job.job_id}-1")
    world.table.move(job, JobState.COMPLETED)
    assert isinstance(world.table.next_attempt(job), Unmoved)


@pytest.mark.parametrize("state", sorted(ENDINGS - {JobState.REJECTED}))
def test_a_job_that_ended_is_told_of_again_with_the_same_id(world: World, state: JobState) -> None:
    job = set_to(world, state)
    for _ in range(2):
        world.submitter.job(job.job_id)
    assert world.bus.told == [DETAIL_TYPES[state], "Photo Completed"] * 2
    assert len(world.bus.ids) == 2


def test_a_job_that_waits_and_is_due_is_submitted(world: World) -> None:
    job = set_to(world, JobState.PARKED, due_at=START, cause=ParkedCause.RATE, request_id=None)
    submitted = world.submitter.job(job.job_id)
    assert (submitted.state, submitted.cause, submitted.attempt) == (JobState.SUBMITTED, None, 2)
    assert len(world.segmind.posted) == 1
    assert list(world.workflow.executions) == [f"{job.job_id}-2"]


def test_a_claim_whose_holder_ended_may_have_been_paid(world: World) -> None:
    job = set_to(world, JobState.CLAIMED, lease_until=START, due_at=START, request_id=None)
    assert world.submitter.job(job.job_id).state is JobState.UNCERTAIN
    assert world.bus.told == ["Scene Uncertain"]
    assert world.table.only_job.lost_answers == 1


def test_a_job_that_nobody_planned_is_an_error(world: World) -> None:
    with pytest.raises(UnknownJobError):
        world.submitter.job("f" * 32)


def test_a_workflow_that_did_not_start_is_started_when_the_message_comes_again(world: World) -> None:
    """The request id is stored before anything else happens: the request is resumed, not posted again."""
    world.workflow.refusals = 1
    with pytest.raises(CrashError):
        world.uploads()
    assert world.table.only_job.request_id == "request-1"
    assert not world.workflow.executions
    world.uploads()
    assert len(world.workflow.executions) == 1
    assert len(world.segmind.posted) == 1


# -- the answers --


def parked(world: World, cause: ParkedCause, pause: timedelta) -> Reason:
    """What every entry into PARKED has: cause, due time, event, and a message that brings the job back."""
    job = world.uploads()
    assert (job.state, job.cause) == (JobState.PARKED, cause)
    assert job.due_at is not None
    assert job.due_at <= START + pause
    assert world.table.only_job == job
    assert world.bus.told == ["Scene Parked", "Submitting Paused"]
    (_, detail) = world.bus.events[0]
    assert detail["cause"] == cause
    world.clock.step(pause - timedelta(microseconds=1))
    assert not world.sweeps()
    world.clock.step(timedelta(microseconds=1))
    assert world.sweeps() == [job.job_id]
    assert not world.workflow.executions
    assert job.error is not None
    assert detail["reason"] == job.error.model_dump()
    return job.error


def test_a_rate_limit_parks_for_a_minute(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None)]
    assert parked(world, ParkedCause.RATE, timedelta(minutes=1)) == Reason(
        code="Parked:rate", message="slow down"
    )


@pytest.mark.parametrize("seconds", [60, 61, 600])
def test_a_rate_limit_that_says_when_is_believed(world: World, seconds: int) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", START + timedelta(seconds=seconds))]
    parked(world, ParkedCause.RATE, timedelta(seconds=seconds))


@pytest.mark.parametrize("ago", [timedelta(), timedelta(days=9999)])
def test_a_rate_limit_in_the_past_pauses_all_the_same(world: World, ago: timedelta) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", START - ago)]
    parked(world, ParkedCause.RATE, timedelta(minutes=1))


def test_a_rate_limit_never_counts_as_a_failure(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None)]
    job = world.uploads()
    for _ in range(50):
        world.clock.step(timedelta(minutes=1))
        assert world.submitter.job(job.job_id).state is JobState.PARKED
    world.segmind.submits = [answers.Accepted("request-1")]
    world.clock.step(timedelta(minutes=1))
    assert world.submitter.job(job.job_id).state is JobState.SUBMITTED
    assert len(world.bus.ids) == len(world.bus.events)
    assert world.bus.told.count("Scene Parked") == 51


def test_no_credits_park(world: World) -> None:
    world.segmind.submits = [answers.NotAcceptable("Insufficient credits")]
    world.segmind.balances = [*[answers.Credits(0.0, 0.018)] * 2, answers.Credits(10.0, 0.0)]
    assert parked(world, ParkedCause.CREDITS, TRIAL_PAUSE).message == "Insufficient credits"


@pytest.mark.parametrize("status_code", [401, 403, 410])
def test_a_key_that_is_refused_parks(world: World, status_code: int) -> None:
    world.segmind.submits = [answers.KeyRefused(status_code, "no")]
    world.segmind.balances = [SegmindError("HTTP 404")]
    assert parked(world, ParkedCause.KEY, TRIAL_PAUSE).message == f"HTTP {status_code}: no"


def test_no_key_parks_and_posts_nothing(world: World) -> None:
    world.segmind.submits = [NO_KEY]
    world.segmind.balances = [SegmindError("HTTP 404")]
    assert parked(world, ParkedCause.KEY, TRIAL_PAUSE).message == "the API key's secret is empty"
    assert not world.segmind.posted


def test_a_permanent_refusal_fails_with_the_apis_words(world: World) -> None:
    world.segmind.submits = [answers.Refused("BadRequest", "image_1 cannot be fetched")]
    job = world.uploads()
    assert job.state is JobState.FAILED
    assert job.error == Reason(code="BadRequest", message="image_1 cannot be fetched")
    assert job.due_at is None
    assert world.bus.told == ["Scene Failed", "Photo Completed"]
    assert not world.queue.sent


def comes_back(world: World, job: Job) -> Job:
    """A job that waits is swept when it is time, not before, and its message delivered."""
    assert job.due_at is not None
    world.clock.step(job.due_at - world.clock() - timedelta(microseconds=1))
    assert not world.sweeps()
    world.clock.step(timedelta(microseconds=1))
    assert world.sweeps() == [job.job_id]
    return world.submitter.job(job.job_id)


def test_what_was_surely_not_accepted_is_tried_again_ever_slower_and_not_for_ever(world: World) -> None:
    world.segmind.submits = [answers.NotAccepted("Internal server error")]
    job = world.uploads()
    pauses = []
    while job.state is JobState.PLANNED and job.due_at:
        pauses.append((job.due_at - world.clock()).total_seconds())
        job = comes_back(world, job)
    assert job.state is JobState.FAILED
    assert job.error == Reason(code="NotAccepted", message="Internal server error")
    assert len(world.segmind.posted) == MAX_NOT_ACCEPTED == job.attempt
    assert pauses == [15, 30, 60, 120]
    assert world.bus.told == ["Scene Failed", "Photo Completed"]


def test_a_server_error_that_passes_is_forgotten(world: World) -> None:
    world.segmind.submits = [answers.NotAccepted("busy"), answers.Accepted("request-1")]
    assert comes_back(world, world.uploads()).state is JobState.SUBMITTED


def test_a_lost_answer_is_asked_for_once_more_each_up_to_the_limit_and_then_a_person_decides(
    world: World,
) -> None:
    world.segmind.submits = [answers.AnswerLost("ReadTimeout")]
    job = world.uploads()
    assert (job.state, job.due_at) == (JobState.UNCERTAIN, START + timedelta(minutes=1))
    assert job.error == Reason(code="AnswerLost", message="ReadTimeout")
    while job.due_at is not None:
        job = comes_back(world, job)
    assert job.state is JobState.UNCERTAIN
    assert job.error == Reason(code="PersonDecides", message="ReadTimeout")
    assert len(world.segmind.posted) == 3
    assert world.bus.told == ["Scene Uncertain"] * 3
    assert len(world.bus.ids) == 3
    world.clock.step(timedelta(days=9))
    assert not world.sweeps()
    world.submitter.job(job.job_id)
    assert len(world.segmind.posted) == 3


def test_what_a_person_decides_is_not_submitted_by_the_message_that_told_of_it(world: World) -> None:
    """The bus refuses the event, the sweep sends a message for it, and another message comes after that."""
    world.segmind.submits = [answers.AnswerLost("ReadTimeout")]
    job = world.uploads()
    for _ in range(2):
        world.bus.refusals = 1 if job.lost_answers == 2 else 0
        with suppress(EventNotTakenError):
            job = comes_back(world, job)
    job = comes_back(world, world.table.only_job)
    assert (job.stands_still, job.owes_event) == (True, False)
    world.submitter.job(job.job_id)
    assert len(world.segmind.posted) == 3


def test_a_lost_answer_that_is_followed_by_a_yes_is_submitted(world: World) -> None:
    world.segmind.submits = [answers.AnswerLost("ReadTimeout"), answers.Accepted("request-2")]
    job = comes_back(world, world.uploads())
    assert (job.state, job.request_id, job.attempt) == (JobState.SUBMITTED, "request-2", 2)


# -- never sent --


def ended_without_a_post(world: World, photo: Photo, ending: JobState, code: str, detail_type: str) -> Job:
    """What every photo that is never sent has: its ending, its record, its event, once for all messages."""
    job = world.submitter.upload(photo)
    assert isinstance(job, Job)
    assert job.state is ending
    assert job.error is not None
    assert job.error.code == code
    assert job.due_at is None
    assert world.table.rows[job.job_id] == job.row()
    world.clock.step(VISIBILITY)
    assert world.submitter.upload(photo) == job
    assert set(world.bus.told) == {detail_type}
    assert len(world.bus.ids) == 1
    assert not world.segmind.posted
    assert not world.queue.sent
    assert not world.workflow.executions
    return job


def test_a_bad_photo_is_rejected_aloud(world: World) -> None:
    reason = Reason(code="UnsupportedFormat", message="HEIC is not accepted: send JPEG, PNG or WebP")
    world.photos.standing["shoes/red.jpg"] = Unusable(a_photo(), reason)
    job = ended_without_a_post(world, a_photo(), JobState.REJECTED, "UnsupportedFormat", "Photo Rejected")
    assert job.error == reason


def test_a_photo_that_is_missing_is_rejected_aloud(world: World) -> None:
    reason = Reason(code="PhotoMissing", message="the object was deleted before it was read")
    unread = a_photo(sha256=None)
    world.photos.standing["shoes/red.jpg"] = Unusable(unread, reason)
    ended_without_a_post(world, unread, JobState.REJECTED, "PhotoMissing", "Photo Rejected")


def test_a_photo_that_was_overwritten_is_superseded(world: World) -> None:
    unread = a_photo(sha256=None)
    world.photos.standing["shoes/red.jpg"] = Overwritten()
    ended_without_a_post(world, unread, JobState.SUPERSEDED, "Overwritten", "Scene Superseded")


@pytest.mark.parametrize(
    ("name", "value"), [("packshot_quality", "0"), ("packshot_colour", "red"), ("packshot_prompt", "%FF")]
)
def test_a_bad_override_is_rejected_by_its_name(world: World, name: str, value: str) -> None:
    photo = world.puts(a_photo(), **{name: value})
    job = ended_without_a_post(world, photo, JobState.REJECTED, "InvalidScene", "Photo Rejected")
    assert job.error is not None
    assert job.error.message.startswith(f"the photo's metadata: {name.replace('_', '-')}: ")


@pytest.mark.parametrize("key", ["k" * 1020 + ".jpg", "ä" * 508 + ".png"])
def test_a_key_that_leaves_no_room_for_its_image_is_rejected(world: World, key: str) -> None:
    photo = world.puts(a_photo(key))
    ended_without_a_post(world, photo, JobState.REJECTED, "KeyTooLong", "Photo Rejected")


def test_a_key_with_control_characters_is_rejected(world: World) -> None:
    photo = world.puts(a_photo("shoes/\x01.jpg"))
    ended_without_a_post(world, photo, JobState.REJECTED, "InvalidKey", "Photo Rejected")


def test_a_path_that_is_taken_is_rejected_naming_its_owner(world: World) -> None:
    world.table.owners["shoes/red/default.webp"] = "photos/shoes/red.png"
    photo = world.puts(a_photo())
    job = ended_without_a_post(world, photo, JobState.REJECTED, "PathTaken", "Photo Rejected")
    assert job.error is not None
    assert "photos/shoes/red.png" in job.error.message


def test_an_older_photo_is_superseded_and_not_paid_for(world: World) -> None:
    world.uploads(a_photo(sequencer="0055AED6DCD90281E6", sha256="7a" * 32))
    world.segmind.posted.clear()
    world.workflow.executions.clear()
    older = world.puts(a_photo(sequencer="0055AED6DCD90281E5"))
    ended_without_a_post(world, older, JobState.SUPERSEDED, "NewerPhoto", "Scene Superseded")


def test_a_newer_photo_is_a_job_of_its_own(world: World) -> None:
    world.uploads(a_photo(sequencer="0055AED6DCD90281E5"))
    world.uploads(a_photo(sequencer="0055AED6DCD90281E6", sha256="7a" * 32))
    assert len(world.segmind.posted) == 2
    assert len(world.table.rows) == 2


def test_the_same_mistake_uploaded_again_is_told_again(world: World) -> None:
    for sequencer in ("01", "02"):
        world.submitter.upload(world.puts(a_photo(sequencer=sequencer), packshot_quality="0"))
    assert len(world.bus.ids) == 2


def test_a_mistake_whose_message_comes_again_is_told_again_as_the_same_fact(world: World) -> None:
    photo = world.puts(a_photo(), packshot_quality="0")
    for _ in range(2):
        world.submitter.upload(photo)
    assert world.bus.told == ["Photo Rejected"] * 2
    assert len(world.bus.ids) == 1


# -- an event that the bus does not take --


def test_an_event_that_is_refused_is_told_when_the_message_comes_again(world: World) -> None:
    world.segmind.submits = [answers.Refused("BadRequest", "no")]
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        world.uploads()
    assert not world.bus.events
    world.uploads()
    assert world.bus.told == ["Scene Failed", "Photo Completed"]
    assert len(world.segmind.posted) == 1


def test_a_parked_job_whose_event_was_refused_still_comes_back(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", START + timedelta(hours=1))]
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        world.uploads()
    world.clock.step(VISIBILITY)
    job = world.uploads()
    assert world.bus.told == ["Scene Parked"]
    assert job.state is JobState.PARKED
    world.clock.step(timedelta(hours=1) - VISIBILITY)
    assert world.sweeps() == [job.job_id]


def test_an_ending_whose_event_was_refused_is_swept(world: World) -> None:
    world.segmind.submits = [answers.Refused("BadRequest", "no")]
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        world.uploads()
    world.clock.step(timedelta(minutes=2))
    (job_id,) = world.sweeps()
    assert world.submitter.job(job_id).due_at is None
    assert world.bus.told == ["Scene Failed", "Photo Completed"]
    world.clock.step(timedelta(days=1))
    assert not world.sweeps()


# -- an answer that was lost --

LOST = answers.AnswerLost("the answer was lost: ReadTimeout")
KNOWN = answers.Pending("PROCESSING")


def with_history(world: World, **requests: str) -> None:
    """Someone has set the history's address; it tells of these requests, by marker."""
    history = replace(world.history, url="https://history.example", requests=requests)
    world.submitter = replace(world.submitter, history=history)


def test_a_request_that_the_history_knows_is_adopted_and_nothing_is_posted(world: World) -> None:
    world.segmind.submits, world.segmind.statuses = [LOST], [KNOWN]
    with_history(world)
    lost = world.uploads()
    with_history(world, **{lost.marker: "request-7"})
    adopted = comes_back(world, lost)
    assert (adopted.state, adopted.request_id, adopted.error) == (JobState.SUBMITTED, "request-7", None)
    assert len(world.segmind.posted) == 1
    assert len(world.workflow.executions) == 1


@pytest.mark.parametrize("status", [answers.Unknown("not found"), answers.TryLater("HTTP 502"), NO_KEY])
def test_a_history_that_tells_of_what_the_api_does_not_know_changes_nothing(
    world: World, status: answers.RequestOutcome | Exception
) -> None:
    world.segmind.submits, world.segmind.statuses = [LOST, answers.Accepted("request-1")], [status]
    with_history(world)
    lost = world.uploads()
    with_history(world, **{lost.marker: "request-7"})
    submitted = comes_back(world, lost)
    assert (submitted.state, submitted.request_id) == (JobState.SUBMITTED, "request-1")
    assert len(world.segmind.posted) == 2


def test_a_history_that_knows_nothing_changes_nothing(world: World) -> None:
    world.segmind.submits = [LOST]
    with_history(world)
    job = world.uploads()
    while not job.stands_still:
        job = comes_back(world, job)
    assert len(world.segmind.posted) == 3
    assert job.error == Reason(code=PERSON_DECIDES, message=LOST.message)
    assert world.bus.told == ["Scene Uncertain"] * 4
    assert len(world.bus.ids) == 4


def test_a_person_decides_at_once_where_that_is_wanted(world: World) -> None:
    world.segmind.submits = [LOST]
    world.submitter = replace(world.submitter, on_uncertain_submit="person")
    job = world.uploads()
    assert job.stands_still
    assert job.error == Reason(code=PERSON_DECIDES, message=LOST.message)
    world.clock.step(timedelta(days=9))
    assert not world.sweeps()
    assert world.submitter.job(job.job_id) == job
    assert len(world.segmind.posted) == 1


def test_the_history_is_asked_before_a_person(world: World) -> None:
    world.segmind.submits, world.segmind.statuses = [LOST], [KNOWN]
    with_history(world)
    world.submitter = replace(world.submitter, on_uncertain_submit="person")
    lost = world.uploads()
    assert not lost.stands_still
    with_history(world, **{lost.marker: "request-7"})
    world.submitter = replace(world.submitter, on_uncertain_submit="person")
    assert comes_back(world, lost).state is JobState.SUBMITTED
    assert len(world.segmind.posted) == 1


# -- crashes, at any line --

submit_outcomes = st.sampled_from(
    [
        answers.Accepted("request-1"),
        answers.RateLimited("slow down", None),
        answers.NotAcceptable("Insufficient credits"),
        answers.KeyRefused(401, "Invalid API key"),
        answers.Refused("BadRequest", "no"),
        answers.NotAccepted("Internal server error"),
        answers.AnswerLost("ReadTimeout"),
    ]
)
call_numbers = st.frozensets(st.integers(0, 25), max_size=4)


def rests(world: World) -> bool:
    """Whether all that can be done was done: it ended, or a person was told, or an execution waits."""
    job = world.table.only_job
    waited_for = f"{job.job_id}-{job.attempt}" in world.workflow.executions
    return not job.owes_event and (job.stands_still or (job.state is JobState.SUBMITTED and waited_for))


@settings(max_examples=300)
@given(st.lists(submit_outcomes, max_size=6), call_numbers, call_numbers, st.integers(0, 2))
def test_a_crash_at_any_line_loses_nothing_and_pays_nothing_twice(
    outcomes: list[answers.SubmitOutcome],
    dies_before: frozenset[int],
    dies_after: frozenset[int],
    duplicates: int,
) -> None:
    """Messages come until they are worked off, duplicates too, while the process dies again and again."""
    world = World(Outside(dies_before, dies_after))
    world.segmind.submits = [*outcomes, answers.Accepted("request-last")]
    photo = world.puts(a_photo())
    messages: list[Callable[[], object]] = [lambda: world.submitter.upload(photo)] * (1 + duplicates)
    for _ in range(200):
        if not messages:
            if rests(world):
                break
            world.clock.step(timedelta(minutes=15))
            with suppress(CrashError):
                world.sweeps()
            messages.extend(
                [lambda: world.submitter.job(world.table.only_job.job_id)] * len(world.queue.sent)
            )
            continue
        message = messages.pop(0)
        try:
            message()
        except (CrashError, LeaseHeldError):
            messages.append(message)
        world.clock.step(VISIBILITY)
    assert rests(world), "it never ends"
    job = world.table.only_job
    event(f"{job.state} after {len(world.segmind.posted)} posts")
    # Nothing is lost: it ended, or is waited for, or a person was told.
    assert job.state in {JobState.SUBMITTED, JobState.FAILED, JobState.UNCERTAIN}
    if job.state is JobState.SUBMITTED:
        assert f"{job.job_id}-{job.attempt}" in world.workflow.executions
    else:
        (told_last, detail) = [told for told in world.bus.events if told[0].startswith("Scene")][-1]
        assert told_last == {"FAILED": "Scene Failed", "UNCERTAIN": "Scene Uncertain"}[job.state]
        assert detail["attempt"] == job.attempt
    # Nothing is paid twice: one request for each answer that was lost, on the wire or with the process.
    taken = [outcome for outcome in world.segmind.outcomes if isinstance(outcome, answers.Accepted)]
    assert len(taken) <= 1 + job.lost_answers
    assert job.lost_answers <= 3
    assert len(world.workflow.executions) <= 1


def test_a_job_of_unknown_parameters_is_not_posted(world: World) -> None:
    job = world.table.keep(a_job(JobState.PLANNED, parameters=None, due_at=START))
    with pytest.raises(UnknownJobError):
        world.submitter.job(job.job_id)
    assert not world.segmind.posted


# -- what is not to be sent any more --


def test_a_planned_photo_is_not_sent_once_a_newer_one_is_known(world: World) -> None:
    """A is planned and its worker dies; B comes and is sent; then A's message comes again."""
    older = set_to(world, JobState.PLANNED, attempt=0)
    world.uploads(a_photo(sha256="b" * 64, sequencer="00FF"))
    world.segmind.posted.clear()
    ended = world.submitter.job(older.job_id)
    assert ended.state is JobState.SUPERSEDED
    assert world.bus.told == ["Scene Superseded"]
    assert not world.segmind.posted


@pytest.mark.parametrize(
    ("standing", "ending", "code"),
    [
        (Unusable(a_photo(), Reason(code="PhotoMissing", message="gone")), JobState.FAILED, "PhotoMissing"),
        (Overwritten(), JobState.SUPERSEDED, "Overwritten"),
    ],
)
def test_a_photo_that_went_before_it_was_sent_ends_visibly(
    world: World, standing: Unusable | Overwritten, ending: JobState, code: str
) -> None:
    job = set_to(world, JobState.PLANNED, attempt=0)
    world.photos.standing[job.photo.key] = standing
    ended = world.submitter.job(job.job_id)
    assert (ended.state, ended.error and ended.error.code) == (ending, code)
    assert world.bus.told == [DETAIL_TYPES[ending], "Photo Completed"]
    assert not world.segmind.posted


def test_a_failure_before_the_post_counts_as_no_lost_answer(world: World) -> None:
    job = set_to(world, JobState.PLANNED, attempt=0)
    for _ in range(5):
        world.photos.failures = [CrashError()]
        with pytest.raises(CrashError):
            world.submitter.job(job.job_id)
    submitted = world.submitter.job(job.job_id)
    assert (submitted.state, submitted.lost_answers) == (JobState.SUBMITTED, 0)
    assert len(world.segmind.posted) == 1


def test_a_job_that_came_back_carries_no_reason_of_its_pause(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None), answers.Accepted("request-1")]
    parked = world.uploads()
    assert parked.error is not None
    world.clock.step(timedelta(minutes=2))
    submitted = world.submitter.job(parked.job_id)
    assert (submitted.state, submitted.cause, submitted.error) == (JobState.SUBMITTED, None, None)
