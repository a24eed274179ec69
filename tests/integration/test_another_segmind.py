"""The same stack against a Segmind server that the local cloud did not start, with the photos inline."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import boto3
import requests

from tests.emulator_server import emulator_in_thread
from tests.photos import packshot
from tests.recorded import recorded_cloud
from tests.shop import Shop

KEY = "SG_0123456789abcdef"


def test_photos_travel_inline_to_another_server() -> None:
    photo = packshot(colour="maroon")
    with (
        emulator_in_thread(api_key=KEY) as segmind,
        recorded_cloud(
            segmind_url=segmind.url,
            api_key=KEY,
            wait_scale=0.05,
            # A bucket of the owner's, with versions: it is the very version that travels.
            parameters={"ImageTransfer": "inline", "ExistingInputBucketName": "photos-of-the-owner"},
        ) as shop,
    ):
        _owner(shop, "s3").put_bucket_versioning(
            Bucket="photos-of-the-owner", VersioningConfiguration={"Status": "Enabled"}
        )
        shop.upload("inline/boot.jpg", photo)
        event = shop.event("inline/boot.jpg", "Scene Generated")

        assert shop.image(event["image"]["key"]).format == "WEBP"
        (accepted,) = segmind.requests()
        encoded = base64.b64encode(photo)
        assert hashlib.sha256(encoded).hexdigest() in accepted["body"]["image_1"]
        assert segmind.counts()["keys_seen_on_file_host"] == 0


def test_without_a_key_photos_wait_and_nothing_is_sent() -> None:
    with (
        emulator_in_thread(api_key=KEY) as segmind,
        recorded_cloud(segmind_url=segmind.url, wait_scale=0.05) as shop,
    ):
        shop.upload("early/boot.jpg", packshot())
        event = shop.event("early/boot.jpg", "Scene Parked")

        assert event["cause"] == "key"
        row = shop.row(event["job_id"])
        assert (row["state"], row["cause"]) == ("PARKED", "key")
        assert row["due_at"] > row["updated_at"]
        assert segmind.counts()["accepted"] == 0

        secret = {"SecretId": shop.cloud.outputs["ApiKeySecretArn"], "SecretString": KEY}
        _owner(shop, "secretsmanager").put_secret_value(**secret)
        functions = _owner(shop, "lambda")
        (sweep,) = [
            function["FunctionName"]
            for function in functions.list_functions()["Functions"]
            if "SweepFunction" in function["FunctionName"]
        ]
        # Not in a minute, when the next one is due.
        functions.invoke(FunctionName=sweep, Payload=b"{}")
        shop.listen_until(lambda: "Submitting Resumed" in {event["detail-type"] for event in shop.seen})


def test_a_wrong_key_parks_with_the_api_s_words() -> None:
    with (
        emulator_in_thread(api_key=KEY) as segmind,
        recorded_cloud(segmind_url=segmind.url, api_key="SG_wrong_key_000", wait_scale=0.05) as shop,
    ):
        shop.upload("wrong/boot.jpg", packshot())
        event = shop.event("wrong/boot.jpg", "Scene Parked")

        assert event["cause"] == "key"
        assert "401" in event["reason"]["message"]
        assert requests.get(f"{segmind.url}/_emulator/counts", timeout=5).json()["accepted"] == 0


def _owner(shop: Shop, service: str) -> Any:
    """A client with the rights of whoever owns the account: the stack's operator may do less."""
    root = boto3.Session("test", "test", region_name=shop.cloud.region)
    return root.client(service, endpoint_url=shop.cloud.endpoint_url)  # type: ignore[call-overload]
