"""`packshot redrive` as an engineer uses it: a command, AWS's own environment, the real template."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from packshot.messages import UploadMessage
from packshot.photo import Photo
from tests.commands import packshot_command
from tests.photos import HEIC, packshot
from tests.recorded import recorded_cloud
from tests.shop import Shop


@pytest.fixture(autouse=True)
def _without_faults(shop: Shop) -> Iterator[None]:
    yield
    _faults(shop)


def _faults(shop: Shop, *rules: dict[str, Any]) -> None:
    requests.put(f"{shop.cloud.segmind_url}/_emulator/faults", json=rules, timeout=10).raise_for_status()


def _accepted(shop: Shop) -> int:
    answer = requests.get(f"{shop.cloud.segmind_url}/_emulator/counts", timeout=10)
    return int(answer.json()["accepted"])


def _redrive(shop: Shop, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    operator = (shop.cloud.access_key_id, shop.cloud.secret_access_key)
    return packshot_command(shop.cloud, "redrive", *arguments, credentials=operator, **environment)


def _done(shop: Shop, *arguments: str) -> list[list[str]]:
    """The fields of each line that the command told."""
    ran = _redrive(shop, *arguments)
    assert ran.returncode == 0, ran.stderr
    return [line.split("\t") for line in ran.stdout.splitlines()]


def test_an_image_that_could_not_be_fetched_is_fetched_without_another_request(shop: Shop) -> None:
    wrong_file = {"kind": "wrong_file", "content": "html"}
    _faults(shop, {"call": "file", "effect": wrong_file})
    shop.upload("redrive/wrong.jpg", packshot(colour="teal"))
    job_id = shop.event("redrive/wrong.jpg", "Scene Failed")["job_id"]
    _faults(shop)
    before, row = _accepted(shop), shop.settled_row(job_id)
    told = [job_id, "redrive/wrong.jpg", "default", "FAILED", "WrongOutput", "resumed", ""]

    assert told in _done(shop, "--state", "FAILED", "--dry-run")
    assert shop.row(job_id) == row
    assert _done(shop, "--job", job_id) == [told]

    generated = shop.event("redrive/wrong.jpg", "Scene Generated")
    assert (generated["job_id"], generated["attempt"]) == (job_id, 2)
    assert generated["request_id"] == row["request_id"]
    assert shop.image(generated["image"]["key"]).format == "WEBP"
    assert shop.settled_row(job_id)["state"] == "COMPLETED"
    assert _accepted(shop) == before
    image = generated["image"]["key"]
    assert _done(shop, "--job", job_id)[0][-2:] == ["left alone", f"its image is at {image}"]


def test_a_request_that_failed_is_made_again(shop: Shop) -> None:
    _faults(shop, {"call": "work", "times": 1, "effect": {"kind": "failed", "message": "out of memory"}})
    shop.upload("redrive/doll.jpg", packshot(colour="pink"))
    failed = shop.event("redrive/doll.jpg", "Scene Failed")
    shop.settled_row(failed["job_id"])
    before = _accepted(shop)

    # Not all that failed: other tests have such jobs in this cloud.
    (told,) = _done(shop, "--job", failed["job_id"])

    assert told[4:6] == ["GenerationFailed", "posted again"]
    generated = shop.event("redrive/doll.jpg", "Scene Generated")
    assert generated["job_id"] == failed["job_id"]
    assert generated["seed"] == failed["seed"]
    assert _accepted(shop) - before == 1


def test_what_may_have_been_charged_is_made_again_only_for_who_says_so(shop: Shop) -> None:
    without_output = {"kind": "answer", "status": 200, "json": {"status": "COMPLETED"}}
    _faults(shop, {"call": "result", "times": 1, "effect": without_output})
    shop.upload("redrive/lamp.jpg", packshot(colour="gold"))
    job_id = shop.event("redrive/lamp.jpg", "Scene Failed")["job_id"]
    shop.settled_row(job_id)
    before = _accepted(shop)

    ((*_, code, done, why),) = _done(shop, "--job", job_id)
    assert (code, done) == ("NoOutput", "left alone")
    assert "--pay-again" in why
    unasked = _redrive(shop, "--job", job_id, "--pay-again")
    assert (unasked.returncode, unasked.stdout) == (1, "")
    assert shop.row(job_id)["state"] == "FAILED"
    assert _accepted(shop) == before

    assert _done(shop, "--job", job_id, "--pay-again", "--yes")[0][5] == "paid again"
    assert shop.event("redrive/lamp.jpg", "Scene Generated")["attempt"] == 2
    assert _accepted(shop) - before == 1


def test_a_rejected_photo_is_judged_again_and_told_again(shop: Shop) -> None:
    shop.upload("redrive/phone.heic", HEIC)
    rejected = shop.event("redrive/phone.heic", "Photo Rejected")
    shop.settled_row(rejected["job_id"])

    assert _done(shop, "--job", rejected["job_id"])[0][4:] == ["UnsupportedFormat", "sent again", ""]

    shop.listen_until(lambda: [event["detail"] for event in shop.seen].count(rejected) == 2)


def test_dead_letters_are_worked_on_again(shop: Shop) -> None:
    """One from each queue: the uploads of photos that are gone by now, which is told of them."""
    resource = (
        shop.cloud.session()
        .client("cloudformation")
        .describe_stack_resource(StackName="packshot", LogicalResourceId="UploadRuleDeadLetterQueue")[
            "StackResourceDetail"
        ]
    )
    queues = {
        "redrive/dead.jpg": shop.cloud.outputs["UploadDeadLetterQueueUrl"],
        "redrive/undelivered.jpg": resource["PhysicalResourceId"],
    }
    for key, url in queues.items():
        photo = Photo(bucket=shop.input_bucket, key=key, etag="0" * 32, sequencer="01", bytes=1)
        body = json.dumps(UploadMessage.of(photo).model_dump(by_alias=True))
        shop.sqs.send_message(QueueUrl=url, MessageBody=body)

    assert _redrive(shop, "--dead-letters", "--dry-run").stderr.startswith("2 dead letters\n")
    assert [told[1] for told in _done(shop, "--dead-letters")] == list(queues)

    for key in queues:
        assert shop.event(key, "Photo Rejected")["reason"]["code"] == "PhotoMissing"
    assert shop.dead_letters() == 0
    assert not _done(shop, "--dead-letters")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--job", "f" * 32], {}, "The stack packshot has no job ffff"),
        (["--state", "FAILED", "--stack", "another"], {}, "AccessDenied"),
        (["--state", "FAILED"], {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "InvalidClientTokenId"),
        (["--state", "FAILED"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    shop: Shop, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    ran = _redrive(shop, *arguments, **environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_an_answer_that_was_lost_is_a_persons_to_decide_on() -> None:
    with recorded_cloud(wait_scale=0.05, emulator_seconds=1.0, parameters={"MaxSubmitsPerJob": "1"}) as shop:
        _faults(shop, {"call": "submit", "times": 1, "effect": {"kind": "lost"}})
        shop.upload("redrive/vase.jpg", packshot())
        job_id = shop.event("redrive/vase.jpg", "Scene Uncertain")["job_id"]

        assert _done(shop, "--state", "UNCERTAIN")[0][4:6] == ["PersonDecides", "left alone"]
        assert _done(shop, "--state", "UNCERTAIN", "--pay-again", "--yes")[0][5] == "paid again"

        assert shop.event("redrive/vase.jpg", "Scene Generated")["job_id"] == job_id
        assert _accepted(shop) == 2
