"""A visit to a request: it is watched for a while, and if it is not over then, visited again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from packshot import segmind_answers as answers
from packshot.polling import (
    UNKNOWN_BELIEVED_AFTER,
    UNKNOWNS_BELIEVED,
    next_wait_seconds,
    window_seconds,
)
from packshot.segmind import NoApiKeyError, SegmindClient
from packshot.workflow import WorkflowState


@dataclass(frozen=True)
class Checker:
    """The collaborators of a status check."""

    segmind: SegmindClient
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    deadline: timedelta

    def check(self, state: WorkflowState) -> WorkflowState:
        """Ask until it is over, or as long as a visit takes.

        What cannot be told now is asked again, until the deadline hands it to Finalize.
        """
        began = self.now()
        while True:
            state, retry_at = self._look(state)
            ends_at = began + timedelta(seconds=window_seconds(state.polling, began - state.submitted_at))
            next_at = self.now() + timedelta(seconds=state.polling.cadence_seconds)
            if retry_at:
                next_at = max(next_at, retry_at)
            if state.finished or next_at > ends_at:
                return state
            self.sleep((next_at - self.now()).total_seconds())

    def _look(self, state: WorkflowState) -> tuple[WorkflowState, datetime | None]:
        """Ask once; and when the API wants to be asked again, if it says so."""
        age = self.now() - state.submitted_at
        if age >= self.deadline:
            # Not asked: an answer that kills this function each time would keep the request from its end.
            return _looked(state, age, finished=True, wait_seconds=next_wait_seconds(age)), None
        try:
            outcome = self.segmind.status(state.request_id)
        except NoApiKeyError as error:
            outcome = answers.TryLater(str(error))
        unknowns = 0
        match outcome:
            case answers.Completed() | answers.Failed():
                finished = True
            case answers.Unknown():
                unknowns = state.unknowns + 1
                finished = age >= UNKNOWN_BELIEVED_AFTER and unknowns >= UNKNOWNS_BELIEVED
            case answers.Pending() | answers.TryLater():
                finished = False
        wait_seconds, retry_at = next_wait_seconds(age), None
        if isinstance(outcome, answers.TryLater) and outcome.retry_at:
            # Never past the deadline: the record of a request that is paid lives hardly longer than that.
            retry_at = min(outcome.retry_at, state.submitted_at + self.deadline)
            wait_seconds = max(wait_seconds, int((retry_at - self.now()).total_seconds()) + 1)
        looked = _looked(state, age, finished=finished, wait_seconds=wait_seconds, unknowns=unknowns)
        return looked, retry_at


def _looked(state: WorkflowState, age: timedelta, **seen: Any) -> WorkflowState:
    return replace(state, age_seconds=int(age.total_seconds()), **seen)


def is_first_late_look(before: WorkflowState, after: WorkflowState, late_after: timedelta) -> bool:
    """Whether the look between them was the first that found the request late, and not at its end."""
    late_seconds = late_after.total_seconds()
    return not after.finished and before.age_seconds < late_seconds <= after.age_seconds
