"""The job table in DynamoDB: rows of jobs, photos, uploads and paths in the output bucket; and the gate's.

Every write is conditional on the state it expects, so that no repetition moves a job backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from packshot.events import DETAIL_TYPES
from packshot.gate import Gate
from packshot.inference_times import InferenceTimes
from packshot.job import CLAIMABLE, EDGES, ENDINGS, Job, JobState, ParkedCause, due_group
from packshot.model import MODEL
from packshot.moments import iso
from packshot.photo import Photo, comparable_sequencer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# Longer than the function that holds it may run (docs/operations.md), so that a live holder is never doubted.
LEASE = timedelta(seconds=150)
DUE_INDEX = "due"
GATE_PK = "gate"
INFERENCE_TIMES_PK = f"inference-times#{MODEL}"
# An ending whose event did not get out is looked at again after this.
OWED_DUE = timedelta(minutes=2)
# So long a message that the sweep has sent may take to be worked on, until it is sent again.
QUEUED_DUE = timedelta(minutes=15)


# Two uploads of one photo may be planned at once.
PLAN_SWAPS = 5
# What the condition of a plan's write is about, where it is no path.
_PHOTO, _UPLOAD, _JOB = "#photo", "#upload", "#job"

# Whether a job ends so depends on which photo is the newest.
BY_ORDER = frozenset({JobState.COMPLETED, JobState.SUPERSEDED})


@dataclass(frozen=True)
class Planned:
    """The photo's jobs stand in the table, made now or found there."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class PathOwned:
    """What is made of another photo lives where something of this photo's would go."""

    path: str
    owner: str


@dataclass(frozen=True)
class NewerKnown:
    """A newer photo under the same key was planned already."""


@dataclass(frozen=True)
class Unmoved:
    """The job was not changed; `job` is the row that stood in the way, None when there is no such row."""

    job: Job | None


@dataclass(frozen=True)
class PhotoRow:
    """The newest photo under a key, its jobs in the order of its scenes, and which of them have not ended."""

    photo: Photo
    job_ids: tuple[str, ...]
    open_jobs: frozenset[str]


class PlanContendedError(Exception):
    """Others kept planning the same photo meanwhile: try again."""


class JobTable:
    """The rows, and the few ways in which they change."""

    def __init__(
        self,
        client: DynamoDBClient,
        table_name: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._now = now

    def plan(self, photo: Photo, jobs: Sequence[Job]) -> Planned | PathOwned | NewerKnown:
        """Write the photo's row, its jobs and the paths they will land on, all or nothing.

        Jobs that stand already (the same work, planned with an earlier upload) become this photo's. An upload
        that was planned before is not planned again, whatever its scenes would be today. Raises
        PlanContendedError.
        """
        standing: dict[str, Job] = {}
        for _ in range(PLAN_SWAPS):
            writes = self._plan_writes(photo, jobs, standing)
            try:
                self._client.transact_write_items(TransactItems=[write for _, write in writes])
            except self._client.exceptions.TransactionCanceledException as error:
                failed = [
                    place
                    for (place, _), failed in zip(writes, _failed_conditions(error), strict=True)
                    if failed
                ]
            else:
                return Planned(tuple(self._as_planned(photo, job, standing) for job in jobs))
            planned_before = self.planned_for(photo) if _UPLOAD in failed else []
            if planned_before:
                return Planned(tuple(self.get_all(planned_before)))
            standing = {job.job_id: job for job in self.get_all([job.job_id for job in jobs])}
            for path in failed:
                if path not in {_PHOTO, _UPLOAD, _JOB}:
                    return PathOwned(path, self._owner(path))
            if _PHOTO in failed:
                found = [standing[job.job_id] for job in jobs if job.job_id in standing]
                return Planned(tuple(found)) if len(found) == len(jobs) else NewerKnown()
        raise PlanContendedError(photo.key)

    def _plan_writes(
        self, photo: Photo, jobs: Sequence[Job], standing: Mapping[str, Job]
    ) -> list[tuple[str, TransactWriteItemTypeDef]]:
        """The writes of a plan, each with what its condition is about: photo, upload, a path or a job."""
        owner = f"{photo.bucket}/{photo.key}"
        writes = [(_PHOTO, self._photo_write(photo, jobs)), (_UPLOAD, self._upload_write(photo, jobs))]
        new = [job for job in jobs if job.job_id not in standing]
        # Whose path it is, is told of the first that is taken: of an image, if it is one.
        paths = [*(job.image_key for job in new), *(job.manifest_key for job in jobs[:1])]
        writes += [(path, self._path_write(path, owner)) for path in paths if path]
        writes += [(_JOB, self._new_job_write(job)) for job in new]
        known = [self._as_planned(photo, job, standing) for job in jobs if job.job_id in standing]
        writes += [(_JOB, self._photo_of_job_write(job)) for job in known]
        return writes

    def _as_planned(self, photo: Photo, job: Job, standing: Mapping[str, Job]) -> Job:
        """A job as it stands once planned: one that stood before is the photo's now, whatever it became."""
        if job.job_id not in standing:
            return job
        found = standing[job.job_id]
        changes = {"photo": photo, "manifest_key": job.manifest_key, "uploaded_again": True}
        return found.model_copy(update={**changes, "order_version": found.order_version + 1})

    def close(self, job: Job) -> PhotoRow | None:
        """Take a job that has ended out of its photo's open ones; the photo's row as it stands then.

        None when the job's photo is not the newest under its key: a newer one has jobs of its own.
        """
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=_key(_photo_pk(job.photo)),
                UpdateExpression="DELETE open_jobs :job",
                ConditionExpression="newest_sequencer = :sequencer",
                ExpressionAttributeValues={
                    ":job": _attribute({job.job_id}),
                    ":sequencer": _attribute(comparable_sequencer(job.photo.sequencer)),
                },
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        row = _plain(answer["Attributes"])
        return PhotoRow(
            Photo.model_validate(row["photo"]), tuple(row["jobs"]), frozenset(row.get("open_jobs", ()))
        )

    def get_all(self, job_ids: Sequence[str]) -> list[Job]:
        """The rows of these jobs (at most 100) as they stand, in this order; those that there are."""
        found: dict[str, Job] = {}
        wanted: Any = {
            self._table_name: {"Keys": [_key(_job_pk(job_id)) for job_id in job_ids], "ConsistentRead": True}
        }
        while wanted:
            answer = self._client.batch_get_item(RequestItems=wanted)
            found |= {job.job_id: job for job in map(_job, answer["Responses"].get(self._table_name, []))}
            wanted = answer.get("UnprocessedKeys")
        return [found[job_id] for job_id in job_ids if job_id in found]

    def get(self, job_id: str) -> Job | None:
        """The job's row as it stands, or None."""
        item = self._client.get_item(
            TableName=self._table_name, Key=_key(_job_pk(job_id)), ConsistentRead=True
        ).get("Item")
        return _job(item) if item else None

    def is_newest(self, photo: Photo) -> bool:
        """Whether no newer photo under the same key is known."""
        return self._newest_sequencer(photo) <= comparable_sequencer(photo.sequencer)

    def was_planned(self, photo: Photo) -> bool:
        """Whether this photo, or a newer one under the same key, was ever planned."""
        return self._newest_sequencer(photo) >= comparable_sequencer(photo.sequencer)

    def _newest_sequencer(self, photo: Photo) -> str:
        return str(self._row(_photo_pk(photo)).get("newest_sequencer", ""))

    def planned_for(self, photo: Photo) -> list[str]:
        """Ids of the jobs that this very upload was planned with; none when it never was."""
        return [str(job_id) for job_id in self._row(_upload_pk(photo)).get("jobs", ())]

    def look_again(self, photo: Photo) -> None:
        """Have the newest photo's images looked at by the next sweep, if that is not this photo."""
        if self.is_newest(photo):
            return
        for job_id in self._row(_photo_pk(photo)).get("jobs", ()):
            changes = {"uploaded_again": True, "due_at": iso(self._now()), "queued": False}
            states = {":completed": JobState.COMPLETED, ":submitted": JobState.SUBMITTED}
            # A submitted one may just have put its image.
            self._update(job_id, changes, "#state IN (:completed, :submitted)", states, up=("order_version",))

    def insert_ended(self, job: Job) -> Job:
        """Write a job that is at its end from the start (rejected, superseded); the row that stands then."""
        job = job.model_copy(update={"owes_event": True, "due_at": self._now() + OWED_DUE})
        try:
            self._client.put_item(
                TableName=self._table_name, Item=_item(job), ConditionExpression="attribute_not_exists(pk)"
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return self.get(job.job_id) or job
        return job

    def claim(self, job_id: str) -> Job | Unmoved:
        """Take a job for one submit, with a lease: one that is planned, or parked or uncertain and due.

        A row whose event is still owed is not taken, or nobody could tell of that state any more.
        """
        now = self._now()
        due_states = [state for state in CLAIMABLE if state is not JobState.PLANNED]
        waiting = ", ".join(f":{state.value.lower()}" for state in due_states)
        condition = (
            f"owes_event = :false AND (#state = :planned OR"
            f" (#state IN ({waiting}) AND (due_at <= :now OR queued = :true)))"
        )
        return self._update(
            job_id,
            {
                "state": JobState.CLAIMED,
                "cause": None,
                "error": None,
                "lease_until": iso(now + LEASE),
                "due_at": iso(now + LEASE),
                "due_group": due_group(None),
                "queued": False,
            },
            condition,
            {":planned": JobState.PLANNED, ":now": iso(now), ":true": True, ":false": False}
            | {f":{s.value.lower()}": s for s in due_states},
            up=("attempt",),
        )

    def move(self, job: Job, to: JobState, **changes: Any) -> Job | Unmoved:
        """Move a job along one edge, with what changes besides; only if it still is where `job` says it is.

        A state that has an event owes it until `settle`, is due until then at least, and is not left before
        that. What depends on the order of photos holds only if nobody asked for that meanwhile, nor decided
        it. Raises ValueError on an edge that is not in the table of edges.
        """
        if to not in EDGES[job.state]:
            raise ValueError(f"no edge from {job.state} to {to}")
        owes_event = to in DETAIL_TYPES
        due_at = changes.pop("due_at", None) or (self._now() + OWED_DUE if owes_event else None)
        changes = {**changes, "state": to, "due_at": due_at, "owes_event": owes_event}
        changes |= {"queued": False, "uploaded_again": False}
        row = job.model_copy(update=changes).row()
        written = {name: row.get(name) for name in {"due_group", *changes}}
        by_order = to in BY_ORDER
        return self._update_standing(
            job, written, nothing_owed=True, same_order=by_order, up=("order_version",) if by_order else ()
        )

    def settle(self, job: Job, *, answered: bool = False) -> Job:
        """The event of the state that a job is in was told; the row that stands then.

        What stands still has nothing left to wait for, and no message is to take it up again; but for an
        ending that was asked for again, until that is `answered`. Asked for meanwhile, it is all told anew.
        """
        asked = job.state in ENDINGS and job.uploaded_again and not answered
        still = job.stands_still and not asked
        rest = {"due_at": None, "queued": False, "uploaded_again": False} if still else {}
        settled = self._update_standing(job, {"owes_event": False, **rest}, same_order=still)
        return (settled.job or job) if isinstance(settled, Unmoved) else settled

    def next_attempt(self, job: Job) -> Job | Unmoved:
        """A new attempt at waiting for the same request: the name of the one before is used up."""
        return self._update_standing(job, {}, up=("attempt",))

    def due(self, cause: ParkedCause | None, limit: int) -> list[str]:
        """Ids of jobs that are due, oldest first, of those parked for one cause or not parked at all.

        From an index, which may lag behind: whoever acts on it has to look at the row.
        """
        answer = self._client.query(
            TableName=self._table_name,
            IndexName=DUE_INDEX,
            KeyConditionExpression="due_group = :group AND due_at <= :now",
            ExpressionAttributeValues={
                ":group": _attribute(due_group(cause)),
                ":now": _attribute(iso(self._now())),
            },
            Limit=limit,
        )
        return [str(_plain(item)["pk"]).removeprefix(_job_pk("")) for item in answer["Items"]]

    def in_state(self, state: JobState) -> Iterator[Job]:
        """Every job in that state, a page at a time, by a scan of the whole table."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table_name,
            ConsistentRead=True,
            FilterExpression="begins_with(pk, :job) AND #state = :state",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":job": _attribute(_job_pk("")), ":state": _attribute(state)},
        )
        return (_job(item) for page in pages for item in page["Items"])

    def mark_queued(self, job_id: str) -> None:
        """A message for a due job is on its way, which may claim it; it is due again when none comes."""
        now = self._now()
        self._update(
            job_id,
            {"queued": True, "due_at": iso(now + QUEUED_DUE)},
            "due_at <= :now",
            {":now": iso(now)},
        )

    def remember_output(self, job: Job, output_url: str) -> None:
        """Keep where the finished image can be fetched, before anything else is done with it."""
        self._update_standing(job, {"output_url": output_url})

    def gate(self) -> Gate:
        """The gate as it stands."""
        return Gate.model_validate(self._row(GATE_PK))

    def replace_gate(self, gate: Gate, by: Gate) -> bool:
        """Put another gate in the place of this one; False when that does not stand there any more."""
        row = {"pk": GATE_PK, **by.model_dump(mode="json"), "version": gate.version + 1}
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item={name: _attribute(value) for name, value in row.items()},
                ConditionExpression="attribute_not_exists(pk) OR version = :version",
                ExpressionAttributeValues={":version": _attribute(gate.version)},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def inference_times(self) -> InferenceTimes:
        """How long requests took lately."""
        return InferenceTimes.model_validate(self._row(INFERENCE_TIMES_PK))

    def replace_inference_times(self, times: InferenceTimes, by: InferenceTimes) -> None:
        """Put others in their place, unless somebody did so before: then a sample is lost, no more."""
        row = {"pk": INFERENCE_TIMES_PK, **by.model_dump(mode="json"), "version": times.version + 1}
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item={name: _attribute(value) for name, value in row.items()},
                ConditionExpression="attribute_not_exists(pk) OR version = :version",
                ExpressionAttributeValues={":version": _attribute(times.version)},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def postpone(self, job: Job, due_at: datetime) -> Job:
        """Look at a job again at this time; the row that stands then."""
        postponed = self._update_standing(job, {"due_at": iso(due_at), "queued": False})
        return (postponed.job or job) if isinstance(postponed, Unmoved) else postponed

    def _update_standing(
        self,
        job: Job,
        changes: Mapping[str, Any],
        *,
        nothing_owed: bool = False,
        same_order: bool = False,
        up: Sequence[str] = (),
    ) -> Job | Unmoved:
        """Change a job's row, if it still is in the state and the attempt that `job` says."""
        condition = "#state = :from AND attempt = :attempt"
        values: dict[str, Any] = {":from": job.state, ":attempt": job.attempt}
        if nothing_owed:
            condition += " AND owes_event = :false"
            values[":false"] = False
        if same_order:
            condition += " AND order_version = :order"
            values[":order"] = job.order_version
        return self._update(job.job_id, changes, condition, values, up=up)

    def _update(
        self,
        job_id: str,
        changes: Mapping[str, Any],
        condition: str,
        condition_values: Mapping[str, Any],
        *,
        up: Sequence[str] = (),
    ) -> Job | Unmoved:
        """Write the changes, and one more than there was of what goes `up`."""
        changes = {**changes, "updated_at": iso(self._now())}
        # DynamoDB refuses a name that no expression uses.
        names = {"#state": "state"} if "#state" in condition else {}
        values = dict(condition_values)
        sets, removes = [], []
        for index, (name, value) in enumerate(changes.items()):
            names[f"#c{index}"] = name
            if name == "due_at" and value is None:
                removes.append(f"#c{index}")
            else:
                sets.append(f"#c{index} = :c{index}")
                values[f":c{index}"] = value
        if up:
            sets += [f"{name} = {name} + :one" for name in up]
            values[":one"] = 1
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=_key(_job_pk(job_id)),
                UpdateExpression=f"SET {', '.join(sets)}"
                + (f" REMOVE {', '.join(removes)}" if removes else ""),
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: _attribute(value) for name, value in values.items()},
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return Unmoved(self.get(job_id))
        return _job(answer["Attributes"])

    def _photo_write(self, photo: Photo, jobs: Sequence[Job]) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": _key(_photo_pk(photo)),
                "UpdateExpression": (
                    "SET photo = :photo, newest_sequencer = :sequencer, jobs = :jobs, open_jobs = :open"
                ),
                "ConditionExpression": "attribute_not_exists(pk) OR newest_sequencer <= :sequencer",
                "ExpressionAttributeValues": {
                    ":photo": _attribute(photo.model_dump(mode="json")),
                    ":sequencer": _attribute(comparable_sequencer(photo.sequencer)),
                    ":jobs": _attribute([job.job_id for job in jobs]),
                    ":open": _attribute({job.job_id for job in jobs}),
                },
            }
        }

    def _photo_of_job_write(self, job: Job) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": _key(_job_pk(job.job_id)),
                "UpdateExpression": (
                    "SET photo = :photo, manifest_key = :manifest, uploaded_again = :again,"
                    " order_version = order_version + :one"
                ),
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeValues": {
                    ":manifest": _attribute(job.manifest_key),
                    ":photo": _attribute(job.photo.model_dump(mode="json")),
                    ":again": _attribute(job.uploaded_again),
                    ":one": _attribute(1),
                },
            }
        }

    def _upload_write(self, photo: Photo, jobs: Sequence[Job]) -> TransactWriteItemTypeDef:
        jobs_of_upload = {"jobs": _attribute([job.job_id for job in jobs])}
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": {**_key(_upload_pk(photo)), **jobs_of_upload},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _path_write(self, path: str, owner: str) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": _key(f"path#{path}"),
                "UpdateExpression": "SET photo_owner = :owner",
                "ConditionExpression": "attribute_not_exists(pk) OR photo_owner = :owner",
                "ExpressionAttributeValues": {":owner": _attribute(owner)},
            }
        }

    def _new_job_write(self, job: Job) -> TransactWriteItemTypeDef:
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": _item(job),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _owner(self, path: str) -> str:
        return str(self._row(f"path#{path}").get("photo_owner", ""))

    def _row(self, pk: str) -> dict[str, Any]:
        answer = self._client.get_item(TableName=self._table_name, Key=_key(pk), ConsistentRead=True)
        return _plain(answer.get("Item", {}))


def _failed_conditions(error: ClientError) -> list[bool]:
    """Which writes of a cancelled transaction met a false condition. Raises it again when others failed."""
    reasons = error.response.get("CancellationReasons", [])
    if any(reason.get("Code") not in {"None", "ConditionalCheckFailed"} for reason in reasons):
        raise error
    return [reason.get("Code") != "None" for reason in reasons]


_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def _job_pk(job_id: str) -> str:
    return f"job#{job_id}"


def _photo_pk(photo: Photo) -> str:
    return f"photo#{photo.bucket}/{photo.key}"


def _upload_pk(photo: Photo) -> str:
    # What has no place in the order of uploads is told from others by its content.
    return f"upload#{photo.bucket}/{photo.key}#{photo.sequencer or photo.etag}"


def _key(pk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}}


def _item(job: Job) -> dict[str, Any]:
    row = {"pk": _job_pk(job.job_id), **job.row()}
    return {name: _attribute(value) for name, value in row.items()}


def _attribute(value: Any) -> Any:
    return _serializer.serialize(_decimals(value))


def _decimals(value: Any) -> Any:
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {name: _decimals(inner) for name, inner in value.items()}
        case list():
            return [_decimals(inner) for inner in value]
    return value


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserializer.deserialize(value) for name, value in item.items()}


def _job(item: Mapping[str, Any]) -> Job:
    return Job.model_validate(_plain(item))
