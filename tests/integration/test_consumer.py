"""The example of a consumer, beside the real stack: its catalogue is right, whatever it is told and when."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from packshot_cli.local_cloud import ARTIFACTS_BUCKET, TEMPLATE_FILE
from packshot_cli.packaging import package
from tests.photos import packshot
from tests.shop import PATIENCE_SECONDS, Event, Shop, about

TEMPLATE = Path(__file__).parents[2] / "examples/consumer/template.yaml"
STACK_NAME = "catalogue"
COMPLETED = "Photo Completed"
Catalogue = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Consumer:
    """The deployed example. `root` is the account's: who deploys a consumer is not Packshot's operator."""

    shop: Shop
    root: Callable[[str], Any]
    outputs: dict[str, str]

    @property
    def table_name(self) -> str:
        return self.outputs["CatalogueTableName"]

    def catalogue(self) -> Catalogue:
        """What stands in the catalogue, once all that was told has been taken in."""
        self.wait_until(lambda: self.messages("CompletedQueueUrl") == 0)
        plain = TypeDeserializer().deserialize
        rows = self.root("dynamodb").scan(TableName=self.table_name)["Items"]
        items = [{name: plain(value) for name, value in row.items()} for row in rows]
        return {(item["product"], item["photo"]): item for item in items}

    def forget(self) -> None:
        """Empty the catalogue."""
        for product, photo in self.catalogue():
            key = {"product": {"S": product}, "photo": {"S": photo}}
            self.root("dynamodb").delete_item(TableName=self.table_name, Key=key)

    def hear(self, told: list[Event]) -> None:
        """Put events on the bus once more, as Packshot does when it cannot know whether it did."""
        entries = [
            {
                "EventBusName": self.shop.cloud.outputs["EventBusName"],
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
            }
            for event in told
        ]
        for begin in range(0, len(entries), 10):
            answer = self.root("events").put_events(Entries=entries[begin : begin + 10])
            assert answer["FailedEntryCount"] == 0

    def messages(self, queue: str) -> int:
        """How many messages a queue holds, those too that somebody is working on."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.shop.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > ends_at:
                pytest.fail(f"not within {PATIENCE_SECONDS:g} s")
            time.sleep(0.1)


@pytest.fixture(scope="module")
def consumer(shop: Shop) -> Iterator[Consumer]:
    """The example in a stack of its own on Packshot's bus."""
    session = boto3.Session("test", "test", region_name=shop.cloud.region)

    def root(service: str) -> Any:
        return session.client(service, endpoint_url=shop.cloud.endpoint_url)  # type: ignore[call-overload]

    packaged = package(TEMPLATE, ARTIFACTS_BUCKET)
    for key, body in packaged.objects.items():
        root("s3").put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=body)
    cloudformation = root("cloudformation")
    bus = {"ParameterKey": "EventBusName", "ParameterValue": shop.cloud.outputs["EventBusName"]}
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateBody=packaged.template_body.decode(),
        Parameters=[bus],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    (stack,) = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    yield Consumer(shop, root, outputs)
    cloudformation.delete_stack(StackName=STACK_NAME)


def completions(shop: Shop, keys: Collection[str]) -> list[Event]:
    """The different completions of photos, in the order in which they were told first."""
    found = [event for event in shop.seen if event["detail-type"] == COMPLETED and about(event) in keys]
    return list({event["detail"]["id"]: event for event in found}.values())


def shown(detail: dict[str, Any]) -> dict[str, Any]:
    """What the catalogue has to say of a photo after this event of it."""
    names = ("scene", "bucket", "key", "version_id", "width", "height", "bytes")
    return {
        "product": detail["sku"] or detail["photo"]["key"],
        "photo": detail["photo"]["key"],
        "event_id": detail["id"],
        "completion_order": detail["order"],
        "images": [{name: image[name] for name in names} for image in detail["images"]],
        "failed_scenes": [],
        "images_count": len(detail["images"]),
        "manifest": detail["manifest"],
    }


def uploads(shop: Shop, colours: Mapping[str, str]) -> None:
    """Photos, by their keys, are uploaded at once, and waited for until they are complete."""
    known = len(completions(shop, colours))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda key: shop.upload(key, packshot(colour=colours[key])), colours))
    shop.listen_until(lambda: len(completions(shop, colours)) == known + len(colours))


def test_the_catalogue_ends_with_what_is_newest_however_often_and_in_whichever_order_it_is_told(
    shop: Shop, consumer: Consumer
) -> None:
    front, back, plain = (f"products/{name}.jpg" for name in ("sku-4711/front", "sku-4711/back", "plain"))
    uploads(shop, {front: "red", back: "red", plain: "red"})
    uploads(shop, {front: "blue"})
    # What was told first of the front comes again, as its newest.
    uploads(shop, {front: "red"})

    told = completions(shop, {front, back, plain})
    of_front = [event["detail"] for event in told if about(event) == front]
    assert len(of_front) == 3
    assert [detail["order"] for detail in of_front] == sorted({detail["order"] for detail in of_front})
    newest = {about(event): event["detail"] for event in told}
    right = {("4711", front): newest[front], ("4711", back): newest[back], (plain, plain): newest[plain]}
    expected = {key: shown(detail) for key, detail in right.items()}

    assert consumer.catalogue() == expected
    images = shop.cloud.outputs["OutputBucketName"]
    head = shop.s3.head_object(Bucket=images, Key=expected["4711", front]["images"][0]["key"])
    assert head["VersionId"] == expected["4711", front]["images"][0]["version_id"]

    consumer.hear(told[::-1] * 2)
    assert consumer.catalogue() == expected
    for seed in range(2):
        consumer.forget()
        again = told[::-1] * 2
        if seed:
            random.Random(seed).shuffle(again)
        consumer.hear(again)
        assert consumer.catalogue() == expected


def test_what_nobody_knows_is_kept_aside_and_holds_up_nothing_else(shop: Shop, consumer: Consumer) -> None:
    example = json.loads((TEMPLATE.parents[2] / "events/examples/photo-completed.json").read_text())
    of_another_version = {**example, "detail": {**example["detail"], "version": "2", "sku": "another"}}
    queue = consumer.outputs["CompletedQueueUrl"]
    # What failed comes again after that, five times.
    shop.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    for event in (of_another_version, example):
        shop.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))
    consumer.wait_until(lambda: consumer.messages("CompletedDeadLetterQueueUrl") == 1)
    products = {product for product, _ in consumer.catalogue()}
    assert example["detail"]["sku"] in products
    assert "another" not in products


def test_a_consumer_that_was_down_catches_up_by_a_replay(shop: Shop, consumer: Consumer) -> None:
    """The local cloud takes no archive in a stack, so it is made beside it as the template has it."""
    events = consumer.root("events")
    bus_name = shop.cloud.outputs["EventBusName"]
    bus = events.describe_event_bus(Name=bus_name)["Arn"]
    pattern = package(TEMPLATE_FILE, ARTIFACTS_BUCKET).template["Resources"]["EventArchive"]["Properties"][
        "EventPattern"
    ]
    archive = events.create_archive(
        ArchiveName="archive", EventSourceArn=bus, EventPattern=json.dumps(pattern), RetentionDays=1
    )["ArchiveArn"]
    rule = consumer.outputs["CompletedRuleArn"]
    rule_name = rule.rpartition("/")[2]
    began = datetime.now(UTC)

    events.disable_rule(Name=rule_name, EventBusName=bus_name)
    photos = {"outage/sku-1/mug.jpg": "red", "outage/sku-2/jug.jpg": "blue"}
    uploads(shop, photos)
    missed = {event["detail"]["sku"]: event["detail"] for event in completions(shop, photos)}
    assert set(missed) == {"1", "2"}
    assert not missed.keys() & {product for product, _ in consumer.catalogue()}

    events.enable_rule(Name=rule_name, EventBusName=bus_name)
    events.start_replay(
        ReplayName="after-the-outage",
        EventSourceArn=archive,
        EventStartTime=began - timedelta(seconds=1),
        EventEndTime=datetime.now(UTC) + timedelta(seconds=1),
        Destination={"Arn": bus, "FilterArns": [rule]},
    )
    consumer.wait_until(lambda: events.describe_replay(ReplayName="after-the-outage")["State"] == "COMPLETED")
    catalogue = consumer.catalogue()
    for sku, detail in missed.items():
        assert catalogue[sku, detail["photo"]["key"]] == shown(detail)
    events.delete_archive(ArchiveName="archive")
