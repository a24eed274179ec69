"""Whatever the queue or metadata hold is read, or refused by a typed error, and fits where it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from packshot.events import event_of
from packshot.job import JobState, Reason
from packshot.messages import UploadMessage, parse_message
from packshot.scene import Scene
from packshot.scenes_file import PARAMETERS
from tests.unit.fakes import a_job, a_photo
from tests.unit.hostile import SIGNED, any_character, damaged_json, held, kept, odd_texts
from tests.unit.staged import RefusedError, scene_with_overrides

EVENTS = Path(__file__).parents[2] / "events"


def payload(name: str) -> Any:
    return json.loads((EVENTS / name).read_text(encoding="utf-8"))


# -- what the queue carries --

messages = [payload("object-created.json"), payload("object-created-versioned.json"), {"job_id": "0" * 32}]


@settings(max_examples=300)
@given(damaged_json(messages))
def test_a_damaged_message_is_refused_or_fits_into_a_row_and_an_event(body: str) -> None:
    try:
        message = parse_message(body)
    except ValidationError:
        return
    if isinstance(message, UploadMessage):
        # Of all that is known of a photo, nothing else grows before it is rejected for its key.
        kept(a_job(JobState.REJECTED, photo=message.photo(), parameters=None, image_key=None))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("etag", "x" * 129),
        ("etag", "tag\n"),
        ("version-id", "v" * 1025),
        ("version-id", "\x01"),
        ("sequencer", "0" * 65),
        ("sequencer", "later"),
        ("size", 2**63),
        ("key", "靴" * 342),
    ],
)
def test_a_field_that_no_row_or_image_could_hold_is_refused(field: str, value: object) -> None:
    event = payload("object-created.json")
    event["detail"]["object"][field] = value
    with pytest.raises(ValidationError):
        parse_message(json.dumps(event))


def test_the_largest_upload_makes_an_event_of_10_kb_at_most() -> None:
    event = payload("object-created.json")
    event["detail"]["bucket"]["name"] = '"' * 255
    event["detail"]["object"] |= {"key": "\x01" * 1024, "etag": '"' * 128, "version-id": '"' * 1024}
    message = parse_message(json.dumps(event))
    assert isinstance(message, UploadMessage)
    kept(a_job(JobState.REJECTED, photo=message.photo(), parameters=None, image_key=None))


# -- what a photo's metadata say --

names = st.sampled_from([f"packshot-{field.replace('_', '-')}" for field in PARAMETERS]) | any_character.map(
    lambda text: f"packshot-{text}"
)
words_of_mail = st.builds("=?{}?{}?{}?=".format, odd_texts, st.sampled_from("bBqQ"), odd_texts)
ROOT = Scene(prompt="in a bright living room")


@given(st.dictionaries(names, odd_texts | words_of_mail | odd_texts.map(lambda text: f"%{text}"), max_size=3))
@example({"packshot-\ud800": "x"})
@example({"packshot-" + "x" * 5000: "x"})
def test_any_metadata_make_a_scene_or_a_refusal_that_a_row_can_hold(metadata: dict[str, str]) -> None:
    try:
        scene = scene_with_overrides(ROOT, metadata)
    except RefusedError as refusal:
        held(str(refusal))
        return
    kept(a_job(parameters=scene))
    json.dumps(scene.request(SIGNED, 7).body(), allow_nan=False).encode()


def test_an_event_that_no_cut_makes_small_enough_is_told_all_the_same() -> None:
    """A row may be older than the bounds on messages."""
    reason = Reason(code="InvalidKey", message="the photo's key contains control characters")
    told = event_of(a_job(JobState.REJECTED, photo=a_photo(version_id="\x01" * 2000), error=reason))
    assert told is not None
    assert json.loads(told.detail)["reason"]["code"] == "InvalidKey"
