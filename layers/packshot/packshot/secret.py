"""The API key, in Secrets Manager."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from packshot.aws import CONFIG
from packshot.segmind import NoApiKeyError, ReadKey

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CACHE_SECONDS = 300


@dataclass
class _Kept:
    key: str = ""
    until: float = 0.0


def secrets_client() -> SecretsManagerClient:
    """A client of Secrets Manager: botocore's own, since a cold start would import boto3 for nothing else."""
    client = botocore.session.get_session().create_client("secretsmanager", config=CONFIG)
    return cast("SecretsManagerClient", client)


def api_key_reader(secret_arn: str) -> ReadKey:
    """A function that reads the key, from the cache of this process unless it is asked for a fresh one.

    It raises NoApiKeyError while the secret is empty, as the stack makes it, cannot be read, or holds what no
    header can carry.
    """
    client, kept = secrets_client(), _Kept()

    def read_key(fresh: bool) -> str:
        if fresh or time.monotonic() >= kept.until:
            kept.key, kept.until = _read(client, secret_arn), time.monotonic() + CACHE_SECONDS
        return kept.key

    return read_key


def _read(client: SecretsManagerClient, secret_arn: str) -> str:
    try:
        key = client.get_secret_value(SecretId=secret_arn).get("SecretString", "").strip()
    except ClientError as error:
        # An empty secret is ResourceNotFoundException.
        code = error.response["Error"]["Code"]
        raise NoApiKeyError(f"the API key's secret cannot be read: {code}") from None
    except BotoCoreError as error:
        raise NoApiKeyError(f"the API key's secret cannot be read: {type(error).__name__}") from None
    if not key or not key.isascii() or not key.isprintable():
        raise NoApiKeyError("the API key's secret holds no usable key")
    return key
