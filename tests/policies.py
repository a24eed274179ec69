"""The template's policies as AWS would see them, for a linter that reads no CloudFormation.

`python -m tests.policies FOLDER` writes a file for each statement, so that one can be passed over alone.
Every choice is made as in a stack that has all there is, buckets, a secret and a key; and what only
something of the owner's calls for is there too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint.decode

ROOT = Path(__file__).parents[1]
# Where each kind of resource stands in an account; `{}` is its name.
ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-west-1:123456789012:{}",
    "AWS::Events::EventBus": "arn:aws:events:eu-west-1:123456789012:event-bus/{}",
    "AWS::Events::Rule": "arn:aws:events:eu-west-1:123456789012:rule/{}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-west-1:123456789012:table/{}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}-a1b2c3",
    "AWS::Serverless::StateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:{}",
    "AWS::SNS::Topic": "arn:aws:sns:eu-west-1:123456789012:{}",
}
# Whose Ref is its ARN.
REF_IS_ARN = {"AWS::Serverless::StateMachine", "AWS::SNS::Topic"}
KNOWN = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "packshot",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    "PhotoPrefix": "photos/",
    "ExistingOutputBucketName": "images-of-yours",
}


def policies(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of the template, as a policy, and a name: of functions, of resources and for people."""
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        # A template of SAM's own, as LambdaInvokePolicy is, has no statements here.
        documents += [each for each in properties.get("Policies", []) if "Statement" in each]
        statements = [
            statement for document in documents for statement in resolved(document, template)["Statement"]
        ]
        for number, statement in enumerate(statements):
            yield (
                f"{name}-{statement.get('Sid', number)}",
                {"Version": "2012-10-17", "Statement": [statement]},
            )


def resolved(value: Any, template: dict[str, Any]) -> Any:
    """The value without CloudFormation's functions. Raises KeyError for a name that stands for nothing."""
    match value:
        case {"Ref": str(name)}:
            return _reference(name, template)
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return _attribute(name, attribute, template)
        case {"Fn::If": [_, {"Ref": "AWS::NoValue"}, otherwise]}:
            return resolved(otherwise, template)
        case {"Fn::If": [_, then, _]}:
            return resolved(then, template)
        case {"Fn::Sub": [str(text), dict(given)]}:
            return _substituted(text, resolved(given, template), template)
        case {"Fn::Sub": str(text)}:
            return _substituted(text, {}, template)
        case dict():
            return {key: resolved(each, template) for key, each in value.items()}
        case list():
            return [resolved(each, template) for each in value]
    return value


def _reference(name: str, template: dict[str, Any]) -> str:
    if name in KNOWN:
        return KNOWN[name]
    kind = template["Resources"][name]["Type"]
    return ARNS[kind].format(name.lower()) if kind in REF_IS_ARN else name.lower()


def _attribute(name: str, attribute: str, template: dict[str, Any]) -> str:
    if attribute == "Name":
        return name.lower()
    # A secret's is called Id.
    assert attribute in {"Arn", "Id"}, f"what is {name}.{attribute}?"
    return ARNS[template["Resources"][name]["Type"]].format(name.lower())


def _substituted(text: str, given: dict[str, str], template: dict[str, Any]) -> str:
    def found(match: re.Match[str]) -> str:
        name, dot, attribute = match[1].partition(".")
        if name in given:
            return given[name]
        return _attribute(name, attribute, template) if dot else _reference(name, template)

    return re.sub(r"\$\{([\w:.]+)\}", found, text)


def main(folder: Path) -> None:
    """Write them all into a folder that holds nothing else."""
    template, problems = cfnlint.decode.decode(str(ROOT / "template.yaml"))
    assert template, problems
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, document in policies(template):
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
