"""The status check as the textbooks have it: one visit, one look."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
import requests
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import BaseModel, event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
tracer = Tracer()
secrets = boto3.client("secretsmanager")
session = requests.Session()


class Waiting(BaseModel):
    """What the state machine carries."""

    job_id: str
    attempt: int
    request_id: str
    unknowns: int = 0
    age_seconds: int = 0
    finished: bool = False
    submitted_at: str
    polling: dict[str, float]
    wait_seconds: int


@cache
def api_key() -> str:
    return str(secrets.get_secret_value(SecretId=os.environ["API_KEY_SECRET_ARN"])["SecretString"])


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
@event_parser(model=Waiting)
def lambda_handler(event: Waiting, context: LambdaContext) -> dict[str, Any]:
    url = f"{os.environ['SEGMIND_BASE_URL']}/v2/requests/{event.request_id}/status"
    answer = session.get(url, headers={"x-api-key": api_key()}, timeout=10)
    status = answer.json()["status"]
    metrics.add_metric(name="Looks", unit=MetricUnit.Count, value=1)
    logger.info("check", extra={"job_id": event.job_id, "status": status})
    event.finished = status in {"COMPLETED", "FAILED"}
    return event.model_dump()
