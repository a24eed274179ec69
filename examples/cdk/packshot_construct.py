"""Packshot as a construct: its template, as `sam build` leaves it, included in a stack of yours."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnResource, Token, aws_events, aws_s3, aws_s3_assets, cloudformation_include
from constructs import Construct

# Where the template names code of this machine: CDK's attribute, and CloudFormation's property.
LOCAL_PATHS = {
    "AWS::Serverless::Function": ("code_uri", "CodeUri"),
    "AWS::Serverless::LayerVersion": ("content_uri", "ContentUri"),
    "AWS::Serverless::StateMachine": ("definition_uri", "DefinitionUri"),
}


class Packshot(Construct):
    """All of Packshot. `parameters` are the template's, by name; the others stay parameters, with defaults.

    Logical ids are the template's own, so a stack holds one Packshot. CDK puts values in the place of
    parameters, so that AWS does not hold them against the template's patterns.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, template_file: Path, **parameters: str
    ) -> None:
        super().__init__(scope, construct_id)
        self.template = cloudformation_include.CfnInclude(
            self, "Template", template_file=str(template_file), parameters=parameters
        )
        for found in self.template.node.find_all():
            if isinstance(found, CfnResource) and found.cfn_resource_type in LOCAL_PATHS:
                self._upload_what_it_names(found, template_file.parent)
        self.input_bucket = aws_s3.Bucket.from_bucket_name(self, "Photos", self.output("InputBucketName"))
        self.output_bucket = aws_s3.Bucket.from_bucket_name(self, "Images", self.output("OutputBucketName"))
        self.event_bus = aws_events.EventBus.from_event_bus_name(self, "Bus", self.output("EventBusName"))

    def output(self, name: str) -> str:
        """One of the template's outputs."""
        return Token.as_string(self.template.get_output(name).value)

    def _upload_what_it_names(self, found: CfnResource, folder: Path) -> None:
        """`cdk deploy` uploads assets; they take the place of what lies on this machine."""
        attribute, name = LOCAL_PATHS[found.cfn_resource_type]
        path = folder / getattr(found, attribute)
        asset = aws_s3_assets.Asset(self, f"{found.node.id}Asset", path=str(path))
        found.add_property_override(name, {"Bucket": asset.s3_bucket_name, "Key": asset.s3_object_key})
