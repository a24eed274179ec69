"""The upload queue, as the application writes to it: jobs that are to be submitted."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from packshot.messages import JobMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class UploadQueue:
    """Sends job messages, and puts received ones off."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send_job(self, job_id: str) -> None:
        """Ask for a job to be submitted, or to be gone on with from where it stands."""
        self._client.send_message(QueueUrl=self._url, MessageBody=JobMessage(job_id=job_id).model_dump_json())

    def hide(self, receipt_handle: str, pause: timedelta) -> None:
        """Let a received message come again after a pause, instead of the queue's visibility time-out."""
        seconds = max(0, math.ceil(pause.total_seconds()))
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )
