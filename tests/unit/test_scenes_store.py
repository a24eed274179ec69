"""What stands beside photos is read once for many of them, and serves none that it is too old for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from packshot.photo import Photo
from packshot.scene import StoredImage
from packshot.scenes_file import MAX_FILE_BYTES, Mistake, ScenesFile
from packshot.scenes_store import CLOCK_SKEW, MAX_KEPT, NoImage, ScenesStore
from tests.unit.aws import a_client, stubbed
from tests.unit.fakes import START, Clock, a_photo, picture_bytes

CLIENT = a_client("s3")
SETTLE = timedelta(seconds=10)
MOMENT = timedelta(microseconds=1)
FILE, SIDECAR, IMAGE = "shoes/scenes.json", "shoes/red.jpg.scenes.json", "props/vase.jpg"
BEACH = b'{"scenes": {"beach": {}}}'
STUDIO = b'{"scenes": {"studio": {}}}'
VASE = picture_bytes("JPEG")
GONE = ("NoSuchKey", 404)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with stubbed(CLIENT) as stub:
        yield stub


@pytest.fixture
def clock() -> Clock:
    """As late as a photo is told of that was uploaded at the start."""
    return Clock(START + SETTLE)


@pytest.fixture
def store(clock: Clock) -> ScenesStore:
    return ScenesStore(CLIENT, 100_000, SETTLE, clock)


def a_photo_of(uploaded: timedelta | None = timedelta(), key: str = "shoes/red.jpg") -> Photo:
    """A photo that was uploaded so long after the start, or nobody knows when."""
    return a_photo(key, uploaded_at=None if uploaded is None else START + uploaded)


def stands(stub: Stubber, key: str, data: bytes, etag: str = "e1", **asked: str) -> io.BytesIO:
    """An object is read, and is this one."""
    body = io.BytesIO(data)
    answer: dict[str, Any] = {
        "ContentLength": len(data),
        "ETag": f'"{etag}"',
        "VersionId": f"version-{etag}",
        "Body": StreamingBody(body, len(data)),
    }
    stub.add_response("get_object", answer, {"Bucket": "photos", "Key": key, **asked})
    return body


def refused(stub: Stubber, key: str, code: str, status_code: int, **asked: str) -> None:
    asked = {"Bucket": "photos", "Key": key, **asked}
    stub.add_client_error("get_object", code, http_status_code=status_code, expected_params=asked)


def scenes(found: object) -> list[str]:
    assert isinstance(found, ScenesFile)
    return list(found.scenes)


# -- scenes files --


def test_a_scenes_file_is_read(stub: Stubber, store: ScenesStore) -> None:
    stands(stub, FILE, BEACH)
    assert scenes(store.scenes_file(a_photo_of(), FILE)) == ["beach"]


@pytest.mark.parametrize(
    ("code", "status_code"), [GONE, ("404", 404), ("NoSuchVersion", 404), ("MethodNotAllowed", 405)]
)
def test_where_none_stands_there_is_none(
    stub: Stubber, store: ScenesStore, code: str, status_code: int
) -> None:
    refused(stub, FILE, code, status_code)
    assert store.scenes_file(a_photo_of(), FILE) is None


def test_a_scenes_file_that_nobody_can_act_on_is_told_with_what_is_wrong(
    stub: Stubber, store: ScenesStore
) -> None:
    stands(stub, FILE, b'{"scene": {}}')
    found = store.scenes_file(a_photo_of(), FILE)
    assert isinstance(found, list)
    assert [(mistake.file, mistake.path) for mistake in found] == [(FILE, "$.scene")]


@pytest.mark.parametrize(("size_bytes", "is_read"), [(MAX_FILE_BYTES, True), (MAX_FILE_BYTES + 1, False)])
def test_a_scenes_file_is_read_up_to_its_bound(
    stub: Stubber, store: ScenesStore, size_bytes: int, is_read: bool
) -> None:
    body = stands(stub, FILE, BEACH.ljust(size_bytes))
    assert isinstance(store.scenes_file(a_photo_of(), FILE), ScenesFile) is is_read
    assert body.tell() <= MAX_FILE_BYTES + 1


def test_of_a_scenes_file_without_end_little_is_read(stub: Stubber, store: ScenesStore) -> None:
    body = stands(stub, FILE, BEACH.ljust(4 * MAX_FILE_BYTES))
    assert isinstance(store.scenes_file(a_photo_of(), FILE), list)
    assert body.tell() == MAX_FILE_BYTES + 1


def test_an_archived_scenes_file_is_a_mistake_and_no_riddle(stub: Stubber, store: ScenesStore) -> None:
    refused(stub, FILE, "InvalidObjectState", 403)
    found = store.scenes_file(a_photo_of(), FILE)
    assert isinstance(found, list)
    assert "archive class" in str(found[0])


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError", "NoSuchBucket"])
@pytest.mark.parametrize("what", ["scenes_file", "image", "uploaded_file"])
def test_what_says_nothing_about_the_object_is_raised(
    stub: Stubber, store: ScenesStore, code: str, what: str
) -> None:
    """As if there were no scenes file, a photo would become something that nobody asked for."""
    stub.add_client_error("get_object", code, http_status_code=403)
    calls: dict[str, Callable[[], object]] = {
        "scenes_file": lambda: store.scenes_file(a_photo_of(), FILE),
        "image": lambda: store.image(a_photo_of(), IMAGE),
        "uploaded_file": lambda: store.uploaded_file(a_photo(FILE)),
    }
    with pytest.raises(ClientError):
        calls[what]()


# -- kept --


def test_what_was_read_serves_photos_that_were_settled_by_then(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    stands(stub, FILE, BEACH)
    clock.step(CLOCK_SKEW)
    for uploaded in (timedelta(), -MOMENT, timedelta(days=-9)):
        assert scenes(store.scenes_file(a_photo_of(uploaded), FILE)) == ["beach"]
        clock.step(timedelta(hours=1))


def test_what_was_read_before_a_photo_had_settled_is_read_again(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    """The file may have been replaced along with the photo, and S3's clock may be a little ahead of ours."""
    clock.step(CLOCK_SKEW)
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(), FILE)
    stands(stub, FILE, STUDIO, "e2", IfNoneMatch='"e1"')
    assert scenes(store.scenes_file(a_photo_of(MOMENT), FILE)) == ["studio"]


def test_what_was_read_serves_nobody_of_whom_nobody_knows_when(stub: Stubber, store: ScenesStore) -> None:
    """Of a photo that is redriven: the scenes file may have been mended a moment ago."""
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(), FILE)
    stands(stub, FILE, STUDIO, "e2", IfNoneMatch='"e1"')
    assert scenes(store.scenes_file(a_photo_of(None), FILE)) == ["studio"]


def test_what_did_not_change_is_not_sent_again_and_counts_as_read_now(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(), FILE)
    clock.step(timedelta(hours=1))
    later = timedelta(minutes=30)
    refused(stub, FILE, "304", 304, IfNoneMatch='"e1"')
    for _ in range(2):
        assert scenes(store.scenes_file(a_photo_of(later), FILE)) == ["beach"]
    refused(stub, FILE, "NotModified", 304, IfNoneMatch='"e1"')
    assert scenes(store.scenes_file(a_photo_of(timedelta(hours=1)), FILE)) == ["beach"]


def test_what_was_deleted_since_is_gone_and_what_came_back_is_there(
    stub: Stubber, store: ScenesStore
) -> None:
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(None), FILE)
    refused(stub, FILE, *GONE, IfNoneMatch='"e1"')
    assert store.scenes_file(a_photo_of(None), FILE) is None
    stands(stub, FILE, STUDIO)
    assert scenes(store.scenes_file(a_photo_of(None), FILE)) == ["studio"]


def test_that_there_is_none_is_kept_too(stub: Stubber, store: ScenesStore, clock: Clock) -> None:
    clock.step(CLOCK_SKEW)
    refused(stub, FILE, *GONE)
    for _ in range(3):
        assert store.scenes_file(a_photo_of(), FILE) is None
    stands(stub, FILE, BEACH)
    assert scenes(store.scenes_file(a_photo_of(MOMENT), FILE)) == ["beach"]


def test_what_is_wrong_is_kept_too(stub: Stubber, store: ScenesStore, clock: Clock) -> None:
    clock.step(CLOCK_SKEW)
    stands(stub, FILE, b"[]")
    assert store.scenes_file(a_photo_of(), FILE) == store.scenes_file(a_photo_of(), FILE)


def test_a_photos_own_scenes_file_is_not_kept(stub: Stubber, store: ScenesStore, clock: Clock) -> None:
    """It serves one photo, and would push out what serves many."""
    clock.step(timedelta(hours=1))
    for _ in range(2):
        stands(stub, SIDECAR, BEACH)
        assert scenes(store.scenes_file(a_photo_of(), SIDECAR)) == ["beach"]


def test_after_a_failure_it_is_read_anew(stub: Stubber, store: ScenesStore) -> None:
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(), FILE)
    refused(stub, FILE, "SlowDown", 503, IfNoneMatch='"e1"')
    with pytest.raises(ClientError):
        store.scenes_file(a_photo_of(None), FILE)
    stands(stub, FILE, STUDIO)
    assert scenes(store.scenes_file(a_photo_of(None), FILE)) == ["studio"]


def test_the_same_key_in_another_bucket_is_another_file(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    clock.step(timedelta(hours=1))
    stands(stub, FILE, BEACH)
    store.scenes_file(a_photo_of(), FILE)
    stands(stub, FILE, STUDIO, Bucket="others")
    elsewhere = a_photo_of().model_copy(update={"bucket": "others"})
    assert scenes(store.scenes_file(elsewhere, FILE)) == ["studio"]


def test_of_many_files_those_are_kept_that_were_asked_for_last(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    clock.step(timedelta(hours=1))
    keys = [f"{number}/scenes.json" for number in range(MAX_KEPT)]
    for key in keys:
        refused(stub, key, *GONE)
        store.scenes_file(a_photo_of(), key)
    first, second, *_, last = keys
    for key in (first, last):
        store.scenes_file(a_photo_of(), key)
    refused(stub, "one more/scenes.json", *GONE)
    store.scenes_file(a_photo_of(), "one more/scenes.json")
    store.scenes_file(a_photo_of(), first)
    refused(stub, second, *GONE)
    store.scenes_file(a_photo_of(), second)


# -- images that go along --


def test_an_image_is_known_by_its_version_and_the_hash_of_its_bytes(
    stub: Stubber, store: ScenesStore, clock: Clock
) -> None:
    clock.step(CLOCK_SKEW)
    stands(stub, IMAGE, VASE)
    vase = StoredImage(key=IMAGE, version_id="version-e1", etag="e1", sha256=hashlib.sha256(VASE).hexdigest())
    for _ in range(2):
        assert store.image(a_photo_of(), IMAGE) == vase
    refused(stub, IMAGE, "304", 304, IfNoneMatch='"e1"')
    assert store.image(a_photo_of(None), IMAGE) == vase


def test_an_image_that_is_not_there_cannot_go_along(stub: Stubber, store: ScenesStore) -> None:
    refused(stub, IMAGE, *GONE)
    assert store.image(a_photo_of(), IMAGE) == NoImage("there is no such object")


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "empty"), (b"hello", "text"), (VASE[:300], "broken"), (b"<svg", "")]
)
def test_what_is_no_picture_cannot_go_along(
    stub: Stubber, store: ScenesStore, data: bytes, words: str
) -> None:
    stands(stub, IMAGE, data)
    found = store.image(a_photo_of(), IMAGE)
    assert isinstance(found, NoImage)
    assert found.why
    assert words in found.why


def test_an_image_that_is_too_large_is_not_read(stub: Stubber, clock: Clock) -> None:
    body = stands(stub, IMAGE, VASE)
    found = ScenesStore(CLIENT, len(VASE) - 1, SETTLE, clock).image(a_photo_of(), IMAGE)
    assert found == NoImage(f"it has {len(VASE)} bytes, of at most {len(VASE) - 1}")
    assert body.closed


def test_an_image_of_just_the_allowed_size_is_read(stub: Stubber, clock: Clock) -> None:
    stands(stub, IMAGE, VASE)
    found = ScenesStore(CLIENT, len(VASE), SETTLE, clock).image(a_photo_of(), IMAGE)
    assert isinstance(found, StoredImage)


def test_an_archived_image_cannot_go_along_until_it_is_restored(stub: Stubber, store: ScenesStore) -> None:
    refused(stub, IMAGE, "InvalidObjectState", 403)
    assert store.image(a_photo_of(), IMAGE) == NoImage("the object is in an archive class")
    stands(stub, IMAGE, VASE)
    assert isinstance(store.image(a_photo_of(None), IMAGE), StoredImage)


@pytest.mark.parametrize("first", ["scenes_file", "image"])
def test_a_scenes_file_that_someone_names_as_an_image_is_none_and_governs_all_the_same(
    stub: Stubber, store: ScenesStore, clock: Clock, first: str
) -> None:
    """Both are kept, each as what it was asked for."""
    clock.step(timedelta(hours=1))
    for _ in range(2):
        stands(stub, FILE, BEACH)
    if first == "image":
        assert isinstance(store.image(a_photo_of(), FILE), NoImage)
    assert scenes(store.scenes_file(a_photo_of(), FILE)) == ["beach"]
    assert isinstance(store.image(a_photo_of(), FILE), NoImage)
    assert scenes(store.scenes_file(a_photo_of(), FILE)) == ["beach"]


# -- the scenes file that an event tells of --


def test_an_uploaded_scenes_file_is_read_by_its_version(stub: Stubber, store: ScenesStore) -> None:
    stands(stub, FILE, BEACH, VersionId="v1")
    assert scenes(store.uploaded_file(a_photo(FILE, version_id="v1"))) == ["beach"]


def test_an_uploaded_scenes_file_without_a_version_is_read_while_it_is_that(
    stub: Stubber, store: ScenesStore
) -> None:
    stands(stub, FILE, b"{", IfMatch=a_photo().etag or "")
    assert isinstance(store.uploaded_file(a_photo(FILE)), list)


def test_an_uploaded_scenes_file_of_which_nothing_is_known_is_read_as_it_stands(
    stub: Stubber, store: ScenesStore
) -> None:
    stands(stub, FILE, BEACH)
    assert scenes(store.uploaded_file(a_photo(FILE, etag=None))) == ["beach"]


@pytest.mark.parametrize(
    ("code", "status_code"),
    [GONE, ("NoSuchVersion", 404), ("MethodNotAllowed", 405), ("PreconditionFailed", 412), ("412", 412)],
)
def test_an_uploaded_scenes_file_that_is_gone_or_replaced_is_none(
    stub: Stubber, store: ScenesStore, code: str, status_code: int
) -> None:
    stub.add_client_error("get_object", code, http_status_code=status_code)
    assert store.uploaded_file(a_photo(FILE)) is None


def test_an_uploaded_scenes_file_in_an_archive_class_is_told_of(stub: Stubber, store: ScenesStore) -> None:
    stub.add_client_error("get_object", "InvalidObjectState", http_status_code=403)
    found = store.uploaded_file(a_photo(FILE))
    assert isinstance(found, list)
    assert found == [Mistake(FILE, "$", found[0].found, found[0].allowed)]


def test_an_uploaded_scenes_file_is_not_kept(stub: Stubber, store: ScenesStore, clock: Clock) -> None:
    """It may be replaced again: photos ask for what stands there."""
    clock.step(timedelta(hours=1))
    stands(stub, FILE, BEACH, VersionId="v1")
    store.uploaded_file(a_photo(FILE, version_id="v1"))
    stands(stub, FILE, STUDIO)
    assert scenes(store.scenes_file(a_photo_of(), FILE)) == ["studio"]
