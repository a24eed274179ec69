"""The promises, as what must hold of a world at every moment, and once it is quiet.

Written down from what happened (rows, versions, events, the API's ledger), not from what the code says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from packshot import segmind_answers as answers
from packshot.events import COMPLETED, DETAIL_TYPES
from packshot.image_store import LATE_PREFIX
from packshot.job import EDGES, ENDINGS, PERSON_DECIDES, JobState
from packshot.manifest import Manifest, ManifestScene
from packshot.photo import Photo, comparable_sequencer
from tests.simulation.segmind_ledger import Post, painted

if TYPE_CHECKING:
    from tests.simulation.cloud import Cloud

# What a row may be born as: planned, or ended without ever having been sent.
BORN = frozenset({JobState.PLANNED, JobState.REJECTED, JobState.SUPERSEDED})
# A fact: this attempt of this job entered this state, with this version of this image.
Fact = tuple[str, int, str, str | None, str | None]

# A state of a job, the attempt, and the version of its image.
Sight = tuple[str, int, str | None]
# What a completion says: jobs with their images' versions, and jobs with how they ended.
Completion = tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]


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
        self.broken: list[str] = []
        self.edges: set[tuple[JobState | None, JobState]] = set()
        self.facts: set[Fact] = set()
        self.stored_requests: set[str] = set()
        # The newest sequencer that was known under its photo's key when a job was claimed last.
        self.known_at_claim: dict[str, str] = {}
        # By job, every state with its image that its row was in, in order.
        self.history: dict[str, list[Sight]] = {}
        # By upload and scene, the job that it was first planned with.
        self.born: dict[tuple[str, str, str], str] = {}
        self._posts_seen = 0
        self._events_seen = 0
        self._manifests_seen: dict[str, int] = {}
        cloud.table.rows = Rows(self)

    # -- at every write --

    def written(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> None:
        self.broken += self._wrong_write(old, new)
        before = JobState(old["state"]) if old else None
        state = JobState(new["state"])
        self.edges.add((before, state))
        if state in DETAIL_TYPES:
            self.facts.add(_fact(new, new["state"]))
        seen = self.history.setdefault(new["job_id"], [])
        if seen[-1:] != [_sight(new)]:
            seen.append(_sight(new))
        if old is None and new["parameters"]:
            upload = (*_of_photo(new), new["scene"])
            if self.born.setdefault(upload, new["job_id"]) != new["job_id"]:
                self.broken.append(f"{upload} was planned with two sets of parameters")
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
        attempts = new["attempt"] - old["attempt"]
        claimed = state is JobState.CLAIMED and before is not state
        if attempts != (1 if claimed else 0) and not (
            attempts == 1 and before is state is JobState.SUBMITTED
        ):
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
        yield from self._untrue_completions()
        yield from self._untrue_manifests()

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
            if key.startswith(LATE_PREFIX):
                continue
            for number, (earlier, later) in enumerate(pairwise(versions)):
                covered = later[1]["packshot-sequencer"] < earlier[1]["packshot-sequencer"]
                if covered and earlier[0] not in [data for data, _ in versions[:number]]:
                    yield f"an older photo's image replaced a newer one's at {key}"

    def _untrue_completions(self) -> Iterator[str]:
        """At the moment when a photo is told of as completed, all its jobs have ended so."""
        events = self._cloud.bus.events[self._events_seen :]
        self._events_seen += len(events)
        for detail_type, detail in events:
            if detail_type != COMPLETED:
                continue
            images = {each["job_id"]: each["version_id"] for each in detail["images"]}
            failures = {each["job_id"]: each["state"] for each in detail["failures"]}
            upload = self._planned_with([*images, *failures])
            if upload is None:
                yield f"{detail['photo']['key']} was completed with the jobs of no upload"
            for job_id, version_id in images.items():
                if ("COMPLETED", version_id) not in self._was(job_id):
                    yield f"{job_id[:6]} was told of with {version_id}, and never had it"
            for job_id, state in failures.items():
                if state not in ENDINGS or state not in {was for was, _ in self._was(job_id)}:
                    yield f"{job_id[:6]} was told of as {state}, and never ended so"

    def _planned_with(self, job_ids: list[str]) -> tuple[str, str] | None:
        """The upload that was planned with exactly these jobs."""
        uploads = self._cloud.table.uploads.items()
        return next((upload for upload, planned in uploads if sorted(planned) == sorted(job_ids)), None)

    def _was(self, job_id: str) -> list[tuple[str, str | None]]:
        return [(state, version) for state, _, version in self.history[job_id]]

    def _untrue_manifests(self) -> Iterator[str]:
        """Each manifest follows the one before, and says nothing of a job that was no more true by then."""
        for key, versions in self._cloud.manifest_bucket.versions.items():
            manifests = [Manifest.model_validate_json(data) for data, _ in versions]
            begin = max(self._manifests_seen.get(key, 0) - 1, 0)
            self._manifests_seen[key] = len(manifests)
            for earlier, later in pairwise(manifests[begin:]):
                if later.revision != earlier.revision + 1:
                    yield f"revision {later.revision} of {key} follows {earlier.revision}"
                if max(self._sequencers(later)) < min(self._sequencers(earlier)):
                    yield f"an older photo's manifest replaced a newer one's at {key}"
                for name, scene in later.scenes.items():
                    before = earlier.scenes.get(name)
                    if before and before.job_id == scene.job_id and self._at(scene)[-1] < self._at(before)[0]:
                        yield f"the manifest {key} goes back, in {name}"
            for scene in (each for manifest in manifests[-1:] for each in manifest.scenes.values()):
                if not self._at(scene):
                    yield f"the manifest {key} says of {scene.job_id[:6]} what never was"

    def _at(self, scene: ManifestScene) -> list[int]:
        """Where in its history a job was as a manifest says."""
        version_id = scene.image.version_id if scene.image else None
        seen = [(state, version) for state, _, version in self.history[scene.job_id]]
        return [at for at, was in enumerate(seen) if was == (scene.state, version_id)]

    def _sequencers(self, manifest: Manifest) -> list[str]:
        """The order of the uploads that a manifest may be about: those that were planned with its jobs."""
        job_ids = sorted(scene.job_id for scene in manifest.scenes.values())
        uploads = self._cloud.table.uploads.items()
        return [
            comparable_sequencer(sequencer)
            for (_, sequencer), planned in uploads
            if sorted(planned) == job_ids
        ]

    # -- once it is quiet --

    def when_quiet(self) -> Iterator[str]:
        yield from self.at_any_moment()
        yield from self._without_an_end()
        yield from self._lost_uploads()
        yield from self._older_images()
        yield from self._events()
        yield from self._untold_photos()

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
            known = any(_same_work(row, photo) for row in rows)
            if not known and not self._ended(photo.key, photo.sequencer):
                yield f"nothing is known of the upload {photo.key}#{photo.sequencer}"
            here = (photo.key, photo.sequencer)
            ends = [row for row in rows if not row["parameters"] and _of_photo(row) == here]
            if len(ends) > 1:
                states = [row["state"] for row in ends]
                yield f"the upload {photo.key}#{photo.sequencer} ended more than once: {states}"

    def _older_images(self) -> Iterator[str]:
        """Each path shows the image of the newest photo that came to one."""
        rows = self._cloud.table.rows.values()
        for path in {row["image_key"] for row in rows if row["image_key"]}:
            jobs = [row for row in rows if row["image_key"] == path]
            uploads = [photo for photo in self._cloud.input.uploads if photo.key == jobs[0]["photo"]["key"]]
            newest = True
            for photo in reversed(uploads):
                job = next((row for row in jobs if self._led_to(photo, row, newest=newest)), None)
                if job is None:
                    # It came to nothing here; or it was planned, and its scenes are others.
                    newest = newest and (photo.key, photo.sequencer) not in self._cloud.table.uploads
                    continue
                if newest and job["state"] == JobState.SUPERSEDED:
                    yield f"{job['job_id'][:6]} is SUPERSEDED, and its photo is the newest"
                newest = False
                if job["image"] or self._is_current(path, job["job_id"]):
                    yield from self._wrong_image(path, job)
                    break

    def _led_to(self, photo: Photo, row: Mapping[str, Any], *, newest: bool) -> bool:
        """Whether an upload is one that a job stands for; the newest has to be, if it was told of and read.

        The same photo again, told of when a newer one was known already, changes nothing.
        """
        if not _same_work(row, photo):
            return False
        planned = self._cloud.table.uploads.get((photo.key, photo.sequencer))
        if planned is not None and row["job_id"] not in planned:
            # Its scenes were others.
            return False
        if _order(row["photo"]) >= comparable_sequencer(photo.sequencer):
            return True
        return newest and not self._ended(photo.key, photo.sequencer) and not self._dead(photo)

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

    def _untold_photos(self) -> Iterator[str]:
        """Each newest photo whose jobs have ended is told of as what it is, and its manifest says so too."""
        ids: dict[str, str] = {}
        told: set[Completion] = set()
        for detail_type, detail in self._cloud.bus.events:
            if detail_type == COMPLETED:
                content = json.dumps(detail, sort_keys=True)
                if ids.setdefault(detail["id"], content) != content:
                    yield f"one id for two completions: {detail['photo']['key']}"
                told.add(_completion(detail))
        for photo in self._cloud.table.photo_rows.values():
            rows = [self._cloud.table.rows[job_id] for job_id in photo.job_ids]
            if any(row["state"] not in ENDINGS for row in rows) or self._dead(photo.photo):
                continue
            images = [(row["job_id"], row["image"]["version_id"]) for row in rows if _is_made(row)]
            failures = [(row["job_id"], row["state"]) for row in rows if not _is_made(row)]
            if (frozenset(images), frozenset(failures)) not in told:
                yield f"nobody was told that {photo.photo.key}#{photo.photo.sequencer} is complete"
            versions = self._cloud.manifest_bucket.versions.get(rows[0]["manifest_key"], [])
            said = Manifest.model_validate_json(versions[-1][0]).scenes.values() if versions else []
            states = {(each.job_id, each.state, each.image and each.image.version_id) for each in said}
            if states != {(row["job_id"], *_sight(row)[::2]) for row in rows}:
                yield f"the manifest of {photo.photo.key} does not say what the newest photo's rows say"

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


def _sight(row: Mapping[str, Any]) -> Sight:
    return row["state"], row["attempt"], row["image"]["version_id"] if row["image"] else None


def _is_made(row: Mapping[str, Any]) -> bool:
    return row["state"] == JobState.COMPLETED and row["image"] is not None


def _completion(detail: Mapping[str, Any]) -> Completion:
    images = frozenset((each["job_id"], each["version_id"]) for each in detail["images"])
    return images, frozenset((each["job_id"], each["state"]) for each in detail["failures"])


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
