"""A job's identity, its closed set of states, and its row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.job import (
    CLAIMABLE,
    EDGES,
    ENDINGS,
    Job,
    JobState,
    ParkedCause,
    Reason,
    job_id,
    upload_id,
)
from packshot.moments import iso
from packshot.photo import Photo
from packshot.scene import Scene
from tests.unit.fakes import START, a_job, a_photo

DIGEST = Scene(prompt="in a bright living room").digest

# -- identity --


def test_the_same_work_has_the_same_id_whatever_the_upload() -> None:
    again = a_photo(etag="another-2", version_id="v2", sequencer="00FF", bytes=7)
    assert job_id(a_photo(), "default", DIGEST) == job_id(again, "default", DIGEST)


@pytest.mark.parametrize(
    "other",
    [
        job_id(a_photo("shoes/blue.jpg"), "default", DIGEST),
        job_id(a_photo(sha256="7a" * 32), "default", DIGEST),
        job_id(a_photo().model_copy(update={"bucket": "others"}), "default", DIGEST),
        job_id(a_photo(), "beach", DIGEST),
        job_id(a_photo(), "default", Scene(prompt="on a beach").digest),
    ],
)
def test_other_work_has_another_id(other: str) -> None:
    assert other != job_id(a_photo(), "default", DIGEST)


@given(st.text(), st.text(), st.text())
def test_the_parts_of_an_id_do_not_run_together(bucket: str, key: str, scene: str) -> None:
    def made(bucket: str, key: str) -> str:
        return job_id(Photo(bucket=bucket, key=key, sha256="5e" * 32), scene, DIGEST)

    assert made(bucket, key + "x") != made(bucket + "x", key)
    assert made(bucket + "/", key) != made(bucket, "/" + key)


def test_uploads_are_told_apart_by_what_the_event_said_and_by_nothing_else() -> None:
    different = [a_photo(), a_photo(etag="x"), a_photo(sequencer="01"), a_photo("shoes/blue.jpg")]
    assert len({upload_id(photo) for photo in different}) == 4
    assert upload_id(a_photo()) == upload_id(a_photo(sha256=None, bytes=None))


@given(st.text(), st.text(), st.text())
def test_an_id_is_32_hex_digits(key: str, scene: str, digest: str) -> None:
    identity = job_id(Photo(bucket="photos", key=key), scene, digest)
    assert len(identity) == 32
    int(identity, 16)


# -- states --


def test_every_state_has_its_edges_and_four_are_endings() -> None:
    assert set(EDGES) == set(JobState)
    assert {JobState.COMPLETED, JobState.FAILED, JobState.REJECTED, JobState.SUPERSEDED} == ENDINGS


def test_every_state_that_is_not_an_ending_leads_to_one() -> None:
    leading = set(ENDINGS)
    while more := {state for state in JobState if state not in leading and EDGES[state] & leading}:
        leading |= more
    assert leading == set(JobState)


def test_only_a_claim_leads_to_a_submit() -> None:
    """A job that was answered is never claimed again by itself, so it is never paid again."""
    assert {JobState.PLANNED, JobState.PARKED, JobState.UNCERTAIN} == CLAIMABLE
    assert JobState.CLAIMED not in EDGES[JobState.SUBMITTED]
    assert not EDGES[JobState.SUBMITTED] - ENDINGS - {JobState.PLANNED}


# -- row --

moments = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(9990, 1, 1),  # noqa: DTZ001
    timezones=st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
        lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
    ),
)


@given(moments, moments)
def test_times_order_as_text_as_they_do_as_times(one: datetime, other: datetime) -> None:
    assert (iso(one) < iso(other)) == (one < other)
    assert (iso(one) == iso(other)) == (one == other)


@given(moments)
def test_a_time_reads_back_as_it_was(moment: datetime) -> None:
    assert datetime.fromisoformat(iso(moment)) == moment
    assert iso(moment).endswith("Z")


numbers = st.none() | st.floats(0, 1e9, allow_nan=False)


@given(
    st.sampled_from(JobState),
    st.none() | st.sampled_from(ParkedCause),
    st.none() | moments,
    st.none() | st.builds(Reason, code=st.text(), message=st.text()),
    numbers,
    numbers,
)
def test_a_row_reads_back_as_it_was(
    state: JobState,
    cause: ParkedCause | None,
    due_at: datetime | None,
    error: Reason | None,
    inference_seconds: float | None,
    cost_usd: float | None,
) -> None:
    job = a_job(
        state,
        cause=cause,
        due_at=due_at,
        error=error,
        inference_seconds=inference_seconds,
        cost_usd=cost_usd,
    )
    assert Job.model_validate(job.row()) == job


def test_a_row_holds_what_others_rely_on_and_null_for_what_is_unknown() -> None:
    row = a_job(due_at=START).row()
    assert set(row) >= {
        "job_id",
        "state",
        "cause",
        "photo",
        "scene",
        "request_id",
        "attempt",
        "image_key",
        "error",
        "inference_seconds",
        "cost_usd",
        "created_at",
        "updated_at",
        "due_at",
    }
    assert set(row["photo"]) == {"bucket", "key", "version_id", "etag", "sha256", "sequencer", "bytes", "sku"}
    assert row["cost_usd"] is None
    assert row["inference_seconds"] is None
    assert row["due_at"] == "2026-03-14T09:30:00.000000Z"


def test_a_row_without_a_due_time_is_not_in_the_index_of_due_rows() -> None:
    assert "due_at" not in a_job(JobState.COMPLETED).row()


def test_a_log_line_holds_no_address_and_no_prompt() -> None:
    job = a_job(output_url="https://images.segmind.com/generations/made.webp?token=1")
    logged = str(job.for_log())
    assert job.job_id in logged
    assert "https://" not in logged
    assert "living room" not in logged


def test_times_without_a_zone_do_not_come_from_the_clock() -> None:
    assert START.tzinfo is UTC
