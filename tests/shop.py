"""A shop beside the stack: it drops photos in, listens to the events, and looks at what came out."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from PIL import Image

from packshot_cli.local_cloud import LocalCloud

PATIENCE_SECONDS = 45.0
# What waits is swept once a minute.
SWEEP_PATIENCE_SECONDS = 150.0

Event = dict[str, Any]


def about(event: Event) -> str:
    """The key of the photo, or of the scenes file, that an event tells of."""
    detail = event["detail"]
    return str((detail.get("photo") or detail["file"])["key"])


class Shop:
    """Subscribes a queue to everything on the stack's bus; `seen` are the events so far, oldest first.

    `aws_url` is where the functions find AWS, and so whatever they presign.
    """

    def __init__(self, cloud: LocalCloud, aws_url: str) -> None:
        self.cloud = cloud
        self.aws_url = aws_url
        self.seen: list[Event] = []
        session = cloud.session()
        self.s3: Any = session.client("s3")
        self.sqs: Any = session.client("sqs")
        self._dynamodb: Any = session.client("dynamodb")
        self._events_url = self.sqs.create_queue(QueueName="shop-events")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self._events_url, AttributeNames=["QueueArn"])
        bus = cloud.outputs["EventBusName"]
        events: Any = session.client("events")
        events.put_rule(Name="shop", EventBusName=bus, EventPattern=json.dumps({"source": ["packshot"]}))
        target = {"Id": "shop", "Arn": attributes["Attributes"]["QueueArn"]}
        events.put_targets(Rule="shop", EventBusName=bus, Targets=[target])

    @property
    def input_bucket(self) -> str:
        return self.cloud.outputs["InputBucketName"]

    def upload(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        self.s3.put_object(Bucket=self.input_bucket, Key=key, Body=data, Metadata=dict(metadata or {}))

    def event(self, key: str, detail_type: str, patience_seconds: float = PATIENCE_SECONDS) -> Event:
        """The detail of the event of this type for the photo under this key, as soon as it is there."""

        def wanted(event: Event) -> bool:
            return (about(event), event["detail-type"]) == (key, detail_type)

        self.listen_until(lambda: any(map(wanted, self.seen)), patience_seconds)
        return dict(next(filter(wanted, self.seen))["detail"])

    def listen_until(self, enough: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Take in events until there are enough; fails with what there is when there never are."""
        ends_at = time.monotonic() + patience_seconds
        while not enough():
            if time.monotonic() > ends_at:
                told = [(event["detail-type"], about(event)) for event in self.seen]
                pytest.fail(f"not within {patience_seconds:g} s; the events are {told}")
            answer = self.sqs.receive_message(
                QueueUrl=self._events_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                self.seen.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self._events_url, ReceiptHandle=message["ReceiptHandle"])

    def row(self, job_id: str) -> dict[str, Any]:
        item = self._dynamodb.get_item(
            TableName=self.cloud.outputs["JobTableName"], Key={"pk": {"S": f"job#{job_id}"}}
        )["Item"]
        return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}

    def job_in_state(self, key: str, state: str) -> str:
        """The id of a job of the photo under this key, once it is in that state."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            for item in self._dynamodb.scan(TableName=self.cloud.outputs["JobTableName"])["Items"]:
                row = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
                if row.get("state") == state and row["photo"]["key"] == key:
                    return str(row["job_id"])
            time.sleep(0.05)
        pytest.fail(f"not within {PATIENCE_SECONDS:g} s")

    def settled_row(self, job_id: str) -> dict[str, Any]:
        """The row once all is told of its state: the event is heard a moment before the row says so."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while (row := self.row(job_id))["owes_event"]:
            if time.monotonic() > ends_at:
                pytest.fail(f"not within {PATIENCE_SECONDS:g} s: {row}")
            time.sleep(0.05)
        return row

    def image(self, key: str) -> Image.Image:
        """The decoded image in the output bucket."""
        answer = self.s3.get_object(Bucket=self.cloud.outputs["OutputBucketName"], Key=key)
        image = Image.open(io.BytesIO(answer["Body"].read()))
        image.load()
        return image

    def refusals(self) -> list[str]:
        """The lines of the functions' logs that tell of calls that AWS refused them."""
        logs: Any = self.cloud.session().client("logs")
        groups = logs.get_paginator("describe_log_groups").paginate()
        names = [group["logGroupName"] for page in groups for group in page["logGroups"]]
        events = logs.get_paginator("filter_log_events")
        return [
            event["message"]
            for name in names
            for page in events.paginate(logGroupName=name)
            for event in page["events"]
            if "AccessDenied" in event["message"]
        ]

    def execution(self, job_id: str, attempt: int = 1) -> list[str]:
        """The types of all events of an execution that ended, in their order."""
        states: Any = self.cloud.session().client("stepfunctions")
        arn = self.cloud.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while states.describe_execution(executionArn=f"{arn}:{job_id}-{attempt}")["status"] == "RUNNING":
            if time.monotonic() > ends_at:
                pytest.fail(f"not within {PATIENCE_SECONDS:g} s")
            time.sleep(0.05)
        history = states.get_execution_history(executionArn=f"{arn}:{job_id}-{attempt}")
        return [event["type"] for event in history["events"]]

    def dead_letters(self) -> int:
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.cloud.outputs["UploadDeadLetterQueueUrl"],
            AttributeNames=["ApproximateNumberOfMessages"],
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])
