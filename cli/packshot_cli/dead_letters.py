"""Dead letters: messages that nobody could work on, and how they get back to the queue that they came from.

SQS could move them by itself (StartMessageMoveTask), but without telling which they were; and the local cloud
has no such call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from packshot.messages import JobMessage, UploadMessage, parse_message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_BATCH = 10
# Long polling: a short one may pass over messages that are there.
_WAIT_SECONDS = 1


@dataclass(frozen=True)
class DeadLetterQueue:
    """A queue of dead letters, and the one that they belong in."""

    client: SQSClient
    url: str
    upload_queue_url: str

    def count(self) -> int:
        """How many letters can be received now, about."""
        answer = self.client.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def move(self, most: int) -> Iterator[UploadMessage | JobMessage | None]:
        """Move up to so many letters back, telling each; None is one that cannot be read, and stays.

        A letter is sent before it is deleted: a message too many is harmless.
        """
        left = most
        while left > 0:
            letters = self.client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=min(left, _BATCH), WaitTimeSeconds=_WAIT_SECONDS
            ).get("Messages", [])
            if not letters:
                return
            left -= len(letters)
            for letter in letters:
                message = _readable(letter["Body"])
                if message is not None:
                    self.client.send_message(QueueUrl=self.upload_queue_url, MessageBody=letter["Body"])
                    self.client.delete_message(QueueUrl=self.url, ReceiptHandle=letter["ReceiptHandle"])
                yield message


def _readable(body: str) -> UploadMessage | JobMessage | None:
    try:
        return parse_message(body)
    except ValidationError:
        return None
