"""The promises about photos as wholes: how each is planned, its manifest, and that it is told to be complete.

What manifests and events say is held against the rows as they were: every write has its moment, a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from packshot.job import ENDINGS, JobState
from packshot.job_table import PhotoRow
from packshot.paths import MANIFEST
from packshot.photo import Photo, comparable_sequencer

if TYPE_CHECKING:
    from tests.simulation.cloud import Cloud

Row = Mapping[str, Any]
Item = TypeVar("Item")
COMPLETED = "Photo Completed"
# What a manifest says of a job in the words of its row; of its parameters, it says the prompt.
_IN_MANIFEST = (
    "job_id",
    "state",
    "cause",
    "image",
    "seed",
    "request_id",
    "inference_seconds",
    "cost_usd",
    "error",
)


@dataclass(frozen=True)
class Plan:
    """An upload and its jobs, from the moment at which they became the newest under its key."""

    photo: Photo
    job_ids: tuple[str, ...]
    since: int

    def is_of(self, said: Mapping[str, Any], job_ids: set[str]) -> bool:
        """Whether it is the photo that an event or a manifest speaks of; only versions tell all apart."""
        names = ("bucket", "key", "version_id", "etag")
        same = all(said[name] == getattr(self.photo, name) for name in names)
        return same and job_ids == set(self.job_ids)


@dataclass(frozen=True)
class Write:
    """A manifest that was put, and when."""

    manifest: dict[str, Any]
    at: int


class _Seen(list[Item]):
    """A list that lets somebody look at each item before it is appended."""

    def __init__(self, look: Any) -> None:
        super().__init__()
        self._look = look

    def append(self, item: Item) -> None:
        self._look(item)
        super().append(item)


class _Versions(dict[str, list[Any]]):
    """The output bucket, each manifest seen."""

    def __init__(self, watch: PhotoWatch) -> None:
        super().__init__()
        self._watch = watch

    def setdefault(self, key: str, default: Any = None, /) -> list[Any]:
        if key not in self and key.endswith(f"/{MANIFEST}"):
            self[key] = _Seen(lambda version: self._watch.manifest_put(key, version[0]))
        return super().setdefault(key, default)


class _PhotoRows(dict[str, PhotoRow]):
    """The rows of the photos, each plan of one seen."""

    def __init__(self, watch: PhotoWatch) -> None:
        super().__init__()
        self._watch = watch

    def __setitem__(self, owner: str, row: PhotoRow) -> None:
        self._watch.photo_row_written(owner, row)
        super().__setitem__(owner, row)


class PhotoWatch:
    """Sees what is written of photos and told of them, and knows what broke a promise."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._moments = count(1)
        self.broken: list[str] = []
        self._rows: dict[str, list[tuple[int, Row]]] = {}
        self._plans: dict[str, list[Plan]] = {}
        self._writes: dict[str, list[Write]] = {}
        self._content_by_id: dict[str, str] = {}
        self._id_of_fact: dict[tuple[str, tuple[int, ...], str], str] = {}
        cloud.table.photo_rows = _PhotoRows(self)
        cloud.output_bucket.versions = _Versions(self)
        cloud.bus.events = _Seen(self._told)

    # -- at every write --

    def row_written(self, row: Row) -> None:
        self._rows.setdefault(row["job_id"], []).append((next(self._moments), row))

    def photo_row_written(self, owner: str, row: PhotoRow) -> None:
        plans = self._plans.setdefault(owner, [])
        for plan in plans:
            if plan.photo.sequencer == row.photo.sequencer:
                if plan.job_ids != row.job_ids:
                    self.broken.append(f"the upload {_name(row.photo)} was planned again, with other scenes")
                return
        if plans and _order(row.photo) < _order(plans[-1].photo):
            self.broken.append(f"the older upload {_name(row.photo)} was planned after a newer one")
        plans.append(Plan(row.photo, row.job_ids, next(self._moments)))

    def manifest_put(self, key: str, data: bytes) -> None:
        writes = self._writes.setdefault(key, [])
        write = Write(json.loads(data), next(self._moments))
        self.broken += [f"{key}: {wrong}" for wrong in self._wrong_manifest(write, writes[-1:])]
        writes.append(write)

    def _wrong_manifest(self, write: Write, before: list[Write]) -> Iterator[str]:
        """Each is one step from the one before; all it says was so at some moment since that."""
        manifest, since = write.manifest, before[0].at if before else 0
        revision = before[0].manifest["revision"] + 1 if before else 1
        if manifest["revision"] != revision:
            yield f"revision {manifest['revision']} instead of {revision}"
        said = {entry["job_id"] for entry in manifest["scenes"].values()}
        plans = self._plans_of(manifest["photo"], said)
        if not any(until >= since for _, until in plans):
            yield f"it speaks of {manifest['photo']['key']} as nobody had planned it, or of an older one"
        for scene, entry in manifest["scenes"].items():
            stood = [
                until >= since and (row["scene"], _in_manifest(row)) == (scene, entry)
                for _, until, row in self._stood(entry["job_id"])
            ]
            if not any(stood):
                yield f"{entry['job_id'][:6]} was never {entry['state']} in this way since the one before"

    def _told(self, event: tuple[str, dict[str, Any]]) -> None:
        detail_type, detail = event
        if detail_type == COMPLETED:
            self.broken += [f"{detail['photo']['key']}: {wrong}" for wrong in self._wrong_completion(detail)]

    def _wrong_completion(self, detail: dict[str, Any]) -> Iterator[str]:
        content = json.dumps({**detail, "id": None}, sort_keys=True)
        if self._content_by_id.setdefault(detail["id"], content) != content:
            yield f"one id for two completions: {detail}"
        plans = self._plans_of(detail["photo"], _jobs_in(detail))
        if not plans:
            yield f"a completion of jobs that were not planned together: {detail}"
            return
        facts = {(*fact, content) for plan, until in plans for fact in self._facts(plan, until, detail)}
        if not facts:
            yield f"a completion that never was: {detail}"
        # The same may come of two attempts, or of two uploads that no version tells apart.
        if len(facts) == 1 and self._id_of_fact.setdefault(facts.pop(), detail["id"]) != detail["id"]:
            yield f"two ids for one completion: {detail}"

    def _facts(self, plan: Plan, until: int, detail: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Its upload, and the attempts of its jobs, at each moment when all had ended for it, as it is said.

        That is, while it was the newest photo.
        """
        stood = [self._stood(job_id) for job_id in plan.job_ids]
        moments = {plan.since, *(since for each in stood for since, _, _ in each)}
        for moment in moments:
            rows = [row for each in stood for since, end, row in each if since <= moment < end]
            newest = plan.since <= moment < until
            so_it_was = newest and _in_completion(rows) == _said_in_completion(detail)
            if so_it_was and all(self._ended_for(plan.photo, row) for row in rows):
                yield plan.photo.sequencer, tuple(row["attempt"] for row in rows)

    def _ended_for(self, photo: Photo, row: Row) -> bool:
        """Whether a job's ending is one for this photo, not one from before the same photo came again."""
        if row["state"] == JobState.COMPLETED and row["image"]:
            versions = self._cloud.output_bucket.versions[row["image"]["key"]]
            _, metadata = versions[int(row["image"]["version_id"].removeprefix("version-")) - 1]
            return metadata["packshot-sequencer"] == _order(photo)
        return JobState(row["state"]) in ENDINGS - {JobState.COMPLETED, JobState.SUPERSEDED}

    def _plans_of(self, said: Mapping[str, Any], job_ids: set[str]) -> list[tuple[Plan, int]]:
        """The plans that may be meant, each with the moment at which a newer photo was planned."""
        plans = self._plans.get(f"{said['bucket']}/{said['key']}", [])
        untils = [*(plan.since for plan in plans[1:]), _NEVER]
        return [
            (plan, until) for plan, until in zip(plans, untils, strict=False) if plan.is_of(said, job_ids)
        ]

    def _stood(self, job_id: str) -> list[tuple[int, int, Row]]:
        """What a row was, from which moment until which."""
        rows = self._rows.get(job_id, [])
        untils = [*(since for since, _ in rows[1:]), _NEVER]
        return [(since, until, row) for (since, row), until in zip(rows, untils, strict=True)]

    # -- once it is quiet --

    def when_quiet(self) -> Iterator[str]:
        for plans in self._plans.values():
            newest = plans[-1]
            rows = [self._cloud.table.rows[job_id] for job_id in newest.job_ids]
            if all(JobState(row["state"]) in ENDINGS for row in rows) and not self._died(newest):
                yield from self._untold(newest, rows)

    def _untold(self, plan: Plan, rows: Sequence[Row]) -> Iterator[str]:
        """The newest photo's manifest says what the rows say, and an event says that it is complete."""
        writes = self._writes.get(rows[0]["manifest_key"])
        if not writes:
            yield f"{_name(plan.photo)} has ended, and has no manifest"
        elif writes[-1].manifest["scenes"] != {row["scene"]: _in_manifest(row) for row in rows}:
            yield f"the manifest of {_name(plan.photo)} says {writes[-1].manifest}, and its rows do not"
        elif not plan.is_of(writes[-1].manifest["photo"], set(plan.job_ids)):
            yield f"the manifest of {_name(plan.photo)} is another photo's"
        told = [detail for detail_type, detail in self._cloud.bus.events if detail_type == COMPLETED]
        mine = [detail for detail in told if plan.is_of(detail["photo"], _jobs_in(detail))]
        if not any(_said_in_completion(detail) == _in_completion(rows) for detail in mine):
            yield f"nobody was told that {_name(plan.photo)} is complete"
        # A consumer that keeps the newest of all that it hears of a key, in whichever order, has what is.
        heard = [detail for detail in told if _place(detail["photo"]) == _place(plan.photo.model_dump())]
        newest = max((detail["order"] for detail in heard), default="")
        kept = [_said_in_completion(detail) for detail in heard if detail["order"] == newest]
        if any(said != _in_completion(rows) for said in kept):
            yield f"the newest completion of {plan.photo.key} is not what its rows say"

    def _died(self, plan: Plan) -> bool:
        """Whether a message about this upload or one of its jobs failed too often."""
        return any(
            letter.body in plan.job_ids
            or (isinstance(letter.body, Photo) and letter.body.sequencer == plan.photo.sequencer)
            for letter in self._cloud.dead_letters
        )


_NEVER = 1 << 62


def _name(photo: Photo) -> str:
    return f"{photo.key}#{photo.sequencer}"


def _order(photo: Photo) -> str:
    return comparable_sequencer(photo.sequencer)


def _place(photo: Mapping[str, Any]) -> tuple[str, str]:
    return photo["bucket"], photo["key"]


def _jobs_in(detail: Mapping[str, Any]) -> set[str]:
    return {entry["job_id"] for entry in detail["images"] + detail["failures"]}


def _in_manifest(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in _IN_MANIFEST} | {"prompt": row["parameters"]["prompt"]}


def _in_completion(rows: Sequence[Row]) -> tuple[list[Any], list[Any]]:
    """The images and the failures, as the rows have them."""
    images, failures = [], []
    for row in rows:
        known = {name: row[name] for name in ("scene", "job_id")}
        if row["state"] == JobState.COMPLETED and row["image"]:
            images.append({**row["image"], **known, "seed": row["seed"]})
        else:
            failures.append({**known, "state": row["state"], "reason": row["error"]})
    return images, failures


def _said_in_completion(detail: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    return detail["images"], detail["failures"]
