"""`packshot destroy` on a stack with photos and images in it, of more than one version."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from packshot_cli.local_cloud import STACK_NAME, LocalCloud, local_cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with local_cloud(segmind_url="http://127.0.0.1:9") as cloud:
        s3 = cloud.session().client("s3")
        for body in (b"one", b"two"):
            s3.put_object(Bucket=cloud.outputs["InputBucketName"], Key="notes.txt", Body=body)
        yield cloud


def _destroy(cloud: LocalCloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "packshot_cli", "destroy", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_DEFAULT_REGION": cloud.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
    )


def _owner(cloud: LocalCloud, service: str) -> Any:
    root = boto3.Session("test", "test", region_name=cloud.region)
    return root.client(service, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]


def _names(cloud: LocalCloud) -> set[str]:
    """The buckets and tables that are there."""
    buckets = _owner(cloud, "s3").list_buckets()["Buckets"]
    tables = _owner(cloud, "dynamodb").list_tables()["TableNames"]
    return {bucket["Name"] for bucket in buckets} | set(tables)


def test_without_a_yes_nothing_is_deleted(cloud: LocalCloud) -> None:
    ran = _destroy(cloud)
    assert ran.returncode == 1
    assert cloud.outputs["InputBucketName"] in ran.stderr
    assert ran.stderr.endswith("Nothing was deleted\n")
    assert cloud.outputs["InputBucketName"] in _names(cloud)


def test_another_stack_is_left_alone(cloud: LocalCloud) -> None:
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    _owner(cloud, "cloudformation").create_stack(StackName="shop", TemplateBody=template)
    ran = _destroy(cloud, "--stack", "shop", "--yes")
    assert ran.returncode == 1
    assert "none of Packshot's" in ran.stderr


def test_with_a_yes_all_of_it_goes(cloud: LocalCloud) -> None:
    own = {cloud.outputs[name] for name in ("InputBucketName", "OutputBucketName", "JobTableName")}
    assert own <= _names(cloud)
    ran = _destroy(cloud, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert own.isdisjoint(_names(cloud))
    stacks = _owner(cloud, "cloudformation").list_stacks()["StackSummaries"]
    assert {each["StackStatus"] for each in stacks if each["StackName"] == STACK_NAME} == {"DELETE_COMPLETE"}

    again = _destroy(cloud, "--yes")
    assert again.returncode == 1
    assert f"There is no stack {STACK_NAME}" in again.stderr
