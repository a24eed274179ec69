"""`packshot smoke`: one photo through a deployed stack, from the upload to the event, and all cleaned up."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from packshot.events import COMPLETED, SOURCE
from packshot.job import Job, JobState
from packshot_cli.demo_photos import SAMPLES
from packshot_cli.errors import LocalCloudError, PhotosError, StackError
from packshot_cli.paying import is_agreed_to
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack import Stack, aws_in_a_line, find_stack
from packshot_cli.stack_settings import parameters_of, stack_settings

PHOTO = SAMPLES / "mug.jpg"
SCENES = {
    "version": 1,
    "scenes": {"smoke": {"prompt": "Place the mug on a wooden kitchen counter", "seed": 7}},
}
PATIENCE_SECONDS = 600.0
# SQS holds an answer back for as long when there is no message yet.
LISTEN_SECONDS = 5


@dataclass(frozen=True)
class Ear:
    """A queue that hears what the stack tells."""

    client: Any
    url: str

    def hear(self) -> Iterator[dict[str, Any]]:
        """The events that came, waiting a little for the first."""
        answer = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=LISTEN_SECONDS
        )
        for message in answer.get("Messages", []):
            yield json.loads(message["Body"])
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def run(*, stack: str | None, region: str | None, profile: str | None, yes: bool) -> None:
    """Say what it costs, do it, and print what was seen; leaves with a line and 1 when something is wrong."""
    console = Console(stderr=True)
    try:
        with stopping_at_signals(), aws_in_a_line():
            found = find_stack(stack, region, profile, Path.cwd())
            settings = stack_settings(parameters_of(found))
            console.print(
                f"One photo through the stack {found.name}: one image, about ${settings.image_price_usd:.4f}",
                highlight=False,
            )
            if not yes and not is_agreed_to(console):
                raise StackError("Nothing was sent; --yes does not ask")
            folder = f"{settings.photo_prefix}smoke-{secrets.token_hex(6)}"
            for line in smoke(found, folder, lambda line: console.print(line, highlight=False)):
                typer.echo(line)
    except (LocalCloudError, PhotosError, StackError) as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        console.print(
            "Stopped: a photo that was sent is paid for, and what it becomes stays in the output bucket"
        )
        raise typer.Exit(stop.exit_code) from None


def smoke(stack: Stack, folder: str, tell: Callable[[str], None]) -> list[str]:
    """What was seen, as lines of a name, a tab and a value. Raises StackError for the first thing wrong."""
    s3, key, made = stack.client("s3"), f"{folder}/mug.jpg", [f"{folder}/"]
    bucket, images = stack.output("InputBucketName"), stack.output("OutputBucketName")
    with _ear(stack, folder.rpartition("/")[2]) as ear:
        try:
            # Scenes first, as everybody does it; they make it one image whatever the stack's own are.
            s3.put_object(Bucket=bucket, Key=f"{folder}/scenes.json", Body=json.dumps(SCENES).encode())
            began = time.monotonic()
            s3.put_object(Bucket=bucket, Key=key, Body=PHOTO.read_bytes())
            # By AWS's clock, as the record's times are.
            uploaded_at = s3.head_object(Bucket=bucket, Key=key)["LastModified"]
            tell(f"Sent {key}, waiting for {COMPLETED}")
            event = _await(ear, key)
            seconds = time.monotonic() - began
            # Where the path template has no folder.
            made += [event["manifest"]["key"], *(image["key"] for image in event["images"])]
            if not event["images"]:
                reason = event["failures"][0]["reason"]
                raise StackError(f"No image: {reason['code']}: {reason['message']}")
            (image,) = event["images"]
            body = s3.get_object(Bucket=images, Key=image["key"])["Body"].read()
            if hashlib.sha256(body).hexdigest() != image["sha256"]:
                raise StackError(f"{image['key']} is not the image that the event tells of")
            job = _row(stack, image["job_id"])
            if job.state is not JobState.COMPLETED or job.image is None or job.image.key != image["key"]:
                raise StackError(f"The record of {job.job_id} says {job.state}")
            return _lines(job, uploaded_at, seconds)
        finally:
            _remove(stack, bucket, [f"{folder}/"])
            _remove(stack, images, made)


def _lines(job: Job, uploaded_at: datetime, seconds: float) -> list[str]:
    submitted = job.submitted_at or job.updated_at
    return [
        f"image\t{job.image.key if job.image else ''}",
        # S3 tells the time of an upload in whole seconds, so that it may lie behind the submit.
        f"upload to submit, s\t{max(_seconds(uploaded_at, submitted), 0.0):.0f}",
        f"submit to record, s\t{_seconds(submitted, job.updated_at):.1f}",
        f"upload to event, s\t{seconds:.1f}",
        f"inference, s\t{'untold' if job.inference_seconds is None else f'{job.inference_seconds:.1f}'}",
        f"cost, USD\t{'untold' if job.cost_usd is None else f'{job.cost_usd:.4f}'}",
    ]


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _await(ear: Ear, key: str) -> dict[str, Any]:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        for event in ear.hear():
            detail = event["detail"]
            if (detail.get("photo") or {}).get("key") != key:
                continue
            if event["detail-type"] == COMPLETED:
                return dict(detail)
            if event["detail-type"] in {"Photo Rejected", "Scene Parked"}:
                reason = detail["reason"]
                raise StackError(f"{event['detail-type']}: {reason['code']}: {reason['message']}")
    raise StackError(f"Nothing was told of {key} within {PATIENCE_SECONDS:.0f} s")


def _row(stack: Stack, job_id: str) -> Job:
    table: Any = stack.session.resource("dynamodb").Table(stack.output("JobTableName"))
    item = table.get_item(Key={"pk": f"job#{job_id}"}, ConsistentRead=True)["Item"]
    return Job.model_validate(item)


@contextmanager
def _ear(stack: Stack, name: str) -> Iterator[Ear]:
    """A queue behind a rule on the stack's bus, until the block ends."""
    sqs, events, bus = stack.client("sqs"), stack.client("events"), stack.output("EventBusName")
    url = sqs.create_queue(QueueName=f"{stack.name}-{name}"[-80:])["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": [SOURCE]}))
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule["RuleArn"]}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        try:
            events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": name, "Arn": arn}])
            yield Ear(sqs, url)
        finally:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=[name])
            events.delete_rule(Name=name, EventBusName=bus)
    finally:
        sqs.delete_queue(QueueUrl=url)


def _remove(stack: Stack, bucket: str, prefixes: Sequence[str]) -> None:
    """Every version of what this made. Raises ClientError."""
    resource: Any = stack.session.resource("s3")
    for prefix in prefixes:
        resource.Bucket(bucket).object_versions.filter(Prefix=prefix).delete()
