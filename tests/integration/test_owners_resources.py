"""The same stack over buckets and a bus that its owner had before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.leaks import pages
from tests.photos import packshot
from tests.recorded import recorded_cloud
from tests.shop import PATIENCE_SECONDS, Shop

OWNED = {
    "ExistingInputBucketName": "photos-of-the-owner",
    "ExistingOutputBucketName": "images-of-the-owner",
    "ExistingEventBusName": "events-of-the-owner",
    "PhotoPrefix": "catalogue/",
    "DeadlineSeconds": "900",
    "LateSeconds": "60",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with recorded_cloud(wait_scale=0.05, emulator_seconds=0.5, parameters=OWNED) as shop:
        yield shop


def owner(shop: Shop, service: str) -> Any:
    session = boto3.Session("test", "test", region_name=shop.cloud.region)
    return session.client(service, endpoint_url=shop.cloud.endpoint_url)  # type: ignore[call-overload]


def keep_versions(shop: Shop, status: str) -> None:
    owner(shop, "s3").put_bucket_versioning(
        Bucket=OWNED["ExistingOutputBucketName"], VersioningConfiguration={"Status": status}
    )


def logged(shop: Shop) -> Iterator[str]:
    logs = owner(shop, "logs")
    for group in pages(logs, "describe_log_groups", "logGroups"):
        for event in pages(logs, "filter_log_events", "events", logGroupName=group["logGroupName"]):
            yield event["message"]


def test_a_bucket_that_keeps_no_versions_is_told_of_by_name_and_nothing_is_lost(shop: Shop) -> None:
    """The first test of this stack: its functions look once."""
    keep_versions(shop, "Suspended")
    shop.upload("catalogue/early.jpg", packshot(colour="olive"))
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not any("ExistingOutputBucketName: images-of-the-owner" in line for line in logged(shop)):
        assert time.monotonic() < ends_at
        time.sleep(0.1)
    assert not [event for event in shop.seen if event["detail-type"] != "Photo Rejected"]

    keep_versions(shop, "Enabled")
    # Its message comes again, eight times in all, and then would lie in the dead-letter queue.
    shop.upload("catalogue/early.jpg", packshot(colour="olive"))
    shop.event("catalogue/early.jpg", "Scene Generated")


def test_a_photo_goes_from_bucket_to_bucket_and_the_bus_tells(shop: Shop) -> None:
    shop.upload("catalogue/boot.jpg", packshot(colour="maroon"))
    event = shop.event("catalogue/boot.jpg", "Scene Generated")
    image = event["image"]
    assert (image["bucket"], event["photo"]["bucket"]) == ("images-of-the-owner", "photos-of-the-owner")
    assert image["version_id"]
    assert shop.image(image["key"]).format == "WEBP"
    completed = shop.event("catalogue/boot.jpg", "Photo Completed")
    assert completed["manifest"]["bucket"] == "images-of-the-owner"


def test_what_is_outside_the_prefix_stays_alone(shop: Shop) -> None:
    shop.upload("private/letter.jpg", packshot())
    shop.upload("catalogue/sandal.jpg", packshot(colour="teal"))
    shop.event("catalogue/sandal.jpg", "Photo Completed")
    assert not [event for event in shop.seen if event["detail"]["photo"]["key"].startswith("private/")]


def test_the_stack_has_no_bucket_and_no_bus_of_its_own(shop: Shop) -> None:
    found = pages(
        owner(shop, "cloudformation"), "list_stack_resources", "StackResourceSummaries", StackName="packshot"
    )
    kinds = {each["ResourceType"] for each in found}
    assert kinds.isdisjoint({"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::Events::EventBus"})
