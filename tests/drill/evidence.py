"""What was seen in a drill, and what of it breaks a promise. No outside world in here."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from PIL import Image as Pillow

from packshot.events import DETAIL_TYPES
from packshot.job import ENDINGS, Job, JobState, ParkedCause
from packshot_cli.emulator.painter import paint
from tests.drill.plan import STATUS_FAULTS, SUBMIT_FAULTS, Upload

# Answers to a POST after which nobody knows whether it was taken.
AMBIGUOUS = ("502", "reset", "lost")
STATES_BY_DETAIL_TYPE = {detail_type: state for state, detail_type in DETAIL_TYPES.items()}

Event = Mapping[str, Any]


class Sighting(NamedTuple):
    """Where a job was seen in the job table."""

    attempt: int
    state: JobState
    cause: ParkedCause | None


class Fact(NamedTuple):
    """That an attempt of a job entered a state."""

    job_id: str
    attempt: int
    state: JobState


@dataclass
class Sightings:
    """The ways of the jobs, as often as somebody looked."""

    ways: dict[str, list[Sighting]] = field(default_factory=dict)

    def note(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            way = self.ways.setdefault(job.job_id, [])
            sighting = Sighting(job.attempt, job.state, job.cause)
            if not way or way[-1] != sighting:
                way.append(sighting)

    def facts(self) -> set[Fact]:
        """What was seen that has an event."""
        return {
            Fact(job_id, sighting.attempt, sighting.state)
            for job_id, way in self.ways.items()
            for sighting in way
            if sighting.state in DETAIL_TYPES
        }


def fact_of(event: Event) -> Fact:
    detail = event["detail"]
    return Fact(detail["job_id"], detail["attempt"], STATES_BY_DETAIL_TYPE[event["detail-type"]])


@dataclass(frozen=True)
class Evidence:
    """All that a drill leaves behind.

    Events of jobs, `Photo Completed`, and requests are oldest first. `faults` by call and kind and `calls`
    are the emulator's, of the storm. `images` are problems by photo, None for an image that is right.
    """

    uploads: Sequence[Upload]
    delivered_again: int
    jobs: Sequence[Job]
    sightings: Sightings
    events: Sequence[Event]
    completions: Sequence[Event]
    requests: Sequence[Mapping[str, Any]]
    faults: Mapping[tuple[str, str], int]
    calls: Mapping[str, int]
    killed: Mapping[str, int]
    killed_at_work: Mapping[str, int]
    errors_logged: Mapping[str, int]
    images: Mapping[str, str | None]
    dead_letters: Mapping[str, int]
    messages_left: int
    executions: Mapping[str, int]
    left_running: Sequence[str]
    seconds: float

    @property
    def lost_answers(self) -> int:
        """Ambiguous answers to POSTs, as the jobs counted them."""
        return sum(job.lost_answers for job in self.jobs)

    @property
    def ambiguous_answers(self) -> int:
        """The same, from outside: what the emulator did to submits, and what the killer did to submitters."""
        answers = sum(self.faults.get(("submit", kind), 0) for kind in AMBIGUOUS)
        return answers + self.killed_at_work.get("SubmitFunction", 0)

    @property
    def paid(self) -> int:
        return sum(request["status"] == "COMPLETED" for request in self.requests)

    @property
    def facts_told(self) -> dict[Fact, set[str]]:
        """The ids under which each fact was told."""
        told: dict[Fact, set[str]] = {}
        for event in self.events:
            told.setdefault(fact_of(event), set()).add(event["detail"]["id"])
        return told

    def requests_of(self, job: Job) -> list[Mapping[str, Any]]:
        """The requests that were made of a job's photo."""
        path = f"/{job.photo.bucket}/{job.photo.key}"
        return [request for request in self.requests if request["body"]["image_1"].endswith(path)]


def broken_promises(evidence: Evidence) -> list[str]:
    """A line for each promise that was broken; none when all were kept."""
    return [
        *_lost(evidence),
        *_dead_letters(evidence),
        *_paid_twice(evidence),
        *_wrong_images(evidence),
        *_untold(evidence),
        *_incomplete(evidence),
        *_wrong_states(evidence),
        *_unfinished(evidence),
        *_calm(evidence),
    ]


def _lost(evidence: Evidence) -> Iterator[str]:
    jobs_by_key = Counter(job.photo.key for job in evidence.jobs)
    for upload in evidence.uploads:
        if jobs_by_key[upload.key] != 1:
            yield f"lost: {upload.key} has {jobs_by_key[upload.key]} jobs and not one"
    for job in evidence.jobs:
        if job.state is not JobState.COMPLETED:
            why = f": {job.error.code}: {job.error.message}" if job.error else ""
            yield f"lost: {job.photo.key} is {job.state}{why}"


def _dead_letters(evidence: Evidence) -> Iterator[str]:
    for queue, count in evidence.dead_letters.items():
        if count:
            yield f"dead letters: {count} in {queue}"


def _paid_twice(evidence: Evidence) -> Iterator[str]:
    for job in evidence.jobs:
        count = len(evidence.requests_of(job))
        if count > 1 + job.lost_answers:
            yield f"paid twice: {count} requests for {job.photo.key}, {job.lost_answers} ambiguous answers"
    if len(evidence.requests) > len(evidence.jobs) + evidence.ambiguous_answers:
        yield (
            f"paid twice: {len(evidence.requests)} requests for {len(evidence.jobs)} jobs"
            f" and {evidence.ambiguous_answers} ambiguous answers"
        )
    if evidence.lost_answers > evidence.ambiguous_answers:
        yield (
            f"paid twice: the jobs count {evidence.lost_answers} ambiguous answers,"
            f" of {evidence.ambiguous_answers} that there were"
        )


def _wrong_images(evidence: Evidence) -> Iterator[str]:
    for upload in evidence.uploads:
        problem = evidence.images.get(upload.key, "there is none")
        if problem:
            yield f"wrong image: {upload.key}: {problem}"


def _untold(evidence: Evidence) -> Iterator[str]:
    told = evidence.facts_told
    for job in evidence.jobs:
        fact = Fact(job.job_id, job.attempt, job.state)
        if fact.state in DETAIL_TYPES and fact not in told:
            yield f"untold: {job.photo.key} is {job.state}, and no event says so"
    for fact in sorted(evidence.sightings.facts() - told.keys()):
        yield f"untold: attempt {fact.attempt} of {fact.job_id} was {fact.state}, and no event says so"
    for fact, ids in told.items():
        if len(ids) > 1:
            yield f"two ids: {fact.state} of {fact.job_id}, attempt {fact.attempt}, came as {len(ids)} facts"
    facts_by_id: dict[str, set[Fact]] = {}
    for event in evidence.events:
        facts_by_id.setdefault(event["detail"]["id"], set()).add(fact_of(event))
    for event_id, facts in facts_by_id.items():
        if len(facts) > 1:
            yield f"one id for {len(facts)} facts: {event_id}"


def _incomplete(evidence: Evidence) -> Iterator[str]:
    """Each photo is completed once, as its one job says."""
    told: dict[str, dict[str, Event]] = {}
    for event in evidence.completions:
        detail = event["detail"]
        told.setdefault(detail["photo"]["key"], {})[detail["id"]] = detail
    for job in evidence.jobs:
        facts = told.get(job.photo.key, {}).values()
        if len(facts) != 1:
            yield f"incomplete: {job.photo.key} was told of as completed under {len(facts)} ids and not one"
        for detail in facts:
            versions = [image["version_id"] for image in detail["images"]]
            if job.image and versions != [job.image.version_id]:
                yield f"incomplete: {job.photo.key} was told of as completed with {versions}"


def _wrong_states(evidence: Evidence) -> Iterator[str]:
    for job_id, way in evidence.sightings.ways.items():
        for before, after in pairwise(way):
            if before.state in ENDINGS:
                yield f"wrong state: {job_id} was {before.state} and then {after.state}"
            if after.attempt < before.attempt:
                yield f"wrong state: {job_id} went back from attempt {before.attempt} to {after.attempt}"
    for job in evidence.jobs:
        if job.state in ENDINGS and (job.due_at or job.owes_event or job.cause):
            yield f"wrong state: {job.photo.key} is {job.state}, and the sweep still finds it"


def _unfinished(evidence: Evidence) -> Iterator[str]:
    if running := evidence.executions.get("RUNNING", 0):
        yield f"unfinished: {running} executions run on"
    if evidence.messages_left:
        yield f"unfinished: {evidence.messages_left} messages in the upload queue"
    for name in evidence.left_running:
        yield f"unfinished: {name} runs on after the end"


def _calm(evidence: Evidence) -> Iterator[str]:
    """A storm that spared the promises proves nothing."""
    missing = [
        f"{call} met no {kind}"
        for call, kinds in (("submit", SUBMIT_FAULTS), ("status", STATUS_FAULTS))
        for kind in kinds
        if not evidence.faults.get((call, kind))
    ]
    if evidence.delivered_again < len(evidence.uploads):
        missing.append(f"only {evidence.delivered_again} of {len(evidence.uploads)} events came twice")
    if not any(evidence.killed_at_work.values()):
        missing.append("no handler was killed at work")
    ways = evidence.sightings.ways.values()
    if not any(sighting.cause is ParkedCause.CREDITS for way in ways for sighting in way):
        missing.append("no job waited for credits")
    for each in missing:
        yield f"no proof: {each}"


def image_problem(
    upload: Upload, job: Job, request: Mapping[str, Any] | None, image: bytes, metadata: Mapping[str, str]
) -> str | None:
    """Why an image is not what this job asked for, made of this very photo; None when it is.

    The emulator's painter gives the same bytes for the same photo, scene and seed, and for no other.
    """
    if metadata.get("packshot-job-id") != job.job_id:
        return f"its metadata names the job {metadata.get('packshot-job-id')}"
    if request is None:
        return f"the emulator knows no request {job.request_id}"
    if request["seed"] != job.seed:
        return f"it was made with seed {request['seed']} and not {job.seed}"
    try:
        with Pillow.open(io.BytesIO(image)) as opened:
            opened.load()
            image_format = (opened.format or "").lower()
    except (OSError, SyntaxError) as error:
        return f"it cannot be decoded: {error}"
    if image_format != upload.image_format:
        return f"it is {image_format} and not {upload.image_format}"
    body = request["body"]
    asked = {name: body[name] for name in ("prompt", "aspect_ratio", "image_format", "quality")}
    if image != paint(upload.data, **asked, seed=request["seed"]):
        return "it does not show this photo"
    return None
