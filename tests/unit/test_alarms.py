"""An alarm hears what the code tells: the metrics in the template are those that are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from functions.check_status import app as check_status
from functions.submit import app as submit
from functions.sweep import app as sweep
from packshot import segmind_answers as answers
from packshot.check_settings import DEADLINE, LATE_AFTER, CheckSettings
from packshot.checking import Checker
from packshot.gate import Notice
from packshot.gatekeeper import count
from packshot.job import PERSON_DECIDES, JobState, ParkedCause, Reason
from packshot.polling import Polling
from packshot.workflow import WorkflowState
from tests.unit.fakes import START, World, a_job
from tests.unit.test_template import KEY, RESOURCES, holds, of_type, refers_to

ALARMS = of_type("AWS::CloudWatch::Alarm")
OURS = {name: alarm for name, alarm in ALARMS.items() if alarm["Namespace"] == "Packshot"}
STACK = "shop"


@dataclass
class Context:
    """What Lambda passes, as far as the logger reads it."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    aws_request_id: str = "1"


@dataclass(frozen=True)
class Metric:
    """A metric as CloudWatch tells it from others."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def written(text: str) -> Iterator[Metric]:
    """The metrics in lines of the log, in CloudWatch's embedded format."""
    for line in text.splitlines():
        if not line.startswith('{"_aws"'):
            continue
        told = json.loads(line)
        for directive in told["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, told[name]) for name in names)
                for metric in directive["Metrics"]:
                    yield Metric(directive["Namespace"], metric["Name"], dimensions)


def heard(alarm: dict[str, Any]) -> Metric:
    """What an alarm listens to, in the stack of that name."""
    values = {
        each["Name"]: STACK if each["Value"] == {"Ref": "AWS::StackName"} else each["Value"]
        for each in alarm["Dimensions"]
    }
    return Metric(alarm["Namespace"], alarm["MetricName"], frozenset(values.items()))


def a_pause(cause: ParkedCause) -> Callable[[World, pytest.MonkeyPatch], None]:
    def happens(_world: World, _patch: pytest.MonkeyPatch) -> None:
        count(Notice(resumed=False, cause=cause, message="no", since=START, job_id="1"))

    return happens


def a_late_request(world: World, patch: pytest.MonkeyPatch) -> None:
    state = WorkflowState("1", 1, "request-1", START, Polling(window_seconds=0), 13)

    def settings() -> CheckSettings:
        return CheckSettings("https://api.segmind.com", "arn:secret", LATE_AFTER, DEADLINE)

    def checker() -> Checker:
        return world.checker

    patch.setattr(check_status, "settings", settings)
    patch.setattr(check_status, "checker", checker)
    world.segmind.statuses = [answers.Pending("PROCESSING")]
    world.clock.step(LATE_AFTER)
    context: Any = Context()
    check_status.lambda_handler(state.event(), context)


def a_job_that_waits_for_a_person(_world: World, patch: pytest.MonkeyPatch) -> None:
    class Submitter:
        def job(self, _job_id: str) -> Any:
            return a_job(JobState.UNCERTAIN, error=Reason(code=PERSON_DECIDES, message="lost"))

    patch.setattr(submit, "submitter", Submitter)
    record = {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps({"job_id": "1" * 32})}
    context: Any = Context()
    submit.lambda_handler({"Records": [record]}, context)


def a_sweep_that_finds_nothing(world: World, patch: pytest.MonkeyPatch) -> None:
    def sweeper() -> Any:
        return world.sweeper

    patch.setattr(sweep, "sweeper", sweeper)
    context: Any = Context()
    sweep.lambda_handler({}, context)


HAPPENINGS: dict[str, Callable[[World, pytest.MonkeyPatch], None]] = {
    "KeyPauseAlarm": a_pause(ParkedCause.KEY),
    "CreditsPauseAlarm": a_pause(ParkedCause.CREDITS),
    "RequestLateAlarm": a_late_request,
    "PersonDecidesAlarm": a_job_that_waits_for_a_person,
    "SweepStoppedAlarm": a_sweep_that_finds_nothing,
}


@pytest.mark.parametrize("name", OURS)
def test_an_alarm_of_ours_hears_what_the_code_tells_when_it_happens(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Packshot")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", STACK)
    for app in (submit, sweep):
        monkeypatch.setattr(app.metrics.provider, "namespace", "Packshot")
        monkeypatch.setattr(app.metrics.provider, "service", STACK)
    HAPPENINGS[name](world, monkeypatch)
    assert heard(OURS[name]) in set(written(capsys.readouterr().out))


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_the_topic_what_to_do(name: str) -> None:
    assert ALARMS[name]["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert ALARMS[name]["AlarmDescription"].endswith(".")


@pytest.mark.parametrize("name", ALARMS)
def test_silence_is_good_news_but_of_the_sweep(name: str) -> None:
    silence = "breaching" if name == "SweepStoppedAlarm" else "notBreaching"
    assert ALARMS[name]["TreatMissingData"] == silence


def test_every_dead_letter_is_told_of() -> None:
    queues = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in ALARMS.values()
        for dimension in alarm["Dimensions"]
        if alarm["Namespace"] == "AWS/SQS"
    }
    assert queues == {name for name in of_type("AWS::SQS::Queue") if name.endswith("DeadLetterQueue")}


def test_an_execution_that_fails_is_told_of() -> None:
    (alarm,) = (found for found in ALARMS.values() if found["Namespace"] == "AWS/States")
    assert refers_to(alarm["Dimensions"], "Workflow")


def test_there_are_alarms_for_whoever_gives_an_address_and_none_else() -> None:
    told = [name for name, found in RESOURCES.items() if "Alarm" in name or "SNS" in found["Type"]]
    assert {RESOURCES[name]["Condition"] for name in told} == {"Alarms"}
    assert not holds("Alarms")
    assert holds("Alarms", AlarmEmail="somebody@shop.example")
    assert RESOURCES["AlarmSubscription"]["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}
    assert RESOURCES["AlarmTopic"]["Properties"]["KmsMasterKeyId"] == KEY


def test_a_sweep_is_missed_before_anything_waits_long() -> None:
    alarm = ALARMS["SweepStoppedAlarm"]
    assert timedelta(seconds=alarm["Period"] * alarm["EvaluationPeriods"]) == timedelta(minutes=15)
