"""The promises, as what must hold of a world at every moment, and once it is quiet.

Written down from what happened (rows, versions, events, the API's ledger), not from what the code says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from packshot import segmind_answers as answers
from packshot.events import DETAIL_TYPES
from packshot.image_store import LATE_PREFIX
from packshot.job import EDGES, ENDINGS, PERSON_DECIDES, JobState
from packshot.paths import MANIFEST
from packshot.photo import Photo, comparable_sequencer
from tests.simulation.photo_promises import PhotoWatch
from tests.simulation.segmind_ledger import Post, painted

if TYPE_CHECKING:
    from tests.simulation.cloud import Cloud

# What a row may be born as: planned, or ended without ever having been sent.
BORN = frozenset({JobState.PLANNED, JobState.REJECTED, JobState.SUPERSEDED})
# A fact: this attempt of this job entered this state, with this version of this image.
Fact = tuple[str, int, str, str | None, str | None]


class Rows(dict[str, dict[str, Any]]):
    """The rows of the job table, each write of them seen."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __setitem__(self, job_id: str, row: dict[str, Any]) -> None:
        self._watch.written(self.get(job_id), row)
        super().__setitem__(job_id, row)


class Watch:
    """Sees every write to the job table, and knows what broke a promise."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.photos = PhotoWatch(cloud)
        self.broken = self.photos.broken
        self.edges: set[tuple[JobState | None, JobState]] = set()
        self.facts: set[Fact] = set()
        self.stored_requests: set[str] = set()
        # The newest sequencer that was known under its photo's key when a job was claimed last.
        self.known_at_claim: dict[str, str] = {}
        self._posts_seen = 0
        cloud.table.rows = Rows(self)

    # -- at every write --

    def written(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> None:
        self.broken += self._wrong_write(old, new)
        self.photos.row_written(new)
        before = JobState(old["state"]) if old else None
        state = JobState(new["state"])
        self.edges.add((before, state))
        if state in DETAIL_TYPES:
            self.facts.add(_fact(new, new["state"]))
        if new["request_id"]:
            self.stored_requests.add(new["request_id"])
        if state is JobState.CLAIMED and before is not state:
            photo = new["photo"]
            self.known_at_claim[new["job_id"]] = self._cloud.table.newest[f"{photo['bucket']}/{photo['key']}"]

    def _wrong_write(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Iterator[str]:
        job, state = new["job_id"][:6], JobState(new["state"])
        if state not in ENDINGS and not _person_decides(new) and not new.get("due_at"):
            yield f"{job} waits as {state} without a due time"
        if new["owes_event"] and not new.get("due_at"):
            yield f"{job} owes an event without a due time"
        if (state is JobState.PARKED) != (new["cause"] is not None):
            yield f"{job} is {state} with the cause {new['cause']}"
        if old is None:
            if state not in BORN:
                yield f"{job} is born as {state}"
            return
        before = JobState(old["state"])
        if before is not state and state not in EDGES[before]:
            yield f"{job} goes from {before} to {state}"
        if before is state and new["request_id"] != old["request_id"]:
            yield f"{job} forgets a request in favour of another, as {state}"
        attempts = new["attempt"] - old["attempt"]
        claimed = state is JobState.CLAIMED and before is not state
        # An execution died, or a person has a request asked again: the name of the one before is used up.
        waits_anew = state is JobState.SUBMITTED and before in {JobState.SUBMITTED, JobState.FAILED}
        if attempts != (1 if claimed else 0) and not (attempts == 1 and waits_anew):
            yield f"{job} has {attempts} attempts more on the way from {before} to {state}"
        if _order(new["photo"]) < _order(old["photo"]):
            yield f"{job} goes back to an older photo"
        if claimed and old["owes_event"]:
            yield f"{job} is claimed before the event of {before} was told"

    # -- after every step --

    def at_any_moment(self) -> Iterator[str]:
        yield from self.broken
        yield from self._paid_twice()
        yield from self._older_sent()
        yield from self._older_again()

    def _paid_twice(self) -> Iterator[str]:
        limit = self._cloud.submitter.max_submits_per_job
        jobs = {row["seed"]: row for row in self._cloud.table.rows.values() if row["parameters"]}
        by_seed: dict[int, list[Post]] = {}
        for post in self._cloud.ledger.posts:
            by_seed.setdefault(post.seed, []).append(post)
        for seed, posts in by_seed.items():
            row = jobs[seed]
            paid = sum(post.request is not None and post.request.status != "FAILED" for post in posts)
            ambiguous = sum(self._ambiguous(post) for post in posts)
            if paid > 1 + ambiguous:
                yield f"{row['job_id'][:6]} paid {paid} requests with {ambiguous} ambiguous answers"
            if paid > limit:
                yield f"{row['job_id'][:6]} paid {paid} requests, more than {limit}"

    def _ambiguous(self, post: Post) -> bool:
        """Nobody was told, or whoever was told died before it was stored."""
        if isinstance(post.answer, answers.AnswerLost):
            return True
        untold = post.request is not None and post.request.request_id not in self.stored_requests
        return untold and post.by is not None and post.by.disturbed

    def _older_sent(self) -> Iterator[str]:
        """A photo that was known to be older when its job was claimed is not sent."""
        jobs = {row["seed"]: row for row in self._cloud.table.rows.values() if row["parameters"]}
        new, self._posts_seen = self._cloud.ledger.posts[self._posts_seen :], len(self._cloud.ledger.posts)
        for row in (jobs[post.seed] for post in new):
            if self.known_at_claim[row["job_id"]] > _order(row["photo"]):
                yield f"{row['job_id'][:6]} was sent, though a newer photo was known"

    def _older_again(self) -> Iterator[str]:
        """An older image covers a newer one, for a moment, only where S3 cannot tell: same bytes again."""
        for key, versions in self._cloud.output_bucket.versions.items():
            if key.startswith(LATE_PREFIX) or key.endswith(f"/{MANIFEST}"):
                continue
            for number, (earlier, later) in enumerate(pairwise(versions)):
                covered = later[1]["packshot-sequencer"] < earlier[1]["packshot-sequencer"]
                if covered and earlier[0] not in [data for data, _ in versions[:number]]:
                    yield f"an older photo's image replaced a newer one's at {key}"

    # -- once it is quiet --

    def when_quiet(self) -> Iterator[str]:
        yield from self.at_any_moment()
        yield from self._without_an_end()
        yield from self._lost_uploads()
        yield from self._older_images()
        yield from self._events()
        yield from self.photos.when_quiet()

    def _without_an_end(self) -> Iterator[str]:
        for row in self._cloud.table.rows.values():
            job, state = row["job_id"][:6], JobState(row["state"])
            if state not in ENDINGS and not _person_decides(row):
                yield f"{job} is {state} for ever"
            if row.get("due_at") or row["owes_event"]:
                yield f"{job} is {state} and still due, or owes its event"
        if self._cloud.executions:
            yield f"still running: {[execution.name for execution in self._cloud.executions]}"
        for message in self._cloud.dead_letters:
            # A held lease costs a receive, too: it alone may not bring a message there.
            if message.failures <= message.receives / 2:
                yield f"{message} is in the dead-letter queue, and failed {message.failures} times"

    def _lost_uploads(self) -> Iterator[str]:
        rows = self._cloud.table.rows.values()
        for photo in self._cloud.input.uploads:
            if self._dead(photo):
                continue
            if not self._is_known(photo):
                yield f"nothing is known of the upload {photo.key}#{photo.sequencer}"
            here = (photo.key, photo.sequencer)
            ends = [row for row in rows if not row["parameters"] and _of_photo(row) == here]
            if len(ends) > 1:
                states = [row["state"] for row in ends]
                yield f"the upload {photo.key}#{photo.sequencer} ended more than once: {states}"

    def _is_known(self, photo: Photo) -> bool:
        """Whether an upload was planned, or ended; the same photo again, told too late, changes nothing."""
        here = (photo.key, photo.sequencer)
        if here in self._cloud.table.uploads or self._ended(*here):
            return True
        same = any(_same_work(row, photo) for row in self._cloud.table.rows.values())
        return same and not self._cloud.table.is_newest(photo)

    def _older_images(self) -> Iterator[str]:
        """Each path shows the image of the newest photo that came to one."""
        rows = self._cloud.table.rows
        planned = sorted(
            (comparable_sequencer(sequencer), key, job_ids)
            for (key, sequencer), job_ids in self._cloud.table.uploads.items()
        )
        for path in {row["image_key"] for row in rows.values() if row["image_key"]}:
            for sequencer, key, job_ids in reversed(planned):
                job = next((rows[job_id] for job_id in job_ids if rows[job_id]["image_key"] == path), None)
                if job is None:
                    continue
                newest = self._cloud.table.newest[f"{job['photo']['bucket']}/{key}"] == sequencer
                if newest and job["state"] == JobState.SUPERSEDED:
                    yield f"{job['job_id'][:6]} is SUPERSEDED, and its photo is the newest"
                if job["image"] or self._is_current(path, job["job_id"]):
                    yield from self._wrong_image(path, job)
                    break

    def _ended(self, key: str, sequencer: str) -> bool:
        """Whether an upload has an ending of its own, without a job."""
        rows = self._cloud.table.rows.values()
        return any(not row["parameters"] and _of_photo(row) == (key, sequencer) for row in rows)

    def _is_current(self, path: str, job_id: str) -> bool:
        """Whether a job's image stands at a path: it may, and the job have failed after it was put."""
        _, metadata = self._cloud.output_bucket.versions.get(path, [(b"", {})])[-1]
        return metadata.get("packshot-job-id") == job_id

    def _wrong_image(self, path: str, job: Mapping[str, Any]) -> Iterator[str]:
        versions = self._cloud.output_bucket.versions.get(path)
        if not versions:
            yield f"there is no image at {path}"
        elif versions[-1][0] != painted(job["seed"]):
            yield f"the image at {path} is not that of the newest photo, {job['photo']['sequencer']}"
        elif job["image"] and job["image"]["version_id"] != f"version-{len(versions)}":
            yield f"the row of {job['job_id'][:6]} names another version than the current one at {path}"

    def _dead(self, photo: Photo) -> bool:
        """Whether nobody was ever told of an upload, for its message failed too often."""
        return any(
            isinstance(message.body, Photo) and message.body.sequencer == photo.sequencer
            for message in self._cloud.dead_letters
        )

    def _events(self) -> Iterator[str]:
        ids: dict[str, Fact] = {}
        told: dict[Fact, str] = {}
        states = {detail_type: state for state, detail_type in DETAIL_TYPES.items()}
        for detail_type, detail in self._cloud.bus.events:
            if detail_type not in states:
                continue
            fact = _fact(detail, states[detail_type])
            if ids.setdefault(detail["id"], fact) != fact:
                yield f"one id for two facts: {fact}, {ids[detail['id']]}"
            if told.setdefault(fact, detail["id"]) != detail["id"]:
                yield f"two ids for one fact: {fact}"
            if fact not in self.facts:
                yield f"an event of what never was: {fact}"
        for fact in self.facts - set(told):
            yield f"nobody was told: {fact}"
        yield from self._pauses()

    def _pauses(self) -> Iterator[str]:
        """A gate that nobody waits at may stay closed, for the next job to try."""
        gate = self._cloud.table.standing_gate
        if gate.owed:
            yield f"the gate owes events: {gate.owed}"
        paused, resumed = (
            {detail["id"] for name, detail in self._cloud.bus.events if name == f"Submitting {change}"}
            for change in ("Paused", "Resumed")
        )
        if len(paused) != len(resumed) + len(gate.closures):
            yield f"{len(paused)} pauses were told of, and {len(resumed)} resumptions"


def _of_photo(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["photo"]["key"], row["photo"]["sequencer"]


def _fact(of: Mapping[str, Any], state: str) -> Fact:
    """From a row or from the detail of an event, which name these things alike."""
    image = of["image"] or {"key": None, "version_id": None}
    return of["job_id"], of["attempt"], state, image["key"], image["version_id"]


def _person_decides(row: Mapping[str, Any]) -> bool:
    decides = row["error"] is not None and row["error"]["code"] == PERSON_DECIDES
    return row["state"] == JobState.UNCERTAIN and decides


def _order(photo: Mapping[str, Any]) -> str:
    return comparable_sequencer(photo["sequencer"])


def _same_work(row: Mapping[str, Any], photo: Photo) -> bool:
    """Whether a row is the job of a photo of these bytes."""
    return bool(row["parameters"]) and (row["photo"]["key"], row["photo"]["sha256"]) == (
        photo.key,
        photo.sha256,
    )
