"""`packshot redrive`: which stack, what is asked, what is told, and that nothing is changed unasked."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError
from rich.console import Console
from typer.testing import CliRunner

from packshot.job import Job, JobState, Reason
from packshot.messages import JobMessage, UploadMessage
from packshot.redriving import LeaveAlone, PostAgain, Resume, SendAgain
from packshot_cli import redrive as redrive_module
from packshot_cli.dead_letters import DeadLetterQueue
from packshot_cli.errors import StackError
from packshot_cli.main import app
from packshot_cli.paying import cost_in_words
from packshot_cli.redrive import Line, show, summary, tab_separated, table_of
from packshot_cli.signals import StopError
from packshot_cli.stack import Stack, aws_in_a_line, find_stack
from tests.unit.aws import a_client, no_environment, stubbed
from tests.unit.fakes import START, World, a_job, a_photo

# -- Which stack --

CLOUD_FORMATION = a_client("cloudformation")
SAM_CONFIG = """
version = 0.1
[default.deploy.parameters]
stack_name = "shop"
region = "eu-south-2"
"""


class FakeSession:
    """A session that knows the region that it was told, and CloudFormation."""

    def __init__(self, profile_name: str | None = None, region_name: str | None = None) -> None:
        self.profile_name = profile_name
        self.region_name = region_name

    def client(self, service: str, **_: Any) -> Any:
        assert service == "cloudformation"
        return CLOUD_FORMATION


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", FakeSession)


def a_stack(name: str, **outputs: str) -> dict[str, Any]:
    told = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    stack = {"StackName": name, "CreationTime": START, "StackStatus": "CREATE_COMPLETE", "Outputs": told}
    return {"Stacks": [stack]}


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    ("config", "name", "region", "found_name", "found_region"),
    [
        (None, None, "eu-west-1", "packshot", "eu-west-1"),
        (SAM_CONFIG, None, None, "shop", "eu-south-2"),
        (SAM_CONFIG, "other", "eu-west-1", "other", "eu-west-1"),
        ("[default.global.parameters]\nstack_name = 'all'", None, "eu-west-1", "all", "eu-west-1"),
        ("[default]\ndeploy = 1\n[default.build.parameters]\nstack_name = 'no'", None, "x", "packshot", "x"),
    ],
)
def test_a_stack_is_found_by_what_is_said_then_by_sams_file(
    tmp_path: Path, config: str | None, name: str | None, region: str, found_name: str, found_region: str
) -> None:
    if config:
        (tmp_path / "samconfig.toml").write_text(config)
    with stubbed(CLOUD_FORMATION) as stub:
        stub.add_response("describe_stacks", a_stack(found_name, A="1"), {"StackName": found_name})
        stack = find_stack(name, region, "me", tmp_path)
    assert (stack.name, stack.session.region_name, stack.session.profile_name) == (
        found_name,
        found_region,
        "me",
    )
    assert stack.output("A") == "1"
    with pytest.raises(StackError, match=r"none of Packshot's: it has no output JobTableName"):
        stack.output("JobTableName")


@pytest.mark.usefixtures("sessions")
def test_a_resource_is_found_by_its_name_in_the_template() -> None:
    stack = Stack("shop", boto3.Session(), {})
    detail = {
        "LogicalResourceId": "Queue",
        "PhysicalResourceId": "https://queue",
        "ResourceType": "AWS::SQS::Queue",
        "LastUpdatedTimestamp": START,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    with stubbed(CLOUD_FORMATION) as stub:
        asked = {"StackName": "shop", "LogicalResourceId": "Queue"}
        stub.add_response("describe_stack_resource", {"StackResourceDetail": detail}, asked)
        assert stack.physical_id("Queue") == "https://queue"


def a_refusal(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.usefixtures("sessions")
def test_a_stack_that_is_not_there_is_told_with_its_region(tmp_path: Path) -> None:
    with stubbed(CLOUD_FORMATION) as stub:
        stub.add_client_error("describe_stacks", "ValidationError", "Stack with id packshot does not exist")
        with pytest.raises(StackError, match=r"no stack packshot in eu-west-1: --stack, --region"):
            find_stack(None, "eu-west-1", None, tmp_path)


@pytest.mark.parametrize("text", ["stack_name = ", "\xff"])
def test_a_broken_file_of_sams_is_told_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "samconfig.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(StackError, match=r"^samconfig.toml cannot be read: .+$") as told:
        find_stack(None, None, None, tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--region", "eu-west-1"], "There are no AWS credentials"),
        ([], "There is no AWS region"),
        (["--profile", "nobody"], r"The config profile \(nobody\) could not be found"),
    ],
)
def test_what_boto3_lacks_is_told_in_a_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with no_environment():
        result = CliRunner().invoke(app, ["redrive", "--state", "FAILED", *arguments])
    assert result.exit_code == 1
    assert words.replace("\\", "") in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.parametrize(
    "error",
    [a_refusal("AccessDenied", "not\nyours"), EndpointConnectionError(endpoint_url="http://127.0.0.1:9")],
)
def test_what_aws_refuses_is_told_in_a_line(error: Exception) -> None:
    with pytest.raises(StackError, match=r"^AWS did not do as asked: .+$") as told, aws_in_a_line():
        raise error
    assert "\n" not in str(told.value)


# -- Dead letters --

QUEUE = a_client("sqs")
DEAD, UPLOADS = "https://sqs.eu-west-1.amazonaws.com/1/dead", "https://sqs.eu-west-1.amazonaws.com/1/uploads"
LETTERS = DeadLetterQueue(QUEUE, DEAD, UPLOADS)
JOB_BODY = JobMessage(job_id="f" * 32).model_dump_json()
UPLOAD_BODY = UploadMessage.of(a_photo()).model_dump_json(by_alias=True)


def receives(stub: Any, most: int, *bodies: str) -> None:
    messages = [{"Body": body, "ReceiptHandle": f"handle of {body}"} for body in bodies]
    stub.add_response(
        "receive_message",
        {"Messages": messages} if messages else {},
        {"QueueUrl": DEAD, "MaxNumberOfMessages": most, "WaitTimeSeconds": 1},
    )


def moves(stub: Any, body: str) -> None:
    stub.add_response("send_message", {}, {"QueueUrl": UPLOADS, "MessageBody": body})
    stub.add_response("delete_message", {}, {"QueueUrl": DEAD, "ReceiptHandle": f"handle of {body}"})


def test_a_letter_is_sent_before_it_is_deleted_and_what_nobody_can_read_stays() -> None:
    with stubbed(QUEUE) as stub:
        receives(stub, 3, JOB_BODY, "nonsense", UPLOAD_BODY)
        moves(stub, JOB_BODY)
        moves(stub, UPLOAD_BODY)
        job, nonsense, upload = LETTERS.move(3)
    assert job == JobMessage(job_id="f" * 32)
    assert nonsense is None
    assert isinstance(upload, UploadMessage)


def test_letters_are_moved_up_to_the_count_or_until_there_are_none() -> None:
    with stubbed(QUEUE) as stub:
        receives(stub, 10, *["nonsense"] * 10)
        receives(stub, 2, "nonsense")
        receives(stub, 1, "nonsense")
        assert list(LETTERS.move(12)) == [None] * 12
    with stubbed(QUEUE) as stub:
        receives(stub, 10)
        assert not list(LETTERS.move(12))
    with stubbed(QUEUE):
        assert not list(LETTERS.move(0))


def test_letters_are_counted() -> None:
    with stubbed(QUEUE) as stub:
        asked = {"QueueUrl": DEAD, "AttributeNames": ["ApproximateNumberOfMessages"]}
        answer = {"Attributes": {"ApproximateNumberOfMessages": "7"}}
        stub.add_response("get_queue_attributes", answer, asked)
        assert LETTERS.count() == 7


# -- What is asked and done --


def failed(code: str, digit: str, **known: Any) -> Job:
    return a_job(
        JobState.FAILED,
        job_id=digit * 32,
        error=Reason(code=code, message="the API's words"),
        request_id="request-1",
        submitted_at=START,
        **known,
    )


JOBS = {
    "posted again": failed("GenerationFailed", "a"),
    "left alone": failed("RequestUnknown", "b"),
    "sent again": a_job(
        JobState.REJECTED, job_id="c" * 32, parameters=None, error=Reason(code="PhotoTooLarge", message="?")
    ),
    "resumed": failed("DeadlinePassed", "d"),
}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> World:
    """A stack in memory, with a job of each kind."""

    class AnySession:
        def client(self, _service: str, **_: Any) -> None:
            return None

    world = World()
    outputs = {"JobTableName": "jobs", "UploadQueueUrl": UPLOADS, "UploadDeadLetterQueueUrl": DEAD}
    stack = Stack("packshot", AnySession(), outputs)  # type: ignore[arg-type]
    monkeypatch.setattr(redrive_module, "find_stack", lambda *_: stack)
    monkeypatch.setattr(redrive_module, "JobTable", lambda *_: world.table)
    monkeypatch.setattr(redrive_module, "UploadQueue", lambda *_: world.queue)
    for job in JOBS.values():
        world.table.keep(job)
    return world


def redrive(*arguments: str, answer: str | None = None) -> Any:
    return CliRunner().invoke(app, ["redrive", *arguments], input=answer)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dry-run"],
        ["--job", "a", "--state", "FAILED"],
        ["--state", "FAILED", "--dead-letters"],
        ["--dead-letters", "--pay-again"],
        ["--state", "COMPLETED"],
    ],
)
def test_what_to_redrive_has_to_be_said_and_one_thing_of_it(shop: World, arguments: list[str]) -> None:
    result = redrive(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert not shop.queue.sent


@pytest.mark.parametrize("arguments", [["--pay-again"], []])
def test_a_dry_run_tells_the_same_and_changes_nothing(shop: World, arguments: list[str]) -> None:
    before = dict(shop.table.rows)
    told = redrive("--state", "FAILED", "--dry-run", *arguments)
    assert told.exit_code == 0
    assert "Nothing was changed" in told.stderr
    assert shop.table.rows == before
    assert not shop.queue.sent

    done = redrive("--state", "FAILED", "--yes", *arguments)
    assert done.exit_code == 0
    assert done.stdout == told.stdout
    assert shop.table.rows != before


def test_each_job_is_told_in_a_line_and_the_sum_apart(shop: World) -> None:
    result = redrive("--state", "FAILED")
    assert result.exit_code == 0
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["a" * 32, "shoes/red.jpg", "default", "FAILED", "GenerationFailed", "posted again", ""],
        [
            "b" * 32,
            "shoes/red.jpg",
            "default",
            "FAILED",
            "RequestUnknown",
            "left alone",
            "it may have been paid; it is paid again only with --pay-again",
        ],
        ["d" * 32, "shoes/red.jpg", "default", "FAILED", "DeadlinePassed", "resumed", ""],
    ]
    assert result.stderr.splitlines() == [
        "3 jobs: 1 posted again, 1 left alone, 1 resumed",
        f"Segmind may be paid for {cost_in_words(1)}",
    ]
    assert shop.queue.sent == ["a" * 32, "d" * 32]


def test_named_jobs_are_redriven_and_a_name_that_nobody_bears_stops_all(shop: World) -> None:
    refused = redrive("--job", "a" * 32, "--job", "nobody")
    assert refused.exit_code == 1
    assert refused.stderr == "The stack packshot has no job nobody\n"
    assert not shop.queue.sent

    done = redrive("--job", "a" * 32, "--job", "c" * 32, "--job", "a" * 32)
    assert done.exit_code == 0
    assert done.stderr.startswith("2 jobs: 1 posted again, 1 sent again\n")
    assert shop.queue.sent == ["a" * 32]
    assert [photo.key for photo in shop.queue.uploads] == ["shoes/red.jpg"]


def test_where_there_is_nothing_to_do_that_is_told(shop: World) -> None:
    result = redrive("--state", "UNCERTAIN")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No job was found\n")


def test_without_a_terminal_nothing_is_paid_again_without_a_word(shop: World) -> None:
    result = redrive("--state", "FAILED", "--pay-again", answer="y\n")
    assert result.exit_code == 1
    assert "1 job may be paid again" in result.stderr
    assert "up to 2 images: about $0.18" in result.stderr
    assert result.stderr.endswith("there is nobody to ask, and no --yes\n")
    assert not shop.queue.sent


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 3), ("n\n", 0), ("\n", 0), ("", 0)])
def test_on_a_terminal_nothing_is_paid_again_without_a_yes(
    shop: World, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)

    with nullcontext() if sent else pytest.raises(typer.Exit):
        redrive_module.run(
            jobs=[],
            state="FAILED",
            dead_letters=False,
            pay_again=True,
            dry_run=False,
            yes=False,
            stack=None,
            region=None,
            profile=None,
        )

    assert len(shop.queue.sent) == sent


def test_where_nothing_can_be_paid_twice_nobody_is_asked(shop: World) -> None:
    result = redrive("--job", "a" * 32, "--pay-again")
    assert result.exit_code == 0
    assert shop.queue.sent == ["a" * 32]


def test_what_moved_on_since_it_was_looked_at_is_left_alone(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody agreed to what it would take now."""

    def moved_on(*_: Any, **__: Any) -> None:
        shop.table.keep(failed("GenerationFailed", "b"))

    monkeypatch.setattr(redrive_module, "_agree_to_pay", moved_on)
    result = redrive("--job", "b" * 32, "--pay-again")
    assert "left alone\tit moved on meanwhile" in result.stdout
    assert not shop.queue.sent


@pytest.mark.parametrize(("error", "code"), [(StopError(2), 130), (a_refusal("Throttling", "slow"), 1)])
def test_what_was_done_before_the_end_is_told(
    shop: World, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def send(job_id: str) -> None:
        if shop.queue.sent:
            raise error
        shop.queue.sent.append(job_id)

    monkeypatch.setattr(shop.queue, "send_job", send)
    result = redrive("--state", "FAILED")
    assert result.exit_code == code
    assert result.stdout.splitlines()[0].startswith("a" * 32)
    assert result.stderr.count("\n") == 1


def test_dead_letters_of_both_queues_are_sent_again(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    queues: dict[str, list[Any]] = {
        DEAD: [JobMessage(job_id="f" * 32), None],
        "rule": [UploadMessage.of(a_photo())],
    }

    class FakeLetters:
        def __init__(self, _client: None, url: str, upload_queue_url: str) -> None:
            assert upload_queue_url == UPLOADS
            self._letters = queues[url]

        def count(self) -> int:
            return len(self._letters)

        def move(self, most: int) -> Any:
            while self._letters and most:
                yield self._letters.pop(0)

    monkeypatch.setattr(redrive_module, "DeadLetterQueue", FakeLetters)
    monkeypatch.setattr(Stack, "physical_id", lambda _, name: {"UploadRuleDeadLetterQueue": "rule"}[name])

    counted = redrive("--dead-letters", "--dry-run")
    assert counted.stderr.splitlines() == ["3 dead letters", "Nothing was changed: this was a dry run"]
    assert not counted.stdout

    moved = redrive("--dead-letters")
    assert [line.split("\t") for line in moved.stdout.splitlines()] == [
        ["f" * 32, "", "", "job", "", "sent again", ""],
        ["", "", "", "message", "", "left alone", "it is neither an upload nor a job"],
        ["", "shoes/red.jpg", "", "upload", "", "sent again", ""],
    ]
    assert moved.stderr.startswith(
        "3 dead letters: 2 sent again, 1 left alone\nSegmind may be paid for up to 2"
    )


# -- What is shown --

LINES = [
    Line("a" * 32, "shoes/red [bold] " + "long" * 30 + ".jpg", "default", "FAILED", "WrongOutput", Resume()),
    Line("b" * 32, "shoes/blue.jpg", "default", "FAILED", "NoOutput", PostAgain(charged=True)),
    Line("c" * 32, "shoes/white.jpg", "default", "FAILED", "NotAccepted", PostAgain(charged=False)),
    Line("d" * 32, "shoes/black.jpg", "default", "REJECTED", "InvalidScene", SendAgain()),
    Line("e" * 32, "shoes/grey.jpg", "default", "COMPLETED", "", LeaveAlone("its image is\nat x")),
]


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_whatever_the_width_the_ids_and_the_reasons_are_whole(columns: int) -> None:
    file = io.StringIO()
    Console(file=file, width=columns).print(table_of(LINES, columns))
    told = "".join(file.getvalue().split())
    for line in LINES:
        assert line.job_id in told
        assert line.done.replace(" ", "") in told
    assert "[bold]" in told
    assert "paidagain" in told
    assert all(len(row) <= columns for row in file.getvalue().splitlines())


def test_a_pipe_gets_a_line_a_job_whatever_its_names_hold() -> None:
    assert [tab_separated(line).count("\t") for line in LINES] == [6] * len(LINES)
    assert tab_separated(LINES[-1]).endswith("\tleft alone\tits image is at x")


def test_a_terminal_gets_a_table_even_when_it_breaks_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Any:
        yield LINES[0]
        raise StopError(2)

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(StopError):
        show(broken())
    assert "a" * 32 in capsys.readouterr().out


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_on_standard_error_leaves_standard_output_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "xterm")
    show(redrive_module._tracked(LINES, "Redriving", len(LINES)))
    told = capsys.readouterr()
    assert told.out.splitlines() == [tab_separated(line) for line in LINES]
    assert ("Redriving" in told.err) is is_terminal


def test_the_sum_counts_each_kind() -> None:
    assert summary(LINES, "job") == (
        "5 jobs: 1 resumed, 1 paid again, 1 posted again, 1 sent again, 1 left alone"
    )
    assert summary([], "dead letter") == "No dead letter was found"


def test_a_cost_has_its_price_and_the_date_of_it() -> None:
    assert cost_in_words(12_000).startswith("up to 12,000 images: about $1,069.20, at $0.0891 an image")
