"""The settings of each function, read from its environment in this one place, on call.

A missing or wrong value fails with the name of its parameter. CheckStatusFunction's are in `check_settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from packshot.check_settings import BASE_URL_PATTERN, DEADLINE, SettingError, parameter_of
from packshot.gate import Pace
from packshot.paths import DEFAULT_PATH_TEMPLATE, checked_template
from packshot.placeholders import names_in
from packshot.scene import Scene
from packshot.staging import Root, stack_values


def _blank_is_nothing(value: str | None) -> str | None:
    return value or None


def _seconds(value: str) -> timedelta:
    return timedelta(seconds=int(value))


def _comma_separated(value: str | frozenset[str]) -> frozenset[str]:
    if isinstance(value, frozenset):
        return value
    return frozenset(part.strip().casefold() for part in value.split(",") if part.strip())


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None


# A plan is one transaction of at most 100 writes: two for each job, and three.
MAX_JOBS = 40
SkuPattern = Annotated[re.Pattern[str] | None, BeforeValidator(_pattern)]
ImageTransfer = Literal["url", "inline"]
OnUncertainSubmit = Literal["resubmit", "person"]
OnExpiredResult = Literal["fail", "resubmit"]
# Segmind forgets a request after an hour.
Deadline = Annotated[
    timedelta,
    Field(alias="DEADLINE_SECONDS", gt=timedelta(), lt=timedelta(hours=1)),
    BeforeValidator(_seconds),
]
OptionalText = Annotated[str | None, BeforeValidator(_blank_is_nothing)]


class Settings(BaseModel):
    """What every function that talks to Segmind needs."""

    model_config = ConfigDict(frozen=True)

    api_key_secret_arn: Annotated[str, Field(alias="API_KEY_SECRET_ARN", min_length=1)]
    segmind_base_url: Annotated[str, Field(alias="SEGMIND_BASE_URL", pattern=BASE_URL_PATTERN)]


AnySettings = TypeVar("AnySettings", bound=BaseModel)


class GateSettings(Settings):
    """What the functions need that look at the gate."""

    job_table_name: Annotated[str, Field(alias="JOB_TABLE_NAME", min_length=1)]
    event_bus_name: Annotated[str, Field(alias="EVENT_BUS_NAME", min_length=1)]
    requests_a_minute: Annotated[int, Field(alias="REQUESTS_A_MINUTE", ge=1)]
    submit_concurrency: Annotated[int, Field(alias="SUBMIT_CONCURRENCY", ge=1)]
    image_price_usd: Annotated[float, Field(alias="IMAGE_PRICE_USD", gt=0, allow_inf_nan=False)]

    def pace(self) -> Pace:
        """How fast the plan lets requests follow each other."""
        return Pace(self.requests_a_minute, self.submit_concurrency)


class SceneSettings(BaseModel):
    """What the stack says of every photo: its scene, its bounds, where its images go, and what one costs."""

    model_config = ConfigDict(frozen=True)

    image_price_usd: Annotated[float, Field(alias="IMAGE_PRICE_USD", gt=0, allow_inf_nan=False)]
    image_price_date: Annotated[str, Field(alias="IMAGE_PRICE_DATE")] = ""
    photo_prefix: Annotated[str, Field(alias="PHOTO_PREFIX")] = ""
    max_photo_bytes: Annotated[int, Field(alias="MAX_PHOTO_BYTES", gt=0)]
    max_jobs_per_photo: Annotated[int, Field(alias="MAX_JOBS_PER_PHOTO", ge=1, le=MAX_JOBS)] = 20
    path_template: Annotated[
        str, Field(alias="PATH_TEMPLATE", min_length=1), AfterValidator(checked_template)
    ] = DEFAULT_PATH_TEMPLATE
    sku_pattern: Annotated[
        SkuPattern | None, BeforeValidator(_blank_is_nothing), Field(alias="SKU_PATTERN")
    ] = None
    image_transfer: Annotated[ImageTransfer, Field(alias="IMAGE_TRANSFER")] = "url"

    scene_prompt: Annotated[str, Field(alias="SCENE_PROMPT", min_length=1)]
    scene_image_2: Annotated[OptionalText, Field(alias="SCENE_IMAGE_2")] = None
    scene_image_3: Annotated[OptionalText, Field(alias="SCENE_IMAGE_3")] = None
    scene_aspect_ratio: Annotated[str, Field(alias="SCENE_ASPECT_RATIO")]
    scene_image_format: Annotated[str, Field(alias="SCENE_IMAGE_FORMAT")]
    scene_quality: Annotated[int, Field(alias="SCENE_QUALITY")]
    scene_seed: Annotated[int, Field(alias="SCENE_SEED")]
    scene_base64: Annotated[bool, Field(alias="SCENE_BASE64")] = False
    scene_lora: Annotated[str, Field(alias="SCENE_LORA")]
    scene_lora_2_url: Annotated[OptionalText, Field(alias="SCENE_LORA_2_URL")] = None
    scene_lora_3_url: Annotated[OptionalText, Field(alias="SCENE_LORA_3_URL")] = None

    @model_validator(mode="after")
    def _a_sku_is_to_be_had(self) -> Self:
        if self.sku_pattern is None and "sku" in names_in(self.path_template):
            raise PydanticCustomError("sku", "PathTemplate: {{sku}} needs a SkuPattern")
        return self

    def scene(self) -> Scene:
        """The stack's scene, which every photo starts from. Raises SettingError."""
        prefix = "scene_"
        values = {name.removeprefix(prefix): value for name, value in self if name.startswith(prefix)}
        try:
            return Scene.model_validate(values)
        except ValidationError as error:
            raise _setting_error(error, prefix) from None

    def root(self) -> Root:
        """The same, as what scenes files and metadata change. Raises SettingError."""
        return Root(stack_values(self.scene()), self.max_jobs_per_photo, self.photo_prefix)


class SubmitSettings(GateSettings, SceneSettings):
    """What SubmitFunction needs. `settle_seconds` is how long the queue holds an upload back."""

    settle_seconds: Annotated[int, Field(alias="SETTLE_SECONDS", ge=0)] = 0
    upload_queue_url: Annotated[str, Field(alias="UPLOAD_QUEUE_URL", min_length=1)]
    workflow_arn: Annotated[str, Field(alias="WORKFLOW_ARN", min_length=1)]
    deadline: Deadline = DEADLINE
    output_bucket_name: Annotated[str, Field(alias="OUTPUT_BUCKET_NAME", min_length=1)]
    existing_output_bucket_name: Annotated[OptionalText, Field(alias="EXISTING_OUTPUT_BUCKET_NAME")] = None
    image_cache_control: Annotated[OptionalText, Field(alias="IMAGE_CACHE_CONTROL")] = None
    max_submits_per_job: Annotated[int, Field(alias="MAX_SUBMITS_PER_JOB", ge=1)]
    polls_count: Annotated[bool, Field(alias="POLLS_COUNT")] = False
    on_uncertain_submit: Annotated[OnUncertainSubmit, Field(alias="ON_UNCERTAIN_SUBMIT")] = "resubmit"
    history_url: Annotated[OptionalText, Field(alias="HISTORY_URL")] = None


class FinalizeSettings(Settings):
    """What FinalizeFunction needs. Output hosts are `host` or `host:port`, exact and lower case."""

    job_table_name: Annotated[str, Field(alias="JOB_TABLE_NAME", min_length=1)]
    event_bus_name: Annotated[str, Field(alias="EVENT_BUS_NAME", min_length=1)]
    output_bucket_name: Annotated[str, Field(alias="OUTPUT_BUCKET_NAME", min_length=1)]
    output_hosts: Annotated[frozenset[str], BeforeValidator(_comma_separated), Field(alias="OUTPUT_HOSTS")]
    max_image_bytes: Annotated[int, Field(alias="MAX_IMAGE_BYTES", gt=0)]
    image_cache_control: Annotated[OptionalText, Field(alias="IMAGE_CACHE_CONTROL")] = None
    deadline: Deadline = DEADLINE
    on_expired_result: Annotated[OnExpiredResult, Field(alias="ON_EXPIRED_RESULT")] = "fail"
    history_url: Annotated[OptionalText, Field(alias="HISTORY_URL")] = None


class SweepSettings(GateSettings):
    """What SweepFunction needs."""

    upload_queue_url: Annotated[str, Field(alias="UPLOAD_QUEUE_URL", min_length=1)]


def read_settings(kind: type[AnySettings]) -> AnySettings:
    """Read one function's settings from the environment. Raises SettingError."""
    return settings_of(kind, os.environ)


def settings_of(kind: type[AnySettings], variables: Mapping[str, str]) -> AnySettings:
    """Settings of one kind, by the names of their variables. Raises SettingError."""
    try:
        return kind.model_validate(dict(variables))
    except ValidationError as error:
        raise _setting_error(error) from None


def _setting_error(error: ValidationError, prefix: str = "") -> SettingError:
    problem: Any = error.errors(include_url=False)[0]
    if not problem["loc"]:
        # About more than one; it names them itself.
        return SettingError(problem["msg"])
    return SettingError(f"{parameter_of(prefix + str(problem['loc'][0]))}: {problem['msg']}")
