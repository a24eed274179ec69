"""`packshot destroy` on a stack with photos and images in it, of more than one version."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from packshot_cli.local_cloud import STACK_NAME, LocalCloud, local_cloud
from tests.commands import packshot_command, started_command


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with local_cloud(segmind_url="http://127.0.0.1:9") as cloud:
        s3 = cloud.session().client("s3")
        for body in (b"one", b"two"):
            s3.put_object(Bucket=cloud.outputs["InputBucketName"], Key="notes.txt", Body=body)
        yield cloud


def _owner(cloud: LocalCloud, service: str) -> Any:
    root = boto3.Session("test", "test", region_name=cloud.region)
    return root.client(service, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]


def _names(cloud: LocalCloud) -> set[str]:
    """The buckets and tables that are there."""
    buckets = _owner(cloud, "s3").list_buckets()["Buckets"]
    tables = _owner(cloud, "dynamodb").list_tables()["TableNames"]
    return {bucket["Name"] for bucket in buckets} | set(tables)


def test_without_a_yes_nothing_is_deleted(cloud: LocalCloud) -> None:
    ran = packshot_command(cloud, "destroy")
    assert ran.returncode == 1
    assert cloud.outputs["InputBucketName"] in ran.stderr
    assert ran.stderr.endswith("Nothing was deleted\n")
    assert cloud.outputs["InputBucketName"] in _names(cloud)


def test_another_stack_is_left_alone(cloud: LocalCloud) -> None:
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    _owner(cloud, "cloudformation").create_stack(StackName="shop", TemplateBody=template)
    ran = packshot_command(cloud, "destroy", "--stack", "shop", "--yes")
    assert ran.returncode == 1
    assert "none of Packshot's" in ran.stderr


def test_what_was_broken_off_goes_on_with_the_same_command(cloud: LocalCloud) -> None:
    with started_command(cloud, "destroy", "--yes") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped: the same command goes on" in stderr
    assert cloud.outputs["JobTableName"] in _names(cloud)


def test_with_a_yes_all_of_it_goes(cloud: LocalCloud) -> None:
    own = {cloud.outputs[name] for name in ("InputBucketName", "OutputBucketName", "JobTableName")}
    assert own <= _names(cloud)
    ran = packshot_command(cloud, "destroy", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert own.isdisjoint(_names(cloud))
    stacks = _owner(cloud, "cloudformation").list_stacks()["StackSummaries"]
    assert {each["StackStatus"] for each in stacks if each["StackName"] == STACK_NAME} == {"DELETE_COMPLETE"}

    again = packshot_command(cloud, "destroy", "--yes")
    assert again.returncode == 1
    assert f"There is no stack {STACK_NAME}" in again.stderr


def test_a_bucket_that_the_owner_brought_stays_with_all_that_is_in_it() -> None:
    brought = {"ExistingInputBucketName": "owner-photos", "ExistingOutputBucketName": "owner-images"}
    with local_cloud(segmind_url="http://127.0.0.1:9", parameters=brought) as cloud:
        for bucket in brought.values():
            _owner(cloud, "s3").put_object(Bucket=bucket, Key="theirs.txt", Body=b"theirs")
        ran = packshot_command(cloud, "destroy", "--yes")
        assert ran.returncode == 0, ran.stderr
        assert "stays as it is: owner-photos, owner-images" in ran.stderr
        assert cloud.outputs["JobTableName"] not in _names(cloud)
        for bucket in brought.values():
            _owner(cloud, "s3").head_object(Bucket=bucket, Key="theirs.txt")
