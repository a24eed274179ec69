"""The thin ends at AWS: what exactly the queue, the workflow, the bus and the output bucket are sent."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st

from packshot.check_settings import SettingError
from packshot.event_bus import EventBus, EventNotTakenError
from packshot.events import event_of
from packshot.image_store import ImageStore, Newer, image_metadata
from packshot.job import Image, JobState
from packshot.messages import JobMessage, UploadMessage, parse_message
from packshot.model import MODEL
from packshot.pictures import Picture
from packshot.polling import Polling
from packshot.scene import Scene
from packshot.upload_queue import UploadQueue
from packshot.workflow import Workflow, WorkflowState, attempt_of_execution
from tests.unit.aws import a_client, stubbed
from tests.unit.fakes import START, a_job, a_photo

JOB_ID = a_job().job_id

# -- the upload queue --

QUEUE = a_client("sqs")
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/uploads"


def test_a_job_message_is_one_that_is_understood() -> None:
    body = f'{{"job_id":"{JOB_ID}"}}'
    with stubbed(QUEUE) as stub:
        stub.add_response("send_message", {}, {"QueueUrl": URL, "MessageBody": body, "DelaySeconds": 0})
        stub.add_response("send_message", {}, {"QueueUrl": URL, "MessageBody": body, "DelaySeconds": 900})
        UploadQueue(QUEUE, URL).send_job(JOB_ID)
        UploadQueue(QUEUE, URL).send_job(JOB_ID, timedelta(minutes=15))
    assert parse_message(body) == JobMessage(job_id=JOB_ID)


def test_a_photo_is_sent_again_in_ascii_as_s3_told_of_it() -> None:
    photo = a_photo("shoes/\uffff größe.jpg", version_id="v1")
    body = json.dumps(UploadMessage.of(photo).model_dump(by_alias=True))
    assert body.isascii()
    assert '"version-id": "v1"' in body
    with stubbed(QUEUE) as stub:
        stub.add_response("send_message", {}, {"QueueUrl": URL, "MessageBody": body})
        UploadQueue(QUEUE, URL).send_upload(photo)
    message = parse_message(body)
    assert isinstance(message, UploadMessage)
    assert message.photo() == photo.model_copy(update={"sha256": None})


@pytest.mark.parametrize(("seconds", "hidden"), [(-5, 0), (0, 0), (0.001, 1), (15, 15), (89.2, 90)])
def test_a_received_message_is_put_off_no_shorter_than_asked(seconds: float, hidden: int) -> None:
    with stubbed(QUEUE) as stub:
        expected = {"QueueUrl": URL, "ReceiptHandle": "handle", "VisibilityTimeout": hidden}
        stub.add_response("change_message_visibility", {}, expected)
        UploadQueue(QUEUE, URL).hide("handle", timedelta(seconds=seconds))


# -- the workflow --

WORKFLOWS = a_client("stepfunctions")
ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:workflow"


def test_an_execution_is_named_for_its_attempt_and_carries_what_the_row_says() -> None:
    job = a_job(attempt=2, polling=Polling(first_wait_seconds=14, cadence_seconds=0.5))
    with stubbed(WORKFLOWS) as stub:
        state = {
            "job_id": JOB_ID,
            "attempt": 2,
            "request_id": "request-1",
            "submitted_at": "2026-03-14T09:30:00.000000Z",
            "polling": {"first_wait_seconds": 14, "window_seconds": 45, "cadence_seconds": 0.5},
            "wait_seconds": 14,
            "age_seconds": 0,
            "unknowns": 0,
            "finished": False,
        }
        expected = {
            "stateMachineArn": ARN,
            "name": f"{JOB_ID}-2",
            "input": json.dumps(state, separators=(",", ":")),
        }
        stub.add_response("start_execution", {"executionArn": ARN, "startDate": START}, expected)
        Workflow(WORKFLOWS, ARN).start(job)
    assert WorkflowState.of_event(state).submitted_at == START


@pytest.mark.parametrize(
    ("status", "lives"), [("RUNNING", True), ("SUCCEEDED", False), ("FAILED", False), ("ABORTED", False)]
)
def test_an_execution_that_exists_is_looked_up(status: str, lives: bool) -> None:
    execution = f"arn:aws:states:eu-west-1:123456789012:execution:workflow:{JOB_ID}-1"
    with stubbed(WORKFLOWS) as stub:
        stub.add_client_error("start_execution", "ExecutionAlreadyExists")
        answer = {"executionArn": execution, "stateMachineArn": ARN, "status": status, "startDate": START}
        stub.add_response("describe_execution", answer, {"executionArn": execution})
        assert Workflow(WORKFLOWS, ARN).start(a_job()) is lives


def test_an_execution_tells_whose_it_is() -> None:
    assert attempt_of_execution(f"{JOB_ID}-12") == (JOB_ID, 12)


def test_an_execution_that_cannot_be_started_is_told() -> None:
    with stubbed(WORKFLOWS) as stub:
        stub.add_client_error("start_execution", "ExecutionLimitExceeded")
        with pytest.raises(ClientError):
            Workflow(WORKFLOWS, ARN).start(a_job())


# -- the bus --

BUS = a_client("events")


def test_an_event_goes_to_our_bus_under_our_name() -> None:
    job = a_job(JobState.COMPLETED)
    event = event_of(job)
    assert event
    with stubbed(BUS) as stub:
        entry = {
            "EventBusName": "packshot",
            "Source": "packshot",
            "DetailType": "Scene Generated",
            "Detail": event.detail,
            "Resources": [],
        }
        stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": []}, {"Entries": [entry]})
        EventBus(BUS, "packshot").announce(job)


def test_a_state_without_an_event_is_not_told() -> None:
    with stubbed(BUS):
        EventBus(BUS, "packshot").announce(a_job(JobState.CLAIMED))


def test_an_entry_that_was_refused_is_told_though_the_call_went_well() -> None:
    with stubbed(BUS) as stub:
        answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
        stub.add_response("put_events", answer)
        with pytest.raises(EventNotTakenError, match="ThrottlingException"):
            EventBus(BUS, "packshot").announce(a_job(JobState.FAILED))


# -- the output bucket --

IMAGES = a_client("s3")


class FromItsStart:
    """Equals a file that would be read from its start."""

    def __eq__(self, file: object) -> bool:
        return isinstance(file, io.BytesIO) and file.tell() == 0

    def __hash__(self) -> int:
        return 0


def published(
    cache_control: str | None, standing: dict[str, Any] | None, expected: dict[str, Any], **answer: Any
) -> Image | Newer:
    file = io.BytesIO(b"image")
    file.seek(3)
    with stubbed(IMAGES) as stub:
        located = {"Bucket": "images", "Key": "shoes/red/default.webp"}
        if standing is not None:
            stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
            stub.add_response("head_object", standing, located)
        whole = {
            **located,
            "Body": FromItsStart(),
            "ContentType": "image/webp",
            "Metadata": image_metadata(a_job()),
            **expected,
        }
        stub.add_response("put_object", answer, whole)
        return ImageStore(IMAGES, "images", cache_control).publish(a_job(), file, Picture("webp", 800, 600))


def test_an_image_is_put_with_its_type_where_none_is_and_told_with_its_version() -> None:
    expected = {"CacheControl": "public, max-age=300", "IfNoneMatch": "*"}
    assert published("public, max-age=300", None, expected, VersionId="v1") == Image(
        bucket="images",
        key="shoes/red/default.webp",
        version_id="v1",
        bytes=5,
        content_type="image/webp",
        width=800,
        height=600,
        sha256=hashlib.sha256(b"image").hexdigest(),
    )


def test_an_image_replaces_what_was_looked_at_and_nothing_else() -> None:
    standing = {"ETag": '"e1"', "Metadata": {"packshot-sequencer": "00"}}
    assert isinstance(published(None, standing, {"IfMatch": '"e1"'}), Image)


def test_an_image_says_what_it_takes_to_make_it_again() -> None:
    assert image_metadata(a_job()) == {
        "packshot-job-id": JOB_ID,
        "packshot-sequencer": "0055AED6DCD90281E5".ljust(64, "0"),
        "packshot-scene": "default",
        "packshot-seed": "7",
        "packshot-model": MODEL,
        "packshot-prompt-sha256": hashlib.sha256(b"in a bright living room").hexdigest(),
    }


@given(st.text(max_size=5000).filter(str.strip), st.text(max_size=100))
def test_metadata_is_little_and_ascii_whatever_the_scene(prompt: str, scene: str) -> None:
    metadata = image_metadata(a_job(parameters=Scene(prompt=prompt), scene=scene))
    size_bytes = sum(
        len(name.encode("ascii")) + len(value.encode("ascii")) for name, value in metadata.items()
    )
    assert size_bytes <= 2048


def test_what_stands_in_an_old_images_place_is_not_published_as_it() -> None:
    """A bucket that kept no versions for a while has another image under the same key."""
    image = Image(
        bucket="images",
        key="shoes/red/default.webp",
        version_id=None,
        bytes=5,
        content_type="image/webp",
        width=800,
        height=600,
        sha256=hashlib.sha256(b"image").hexdigest(),
    )
    with stubbed(IMAGES) as stub:
        other = StreamingBody(io.BytesIO(b"other"), 5)
        stub.add_response("get_object", {"Body": other}, {"Bucket": "images", "Key": image.key})
        assert ImageStore(IMAGES, "images", None).republish(a_job(), image) is None


@pytest.mark.parametrize(
    ("answer", "refused"), [({"Status": "Enabled"}, False), ({"Status": "Suspended"}, True), ({}, True)]
)
def test_a_bucket_for_images_has_to_keep_versions(answer: dict[str, str], refused: bool) -> None:
    with stubbed(IMAGES) as stub:
        stub.add_response("get_bucket_versioning", answer, {"Bucket": "images"})
        look = ImageStore(IMAGES, "images", None).check_versions
        if not refused:
            look()
            return
        with pytest.raises(SettingError, match=r"^ExistingOutputBucketName: images keeps no versions"):
            look()
