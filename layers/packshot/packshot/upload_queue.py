"""The upload queue, as the application writes to it: jobs to be submitted, and photos to be planned anew."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING

from packshot.messages import JobMessage, UploadMessage
from packshot.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class UploadQueue:
    """Sends job messages, and puts received ones off."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send_job(self, job_id: str, after: timedelta = timedelta()) -> None:
        """Ask for a job to be submitted, or to be gone on with from where it stands; 15 min later at most."""
        body = JobMessage(job_id=job_id).model_dump_json()
        # Always said, or the queue would hold it back as it does an upload.
        seconds = int(after.total_seconds())
        self._client.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=seconds)

    def send_upload(self, photo: Photo) -> None:
        """Ask for a photo to be planned, as if S3 told of it now."""
        # In ASCII: a key may hold characters that a message may not.
        body = json.dumps(UploadMessage.of(photo).model_dump(by_alias=True))
        self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def hide(self, receipt_handle: str, pause: timedelta) -> None:
        """Let a received message come again after a pause, instead of the queue's visibility time-out."""
        seconds = max(0, math.ceil(pause.total_seconds()))
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )
