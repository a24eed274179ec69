"""A deployed stack, as whoever answers for it finds it: by its name, in the account that boto3 finds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from packshot.aws import CONFIG
from packshot_cli.errors import StackError
from packshot_cli.text import one_line

DEFAULT_NAME = "packshot"
SAM_CONFIG = "samconfig.toml"


@dataclass(frozen=True)
class Stack:
    """A stack of ours, and the session of whoever works on it."""

    name: str
    session: boto3.Session
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client with our time-outs, in the account and the region of the stack."""
        return self.session.client(service, config=CONFIG)  # type: ignore[call-overload]

    def output(self, name: str) -> str:
        """Raises StackError when the stack has no such output."""
        if name not in self.outputs:
            raise StackError(f"The stack {self.name} is none of Packshot's: it has no output {name}")
        return self.outputs[name]

    def physical_id(self, logical_id: str) -> str:
        """What AWS calls a resource of the stack; the URL, for a queue. Raises ClientError."""
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def find_stack(name: str | None, region: str | None, profile: str | None, folder: Path) -> Stack:
    """The stack of that name. Raises StackError, ClientError and BotoCoreError.

    What is not said is as in the folder's samconfig.toml: its stack's name, and its region where boto3 knows
    of none.
    """
    deployed = _sam_parameters(folder / SAM_CONFIG)
    name = name or deployed.get("stack_name") or DEFAULT_NAME
    session = boto3.Session(profile_name=profile, region_name=region)
    if not session.region_name:
        session = boto3.Session(profile_name=profile, region_name=deployed.get("region"))
    try:
        answer = session.client("cloudformation", config=CONFIG).describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            raise StackError(
                f"There is no stack {name} in {session.region_name}: --stack, --region, --profile say where"
            ) from None
        raise
    outputs = answer["Stacks"][0].get("Outputs", [])
    return Stack(name, session, {each["OutputKey"]: each["OutputValue"] for each in outputs})


@contextmanager
def aws_in_a_line() -> Iterator[None]:
    """Within the block, what AWS refuses becomes a StackError, whose text is one line."""
    try:
        yield
    except NoCredentialsError:
        raise StackError(
            "There are no AWS credentials: --profile, or AWS's own environment, says whose"
        ) from None
    except NoRegionError:
        raise StackError("There is no AWS region: --region, or AWS_DEFAULT_REGION, says which") from None
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"AWS did not do as asked: {one_line(str(error))}") from None


def _sam_parameters(file: Path) -> Mapping[str, str]:
    """What `sam deploy` uses by default, from its own file; nothing where there is none."""
    try:
        config = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StackError(f"{file.name} cannot be read: {one_line(str(error))}") from None
    found: dict[str, str] = {}
    for command in ("global", "deploy"):
        parameters = _table(_table(_table(config, "default"), command), "parameters")
        found |= {name: value for name, value in parameters.items() if isinstance(value, str)}
    return found


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}
