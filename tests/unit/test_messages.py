"""What the upload queue carries becomes an upload or a job, or is refused: nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from packshot.messages import JobMessage, UploadMessage, parse_message
from packshot.photo import Photo
from packshot.workflow import WorkflowState

EVENTS = Path(__file__).parents[2] / "events"


def payload(name: str) -> Any:
    return json.loads((EVENTS / name).read_text(encoding="utf-8"))


def test_an_upload_is_s3s_event_with_its_key_as_it_is() -> None:
    message = parse_message(json.dumps(payload("object-created.json")))
    assert isinstance(message, UploadMessage)
    assert message.photo() == Photo(
        bucket="packshot-inputbucket-1abcdefghijkl",
        key="shoes/red sneaker.jpg",
        etag="9b2cf535f27731c974343645a3985328",
        sequencer="0069B5295DCD90281E",
        bytes=48213,
        uploaded_at=datetime(2026, 3, 14, 9, 30, tzinfo=UTC),
    )


def test_an_upload_to_a_versioned_bucket_has_its_version_and_no_key_is_decoded() -> None:
    event = payload("object-created-versioned.json")
    message = parse_message(json.dumps(event))
    assert isinstance(message, UploadMessage)
    photo = message.photo()
    assert photo.version_id == event["detail"]["object"]["version-id"]
    assert photo.key == "shoes/größe 42+ (100%).jpg"


@pytest.mark.parametrize("name", ["object-created.json", "object-created-versioned.json"])
def test_a_photo_that_is_told_of_again_is_the_same(name: str) -> None:
    message = parse_message(json.dumps(payload(name)))
    assert isinstance(message, UploadMessage)
    again = parse_message(UploadMessage.of(message.photo()).model_dump_json(by_alias=True))
    assert isinstance(again, UploadMessage)
    # But for when: what is told of again is told of now.
    assert again.photo() == message.photo().model_copy(update={"uploaded_at": None})


@pytest.mark.parametrize("version", [None, ""])
def test_an_empty_version_is_none(version: str | None) -> None:
    event = payload("object-created.json")
    event["detail"]["object"]["version-id"] = version
    message = parse_message(json.dumps(event))
    assert isinstance(message, UploadMessage)
    assert message.photo().version_id is None


def test_fields_that_nobody_knows_yet_are_passed_over() -> None:
    """The local cloud's events carry an `event-version`."""
    event = payload("object-created.json")
    event["detail"]["event-version"] = "1.0"
    event["detail"]["object"]["colour"] = "red"
    assert parse_message(json.dumps(event)) == parse_message(json.dumps(payload("object-created.json")))


@pytest.mark.parametrize(
    ("name", "kind"), [("upload-message.json", UploadMessage), ("job-message.json", JobMessage)]
)
def test_a_record_of_the_queue_carries_a_message(name: str, kind: type[UploadMessage | JobMessage]) -> None:
    (record,) = payload(name)["Records"]
    assert isinstance(parse_message(record["body"]), kind)
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()


def test_a_job_message_reads_back() -> None:
    message = JobMessage(job_id="0123456789abcdef0123456789abcdef")
    assert parse_message(message.model_dump_json()) == message


def test_the_workflows_state_reads_back() -> None:
    state = payload("workflow-state.json")
    assert WorkflowState.of_event(state).event() == state


@pytest.mark.parametrize(
    "change",
    [
        {"detail-type": "Object Deleted"},
        {"detail": {}},
        {"detail": {"bucket": {"name": ""}, "object": {"key": "a.jpg"}}},
        {"detail": {"bucket": {"name": "photos"}, "object": {"key": ""}}},
        {"detail": {"bucket": {"name": "photos"}, "object": {"key": "k" * 1025}}},
        {"detail": {"bucket": {"name": "photos"}, "object": {"key": "a.jpg", "size": -1}}},
    ],
)
def test_what_is_not_quite_an_upload_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parse_message(json.dumps({**payload("object-created.json"), **change}))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        '{"job_id": "short"}',
        '{"job_id": "0123456789ABCDEF0123456789ABCDEF"}',
        '{"job_id": "0123456789abcdef0123456789abcdef", "more": 1}',
        '{"job_id": "0123456789abcdef0123456789abcdef\\n"}',
        '{"job_id": "\\ud800"}',
        "[" * 100_000,
        '{"detail":' * 10_000 + "1" + "}" * 10_000,
        "9" * 10_000,
    ],
    ids=lambda body: body[:30],
)
def test_what_is_no_message_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        parse_message(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
uploads_nearly = st.fixed_dictionaries(
    {"detail-type": st.just("Object Created") | json_values},
    optional={
        "detail": json_values
        | st.fixed_dictionaries(
            {"bucket": st.fixed_dictionaries({"name": st.text() | json_values}) | json_values},
            optional={
                "object": st.fixed_dictionaries(
                    {"key": st.text() | json_values},
                    optional={
                        "size": st.integers() | json_values,
                        "etag": st.text() | json_values,
                        "version-id": st.text() | json_values,
                        "sequencer": st.text() | json_values,
                    },
                )
                | json_values
            },
        )
    },
)


@given(
    st.one_of(uploads_nearly, json_values, st.dictionaries(st.just("job_id"), json_values)).map(json.dumps)
    | st.text()
)
def test_anything_is_a_message_or_refused(body: str) -> None:
    try:
        message = parse_message(body)
    except ValidationError:
        return
    if isinstance(message, UploadMessage):
        assert message.photo().key == json.loads(body)["detail"]["object"]["key"]
    else:
        assert json.loads(body) == {"job_id": message.job_id}
