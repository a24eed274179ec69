"""What is to be told of a job's state: its event, its photo's manifest, and that its photo is complete.

All of it is owed from the write that enters the state until it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packshot.event_bus import EventBus
from packshot.events import ManifestPlace, completion_event
from packshot.job import ENDINGS, Job
from packshot.job_table import JobTable
from packshot.manifest import manifest_of
from packshot.manifest_store import ManifestStore
from packshot.photo import Photo

# The scenes of a photo may end at once, and one of them is first each time.
MANIFEST_SWAPS = 20


class ManifestContendedError(Exception):
    """Others kept changing the manifest meanwhile: try again."""


@dataclass(frozen=True)
class Announcer:
    """Tells the world and the rows: whoever dies in between leaves it owed, and it is done again."""

    bus: EventBus
    table: JobTable
    manifests: ManifestStore

    def announce(self, job: Job) -> Job:
        """Tell what is still to be told of a job, and note that it was; the job as it stands then.

        Raises EventNotTakenError, ManifestContendedError, and whatever AWS raises.
        """
        if not job.owes_event:
            return job
        if job.uploaded_again:
            # Its photo came again: the message for that ends it, and then tells of the photo.
            self.bus.announce(job)
        else:
            self.tell(job)
        return self.table.settle(job)

    def tell(self, job: Job) -> None:
        """Tell of the state of a job, perhaps not for the first time. Raises as `announce` does."""
        self.bus.announce(job)
        if job.state in ENDINGS and job.manifest_key is not None:
            self._tell_of_photo(job, job.manifest_key)

    def _tell_of_photo(self, job: Job, manifest_key: str) -> None:
        for _ in range(MANIFEST_SWAPS):
            # In this order: rows that were read after the manifest are no older than what it says.
            standing = self.manifests.read(manifest_key)
            photo = self.table.close(job)
            if photo is None:
                return
            jobs = self.table.get_all(photo.job_ids)
            if not _are_of(photo.photo, jobs):
                # It came again meanwhile: the rows speak of that upload now, and so do their endings.
                return
            revision = standing.revision + 1 if standing else 1
            manifest = manifest_of(photo.photo, jobs, revision)
            if standing and standing.manifest and manifest.says_the_same(standing.manifest):
                manifest = standing.manifest
                break
            if self.manifests.replace(manifest_key, standing, manifest):
                break
        else:
            raise ManifestContendedError(manifest_key)
        if not photo.open_jobs and all(each.state in ENDINGS for each in jobs):
            place = ManifestPlace(bucket=self.manifests.bucket, key=manifest_key, revision=manifest.revision)
            self.bus.put(completion_event(photo.photo, jobs, place))


def _are_of(photo: Photo, jobs: Sequence[Job]) -> bool:
    """Whether rows still speak of this upload, and not of a newer one of the same photo."""
    return all(job.photo.sequencer == photo.sequencer for job in jobs)
