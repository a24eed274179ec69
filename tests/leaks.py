"""Everything that a stack has written, as text, for whoever looks for what must not be in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import boto3

from packshot_cli.local_cloud import LocalCloud

# What a presigned URL cannot be without, and the credentials that it may carry.
SIGNED = ("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token")


def written(cloud: LocalCloud) -> Iterator[tuple[str, str]]:
    """Where, and what: logs, variables, rows, what the state machine carried, what lies beside the images."""
    root = boto3.Session("test", "test", region_name=cloud.region)

    def client(name: str) -> Any:
        return root.client(name, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]

    logs, states, s3 = client("logs"), client("stepfunctions"), client("s3")
    for group in pages(logs, "describe_log_groups", "logGroups"):
        for event in pages(logs, "filter_log_events", "events", logGroupName=group["logGroupName"]):
            yield group["logGroupName"], event["message"]
    for function in pages(client("lambda"), "list_functions", "Functions"):
        yield "the variables", json.dumps(function.get("Environment"))
    for row in pages(client("dynamodb"), "scan", "Items", TableName=cloud.outputs["JobTableName"]):
        yield "the table", json.dumps(row, default=str)
    workflow = cloud.outputs["WorkflowArn"]
    for execution in pages(states, "list_executions", "executions", stateMachineArn=workflow):
        arn = execution["executionArn"]
        for event in pages(states, "get_execution_history", "events", executionArn=arn):
            yield "an execution", json.dumps(event, default=str)
    bucket = cloud.outputs["OutputBucketName"]
    for found in pages(s3, "list_objects_v2", "Contents", Bucket=bucket):
        answer = s3.get_object(Bucket=bucket, Key=found["Key"])
        yield found["Key"], json.dumps(answer["Metadata"])
        if found["Key"].endswith(".json"):
            yield found["Key"], answer["Body"].read().decode()


def pages(client: Any, operation: str, name: str, **arguments: Any) -> Iterator[Any]:
    """All of what an operation lists."""
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(name, [])


def leaks(texts: Iterable[tuple[str, str]], secret: str | None) -> set[tuple[str, str]]:
    """Where something is that must not be there, and what that is; never the secret itself."""
    looked_for = {**({"the API key": secret} if secret else {}), **{word: word for word in SIGNED}}
    return {(where, name) for where, text in texts for name, word in looked_for.items() if word in text}
