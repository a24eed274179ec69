"""What each function is allowed in the template, and what it was seen to ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.proxy import GUEST, AwsRequest

TABLE_FILE = Path(__file__).resolve().parents[1] / "docs/grants.json"
# What cannot be seen in use here, and why it is granted all the same.
NO_KEYS = "with a key of the owner's; the local cloud has none"
UNSEEN = {
    **dict.fromkeys(
        (
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
        NO_KEYS,
    ),
    "s3:ListBucket": "without it AWS answers 403 for what is absent; the local cloud answers 404 either way",
}
# The parts of a statement's resource that tell which one it is, the more telling first.
_RESOURCES = (
    ("index/due", "JobTable/index/due"),
    (":execution:", "Workflow executions"),
    ("JobTable", "JobTable"),
    ("Workflow", "Workflow"),
    ("UploadQueue", "UploadQueue"),
    ("EventBus", "EventBus"),
    ("ApiKeySecret", "ApiKeySecret"),
    ("KmsKeyArn", "KmsKeyArn"),
)
_SERVICES = {"SQS": "sqs", "Events": "events", "StepFunctions": "states", "secretsmanager": "secretsmanager"}
_ONE_RESOURCE = {"sqs": "UploadQueue", "events": "EventBus", "secretsmanager": "ApiKeySecret"}
_TRANSACTED = {"Put": "dynamodb:PutItem", "Update": "dynamodb:UpdateItem"}


@dataclass(frozen=True, order=True)
class Grant:
    """That a function may do something to something."""

    function: str
    action: str
    resource: str


def granted(functions: Mapping[str, Any]) -> set[Grant]:
    """What the template's functions are allowed, from their properties by logical id."""
    return {
        Grant(function, action, _named(resource))
        for function, properties in functions.items()
        for policy in properties["Policies"]
        for statement in map(chosen, policy["Statement"])
        for action in _many(statement["Action"])
        for resource in _many(statement["Resource"])
    }


def statements(template: Mapping[str, Any]) -> Iterator[tuple[str, Any, list[Any]]]:
    """The statements of functions and of policies for people: whose, each as it stands, and its list.

    A policy of a queue or a bucket is none: it is the local cloud that does not look at those.
    """
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = properties.get("Policies", []) if resource["Type"] == "AWS::Serverless::Function" else []
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            documents = [properties["PolicyDocument"]]
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement, document["Statement"]


def named_statements(template: Mapping[str, Any]) -> dict[str, set[str]]:
    """What each statement allows, by whose it is and its Sid: `SubmitFunction.ReadPhotos`."""
    return {
        f"{name}.{chosen(statement)['Sid']}": set(_many(chosen(statement)["Action"]))
        for name, statement, _ in statements(template)
    }


def without_statement(template: Mapping[str, Any], named: str) -> None:
    """Take one statement out of a template. Raises ValueError when there is none of that name."""
    for name, statement, siblings in list(statements(template)):
        if named == f"{name}.{chosen(statement)['Sid']}":
            siblings.remove(statement)
            return
    raise ValueError(named)


def used(requests: Iterable[AwsRequest], buckets: Mapping[str, str]) -> set[Grant]:
    """What functions asked for; `buckets` are logical ids by the buckets' names."""
    return {
        Grant(request.function, action, resource)
        for request in requests
        if request.function not in {"", GUEST}
        for action, resource in _asked(request, buckets)
    }


def _asked(request: AwsRequest, buckets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    match request.service:
        case "S3":
            name = "GetObject" if request.operation == "HeadObject" else request.operation
            suffix = "Version" if request.version_id else ""
            yield f"s3:{name}{suffix}", buckets[request.bucket] + ("/*" if request.key else "")
        case "DynamoDB" if request.operation == "TransactWriteItems":
            for write in request.body["TransactItems"]:
                yield _TRANSACTED[next(iter(write))], "JobTable"
        case "DynamoDB":
            index = f"/index/{request.body['IndexName']}" if "IndexName" in request.body else ""
            yield f"dynamodb:{request.operation}", f"JobTable{index}"
        case "StepFunctions":
            executions = " executions" if request.operation == "DescribeExecution" else ""
            yield f"states:{request.operation}", f"Workflow{executions}"
        case _:
            service = _SERVICES[request.service]
            yield f"{service}:{request.operation}", _ONE_RESOURCE[service]


def chosen(statement: Any) -> Any:
    """A statement that is there by a condition, as if it was there."""
    if "Fn::If" not in statement:
        return statement
    _condition, *choices = statement["Fn::If"]
    (chosen,) = (choice for choice in choices if choice != {"Ref": "AWS::NoValue"})
    return chosen


def _named(resource: Any) -> str:
    text = json.dumps(resource)
    for bucket in ("OutputBucket", "InputBucket"):
        if bucket in text:
            return f"{bucket}/*" if "*" in text else bucket
    return next(name for part, name in _RESOURCES if part in text)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# -- the table of what was seen --


def read_table() -> set[Grant]:
    """What was ever seen in use, from docs/grants.json."""
    return {Grant(*grant) for grant in json.loads(TABLE_FILE.read_text(encoding="utf-8"))}


def add_to_table(seen: Iterable[Grant]) -> None:
    """Write the table anew, with what was seen now."""
    grants = sorted({*read_table(), *seen})
    lines = ",\n".join(f"  {json.dumps([grant.function, grant.action, grant.resource])}" for grant in grants)
    TABLE_FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def table_of(grants: Iterable[Grant]) -> str:
    """The table in docs/security.md: what is granted, and whether it was seen in use."""
    rows = [
        f"| {grant.function} | `{grant.action}` | {grant.resource} | {UNSEEN.get(grant.action, 'seen')} |"
        for grant in sorted(grants)
    ]
    return "\n".join(["| function | action | on | used |", "|---|---|---|---|", *rows])
