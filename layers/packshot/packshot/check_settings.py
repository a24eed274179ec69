"""The settings of CheckStatusFunction, apart from the others': it would load pydantic for nothing else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta

BASE_URL_PATTERN = r"^https?://[^\s/]+"


# Forty times the usual: told of once, while there is time for a person to look.
LATE_AFTER = timedelta(minutes=15)
# A request cannot be cancelled and will be paid: giving up early saves nothing. Its record lives one hour.
DEADLINE = timedelta(minutes=50)


class SettingError(Exception):
    """A setting is missing or wrong; the message begins with the name of its parameter."""


@dataclass(frozen=True)
class CheckSettings:
    """Where Segmind is, which secret holds its key, and how long a request may take."""

    segmind_base_url: str
    api_key_secret_arn: str
    late_after: timedelta
    deadline: timedelta


def parameter_of(variable: str) -> str:
    """The template's parameter that a variable of the environment comes from, by the rule of their names."""
    return "".join(part.capitalize() for part in variable.split("_"))


def read_check_settings() -> CheckSettings:
    """Read them from the environment. Raises SettingError."""
    return CheckSettings(
        segmind_base_url=_text(
            "SEGMIND_BASE_URL", BASE_URL_PATTERN, "the http or https URL of Segmind's API"
        ),
        api_key_secret_arn=_text("API_KEY_SECRET_ARN", ".", "the ARN of the API key's secret"),
        late_after=_time("LATE_SECONDS", LATE_AFTER),
        deadline=_time("DEADLINE_SECONDS", DEADLINE),
    )


def _text(variable: str, pattern: str, wanted: str, default: str = "") -> str:
    value = os.environ.get(variable, default)
    if not re.match(pattern, value):
        raise SettingError(f"{parameter_of(variable)} has to be {wanted}")
    return value


def _time(variable: str, default: timedelta) -> timedelta:
    seconds = _text(
        variable, r"[1-9][0-9]{0,5}\Z", "a whole number of seconds, over 0", f"{default.total_seconds():.0f}"
    )
    return timedelta(seconds=int(seconds))
