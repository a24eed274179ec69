"""The local cloud: MiniStack with the real template deployed in it, and the Segmind emulator beside it.

It proves what MiniStack emulates and no more: DynamoDB's TTL, S3's lifecycle, queue policies and the state
machine's role are accepted and not applied. Template tests and linters cover those.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import boto3
import botocore.session
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from packshot_cli.errors import LocalCloudError
from packshot_cli.operator_user import create_operator
from packshot_cli.packaging import package
from packshot_cli.processes import Process, running

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import OperationEventTypeDef, StackEventTypeDef
    from mypy_boto3_s3 import S3Client

TEMPLATE_FILE = Path(__file__).resolve().parents[2] / "template.yaml"
REGION = "us-east-1"
STACK_NAME = "packshot"
ARTIFACTS_BUCKET = "packshot-artifacts"
# Nothing is held back on this machine, unless someone wants to see it.
LOCAL_PARAMETERS = {"SettleSeconds": "0"}
READY_WITHIN_SECONDS = 60.0
DEPLOYED_WITHIN_SECONDS = 60.0
EMULATOR_READY = "Segmind emulator on "


@dataclass(frozen=True)
class LocalCloud:
    """A running local cloud. The credentials are the operator's; `api_key` is what the secret holds."""

    endpoint_url: str
    segmind_url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    api_key: str | None = field(repr=False)
    outputs: Mapping[str, str]
    processes: tuple[Process, ...] = field(repr=False)
    region: str = REGION

    def description(self) -> dict[str, Any]:
        """What `packshot local up` prints, ready for JSON."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "segmind_url": self.segmind_url,
            "outputs": dict(self.outputs),
        }

    def session(self) -> boto3.Session:
        """The operator's session: its clients and resources talk to this cloud."""
        return _session(self.endpoint_url, self.access_key_id, self.secret_access_key)

    def check(self) -> None:
        """Raise LocalCloudError when a part of the cloud has ended."""
        for process in self.processes:
            process.check()

    def stay(self) -> NoReturn:
        """Wait for ever; raises LocalCloudError when a part of the cloud ends."""
        while True:
            self.check()
            time.sleep(0.2)


@contextmanager
def local_cloud(
    *,
    segmind_url: str | None = None,
    api_key: str | None = None,
    port: int | None = None,
    wait_scale: float = 1.0,
    parameters: Mapping[str, str] | None = None,
    emulator_seconds: float = 5.0,
    template_file: Path = TEMPLATE_FILE,
    handlers_endpoint_url: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[LocalCloud]:
    """Run a local cloud until the block ends; no process and no file of it is left then, or if we are killed.

    Without `segmind_url` the emulator is started, with jobs of `emulator_seconds`, and takes `api_key` or one
    made for it. `port` is MiniStack's, any free one by default. `wait_scale` multiplies the workflow's waits.
    `parameters` are the stack's, and win over what follows from the rest. The functions
    find AWS at `handlers_endpoint_url`, if not at MiniStack itself. `tell` gets lines on the progress.

    Raises LocalCloudError, whose text is one line with the cause.
    """
    started_at = time.monotonic()
    given = dict(parameters or {})
    packaged = package(template_file, ARTIFACTS_BUCKET)
    check_names(given, packaged.template.get("Parameters", {}))
    with ExitStack() as stack:
        tell("Starting MiniStack")
        ministack, endpoint_url = stack.enter_context(
            _ministack(free_port(port), wait_scale, handlers_endpoint_url)
        )
        processes = [ministack]
        if segmind_url is None:
            tell("Starting the Segmind emulator")
            api_key = api_key or secrets.token_urlsafe(24)
            emulator, segmind_url = stack.enter_context(emulated_segmind(emulator_seconds, api_key))
            processes.append(emulator)
        segmind_url = segmind_url.rstrip("/")
        ministack.wait_until(partial(_answers, f"{endpoint_url}/_ministack/health"), READY_WITHIN_SECONDS)

        tell(f"Deploying {template_file.name}")
        # MiniStack's root, as it has it: it needs no secret, because it serves nobody but this machine.
        root = _session(endpoint_url, "test", "test")
        try:
            s3 = root.client("s3")
            _upload(s3, {**packaged.objects, "template.json": packaged.template_body})
            _make_what_exists(root, given)
            outputs = _deploy(
                root.client("cloudformation"),
                f"{endpoint_url}/{ARTIFACTS_BUCKET}/template.json",
                {**LOCAL_PARAMETERS, **segmind_parameters(segmind_url), **given},
            )
            if api_key:
                root.client("secretsmanager").put_secret_value(
                    SecretId=outputs["ApiKeySecretArn"], SecretString=api_key
                )
            access_key_id, secret_access_key = create_operator(root.client("iam"), STACK_NAME, outputs)
        except (BotoCoreError, ClientError) as error:
            ministack.check()
            raise LocalCloudError(one_line(str(error))) from error

        tell(f"Ready after {time.monotonic() - started_at:.1f} s")
        yield LocalCloud(
            endpoint_url=endpoint_url,
            segmind_url=segmind_url,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            api_key=api_key,
            outputs=outputs,
            processes=tuple(processes),
        )


def parse_parameters(texts: Iterable[str]) -> dict[str, str]:
    """Read `Name=Value` texts. Raises LocalCloudError for one without a name or an equals sign."""
    parameters = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise LocalCloudError(f"--param takes Name=Value, not {text}")
        parameters[name] = value
    return parameters


def check_names(given: Mapping[str, str], declared: Mapping[str, Any]) -> None:
    """Raise LocalCloudError for a parameter that the template has not: AWS refuses it, MiniStack does not."""
    if unknown := sorted(given.keys() - declared.keys()):
        raise LocalCloudError(
            f"The template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(declared))}"
        )


def segmind_parameters(segmind_url: str) -> dict[str, str]:
    """The stack's parameters for a Segmind at this URL: its host, exactly, may also serve images."""
    return {
        "SegmindBaseUrl": segmind_url,
        "OutputHosts": f"images.segmind.com,{urlsplit(segmind_url).netloc}",
    }


def failure(
    events: Iterable[StackEventTypeDef], validation_events: Iterable[OperationEventTypeDef] = ()
) -> str:
    """The resource that made a stack fail, and why, from its events, newest first as AWS has them.

    Of a failed validation the stack's events only say that there was one. A resource that was cancelled
    because another failed is not the cause, and neither is the stack itself.
    """
    reasons = [
        (event.get("LogicalResourceId"), event["ValidationStatusReason"])
        for event in validation_events
        if "ValidationStatusReason" in event
    ] or [
        (event.get("LogicalResourceId"), event.get("ResourceStatusReason", ""))
        for event in events
        if event.get("ResourceStatus", "").endswith("_FAILED")
        and event.get("ResourceType") != "AWS::CloudFormation::Stack"
        and "cancelled" not in event.get("ResourceStatusReason", "")
    ]
    if not reasons:
        return "no resource says why"
    resource, reason = reasons[-1]
    return one_line(f"{resource}: {reason}")


def one_line(text: str) -> str:
    return " ".join(text.split())


def free_port(wanted: int | None) -> int:
    """The wanted port of loopback, or any that is free. Raises LocalCloudError when it cannot be used."""
    try:
        with socket.create_server(("127.0.0.1", wanted or 0)) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError as error:
        # Not error.strerror, to which Python adds the address.
        raise LocalCloudError(f"Port {wanted} cannot be used: {os.strerror(error.errno or 0)}") from None


@contextmanager
def _ministack(
    port: int, wait_scale: float, handlers_endpoint_url: str | None
) -> Iterator[tuple[Process, str]]:
    variables = {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "SFN_WAIT_SCALE": str(wait_scale),
        "SFTP_ENABLED": "0",
    }
    if handlers_endpoint_url:
        # MiniStack hands its own on to them.
        variables["AWS_ENDPOINT_URL"] = handlers_endpoint_url
    with running("MiniStack", [sys.executable, "-m", "ministack"], variables) as process:
        yield process, f"http://127.0.0.1:{port}"


@contextmanager
def emulated_segmind(seconds: float, api_key: str) -> Iterator[tuple[Process, str]]:
    """Run the emulator of Segmind's API until the block ends; its process and its URL.

    Raises LocalCloudError.
    """
    command = [sys.executable, "-m", "packshot_cli", "emulator", "--port", "0", "--seconds", str(seconds)]
    with running("Emulator", command, {}) as process:
        process.wait_until(lambda: bool(_emulator_url(process.lines)), READY_WITHIN_SECONDS)
        url = _emulator_url(process.lines)
        # Not on the command line, which others can read.
        with _direct() as http:
            http.patch(f"{url}/_emulator/settings", json={"api_key": api_key}, timeout=10).raise_for_status()
        yield process, url


def _emulator_url(lines: Iterable[str]) -> str:
    return next(
        (line.removeprefix(EMULATOR_READY) for line in list(lines) if line.startswith(EMULATOR_READY)), ""
    )


def _answers(url: str) -> bool:
    try:
        with _direct() as http:
            return http.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _direct() -> requests.Session:
    """Without the proxies that the caller's environment may name: they do not reach our loopback."""
    session = requests.Session()
    session.trust_env = False
    return session


def _session(endpoint_url: str, access_key_id: str, secret_access_key: str) -> boto3.Session:
    """A session for this endpoint alone, whatever profile, configuration or proxy the caller has."""
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    core.set_default_client_config(Config(proxies={}))
    session = boto3.Session(access_key_id, secret_access_key, region_name=REGION, botocore_session=core)
    session.client = partial(session.client, endpoint_url=endpoint_url)  # type: ignore[method-assign]
    session.resource = partial(  # type: ignore[method-assign, assignment]
        session.resource, endpoint_url=endpoint_url
    )
    return session


def _upload(s3: S3Client, objects: Mapping[str, bytes]) -> None:
    s3.create_bucket(Bucket=ARTIFACTS_BUCKET)
    for key, body in objects.items():
        s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=body)


def _make_what_exists(owner: boto3.Session, parameters: Mapping[str, str]) -> None:
    """What the owner of existing buckets and buses would have done; here, nothing exists before the stack."""
    s3 = owner.client("s3")
    if name := parameters.get("ExistingInputBucketName"):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    if name := parameters.get("ExistingOutputBucketName"):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if (name := parameters.get("ExistingEventBusName")) and name != "default":
        owner.client("events").create_event_bus(Name=name)


def _deploy(
    cloudformation: CloudFormationClient, template_url: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    """Create the stack; returns its outputs. Raises LocalCloudError when it fails."""
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateURL=template_url,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        OnFailure="DO_NOTHING",
    )
    deadline = time.monotonic() + DEPLOYED_WITHIN_SECONDS
    while (stack := cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0])[
        "StackStatus"
    ] == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            raise LocalCloudError(f"The stack was not created within {DEPLOYED_WITHIN_SECONDS:g} seconds")
        time.sleep(0.05)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        reason = failure(
            cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"],
            cloudformation.describe_events(StackName=STACK_NAME)["OperationEvents"],
        )
        raise LocalCloudError(f"The stack could not be created: {reason}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
