"""Each write to the job table carries its condition, and each way to be refused is told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from packshot.gate import Gate, closed
from packshot.job import EDGES, Image, Job, JobState, ParkedCause, Reason
from packshot.job_table import (
    OWED_DUE,
    PLAN_SWAPS,
    QUEUED_DUE,
    JobTable,
    NewerKnown,
    PathOwned,
    PhotoRow,
    PlanContendedError,
    Planned,
    Unmoved,
)
from packshot.photo import comparable_sequencer
from packshot.segmind_answers import Completed, request_outcome
from tests.unit.aws import a_client, stubbed
from tests.unit.fakes import START, Clock, a_job

CLIENT = a_client("dynamodb")
JOB_ID = a_job().job_id
KEY = {"pk": {"S": f"job#{JOB_ID}"}}
PLANNED = a_job(JobState.PLANNED, attempt=0, due_at=START + timedelta(minutes=15))

serialize = TypeSerializer().serialize
deserialize = TypeDeserializer().deserialize


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with stubbed(CLIENT) as stub:
        yield stub


@pytest.fixture
def table() -> JobTable:
    return JobTable(CLIENT, "jobs", Clock())


def decimals(value: Any) -> Any:
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {name: decimals(inner) for name, inner in value.items()}
        case list():
            return [decimals(inner) for inner in value]
    return value


def item(job: Job) -> dict[str, Any]:
    return {"pk": {"S": f"job#{job.job_id}"}} | {
        name: serialize(decimals(value)) for name, value in job.row().items()
    }


def get_item(stub: Stubber, pk: str, found: dict[str, Any] | None) -> None:
    stub.add_response(
        "get_item",
        {"Item": found} if found else {},
        {"TableName": "jobs", "Key": {"pk": {"S": pk}}, "ConsistentRead": True},
    )


def refused(stub: Stubber, operation: str) -> None:
    stub.add_client_error(operation, "ConditionalCheckFailedException")


# -- get --


def test_a_job_is_read_as_it_stands(stub: Stubber, table: JobTable) -> None:
    job = a_job(inference_seconds=13.06, cost_usd=0.0891, cause=ParkedCause.RATE)
    get_item(stub, f"job#{JOB_ID}", item(job))
    assert table.get(JOB_ID) == job


def test_a_job_that_is_not_there_is_none(stub: Stubber, table: JobTable) -> None:
    get_item(stub, f"job#{JOB_ID}", None)
    assert table.get(JOB_ID) is None


# -- plan --


class InAnyOrder(list[str]):
    """Equals a list of the same things: a set has no order."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and sorted(other) == sorted(self)

    __hash__ = None


def photo_writes(*jobs: Job) -> list[dict[str, Any]]:
    """What stands of a photo and of the upload that told of it."""
    photo = PLANNED.photo
    return [
        {
            "Update": {
                "TableName": "jobs",
                "Key": {"pk": {"S": "photo#photos/shoes/red.jpg"}},
                "UpdateExpression": (
                    "SET photo = :photo, newest_sequencer = :sequencer, jobs = :jobs, open_jobs = :open"
                ),
                "ConditionExpression": "attribute_not_exists(pk) OR newest_sequencer <= :sequencer",
                "ExpressionAttributeValues": {
                    ":photo": serialize(photo.model_dump()),
                    ":sequencer": {"S": "0055AED6DCD90281E5".ljust(64, "0")},
                    ":jobs": {"L": [{"S": job.job_id} for job in jobs]},
                    ":open": {"SS": InAnyOrder(job.job_id for job in jobs)},
                },
            }
        },
        {
            "Put": {
                "TableName": "jobs",
                "Item": {
                    "pk": {"S": "upload#photos/shoes/red.jpg#0055AED6DCD90281E5"},
                    "jobs": {"L": [{"S": job.job_id} for job in jobs]},
                },
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
    ]


def path_write(path: str) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "jobs",
            "Key": {"pk": {"S": f"path#{path}"}},
            "UpdateExpression": "SET photo_owner = :owner",
            "ConditionExpression": "attribute_not_exists(pk) OR photo_owner = :owner",
            "ExpressionAttributeValues": {":owner": {"S": "photos/shoes/red.jpg"}},
        }
    }


def new_job_write(job: Job) -> dict[str, Any]:
    return {
        "Put": {"TableName": "jobs", "Item": item(job), "ConditionExpression": "attribute_not_exists(pk)"}
    }


def known_job_write(job: Job) -> dict[str, Any]:
    """A job that stood before becomes the planned photo's."""
    return {
        "Update": {
            "TableName": "jobs",
            "Key": {"pk": {"S": f"job#{job.job_id}"}},
            "UpdateExpression": (
                "SET photo = :photo, manifest_key = :manifest, uploaded_again = :again,"
                " order_version = order_version + :one"
            ),
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {
                ":manifest": {"S": "shoes/red/manifest.json"},
                ":photo": serialize(PLANNED.photo.model_dump()),
                ":again": {"BOOL": True},
                ":one": {"N": "1"},
            },
        }
    }


IMAGE_PATH, MANIFEST_PATH = path_write("shoes/red/default.webp"), path_write("shoes/red/manifest.json")


def planned_writes() -> list[dict[str, Any]]:
    """The plan of a photo that nobody knew."""
    return [*photo_writes(PLANNED), IMAGE_PATH, MANIFEST_PATH, new_job_write(PLANNED)]


def test_a_photo_its_paths_and_its_jobs_are_written_all_or_nothing(stub: Stubber, table: JobTable) -> None:
    stub.add_response("transact_write_items", {}, {"TransactItems": planned_writes()})
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((PLANNED,))


def cancelled(stub: Stubber, *codes: str) -> None:
    """A plan is refused; the codes are of its writes, in order."""
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={"CancellationReasons": [{"Code": code} for code in codes]},
    )


def get_jobs(stub: Stubber, asked: list[str], *found: Job) -> None:
    stub.add_response(
        "batch_get_item",
        {"Responses": {"jobs": [item(job) for job in found]}, "UnprocessedKeys": {}},
        {
            "RequestItems": {
                "jobs": {
                    "Keys": [{"pk": {"S": f"job#{job_id}"}} for job_id in asked],
                    "ConsistentRead": True,
                }
            }
        },
    )


def get_upload(stub: Stubber, *job_ids: str) -> None:
    found = {"jobs": serialize(list(job_ids))} if job_ids else None
    get_item(stub, "upload#photos/shoes/red.jpg#0055AED6DCD90281E5", found)


OK, FAILED = "None", "ConditionalCheckFailed"


def test_an_upload_that_was_planned_before_has_the_jobs_that_it_had(stub: Stubber, table: JobTable) -> None:
    standing = PLANNED.model_copy(update={"state": JobState.PARKED, "attempt": 1})
    cancelled(stub, OK, FAILED, OK, OK, FAILED)
    get_upload(stub, JOB_ID)
    get_jobs(stub, [JOB_ID], standing)
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((standing,))


@pytest.mark.parametrize("photo_code", [OK, FAILED])
@pytest.mark.parametrize("path_code", [OK, FAILED])
def test_an_upload_that_was_planned_before_is_not_planned_anew_whatever_is_different_now(
    stub: Stubber, table: JobTable, photo_code: str, path_code: str
) -> None:
    """Another scene is asked for now, whose path is taken, and a newer photo may have come."""
    before = PLANNED.model_copy(update={"job_id": "e" * 32, "scene": "before"})
    cancelled(stub, photo_code, FAILED, path_code, OK, OK)
    get_upload(stub, before.job_id)
    get_jobs(stub, [before.job_id], before)
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((before,))


def test_a_plan_of_jobs_that_stand_is_found_though_a_newer_photo_came(stub: Stubber, table: JobTable) -> None:
    cancelled(stub, FAILED, OK, OK, OK, FAILED)
    get_jobs(stub, [JOB_ID], PLANNED)
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((PLANNED,))


EARLIER = PLANNED.photo.model_copy(update={"sequencer": "0054", "etag": "old"})
STOOD = PLANNED.model_copy(
    update={"state": JobState.COMPLETED, "photo": EARLIER, "manifest_key": None, "image_key": "old.webp"}
)
AGAIN = STOOD.model_copy(
    update={
        "photo": PLANNED.photo,
        "manifest_key": PLANNED.manifest_key,
        "uploaded_again": True,
        "order_version": 1,
    }
)


def test_the_same_photo_again_is_the_newest_with_the_job_that_it_has(stub: Stubber, table: JobTable) -> None:
    """Its image stays where it is, so no path of it is asked for; its manifest may go elsewhere now."""
    cancelled(stub, OK, OK, OK, OK, FAILED)
    get_jobs(stub, [JOB_ID], STOOD)
    writes = [*photo_writes(PLANNED), MANIFEST_PATH, known_job_write(PLANNED)]
    stub.add_response("transact_write_items", {}, {"TransactItems": writes})
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((AGAIN,))


BEACH = a_job(
    JobState.PLANNED,
    job_id="f" * 32,
    scene="beach",
    image_key="shoes/red/beach.webp",
    attempt=0,
    due_at=START + timedelta(minutes=15),
)


def test_a_photo_of_several_scenes_is_one_plan_in_their_order(stub: Stubber, table: JobTable) -> None:
    writes = [
        *photo_writes(BEACH, PLANNED),
        path_write("shoes/red/beach.webp"),
        IMAGE_PATH,
        MANIFEST_PATH,
        new_job_write(BEACH),
        new_job_write(PLANNED),
    ]
    stub.add_response("transact_write_items", {}, {"TransactItems": writes})
    assert table.plan(PLANNED.photo, [BEACH, PLANNED]) == Planned((BEACH, PLANNED))


@pytest.mark.parametrize("order", [[PLANNED, BEACH], [BEACH, PLANNED]])
def test_of_several_jobs_those_that_stand_are_kept_and_those_that_are_missing_are_made(
    stub: Stubber, table: JobTable, order: list[Job]
) -> None:
    cancelled(stub, OK, OK, OK, OK, OK, *(FAILED if job == PLANNED else OK for job in order))
    get_jobs(stub, [job.job_id for job in order], STOOD)
    writes = [
        *photo_writes(*order),
        path_write("shoes/red/beach.webp"),
        MANIFEST_PATH,
        new_job_write(BEACH),
        known_job_write(PLANNED),
    ]
    stub.add_response("transact_write_items", {}, {"TransactItems": writes})
    planned = tuple(AGAIN if job == PLANNED else BEACH for job in order)
    assert table.plan(PLANNED.photo, order) == Planned(planned)


def test_the_same_photo_again_gives_way_to_a_newer_one(stub: Stubber, table: JobTable) -> None:
    standing = PLANNED.model_copy(update={"photo": PLANNED.photo.model_copy(update={"sequencer": "0054"})})
    cancelled(stub, OK, OK, OK, OK, FAILED)
    get_jobs(stub, [JOB_ID], standing)
    cancelled(stub, FAILED, OK, OK, OK)
    get_jobs(stub, [JOB_ID], standing)
    assert table.plan(PLANNED.photo, [PLANNED]) == Planned((standing,))


def test_an_older_photo_one_of_whose_jobs_is_missing_is_not_planned(stub: Stubber, table: JobTable) -> None:
    cancelled(stub, FAILED, OK, OK, OK, OK, FAILED, OK)
    get_jobs(stub, [JOB_ID, BEACH.job_id], STOOD)
    assert table.plan(PLANNED.photo, [PLANNED, BEACH]) == NewerKnown()


def test_two_uploads_of_one_photo_at_once_are_both_planned(stub: Stubber, table: JobTable) -> None:
    """The other plans the first job between our looks, and then the second: we take both as they are."""
    cancelled(stub, OK, OK, OK, OK, OK, FAILED, OK)
    get_jobs(stub, [JOB_ID, BEACH.job_id], STOOD)
    cancelled(stub, OK, OK, OK, OK, FAILED, OK)
    get_jobs(stub, [JOB_ID, BEACH.job_id], STOOD, BEACH)
    writes = [
        *photo_writes(PLANNED, BEACH),
        MANIFEST_PATH,
        known_job_write(PLANNED),
        known_job_write(BEACH),
    ]
    stub.add_response("transact_write_items", {}, {"TransactItems": writes})
    beach_again = BEACH.model_copy(update={"uploaded_again": True, "order_version": 1})
    assert table.plan(PLANNED.photo, [PLANNED, BEACH]) == Planned((AGAIN, beach_again))


def test_a_plan_that_others_keep_crossing_is_given_up_for_now(stub: Stubber, table: JobTable) -> None:
    """A job comes and goes: somebody clears the table meanwhile."""
    for number in range(PLAN_SWAPS):
        stands = number % 2 == 0
        cancelled(stub, *([OK, OK, OK, OK, FAILED] if stands else [OK, OK, OK, FAILED]))
        get_jobs(stub, [JOB_ID], *([STOOD] if stands else []))
    with pytest.raises(PlanContendedError, match=re.escape("shoes/red.jpg")):
        table.plan(PLANNED.photo, [PLANNED])


# -- the photo's row --

PHOTO_KEY = {"pk": {"S": "photo#photos/shoes/red.jpg"}}


def closing(job_id: str) -> dict[str, Any]:
    return {
        "TableName": "jobs",
        "Key": PHOTO_KEY,
        "UpdateExpression": "DELETE open_jobs :job",
        "ConditionExpression": "newest_sequencer = :sequencer",
        "ExpressionAttributeValues": {
            ":job": {"SS": [job_id]},
            ":sequencer": {"S": "0055AED6DCD90281E5".ljust(64, "0")},
        },
        "ReturnValues": "ALL_NEW",
    }


@pytest.mark.parametrize("still_open", [[], [BEACH.job_id]])
def test_a_job_that_ended_is_taken_out_of_its_photos_open_ones(
    stub: Stubber, table: JobTable, still_open: list[str]
) -> None:
    row = {
        **PHOTO_KEY,
        "photo": serialize(PLANNED.photo.model_dump()),
        "newest_sequencer": {"S": "0055AED6DCD90281E5".ljust(64, "0")},
        "jobs": serialize([JOB_ID, BEACH.job_id]),
        # DynamoDB keeps no empty set.
        **({"open_jobs": {"SS": still_open}} if still_open else {}),
    }
    stub.add_response("update_item", {"Attributes": row}, closing(JOB_ID))
    assert table.close(PLANNED) == PhotoRow(PLANNED.photo, (JOB_ID, BEACH.job_id), frozenset(still_open))


def test_a_job_of_a_photo_that_is_not_the_newest_closes_nothing(stub: Stubber, table: JobTable) -> None:
    refused(stub, "update_item")
    assert table.close(PLANNED) is None


def test_jobs_are_read_in_the_order_that_was_asked_for(stub: Stubber, table: JobTable) -> None:
    wanted = [BEACH.job_id, "a" * 32, JOB_ID]
    get_jobs(stub, wanted, PLANNED, BEACH)
    assert table.get_all(wanted) == [BEACH, PLANNED]


def test_jobs_that_were_held_back_are_asked_for_again(stub: Stubber, table: JobTable) -> None:
    keys = {"jobs": {"Keys": [KEY], "ConsistentRead": True}}
    whole = {"jobs": {"Keys": [KEY, {"pk": {"S": f"job#{BEACH.job_id}"}}], "ConsistentRead": True}}
    held_back = {"Responses": {"jobs": [item(BEACH)]}, "UnprocessedKeys": keys}
    stub.add_response("batch_get_item", held_back, {"RequestItems": whole})
    stub.add_response("batch_get_item", {"Responses": {"jobs": [item(PLANNED)]}}, {"RequestItems": keys})
    assert table.get_all([JOB_ID, BEACH.job_id]) == [PLANNED, BEACH]


@pytest.mark.parametrize(
    ("known", "is_newest", "was_planned"),
    [
        (None, True, False),
        ("0054", True, False),
        ("0055", True, True),
        ("0056", False, True),
        ("00550", True, True),
        ("00551", False, True),
    ],
)
def test_photos_are_ordered_by_their_sequencers(
    stub: Stubber, table: JobTable, known: str | None, is_newest: bool, was_planned: bool
) -> None:
    row = {"newest_sequencer": {"S": comparable_sequencer(known)}} if known else None
    photo = PLANNED.photo.model_copy(update={"sequencer": "0055"})
    for _ in range(2):
        get_item(stub, f"photo#{photo.bucket}/{photo.key}", row)
    assert table.is_newest(photo) is is_newest
    assert table.was_planned(photo) is was_planned


@pytest.mark.parametrize("jobs", [[JOB_ID], ["b" * 32, "a" * 32]])
def test_an_upload_knows_what_it_was_planned_with(stub: Stubber, table: JobTable, jobs: list[str]) -> None:
    get_upload(stub, *jobs)
    assert table.planned_for(PLANNED.photo) == jobs


def test_an_upload_that_was_never_planned_knows_none(stub: Stubber, table: JobTable) -> None:
    get_upload(stub)
    assert table.planned_for(PLANNED.photo) == []


def test_uploads_without_an_order_are_told_apart_by_their_content(stub: Stubber, table: JobTable) -> None:
    for etag in ("e1", "e2"):
        get_item(stub, f"upload#photos/shoes/red.jpg#{etag}", None)
        table.planned_for(PLANNED.photo.model_copy(update={"sequencer": "", "etag": etag}))


def test_the_newest_photos_finished_jobs_are_looked_at_again(stub: Stubber, table: JobTable) -> None:
    newest = {"newest_sequencer": {"S": comparable_sequencer("0056")}, "jobs": {"L": [{"S": JOB_ID}]}}
    for _ in range(2):
        get_item(stub, "photo#photos/shoes/red.jpg", newest)
    finished = a_job(JobState.COMPLETED)
    stub.add_response(
        "update_item",
        {"Attributes": item(finished)},
        {
            "TableName": "jobs",
            "Key": KEY,
            "UpdateExpression": (
                "SET #c0 = :c0, #c1 = :c1, #c2 = :c2, #c3 = :c3, order_version = order_version + :one"
            ),
            "ConditionExpression": "#state IN (:completed, :submitted)",
            "ExpressionAttributeNames": {
                "#c0": "uploaded_again",
                "#c1": "due_at",
                "#c2": "queued",
                "#c3": "updated_at",
                "#state": "state",
            },
            "ExpressionAttributeValues": {
                ":completed": {"S": "COMPLETED"},
                ":submitted": {"S": "SUBMITTED"},
                ":one": {"N": "1"},
                ":c0": {"BOOL": True},
                ":c1": {"S": "2026-03-14T09:30:00.000000Z"},
                ":c2": {"BOOL": False},
                ":c3": {"S": "2026-03-14T09:30:00.000000Z"},
            },
            "ReturnValues": "ALL_NEW",
        },
    )
    table.look_again(PLANNED.photo)


def test_the_newest_photo_looks_at_nothing_again(stub: Stubber, table: JobTable) -> None:
    get_item(stub, "photo#photos/shoes/red.jpg", None)
    table.look_again(PLANNED.photo)


# -- the gate --

GATE = Gate(next_at=START, slowness=1.5, slowed_at=START)


def test_the_gate_is_put_only_where_the_one_that_was_read_stands(stub: Stubber, table: JobTable) -> None:
    row = {"pk": "gate", **GATE.model_dump(mode="json"), "version": 8}
    stub.add_response(
        "put_item",
        {},
        {
            "TableName": "jobs",
            "Item": {name: serialize(decimals(value)) for name, value in row.items()},
            "ConditionExpression": "attribute_not_exists(pk) OR version = :version",
            "ExpressionAttributeValues": {":version": {"N": "7"}},
        },
    )
    assert table.replace_gate(GATE.model_copy(update={"version": 7}), GATE)
    refused(stub, "put_item")
    assert not table.replace_gate(GATE, GATE)


def test_the_gate_reads_back(stub: Stubber, table: JobTable) -> None:
    get_item(stub, "gate", None)
    assert table.gate() == Gate()
    closed_gate = closed(GATE, ParkedCause.KEY, START, message="no", job_id=JOB_ID, asks_credits=True)
    row = {"pk": "gate", **closed_gate.model_dump(mode="json")}
    get_item(stub, "gate", {name: serialize(decimals(value)) for name, value in row.items()})
    assert table.gate() == closed_gate


@pytest.mark.parametrize("photo_code", [OK, FAILED])
@pytest.mark.parametrize("job_code", [OK, FAILED])
@pytest.mark.parametrize(
    ("codes", "path"),
    [
        ([FAILED, OK], "shoes/red/default.webp"),
        ([OK, FAILED], "shoes/red/manifest.json"),
        ([FAILED, FAILED], "shoes/red/default.webp"),
    ],
)
def test_a_path_that_has_an_owner_is_told_with_its_owner(
    stub: Stubber, table: JobTable, photo_code: str, job_code: str, codes: list[str], path: str
) -> None:
    cancelled(stub, photo_code, OK, *codes, job_code)
    get_jobs(stub, [JOB_ID])
    owner = {"pk": {"S": f"path#{path}"}, "photo_owner": {"S": "photos/shoes/red.png"}}
    get_item(stub, f"path#{path}", owner)
    assert table.plan(PLANNED.photo, [PLANNED]) == PathOwned(path, "photos/shoes/red.png")


def test_the_path_that_is_owned_is_found_among_several_scenes(stub: Stubber, table: JobTable) -> None:
    cancelled(stub, OK, OK, OK, FAILED, OK, OK, OK)
    get_jobs(stub, [JOB_ID, BEACH.job_id])
    owner = {"pk": {"S": "path#shoes/red/beach.webp"}, "photo_owner": {"S": "photos/shoes/red.png"}}
    get_item(stub, "path#shoes/red/beach.webp", owner)
    assert table.plan(PLANNED.photo, [PLANNED, BEACH]) == PathOwned(
        "shoes/red/beach.webp", "photos/shoes/red.png"
    )


@pytest.mark.parametrize(
    "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "ValidationError"]
)
def test_a_plan_that_met_another_writer_is_tried_again(stub: Stubber, table: JobTable, code: str) -> None:
    cancelled(stub, FAILED, OK, OK, OK, code)
    with pytest.raises(ClientError):
        table.plan(PLANNED.photo, [PLANNED])


# -- insert --

REJECTED = a_job(JobState.REJECTED, attempt=0, error=Reason(code="EmptyFile", message="the file is empty"))


OWING = REJECTED.model_copy(update={"owes_event": True, "due_at": START + OWED_DUE})


def test_a_rejected_photo_has_its_row(stub: Stubber, table: JobTable) -> None:
    stub.add_response(
        "put_item",
        {},
        {"TableName": "jobs", "Item": item(OWING), "ConditionExpression": "attribute_not_exists(pk)"},
    )
    assert table.insert_ended(REJECTED) == OWING


def test_a_row_that_stands_is_not_written_over(stub: Stubber, table: JobTable) -> None:
    standing = REJECTED.model_copy(update={"created_at": START - timedelta(hours=1)})
    refused(stub, "put_item")
    get_item(stub, f"job#{JOB_ID}", item(standing))
    assert table.insert_ended(REJECTED) == standing


# -- claim --


def expressions(expected: dict[str, Any]) -> dict[str, Any]:
    """What an update says, without the placeholders that it says it with."""
    names, values = expected["ExpressionAttributeNames"], expected["ExpressionAttributeValues"]
    # DynamoDB refuses a placeholder that is not used, and one that is not given.
    used = re.findall(r"[#:]\w+", f"{expected['UpdateExpression']} {expected['ConditionExpression']}")
    assert set(used) == {*names, *values}
    set_part, _, remove_part = expected["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    said: dict[str, Any] = {"condition": expected["ConditionExpression"], "set": {}, "remove": set()}
    for placeholder, name in sorted(names.items(), reverse=True):
        said["condition"] = said["condition"].replace(placeholder, name)
    for assignment in set_part.split(", "):
        target, _, value = assignment.partition(" = ")
        said["set"][names.get(target, target)] = (
            deserialize(values[value]) if value in values else " ".join(value.split())
        )
    said["remove"] = {names[placeholder] for placeholder in remove_part.split(", ") if placeholder}
    said["values"] = {name: deserialize(value) for name, value in values.items() if not name.startswith(":c")}
    return said


class Asked:
    """Takes any update and keeps it, beside botocore's own check of it against the service model."""

    def __init__(self, stub: Stubber, answer: Job) -> None:
        self.requests: list[dict[str, Any]] = []
        CLIENT.meta.events.register("provide-client-params.dynamodb.UpdateItem", self._keep)
        stub.add_response("update_item", {"Attributes": item(answer)})

    def _keep(self, params: dict[str, Any], **_: object) -> None:
        self.requests.append(params)

    def only(self) -> dict[str, Any]:
        CLIENT.meta.events.unregister("provide-client-params.dynamodb.UpdateItem", self._keep)
        (request,) = self.requests
        return request


def test_a_claim_is_conditional_counts_an_attempt_and_holds_a_lease(stub: Stubber, table: JobTable) -> None:
    claimed = PLANNED.model_copy(update={"state": JobState.CLAIMED, "attempt": 1})
    asked = Asked(stub, claimed)
    assert table.claim(JOB_ID) == claimed
    request = asked.only()
    assert request["TableName"] == "jobs"
    assert request["Key"] == KEY
    assert request["ReturnValues"] == "ALL_NEW"
    said = expressions(request)
    lease_until = "2026-03-14T09:32:30.000000Z"
    assert said["set"].pop("attempt") == "attempt + :one"
    assert said["set"] == {
        "state": "CLAIMED",
        "cause": None,
        "error": None,
        "lease_until": lease_until,
        "due_at": lease_until,
        "updated_at": "2026-03-14T09:30:00.000000Z",
        "due_group": "turn",
        "queued": False,
    }
    values = said["values"]
    assert values.pop(":one") == 1
    assert (values.pop(":true"), values.pop(":false")) == (True, False)
    assert values.pop(":now") == "2026-03-14T09:30:00.000000Z"
    assert values.pop(":planned") == "PLANNED"
    assert set(values.values()) == {"PARKED", "UNCERTAIN"}
    first, others, queued = said["condition"].split(" OR ")
    assert first == "owes_event = :false AND (state = :planned"
    assert others.startswith("(state IN (")
    assert others.endswith(") AND (due_at <= :now")
    assert queued == "queued = :true)))"
    assert set(others.partition("IN (")[2].partition(")")[0].split(", ")) == set(values)


@pytest.mark.parametrize("state", [JobState.CLAIMED, JobState.SUBMITTED, JobState.COMPLETED])
def test_a_job_that_cannot_be_claimed_is_told_as_it_stands(
    stub: Stubber, table: JobTable, state: JobState
) -> None:
    refused(stub, "update_item")
    get_item(stub, f"job#{JOB_ID}", item(a_job(state)))
    assert table.claim(JOB_ID) == Unmoved(a_job(state))


def test_a_job_that_does_not_exist_cannot_be_claimed(stub: Stubber, table: JobTable) -> None:
    refused(stub, "update_item")
    get_item(stub, f"job#{JOB_ID}", None)
    assert table.claim(JOB_ID) == Unmoved(None)


# -- move --


def test_a_move_holds_only_if_the_job_is_where_it_was_thought_to_be(stub: Stubber, table: JobTable) -> None:
    job = a_job(JobState.CLAIMED, attempt=2)
    due_at = START + timedelta(minutes=1)
    error = Reason(code="Parked:rate", message="slow down")
    moved = job.model_copy(update={"state": JobState.PARKED, "due_at": due_at, "error": error})
    asked = Asked(stub, moved)
    assert table.move(job, JobState.PARKED, cause=ParkedCause.RATE, due_at=due_at, error=error) == moved
    assert expressions(asked.only()) == {
        "condition": "state = :from AND attempt = :attempt AND owes_event = :false",
        "set": {
            "state": "PARKED",
            "cause": "rate",
            "due_at": "2026-03-14T09:31:00.000000Z",
            "error": {"code": "Parked:rate", "message": "slow down"},
            "updated_at": "2026-03-14T09:30:00.000000Z",
            "due_group": "rate",
            "owes_event": True,
            "queued": False,
            "uploaded_again": False,
        },
        "remove": set(),
        "values": {":from": "CLAIMED", ":attempt": 2, ":false": False},
    }


def test_an_ending_owes_its_event_for_a_while_and_keeps_the_numbers(stub: Stubber, table: JobTable) -> None:
    image = Image(
        bucket="images", key="a.webp", version_id=None, bytes=7, content_type="image/webp", width=1, height=2
    )
    ended = a_job(JobState.COMPLETED, image=image, inference_seconds=13.06, cost_usd=0.0891)
    asked = Asked(stub, ended)
    moved = table.move(
        a_job(due_at=START),
        JobState.COMPLETED,
        image=image,
        error=None,
        inference_seconds=13.06,
        cost_usd=0.0891,
    )
    assert moved == ended
    said = expressions(asked.only())
    assert said["remove"] == set()
    assert said["set"]["due_at"] == "2026-03-14T09:32:00.000000Z"
    assert said["set"]["owes_event"] is True
    assert said["set"]["inference_seconds"] == Decimal("13.06")
    assert said["set"]["cost_usd"] == Decimal("0.0891")
    assert said["set"]["error"] is None
    assert said["set"]["image"] == image.model_dump()


@pytest.mark.parametrize("ending", [JobState.COMPLETED, JobState.SUPERSEDED])
def test_what_depends_on_the_order_of_photos_holds_only_for_the_order_that_was_seen(
    stub: Stubber, table: JobTable, ending: JobState
) -> None:
    asked = Asked(stub, a_job(ending))
    table.move(a_job(order_version=3), ending)
    said = expressions(asked.only())
    assert said["condition"].endswith(" AND order_version = :order")
    assert said["values"][":order"] == 3
    assert said["set"]["order_version"] == "order_version + :one"


@pytest.mark.parametrize(
    ("state", "error", "removed"),
    [
        (JobState.COMPLETED, None, {"due_at"}),
        (JobState.UNCERTAIN, Reason(code="PersonDecides", message="?"), {"due_at"}),
        (JobState.UNCERTAIN, Reason(code="AnswerLost", message="?"), set()),
        (JobState.PARKED, Reason(code="Parked:rate", message="?"), set()),
    ],
)
def test_what_was_told_is_due_no_more_unless_it_waits(
    stub: Stubber, table: JobTable, state: JobState, error: Reason | None, removed: set[str]
) -> None:
    job = a_job(state, error=error, owes_event=True, due_at=START)
    asked = Asked(stub, job.model_copy(update={"owes_event": False}))
    assert table.settle(job).owes_event is False
    said = expressions(asked.only())
    assert said["remove"] == removed
    still = {"queued": False, "uploaded_again": False} if removed else {}
    assert said["set"] == {"owes_event": False, "updated_at": "2026-03-14T09:30:00.000000Z", **still}
    order = " AND order_version = :order" if removed else ""
    assert said["condition"] == "state = :from AND attempt = :attempt" + order


@pytest.mark.parametrize(("answered", "removed"), [(False, set()), (True, {"due_at"})])
def test_what_was_asked_for_again_stays_due_until_it_is_answered(
    stub: Stubber, table: JobTable, removed: set[str], *, answered: bool
) -> None:
    job = a_job(JobState.COMPLETED, owes_event=True, uploaded_again=True, due_at=START)
    asked = Asked(stub, job)
    table.settle(job, answered=answered)
    assert expressions(asked.only())["remove"] == removed


def test_a_move_may_count_an_attempt_of_its_own(stub: Stubber, table: JobTable) -> None:
    """As a job does that is resumed: the condition is about the attempt before."""
    job = a_job(JobState.FAILED, attempt=2)
    resumed = job.model_copy(update={"state": JobState.SUBMITTED, "attempt": 3})
    asked = Asked(stub, resumed)
    assert table.move(job, JobState.SUBMITTED, attempt=3, due_at=START) == resumed
    said = expressions(asked.only())
    assert said["set"]["attempt"] == 3
    assert said["values"] == {":from": "FAILED", ":attempt": 2, ":false": False}


def test_the_jobs_of_a_state_are_found_page_by_page(stub: Stubber, table: JobTable) -> None:
    one, other = a_job(JobState.FAILED), a_job(JobState.FAILED, job_id="f" * 32)
    asked = {
        "TableName": "jobs",
        "ConsistentRead": True,
        "FilterExpression": "begins_with(pk, :job) AND #state = :state",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":job": {"S": "job#"}, ":state": {"S": "FAILED"}},
    }
    found = table.in_state(JobState.FAILED)
    stub.add_response("scan", {"Items": [item(one)], "LastEvaluatedKey": KEY}, asked)
    assert next(found) == one
    further = {"pk": {"S": "photo#photos/shoes/red.jpg"}}
    stub.add_response("scan", {"Items": [], "LastEvaluatedKey": further}, {**asked, "ExclusiveStartKey": KEY})
    stub.add_response("scan", {"Items": [item(other)]}, {**asked, "ExclusiveStartKey": further})
    assert list(found) == [other]


def test_what_is_due_is_found_by_what_it_waits_for(stub: Stubber, table: JobTable) -> None:
    for cause, group in ((None, "turn"), (ParkedCause.CREDITS, "credits")):
        stub.add_response(
            "query",
            {"Items": [{"pk": {"S": f"job#{JOB_ID}"}, "due_at": {"S": "2026"}}]},
            {
                "TableName": "jobs",
                "IndexName": "due",
                "KeyConditionExpression": "due_group = :group AND due_at <= :now",
                "ExpressionAttributeValues": {
                    ":group": {"S": group},
                    ":now": {"S": "2026-03-14T09:30:00.000000Z"},
                },
                "Limit": 60,
            },
        )
        assert table.due(cause, 60) == [JOB_ID]


def test_what_is_queued_may_be_claimed_and_is_due_again_later(stub: Stubber, table: JobTable) -> None:
    asked = Asked(stub, a_job())
    table.mark_queued(JOB_ID)
    said = expressions(asked.only())
    assert said["set"]["queued"] is True
    assert START + timedelta(minutes=15) == START + QUEUED_DUE
    assert said["set"]["due_at"] == "2026-03-14T09:45:00.000000Z"
    assert said["condition"] == "due_at <= :now"


def test_a_next_attempt_counts_and_keeps_the_rest(stub: Stubber, table: JobTable) -> None:
    asked = Asked(stub, a_job(attempt=2))
    assert table.next_attempt(a_job()) == a_job(attempt=2)
    said = expressions(asked.only())
    assert set(said["set"]) == {"attempt", "updated_at"}
    assert said["condition"] == "state = :from AND attempt = :attempt"


def test_a_move_that_came_too_late_changes_nothing(stub: Stubber, table: JobTable) -> None:
    refused(stub, "update_item")
    standing = a_job(JobState.SUPERSEDED)
    get_item(stub, f"job#{JOB_ID}", item(standing))
    assert table.move(a_job(), JobState.COMPLETED) == Unmoved(standing)


@pytest.mark.parametrize(
    ("state", "to"), [(state, to) for state in JobState for to in JobState if to not in EDGES[state]]
)
def test_there_are_no_moves_but_the_edges(
    stub: Stubber, table: JobTable, state: JobState, to: JobState
) -> None:
    with pytest.raises(ValueError, match=f"no edge from {state} to {to}"):
        table.move(a_job(state), to)


def test_an_output_is_remembered_for_its_own_attempt_alone(stub: Stubber, table: JobTable) -> None:
    asked = Asked(stub, a_job())
    table.remember_output(a_job(attempt=3), "https://images.segmind.com/made.webp")
    said = expressions(asked.only())
    assert said["set"]["output_url"] == "https://images.segmind.com/made.webp"
    assert said["condition"] == "state = :from AND attempt = :attempt"
    assert said["values"] == {":from": "SUBMITTED", ":attempt": 3}


@pytest.mark.parametrize("operation", ["update_item", "put_item", "get_item"])
def test_what_aws_refuses_for_now_is_raised(stub: Stubber, table: JobTable, operation: str) -> None:
    stub.add_client_error(operation, "ProvisionedThroughputExceededException")
    calls: dict[str, Callable[[], object]] = {
        "update_item": lambda: table.claim(JOB_ID),
        "put_item": lambda: table.insert_ended(REJECTED),
        "get_item": lambda: table.get(JOB_ID),
    }
    with pytest.raises(ClientError):
        calls[operation]()


# -- numbers --

numbers = st.floats(allow_nan=True) | st.integers()


@given(numbers, numbers)
def test_whatever_the_api_measures_fits_into_a_row_and_reads_back(
    inference_seconds: float, cost_usd: float
) -> None:
    metrics = {"inference_time": inference_seconds, "cost": cost_usd}
    body = json.dumps({"status": "COMPLETED", "metrics": metrics})
    outcome = request_outcome(200, {}, body.encode(), START)
    assert isinstance(outcome, Completed)
    measured = {"inference_seconds": outcome.inference_seconds, "cost_usd": outcome.cost_usd}
    job = a_job(JobState.COMPLETED, **measured)
    with stubbed(CLIENT) as stub:
        asked = Asked(stub, job)
        assert JobTable(CLIENT, "jobs", Clock()).move(a_job(), JobState.COMPLETED, **measured) == job
        said = expressions(asked.only())["set"]
    assert said["cost_usd"] is None or float(said["cost_usd"]) == outcome.cost_usd
