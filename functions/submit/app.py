"""SubmitFunction: one message of the upload queue, to at most one paid request."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from packshot.announcing import Announcer
from packshot.aws import CONFIG, PRESIGNING_CONFIG
from packshot.event_bus import EventBus
from packshot.gatekeeper import Gatekeeper, count
from packshot.history import RequestHistory
from packshot.http_session import NoRedirectSession
from packshot.image_store import ImageStore
from packshot.job_table import JobTable
from packshot.manifest_store import ManifestStore
from packshot.messages import UploadMessage, parse_message
from packshot.photo_store import PhotoStore
from packshot.planning import NotAPhoto, Planner
from packshot.scenes_store import ScenesStore
from packshot.secret import api_key_reader
from packshot.segmind import SegmindClient
from packshot.settings import SubmitSettings, read_settings
from packshot.submitting import LeaseHeldError, Submitter
from packshot.upload_queue import UploadQueue
from packshot.workflow import Workflow

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)


def now() -> datetime:
    return datetime.now(UTC)


@cache
def upload_queue() -> UploadQueue:
    return UploadQueue(boto3.client("sqs", config=CONFIG), read_settings(SubmitSettings).upload_queue_url)


@cache
def submitter() -> Submitter:
    settings = read_settings(SubmitSettings)
    s3 = boto3.client("s3", config=PRESIGNING_CONFIG)
    table = JobTable(boto3.client("dynamodb", config=CONFIG), settings.job_table_name)
    bus = EventBus(boto3.client("events", config=CONFIG), settings.event_bus_name)
    read_key = api_key_reader(settings.api_key_secret_arn)
    segmind = SegmindClient(settings.segmind_base_url, read_key)
    photos = PhotoStore(s3, settings.image_transfer, settings.max_photo_bytes, settings.deadline)
    announcer = Announcer(bus, table, ManifestStore(s3, settings.output_bucket_name))
    images = ImageStore(s3, settings.output_bucket_name, settings.image_cache_control)
    if settings.existing_output_bucket_name:
        images.check_versions()
    return Submitter(
        planner=Planner(
            photos=photos,
            scenes=ScenesStore(s3, settings.max_photo_bytes, timedelta(seconds=settings.settle_seconds), now),
            table=table,
            announcer=announcer,
            root=settings.root(),
            path_template=settings.path_template,
            sku_pattern=settings.sku_pattern,
            now=now,
        ),
        photos=photos,
        table=table,
        segmind=segmind,
        gatekeeper=Gatekeeper(
            table, segmind, bus, settings.pace(), settings.image_price_usd, count, now, time.sleep
        ),
        history=RequestHistory(settings.history_url, read_key, NoRedirectSession(), now),
        queue=upload_queue(),
        workflow=Workflow(boto3.client("stepfunctions", config=CONFIG), settings.workflow_arn),
        images=images,
        announcer=announcer,
        max_submits_per_job=settings.max_submits_per_job,
        on_uncertain_submit=settings.on_uncertain_submit,
        polls_count=settings.polls_count,
        now=now,
    )


def submit(record: SQSRecord) -> None:
    message = parse_message(record.body)
    try:
        if isinstance(message, UploadMessage):
            job = submitter().upload(message.photo())
        else:
            job = submitter().job(message.job_id)
    except LeaseHeldError as error:
        upload_queue().hide(record.receipt_handle, error.until - now())
        raise
    if isinstance(job, NotAPhoto):
        logger.info("not a photo", extra={"why": job.why})
        return
    metrics.add_metric(name=f"Job{job.state.title()}", unit=MetricUnit.Count, value=1)
    if job.waits_for_a_person:
        metrics.add_metric(name="JobWaitsForAPerson", unit=MetricUnit.Count, value=1)
    logger.info("submit", extra=job.for_log())


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, submit, processor, context)
