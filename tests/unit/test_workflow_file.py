"""The state machine's file, read the way AWS reads it when it is deployed.

cfn-lint does not look into a state machine that comes through SAM, and the local cloud accepts one that AWS
would refuse. So the definition is linted as a raw resource, its transitions are followed and its expressions
parsed; the last tests break it on purpose, and each break must be found. This is the ASL validator of
`make check`: those that are published need Node.js, which a bare machine does not have.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest
import yaml
from cfnlint.api import lint
from jsonata import JException, Jsonata

ROOT = Path(__file__).parents[2]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / "workflow.asl.yaml").read_text(encoding="utf-8"))
NESTING = {"Map", "Parallel"}
# By the end of a substitution's name: what stands in for it.
STAND_INS = {
    "Partition": "aws",
    "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:name",
    "Seconds": "60",
}


def strings(value: object) -> Iterator[str]:
    """Every string in `value`, however deep, keys apart."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)
        case _:
            pass


def substitutions(workflow: dict[str, Any]) -> set[str]:
    return {name for text in strings(workflow) for name in re.findall(r"\$\{(\w+)\}", text)}


def targets(state: dict[str, Any]) -> set[str]:
    """The states that `state` can hand over to."""
    exits = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {exit_[key] for exit_ in exits for key in ("Next", "Default") if key in exit_}


def substituted(workflow: dict[str, Any]) -> dict[str, Any]:
    """The definition as it is deployed: an ARN, a partition or a number in place of each name."""
    text = json.dumps(workflow)
    for name in substitutions(workflow):
        text = text.replace(f"${{{name}}}", STAND_INS[next(end for end in STAND_INS if name.endswith(end))])
    deployed: dict[str, Any] = json.loads(text)
    return deployed


def lint_problems(workflow: dict[str, Any]) -> list[str]:
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "RoleArn": "arn:aws:iam::123456789012:role/workflow",
            "DefinitionString": json.dumps(workflow),
        },
    }
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Workflow": machine}}
    return [f"{match.rule.id} {match.message}" for match in lint(json.dumps(template))]


def transition_problems(workflow: dict[str, Any]) -> list[str]:
    """Targets that do not exist, and states that nothing leads to: cfn-lint looks for neither."""
    states: dict[str, Any] = workflow["States"]
    reached: set[str] = set()
    ahead = {workflow["StartAt"]}
    while ahead:
        reached |= ahead
        ahead = {target for name in ahead & states.keys() for target in targets(states[name])} - reached
    return [f"no state {name}" for name in sorted(reached - states.keys())] + [
        f"nothing leads to {name}" for name in sorted(states.keys() - reached)
    ]


def expression_problems(workflow: dict[str, Any]) -> list[str]:
    problems = []
    for text in strings(workflow):
        if "{%" not in text and "%}" not in text:
            continue
        # Step Functions evaluates a string that is one expression from end to end, and no other.
        expression = re.fullmatch(r"\{%(.*)%\}", text, flags=re.DOTALL)
        if not expression:
            problems.append(f"not an expression from end to end: {text}")
            continue
        try:
            Jsonata(expression[1])
        except JException as error:
            problems.append(f"{error}: {text}")
    return problems


def problems(workflow: dict[str, Any]) -> list[str]:
    deployed = substituted(workflow)
    return lint_problems(deployed) + transition_problems(deployed) + expression_problems(deployed)


def test_aws_would_accept_the_workflow() -> None:
    assert problems(WORKFLOW) == []


def test_the_workflow_is_flat() -> None:
    """The tests here follow one level of states."""
    assert not NESTING & {state["Type"] for state in WORKFLOW["States"].values()}


def test_the_template_fills_every_substitution_and_no_other() -> None:
    template, _ = cfnlint.decode.decode(str(ROOT / "template.yaml"))
    assert template
    (machine,) = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    ]
    assert set(machine["DefinitionSubstitutions"]) == substitutions(WORKFLOW)


def test_no_state_catches_an_error_of_ours_by_name() -> None:
    """An expected outcome is data; an exception only means: try again."""
    handlers = [
        handler
        for state in WORKFLOW["States"].values()
        for handler in [*state.get("Retry", []), *state.get("Catch", [])]
    ]
    assert handlers
    names = {name for handler in handlers for name in handler["ErrorEquals"]}
    assert not [name for name in names if not name.startswith(("States.", "Lambda."))]


def a_state(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    states: list[dict[str, Any]] = [s for s in workflow["States"].values() if s["Type"] == kind]
    return states[0]


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a start that is no state": lambda w: w.update(StartAt="Nowhere"),
    "a next that is no state": lambda w: a_state(w, "Task").update(Next="Nowhere"),
    "a choice that leads nowhere": lambda w: a_state(w, "Choice")["Choices"][0].update(Next="Nowhere"),
    "a default that leads nowhere": lambda w: a_state(w, "Choice").update(Default="Nowhere"),
    "a choice without a condition": lambda w: a_state(w, "Choice")["Choices"][0].pop("Condition"),
    "a state that nothing leads to": lambda w: w["States"].update(Island={"Type": "Succeed"}),
    "a state without an exit": lambda w: a_state(w, "Wait").pop("Next"),
    "an unknown type": lambda w: a_state(w, "Wait").update(Type="Weight"),
    "an unknown field": lambda w: a_state(w, "Task").update(Argument={}),
    "a field of the other query language": lambda w: a_state(w, "Task").update(ResultPath="$.result"),
    "an expression that does not parse": lambda w: a_state(w, "Task").update(Output="{% $states.( %}"),
    "an expression with text around it": lambda w: a_state(w, "Task").update(Output="a {% $states.input %}"),
}


@pytest.mark.parametrize("defect", BREAKS)
def test_a_broken_workflow_is_refused(defect: str) -> None:
    workflow = copy.deepcopy(WORKFLOW)
    BREAKS[defect](workflow)
    assert problems(workflow)
