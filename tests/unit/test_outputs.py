"""From a finished request to the image: every shape of output, in constant memory, whole, and with an end."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from typing import Any, BinaryIO, cast

import pytest
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from packshot import downloads, segmind
from packshot import segmind_answers as answers
from packshot.downloads import CutShortError, Downloader, DownloadError
from packshot.finalizing import FETCHES
from packshot.http_session import NoRedirectSession
from packshot.image_store import ImageStore
from packshot.job import Image, Job, JobState
from packshot.pictures import Picture
from packshot.scene import IMAGE_FORMATS, Scene
from tests.unit.aws import a_client
from tests.unit.fakes import START, World, a_job, picture_bytes
from tests.unit.hostile import memory
from tests.unit.wire import Step, answer, wired

URL = "https://images.segmind.com/generations/made.webp"
DATA = picture_bytes("WEBP", size=(80, 60))
BASE64 = base64.b64encode(DATA).decode()
MEGABYTE = 1_000_000


def finalized(world: World, output: Any, **known: Any) -> Job:
    body = json.dumps({"status": "COMPLETED", "error": None, "metrics": {"inference_time": 0.5}} | output)
    world.segmind.results = [answers.request_outcome(200, {}, body.encode(), START)]
    job = world.table.keep(a_job(**known))
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    return ended


# -- every shape --

SHAPES: dict[str, Any] = {
    "a URL": {"output": URL},
    "a URL in capitals": {"output": URL.replace("https", "HTTPS")},
    "a list of URLs": {"output": [URL, "https://images.segmind.com/generations/second.webp"]},
    "an object with a url": {"output": {"url": URL}},
    "images with a url": {"images": [{"url": URL}]},
    "images with a url, deeper": {"output": {"images": [{"url": URL}]}},
    "JSON text": {"output": json.dumps({"images": [{"url": URL}]})},
    "a data URI": {"output": f"data:image/webp;base64,{BASE64}"},
    "a data URI in capitals": {"output": f"DATA:image/webp;base64,{BASE64}"},
    "base64": {"output": BASE64},
    "base64 in lines": {"output": "\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76))},
    "base64 in an object": {"output": {"image": BASE64}},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_output_becomes_the_same_image(world: World, shape: str) -> None:
    world.downloader.files[:] = [DATA]
    job = finalized(world, SHAPES[shape])
    assert job.state is JobState.COMPLETED
    assert world.images_made == {"shoes/red/default.webp": [DATA]}
    assert [url.casefold() for url in world.downloader.fetched] == (
        [] if "64" in shape or "data" in shape else [URL]
    )


def test_an_image_that_is_the_answer_itself_is_published_too(world: World) -> None:
    world.segmind.results = [answers.request_outcome(200, {"content-type": "image/webp"}, DATA, START)]
    job = world.table.keep(a_job())
    world.finalizer.finalize(job.job_id, job.attempt)
    assert world.images_made == {"shoes/red/default.webp": [DATA]}


# -- the format that was asked for --


@pytest.mark.parametrize("asked", IMAGE_FORMATS)
@pytest.mark.parametrize("came", IMAGE_FORMATS)
def test_an_image_is_in_the_format_asked_for_whatever_its_name_says(
    world: World, asked: Any, came: str
) -> None:
    world.downloader.files[:] = [picture_bytes(came.upper())]
    job = finalized(world, {"output": URL}, parameters=Scene(prompt="p", image_format=asked))
    assert job.state is (JobState.COMPLETED if asked == came else JobState.FAILED)
    if asked != came:
        assert job.error is not None
        assert (job.error.code, f"{came} instead of {asked}" in job.error.message) == ("WrongOutput", True)


# -- in constant memory --


def peak_of_fetching(size_bytes: int) -> int:
    part = bytes(MEGABYTE)
    steps: list[Step] = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size_bytes]
    steps += [part] * (size_bytes // len(part))
    with wired() as wire, memory() as peak:
        wire.will(steps)
        fetching = Downloader(frozenset({"127.0.0.1:8766"}), size_bytes, NoRedirectSession())
        with fetching.fetch("http://127.0.0.1:8766/made.webp") as file:
            assert file.seek(0, 2) == size_bytes
    return peak.bytes


def test_an_image_of_any_size_is_fetched_in_the_same_little_memory() -> None:
    small, large = peak_of_fetching(2 * MEGABYTE), peak_of_fetching(60 * MEGABYTE)
    assert large < 4 * MEGABYTE
    assert large < small + MEGABYTE


def peak_of_publishing(size_bytes: int) -> int:
    """With boto3 as it is, up to where its request would go on the wire and is read as a socket would."""
    taken = 0

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        nonlocal taken
        body: Any = request.body
        while part := body.read(65_536) if body else b"":
            taken += len(part)
        status_code = 404 if request.method == "HEAD" else 200
        headers: Any = {"ETag": '"e"', "x-amz-version-id": "v1"}
        return AWSResponse(request.url, status_code, headers, urllib3.HTTPResponse(io.BytesIO()))

    client = a_client("s3")
    client.meta.events.register("before-send.s3", send)
    with tempfile.TemporaryFile() as file:
        file.truncate(size_bytes)
        store = ImageStore(client, "images", None)
        with memory() as peak:
            image = store.publish(a_job(), cast("BinaryIO", file), Picture("webp", 80, 60))
    assert isinstance(image, Image)
    assert image.bytes == size_bytes <= taken
    return peak.bytes


def test_an_image_of_any_size_is_put_in_the_same_little_memory() -> None:
    peak_of_publishing(MEGABYTE)
    small, large = peak_of_publishing(2 * MEGABYTE), peak_of_publishing(60 * MEGABYTE)
    assert large < 4 * MEGABYTE
    assert large < small + MEGABYTE


# -- a file that is not whole --

HEAD = b"HTTP/1.1 200 OK\r\n"
CUT: dict[str, list[Step]] = {
    "by its length": [HEAD + b"Content-Length: %d\r\n\r\n" % len(DATA), DATA[:-40]],
    "in a chunk": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(DATA), DATA[:-40]],
    "between chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(DATA), DATA)],
}
BROKEN: dict[str, list[Step]] = {
    "a reset": [HEAD + b"Content-Length: 9999\r\n\r\n", DATA, ConnectionResetError(104, "reset")],
    "a time-out": [HEAD + b"Content-Length: 9999\r\n\r\n", DATA, TimeoutError("timed out")],
    "not there": answer(404),
}


def fetch(steps: list[Step]) -> None:
    with wired() as wire:
        wire.will(steps)
        hosts = frozenset({"127.0.0.1:8766"})
        Downloader(hosts, MEGABYTE, NoRedirectSession()).fetch("http://127.0.0.1:8766/made.webp").close()


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_ended_too_early_is_told_from_a_connection_that_broke(name: str) -> None:
    with pytest.raises(CutShortError):
        fetch(CUT[name])


@pytest.mark.parametrize("name", BROKEN)
def test_a_connection_that_broke_is_worth_another_try_and_no_verdict_on_the_file(name: str) -> None:
    with pytest.raises(DownloadError) as failure:
        fetch(BROKEN[name])
    assert not isinstance(failure.value, CutShortError)


def test_a_file_that_stays_cut_short_fails(world: World) -> None:
    world.downloader.files[:] = [CutShortError("the image was cut short")]
    job = finalized(world, {"output": URL})
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("WrongOutput", "the image was cut short")
    assert len(world.downloader.fetched) == FETCHES
    assert world.bus.told == ["Scene Failed"]


def test_a_file_that_was_cut_short_once_is_published(world: World) -> None:
    world.downloader.files[:] = [CutShortError("the image was cut short"), DATA]
    assert finalized(world, {"output": URL}).state is JobState.COMPLETED


# -- an end --


def test_a_file_that_stays_wrong_has_failed_within_two_minutes() -> None:
    """One visit of FinalizeFunction: the result, then the fetches; what AWS takes is seconds."""
    fetch_seconds = downloads.TOTAL_TIMEOUT_SECONDS + downloads.READ_TIMEOUT_SECONDS
    assert segmind.READ_TIMEOUT_SECONDS + FETCHES * fetch_seconds < 120


def test_the_time_of_a_fetch_counts_its_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TOTAL_TIMEOUT_SECONDS", 0.05)
    given_seconds: list[tuple[float, float]] = []

    class Session(NoRedirectSession):
        def get(self, url: Any, **options: Any) -> Any:
            given_seconds.append(options["timeout"])
            return super().get(url, **options)

    again: list[Step] = [0.03, *answer(302, headers={"Location": "/again.webp"})]
    with wired() as wire:
        wire.will(again, again, again, again)
        fetching = Downloader(frozenset({"127.0.0.1:8766"}), MEGABYTE, Session())
        with pytest.raises(DownloadError):
            fetching.fetch("http://127.0.0.1:8766/made.webp")
    assert all(connect <= 0.05 and read <= 0.05 for connect, read in given_seconds)
    assert len(given_seconds) < 4
