"""What only the template can promise: it fits the code, everything has an end, nobody may more than needed.

The local cloud applies no lifecycle and enforces no queue policy, so some of this is seen nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest
import yaml

from packshot import downloads, segmind
from packshot.finalizing import FETCHES
from packshot.job_table import LEASE
from packshot.photo_store import URL_LIFETIME_SECONDS
from packshot.polling import DEADLINE
from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS, MAX_SEED, Scene
from packshot.settings import FinalizeSettings, Settings, SubmitSettings, SweepSettings

ROOT = Path(__file__).parents[2]


def template() -> dict[str, Any]:
    decoded, problems = cfnlint.decode.decode(str(ROOT / "template.yaml"))
    assert not problems
    whole: dict[str, Any] = decoded
    return whole


TEMPLATE = template()
PARAMETERS = TEMPLATE["Parameters"]
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
SETTINGS: dict[str, type[Settings]] = {
    "SubmitFunction": SubmitSettings,
    "CheckStatusFunction": Settings,
    "FinalizeFunction": FinalizeSettings,
    "SweepFunction": SweepSettings,
}
# What Powertools reads, in every function.
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
DAYS_14_SECONDS = 14 * 24 * 60 * 60


def of_type(kind: str) -> dict[str, Any]:
    return {name: found["Properties"] for name, found in RESOURCES.items() if found["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")


def environment(function: str) -> dict[str, Any]:
    everywhere = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    return {**everywhere, **own}


def statements(function: str) -> list[dict[str, Any]]:
    return [statement for policy in FUNCTIONS[function]["Policies"] for statement in policy["Statement"]]


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def inside(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(inner)


def refers_to(value: Any, name: str) -> bool:
    """Whether a Ref, a GetAtt or a Sub in it leads to that resource or parameter."""
    for found in inside(value):
        if isinstance(found, dict) and (found.get("Ref") == name or many(found.get("Fn::GetAtt"))[0] == name):
            return True
        if isinstance(found, str) and re.search(rf"\${{{name}[.}}]", found):
            return True
    return False


# -- everything has an end --


def test_every_time_out_is_longer_than_what_it_waits_for() -> None:
    submit, check, finalize, sweep = (FUNCTIONS[name]["Timeout"] for name in SETTINGS)
    lease = LEASE.total_seconds()
    visibility = QUEUES["UploadQueue"]["VisibilityTimeout"]
    assert segmind.SUBMIT_TIMEOUT_SECONDS < submit < lease < visibility
    assert visibility >= 6 * submit
    assert sweep < 60
    assert check > segmind.READ_TIMEOUT_SECONDS
    assert segmind.READ_TIMEOUT_SECONDS + FETCHES * downloads.TOTAL_TIMEOUT_SECONDS < finalize <= 900


def test_the_workflows_deadline_is_the_codes() -> None:
    substitutions = RESOURCES["Workflow"]["Properties"]["DefinitionSubstitutions"]
    assert substitutions["DeadlineSeconds"] == {"Fn::FindInMap": ["Bounds", "Workflow", "DeadlineSeconds"]}
    deadline_seconds = int(TEMPLATE["Mappings"]["Bounds"]["Workflow"]["DeadlineSeconds"])
    assert deadline_seconds == DEADLINE.total_seconds() == 50 * 60
    assert deadline_seconds + 600 == URL_LIFETIME_SECONDS


def test_the_deadline_is_a_choice_and_no_time_out() -> None:
    workflow = yaml.safe_load((ROOT / "workflow.asl.yaml").read_text(encoding="utf-8"))
    assert not [found for found in inside(workflow) if isinstance(found, dict) and "TimeoutSeconds" in found]
    assert workflow["States"]["IsFinished"]["Type"] == "Choice"


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_keeps_its_messages_as_long_as_it_can(name: str) -> None:
    assert QUEUES[name]["MessageRetentionPeriod"] == DAYS_14_SECONDS


def test_a_message_is_tried_five_times_and_then_kept() -> None:
    redrive = QUEUES["UploadQueue"]["RedrivePolicy"]
    assert redrive["maxReceiveCount"] >= 5
    assert refers_to(redrive["deadLetterTargetArn"], "UploadDeadLetterQueue")


def test_one_message_is_one_paid_request() -> None:
    (source,) = FUNCTIONS["SubmitFunction"]["Events"].values()
    assert source["Type"] == "SQS"
    assert refers_to(source["Properties"]["Queue"], "UploadQueue")
    assert source["Properties"]["BatchSize"] == 1
    assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_submits_at_once_follow_the_plan() -> None:
    (source,) = FUNCTIONS["SubmitFunction"]["Events"].values()
    concurrency = source["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert concurrency == {"Fn::FindInMap": ["Plans", {"Ref": "SegmindPlan"}, "SubmitConcurrency"]}
    plans = TEMPLATE["Mappings"]["Plans"]
    assert list(plans) == PARAMETERS["SegmindPlan"]["AllowedValues"]
    assert all(2 <= plan["SubmitConcurrency"] <= 1000 for plan in plans.values())


# -- the code gets what it wants --


def test_every_function_is_looked_at() -> None:
    assert set(FUNCTIONS) == set(SETTINGS)


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_has_every_variable_that_it_reads_and_none_besides(function: str) -> None:
    wanted = {field.alias for field in SETTINGS[function].model_fields.values()}
    assert set(environment(function)) - POWERTOOLS == wanted
    assert set(environment(function)) >= POWERTOOLS


def of_plan(value: Any) -> str | None:
    """What the mapping of plans gives for the plan that nobody chose."""
    match value:
        case {"Fn::Sub": ["${Number}", {"Number": number}]}:
            return of_plan(number)
        case {"Fn::If": ["CustomPlan", _, number]}:
            return of_plan(number)
        case {"Fn::FindInMap": ["Plans", {"Ref": "SegmindPlan"}, name]}:
            return str(TEMPLATE["Mappings"]["Plans"][PARAMETERS["SegmindPlan"]["Default"]][name])
    return None


def with_defaults(function: str) -> dict[str, str]:
    """The environment of a stack where nobody chose anything; what AWS fills in is a word."""
    values = {}
    for name, value in environment(function).items():
        parameter = PARAMETERS.get(value.get("Ref")) if isinstance(value, dict) else None
        values[name] = str(parameter["Default"]) if parameter else of_plan(value) or "made"
    return values


@pytest.mark.parametrize("function", SETTINGS)
def test_the_parameters_defaults_are_settings(function: str) -> None:
    SETTINGS[function].model_validate(with_defaults(function))


def test_without_a_choice_the_scene_is_the_models_own() -> None:
    scene = SubmitSettings.model_validate(with_defaults("SubmitFunction")).scene()
    assert scene.digest == Scene(prompt=PARAMETERS["ScenePrompt"]["Default"]).digest


def test_the_parameters_take_what_the_model_takes() -> None:
    assert PARAMETERS["SceneAspectRatio"]["AllowedValues"] == list(ASPECT_RATIOS)
    assert PARAMETERS["SceneImageFormat"]["AllowedValues"] == list(IMAGE_FORMATS)
    quality, seed = PARAMETERS["SceneQuality"], PARAMETERS["SceneSeed"]
    assert (quality["MinValue"], quality["MaxValue"]) == (1, 100)
    assert (seed["MinValue"], seed["MaxValue"]) == (-1, MAX_SEED)


def test_every_parameter_is_used_and_shown() -> None:
    rest = {name: TEMPLATE[name] for name in ("Conditions", "Globals", "Resources", "Outputs")}
    assert not [name for name in PARAMETERS if not refers_to(rest, name)]
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(PARAMETERS)


def test_the_outputs_are_those_that_others_rely_on() -> None:
    assert set(TEMPLATE["Outputs"]) == {
        "InputBucketName",
        "OutputBucketName",
        "JobTableName",
        "UploadQueueUrl",
        "UploadDeadLetterQueueUrl",
        "WorkflowArn",
        "EventBusName",
        "ApiKeySecretArn",
    }


# -- nobody may more than needed --


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_has_a_role_of_its_own_for_its_own_resources(function: str) -> None:
    assert "Role" not in FUNCTIONS[function]
    assert "Role" not in TEMPLATE["Globals"]["Function"]
    for statement in statements(function):
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert not [action for action in many(statement["Action"]) if "*" in action]
        assert not [resource for resource in many(statement["Resource"]) if resource == "*"]
        named = [name for name in {*RESOURCES, *PARAMETERS} if refers_to(statement["Resource"], name)]
        assert named, f"{statement['Sid']} is about nothing of this stack"


ALLOWED = {
    "SubmitFunction": {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:PutObject",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "sqs:SendMessage",
        "sqs:ChangeMessageVisibility",
        "states:StartExecution",
        "states:DescribeExecution",
        "secretsmanager:GetSecretValue",
        "events:PutEvents",
    },
    "CheckStatusFunction": {"secretsmanager:GetSecretValue"},
    "FinalizeFunction": {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "events:PutEvents",
    },
    "SweepFunction": {
        "dynamodb:Query",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "sqs:SendMessage",
        "secretsmanager:GetSecretValue",
        "events:PutEvents",
    },
}


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_may_do_what_its_code_does_and_nothing_else(function: str) -> None:
    actions = [action for statement in statements(function) for action in many(statement["Action"])]
    assert set(actions) == ALLOWED[function]


def test_absent_photos_can_be_told_from_forbidden_ones() -> None:
    """Without s3:ListBucket on the bucket itself AWS answers 403 for what is not there."""
    listed = [found for found in statements("SubmitFunction") if "s3:ListBucket" in many(found["Action"])]
    photos, images = (statement["Resource"] for statement in listed)
    assert photos["Fn::Sub"][0].endswith("${Bucket}")
    assert refers_to(images, "OutputBucket")
    (by_finalize,) = [
        found for found in statements("FinalizeFunction") if "s3:ListBucket" in many(found["Action"])
    ]
    assert by_finalize["Resource"] == images


def test_the_workflow_may_invoke_its_functions_and_nothing_else() -> None:
    policies = RESOURCES["Workflow"]["Properties"]["Policies"]
    assert [list(policy) for policy in policies] == [["LambdaInvokePolicy"]] * 2
    invoked = [policy["LambdaInvokePolicy"]["FunctionName"]["Ref"] for policy in policies]
    assert invoked == ["CheckStatusFunction", "FinalizeFunction"]


def test_only_our_rule_may_send_to_the_queues() -> None:
    (policy,) = of_type("AWS::SQS::QueuePolicy").values()
    assert policy["Queues"] == [{"Ref": "UploadQueue"}, {"Ref": "UploadRuleDeadLetterQueue"}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert [many(resource["Fn::GetAtt"])[0] for resource in statement["Resource"]] == [
        "UploadQueue",
        "UploadRuleDeadLetterQueue",
    ]
    assert refers_to(statement["Condition"]["ArnEquals"]["aws:SourceArn"], "UploadRule")


# -- uploads arrive, what was paid stays --


def test_an_upload_that_cannot_be_delivered_is_kept() -> None:
    (target,) = RESOURCES["UploadRule"]["Properties"]["Targets"]
    assert refers_to(target["Arn"], "UploadQueue")
    assert refers_to(target["DeadLetterConfig"]["Arn"], "UploadRuleDeadLetterQueue")


def test_the_rule_matches_by_bucket_and_prefix_alone() -> None:
    """Two matchers on one field are alternatives: a suffix beside the prefix would let everything through."""
    pattern = RESOURCES["UploadRule"]["Properties"]["EventPattern"]
    assert pattern["source"] == ["aws.s3"]
    assert pattern["detail-type"] == ["Object Created"]
    assert pattern["detail"]["object"] == {"key": [{"prefix": {"Ref": "PhotoPrefix"}}]}
    (bucket,) = pattern["detail"]["bucket"]["name"]
    assert refers_to(bucket, "InputBucket")
    assert refers_to(bucket, "ExistingInputBucketName")


def test_images_are_versioned() -> None:
    properties = RESOURCES["OutputBucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_new_buckets_tell_eventbridge() -> None:
    properties = RESOURCES["InputBucket"]["Properties"]
    assert properties["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True


@pytest.mark.parametrize("name", ["InputBucket", "OutputBucket"])
def test_no_bucket_is_public(name: str) -> None:
    block = RESOURCES[name]["Properties"]["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(value is True for value in block.values())


@pytest.mark.parametrize("name", ["InputBucket", "OutputBucket", "JobTable"])
def test_what_was_paid_for_outlives_the_stack(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate"}
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_nothing_has_an_explicit_name_but_the_bus() -> None:
    """Explicit names forbid a second stack, and a replacement."""
    naming = re.compile(
        r"^(Name|(Bucket|Table|Queue|Function|Role|LogGroup|Layer|StateMachine|Rule|Secret)Name)$"
    )
    named = {
        name: key for name, found in RESOURCES.items() for key in found["Properties"] if naming.match(key)
    }
    assert named == {"EventBus": "Name"}
    assert RESOURCES["EventBus"]["Properties"]["Name"] == {"Ref": "AWS::StackName"}


@pytest.mark.parametrize("function", SETTINGS)
def test_logs_have_an_end_too(function: str) -> None:
    group = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
