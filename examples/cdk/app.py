"""A shop's stack with Packshot in it: a queue hears of each photo that is completed."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, Stack, aws_events, aws_events_targets, aws_sqs
from constructs import Construct
from packshot_construct import Packshot

# What `sam build` wrote, in the clone that this example is in.
BUILT = Path(__file__).resolve().parents[2] / ".aws-sam/build/template.yaml"


class ShopStack(Stack):
    """Packshot, and who listens to it."""

    def __init__(self, scope: Construct, construct_id: str, *, template_file: Path) -> None:
        super().__init__(scope, construct_id)
        packshot = Packshot(
            self,
            "Packshot",
            template_file=template_file,
            SegmindPlan="pro",
            OldVersionRetentionDays="90",
        )
        queue = aws_sqs.Queue(self, "CompletedPhotos", retention_period=Duration.days(14), enforce_ssl=True)
        aws_events.Rule(
            self,
            "PhotoCompleted",
            event_bus=packshot.event_bus,
            event_pattern=aws_events.EventPattern(source=["packshot"], detail_type=["Photo Completed"]),
            targets=[aws_events_targets.SqsQueue(queue)],
        )
        CfnOutput(self, "CompletedPhotosUrl", value=queue.queue_url)


app = App()
ShopStack(app, "Shop", template_file=Path(app.node.try_get_context("template") or BUILT))
app.synth()
