"""What an upload becomes: the jobs that its scenes files ask for, each planned and paid for once."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.event_bus import EventNotTakenError
from packshot.events import MAX_DETAIL_BYTES, ScenesRejectedDetail, scenes_rejected_event
from packshot.job import Job, JobState
from packshot.photo import MAX_KEY_BYTES, Photo
from packshot.photo_store import Overwritten, ReadPhoto
from packshot.planning import NotAPhoto
from packshot.scene import Scene, StoredImage
from packshot.scenes_file import MAX_MISTAKES, Mistake, read_scenes_file
from packshot.scenes_store import NoImage
from tests.unit.fakes import World, a_photo

FILE = "shoes/scenes.json"
MANIFEST = "shoes/red/manifest.json"
VASE = StoredImage(key="shoes/props/vase.jpg", version_id="v3", etag="e3", sha256="7a" * 32)


def says(world: World, key: str = FILE, **said: Any) -> None:
    """A scenes file stands there."""
    world.scenes.files[key] = json.dumps(said)


def photo(moment: int = 1, content: str = "A", key: str = "shoes/red.jpg") -> Photo:
    """A photo with that content (a letter), uploaded as the so-manieth."""
    return a_photo(key, sha256=content * 64, etag=content * 32, sequencer=f"00{moment:04}")


def told_of(world: World, uploaded: Photo, **metadata: str) -> Job | NotAPhoto:
    return world.submitter.upload(world.puts(uploaded, **metadata))


def jobs_of(world: World, uploaded: Photo) -> list[Job]:
    """In order."""
    return world.table.get_all_now(world.table.uploads[uploaded.key, uploaded.sequencer])


def rejected(world: World, outcome: Job | NotAPhoto, code: str = "InvalidScene") -> str:
    """What every upload has that nobody can act on: a record, an event, no cost; the words of its reason."""
    assert isinstance(outcome, Job)
    assert outcome.state is JobState.REJECTED
    assert outcome.error is not None
    assert outcome.error.code == code
    assert world.table.only_job == outcome
    assert world.bus.told == ["Photo Rejected"]
    assert world.bus.events[0][1]["reason"] == outcome.error.model_dump()
    assert not world.segmind.posted
    assert not world.queue.sent
    return outcome.error.message


# -- scenes become jobs --


def test_each_scene_is_a_job_in_order_and_one_message_pays_for_one_of_them(world: World) -> None:
    says(world, scenes={"studio": {"prompt": "in a studio"}, "beach": {"quality": 80}})
    first = told_of(world, photo())
    studio, beach = jobs_of(world, photo())
    assert (studio.scene, beach.scene) == ("studio", "beach")
    assert first == studio
    assert (studio.state, beach.state) == (JobState.SUBMITTED, JobState.PLANNED)
    assert world.queue.sent == [beach.job_id]
    assert [request.prompt for request in world.segmind.posted] == ["in a studio"]
    assert beach.parameters == Scene(prompt="in a bright living room", quality=80)
    assert {studio.image_key, beach.image_key} == {"shoes/red/studio.webp", "shoes/red/beach.webp"}
    assert {job.manifest_key for job in (studio, beach)} == {MANIFEST}
    world.submitter.job(beach.job_id)
    assert len(world.segmind.posted) == 2


def test_without_any_file_there_is_one_job_from_the_stack(world: World) -> None:
    job = told_of(world, photo())
    assert isinstance(job, Job)
    assert (job.scene, job.parameters) == ("default", Scene(prompt="in a bright living room"))
    assert not world.queue.sent


def test_variations_are_jobs_whose_seeds_follow_each_other(world: World) -> None:
    says(world, scenes={"beach": {"variations": 3, "seed": 7}})
    told_of(world, photo())
    found = [(job.scene, job.seed) for job in jobs_of(world, photo())]
    assert found == [("beach-1", 7), ("beach-2", 8), ("beach-3", 9)]


def test_a_photos_own_file_and_its_metadata_have_the_last_word(world: World) -> None:
    says(world, "scenes.json", variables={"place": "Sylt"}, defaults={"prompt": "in {place}", "quality": 70})
    says(world, FILE, inherit=True, scenes={"above": {}})
    says(world, "shoes/red.jpg.scenes.json", inherit=True, scenes={"own": {"quality": 60}})
    told_of(world, photo(), packshot_var_place="Rom", packshot_aspect_ratio="1:1")
    above, own = jobs_of(world, photo())
    assert (above.scene, own.scene) == ("above", "own")
    assert above.parameters == Scene(prompt="in Rom", quality=70, aspect_ratio="1:1")
    assert own.parameters == Scene(prompt="in Rom", quality=60, aspect_ratio="1:1")


def test_no_file_is_asked_for_beyond_one_that_stands_alone(world: World) -> None:
    world.scenes.files["scenes.json"] = "{ broken"
    says(world, scenes={"beach": {}})
    assert isinstance(told_of(world, photo()), Job)
    assert [job.scene for job in jobs_of(world, photo())] == ["beach"]


def test_the_sku_is_known_to_prompts_paths_and_records(world: World) -> None:
    world.planner = replace(
        world.planner, sku_pattern=re.compile(r"(\d{4})-"), path_template="{sku}/{stem}/{scene}.{ext}"
    )
    world.submitter = replace(world.submitter, planner=world.planner)
    says(world, defaults={"prompt": "number {sku} of {folder}: {stem}"})
    job = told_of(world, photo(key="shoes/4711-red.jpg"))
    assert isinstance(job, Job)
    assert job.photo.sku == "4711"
    assert job.parameters is not None
    assert job.parameters.prompt == "number 4711 of shoes: 4711-red"
    assert job.image_key == "4711/4711-red/default.webp"


def test_a_photo_without_the_sku_that_its_path_needs_is_rejected(world: World) -> None:
    planner = replace(world.planner, path_template="{sku}/{stem}/{scene}.{ext}")
    world.submitter = replace(world.submitter, planner=planner)
    assert "{sku}" in rejected(world, told_of(world, photo()), "NoSku")


# -- images that go along --


def test_an_image_of_the_bucket_goes_along_as_it_was_when_it_was_planned(world: World) -> None:
    world.scenes.images[VASE.key] = VASE
    world.photos.standing[VASE.key] = ReadPhoto(a_photo(VASE.key), {})
    says(world, scenes={"beach": {"image_2": "props/vase.jpg", "image_3": "https://props.example/a.png"}})
    job = told_of(world, photo())
    assert isinstance(job, Job)
    assert job.parameters is not None
    assert job.parameters.stored_images == {"image_2": VASE}
    (posted,) = world.segmind.posted
    assert posted.image_2 == f"https://photos.example/{VASE.key}?{job.marker}"
    assert posted.image_3 == "https://props.example/a.png"


def test_an_image_with_other_bytes_is_other_work_and_one_that_was_copied_is_not(world: World) -> None:
    world.photos.standing[VASE.key] = ReadPhoto(a_photo(VASE.key), {})
    says(world, scenes={"beach": {"image_2": "props/vase.jpg"}})
    copied = {"version_id": "v4", "etag": "e4"}
    job_ids = []
    for moment, changes in enumerate([{}, copied, {**copied, "sha256": "7b" * 32}], start=1):
        world.scenes.images[VASE.key] = VASE.model_copy(update=changes)
        told_of(world, photo(moment))
        job_ids += [job.job_id for job in jobs_of(world, photo(moment))]
    assert job_ids[0] == job_ids[1] != job_ids[2]


@pytest.mark.parametrize("why", [None, "the content is text", "the object is in an archive class"])
def test_an_image_that_cannot_go_along_rejects_the_photo_and_says_where_it_is_named(
    world: World, why: str | None
) -> None:
    if why:
        world.scenes.images[VASE.key] = NoImage(why)
    says(world, scenes={"beach": {}, "studio": {"image_3": "props/vase.jpg"}})
    message = rejected(world, told_of(world, photo()))
    assert message.startswith(f"{FILE}: $.scenes.studio.image_3: found ")
    assert VASE.key in message
    assert (why or "there is no such object") in message


def test_an_image_that_changed_since_it_was_planned_is_not_sent(world: World) -> None:
    world.scenes.images[VASE.key] = VASE
    world.photos.standing[VASE.key] = Overwritten()
    says(world, scenes={"beach": {"image_2": "props/vase.jpg"}})
    job = told_of(world, photo())
    assert isinstance(job, Job)
    assert (job.state, job.error and job.error.code) == (JobState.FAILED, "ReferenceChanged")
    assert not world.segmind.posted


# -- no photo, or nothing that anybody could act on --


def test_a_photo_that_its_folder_ignores_leaves_no_trace_but_a_word(world: World) -> None:
    says(world, ignore=["*-backup.jpg", "red.*"])
    assert told_of(world, photo()) == NotAPhoto(f"{FILE} ignores it: $.ignore[1]")
    assert not world.table.rows
    assert not world.bus.events


def test_too_many_jobs_are_rejected_before_any_is_paid_for(world: World) -> None:
    says(world, scenes={f"s{number}": {"variations": 7} for number in range(3)})
    message = rejected(world, told_of(world, photo()))
    assert message.startswith(f"{FILE}: $.scenes: found 21 jobs; allowed: at most 20")


def test_as_many_jobs_as_allowed_are_planned(world: World) -> None:
    says(world, scenes={f"s{number}": {"variations": 10} for number in range(2)})
    told_of(world, photo())
    assert len(jobs_of(world, photo())) == 20
    assert len(world.queue.sent) == 19


@pytest.mark.parametrize("broken", ["shoes/red.jpg.scenes.json", FILE, "scenes.json"])
def test_a_broken_file_rejects_the_photos_that_it_governs(world: World, broken: str) -> None:
    """Each file below it adds to what is above."""
    for key in ("shoes/red.jpg.scenes.json", FILE):
        says(world, key, inherit=True, scenes={"beach": {}})
    world.scenes.files[broken] = '{"scenes": {"beach": {"qualty": 80}}}'
    message = rejected(world, told_of(world, photo()))
    assert message.startswith(f"{broken}: $.scenes.beach.qualty: ")
    assert "quality" in message


def test_a_file_that_was_mended_lets_a_rejected_photo_in_when_it_is_sent_again(world: World) -> None:
    world.scenes.files[FILE] = "{"
    ended = told_of(world, photo())
    assert isinstance(ended, Job)
    says(world, scenes={"beach": {}})
    step = world.redriver.look(ended, pay_again=False)
    world.redriver.redrive(ended.job_id, step, pay_again=False)
    (again,) = world.queue.uploads
    job = world.submitter.upload(again)
    assert isinstance(job, Job)
    assert (job.state, job.scene) == (JobState.SUBMITTED, "beach")


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-7?q?+2AA-?=",
        "=?unicode_escape?q?=5Cud800?=",
        "=?rot13?q?a?=",
        "%ff",
        "=?utf-16?b?2A==?=",
    ],
)
@pytest.mark.parametrize("name", ["packshot_var_place", "packshot_prompt"])
def test_a_text_that_is_none_rejects_its_photo_by_its_name(world: World, name: str, value: str) -> None:
    """Half a character among them, which could be put into no request and no row."""
    says(world, defaults={"prompt": "in {place}"}, variables={"place": "Rom"})
    message = rejected(world, told_of(world, photo(), **{name: value}))
    assert message.startswith(f"the photo's metadata: {name.replace('_', '-')}: ")


def test_an_image_that_would_take_the_place_of_the_manifest_is_rejected(world: World) -> None:
    planner = replace(world.planner, path_template="{folder}/{stem}/{scene}.json")
    world.submitter = replace(world.submitter, planner=planner)
    says(world, scenes={"beach": {}, "manifest": {}})
    assert MANIFEST in rejected(world, told_of(world, photo()), "PathTaken")


# -- scenes files --


def test_a_scenes_file_that_is_right_is_passed_over_in_silence(world: World) -> None:
    says(world, scenes={"beach": {}})
    assert world.submitter.upload(a_photo(FILE)) == NotAPhoto("it is a scenes file")
    assert not world.bus.events
    assert not world.table.rows


def test_a_scenes_file_that_is_gone_already_is_passed_over(world: World) -> None:
    assert world.submitter.upload(a_photo(FILE)) == NotAPhoto("it is a scenes file")
    assert not world.bus.events


@pytest.mark.parametrize("key", [FILE, "scenes.json", "shoes/red.jpg.scenes.json"])
def test_a_broken_scenes_file_is_told_of_before_any_photo_needs_it(world: World, key: str) -> None:
    world.scenes.files[key] = '{"scenes": {"beach": {"qualty": 80, "seed": -2}}}'
    found = world.submitter.upload(a_photo(key, version_id="v1"))
    assert isinstance(found, NotAPhoto)
    assert "$.scenes.beach.qualty" in found.why
    ((detail_type, detail),) = world.bus.events
    assert detail_type == "Scenes Rejected"
    told = ScenesRejectedDetail.model_validate(detail)
    assert told.file.model_dump() == {
        "bucket": "photos",
        "key": key,
        "version_id": "v1",
        "etag": "9b2cf535f27731c974343645a3985328",
    }
    assert told.reason.code == "InvalidScene"
    assert {mistake.path for mistake in told.mistakes} == {"$.scenes.beach.qualty", "$.scenes.beach.seed"}
    assert not world.table.rows


def test_the_same_broken_file_has_the_same_id_and_another_upload_of_it_another(world: World) -> None:
    world.scenes.files[FILE] = "{"
    for moment in (1, 1, 2):
        world.submitter.upload(photo(moment, key=FILE))
    assert world.bus.told == ["Scenes Rejected"] * 3
    assert len(world.bus.ids) == 2


def test_a_broken_file_that_the_bus_did_not_hear_of_is_told_when_its_message_comes_again(
    world: World,
) -> None:
    world.scenes.files[FILE] = "{"
    world.bus.refusals = 1
    with pytest.raises(EventNotTakenError):
        world.submitter.upload(a_photo(FILE))
    world.submitter.upload(a_photo(FILE))
    assert world.bus.told == ["Scenes Rejected"]


characters = st.sampled_from(["x", '"', "\\", "ü", "靴", "\x01", "\x7f"])


@given(characters, st.integers(1, 40), st.sampled_from([1, 64, 3000]), st.integers(1, 900))
def test_what_is_wrong_with_any_file_is_told_in_10_kb(
    character: str, count: int, length: int, depth: int
) -> None:
    key = (character * (1000 // len(character.encode()))) + "/scenes.json"
    names = ", ".join(f"{json.dumps(character * length + str(number))}: 1" for number in range(count))
    nested = json.dumps(character * min(length, 64)) + ":"
    twice = ("{" + nested) * depth + '{"a": 1, "a": 2}' + "}" * depth
    for text in (f"{{{names}}}", f'{{"scenes": {{{names}}}}}', twice):
        mistakes = read_scenes_file(key, text.encode())
        assert isinstance(mistakes, list)
        told = scenes_rejected_event(a_photo(key, version_id="v" * 1024), mistakes).detail
        assert len(told.encode()) <= MAX_DETAIL_BYTES
        read = ScenesRejectedDetail.model_validate_json(told)
        assert read.mistakes[0].path == mistakes[0].path


def test_as_many_mistakes_are_told_as_there_is_room_for() -> None:
    mistakes = [Mistake(FILE, f"$.scenes.s{number}", "7", "an object") for number in range(MAX_MISTAKES)]
    told = ScenesRejectedDetail.model_validate_json(scenes_rejected_event(a_photo(FILE), mistakes).detail)
    assert [mistake.path for mistake in told.mistakes] == [mistake.path for mistake in mistakes]


# -- the same again --


def test_an_upload_that_is_told_of_again_is_not_planned_anew_whatever_its_scenes_are_now(
    world: World,
) -> None:
    says(world, scenes={"beach": {}, "studio": {}})
    told_of(world, photo())
    before = jobs_of(world, photo())
    for job_id in world.queue.sent:
        world.submitter.job(job_id)
    posted = len(world.segmind.posted)
    said: list[dict[str, Any]] = [{"beach": {"prompt": "elsewhere"}}, {"loft": {}}, {}]
    for scenes in said:
        says(world, scenes=scenes)
        world.submitter.upload(photo())
    world.scenes.files[FILE] = "{"
    world.submitter.upload(photo())
    for job_id in world.queue.sent:
        world.submitter.job(job_id)
    assert [job.job_id for job in jobs_of(world, photo())] == [job.job_id for job in before]
    assert len(world.table.rows) == 2
    assert len(world.segmind.posted) == posted == 2
    assert not world.bus.events


def test_two_photos_of_which_no_order_is_known_are_both_planned(world: World) -> None:
    """An event without a sequencer: it is no event that was told before."""
    for content in "AB":
        told_of(world, photo(content=content).model_copy(update={"sequencer": ""}))
    assert len(world.segmind.posted) == 2


def test_a_photo_that_comes_again_with_one_more_scene_pays_for_that_alone(world: World) -> None:
    says(world, scenes={"beach": {}})
    (beach,) = [told_of(world, photo(1))]
    says(world, scenes={"studio": {}, "beach": {}})
    told_of(world, photo(2))
    studio, again = jobs_of(world, photo(2))
    assert isinstance(beach, Job)
    assert again.job_id == beach.job_id
    assert world.queue.sent == [beach.job_id]
    world.submitter.job(beach.job_id)
    assert len(world.segmind.posted) == 2
    assert (studio.scene, studio.state) == ("studio", JobState.SUBMITTED)
    row = world.table.photo_rows["photos/shoes/red.jpg"]
    assert row.job_ids == (studio.job_id, again.job_id)
    assert row.open_jobs == {studio.job_id, again.job_id}


def test_a_scene_that_says_the_same_in_other_words_is_the_same_work(world: World) -> None:
    says(world, scenes={"beach": {"quality": 95, "seed": -1}})
    told_of(world, photo(1))
    says(world, variables={"light": "bright"}, scenes={"beach": {"prompt": "in a {light} living room"}})
    told_of(world, photo(2))
    assert len(world.table.rows) == 1
    assert len(world.segmind.posted) == 1


def test_a_path_that_another_photo_owns_rejects_all_scenes(world: World) -> None:
    says(world, scenes={"beach": {}, "studio": {}})
    world.table.owners["shoes/red/studio.webp"] = "photos/shoes/red.png"
    message = rejected(world, told_of(world, photo()), "PathTaken")
    assert message == "shoes/red/studio.webp already belongs to the photo photos/shoes/red.png"


def test_photos_that_share_only_a_manifest_cannot_both_have_it(world: World) -> None:
    says(world, scenes={"beach": {"image_format": "png"}})
    told_of(world, photo())
    says(world, scenes={"studio": {}})
    ended = told_of(world, photo(2, key="shoes/red.png"))
    assert isinstance(ended, Job)
    assert ended.error is not None
    assert ended.error.message == f"{MANIFEST} already belongs to the photo photos/shoes/red.jpg"


@pytest.mark.parametrize("name", ["beach", "b" * 64])
def test_a_key_that_leaves_no_room_for_the_longest_name_rejects_all_scenes(world: World, name: str) -> None:
    stem = "k" * ((MAX_KEY_BYTES - len("/beach.webp") - len("shoes/")) - 10)
    says(world, scenes={"beach": {}, name: {}})
    outcome = told_of(world, photo(key=f"shoes/{stem}.jpg"))
    if name == "beach":
        assert isinstance(outcome, Job)
        assert outcome.state is JobState.SUBMITTED
    else:
        assert name in rejected(world, outcome, "KeyTooLong")
