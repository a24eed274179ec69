"""That the linter of policies gets to see them all, and as AWS would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest

from tests.policies import main, policies, resolved

TEMPLATE: dict[str, Any] = cfnlint.decode.decode(str(Path(__file__).parents[2] / "template.yaml"))[0]


def test_every_policy_of_the_template_is_written(tmp_path: Path) -> None:
    (tmp_path / "of-yesterday.json").write_text("{}")
    main(tmp_path)
    statements = [
        statement
        for file in tmp_path.iterdir()
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]
    ]
    assert len(statements) == json.dumps(TEMPLATE).count('"Effect":')


@pytest.mark.parametrize("name", [name for name, _ in policies(TEMPLATE)])
def test_nothing_of_cloudformation_is_left(name: str) -> None:
    written = json.dumps(dict(policies(TEMPLATE))[name])
    assert '"Fn::' not in written
    assert '"Ref"' not in written
    assert "${" not in written


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ({"Ref": "OutputBucket"}, "outputbucket"),
        ({"Ref": "Workflow"}, "arn:aws:states:eu-west-1:123456789012:stateMachine:workflow"),
        ({"Fn::GetAtt": ["OutputBucket", "Arn"]}, "arn:aws:s3:::outputbucket"),
        ({"Fn::Sub": "${OutputBucket.Arn}/*"}, "arn:aws:s3:::outputbucket/*"),
        (
            {"Fn::Sub": ["${Bucket}/${PhotoPrefix}*", {"Bucket": {"Ref": "InputBucket"}}]},
            "inputbucket/photos/*",
        ),
        ({"Fn::If": ["OwnKey", {"Ref": "AWS::Region"}, "none"]}, "eu-west-1"),
    ],
)
def test_a_function_of_cloudformation_becomes_what_it_stands_for(value: object, becomes: str) -> None:
    assert resolved(value, TEMPLATE) == becomes


def test_a_name_that_stands_for_nothing_is_no_policy() -> None:
    with pytest.raises(KeyError):
        resolved({"Ref": "Nobody"}, TEMPLATE)
