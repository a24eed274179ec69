"""What only the template can promise: it fits the code, everything has an end, nobody may more than needed.

The local cloud applies no lifecycle and enforces no queue policy, so some of this is seen nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest
import yaml

from packshot import downloads, segmind
from packshot.check_settings import DEADLINE, LATE_AFTER, parameter_of
from packshot.events import SOURCE
from packshot.finalizing import FETCHES
from packshot.job_table import LEASE
from packshot.photo_store import URL_MARGIN
from packshot.polling import SLOW_CADENCE_SECONDS
from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS, MAX_SEED, Scene
from packshot.settings import FinalizeSettings, Settings, SubmitSettings, SweepSettings
from tests.grants import chosen

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
BUCKETS = of_type("AWS::S3::Bucket")
TABLES = of_type("AWS::DynamoDB::Table")
MANAGED_POLICIES = of_type("AWS::IAM::ManagedPolicy")


def environment(function: str) -> dict[str, Any]:
    everywhere = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    return {**everywhere, **own}


def of_document(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy, those too that only something of the owner's calls for."""
    return [chosen(statement) for statement in policy["Statement"]]


def statements(function: str) -> list[dict[str, Any]]:
    return [statement for policy in FUNCTIONS[function]["Policies"] for statement in of_document(policy)]


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
    assert substitutions["DeadlineSeconds"] == {"Ref": "DeadlineSeconds"}
    for function in ("SubmitFunction", "CheckStatusFunction", "FinalizeFunction"):
        assert environment(function)["DEADLINE_SECONDS"] == {"Ref": "DeadlineSeconds"}
    assert PARAMETERS["DeadlineSeconds"]["Default"] == DEADLINE.total_seconds()


def test_every_deadline_that_can_be_chosen_is_before_segmind_forgets_and_after_the_warning() -> None:
    longest, hour = PARAMETERS["DeadlineSeconds"]["MaxValue"], 60 * 60
    assert longest + SLOW_CADENCE_SECONDS < hour
    assert longest + URL_MARGIN.total_seconds() <= hour
    assert PARAMETERS["LateSeconds"]["MaxValue"] <= PARAMETERS["DeadlineSeconds"]["MinValue"]
    assert PARAMETERS["LateSeconds"]["Default"] == LATE_AFTER.total_seconds()


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


# Read without pydantic.
CHECK_STATUS_ALONE = {"LATE_SECONDS", "DEADLINE_SECONDS"}


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_has_every_variable_that_it_reads_and_none_besides(function: str) -> None:
    wanted = {field.alias for field in SETTINGS[function].model_fields.values()}
    if function == "CheckStatusFunction":
        wanted |= CHECK_STATUS_ALONE
    assert set(environment(function)) - POWERTOOLS == wanted
    assert set(environment(function)) >= POWERTOOLS


@pytest.mark.parametrize("function", SETTINGS)
def test_what_is_wrong_with_a_variable_can_be_told_by_its_parameters_name(function: str) -> None:
    of_parameters = {
        name: value["Ref"]
        for name, value in environment(function).items()
        if isinstance(value, dict) and value.get("Ref") in PARAMETERS
    }
    assert {parameter_of(name): ref for name, ref in of_parameters.items()} == {
        ref: ref for ref in of_parameters.values()
    }


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


def test_what_is_said_of_long_settings_is_what_lambda_leaves_for_them() -> None:
    """Lambda takes 4 KB of variables; what AWS makes up has names and ARNs of at most these lengths."""
    made = {"JOB_TABLE_NAME": 255, "UPLOAD_QUEUE_URL": 150, "EVENT_BUS_NAME": 256, "WORKFLOW_ARN": 150}
    made |= {"OUTPUT_BUCKET_NAME": 63, "API_KEY_SECRET_ARN": 150, "POWERTOOLS_SERVICE_NAME": 128}
    defaults = with_defaults("SubmitFunction")
    long = {name for name, value in PARAMETERS.items() if value["Type"] == "String"} - {"SegmindPlan"}
    fixed = sum(
        len(name) + made.get(name, len(value))
        for name, value in defaults.items()
        if parameter_of(name) not in long or name in made
    )
    names_of_long = sum(len(name) for name in defaults if parameter_of(name) in long and name not in made)
    assert fixed + names_of_long + 2200 <= 4096
    assert "2,200 characters" in PARAMETERS["ScenePrompt"]["Description"]


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
    labels = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterLabels"]
    assert list(labels) == shown, "in the order in which the console shows them"
    assert len({label["default"] for label in labels.values()}) == len(labels)


def test_the_outputs_are_those_that_others_rely_on() -> None:
    assert set(TEMPLATE["Outputs"]) == {
        "InputBucketName",
        "OutputBucketName",
        "JobTableName",
        "UploadQueueUrl",
        "UploadDeadLetterQueueUrl",
        "WorkflowArn",
        "EventBusName",
        "EventArchiveArn",
        "AlarmTopicArn",
        "ApiKeySecretArn",
        "UploaderPolicyArn",
        "ImageReaderPolicyArn",
    }


def test_our_events_are_archived_for_whoever_asks_for_it() -> None:
    archive = RESOURCES["EventArchive"]
    own, existing = archive["Properties"]["SourceArn"]["Fn::If"][1:]
    assert own == {"Fn::GetAtt": ["EventBus", "Arn"]}
    assert existing["Fn::Sub"].endswith("event-bus/${ExistingEventBusName}")
    assert archive["Properties"]["EventPattern"] == {"source": [SOURCE]}
    assert archive["Properties"]["RetentionDays"] == {"Ref": "ArchiveEventDays"}
    assert archive["Condition"] == TEMPLATE["Outputs"]["EventArchiveArn"]["Condition"]
    assert not holds(archive["Condition"])
    assert holds(archive["Condition"], ArchiveEventDays="30")


# -- nobody may more than needed --


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_has_a_role_of_its_own_for_its_own_resources(function: str) -> None:
    assert "Role" not in FUNCTIONS[function]
    assert "Role" not in TEMPLATE["Globals"]["Function"]
    for statement in statements(function):
        assert_allows_something_of_this_stack(statement)


def assert_allows_something_of_this_stack(statement: dict[str, Any]) -> None:
    assert statement["Effect"] == "Allow"
    assert "NotAction" not in statement
    assert "NotResource" not in statement
    assert not [action for action in many(statement["Action"]) if "*" in action]
    assert not [resource for resource in many(statement["Resource"]) if resource == "*"]
    ours = {*RESOURCES, *PARAMETERS, "AWS::StackName"}
    named = [name for name in ours if refers_to(statement["Resource"], name)]
    assert named, f"{statement['Sid']} is about nothing of this stack"


ALLOWED = {
    "SubmitFunction": {
        "s3:GetObject",
        "s3:GetBucketVersioning",
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


# DynamoDB asks the caller's permission for whatever it does with the table's key.
USE_OF_A_KEY = {
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_may_do_what_its_code_does_and_nothing_else(function: str) -> None:
    actions = [action for statement in statements(function) for action in many(statement["Action"])]
    with_key = {"kms:Decrypt"} if function == "CheckStatusFunction" else USE_OF_A_KEY
    assert set(actions) == ALLOWED[function] | with_key


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
    """The local cloud does not enforce its role: what it may is held against what its definition asks for."""
    workflow = yaml.safe_load((ROOT / "workflow.asl.yaml").read_text(encoding="utf-8"))
    tasks = [state for state in workflow["States"].values() if state["Type"] == "Task"]
    assert {task["Resource"] for task in tasks} == {"arn:${Partition}:states:::lambda:invoke"}
    asked = {task["Arguments"]["FunctionName"].strip("${}") for task in tasks}

    properties = RESOURCES["Workflow"]["Properties"]
    assert [list(policy) for policy in properties["Policies"]] == [["LambdaInvokePolicy"]] * len(asked)
    allowed = [policy["LambdaInvokePolicy"]["FunctionName"]["Ref"] for policy in properties["Policies"]]
    substitutions = properties["DefinitionSubstitutions"]
    assert [{"Fn::GetAtt": [name, "Arn"]} for name in sorted(allowed)] == [
        substitutions[name] for name in sorted(asked)
    ]
    assert "Role" not in properties


@pytest.mark.parametrize("name", MANAGED_POLICIES)
def test_a_policy_for_people_is_an_output_and_belongs_to_nobody_yet(name: str) -> None:
    assert TEMPLATE["Outputs"][f"{name}Arn"]["Value"] == {"Ref": name}
    assert not {"Users", "Groups", "Roles"} & set(MANAGED_POLICIES[name])
    for statement in of_document(MANAGED_POLICIES[name]["PolicyDocument"]):
        assert_allows_something_of_this_stack(statement)


def allowed_on(policy: str, resource: str) -> set[str]:
    """What a managed policy allows on a resource, or on the parameter that names one."""
    found = of_document(MANAGED_POLICIES[policy]["PolicyDocument"])
    return {each for one in found if refers_to(one["Resource"], resource) for each in many(one["Action"])}


def test_an_uploader_uploads_and_an_image_reader_reads_and_neither_more() -> None:
    uploads = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket"}
    assert allowed_on("UploaderPolicy", "InputBucket") == uploads
    assert allowed_on("UploaderPolicy", "ExistingInputBucketName") == uploads
    assert allowed_on("UploaderPolicy", "AWS::StackName") == {"cloudformation:DescribeStacks"}
    assert allowed_on("UploaderPolicy", "KmsKeyArn") == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert allowed_on("UploaderPolicy", "OutputBucket") == set()
    assert allowed_on("ImageReaderPolicy", "OutputBucket") == {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
    }
    assert allowed_on("ImageReaderPolicy", "KmsKeyArn") == {"kms:Decrypt"}
    assert allowed_on("ImageReaderPolicy", "InputBucket") == set()


def test_an_uploader_touches_photos_alone() -> None:
    for statement in of_document(MANAGED_POLICIES["UploaderPolicy"]["PolicyDocument"]):
        if any(action.endswith("Object") for action in many(statement["Action"])):
            assert statement["Resource"]["Fn::Sub"][0].endswith(":::${Bucket}/${PhotoPrefix}*")


def test_a_queue_that_a_policy_opens_is_open_to_our_rule_alone() -> None:
    for policy in of_type("AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}
            assert statement["Condition"] == {
                "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadRule", "Arn"]}}
            }


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


@pytest.mark.parametrize("name", BUCKETS)
def test_what_is_replaced_or_deleted_stays_as_a_version(name: str) -> None:
    assert BUCKETS[name]["VersioningConfiguration"] == {"Status": "Enabled"}


def test_new_buckets_tell_eventbridge() -> None:
    properties = RESOURCES["InputBucket"]["Properties"]
    assert properties["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True


@pytest.mark.parametrize("name", [*BUCKETS, *TABLES, *of_type("AWS::S3::BucketPolicy")])
def test_what_was_paid_for_outlives_the_stack_as_locked_as_before(name: str) -> None:
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


# -- what is kept is locked --


@pytest.mark.parametrize("name", BUCKETS)
def test_no_bucket_is_public(name: str) -> None:
    block = BUCKETS[name]["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(value is True for value in block.values())
    assert BUCKETS[name]["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def holds(condition: Any, **chosen: str) -> bool:
    """Whether a condition of the template, by its name or as it is written, holds for these parameters."""
    match condition:
        case str():
            return holds(TEMPLATE["Conditions"][condition], **chosen)
        case {"Condition": str(name)}:
            return holds(name, **chosen)
        case {"Fn::Not": [inner]}:
            return not holds(inner, **chosen)
        case {"Fn::And": parts}:
            return all(holds(part, **chosen) for part in parts)
        case {"Fn::Or": parts}:
            return any(holds(part, **chosen) for part in parts)
        case {"Fn::Equals": [{"Ref": name}, value]}:
            declared = str(PARAMETERS[name]["Default"]) if name in PARAMETERS else ""
            return chosen.get(name, declared) == str(value)
    raise AssertionError(f"what is {condition}?")


AN_ACCOUNT = {"AWS::AccountId": "123456789012"}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_refuses_plain_http_wherever_it_is_made_on_aws(name: str) -> None:
    (policy,) = (
        found
        for found in RESOURCES.values()
        if found["Type"] == "AWS::S3::BucketPolicy" and found["Properties"]["Bucket"] == {"Ref": name}
    )
    assert holds(policy["Condition"], **AN_ACCOUNT)
    assert not holds(policy["Condition"], **{"AWS::AccountId": "000000000000"})
    (refusal,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (refusal["Effect"], refusal["Principal"], refusal["Action"]) == ("Deny", "*", "s3:*")
    assert refusal["Resource"] == [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_bucket_that_is_not_ours_gets_no_policy() -> None:
    """It would replace the owner's."""
    assert not holds(
        RESOURCES["InputBucketPolicy"]["Condition"], **AN_ACCOUNT, ExistingInputBucketName="theirs"
    )


def lifecycle(bucket: str, **chosen: str) -> dict[str, dict[str, Any]]:
    """The rules of a bucket's lifecycle, by id, for these parameters."""
    rules = []
    for rule in BUCKETS[bucket]["LifecycleConfiguration"]["Rules"]:
        condition, then, otherwise = rule.get("Fn::If", [None, None, None])
        found = rule if condition is None else then if holds(condition, **chosen) else otherwise
        if found != {"Ref": "AWS::NoValue"}:
            assert found["Status"] == "Enabled"
            rules.append(found)
    return {rule["Id"]: rule for rule in rules}


@pytest.mark.parametrize("name", BUCKETS)
def test_what_was_uploaded_in_part_goes_and_nothing_else_unless_someone_says_so(name: str) -> None:
    rules = lifecycle(name)
    assert set(rules) == {"IncompleteUploads"}
    assert rules["IncompleteUploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize("name", BUCKETS)
def test_old_versions_end_by_a_parameter(name: str) -> None:
    rule = lifecycle(name, OldVersionRetentionDays="90")["OldVersions"]
    days = {"Ref": "OldVersionRetentionDays"}
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    assert rule["ExpiredObjectDeleteMarker"] is True


def test_images_end_by_a_parameter_and_photos_do_not() -> None:
    chosen = {"ImageRetentionDays": "30", "OldVersionRetentionDays": "1"}
    assert lifecycle("OutputBucket", **chosen)["Images"]["ExpirationInDays"] == {"Ref": "ImageRetentionDays"}
    assert set(lifecycle("InputBucket", **chosen)) == {"IncompleteUploads", "OldVersions"}


@pytest.mark.parametrize(
    ("chosen", "refused"),
    [
        ({}, False),
        ({"ImageRetentionDays": "30"}, True),
        ({"ImageRetentionDays": "30", "OldVersionRetentionDays": "1"}, False),
        ({"OldVersionRetentionDays": "1"}, False),
    ],
)
def test_images_that_would_stay_as_old_versions_for_ever_are_refused(
    chosen: dict[str, str], refused: bool
) -> None:
    rule = TEMPLATE["Rules"]["ImagesEndOnlyWithTheirOldVersions"]
    (assertion,) = rule["Assertions"]
    assert (holds(rule["RuleCondition"], **chosen) and not holds(assertion["Assert"], **chosen)) is refused


@pytest.mark.parametrize("name", TEMPLATE["Rules"])
def test_what_is_refused_is_refused_with_a_sentence(name: str) -> None:
    for assertion in TEMPLATE["Rules"][name]["Assertions"]:
        assert assertion["AssertDescription"].endswith(".")


@pytest.mark.parametrize("name", [name for name, found in PARAMETERS.items() if "AllowedPattern" in found])
def test_a_pattern_says_in_words_what_it_wants(name: str) -> None:
    """Without them, AWS shows the pattern."""
    assert PARAMETERS[name]["ConstraintDescription"].startswith("must ")
    assert re.search(PARAMETERS[name]["AllowedPattern"], str(PARAMETERS[name]["Default"]))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_can_be_brought_back_and_its_deletion_forbidden(name: str) -> None:
    assert TABLES[name]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert TABLES[name]["DeletionProtectionEnabled"] == {"Fn::If": ["DeletionProtected", True, False]}
    assert not holds("DeletionProtected")
    assert holds("DeletionProtected", DeletionProtection="true")


KEY = {"Fn::If": ["OwnKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_encrypted_and_with_the_owners_key_if_there_is_one(name: str) -> None:
    (rule,) = BUCKETS[name]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": {"Fn::If": ["OwnKey", True, False]},
        "ServerSideEncryptionByDefault": {
            "SSEAlgorithm": {"Fn::If": ["OwnKey", "aws:kms", "AES256"]},
            "KMSMasterKeyID": KEY,
        },
    }


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted_and_never_with_the_key_that_eventbridge_cannot_use(name: str) -> None:
    assert QUEUES[name]["SqsManagedSseEnabled"] == {"Fn::If": ["OwnKey", {"Ref": "AWS::NoValue"}, True]}
    assert QUEUES[name]["KmsMasterKeyId"] == KEY


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_encrypted_and_with_the_owners_key_if_there_is_one(name: str) -> None:
    assert TABLES[name]["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": {"Fn::If": ["OwnKey", "KMS", {"Ref": "AWS::NoValue"}]},
        "KMSMasterKeyId": KEY,
    }


# How each kind of what else keeps something names its key. AWS encrypts these without one, too.
KEY_PROPERTIES = {
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
    "AWS::Events::EventBus": "KmsKeyIdentifier",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Events::Archive": "KmsKeyIdentifier",
}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, KEY_PROPERTIES[found["Type"]])
        for name, found in RESOURCES.items()
        if found["Type"] in KEY_PROPERTIES
    ],
)
def test_whatever_else_keeps_something_takes_the_owners_key(name: str, key: str) -> None:
    assert RESOURCES[name]["Properties"][key] == KEY


def test_the_functions_variables_take_the_owners_key() -> None:
    assert TEMPLATE["Globals"]["Function"]["KmsKeyArn"] == KEY


@pytest.mark.parametrize(
    ("arn", "taken"),
    [
        ("", True),
        ("arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", True),
        ("arn:aws:kms:eu-central-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab", True),
        ("alias/aws/sqs", False),
        ("arn:aws:kms:eu-central-1:123456789012:alias/mine", False),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", False),
    ],
)
def test_a_key_is_named_by_its_arn_and_by_no_alias(arn: str, taken: bool) -> None:
    assert bool(re.search(PARAMETERS["KmsKeyArn"]["AllowedPattern"], arn)) is taken


def test_the_key_policy_that_the_readme_prints_lets_in_every_service_that_uses_the_key() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = readme.partition("### A key of yours")[2].partition("```json\n")[2].partition("```")[0]
    services = {each["Principal"]["Service"]: set(each["Action"]) for each in json.loads(printed)}
    assert set(services) == {"events.amazonaws.com", "cloudwatch.amazonaws.com", "logs.REGION.amazonaws.com"}
    # SQS wants two of whoever sends to an encrypted queue, the bus one more, and the archive all.
    sends = {"kms:GenerateDataKey", "kms:Decrypt"}
    assert services["events.amazonaws.com"] == {*sends, "kms:DescribeKey", "kms:ReEncrypt*"}
