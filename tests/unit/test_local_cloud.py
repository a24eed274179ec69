"""The local cloud's pure parts: what is packaged, what the operator may do, what a failure says."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from packshot_cli.errors import LocalCloudError
from packshot_cli.local_cloud import (
    TEMPLATE_FILE,
    LocalCloud,
    check_names,
    failure,
    parse_parameters,
    segmind_parameters,
)
from packshot_cli.operator_user import operator_policy
from packshot_cli.packaging import package

OUTPUTS = {
    "InputBucketName": "photos",
    "OutputBucketName": "images",
    "JobTableName": "jobs",
    "UploadQueueUrl": "http://127.0.0.1:4566/000000000000/uploads",
    "UploadDeadLetterQueueUrl": "http://127.0.0.1:4566/000000000000/dead",
    "WorkflowArn": "arn:aws:states:us-east-1:000000000000:stateMachine:wait",
    "EventBusName": "packshot",
    "ApiKeySecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key-123456",
}
TEMPLATE = """
Resources:
  Code:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: code, Layers: [!Ref Layer], Timeout: 5 }
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: layer/ }
  Ready:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: { Bucket: mine, Key: ready.zip } }
  Waiting:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: waiting.asl.yaml
      DefinitionSubstitutions: { Arn: !GetAtt Code.Arn }
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties: { PolicyDocument: { Version: 2012-10-17 } }
"""


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"old")
    (tmp_path / "code" / "app.py").write_text("print()")
    (tmp_path / "layer" / "packshot").mkdir(parents=True)
    (tmp_path / "layer" / "packshot" / "job.py").write_text("")
    (tmp_path / "waiting.asl.yaml").write_text('StartAt: A\nStates: {A: {Type: Pass, Output: "{% 1 %}"}}\n')
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path / "template.yaml"


def test_packaging_puts_each_folder_into_the_bucket_without_caches(template_file: Path) -> None:
    packaged = package(template_file, "artifacts")

    resources = packaged.template["Resources"]
    assert resources["Code"]["Properties"]["CodeUri"] == "s3://artifacts/Code.zip"
    assert resources["Layer"]["Properties"]["ContentUri"] == "s3://artifacts/Layer.zip"
    assert zipfile.ZipFile(io.BytesIO(packaged.objects["Code.zip"])).namelist() == ["app.py"]
    assert zipfile.ZipFile(io.BytesIO(packaged.objects["Layer.zip"])).namelist() == ["packshot/job.py"]


def test_packaging_makes_json_of_the_workflow(template_file: Path) -> None:
    packaged = package(template_file, "artifacts")

    properties = packaged.template["Resources"]["Waiting"]["Properties"]
    assert properties["DefinitionUri"] == "s3://artifacts/Waiting.json"
    assert json.loads(packaged.objects["Waiting.json"])["States"]["A"]["Output"] == "{% 1 %}"


def test_packaging_leaves_everything_else_as_it_was(template_file: Path) -> None:
    resources = json.loads(package(template_file, "artifacts").template_body)["Resources"]

    assert resources["Ready"]["Properties"]["CodeUri"] == {"Bucket": "mine", "Key": "ready.zip"}
    assert resources["Code"]["Properties"]["Layers"] == [{"Ref": "Layer"}]
    assert resources["Waiting"]["Properties"]["DefinitionSubstitutions"] == {
        "Arn": {"Fn::GetAtt": ["Code", "Arn"]}
    }
    assert resources["Policy"]["Properties"]["PolicyDocument"]["Version"] == "2012-10-17"


def test_every_local_path_of_our_template_is_packaged() -> None:
    packaged = package(TEMPLATE_FILE, "artifacts")

    assert {"PackshotLayer.zip", "SubmitFunction.zip", "Workflow.json"} <= packaged.objects.keys()
    layer = zipfile.ZipFile(io.BytesIO(packaged.objects["PackshotLayer.zip"])).namelist()
    assert "packshot/job.py" in layer


def test_a_missing_template_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match=r"There is no .*template\.yaml"):
        package(tmp_path / "template.yaml", "artifacts")


def test_a_missing_folder_says_which_resource_wants_it(template_file: Path) -> None:
    (template_file.parent / "code" / "app.py").unlink()
    template_file.write_text(TEMPLATE.replace("CodeUri: code", "CodeUri: gone"))

    with pytest.raises(LocalCloudError, match=r"Code: CodeUri names .*gone"):
        package(template_file, "artifacts")


def test_parameters_are_read_up_to_the_first_equals_sign() -> None:
    assert parse_parameters(["ScenePrompt=a=b", "PhotoPrefix="]) == {"ScenePrompt": "a=b", "PhotoPrefix": ""}


@pytest.mark.parametrize("text", ["ScenePrompt", "=value", ""])
def test_a_parameter_without_name_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(LocalCloudError, match="Name=Value"):
        parse_parameters([text])


def test_a_parameter_that_the_template_lacks_is_refused_by_name() -> None:
    declared: dict[str, Any] = {"PhotoPrefix": {}, "SceneSeed": {}}
    check_names({"SceneSeed": "1"}, declared)
    with pytest.raises(LocalCloudError, match=r"no parameter ScenSeed; it has PhotoPrefix, SceneSeed"):
        check_names({"ScenSeed": "1"}, declared)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://127.0.0.1:8766", "images.segmind.com,127.0.0.1:8766"),
        ("https://api.segmind.com", "images.segmind.com,api.segmind.com"),
    ],
)
def test_the_host_of_segmind_is_allowed_exactly(url: str, hosts: str) -> None:
    assert segmind_parameters(url) == {"SegmindBaseUrl": url, "OutputHosts": hosts}


def _stack_event(resource: str, status: str, reason: str = "", kind: str = "AWS::SQS::Queue") -> Any:
    return {
        "StackId": "arn",
        "EventId": "1",
        "StackName": "packshot",
        "Timestamp": datetime.now(UTC),
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_a_failed_stack_names_the_first_resource_that_failed_by_itself() -> None:
    events = [
        _stack_event("packshot", "CREATE_FAILED", "Resource Queue failed", "AWS::CloudFormation::Stack"),
        _stack_event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        _stack_event("Later", "CREATE_FAILED", "because of Queue"),
        _stack_event("Queue", "CREATE_FAILED", "VisibilityTimeout must be\nless than 43200"),
        _stack_event("Table", "CREATE_COMPLETE"),
    ]
    assert failure(events) == "Queue: VisibilityTimeout must be less than 43200"


def test_a_failed_validation_names_its_resource() -> None:
    stack = _stack_event("packshot", "CREATE_FAILED", "Validation failed", "AWS::CloudFormation::Stack")
    validation: Any = [
        {"LogicalResourceId": "Bucket", "ValidationStatusReason": "it already exists"},
        {"LogicalResourceId": "packshot", "ResourceStatusReason": "Validation failed"},
    ]
    assert failure([stack], validation) == "Bucket: it already exists"


def test_a_stack_that_failed_without_a_reason_is_no_traceback() -> None:
    assert failure([]) == "no resource says why"


def _may(action: str, resource: str) -> bool:
    return any(
        action in statement["Action"] and any(fnmatchcase(resource, each) for each in statement["Resource"])
        for statement in operator_policy("packshot", OUTPUTS)["Statement"]
    )


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutObject", "arn:aws:s3:::photos/shop/mug.jpg"),
        ("s3:GetObjectVersion", "arn:aws:s3:::images/mug/default.webp"),
        ("s3:ListBucket", "arn:aws:s3:::images"),
        ("dynamodb:Scan", "arn:aws:dynamodb:us-east-1:000000000000:table/jobs"),
        ("dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/jobs/index/due"),
        ("cloudformation:DescribeStacks", "arn:aws:cloudformation:us-east-1:000000000000:stack/packshot/1"),
        (
            "cloudformation:DescribeStackResource",
            "arn:aws:cloudformation:us-east-1:000000000000:stack/packshot/1",
        ),
        ("sqs:CreateQueue", "arn:aws:sqs:us-east-1:000000000000:mine"),
        ("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:000000000000:dead"),
        ("events:PutRule", "arn:aws:events:us-east-1:000000000000:rule/packshot/mine"),
        ("events:PutTargets", "arn:aws:events:us-east-1:000000000000:rule/packshot/mine"),
        ("events:PutRule", "arn:aws:events:us-east-1:000000000000:rule/packshot-mine"),
        ("states:ListExecutions", "arn:aws:states:us-east-1:000000000000:stateMachine:wait"),
        ("states:GetExecutionHistory", "arn:aws:states:us-east-1:000000000000:execution:wait:1"),
        ("logs:FilterLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:any"),
    ],
)
def test_the_operator_may(action: str, resource: str) -> None:
    assert _may(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutObject", "arn:aws:s3:::packshot-artifacts/SubmitFunction.zip"),
        ("s3:DeleteBucket", "arn:aws:s3:::photos"),
        ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:000000000000:table/other"),
        ("dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:000000000000:table/jobs"),
        ("events:PutRule", "arn:aws:events:us-east-1:000000000000:rule/mine"),
        ("cloudformation:DescribeStacks", "arn:aws:cloudformation:us-east-1:000000000000:stack/other/1"),
        ("states:StopExecution", "arn:aws:states:us-east-1:000000000000:execution:wait:1"),
        ("secretsmanager:GetSecretValue", OUTPUTS["ApiKeySecretArn"]),
    ],
)
def test_the_operator_may_not(action: str, resource: str) -> None:
    assert not _may(action, resource)


def test_the_operator_has_no_wildcard_action_and_no_other_service() -> None:
    actions = [
        action for each in operator_policy("packshot", OUTPUTS)["Statement"] for action in each["Action"]
    ]

    assert not [action for action in actions if "*" in action]
    assert {action.split(":")[0] for action in actions} == {
        "cloudformation",
        "dynamodb",
        "events",
        "logs",
        "s3",
        "sqs",
        "states",
    }


def test_secrets_are_not_in_the_text_of_a_cloud() -> None:
    cloud = LocalCloud(
        endpoint_url="http://127.0.0.1:1",
        segmind_url="http://127.0.0.1:2",
        access_key_id="AKIA",
        secret_access_key="hidden-one",
        api_key="hidden-two",
        outputs=OUTPUTS,
        processes=(),
    )
    assert "hidden" not in repr(cloud)
    assert cloud.description() == {
        "endpoint_url": "http://127.0.0.1:1",
        "region": "us-east-1",
        "access_key_id": "AKIA",
        "secret_access_key": "hidden-one",
        "segmind_url": "http://127.0.0.1:2",
        "outputs": OUTPUTS,
    }


def test_a_session_talks_to_its_cloud_whatever_the_caller_s_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-caller-s")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    cloud = LocalCloud("http://127.0.0.1:1", "http://127.0.0.1:2", "AKIA", "hidden", None, OUTPUTS, ())

    session = cloud.session()
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "AKIA"
    for client in (session.client("s3"), session.resource("dynamodb").meta.client):
        assert client.meta.endpoint_url == "http://127.0.0.1:1"
        assert client.meta.region_name == "us-east-1"
        config: Any = client.meta.config  # botocore's stubs do not know the option
        assert config.proxies == {}
