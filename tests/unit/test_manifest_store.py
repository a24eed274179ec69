"""Manifests tell what the rows say, and each replaces the one that was read before and no other."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from packshot.job import Image, Job, JobState, ParkedCause, Reason
from packshot.manifest import Manifest, manifest_of
from packshot.manifest_store import ManifestStore, StandingManifest
from packshot.model import MODEL
from packshot.scene import Scene
from tests.unit.aws import a_client, stubbed
from tests.unit.fakes import a_job, a_photo

CLIENT = a_client("s3")
KEY = "shoes/red/manifest.json"
WHERE = {"Bucket": "images", "Key": KEY}
IMAGE = Image(
    bucket="images",
    key="shoes/red/beach.webp",
    version_id="v1",
    bytes=7,
    content_type="image/webp",
    width=800,
    height=600,
    sha256="7a" * 32,
)
PHOTO = a_photo(version_id="v7", sku="4711")
MADE = a_job(
    JobState.COMPLETED,
    scene="beach",
    photo=PHOTO,
    image=IMAGE,
    request_id="request-1",
    inference_seconds=13.06,
    cost_usd=0.0891,
)
NO = Reason(code="GenerationFailed", message="no")
NOT_MADE = a_job(JobState.FAILED, job_id="f" * 32, scene="studio", photo=PHOTO, error=NO)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with stubbed(CLIENT) as stub:
        yield stub


STORE = ManifestStore(CLIENT, "images")


def a_manifest(*jobs: Job, revision: int = 1) -> Manifest:
    return manifest_of(PHOTO, jobs or [MADE, NOT_MADE], revision)


# -- what it says --


def test_a_manifest_tells_of_the_photo_and_of_each_scene_in_order() -> None:
    assert json.loads(a_manifest(revision=3).model_dump_json()) == {
        "version": "1",
        "revision": 3,
        "photo": {
            "bucket": "photos",
            "key": "shoes/red.jpg",
            "version_id": "v7",
            "etag": "9b2cf535f27731c974343645a3985328",
            "sha256": "5e" * 32,
            "bytes": 1024,
        },
        "sku": "4711",
        "model": MODEL,
        "scenes": {
            "beach": {
                "job_id": MADE.job_id,
                "state": "COMPLETED",
                "cause": None,
                "image": IMAGE.model_dump(),
                "seed": 7,
                "prompt": "in a bright living room",
                "request_id": "request-1",
                "inference_seconds": 13.06,
                "cost_usd": 0.0891,
                "error": None,
            },
            "studio": {
                "job_id": "f" * 32,
                "state": "FAILED",
                "cause": None,
                "image": None,
                "seed": 7,
                "prompt": "in a bright living room",
                "request_id": None,
                "inference_seconds": None,
                "cost_usd": None,
                "error": {"code": "GenerationFailed", "message": "no"},
            },
        },
    }
    assert list(a_manifest().scenes) == ["beach", "studio"]
    assert list(a_manifest(NOT_MADE, MADE).scenes) == ["studio", "beach"]


def test_a_manifest_tells_what_a_scene_waits_for() -> None:
    waits = a_job(JobState.PARKED, scene="beach", cause=ParkedCause.CREDITS)
    (scene,) = a_manifest(waits).scenes.values()
    assert (scene.state, scene.cause) == (JobState.PARKED, ParkedCause.CREDITS)


def test_a_manifest_of_many_long_prompts_reads_back() -> None:
    parameters = Scene(prompt='靴"\\' * 1600)
    jobs = [a_job(JobState.COMPLETED, scene=f"s-{number}", parameters=parameters) for number in range(40)]
    manifest = a_manifest(*jobs)
    assert Manifest.model_validate_json(manifest.model_dump_json(indent=2)) == manifest


@pytest.mark.parametrize(
    "job",
    [
        MADE.model_copy(update={"state": JobState.FAILED}),
        MADE.model_copy(update={"image": IMAGE.model_copy(update={"version_id": "v2"})}),
        MADE.model_copy(update={"cost_usd": None}),
        MADE.model_copy(update={"scene": "studio"}),
        MADE.model_copy(update={"error": NO}),
    ],
)
def test_a_manifest_says_the_same_only_if_all_but_its_revision_is(job: Job) -> None:
    assert a_manifest(MADE).says_the_same(a_manifest(MADE, revision=9))
    assert not a_manifest(MADE).says_the_same(a_manifest(job))


# -- read --


def stands(stub: Stubber, text: bytes) -> None:
    answer: dict[str, Any] = {"Body": StreamingBody(io.BytesIO(text), len(text)), "ETag": '"e1"'}
    stub.add_response("get_object", answer, WHERE)


def test_a_manifest_reads_back_with_what_it_takes_to_replace_it(stub: Stubber) -> None:
    manifest = a_manifest(revision=4)
    stands(stub, manifest.model_dump_json(indent=2).encode())
    standing = STORE.read(KEY)
    assert standing == StandingManifest(manifest, '"e1"')
    assert standing.revision == 4


@pytest.mark.parametrize("code", ["NoSuchKey", "404"])
def test_where_there_is_none_there_is_none(stub: Stubber, code: str) -> None:
    stub.add_client_error("get_object", code, http_status_code=404)
    assert STORE.read(KEY) is None


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[]", b"{}", b'{"version": "2"}', b"\x89PNG" * 99])
def test_what_is_no_manifest_can_still_be_replaced(stub: Stubber, text: bytes) -> None:
    """Someone put it there, or a later version of the application did."""
    stands(stub, text)
    standing = STORE.read(KEY)
    assert standing == StandingManifest(None, '"e1"')
    assert standing.revision == 0


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError"])
def test_what_goes_wrong_is_raised(stub: Stubber, code: str) -> None:
    stub.add_client_error("get_object", code)
    stub.add_client_error("put_object", code)
    with pytest.raises(ClientError):
        STORE.read(KEY)
    with pytest.raises(ClientError):
        STORE.replace(KEY, None, a_manifest())


# -- replace --


def written(manifest: Manifest, **condition: str) -> dict[str, Any]:
    return {
        **WHERE,
        "Body": (manifest.model_dump_json(indent=2) + "\n").encode(),
        "ContentType": "application/json",
        "CacheControl": "no-cache",
        **condition,
    }


def test_the_first_manifest_is_put_only_where_none_is(stub: Stubber) -> None:
    stub.add_response("put_object", {}, written(a_manifest(), IfNoneMatch="*"))
    assert STORE.replace(KEY, None, a_manifest())


@pytest.mark.parametrize("manifest", [a_manifest(), None])
def test_a_manifest_replaces_what_was_read_and_nothing_else(stub: Stubber, manifest: Manifest | None) -> None:
    stub.add_response("put_object", {}, written(a_manifest(revision=2), IfMatch='"e1"'))
    assert STORE.replace(KEY, StandingManifest(manifest, '"e1"'), a_manifest(revision=2))


@pytest.mark.parametrize(
    ("code", "status_code"),
    [
        ("PreconditionFailed", 412),
        ("412", 412),
        ("ConditionalRequestConflict", 409),
        ("409", 409),
        # It was deleted meanwhile.
        ("NoSuchKey", 404),
        ("404", 404),
    ],
)
@pytest.mark.parametrize("standing", [None, StandingManifest(a_manifest(), '"e1"')])
def test_someone_in_between_is_told_apart_from_a_failure(
    stub: Stubber, standing: StandingManifest | None, code: str, status_code: int
) -> None:
    stub.add_client_error("put_object", code, http_status_code=status_code)
    assert not STORE.replace(KEY, standing, a_manifest(revision=2))
