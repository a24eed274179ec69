"""SweepFunction: every minute what is due, and at once the job of an execution that died."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from packshot.aws import CONFIG
from packshot.event_bus import EventBus
from packshot.gatekeeper import Gatekeeper, count
from packshot.job_table import JobTable
from packshot.secret import api_key_reader
from packshot.segmind import SegmindClient
from packshot.settings import SweepSettings, read_settings
from packshot.sweeping import Sweeper
from packshot.upload_queue import UploadQueue
from packshot.workflow import attempt_of_execution

logger = Logger()
metrics = Metrics()


def now() -> datetime:
    return datetime.now(UTC)


@cache
def sweeper() -> Sweeper:
    settings = read_settings(SweepSettings)
    table = JobTable(boto3.client("dynamodb", config=CONFIG), settings.job_table_name)
    segmind = SegmindClient(settings.segmind_base_url, api_key_reader(settings.api_key_secret_arn))
    bus = EventBus(boto3.client("events", config=CONFIG), settings.event_bus_name)
    return Sweeper(
        table=table,
        gatekeeper=Gatekeeper(
            table, segmind, bus, settings.pace(), settings.image_price_usd, count, now, time.sleep
        ),
        queue=UploadQueue(boto3.client("sqs", config=CONFIG), settings.upload_queue_url),
        requests_a_minute=settings.requests_a_minute,
        now=now,
    )


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    if event.get("source") == "aws.states":
        job_id, attempt = attempt_of_execution(event["detail"]["name"])
        logger.warning(
            "an execution died",
            extra={"job_id": job_id, "attempt": attempt, "status": event["detail"]["status"]},
        )
        sweeper().wake(job_id, attempt)
        return {"queued": 1}
    queued = sweeper().sweep()
    metrics.add_metric(name="JobsQueuedAgain", unit=MetricUnit.Count, value=queued)
    logger.info("sweep", extra={"queued": queued})
    return {"queued": queued}
