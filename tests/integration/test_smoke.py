"""`packshot smoke` as an engineer runs it after a deployment; here, on the local cloud."""

from __future__ import annotations

import signal

import requests

from tests.commands import packshot_command, started_command
from tests.shop import Shop


def _left(shop: Shop) -> list[str]:
    """What a smoke test would have left behind: objects, queues and rules."""
    objects = [
        each["Key"]
        for name in ("InputBucketName", "OutputBucketName")
        for page in shop.s3.get_paginator("list_objects_v2").paginate(Bucket=shop.cloud.outputs[name])
        for each in page.get("Contents", [])
    ]
    return [name for name in (*objects, *shop.sqs.list_queues()["QueueUrls"]) if "smoke-" in name]


def test_a_photo_goes_through_and_nothing_is_left(shop: Shop) -> None:
    requests.put(f"{shop.cloud.segmind_url}/_emulator/faults", json=[], timeout=10).raise_for_status()
    ran = packshot_command(shop.cloud, "smoke", "--yes")
    assert ran.returncode == 0, ran.stderr
    seen = dict(line.split("\t") for line in ran.stdout.splitlines())
    assert seen["image"].endswith("/mug/smoke.webp")
    assert float(seen["upload to event, s"]) >= float(seen["submit to record, s"]) > 0
    assert "about $0.0891" in ran.stderr
    assert _left(shop) == []


def test_a_failure_is_told_and_nothing_is_left_either(shop: Shop) -> None:
    fault = {"call": "work", "times": 1, "effect": {"kind": "failed", "message": "out of order"}}
    requests.put(f"{shop.cloud.segmind_url}/_emulator/faults", json=[fault], timeout=10).raise_for_status()
    ran = packshot_command(shop.cloud, "smoke", "--yes")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "GenerationFailed: out of order" in ran.stderr
    assert _left(shop) == []


def test_nothing_is_paid_for_without_a_yes(shop: Shop) -> None:
    ran = packshot_command(shop.cloud, "smoke")
    assert ran.returncode == 1
    assert "Nothing was sent" in ran.stderr


def test_a_signal_ends_it_with_a_line_and_takes_the_photo_away(shop: Shop) -> None:
    with started_command(shop.cloud, "smoke", "--yes") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Sent "):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert "Stopped: a photo that was sent is paid for" in " ".join(stderr.split())
    # What the photo becomes may still come.
    assert not [name for name in _left(shop) if not name.endswith(("manifest.json", "smoke.webp"))]
