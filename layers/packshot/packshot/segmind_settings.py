"""Where Segmind is, and which secret holds its key.

Every function needs that, and CheckStatusFunction no more: it would load pydantic for nothing else.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

BASE_URL_PATTERN = r"^https?://[^\s/]+"


class SettingError(Exception):
    """A variable of the environment is missing or wrong; the message begins with its name."""


@dataclass(frozen=True)
class SegmindSettings:
    """The base URL of the API, and the ARN of the API key's secret."""

    segmind_base_url: str
    api_key_secret_arn: str


def read_segmind_settings() -> SegmindSettings:
    """Read them from the environment. Raises SettingError."""
    base_url = os.environ.get("SEGMIND_BASE_URL", "")
    if not re.match(BASE_URL_PATTERN, base_url):
        raise SettingError("SEGMIND_BASE_URL has to be the http or https URL of Segmind's API")
    secret_arn = os.environ.get("API_KEY_SECRET_ARN", "")
    if not secret_arn:
        raise SettingError("API_KEY_SECRET_ARN has to be the ARN of the API key's secret")
    return SegmindSettings(base_url, secret_arn)
