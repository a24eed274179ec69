"""Whoever has one of the stack's managed policies may do what it is for, and nothing besides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.commands import packshot_command
from tests.photos import packshot
from tests.recorded import recorded_cloud
from tests.shop import Shop


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with recorded_cloud(wait_scale=0.05, emulator_seconds=0.5, parameters={"PhotoPrefix": "photos/"}) as shop:
        yield shop


def person(shop: Shop, name: str, policy: str) -> tuple[str, str]:
    """The credentials of a user who has one policy of the stack."""
    root = boto3.Session("test", "test", region_name=shop.cloud.region)
    iam: Any = root.client("iam", endpoint_url=shop.cloud.endpoint_url)
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=shop.cloud.outputs[policy])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def s3_of(shop: Shop, credentials: tuple[str, str]) -> Any:
    session = boto3.Session(*credentials, region_name=shop.cloud.region)
    return session.client("s3", endpoint_url=shop.cloud.endpoint_url)


def assert_refused(action: Any, **what: Any) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied|Forbidden|403"):
        action(**what)


def test_an_uploader_runs_packshot_upload_and_may_do_no_more(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "boot.jpg").write_bytes(packshot(colour="maroon"))
    scenes = {"version": 1, "scenes": {"beach": {"prompt": "on a beach", "seed": 1}}}
    (folder / "scenes.json").write_text(json.dumps(scenes), encoding="utf-8")
    uploader = person(shop, "uploader", "UploaderPolicyArn")
    done = packshot_command(
        shop.cloud, "upload", str(tmp_path), "--stack", "packshot", "--yes", credentials=uploader
    )
    assert done.returncode == 0, done.stderr
    event = shop.event("photos/boot.jpg", "Scene Generated")
    assert event["scene"] == "beach"

    s3, photos, images = s3_of(shop, uploader), shop.input_bucket, shop.cloud.outputs["OutputBucketName"]
    assert_refused(s3.delete_object, Bucket=photos, Key="photos/boot.jpg")
    assert_refused(s3.put_object, Bucket=photos, Key="elsewhere/boot.jpg", Body=b"")
    assert_refused(s3.get_object, Bucket=images, Key=event["image"]["key"])
    # Without it, a second `packshot upload` could not tell what stands there already.
    again = packshot_command(
        shop.cloud, "upload", str(tmp_path), "--stack", "packshot", "--yes", credentials=uploader
    )
    assert again.returncode == 0, again.stderr


def test_an_image_reader_reads_images_and_may_do_no_more(shop: Shop) -> None:
    shop.upload("photos/kettle.jpg", packshot(colour="teal"))
    image = shop.event("photos/kettle.jpg", "Scene Generated")["image"]
    s3 = s3_of(shop, person(shop, "reader", "ImageReaderPolicyArn"))
    listed = s3.list_objects_v2(Bucket=image["bucket"])["Contents"]
    assert image["key"] in {found["Key"] for found in listed}
    located = {"Bucket": image["bucket"], "Key": image["key"]}
    assert s3.get_object(**located)["ContentLength"] == image["bytes"]
    assert s3.get_object(**located, VersionId=image["version_id"])["ContentLength"] == image["bytes"]

    assert_refused(s3.put_object, **located, Body=b"")
    assert_refused(s3.delete_object, **located)
    assert_refused(s3.get_object, Bucket=shop.input_bucket, Key="photos/kettle.jpg")
