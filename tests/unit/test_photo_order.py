"""The newest photo wins: whatever order its uploads, answers and images come in."""

from __future__ import annotations

import io

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from packshot import segmind_answers as answers
from packshot.event_bus import EventNotTakenError
from packshot.finalizing import NotFinishedError
from packshot.image_store import ImageContendedError, Newer
from packshot.job import Job, JobState, Reason
from packshot.photo import Photo
from packshot.photo_store import Overwritten, Unusable
from packshot.pictures import Picture
from tests.unit.fakes import OUTPUT_URL, World, a_job, a_photo, picture_bytes

KEY = "shoes/red/default.webp"
ASIDE = "_superseded/" + KEY
DONE = answers.Completed(answers.Output(url=OUTPUT_URL), 13.06, None)
IMAGE = {name: picture_bytes(size=(24, 16 + number)) for number, name in enumerate("ABC")}


def photo(content: str, moment: int) -> Photo:
    """A photo with that content (a letter), uploaded as the so-manieth."""
    return a_photo(sha256=content * 64, etag=content * 32, sequencer=f"00{moment:04}")


def uploads(world: World, content: str, moment: int) -> Job:
    world.segmind.submits = [answers.Accepted(f"request-{content}{moment}")]
    return world.uploads(photo(content, moment))


def finishes(world: World, job: Job, content: str) -> Job:
    world.segmind.results = [DONE]
    world.downloader.files[:] = [IMAGE[content]]
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    return ended


def current(world: World) -> bytes:
    return world.images_made[KEY][-1]


def test_a_late_older_image_is_never_the_current_one_and_is_kept(world: World) -> None:
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    finishes(world, b, "B")
    late = finishes(world, a, "A")
    assert late.state is JobState.SUPERSEDED
    assert late.image is not None
    assert late.image.key == ASIDE
    assert world.images_made == {KEY: [IMAGE["B"]], ASIDE: [IMAGE["A"]]}
    assert world.bus.told == ["Scene Generated", "Photo Completed", "Scene Superseded"]


def test_images_in_order_follow_each_other(world: World) -> None:
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    assert finishes(world, a, "A").state is JobState.COMPLETED
    assert finishes(world, b, "B").state is JobState.COMPLETED
    assert world.images_made == {KEY: [IMAGE["A"], IMAGE["B"]]}


def test_a_then_b_then_a_again_ends_with_the_image_of_a_and_without_a_request(world: World) -> None:
    first = finishes(world, uploads(world, "A", 1), "A")
    finishes(world, uploads(world, "B", 2), "B")
    again = uploads(world, "A", 3)
    assert len(world.segmind.posted) == 2
    assert world.images_made[KEY] == [IMAGE["A"], IMAGE["B"], IMAGE["A"]]
    assert (again.job_id, again.state) == (first.job_id, JobState.COMPLETED)
    assert again.image is not None
    assert again.image.version_id == "version-3"
    assert world.bus.told == ["Scene Generated", "Photo Completed"] * 3
    assert len(world.bus.ids) == 6


def test_a_again_comes_back_from_where_its_late_image_was_kept(world: World) -> None:
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    finishes(world, b, "B")
    finishes(world, a, "A")
    again = uploads(world, "A", 3)
    assert again.state is JobState.COMPLETED
    assert current(world) == IMAGE["A"]
    assert len(world.segmind.posted) == 2


def test_a_again_while_a_is_in_flight_wins_over_b(world: World) -> None:
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    uploads(world, "A", 3)
    assert finishes(world, b, "B").state is JobState.COMPLETED
    assert finishes(world, a, "A").state is JobState.COMPLETED
    assert current(world) == IMAGE["A"]
    assert len(world.segmind.posted) == 2


def test_a_again_whose_ending_was_not_told_yet_wins_over_b(world: World) -> None:
    """Its message finds an event that is owed, and has to do more than tell it."""
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        finishes(world, a, "A")
    finishes(world, b, "B")
    again = uploads(world, "A", 3)
    assert again.state is JobState.COMPLETED
    assert current(world) == IMAGE["A"]
    assert world.bus.told == [
        *("Scene Generated", "Photo Completed"),
        *("Scene Generated", "Scene Generated", "Photo Completed"),
    ]
    assert len(world.bus.ids) == 5


def test_a_again_takes_its_place_though_a_still_newer_photo_comes_to_nothing(world: World) -> None:
    """A comes again and its worker dies; B is uploaded and fails; A's message comes once more."""
    a = finishes(world, uploads(world, "A", 1), "A")
    finishes(world, uploads(world, "C", 2), "C")
    world.table.plan(photo("A", 3), [a])
    b = uploads(world, "B", 4)
    world.segmind.results = [answers.Failed("blocked", None)]
    world.finalizer.finalize(b.job_id, b.attempt)
    assert uploads(world, "A", 3).state is JobState.COMPLETED
    assert world.images_made[KEY] == [IMAGE["A"], IMAGE["C"], IMAGE["A"]]


def test_an_older_photo_told_of_again_does_not_replace_an_image_that_someone_deleted(world: World) -> None:
    finishes(world, uploads(world, "A", 1), "A")
    finishes(world, uploads(world, "B", 2), "B")
    world.output_bucket.versions.clear()
    uploads(world, "A", 1)
    assert not world.images_made


def test_a_again_that_was_never_sent_is_sent(world: World) -> None:
    """A is planned and its worker dies; B comes; A's message is too late; then A comes again."""
    planned = uploads(world, "A", 1)
    world.table.keep(planned.model_copy(update={"state": JobState.PLANNED, "attempt": 0, "request_id": None}))
    uploads(world, "B", 2)
    assert world.submitter.job(planned.job_id).state is JobState.SUPERSEDED
    world.segmind.posted.clear()
    again = uploads(world, "A", 3)
    assert again.state is JobState.SUBMITTED
    assert len(world.segmind.posted) == 1
    assert world.segmind.posted[0].seed == planned.seed


def test_the_same_upload_told_twice_changes_nothing(world: World) -> None:
    finishes(world, uploads(world, "A", 1), "A")
    for _ in range(2):
        uploads(world, "A", 1)
    assert world.images_made == {KEY: [IMAGE["A"]]}
    assert set(world.bus.told) == {"Scene Generated", "Photo Completed"}
    assert len(world.bus.ids) == 2
    assert len(world.segmind.posted) == 1


def test_the_same_bytes_again_cost_nothing_and_say_so(world: World) -> None:
    first = finishes(world, uploads(world, "A", 1), "A")
    again = uploads(world, "A", 2)
    assert again.state is JobState.COMPLETED
    assert again.photo.sequencer == "000002"
    assert len(world.segmind.posted) == 1
    assert world.bus.told == ["Scene Generated", "Photo Completed"] * 2
    assert len(world.bus.ids) == 4
    assert current(world) == IMAGE["A"]
    assert first.job_id == again.job_id


def test_an_image_that_someone_deleted_for_good_is_not_paid_for_again(world: World) -> None:
    finishes(world, uploads(world, "A", 1), "A")
    world.output_bucket.versions.clear()
    assert uploads(world, "A", 2).state is JobState.COMPLETED
    assert not world.images_made
    assert len(world.segmind.posted) == 1


def test_a_photo_that_comes_again_between_two_lines_is_not_superseded(world: World) -> None:
    """B's image is current, A's is being published; A is uploaded again just then."""
    a, b = uploads(world, "A", 1), uploads(world, "B", 2)
    finishes(world, b, "B")
    world.output_bucket.in_between = [lambda: uploads(world, "A", 3)]
    with pytest.raises(NotFinishedError):
        finishes(world, a, "A")
    assert finishes(world, a, "A").state is JobState.COMPLETED
    assert current(world) == IMAGE["A"]


# -- compare and swap --


def publish(world: World, content: str, moment: int) -> object:
    job = a_job(job_id=content * 32, photo=photo(content, moment))
    return world.images.publish(job, io.BytesIO(IMAGE[content]), Picture("webp", 24, 16))


@pytest.mark.parametrize("stands_before", [False, True])
@pytest.mark.parametrize(("moment", "wins"), [(2, "B"), (4, "C")])
def test_someone_between_the_look_and_the_write_is_seen(
    world: World, stands_before: bool, moment: int, wins: str
) -> None:
    if stands_before:
        publish(world, "A", 1)
    # Before the write that expects nothing there, or before the one that replaces what was looked at.
    expected_in_vain = [lambda: None] if stands_before else []
    world.output_bucket.in_between = [*expected_in_vain, lambda: publish(world, "C", 3)]
    answer = publish(world, "B", moment)
    assert isinstance(answer, Newer) is (wins == "B")
    assert current(world) == IMAGE["C" if wins == "B" else "B"]


def test_a_crowd_is_given_way_to_and_tried_again_later(world: World) -> None:
    world.output_bucket.versions[KEY] = []
    for _ in range(20):
        world.output_bucket.in_between.append(lambda: world.output_bucket.versions[KEY].append(stranger()))
    with pytest.raises(ImageContendedError):
        publish(world, "B", 9)


def stranger() -> tuple[bytes, dict[str, str]]:
    """Something that is not ours; every time another."""
    return picture_bytes(), {}


def test_what_is_not_ours_is_replaced(world: World) -> None:
    world.output_bucket.versions[KEY] = [stranger()]
    assert not isinstance(publish(world, "A", 1), Newer)


def test_what_goes_wrong_at_s3_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "PutObject")

    monkeypatch.setattr(world.output_bucket, "put_object", refuse)
    with pytest.raises(ClientError):
        publish(world, "A", 1)


@settings(max_examples=200)
@given(st.permutations(range(6)), st.lists(st.sampled_from("ABC"), min_size=6, max_size=6))
def test_in_any_order_of_messages_and_answers_the_newest_wins(order: list[int], contents: list[str]) -> None:
    """Uploads happen in one order and are told of in another; what was submitted last finishes first."""
    world = World()
    jobs: dict[str, tuple[Job, str]] = {}
    for moment in order:
        job = uploads(world, contents[moment], moment)
        if job.state is JobState.SUBMITTED:
            jobs[job.job_id] = (job, contents[moment])
    for job, content in reversed(jobs.values()):
        finishes(world, job, content)
    assert current(world) == IMAGE[contents[-1]]
    requests = {request.seed for request in world.segmind.posted}
    assert len(world.segmind.posted) == len(requests), "the same work was paid for twice"


# -- an upload that is told of twice --


@pytest.mark.parametrize(
    "gone",
    [Unusable(a_photo(), Reason(code="PhotoMissing", message="deleted")), Overwritten()],
)
def test_an_upload_that_is_told_of_again_when_its_photo_is_gone_ends_once(
    world: World, gone: Unusable | Overwritten
) -> None:
    photo = world.puts(a_photo())
    submitted = world.submitter.upload(photo)
    world.photos.standing[photo.key] = gone
    assert world.submitter.upload(photo) == submitted
    assert len(world.table.jobs) == 1
    assert not world.bus.events


def test_an_upload_that_was_never_planned_ends_once_however_it_is_gone(world: World) -> None:
    photo = world.puts(a_photo())
    world.photos.standing[photo.key] = Unusable(photo, Reason(code="PhotoMissing", message="deleted"))
    rejected = world.submitter.upload(photo)
    world.photos.standing[photo.key] = Overwritten()
    assert world.submitter.upload(photo) == rejected
    assert world.bus.told == ["Photo Rejected"] * 2
    assert len(world.bus.ids) == 1
