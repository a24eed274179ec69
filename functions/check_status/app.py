"""CheckStatusFunction: a visit to a request, for the workflow's loop."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from packshot.check_settings import CheckSettings, read_check_settings
from packshot.checking import Checker, is_first_late_look
from packshot.secret import api_key_reader
from packshot.segmind import SegmindClient
from packshot.workflow import WorkflowState

logger = Logger()


@cache
def settings() -> CheckSettings:
    return read_check_settings()


@cache
def checker() -> Checker:
    return Checker(
        segmind=SegmindClient(settings().segmind_base_url, api_key_reader(settings().api_key_secret_arn)),
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        deadline=settings().deadline,
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    before = WorkflowState.of_event(event)
    state = checker().check(before)
    if is_first_late_look(before, state, settings().late_after):
        logger.warning("a request takes long", extra={**_shown(state), "request_id": state.request_id})
        with single_metric(name="RequestLate", unit=MetricUnit.Count, value=1):
            pass
    logger.info("check", extra={**_shown(state), "finished": state.finished})
    return state.event()


def _shown(state: WorkflowState) -> dict[str, Any]:
    return {"job_id": state.job_id, "attempt": state.attempt, "age_seconds": state.age_seconds}
