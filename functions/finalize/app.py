"""FinalizeFunction: every ending of a request."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from packshot.announcing import Announcer
from packshot.aws import CONFIG
from packshot.downloads import Downloader
from packshot.event_bus import EventBus
from packshot.finalizing import Finalizer
from packshot.history import RequestHistory
from packshot.http_session import NoRedirectSession
from packshot.image_store import ImageStore
from packshot.job_table import JobTable
from packshot.manifest_store import ManifestStore
from packshot.polling import UNKNOWNS_BELIEVED
from packshot.secret import api_key_reader
from packshot.segmind import SegmindClient
from packshot.settings import FinalizeSettings, read_settings
from packshot.workflow import WorkflowState

logger = Logger()
metrics = Metrics()


def now() -> datetime:
    return datetime.now(UTC)


@cache
def finalizer() -> Finalizer:
    settings = read_settings(FinalizeSettings)
    read_key = api_key_reader(settings.api_key_secret_arn)
    s3 = boto3.client("s3", config=CONFIG)
    table = JobTable(boto3.client("dynamodb", config=CONFIG), settings.job_table_name)
    return Finalizer(
        table=table,
        segmind=SegmindClient(settings.segmind_base_url, read_key),
        downloader=Downloader(settings.output_hosts, settings.max_image_bytes, NoRedirectSession()),
        images=ImageStore(s3, settings.output_bucket_name, settings.image_cache_control),
        announcer=Announcer(
            EventBus(boto3.client("events", config=CONFIG), settings.event_bus_name),
            table,
            ManifestStore(s3, settings.output_bucket_name),
        ),
        history=RequestHistory(settings.history_url, read_key, NoRedirectSession(), now),
        on_expired_result=settings.on_expired_result,
        deadline=settings.deadline,
        now=now,
    )


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    state = WorkflowState.of_event(event)
    gone = state.unknowns >= UNKNOWNS_BELIEVED
    job = finalizer().finalize(state.job_id, state.attempt, gone=gone, age_seconds=state.age_seconds)
    if job is None:
        logger.warning("the job has moved on without this attempt", extra={"job_id": state.job_id})
        return {"job_id": state.job_id, "attempt": state.attempt, "state": None}
    metrics.add_metric(name=f"Job{job.state.title()}", unit=MetricUnit.Count, value=1)
    logger.info("finalize", extra=job.for_log())
    return {"job_id": job.job_id, "attempt": job.attempt, "state": job.state}
