"""A photo is read with one GET and judged by its bytes; Segmind is given exactly what was judged."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from packshot.aws import PRESIGNING_CONFIG
from packshot.check_settings import DEADLINE
from packshot.photo import Photo
from packshot.photo_store import Overwritten, PhotoStore, ReadPhoto, Unusable
from packshot.settings import ImageTransfer
from tests.unit.aws import a_client, stubbed
from tests.unit.fakes import picture_bytes

CLIENT = a_client("s3", PRESIGNING_CONFIG)
DATA = picture_bytes("JPEG")
ETAG = "9b2cf535f27731c974343645a3985328"
FOUND = Photo(bucket="photos", key="shoes/größe 42+ (100%).jpg", etag=ETAG, sequencer="00A1", bytes=1)
VERSIONED = FOUND.model_copy(update={"version_id": "v1"})
WHERE = {"Bucket": "photos", "Key": FOUND.key, "IfMatch": ETAG}


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with stubbed(CLIENT) as stub:
        yield stub


def store(image_transfer: ImageTransfer = "url", max_photo_bytes: int = 100_000) -> PhotoStore:
    return PhotoStore(CLIENT, image_transfer, max_photo_bytes, DEADLINE)


def stands(stub: Stubber, data: bytes = DATA, where: dict[str, str] | None = None, **more: Any) -> io.BytesIO:
    body = io.BytesIO(data)
    answer = {
        "ContentLength": len(data),
        "ETag": f'"{ETAG}"',
        "Metadata": {"packshot-quality": "80"},
        "Body": StreamingBody(body, len(data)),
        **more,
    }
    stub.add_response("get_object", answer, where or WHERE)
    return body


# -- read --


def test_a_whole_photo_is_known_by_the_hash_of_its_bytes(stub: Stubber) -> None:
    stands(stub)
    known = FOUND.model_copy(update={"sha256": hashlib.sha256(DATA).hexdigest(), "bytes": len(DATA)})
    assert store().read(FOUND) == ReadPhoto(known, {"packshot-quality": "80"})


def test_a_version_is_read_by_its_id(stub: Stubber) -> None:
    stands(stub, where={"Bucket": "photos", "Key": FOUND.key, "VersionId": "v1"}, VersionId="v1")
    read = store().read(VERSIONED)
    assert isinstance(read, ReadPhoto)
    assert read.photo.version_id == "v1"


def test_a_version_that_the_event_did_not_tell_is_learned(stub: Stubber) -> None:
    stands(stub, VersionId="v7")
    read = store().read(FOUND)
    assert isinstance(read, ReadPhoto)
    assert read.photo.version_id == "v7"


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "EmptyFile"), (b"hello", "UnsupportedFormat"), (DATA[:300], "BrokenPicture")]
)
def test_what_is_no_picture_is_unusable_and_says_why(stub: Stubber, data: bytes, code: str) -> None:
    stands(stub, data)
    read = store().read(FOUND)
    assert isinstance(read, Unusable)
    assert read.reason.code == code
    assert read.photo.sha256 == hashlib.sha256(data).hexdigest()


def test_a_photo_that_is_too_large_is_not_read(stub: Stubber) -> None:
    body = stands(stub)
    read = store(max_photo_bytes=len(DATA) - 1).read(FOUND)
    assert isinstance(read, Unusable)
    assert read.reason.code == "PhotoTooLarge"
    assert str(len(DATA)) in read.reason.message
    assert read.photo.sha256 is None
    assert body.closed


def test_a_photo_of_just_the_allowed_size_is_read(stub: Stubber) -> None:
    stands(stub)
    assert isinstance(store(max_photo_bytes=len(DATA)).read(FOUND), ReadPhoto)


@pytest.mark.parametrize(
    ("code", "status_code"), [("NoSuchKey", 404), ("NoSuchVersion", 404), ("MethodNotAllowed", 405)]
)
def test_a_photo_that_was_deleted_is_missing(stub: Stubber, code: str, status_code: int) -> None:
    stub.add_client_error("get_object", code, http_status_code=status_code)
    read = store().read(FOUND)
    assert isinstance(read, Unusable)
    assert read.reason.code == "PhotoMissing"


def test_a_photo_that_is_archived_is_unusable(stub: Stubber) -> None:
    stub.add_client_error("get_object", "InvalidObjectState", http_status_code=403)
    read = store().read(FOUND)
    assert isinstance(read, Unusable)
    assert read.reason.code == "PhotoArchived"


def test_another_object_in_its_place_is_told(stub: Stubber) -> None:
    stub.add_client_error("get_object", "PreconditionFailed", http_status_code=412, expected_params=WHERE)
    assert store().read(FOUND) == Overwritten()


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError", "NoSuchBucket"])
def test_what_says_nothing_about_the_photo_is_raised(stub: Stubber, code: str) -> None:
    stub.add_client_error("get_object", code)
    with pytest.raises(ClientError):
        store().read(FOUND)


# -- image_1 --


def image_1(photo_store: PhotoStore, photo: Photo) -> str:
    made = photo_store.handed_over(photo, "packshot-1")
    assert isinstance(made, str)
    return made


def test_a_photo_is_presigned_with_sigv4_for_its_regional_host_until_after_the_deadline() -> None:
    url = urlsplit(image_1(store(), VERSIONED))
    query = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert url.scheme == "https"
    assert url.netloc == "photos.s3.eu-west-1.amazonaws.com"
    assert unquote(url.path) == "/" + FOUND.key
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert "/eu-west-1/s3/aws4_request" in query["X-Amz-Credential"]
    assert query["X-Amz-Expires"] == "3600"
    assert query["versionId"] == "v1"
    assert query["X-Amz-SignedHeaders"] == "host"


def test_a_photo_without_a_version_is_presigned_without_one() -> None:
    assert "versionId" not in image_1(store(), FOUND)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_old_regions_are_no_exception(region: str) -> None:
    client = a_client("s3", PRESIGNING_CONFIG, region)
    url = urlsplit(image_1(PhotoStore(client, "url", 1, DEADLINE), FOUND))
    assert url.netloc == f"photos.s3.{region}.amazonaws.com"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url.query


def test_a_photo_may_travel_inline(stub: Stubber) -> None:
    stands(stub, where={"Bucket": "photos", "Key": FOUND.key, "VersionId": "v1"})
    assert base64.b64decode(image_1(store("inline"), VERSIONED)) == DATA


def test_what_travels_inline_is_what_was_judged(stub: Stubber) -> None:
    stub.add_client_error("get_object", "PreconditionFailed", http_status_code=412, expected_params=WHERE)
    assert store("inline").handed_over(FOUND, "packshot-1") == Overwritten()


def test_what_was_deleted_since_cannot_travel_inline(stub: Stubber) -> None:
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404, expected_params=WHERE)
    made = store("inline").handed_over(FOUND, "packshot-1")
    assert isinstance(made, Unusable)
    assert made.reason.code == "PhotoMissing"
