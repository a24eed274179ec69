"""The upload queue, as the application writes to it: jobs that are to be submitted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from packshot.messages import JobMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# SQS's own bound on a delay.
MAX_DELAY = timedelta(minutes=15)


class UploadQueue:
    """Sends job messages."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send_job(self, job_id: str, delay: timedelta = timedelta()) -> None:
        """Ask for a job to be submitted, now or after a delay of at most 15 minutes."""
        seconds = max(0, -int(-min(delay, MAX_DELAY).total_seconds() // 1))
        self._client.send_message(
            QueueUrl=self._url, MessageBody=JobMessage(job_id=job_id).model_dump_json(), DelaySeconds=seconds
        )
