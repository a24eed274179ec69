"""Listening to the stack's bus: a queue behind a rule, as anyone would who wants to know of new images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packshot.events import COMPLETED, DETAIL_TYPES, SOURCE
from packshot.job import ENDINGS, Job, JobState
from packshot_cli.text import counted, one_line

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sqs import SQSClient

NAME = "packshot-demo"


@dataclass(frozen=True)
class HeardEvent:
    """An event in short; `about` is the image's key, or why there is none.

    `job_id` and `scene` are empty where the event is about more, or less, than a job.
    """

    id: str
    job_id: str
    detail_type: str
    photo_key: str
    scene: str
    about: str


@dataclass
class EventTap:
    """What was heard, each fact once, in the order of its first arrival."""

    sqs: SQSClient
    queue_url: str
    heard: dict[str, HeardEvent] = field(default_factory=dict)

    def listen(self) -> None:
        """Take what is there, without waiting for more."""
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                event = heard_event(json.loads(message["Body"]))
                self.heard.setdefault(event.id, event)
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def owed(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose present state has an event that was not heard yet."""
        known = {(event.job_id, event.detail_type) for event in self.heard.values()}
        return [
            job
            for job in jobs
            if job.state in DETAIL_TYPES and (job.job_id, DETAIL_TYPES[job.state]) not in known
        ]

    def uncompleted(self, jobs: Iterable[Job]) -> set[str]:
        """The keys of photos whose jobs have all ended, and whose completion was not heard yet."""
        states: dict[str, set[JobState]] = {}
        for job in jobs:
            if job.manifest_key:
                states.setdefault(job.photo.key, set()).add(job.state)
        ended = {key for key, of_photo in states.items() if of_photo <= ENDINGS}
        return ended - {event.photo_key for event in self.heard.values() if event.detail_type == COMPLETED}


def tap(session: boto3.Session, bus_name: str) -> EventTap:
    """A new queue that gets everything the stack says from now on."""
    sqs, events = session.client("sqs"), session.client("events")
    queue_url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.put_rule(Name=NAME, EventBusName=bus_name, EventPattern=json.dumps({"source": [SOURCE]}))
    events.put_targets(Rule=NAME, EventBusName=bus_name, Targets=[{"Id": NAME, "Arn": queue_arn}])
    return EventTap(sqs, queue_url)


def heard_event(event: Mapping[str, Any]) -> HeardEvent:
    """Read an event as EventBridge delivers it."""
    detail = event["detail"]
    return HeardEvent(
        id=detail["id"],
        job_id=detail.get("job_id", ""),
        detail_type=event["detail-type"],
        photo_key=(detail.get("photo") or detail["file"])["key"],
        scene=detail.get("scene", ""),
        about=one_line(_about(detail)),
    )


def _about(detail: Mapping[str, Any]) -> str:
    if "manifest" in detail:
        made, failed = detail["images_count"], detail["failures_count"]
        words = counted(made, "image") + (f" and {counted(failed, 'failure')}" if failed else "")
        return f"{words}: {detail['manifest']['key']}"
    if detail.get("image"):
        return str(detail["image"]["key"])
    reason = detail.get("reason")
    return f"{reason['code']}: {reason['message']}" if reason else ""
