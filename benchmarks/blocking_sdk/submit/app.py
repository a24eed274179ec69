"""A photo to an image in one call: the official SDK's `run` blocks until the image is there."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import boto3
import requests
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from segmind import SegmindClient

MODEL = "qwen-image-edit-plus-product-photography"

logger = Logger()
s3 = boto3.client("s3", config=Config(signature_version="s3v4"))


@cache
def segmind() -> SegmindClient:
    secrets = boto3.client("secretsmanager")
    key = secrets.get_secret_value(SecretId=os.environ["API_KEY_SECRET_ARN"])["SecretString"]
    return SegmindClient(api_key=key, base_url=os.environ["SEGMIND_BASE_URL"] + "/v1")


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    for record in event["Records"]:
        detail = json.loads(record["body"])["detail"]
        bucket, key = detail["bucket"]["name"], detail["object"]["key"]
        photo_url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        result = segmind().run(
            MODEL, prompt=os.environ["SCENE_PROMPT"], image_1=photo_url, image_format="webp"
        )
        image = requests.get(result["output"], timeout=30)
        image.raise_for_status()
        image_key = str(PurePosixPath(key).with_suffix("") / "default.webp")
        s3.put_object(
            Bucket=os.environ["OUTPUT_BUCKET_NAME"],
            Key=image_key,
            Body=image.content,
            ContentType="image/webp",
        )
        logger.info("image", extra={"key": image_key})
