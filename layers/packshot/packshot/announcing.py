"""A state's event is owed from the write that enters the state until the bus has taken it."""

from __future__ import annotations

from packshot.event_bus import EventBus
from packshot.job import Job
from packshot.job_table import JobTable


def announce(job: Job, bus: EventBus, table: JobTable) -> Job:
    """Tell what is still to be told of a job, and note that it was; the job as it stands then.

    Whoever dies in between leaves the event owed, and it is told again with the same id. Raises
    EventNotTakenError, and whatever AWS raises.
    """
    if not job.owes_event:
        return job
    bus.announce(job)
    return table.settle(job)
