"""Each ending is in the photo's manifest, and the last one completes the photo: once, whatever crosses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from packshot import segmind_answers as answers
from packshot.announcing import MANIFEST_SWAPS, ManifestContendedError
from packshot.event_bus import EventNotTakenError
from packshot.events import MAX_DETAIL_BYTES, MAX_IMAGES, CompletionDetail, ManifestPlace, completion_event
from packshot.job import Image, Job, JobState, Reason
from packshot.job_table import OWED_DUE
from packshot.manifest import manifest_of
from packshot.photo import MAX_KEY_BYTES, Photo, comparable_sequencer
from packshot.photo_store import Unusable
from packshot.redriving import PostAgain
from packshot_cli.examples import delivered
from tests.unit.fakes import OUTPUT_URL, CrashError, Outside, Result, World, a_job, a_photo

PROJECT = Path(__file__).parents[2]
MANIFEST = "shoes/red/manifest.json"
DONE = answers.Completed(answers.Output(url=OUTPUT_URL), 13.06, None)
BLOCKED = answers.Failed("content policy violation", None)


@dataclass
class Crossed(Outside):
    """Somebody else does something just before one of the calls."""

    at: int = -1
    other: Callable[[], object] = lambda: None
    crossed: bool = False

    def call(self, effect: Callable[[], Result]) -> Result:
        if self.calls == self.at and not self.crossed:
            self.crossed = True
            self.other()
        return super().call(effect)


def photo(moment: int = 1, content: str = "A") -> Photo:
    """A photo with that content (a letter), uploaded as the so-manieth."""
    return a_photo(sha256=content * 64, etag=content * 32, sequencer=f"00{moment:04}")


def told_of(world: World, uploaded: Photo, *scenes: str) -> list[str]:
    """An upload is worked off, with all the messages that come of it; its jobs, in order."""
    world.scenes.files["shoes/scenes.json"] = json.dumps({"scenes": {name: {} for name in scenes}})
    world.submitter.upload(world.puts(uploaded))
    sent = list(world.queue.sent)
    world.queue.sent.clear()
    for job_id in sent:
        world.submitter.job(job_id)
    return world.table.uploads[uploaded.key, uploaded.sequencer]


def ends(world: World, job_id: str, outcome: answers.RequestOutcome = DONE) -> Job:
    world.segmind.results = [outcome]
    standing = world.table.get_all_now([job_id])[0]
    ended = world.finalizer.finalize(job_id, standing.attempt)
    assert ended is not None
    return ended


def completions(world: World) -> list[dict[str, Any]]:
    return [detail for detail_type, detail in world.bus.events if detail_type == "Photo Completed"]


def is_true(world: World) -> bool:
    """Whether the manifest says what the rows of the newest photo say."""
    row = world.table.photo_rows["photos/shoes/red.jpg"]
    jobs = world.table.get_all_now(row.job_ids)
    return world.manifest(MANIFEST).says_the_same(manifest_of(row.photo, jobs, 1))


def written(world: World) -> int:
    return len(world.output_bucket.versions.get(MANIFEST, []))


# -- an ending after the other --


def test_the_manifest_follows_each_ending_and_the_last_one_completes_the_photo(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    assert not written(world)
    assert not world.bus.events

    ends(world, beach)
    manifest = world.manifest(MANIFEST)
    assert (written(world), manifest.revision, manifest.photo.sha256) == (1, 1, "A" * 64)
    states = {name: scene.state for name, scene in manifest.scenes.items()}
    assert states == {"beach": JobState.COMPLETED, "studio": JobState.SUBMITTED}
    assert world.bus.told == ["Scene Generated"]

    ends(world, studio, BLOCKED)
    assert (written(world), world.manifest(MANIFEST).revision) == (2, 2)
    assert is_true(world)
    assert world.bus.told == ["Scene Generated", "Scene Failed", "Photo Completed"]


def test_a_completion_tells_of_all_images_and_failures_and_of_the_manifest(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    made = ends(world, beach)
    ends(world, studio, BLOCKED)
    assert made.image is not None
    (told,) = completions(world)
    CompletionDetail.model_validate(told)
    assert told["photo"] == {
        "bucket": "photos",
        "key": "shoes/red.jpg",
        "version_id": None,
        "etag": "A" * 32,
    }
    assert told["manifest"] == {"bucket": "images", "key": MANIFEST, "revision": 2}
    assert (told["images_count"], told["failures_count"]) == (1, 1)
    assert told["images"] == [
        {**made.image.model_dump(), "scene": "beach", "job_id": beach, "seed": made.seed}
    ]
    assert told["failures"] == [
        {
            "scene": "studio",
            "job_id": studio,
            "state": "FAILED",
            "reason": {"code": "GenerationFailed", "message": "content policy violation"},
        }
    ]


def test_the_scenes_are_told_in_their_order_whichever_ends_first(world: World) -> None:
    jobs = told_of(world, photo(), "c", "a", "b")
    for job_id in reversed(jobs):
        ends(world, job_id)
    assert list(world.manifest(MANIFEST).scenes) == ["c", "a", "b"]
    assert [image["scene"] for image in completions(world)[0]["images"]] == ["c", "a", "b"]


def test_what_was_told_before_is_told_again_but_not_written_again(world: World) -> None:
    (job_id,) = told_of(world, photo(), "beach")
    ends(world, job_id)
    for _ in range(2):
        world.submitter.job(job_id)
    assert written(world) == 1
    assert world.bus.told == ["Scene Generated", "Photo Completed"] * 3
    assert len(world.bus.ids) == 2


def test_a_photo_whose_scene_waits_is_not_complete(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    waiting = world.table.get_all_now([studio])[0]
    for state in set(JobState) - {
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.REJECTED,
        JobState.SUPERSEDED,
    }:
        world.table.keep(waiting.model_copy(update={"state": state}))
        world.announcer.tell(ends(world, beach))
        assert not completions(world)
        assert world.manifest(MANIFEST).scenes["studio"].state is state


def test_what_is_no_ending_is_told_without_a_manifest(world: World) -> None:
    world.segmind.submits = [answers.RateLimited("slow down", None)]
    told_of(world, photo(), "beach")
    assert world.bus.told[0] == "Scene Parked"
    assert not written(world)


def test_a_photo_that_was_never_sent_leaves_the_manifest_alone(world: World) -> None:
    (job_id,) = told_of(world, photo(), "beach")
    ends(world, job_id)
    broken = photo(2, "B")
    world.photos.standing[broken.key] = Unusable(broken, Reason(code="BrokenPicture", message="broken"))
    world.submitter.upload(broken)
    assert world.bus.told == ["Scene Generated", "Photo Completed", "Photo Rejected"]
    assert written(world) == 1


def test_a_job_of_a_time_before_manifests_has_none(world: World) -> None:
    job = world.table.keep(a_job(JobState.COMPLETED, manifest_key=None, owes_event=True))
    world.announcer.announce(job)
    assert world.bus.told == ["Scene Generated"]
    assert not world.output_bucket.versions


# -- two at once --


def ends_at_once(at: int, outcome: answers.RequestOutcome) -> bool:
    """Two scenes end, the other before that call of the one, if the one makes so many; whether it does."""
    outside = Crossed()
    world = World(outside)
    beach, studio = told_of(world, photo(), "beach", "studio")
    outside.at, outside.other = outside.calls + at, lambda: ends(world, studio, outcome)
    ends(world, beach)
    crossed = outside.crossed
    if not crossed:
        ends(world, studio, outcome)
    assert is_true(world)
    assert len({told["id"] for told in completions(world)}) == 1
    assert {told["images_count"] + told["failures_count"] for told in completions(world)} == {2}
    revisions = [json.loads(data)["revision"] for data, _ in world.output_bucket.versions[MANIFEST]]
    assert revisions == list(range(1, len(revisions) + 1))
    return crossed


@pytest.mark.parametrize("outcome", [DONE, BLOCKED])
def test_scenes_that_end_at_once_are_both_in_the_manifest_and_complete_their_photo_once(
    outcome: answers.RequestOutcome,
) -> None:
    assert len(list(takewhile(lambda at: ends_at_once(at, outcome), count()))) > 10


def test_a_manifest_that_others_keep_changing_is_told_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = told_of(world, photo(), "beach")
    tries = []
    put = world.output_bucket.put_object

    def lose(**asked: Any) -> dict[str, Any]:
        if asked["Key"] != MANIFEST:
            return put(**asked)
        tries.append(asked)
        raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(world.output_bucket, "put_object", lose)
        with pytest.raises(ManifestContendedError, match=MANIFEST):
            ends(world, job_id)
    assert len(tries) == MANIFEST_SWAPS
    assert world.table.only_job.owes_event
    assert not completions(world)
    world.clock.step(OWED_DUE)
    assert world.sweeps() == [job_id]
    assert not world.submitter.job(job_id).owes_event
    assert is_true(world)
    assert len(completions(world)) == 1


def test_a_manifest_that_someone_wrote_over_is_replaced(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    ends(world, beach)
    world.output_bucket.versions[MANIFEST].append((b"mine now", {}))
    ends(world, studio)
    assert is_true(world)
    assert world.manifest(MANIFEST).revision == 1


def test_a_manifest_that_someone_deleted_is_written_anew(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    ends(world, beach)
    del world.output_bucket.versions[MANIFEST]
    ends(world, studio)
    assert is_true(world)


# -- newer and older photos --


def is_overtaken(at: int) -> bool:
    """A newer photo is uploaded and ends before that call of the older one's ending, or else after it."""
    outside = Crossed()
    world = World(outside)
    (older,) = told_of(world, photo(1, "A"), "beach")

    def newer() -> None:
        (job_id,) = told_of(world, photo(2, "B"), "beach")
        ends(world, job_id)

    outside.at, outside.other = outside.calls + at, newer
    ends(world, older)
    crossed = outside.crossed
    if not crossed:
        newer()
    assert world.manifest(MANIFEST).photo.sha256 == "B" * 64
    assert is_true(world)
    assert len({told["id"] for told in completions(world) if told["photo"]["etag"] == "B" * 32}) == 1
    return crossed


def test_an_older_photo_never_touches_the_manifest_of_a_newer_one() -> None:
    assert len(list(takewhile(is_overtaken, count()))) > 10


def test_a_late_older_photo_is_not_complete(world: World) -> None:
    (older,) = told_of(world, photo(1, "A"), "beach")
    (newer,) = told_of(world, photo(2, "B"), "beach")
    ends(world, newer)
    assert ends(world, older).state is JobState.SUPERSEDED
    assert world.bus.told == ["Scene Generated", "Photo Completed", "Scene Superseded"]
    assert written(world) == 1


def test_a_scene_that_the_newest_upload_does_not_ask_for_is_not_in_its_manifest(world: World) -> None:
    """The same photo again, with a scene less: the other's image is made, and told of by itself."""
    _, studio = told_of(world, photo(1), "beach", "studio")
    (beach,) = told_of(world, photo(2), "beach")
    ends(world, beach)
    assert ends(world, studio).state is JobState.COMPLETED
    assert list(world.manifest(MANIFEST).scenes) == ["beach"]
    assert world.bus.told == ["Scene Generated", "Photo Completed", "Scene Generated"]


# -- the same again --


def test_a_failed_scene_that_is_redriven_completes_the_photo_once_more(world: World) -> None:
    beach, studio = told_of(world, photo(), "beach", "studio")
    ends(world, beach)
    ends(world, studio, BLOCKED)
    agreed = world.redriver.look(world.table.get_all_now([studio])[0], pay_again=False)
    assert world.redriver.redrive(studio, agreed, pay_again=False) == PostAgain(charged=False)
    world.submitter.job(studio)
    assert len(completions(world)) == 1
    ends(world, studio)
    first, second = completions(world)
    assert first["id"] != second["id"]
    assert (first["images_count"], first["failures_count"]) == (1, 1)
    assert (second["images_count"], second["failures_count"]) == (2, 0)
    assert is_true(world)


def test_scenes_that_are_redriven_together_complete_the_photo_together(world: World) -> None:
    jobs = told_of(world, photo(), "beach", "studio")
    for job_id in jobs:
        ends(world, job_id, BLOCKED)
    for job_id in jobs:
        agreed = world.redriver.look(world.table.get_all_now([job_id])[0], pay_again=False)
        world.redriver.redrive(job_id, agreed, pay_again=False)
        world.submitter.job(job_id)
    beach, studio = jobs
    ends(world, beach)
    assert len(completions(world)) == 1
    ends(world, studio)
    assert [told["images_count"] for told in completions(world)] == [0, 2]


def test_a_scene_that_fails_once_more_is_another_fact(world: World) -> None:
    (beach,) = told_of(world, photo(), "beach")
    ends(world, beach, BLOCKED)
    agreed = world.redriver.look(world.table.only_job, pay_again=False)
    world.redriver.redrive(beach, agreed, pay_again=False)
    world.submitter.job(beach)
    ends(world, beach, BLOCKED)
    assert len({told["id"] for told in completions(world)}) == 2


@pytest.mark.parametrize("outcome", [DONE, BLOCKED])
def test_the_same_photo_uploaded_again_is_complete_once_more_with_its_last_scene(
    world: World, outcome: answers.RequestOutcome
) -> None:
    beach, studio = told_of(world, photo(1), "beach", "studio")
    ends(world, beach)
    ends(world, studio, outcome)
    posted = len(world.segmind.posted)
    world.bus.events.clear()

    assert told_of(world, photo(2), "beach", "studio") == [beach, studio]
    (told,) = completions(world)
    assert world.bus.told[-1] == "Photo Completed"
    assert told["images_count"] == (2 if outcome is DONE else 1)
    assert len(world.segmind.posted) == posted
    assert is_true(world)


def test_an_event_that_was_owed_when_the_photo_came_again_completes_nothing_too_early(world: World) -> None:
    """It is told by whoever makes the image the current one, and by nobody before."""
    beach, studio = told_of(world, photo(1), "beach", "studio")
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        ends(world, beach)
    ends(world, studio)
    assert not completions(world)
    told_of(world, photo(2), "beach", "studio")
    (told,) = completions(world)
    versions = {image["version_id"] for image in told["images"]}
    assert versions == {"version-2"}


# -- deaths --


def until_it_rests(world: World, work: Callable[[], object]) -> None:
    """Work is done again until nobody dies of it; then comes whatever is due."""
    for _ in range(9):
        with suppress(CrashError):
            work()
            break
    for _ in range(5):
        world.clock.step(OWED_DUE * 10)
        with suppress(CrashError):
            for job_id in world.sweeps():
                world.submitter.job(job_id)
    assert not [job for job in world.table.jobs if job.owes_event]


@dataclass
class Deadly(Outside):
    """At one of its calls the process dies, before or after the effect."""

    after: bool = False

    def dies_at(self, at: int) -> None:
        deadly = frozenset({self.calls + at})
        self.dies_before, self.dies_after = (frozenset(), deadly) if self.after else (deadly, frozenset())

    @property
    def died(self) -> bool:
        return self.calls > max(self.dies_before | self.dies_after)


def the_last_ending_dies(at: int, *, after: bool, sweeps: bool) -> bool:
    """At that call; the workflow tries again, or the sweep takes over what has ended. Whether it died."""
    outside = Deadly(after=after)
    world = World(outside)
    beach, studio = told_of(world, photo(), "beach", "studio")
    ends(world, beach)
    outside.dies_at(at)
    with suppress(CrashError):
        ends(world, studio)
    died = outside.died
    has_ended = world.table.get_all_now([studio])[0].state is not JobState.SUBMITTED
    until_it_rests(world, (lambda: None) if sweeps and has_ended else (lambda: ends(world, studio)))
    assert is_true(world)
    assert written(world) == 2
    assert len({told["id"] for told in completions(world)}) == 1
    assert completions(world)[0]["images_count"] == 2
    assert len(world.bus.ids) == 3
    return died


@pytest.mark.parametrize("sweeps", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_whoever_dies_between_two_lines_leaves_nothing_untold(sweeps: bool, after: bool) -> None:
    calls = takewhile(lambda at: the_last_ending_dies(at, after=after, sweeps=sweeps), count())
    assert len(list(calls)) > 10


def an_upload_that_comes_again_dies(at: int, *, after: bool) -> bool:
    """At that call of it or of what follows. Whether it died."""
    outside = Deadly(after=after)
    world = World(outside)
    beach, studio = told_of(world, photo(1), "beach", "studio")
    ends(world, beach)
    ends(world, studio, BLOCKED)
    world.bus.events.clear()
    outside.dies_at(at)
    until_it_rests(world, lambda: told_of(world, photo(2), "beach", "studio"))
    assert is_true(world)
    assert len({told["id"] for told in completions(world)}) == 1
    assert len(world.segmind.posted) == 2
    return outside.died


@pytest.mark.parametrize("after", [False, True])
def test_a_photo_that_comes_again_is_complete_once_wherever_someone_dies(after: bool) -> None:
    assert len(list(takewhile(lambda at: an_upload_that_comes_again_dies(at, after=after), count()))) > 20


# -- bounded --


def an_image(key: str) -> Image:
    return Image(
        bucket="b" * 63,
        key=key,
        version_id="v" * 32,
        bytes=2**40,
        content_type="image/webp",
        width=4096,
        height=4096,
        sha256="7a" * 32,
    )


def made(count: int, key: str = "shoes/red/beach.webp") -> list[Job]:
    return [
        a_job(JobState.COMPLETED, job_id=f"{number:032x}", scene=f"made-{number}", image=an_image(key))
        for number in range(count)
    ]


def not_made(count: int, message: str = "no") -> list[Job]:
    reason = Reason(code="GenerationFailed", message=message)
    return [
        a_job(JobState.FAILED, job_id=f"f{number:031x}", scene=f"failed-{number}", error=reason)
        for number in range(count)
    ]


def completed(
    jobs: list[Job], told_photo: Photo | None = None, manifest_key: str = MANIFEST, revision: int = 1
) -> CompletionDetail:
    place = ManifestPlace(bucket="images", key=manifest_key, revision=revision)
    event = completion_event(told_photo or photo(), jobs, place)
    assert len(event.detail.encode()) <= MAX_DETAIL_BYTES
    for folder in ("events/schemas", "tests/contract/released"):
        schema = json.loads((PROJECT / folder / "photo-completed.schema.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(delivered(event))
    return CompletionDetail.model_validate_json(event.detail)


@pytest.mark.parametrize("count", [0, 1, MAX_IMAGES, MAX_IMAGES + 1, 40])
def test_a_completion_names_a_bounded_number_of_images_and_counts_all(count: int) -> None:
    told = completed(made(count), manifest_key="m")
    assert told.images_count == count
    assert len(told.images) <= min(count, MAX_IMAGES)
    assert [image.scene for image in told.images] == [f"made-{n}" for n in range(len(told.images))]


def test_as_many_images_are_named_as_there_is_room_for() -> None:
    assert len(completed(made(20)).images) > 15
    assert len(completed(not_made(40)).failures) == MAX_IMAGES


def test_images_and_failures_give_way_to_each_other() -> None:
    told = completed([*made(20), *not_made(20, "no " * 900)])
    assert (told.images_count, told.failures_count) == (20, 20)
    assert len(told.images) > 5
    assert len(told.failures) > 5


@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(["x", '"', "\\", "ü", "靴", "\x7f"]),
    st.integers(1, MAX_KEY_BYTES),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: text * 50),
)
def test_a_completion_is_small_whatever_it_tells_of(
    images: int, failures: int, character: str, key_bytes: int, message: str
) -> None:
    key = character * (key_bytes // len(character.encode()))
    jobs = [*made(images, key), *not_made(failures, message)]
    told_photo = photo().model_copy(update={"key": key, "version_id": "v" * 1024, "sku": key[:100]})
    told = completed(jobs, told_photo, key)
    assert (told.images_count, told.failures_count) == (images, failures)


def test_the_same_completion_has_the_same_id_whatever_is_known_besides() -> None:
    jobs = [*made(2), *not_made(1)]
    again = [job.model_copy(update={"cost_usd": 1.0, "updated_at": job.due_at}) for job in jobs]
    assert completed(jobs).id == completed(again, manifest_key="elsewhere").id
    others = [
        completed(jobs, photo(2)),
        completed(jobs[1:]),
        completed([*jobs[:2], jobs[2].model_copy(update={"attempt": 2})]),
        completed(
            [
                jobs[0].model_copy(update={"image": an_image("x").model_copy(update={"version_id": "w"})}),
                *jobs[1:],
            ]
        ),
    ]
    assert len({told.id for told in [completed(jobs), *others]}) == 5


def sequenced(sequencer: str) -> Photo:
    return photo().model_copy(update={"sequencer": sequencer})


sequencers = st.text("0123456789ABCDEFabcdef", min_size=1, max_size=18)
numbers = st.integers(1, 999_999)


@given(st.tuples(sequencers, numbers, numbers), st.tuples(sequencers, numbers, numbers))
def test_completions_order_by_upload_by_attempts_and_by_the_manifests_revision(
    one: tuple[str, int, int], other: tuple[str, int, int]
) -> None:
    orders, truths = [], []
    for sequencer, attempt, revision in (one, other):
        jobs = [job.model_copy(update={"attempt": attempt}) for job in made(1)]
        orders.append(completed(jobs, sequenced(sequencer), revision=revision).order)
        truths.append((comparable_sequencer(sequencer), attempt, revision))
    assert (orders[0] < orders[1]) is (truths[0] < truths[1])
    assert (orders[0] == orders[1]) is (truths[0] == truths[1])
