"""The drill's hands and eyes in the local cloud, with the rights of an operator."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from packshot.events import COMPLETED, DETAIL_TYPES, SOURCE
from packshot.job import Image, Job
from packshot_cli.local_cloud import LocalCloud
from tests.drill.evidence import Event, image_problem
from tests.drill.plan import Upload

NAME = "drill"
# What MiniStack's log says of a handler that was killed while it worked, or that took too long.
_DIED = re.compile(r"Worker process died|Task timed out after .* seconds")
# The last line of a traceback.
_RAISED = re.compile(r"\s*(?:\w+\.)*(?P<error>[A-Z]\w*(?:Error|Exception))(?::.*)?")
_LOG_GROUP = re.compile(r"(?P<function>[A-Z][A-Za-z]+)LogGroup")
_WAITING_OR_HELD = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class Ear:
    """A queue behind a rule on a bus; what it hears is taken once."""

    def __init__(self, session: boto3.Session, name: str, bus: str, pattern: Mapping[str, Any]) -> None:
        self._sqs: Any = session.client("sqs")
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        events: Any = session.client("events")
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        target = {"Id": name, "Arn": attributes["Attributes"]["QueueArn"]}
        events.put_targets(Rule=name, EventBusName=bus, Targets=[target])

    def hear(self) -> Iterator[str]:
        """The bodies of the messages that are there, without waiting for more."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                yield message["Body"]
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


class Stage:
    """What the drill does to a local cloud, and what it can look at."""

    def __init__(self, cloud: LocalCloud) -> None:
        session = cloud.session()
        self._outputs = cloud.outputs
        self._s3: Any = session.client("s3")
        self._sqs: Any = session.client("sqs")
        self._states: Any = session.client("stepfunctions")
        self._logs: Any = session.client("logs")
        self._table: Any = session.resource("dynamodb").Table(cloud.outputs["JobTableName"])
        bus = cloud.outputs["EventBusName"]
        uploads = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [cloud.outputs["InputBucketName"]]}},
        }
        told = {"source": [SOURCE], "detail-type": [*DETAIL_TYPES.values(), COMPLETED]}
        self._events = Ear(session, f"{bus}-{NAME}-events", bus, told)
        self._uploads = Ear(session, f"{bus}-{NAME}-uploads", "default", uploads)

    def hold_messages_for(self, seconds: int) -> None:
        """How long a message stays hidden whose handler was killed; the template has minutes."""
        self._sqs.set_queue_attributes(
            QueueUrl=self._outputs["UploadQueueUrl"], Attributes={"VisibilityTimeout": str(seconds)}
        )

    def upload(self, upload: Upload) -> None:
        self._s3.put_object(
            Bucket=self._outputs["InputBucketName"],
            Key=upload.key,
            Body=upload.data,
            Metadata=upload.metadata,
        )

    def upload_events(self) -> list[str]:
        """What S3 told of uploads since the last time, word for word."""
        return list(self._uploads.hear())

    def deliver_again(self, upload_event: str) -> None:
        self._sqs.send_message(QueueUrl=self._outputs["UploadQueueUrl"], MessageBody=upload_event)

    def events(self) -> list[Event]:
        """What Packshot told of jobs and photos since the last time."""
        return [json.loads(body) for body in self._events.hear()]

    def jobs(self) -> list[Job]:
        pages = self._table.meta.client.get_paginator("scan").paginate(
            TableName=self._table.name,
            ConsistentRead=True,
            FilterExpression="begins_with(pk, :job)",
            ExpressionAttributeValues={":job": "job#"},
        )
        return [Job.model_validate(row) for page in pages for row in page["Items"]]

    def messages_left(self) -> int:
        return self._messages(self._outputs["UploadQueueUrl"])

    def dead_letters(self) -> dict[str, int]:
        """Messages by dead-letter queue: of uploads that failed, and of events that found no queue."""
        urls = [url for url in self._sqs.list_queues()["QueueUrls"] if "DeadLetter" in url]
        return {url.rsplit("/", 1)[-1]: self._messages(url) for url in urls}

    def executions(self) -> Counter[str]:
        """How many there are, by status."""
        pages = self._states.get_paginator("list_executions").paginate(
            stateMachineArn=self._outputs["WorkflowArn"]
        )
        return Counter(execution["status"] for page in pages for execution in page["executions"])

    def logs(self) -> tuple[Counter[str], Counter[str]]:
        """From the functions' logs: by function, calls that ended with their handler's death; and errors."""
        died: Counter[str] = Counter()
        raised: Counter[str] = Counter()
        for page in self._logs.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                if named := _LOG_GROUP.search(group["logGroupName"]):
                    for line in self._log_lines(group["logGroupName"]):
                        died[f"{named['function']}Function"] += bool(_DIED.fullmatch(line))
                        if error := _RAISED.fullmatch(line):
                            raised[error["error"]] += 1
        return died, raised

    def image_problem(
        self, upload: Upload, job: Job, image: Image, request: Mapping[str, Any] | None
    ) -> str | None:
        """What is wrong with the version that a job published; None when it is right."""
        try:
            answer = self._s3.get_object(Bucket=image.bucket, Key=image.key, VersionId=image.version_id)
        except ClientError as error:
            return str(error)
        return image_problem(upload, job, request, answer["Body"].read(), answer["Metadata"])

    def current_version(self, key: str) -> str | None:
        """The version of an image that everybody sees; None where there is none."""
        try:
            answer = self._s3.head_object(Bucket=self._outputs["OutputBucketName"], Key=key)
        except ClientError:
            return None
        return str(answer["VersionId"])

    def _messages(self, url: str) -> int:
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_WAITING_OR_HELD))
        return sum(int(attributes["Attributes"][name]) for name in _WAITING_OR_HELD)

    def _log_lines(self, log_group: str) -> Iterator[str]:
        for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=log_group):
            for event in page["events"]:
                yield event["message"]
