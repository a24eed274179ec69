# Packshot in a Terraform configuration, as the CloudFormation stack that it is.
#
# NOT VALIDATED: no Terraform has read this file yet; it was written by the documentation of the AWS provider.
#
#   sam build
#   sam package --s3-bucket BUCKET --output-template-file examples/terraform/packaged.yaml
#   cd examples/terraform && terraform init && terraform apply -var artifacts_bucket=BUCKET

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

variable "artifacts_bucket" {
  description = "A bucket of yours, where `sam package` put the code."
  type        = string
}

# Too large to be handed over in the call itself.
resource "aws_s3_object" "template" {
  bucket      = var.artifacts_bucket
  key         = "packshot/${filesha256("${path.module}/packaged.yaml")}.yaml"
  source      = "${path.module}/packaged.yaml"
  source_hash = filesha256("${path.module}/packaged.yaml")
}

resource "aws_cloudformation_stack" "packshot" {
  name         = "packshot"
  template_url = "https://${var.artifacts_bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  parameters = {
    SegmindPlan             = "pro"
    OldVersionRetentionDays = "90"
  }
}

# What a shop does with it: a queue that hears of each photo that is completed.
resource "aws_sqs_queue" "completed_photos" {
  name                      = "completed-photos"
  message_retention_seconds = 1209600
}

resource "aws_cloudwatch_event_rule" "photo_completed" {
  name           = "photo-completed"
  event_bus_name = aws_cloudformation_stack.packshot.outputs["EventBusName"]
  event_pattern  = jsonencode({ source = ["packshot"], "detail-type" = ["Photo Completed"] })
}

resource "aws_cloudwatch_event_target" "completed_photos" {
  rule           = aws_cloudwatch_event_rule.photo_completed.name
  event_bus_name = aws_cloudwatch_event_rule.photo_completed.event_bus_name
  arn            = aws_sqs_queue.completed_photos.arn
}

data "aws_iam_policy_document" "only_the_rule_sends" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.completed_photos.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.photo_completed.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "only_the_rule_sends" {
  queue_url = aws_sqs_queue.completed_photos.url
  policy    = data.aws_iam_policy_document.only_the_rule_sends.json
}
