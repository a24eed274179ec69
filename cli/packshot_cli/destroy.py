"""`packshot destroy`: a stack with everything in it. Deleting the stack alone keeps its buckets and table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.prompt import Prompt

from packshot_cli.errors import StackError
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack import Stack, aws_in_a_line, find_stack

_GONE = {"NoSuchBucket", "ResourceNotFoundException"}


@dataclass(frozen=True)
class Kept:
    """What outlives a stack that is deleted: the names of its buckets and tables."""

    buckets: Sequence[str]
    tables: Sequence[str]


def run(*, stack: str | None, region: str | None, profile: str | None, yes: bool) -> None:
    """Ask for the stack's name, then delete everything; leaves with a line and 1 when it cannot."""
    console = Console(stderr=True)
    try:
        with stopping_at_signals(), aws_in_a_line():
            found = find_stack(stack, region, profile, Path.cwd())
            # Only of ours: the name of another stack is a slip of the finger away.
            found.output("JobTableName")
            kept = what_outlives(found)
            _check_unprotected(found, kept)
            _tell(console, found, kept)
            if not yes and not _is_agreed_to(console, found.name):
                raise StackError("Nothing was deleted")
            destroy(found, kept)
    except StackError as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        console.print(
            "Stopped: the same command goes on; once the stack is gone, delete by hand what stands above"
        )
        raise typer.Exit(stop.exit_code) from None
    console.print(f"The stack {found.name} is gone, with all that was in it", highlight=False)


def what_outlives(stack: Stack) -> Kept:
    """The stack's own buckets and tables; not a bucket that the owner brought. Raises ClientError."""
    pages = (
        stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    )
    resources = [each for page in pages for each in page["StackResourceSummaries"]]

    def of(kind: str) -> list[str]:
        return [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == kind]

    return Kept(of("AWS::S3::Bucket"), of("AWS::DynamoDB::Table"))


def destroy(stack: Stack, kept: Kept) -> None:
    """Empty the buckets, delete the stack, and then what outlives it. Raises ClientError and BotoCoreError.

    Whoever breaks it off before the stack is gone may begin again; the buckets are emptied once more at the
    end, since the functions may have written meanwhile.
    """
    for bucket in kept.buckets:
        _empty(stack, bucket)
    cloudformation = stack.client("cloudformation")
    stack_id = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=stack_id)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=stack_id, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
    )
    for bucket in kept.buckets:
        with _perhaps_gone():
            _empty(stack, bucket)
            stack.client("s3").delete_bucket(Bucket=bucket)
    for table in kept.tables:
        with _perhaps_gone():
            stack.client("dynamodb").delete_table(TableName=table)


def _empty(stack: Stack, bucket: str) -> None:
    """Every version of every object, and every delete marker."""
    resource: Any = stack.session.resource("s3")
    for answer in resource.Bucket(bucket).object_versions.delete():
        if answer.get("Errors"):
            error = answer["Errors"][0]
            raise StackError(f"{bucket}: {error['Key']} cannot be deleted: {error['Code']}")


@contextmanager
def _perhaps_gone() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise


def _check_unprotected(stack: Stack, kept: Kept) -> None:
    for table in kept.tables:
        description = stack.client("dynamodb").describe_table(TableName=table)["Table"]
        if description.get("DeletionProtectionEnabled"):
            raise StackError(f"The table {table} is protected: deploy with DeletionProtection=false first")


def _tell(console: Console, stack: Stack, kept: Kept) -> None:
    lines = [f"This deletes the stack {stack.name}, and these with everything in them, old versions too:"]
    lines += [f"  {name}" for name in (*kept.buckets, *kept.tables)]
    named = (stack.output("InputBucketName"), stack.output("OutputBucketName"))
    if brought := [bucket for bucket in named if bucket not in kept.buckets]:
        lines.append(f"What the stack did not make stays as it is: {', '.join(brought)}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _is_agreed_to(console: Console, name: str) -> bool:
    """Whether whoever sits at the terminal types the stack's name; nobody there is a no, and so is Ctrl-C."""
    if not sys.stdin.isatty():
        return False
    try:
        return Prompt.ask("Type the stack's name to go on", console=console) == name
    except (EOFError, StopError):
        return False
