"""CheckStatusFunction: a visit to a request, for the workflow's loop."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from packshot.checking import Checker, is_first_late_look
from packshot.secret import api_key_reader
from packshot.segmind import SegmindClient
from packshot.settings import Settings, read_settings
from packshot.workflow import WorkflowState

logger = Logger()
_LATE = {"job_id", "attempt", "request_id", "age_seconds"}


@cache
def checker() -> Checker:
    settings = read_settings(Settings)
    return Checker(
        segmind=SegmindClient(settings.segmind_base_url, api_key_reader(settings.api_key_secret_arn)),
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    before = WorkflowState.model_validate(event)
    state = checker().check(before)
    if is_first_late_look(before, state):
        logger.warning("a request takes long", extra=state.model_dump(include=_LATE))
        with single_metric(name="RequestLate", unit=MetricUnit.Count, value=1):
            pass
    logger.info("check", extra=state.model_dump(include={"job_id", "attempt", "age_seconds", "finished"}))
    return state.model_dump(mode="json")
