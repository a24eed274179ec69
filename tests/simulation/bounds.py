"""The numbers that the stack is deployed with, as the template and the workflow give them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import cfnlint.decode
import yaml

ROOT = Path(__file__).parents[2]
_template, _ = cfnlint.decode.decode(str(ROOT / "template.yaml"))
_resources = _template["Resources"]
_workflow = yaml.safe_load((ROOT / "workflow.asl.yaml").read_text())


def _timeout(function: str) -> timedelta:
    return timedelta(seconds=int(_resources[function]["Properties"]["Timeout"]))


SUBMIT_TIMEOUT = _timeout("SubmitFunction")
CHECK_TIMEOUT = _timeout("CheckStatusFunction")
FINALIZE_TIMEOUT = _timeout("FinalizeFunction")
SWEEP_TIMEOUT = _timeout("SweepFunction")

_queue = _resources["UploadQueue"]["Properties"]
VISIBILITY = timedelta(seconds=int(_queue["VisibilityTimeout"]))
MAX_RECEIVES = int(_queue["RedrivePolicy"]["maxReceiveCount"])

(_retry,) = _workflow["States"]["Finalize"]["Retry"]
MAX_RETRIES = int(_retry["MaxAttempts"])


def retry_wait(retry: int) -> timedelta:
    """The longest wait before the so-manieth retry of a task of the workflow, counted from 1."""
    seconds = _retry["IntervalSeconds"] * _retry["BackoffRate"] ** (retry - 1)
    return timedelta(seconds=min(seconds, _retry["MaxDelaySeconds"]))
