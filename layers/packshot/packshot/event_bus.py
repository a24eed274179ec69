"""The event bus that tells the world what became of each photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packshot.events import SOURCE, Event, event_of, pause_event
from packshot.gate import Notice
from packshot.job import Job

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class EventNotTakenError(Exception):
    """The bus did not take an event: try again."""


class EventBus:
    """Puts events on the bus."""

    def __init__(self, client: EventBridgeClient, name: str) -> None:
        self._client = client
        self._name = name

    def announce(self, job: Job) -> None:
        """Tell of the state that a job is in, if that state has an event. Raises EventNotTakenError."""
        event = event_of(job)
        if event is not None:
            self.put(event)

    def announce_pause(self, job: Job, notice: Notice) -> None:
        """Tell that submitting was paused or resumed, which this job found out. Raises EventNotTakenError."""
        self.put(pause_event(job, notice))

    def put(self, event: Event) -> None:
        """Put an event on the bus. Raises EventNotTakenError."""
        answer = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._name,
                    "Source": SOURCE,
                    "DetailType": event.detail_type,
                    "Detail": event.detail,
                    "Resources": [],
                }
            ]
        )
        # PutEvents answers 200 even when the entry was refused.
        if answer["FailedEntryCount"]:
            raise EventNotTakenError(answer["Entries"][0].get("ErrorCode", "unknown"))
