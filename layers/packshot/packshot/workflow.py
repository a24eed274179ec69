"""The workflow that waits for a request: one execution for each attempt of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from packshot.moments import iso
from packshot.polling import Polling

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from packshot.job import Job


@dataclass(frozen=True)
class WorkflowState:
    """What the state machine carries.

    `unknowns` is how many times running the API knew nothing of the request; `finished` says that Finalize
    has work to do.
    """

    job_id: str
    attempt: int
    request_id: str
    submitted_at: datetime
    polling: Polling
    wait_seconds: int
    age_seconds: int = 0
    unknowns: int = 0
    finished: bool = False

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> WorkflowState:
        """The state as the state machine hands it over. Raises KeyError and TypeError."""
        submitted_at = datetime.fromisoformat(event["submitted_at"])
        polling = Polling(**_known(Polling, event.get("polling", {})))
        return cls(**{**_known(cls, event), "submitted_at": submitted_at, "polling": polling})

    def event(self) -> dict[str, Any]:
        """The state as plain data, for the state machine."""
        return {**asdict(self), "submitted_at": iso(self.submitted_at)}


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a newer version may have added, or an older one left out."""
    return {each.name: data[each.name] for each in fields(kind) if each.name in data}


class Workflow:
    """Starts executions, and knows which of them live."""

    def __init__(self, client: SFNClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def start(self, job: Job) -> bool:
        """Wait for a submitted job, unless it is waited for already; False when its attempt was used up.

        All comes from the job's row alone, so a repetition asks for the same. The name of an execution that
        has ended starts nothing for 90 days.
        """
        name = f"{job.job_id}-{job.attempt}"
        state = WorkflowState(
            job_id=job.job_id,
            attempt=job.attempt,
            request_id=job.request_id or "",
            submitted_at=job.submitted_at or job.updated_at,
            polling=job.polling,
            wait_seconds=job.polling.first_wait_seconds,
        )
        try:
            self._client.start_execution(
                stateMachineArn=self._arn, name=name, input=json.dumps(state.event(), separators=(",", ":"))
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            # AWS answers so for one that has ended; the local cloud also for one that runs.
            execution = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
            answer = self._client.describe_execution(executionArn=execution)
            return answer["status"] in {"RUNNING", "PENDING_REDRIVE"}
        return True


def attempt_of_execution(name: str) -> tuple[str, int]:
    """The id of the job that an execution of this name waits for, and which attempt that is."""
    job_id, _, attempt = name.rpartition("-")
    return job_id, int(attempt)
