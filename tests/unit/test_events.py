"""The events of the bus: one for every fact that someone may wait for, in a shape that is published."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from packshot.events import DETAIL_TYPES, Event, event_of, pause_event
from packshot.gate import Notice
from packshot.job import ENDINGS, Image, Job, JobState, ParkedCause, Reason
from packshot.model import MODEL
from packshot.photo import MAX_KEY_BYTES
from packshot_cli.examples import delivered
from packshot_cli.schemas import slug
from tests.unit.fakes import START, a_job, a_photo

PROJECT = Path(__file__).parents[2]
# Today's, and those that the consumers of the last release know.
FOLDERS = (PROJECT / "events/schemas", PROJECT / "tests/contract/released")


def event(job: Job) -> Event:
    event = event_of(job)
    assert event is not None
    return event


def detail(job: Job) -> dict[str, Any]:
    detail: dict[str, Any] = json.loads(event(job).detail)
    return detail


def validate(told: Event) -> None:
    """Raises when it is not what its schemas say that consumers get."""
    for folder in FOLDERS:
        schema = json.loads((folder / f"{slug(told.detail_type)}.schema.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(delivered(told))


def test_every_ending_and_every_waiting_has_its_event_and_nothing_else() -> None:
    assert set(DETAIL_TYPES) == ENDINGS | {JobState.PARKED, JobState.UNCERTAIN}
    for state in set(JobState) - set(DETAIL_TYPES):
        assert event_of(a_job(state)) is None


def test_an_event_tells_all_that_is_known() -> None:
    image = Image(
        bucket="images",
        key="shoes/red/default.webp",
        version_id="v1",
        bytes=1024,
        content_type="image/webp",
        width=800,
        height=600,
    )
    job = a_job(
        JobState.COMPLETED,
        image=image,
        request_id="request-1",
        inference_seconds=13.06,
        cost_usd=0.0891,
        photo=a_photo(version_id="v7", sku="RED-1"),
    )
    told = detail(job)
    assert told.pop("id")
    assert told == {
        "version": "1",
        "job_id": job.job_id,
        "photo": {
            "bucket": "photos",
            "key": "shoes/red.jpg",
            "version_id": "v7",
            "etag": "9b2cf535f27731c974343645a3985328",
        },
        "sku": "RED-1",
        "scene": "default",
        "attempt": 1,
        "image": image.model_dump(),
        "reason": None,
        "cause": None,
        "model": MODEL,
        "seed": 7,
        "request_id": "request-1",
        "inference_seconds": 13.06,
        "cost_usd": 0.0891,
    }


def test_what_went_wrong_is_told_with_its_code_and_words() -> None:
    reason = Reason(code="Parked:credits", message="Insufficient credits")
    told = detail(a_job(JobState.PARKED, cause=ParkedCause.CREDITS, error=reason))
    assert told["reason"] == {"code": "Parked:credits", "message": "Insufficient credits"}
    assert told["cause"] == "credits"
    assert told["cost_usd"] is None


# -- the same id for the same fact --


@pytest.mark.parametrize("state", DETAIL_TYPES)
def test_the_same_fact_has_the_same_id_however_it_is_told(state: JobState) -> None:
    again = a_job(state, error=Reason(code="Other", message="words"), cost_usd=1.0, seed=9)
    assert detail(a_job(state))["id"] == detail(again)["id"]


def an_image(version_id: str) -> Image:
    return Image(
        bucket="images",
        key="shoes/red/default.webp",
        version_id=version_id,
        bytes=1,
        content_type="image/webp",
        width=1,
        height=1,
    )


def test_different_facts_have_different_ids() -> None:
    facts = [a_job(state, attempt=attempt) for state in DETAIL_TYPES for attempt in (1, 2)]
    facts.append(a_job(JobState.PARKED, job_id="f" * 32))
    facts += [a_job(JobState.COMPLETED, image=an_image(version)) for version in ("v1", "v2")]
    assert len({detail(fact)["id"] for fact in facts}) == len(facts)


# -- bounded --

any_text = st.text(st.characters(exclude_categories=["Cs"]))
keys = any_text.map(lambda text: text.encode()[:MAX_KEY_BYTES].decode("utf-8", "ignore"))
long_texts = st.builds(str.__mul__, any_text, st.sampled_from([1, 40, 700]))


@given(st.sampled_from(sorted(DETAIL_TYPES)), keys, long_texts, st.none() | long_texts)
def test_a_detail_is_small_valid_and_keeps_the_start_of_the_words(
    state: JobState, key: str, message: str, request_id: str | None
) -> None:
    reason = Reason(code="GenerationFailed", message=message)
    photo = a_photo(key, sku=key or None)
    told = event(a_job(state, photo=photo, error=reason, request_id=(request_id or "")[:128] or None))
    assert len(told.detail.encode()) <= 10_000
    validate(told)
    kept = json.loads(told.detail)["reason"]["message"]
    assert kept == message or message.startswith(kept.removesuffix("…"))


@pytest.mark.parametrize("character", ["x", '"', "\\", "ü", "靴", "\x7f"])
def test_the_longest_keys_leave_room_for_an_event(character: str) -> None:
    key = character * (MAX_KEY_BYTES // len(character.encode()))
    image = Image(
        bucket="b" * 63, key=key, version_id="v" * 1024, bytes=1, content_type="image/webp", width=1, height=1
    )
    photo = a_photo(key, version_id="v" * 1024)
    told = event(a_job(JobState.COMPLETED, photo=photo, image=image)).detail
    assert len(told.encode()) <= 10_000
    message = f"{key} already belongs to the photo photos/{key}"
    told = event(
        a_job(JobState.REJECTED, photo=photo, error=Reason(code="PathTaken", message=message))
    ).detail
    assert len(told.encode()) <= 10_000


def test_a_key_of_control_characters_can_still_be_rejected_aloud() -> None:
    photo = a_photo("\x01" * MAX_KEY_BYTES, version_id="v" * 1024)
    reason = Reason(code="InvalidKey", message="the photo's key contains control characters")
    assert len(event(a_job(JobState.REJECTED, photo=photo, error=reason)).detail.encode()) <= 10_000


# -- a pause --


def test_a_pause_has_the_same_id_whoever_tells_of_it_and_another_one_another() -> None:
    notice = Notice(resumed=False, cause=ParkedCause.KEY, message="no", since=START, job_id="a" * 32)
    ids = {
        json.loads(pause_event(a_job(attempt=attempt), told).detail)["id"]
        for attempt in (1, 2)
        for told in (
            notice,
            notice.model_copy(update={"resumed": True}),
            notice.model_copy(update={"cause": ParkedCause.RATE}),
            notice.model_copy(update={"since": START + timedelta(seconds=1)}),
        )
    }
    assert len(ids) == 4
