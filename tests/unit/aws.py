"""Real AWS clients that call nobody: their service models witness the requests that the code makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from packshot.aws import CONFIG


@contextmanager
def no_environment() -> Iterator[None]:
    """Nothing that this machine says of AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


def a_client(service: str, config: Config = CONFIG, region: str = "eu-west-1") -> Any:
    with no_environment():
        session = boto3.Session("AKIAEXAMPLE", "made-up", region_name=region)
        return session.client(service, config=config)  # type: ignore[call-overload]


@contextmanager
def stubbed(client: Any) -> Iterator[Stubber]:
    """Answers as told, in order, and nothing more; every answer has to be asked for."""
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()
