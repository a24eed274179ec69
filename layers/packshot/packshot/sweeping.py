"""What is due comes back: a message for each job whose time has come, for SubmitFunction to go on with.

The sweep decides nothing about a job. Whoever gets the message looks at the row; one too many does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packshot.gatekeeper import Gatekeeper
from packshot.job import ParkedCause
from packshot.job_table import JobTable
from packshot.upload_queue import UploadQueue

# Messages a sweep for jobs that are not parked: most of them cost no request.
MAX_TURNS = 300
# After the second execution of a job that died, doubled by each that follows.
WAKE_PAUSE = timedelta(seconds=2)
# The longest that SQS holds a message back.
LONGEST_WAKE_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True)
class Sweeper:
    """The collaborators of a sweep; `requests_a_minute` is the plan's."""

    table: JobTable
    queue: UploadQueue
    gatekeeper: Gatekeeper
    requests_a_minute: int
    now: Callable[[], datetime]

    def sweep(self) -> int:
        """Queue what is due, oldest first; how many jobs that were.

        While the gate is closed nothing parked is queued, but for one job when a trial is due; a pause for
        the rate alone is waited for in the queue.
        """
        queued = self._queue(self.table.due(None, MAX_TURNS))
        gate = self.gatekeeper.look()
        parked = self.requests_a_minute
        if any(closure.cause is not ParkedCause.RATE for closure in gate.closures):
            parked = 1 if gate.admits(self.now()) else 0
        left = parked
        for cause in ParkedCause:
            if left > 0:
                left -= self._queue(self.table.due(cause, left))
        return queued + parked - left

    def wake(self, job_id: str, attempt: int) -> None:
        """Queue a job whose execution died: at once, and ever later the more attempts there were.

        What kills each execution at its start would otherwise be paid for many times a second.
        """
        pause = WAKE_PAUSE * 2 ** min(attempt - 2, 10) if attempt > 1 else timedelta()
        self.queue.send_job(job_id, min(pause, LONGEST_WAKE_PAUSE))

    def _queue(self, job_ids: Sequence[str]) -> int:
        for job_id in job_ids:
            # In this order: a message too many is harmless, a job that only seems to be queued would wait.
            self.queue.send_job(job_id)
            self.table.mark_queued(job_id)
        return len(job_ids)
