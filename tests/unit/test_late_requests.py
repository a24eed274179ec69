"""A request that takes much too long is told of once, in a line and a metric, long before its deadline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from functions.check_status import app
from packshot import segmind_answers as answers
from packshot.check_settings import DEADLINE, LATE_AFTER, CheckSettings
from packshot.checking import Checker, is_first_late_look
from packshot.polling import Polling
from packshot.workflow import WorkflowState
from tests.unit.fakes import START, World

STATE = WorkflowState(
    job_id="0123456789abcdef0123456789abcdef",
    attempt=1,
    request_id="request-1",
    submitted_at=START,
    polling=Polling(),
    wait_seconds=13,
)
PENDING = answers.Pending("PROCESSING")
SECOND = timedelta(seconds=1)


def looks(world: World, until: timedelta) -> Iterator[tuple[WorkflowState, WorkflowState]]:
    """The workflow's loop: each look, before and after."""
    before = STATE
    while world.clock() - START < until:
        world.clock.step(before.wait_seconds * SECOND)
        after = world.checker.check(before)
        yield before, after
        before = after


def test_of_all_looks_until_the_deadline_one_is_the_first_late_one(world: World) -> None:
    world.segmind.statuses = [PENDING]
    late = [
        after for before, after in looks(world, DEADLINE) if is_first_late_look(before, after, LATE_AFTER)
    ]
    assert len(late) == 1
    assert LATE_AFTER.total_seconds() <= late[0].age_seconds < LATE_AFTER.total_seconds() + 15


def test_a_request_that_ends_in_time_is_never_late(world: World) -> None:
    world.segmind.statuses = [PENDING]
    assert not [
        1
        for before, after in looks(world, LATE_AFTER - 15 * SECOND)
        if is_first_late_look(before, after, LATE_AFTER)
    ]


def test_a_request_that_is_at_its_end_is_not_told_of(world: World) -> None:
    world.segmind.statuses = [answers.Completed(None, None, None)]
    world.clock.step(LATE_AFTER)
    assert not is_first_late_look(STATE, world.checker.check(STATE), LATE_AFTER)


@dataclass
class Context:
    """What Lambda passes, as far as the logger reads it."""

    function_name: str = "check"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:check"
    aws_request_id: str = "1"


@pytest.mark.parametrize(("age", "times"), [(timedelta(minutes=14), 0), (LATE_AFTER, 1)])
def test_the_function_tells_of_it_in_a_line_and_a_metric(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    age: timedelta,
    times: int,
) -> None:
    def checker() -> Checker:
        return world.checker

    def warning(_message: str, *, extra: dict[str, Any]) -> None:
        warned.append(extra)

    warned: list[dict[str, Any]] = []

    def settings() -> CheckSettings:
        return CheckSettings("https://api.segmind.com", "arn:secret", LATE_AFTER, DEADLINE)

    monkeypatch.setattr(app, "settings", settings)
    monkeypatch.setattr(app, "checker", checker)
    monkeypatch.setattr(app.logger, "warning", warning)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Packshot")
    world.segmind.statuses = [PENDING]
    world.clock.step(age)
    context: Any = Context()
    state = app.lambda_handler(STATE.event(), context)
    app.lambda_handler(state, context)
    late = {"job_id": STATE.job_id, "attempt": 1, "request_id": "request-1", "age_seconds": 900}
    assert warned == [late] * times
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "RequestLate" in line]
    assert [line["RequestLate"] for line in told] == [[1.0]] * times
