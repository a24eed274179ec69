"""`packshot local up` as its users meet it: a command, one JSON object, a signal, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from packshot_cli.errors import LocalCloudError
from packshot_cli.local_cloud import local_cloud
from packshot_cli.processes import running

# Nobody answers there: a cloud that is only looked at needs no Segmind, and is up sooner.
NOWHERE = "http://127.0.0.1:9"
OUTPUT_NAMES = {
    "InputBucketName",
    "OutputBucketName",
    "JobTableName",
    "UploadQueueUrl",
    "UploadDeadLetterQueueUrl",
    "WorkflowArn",
    "EventBusName",
    "ApiKeySecretArn",
    "UploaderPolicyArn",
    "ImageReaderPolicyArn",
}
# What a caller's environment may hold; the local cloud must neither need nor obey it.
HOSTILE = {
    "AWS_PROFILE": "no-such-profile",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIACALLER",
    "AWS_SECRET_ACCESS_KEY": "caller",
    "AWS_DEFAULT_REGION": "eu-north-1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "GATEWAY_PORT": "1",
    "AUTH": "false",
}


@dataclass
class Up:
    """A `packshot local up`, with a folder of temporary files for itself and all that it starts."""

    process: subprocess.Popen[str]
    stdout: IO[str]
    stderr: IO[str]
    folder: Path

    def description(self) -> dict[str, Any]:
        line = self.stdout.readline()
        assert line, self.stderr.read()
        return dict(json.loads(line))

    def ended(self) -> tuple[int, str, list[str]]:
        """The exit code, what is left to read of standard output, and the lines of standard error."""
        code = self.process.wait(timeout=20)
        return code, self.stdout.read(), self.stderr.read().splitlines()

    def groups(self) -> set[int]:
        """The process groups of what it started: their leaders know the folder by name."""
        return {group for _, group, command in _processes() if str(self.folder) in command}

    def pid_of(self, words: str) -> int:
        groups = self.groups()
        (pid,) = (
            pid
            for pid, group, command in _processes()
            if group in groups and pid != group and words in command
        )
        return pid


def _processes() -> Iterator[tuple[int, int, str]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,pgid=,stat=,command="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, group, state, command = line.split(maxsplit=3)
        if "Z" not in state:
            yield int(pid), int(group), command


def _eventually(true: Callable[[], bool], within_seconds: float = 15) -> bool:
    deadline = time.monotonic() + within_seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def _nothing_left(folder: Path, groups: set[int]) -> bool:
    return not any(folder.iterdir()) and not any(group in groups for _, group, _ in _processes())


@contextmanager
def _up(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """Run the command from a folder that is no checkout. It is killed in the end if it has not ended."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "packshot_cli", "local", "up", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
        env={**os.environ, "TMPDIR": str(folder), **(environment or {})},
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            yield Up(process, process.stdout, process.stderr, folder)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def _session(description: Mapping[str, Any]) -> boto3.Session:
    return boto3.Session(
        description["access_key_id"], description["secret_access_key"], region_name=description["region"]
    )


def _start_a_handler(description: Mapping[str, Any]) -> None:
    """Upload something, and wait until a function has run: its process is one more that must not stay."""
    session, endpoint, outputs = _session(description), description["endpoint_url"], description["outputs"]
    session.client("s3", endpoint_url=endpoint).put_object(
        Bucket=outputs["InputBucketName"], Key="note.txt", Body=b"not a photo"
    )
    logs = session.client("logs", endpoint_url=endpoint)

    def handled() -> bool:
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        return any(logs.filter_log_events(logGroupName=group)["events"] for group in groups)

    assert _eventually(handled)


@pytest.fixture(scope="class")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    environment = {**HOSTILE, "SEGMIND_API_KEY": "SG_of_the_environment"}
    with _up(tmp_path_factory.mktemp("up") / "tmp", "--wait-scale", "0.05", environment=environment) as up:
        yield up


@pytest.fixture(scope="class")
def described(up: Up) -> dict[str, Any]:
    return up.description()


@pytest.fixture(scope="class")
def outputs(described: Mapping[str, Any]) -> dict[str, str]:
    return dict(described["outputs"])


@pytest.fixture(scope="class")
def client(described: Mapping[str, Any]) -> Callable[[str], Any]:
    session: Any = _session(described)
    return lambda service: session.client(service, endpoint_url=described["endpoint_url"])


class TestUp:
    """One cloud with its emulator, started in an environment full of somebody else's settings."""

    def test_the_object_has_what_the_contract_names(self, described: dict[str, Any]) -> None:
        assert described.keys() == {
            "endpoint_url",
            "region",
            "access_key_id",
            "secret_access_key",
            "segmind_url",
            "outputs",
        }
        assert described["outputs"].keys() == OUTPUT_NAMES
        assert all(described["outputs"].values())
        assert described["endpoint_url"].startswith("http://127.0.0.1:")
        assert described["region"] == "us-east-1"

    def test_the_emulator_answers_and_has_the_key_of_the_environment(self, described: dict[str, Any]) -> None:
        balance = f"{described['segmind_url']}/v1/get-user-credits"
        assert requests.get(balance, headers={"x-api-key": "another"}, timeout=5).status_code == 401
        key = {"x-api-key": "SG_of_the_environment"}
        assert requests.get(balance, headers=key, timeout=5).status_code == 200

    def test_only_loopback_listens(self, described: dict[str, Any]) -> None:
        port = int(described["endpoint_url"].rsplit(":", 1)[1])
        # All of 127.0.0.0/8 is this machine on Linux; elsewhere nothing answers at .2, which proves less.
        with pytest.raises(OSError, match=r"."):
            socket.create_connection(("127.0.0.2", port), timeout=2)

    def test_the_operator_reads_and_writes_the_buckets(self, client: Any, outputs: dict[str, str]) -> None:
        s3 = client("s3")
        for bucket in (outputs["InputBucketName"], outputs["OutputBucketName"]):
            # Nothing that ends in a slash is a photo.
            s3.put_object(Bucket=bucket, Key="operator/", Body=b"1")
            assert s3.get_object(Bucket=bucket, Key="operator/")["Body"].read() == b"1"
            assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] >= 1
            assert s3.list_object_versions(Bucket=bucket)["Versions"]
            s3.delete_object(Bucket=bucket, Key="operator/")

    def test_the_operator_reads_and_writes_the_table(self, client: Any, outputs: dict[str, str]) -> None:
        table = {"TableName": outputs["JobTableName"]}
        key = {"pk": {"S": "operator"}}
        client("dynamodb").put_item(**table, Item=key)
        assert client("dynamodb").get_item(**table, Key=key)["Item"] == key
        assert client("dynamodb").scan(**table)["Count"] >= 1
        client("dynamodb").delete_item(**table, Key=key)

    def test_the_operator_reads_and_writes_the_queues(self, client: Any, outputs: dict[str, str]) -> None:
        dead = outputs["UploadDeadLetterQueueUrl"]
        client("sqs").send_message(QueueUrl=dead, MessageBody="operator")
        (message,) = client("sqs").receive_message(QueueUrl=dead)["Messages"]
        client("sqs").delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        attributes = client("sqs").get_queue_attributes(
            QueueUrl=outputs["UploadQueueUrl"], AttributeNames=["All"]
        )
        assert "RedrivePolicy" in attributes["Attributes"]

    def test_the_operator_taps_the_bus_with_a_queue_of_its_own(
        self, client: Any, outputs: dict[str, str]
    ) -> None:
        queue = client("sqs").create_queue(QueueName="tap")["QueueUrl"]
        arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        rule = {"EventBusName": outputs["EventBusName"]}
        client("events").put_rule(**rule, Name="tap", EventPattern='{"source": ["packshot"]}')
        put = client("events").put_targets(**rule, Rule="tap", Targets=[{"Id": "tap", "Arn": arn}])
        assert put["FailedEntryCount"] == 0
        (target,) = client("events").list_targets_by_rule(**rule, Rule="tap")["Targets"]
        assert target["Arn"] == arn
        client("events").remove_targets(**rule, Rule="tap", Ids=["tap"])
        client("events").delete_rule(**rule, Name="tap")
        client("sqs").delete_queue(QueueUrl=queue)

    def test_the_operator_reads_executions_and_logs(
        self, client: Any, described: dict[str, Any], outputs: dict[str, str]
    ) -> None:
        _start_a_handler(described)
        assert "executions" in client("stepfunctions").list_executions(stateMachineArn=outputs["WorkflowArn"])

    @pytest.mark.parametrize(
        ("service", "call", "arguments"),
        [
            ("iam", "create_user", {"UserName": "second"}),
            ("iam", "list_users", {}),
            ("lambda", "list_functions", {}),
            ("cloudformation", "delete_stack", {"StackName": "packshot"}),
            ("s3", "create_bucket", {"Bucket": "second-bucket"}),
            ("s3", "list_objects_v2", {"Bucket": "packshot-artifacts"}),
            ("events", "put_rule", {"Name": "default-bus", "EventPattern": '{"source": ["packshot"]}'}),
            ("dynamodb", "list_tables", {}),
        ],
    )
    def test_the_operator_is_not_root(
        self, client: Any, service: str, call: str, arguments: dict[str, str]
    ) -> None:
        with pytest.raises(ClientError) as refused:
            getattr(client(service), call)(**arguments)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
        assert "AccessDenied" in refused.value.response["Error"]["Code"]

    def test_the_operator_may_not_read_the_key(self, client: Any, outputs: dict[str, str]) -> None:
        with pytest.raises(ClientError, match="AccessDenied"):
            client("secretsmanager").get_secret_value(SecretId=outputs["ApiKeySecretArn"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_nothing_left(tmp_path: Path, number: signal.Signals) -> None:
    with _up(tmp_path / "tmp") as up:
        description = up.description()
        _start_a_handler(description)
        groups = up.groups()
        assert len(groups) == 2
        up.process.send_signal(number)
        code, more, _ = up.ended()

        assert (code, more) == (0, "")
        assert _nothing_left(up.folder, groups)
        with pytest.raises(requests.ConnectionError):
            requests.get(description["segmind_url"], timeout=2)


def test_killed_it_leaves_nothing_either(tmp_path: Path) -> None:
    with _up(tmp_path / "tmp", "--segmind-url", NOWHERE) as up:
        _start_a_handler(up.description())
        groups = up.groups()
        up.process.kill()
        up.process.wait()

        assert _eventually(lambda: _nothing_left(up.folder, groups))


@pytest.mark.parametrize("progress", ["Starting MiniStack", "Starting the Segmind emulator", "Deploying"])
def test_a_signal_during_the_start_ends_it_with_nothing_left(tmp_path: Path, progress: str) -> None:
    with _up(tmp_path / "tmp") as up:
        while not (line := up.stderr.readline()).startswith(progress):
            assert line, "it ended before it got there"
        groups = up.groups()
        up.process.send_signal(signal.SIGTERM)
        code, said, _ = up.ended()

        assert (code, said) == (0, "")
        # A part that was just being started ends by its leash, a moment later.
        assert _eventually(lambda: _nothing_left(up.folder, groups))


@pytest.mark.parametrize(
    ("words", "name"), [("packshot_cli emulator", "Emulator"), ("ministack", "MiniStack")]
)
def test_it_ends_when_a_part_of_it_dies(tmp_path: Path, words: str, name: str) -> None:
    with _up(tmp_path / "tmp") as up:
        up.description()
        groups = up.groups()
        os.kill(up.pid_of(words), signal.SIGKILL)
        code, more, lines = up.ended()

        assert (code, more) == (1, "")
        assert lines[-1].startswith(f"{name} ended: ")
        assert _nothing_left(up.folder, groups)


def _failure(up: Up) -> str:
    """The one line after the progress, of a command that failed as it should."""
    code, said, lines = up.ended()
    assert (code, said) == (1, "")
    progress = ("Starting", "Deploying")
    (line,) = (line for line in lines if not line.startswith(progress))
    assert _eventually(lambda: _nothing_left(up.folder, set()))
    return line


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _up(tmp_path / "tmp", "--segmind-url", NOWHERE, "--port", str(port)) as up:
            assert _failure(up) == f"Port {port} cannot be used: Address already in use"


def test_a_wanted_port_is_used_and_free_again_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for _ in range(2):
        with local_cloud(segmind_url=NOWHERE, port=port) as cloud:
            assert cloud.endpoint_url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("parameter", "cause"),
    [
        ("SceneQuality=0", "SceneQuality"),
        ("SceneQualty=80", "The template has no parameter SceneQualty"),
        ("SceneQuality", "--param takes Name=Value, not SceneQuality"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, parameter: str, cause: str) -> None:
    with _up(tmp_path / "tmp", "--segmind-url", NOWHERE, "--param", parameter) as up:
        assert cause in _failure(up)


def test_parameters_win_and_reach_the_functions() -> None:
    with local_cloud(
        segmind_url=NOWHERE,
        parameters={"OutputHosts": "images.example.com", "ExistingInputBucketName": "mine"},
    ) as cloud:
        assert cloud.outputs["InputBucketName"] == "mine"
        # The root's key, for what no operator may see.
        root: Any = boto3.client(
            "lambda",
            endpoint_url=cloud.endpoint_url,
            region_name=cloud.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        variables: dict[str, str] = {}
        for function in root.list_functions()["Functions"]:
            variables |= function["Environment"]["Variables"]
        assert variables["OUTPUT_HOSTS"] == "images.example.com"
        assert variables["SEGMIND_BASE_URL"] == NOWHERE
        _start_a_handler(cloud.description())


def test_a_stack_that_cannot_be_created_names_the_resource(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        """
Parameters:
  SegmindBaseUrl: { Type: String }
  OutputHosts: { Type: String }
Resources:
  SlowQueue:
    Type: AWS::SQS::Queue
    Properties: { VisibilityTimeout: 99999 }
"""
    )
    with (
        pytest.raises(LocalCloudError, match=r"SlowQueue: Invalid value for the parameter VisibilityTimeout"),
        local_cloud(segmind_url=NOWHERE, template_file=template),
    ):
        pass


def test_an_emulator_that_does_not_start_is_reported_in_its_own_words() -> None:
    with (
        pytest.raises(LocalCloudError, match=r"^Emulator ended: .*seconds.*$"),
        local_cloud(emulator_seconds=-1.0),
    ):
        pass


def test_a_process_that_will_not_end_is_killed() -> None:
    stubborn = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: None)
print("ready", flush=True)
while True:
    time.sleep(1)
"""
    with running("Stubborn", [sys.executable, "-c", stubborn], {}) as process:
        process.wait_until(lambda: bool(process.lines), 20)
        started_at = time.monotonic()
    assert time.monotonic() - started_at < 6
