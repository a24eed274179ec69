"""The template with each choice that it offers, created for real; and what it refuses, with a sentence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from packshot_cli.local_cloud import (
    ARTIFACTS_BUCKET,
    DEPLOYED_WITHIN_SECONDS,
    LOCAL_PARAMETERS,
    LocalCloud,
    failure,
    local_cloud,
    segmind_parameters,
)

SEGMIND_URL = "http://127.0.0.1:9"
CHOICES: dict[str, dict[str, str]] = {
    "a bucket of the owner's": {"ExistingInputBucketName": "owner-photos", "PhotoPrefix": "catalogue/"},
    "buckets and a bus of the owner's": {
        "ExistingInputBucketName": "owner-photos-2",
        "ExistingOutputBucketName": "owner-images",
        "ExistingEventBusName": "shop/events",
    },
    "the default bus": {"ExistingEventBusName": "default"},
    "alarms": {"AlarmEmail": "somebody@shop.example"},
    "short deadlines": {"LateSeconds": "60", "DeadlineSeconds": "900"},
    "a secret of the owner's": {
        "ApiKeySecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:segmind-AbCdEf"
    },
    "a key of the owner's": {"KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd"},
    "things end": {"OldVersionRetentionDays": "30", "ImageRetentionDays": "365", "LogRetentionDays": "7"},
    "a protected table": {"DeletionProtection": "true"},
    "photos inline": {"ImageTransfer": "inline"},
    "polls count": {"PollsCount": "true", "SegmindPlan": "free"},
    "a plan of its own": {"SegmindPlan": "custom", "RequestsAMinute": "77"},
    **{f"plan {plan}": {"SegmindPlan": plan} for plan in ("pro", "business", "scale")},
    "a person decides": {
        "OnUncertainSubmit": "person",
        "OnExpiredResult": "resubmit",
        "MaxSubmitsPerJob": "1",
    },
    "paths by key": {
        "PathTemplate": "made/{key}/{scene}.{ext}",
        "SkuPattern": "([0-9]+)",
        "SettleSeconds": "900",
    },
}
REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "images end, their old versions never": ({"ImageRetentionDays": "365"}, "OldVersionRetentionDays"),
    "a path that images would share": ({"PathTemplate": "{folder}/{stem}.{ext}"}, "PathTemplate"),
    "an alias": ({"KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:alias/photos"}, "KmsKeyArn"),
    "a plan that there is not": ({"SegmindPlan": "gold"}, "SegmindPlan"),
    "a wildcard": ({"PhotoPrefix": "photos/*"}, "PhotoPrefix"),
    "images that would be photos": (
        {"ExistingInputBucketName": "one-bucket", "ExistingOutputBucketName": "one-bucket"},
        "ExistingOutputBucketName",
    ),
    "images of a bucket that is not ours end": (
        {
            "ExistingOutputBucketName": "owner-images",
            "ImageRetentionDays": "30",
            "OldVersionRetentionDays": "30",
        },
        "ImageRetentionDays",
    ),
    "old versions of buckets that are not ours end": (
        {
            "ExistingInputBucketName": "owner-photos",
            "ExistingOutputBucketName": "owner-images",
            "OldVersionRetentionDays": "30",
        },
        "OldVersionRetentionDays",
    ),
    "a bus by its ARN": (
        {"ExistingEventBusName": "arn:aws:events:us-east-1:000000000000:event-bus/shop"},
        "ExistingEventBusName",
    ),
    "a pace of a plan that has its own": (
        {"SegmindPlan": "pro", "RequestsAMinute": "77"},
        "RequestsAMinute",
    ),
    "no address": ({"AlarmEmail": "operations"}, "AlarmEmail"),
    "a deadline after Segmind forgot": ({"DeadlineSeconds": "3600"}, "DeadlineSeconds"),
    "too many jobs": ({"MaxJobsPerPhoto": "41"}, "MaxJobsPerPhoto"),
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with local_cloud(segmind_url=SEGMIND_URL) as cloud:
        yield cloud


def _client(cloud: LocalCloud, service: str) -> Any:
    root = boto3.Session("test", "test", region_name=cloud.region)
    return root.client(service, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]


def _create(cloud: LocalCloud, name: str, parameters: dict[str, str]) -> str:
    """Create a stack; its name, or why there is none."""
    cloudformation = _client(cloud, "cloudformation")
    given = {**LOCAL_PARAMETERS, **segmind_parameters(SEGMIND_URL), **parameters}
    try:
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=f"{cloud.endpoint_url}/{ARTIFACTS_BUCKET}/template.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            OnFailure="DO_NOTHING",
        )
    except ClientError as error:
        return str(error)
    ends_at = time.monotonic() + DEPLOYED_WITHIN_SECONDS
    while time.monotonic() < ends_at:
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if status == "CREATE_COMPLETE":
            return name
        if status != "CREATE_IN_PROGRESS":
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            return failure(events, cloudformation.describe_events(StackName=name)["OperationEvents"])
        time.sleep(0.05)
    return f"not within {DEPLOYED_WITHIN_SECONDS:g} s"


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_can_be_deployed(cloud: LocalCloud, choice: str) -> None:
    name = f"choice-{list(CHOICES).index(choice)}"
    if bucket := CHOICES[choice].get("ExistingInputBucketName"):
        _client(cloud, "s3").create_bucket(Bucket=bucket)
    assert _create(cloud, name, CHOICES[choice]) == name


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_cannot_work_is_refused_by_its_name(cloud: LocalCloud, refusal: str) -> None:
    parameters, named = REFUSALS[refusal]
    assert named in _create(cloud, f"refused-{list(REFUSALS).index(refusal)}", parameters)
