"""A product catalogue follows Packshot: of each photo it keeps what the newest `Photo Completed` said.

Events come at least once and in any order. Two fields make that harmless: `detail.id` is the same whenever
the same is told, and of two completions of one photo the newer one has the greater `detail.order`.
"""

from __future__ import annotations

import json
import logging
import os
from decimal import Decimal
from functools import cache
from typing import Any

import boto3

VERSION = "1"
NEWER = "attribute_not_exists(event_id) OR (event_id <> :id AND completion_order < :order)"

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take in a batch of messages; those that fail come again alone, and end in the dead-letter queue."""
    failures = []
    for record in event["Records"]:
        try:
            update(json.loads(record["body"], parse_float=Decimal)["detail"])
        except Exception:
            logger.exception("message %s comes again", record["messageId"])
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def update(detail: dict[str, Any]) -> None:
    """Put what an event says in the catalogue, unless that says the same already, or what is newer."""
    item = item_of(detail)
    try:
        catalogue().put_item(
            Item=item,
            ConditionExpression=NEWER,
            ExpressionAttributeValues={":id": item["event_id"], ":order": item["completion_order"]},
        )
    except catalogue().meta.client.exceptions.ConditionalCheckFailedException:
        logger.info("%s is known, or older than what is", detail["id"])


def item_of(detail: dict[str, Any]) -> dict[str, Any]:
    """The catalogue's item of a photo. Raises ValueError for a version of the event that is unknown."""
    if detail["version"] != VERSION:
        raise ValueError(f"version {detail['version']} of the event is not {VERSION}")
    photo = detail["photo"]
    return {
        # A photo without a SKU is a product of its own.
        "product": detail["sku"] or photo["key"],
        "photo": photo["key"],
        "event_id": detail["id"],
        "completion_order": detail["order"],
        "images": [
            {
                name: image[name]
                for name in ("scene", "bucket", "key", "version_id", "width", "height", "bytes")
            }
            for image in detail["images"]
        ],
        "failed_scenes": [failure["scene"] for failure in detail["failures"]],
        # An event lists so many images as fit into it; the manifest has them all.
        "images_count": detail["images_count"],
        "manifest": detail["manifest"],
    }


@cache
def catalogue() -> Any:
    """The table, made once for each Lambda that is kept warm."""
    return boto3.resource("dynamodb").Table(os.environ["CATALOGUE_TABLE_NAME"])
