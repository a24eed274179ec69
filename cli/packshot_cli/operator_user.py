"""The IAM user that a person or a test works as in the local cloud: the stack's operator, not its root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NAME = "operator"


def create_operator(iam: IAMClient, stack_name: str, outputs: Mapping[str, str]) -> tuple[str, str]:
    """Create the user; returns its access key id and secret access key."""
    iam.create_user(UserName=NAME)
    iam.put_user_policy(
        UserName=NAME, PolicyName=NAME, PolicyDocument=json.dumps(operator_policy(stack_name, outputs))
    )
    key = iam.create_access_key(UserName=NAME)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def operator_policy(stack_name: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    """What an operator may do, as an IAM policy, from the outputs of the stack.

    Read and write its buckets, table and queues; create queues, and put rules on its bus to feed them, and on
    the default bus, where S3 tells of uploads, under names that begin with the stack's; read its outputs,
    executions and logs. Queues and logs are not named one by one: the account holds only this stack.
    """
    _, _, _, region, account, *_ = outputs["WorkflowArn"].split(":")
    buckets = [f"arn:aws:s3:::{outputs[name]}" for name in ("InputBucketName", "OutputBucketName")]
    table = f"arn:aws:dynamodb:{region}:{account}:table/{outputs['JobTableName']}"
    events = f"arn:aws:events:{region}:{account}"
    bus = outputs["EventBusName"]
    executions = outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(
                "s3",
                "GetBucketLocation GetBucketVersioning ListBucket ListBucketMultipartUploads"
                " ListBucketVersions",
                buckets,
            ),
            _allow(
                "s3",
                "AbortMultipartUpload DeleteObject DeleteObjectTagging DeleteObjectVersion GetObject"
                " GetObjectAttributes GetObjectTagging GetObjectVersion GetObjectVersionAttributes"
                " GetObjectVersionTagging ListMultipartUploadParts PutObject PutObjectTagging",
                [f"{bucket}/*" for bucket in buckets],
            ),
            _allow(
                "dynamodb",
                "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem DescribeTable GetItem PutItem"
                " Query Scan UpdateItem",
                [table, f"{table}/index/*"],
            ),
            _allow(
                "cloudformation",
                "DescribeStackResource DescribeStacks",
                [f"arn:aws:cloudformation:{region}:{account}:stack/{stack_name}/*"],
            ),
            _allow("sqs", "ListQueues", ["*"]),
            _allow(
                "sqs",
                "ChangeMessageVisibility CreateQueue DeleteMessage DeleteQueue GetQueueAttributes GetQueueUrl"
                " PurgeQueue ReceiveMessage SendMessage SetQueueAttributes",
                [f"arn:aws:sqs:{region}:{account}:*"],
            ),
            _allow(
                "events",
                "DeleteRule DescribeEventBus DescribeRule ListRules ListTargetsByRule PutRule PutTargets"
                " RemoveTargets",
                # AWS wants the rule's ARN for all of these but the bus's; MiniStack takes PutTargets and its
                # like, and a bus that is named by its ARN, another way.
                [
                    f"{events}:rule/{bus}/*",
                    f"{events}:rule/{stack_name}-*",
                    f"{events}:event-bus/{bus}",
                    f"{events}:rule/{events}:*/{bus}/*",
                    f"{events}:rule/default/{stack_name}-*",
                    f"{events}:event-bus/default",
                ],
            ),
            _allow("states", "DescribeStateMachine ListExecutions", [outputs["WorkflowArn"]]),
            _allow(
                "states",
                "DescribeExecution DescribeStateMachineForExecution GetExecutionHistory",
                [f"{executions}:*"],
            ),
            _allow(
                "logs",
                "DescribeLogGroups DescribeLogStreams FilterLogEvents GetLogEvents GetQueryResults"
                " StartQuery",
                ["*"],
            ),
        ],
    }


def _allow(service: str, actions: str, resources: list[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions.split()],
        "Resource": resources,
    }
