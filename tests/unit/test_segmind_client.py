"""What the client does on the wire: once, to one host, with the key in one header, and never for ever."""

from __future__ import annotations

import base64
import gzip
import http.client
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from packshot import segmind
from packshot.http_session import NoRedirectSession
from packshot.model import MODEL
from packshot.scene import Scene, SceneRequest
from packshot.segmind import NoApiKeyError, SegmindClient, SegmindError
from packshot.segmind_answers import (
    Accepted,
    AnswerLost,
    Completed,
    Credits,
    Failed,
    KeyRefused,
    NotAccepted,
    Output,
    Pending,
    Refused,
    TryLater,
    Unknown,
)
from tests.unit.wire import Step, Wire, answer, wired

HOST = ("api.segmind.test", 80)
REQUEST = Scene(prompt="in a bright living room").request(
    "https://photos.example/red.jpg?X-Amz-Signature=1", 7
)
KEY = "SG_0123456789abcdef"
ACCEPTED = answer(
    body={
        "request_id": "request-1",
        "status": "QUEUED",
        "status_url": "http://elsewhere.test/v2/requests/request-1/status",
        "response_url": "http://elsewhere.test/v2/requests/request-1",
    }
)


def keys(*given: str) -> Callable[[bool], str]:
    """Reads these keys: the next one whenever it is asked for a fresh one."""
    current = iter(given)
    held = [next(current)]

    def read_key(fresh: bool) -> str:
        if fresh:
            held[0] = next(current)
        return held[0]

    return read_key


def client(*given: str) -> SegmindClient:
    return SegmindClient(
        "http://api.segmind.test/",
        keys(*(given or (KEY,))),
        now=lambda: datetime(2026, 3, 14, 9, 30, tzinfo=UTC),
    )


# -- the paid POST --


def test_a_submit_is_one_post_of_the_bare_parameters(wire: Wire) -> None:
    wire.will(ACCEPTED)
    assert client().submit(REQUEST) == Accepted("request-1")
    (seen,) = wire.seen
    assert (seen.address, seen.method, seen.path) == (HOST, "POST", f"/v2/{MODEL}")
    assert seen.json == REQUEST.body()
    assert seen.headers["Content-Type"] == "application/json"


def test_the_key_travels_in_its_header_alone(wire: Wire) -> None:
    wire.will(ACCEPTED, answer(body={"status": "QUEUED"}), answer(body={"status": "QUEUED"}), answer(body={}))
    calls = client()
    calls.submit(REQUEST)
    calls.status("request-1")
    calls.result("request-1")
    calls.credits()
    assert len(wire.seen) == 4
    for seen in wire.seen:
        assert [name for name, value in seen.headers.items() if KEY in value] == ["x-api-key"]
        assert seen.headers["x-api-key"] == KEY
        assert KEY not in seen.path
        assert KEY.encode() not in seen.body


def test_a_post_has_a_connection_of_its_own_and_gets_share_theirs(wire: Wire) -> None:
    pending = answer(body={"status": "QUEUED"})
    wire.will(pending, ACCEPTED, pending, ACCEPTED, pending)
    calls = client()
    calls.status("request-1")
    calls.submit(REQUEST)
    calls.status("request-1")
    calls.submit(REQUEST)
    calls.status("request-1")
    assert [seen.connection for seen in wire.seen] == [1, 2, 1, 3, 1]
    assert [seen.headers["Connection"] for seen in wire.seen] == [
        "keep-alive",
        "close",
        "keep-alive",
        "close",
        "keep-alive",
    ]


def test_a_synchronous_post_has_a_connection_of_its_own_too(wire: Wire) -> None:
    image = answer(body=b"image", headers={"Content-Type": "image/webp"})
    wire.will(image, image)
    calls = client()
    calls.run_sync(REQUEST)
    calls.run_sync(REQUEST)
    assert [(seen.connection, seen.headers["Connection"]) for seen in wire.seen] == [
        (1, "close"),
        (2, "close"),
    ]


@pytest.mark.parametrize("location", ["http://elsewhere.test/", "/v2/other", "https://[elsewhere", ""])
@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(wire: Wire, status_code: int, location: str) -> None:
    away = answer(status_code, headers={"Location": location})
    wire.will(away, away, away)
    assert isinstance(client().submit(REQUEST), Refused)
    assert isinstance(client().status("request-1"), TryLater)
    with pytest.raises(SegmindError, match=str(status_code)):
        client().run_sync(REQUEST)
    assert len(wire.seen) == 3
    assert set(wire.connected) == {HOST}


REFUSED: dict[str, Exception] = {
    "nobody listens": ConnectionRefusedError(111, "Connection refused"),
    "no route": OSError(113, "No route to host"),
    "no such name": socket.gaierror(-2, "Name or service not known"),
    "no answer to the connect": TimeoutError("timed out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_connection_nothing_was_accepted(wire: Wire, name: str) -> None:
    wire.cannot_connect = [REFUSED[name]]
    outcome = client().submit(REQUEST)
    assert isinstance(outcome, NotAccepted)
    assert "api.segmind.test" not in outcome.message
    assert len(wire.connected) == 1


WHOLE = b"".join(step for step in ACCEPTED if isinstance(step, bytes))
LOST: dict[str, list[Step]] = {
    "no answer in time": [TimeoutError("timed out")],
    "reset": [ConnectionResetError(104, "Connection reset by peer")],
    "reset in the answer": [WHOLE[:40], ConnectionResetError(104, "Connection reset by peer")],
    "closed without a word": [],
    "cut in the head": [WHOLE[:40]],
    "cut in the body": [WHOLE[:-10]],
    "body that stops coming": [WHOLE[:-10], TimeoutError("timed out")],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    "a chunk that is none": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    "a chunk that is cut": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"],
    "no gzip": answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    "bad gateway": answer(502, b"<html>"),
}


@pytest.mark.parametrize("name", LOST)
def test_an_answer_that_was_lost_is_told_apart_and_not_asked_for_again(wire: Wire, name: str) -> None:
    wire.will(LOST[name])
    outcome = client().submit(REQUEST)
    assert isinstance(outcome, AnswerLost)
    assert "api.segmind.test" not in outcome.message
    assert len(wire.connected) == 1


@given(
    st.integers(0, len(WHOLE) - 1),
    st.sampled_from([None, TimeoutError(), ConnectionResetError(104, "reset")]),
)
def test_an_answer_that_breaks_off_anywhere_is_lost(length: int, broken: Exception | None) -> None:
    with wired() as wire:
        wire.will([WHOLE[:length], *([broken] if broken else [])])
        assert isinstance(client().submit(REQUEST), AnswerLost)
        assert len(wire.connected) == 1


@given(st.binary(max_size=300), st.integers(100, 599))
def test_any_bytes_from_the_server_have_a_meaning(noise: bytes, status_code: int) -> None:
    head = f"HTTP/1.1 {status_code} Words\r\n".encode()
    for start in (b"", head, head + b"\r\n"):
        with wired() as wire:
            wire.will([start + noise], [start + noise])
            calls = client(*[KEY] * 9)
            outcome = calls.submit(REQUEST)
            assert not isinstance(outcome, NotAccepted) or status_code == 500
            calls.status("request-1")


def test_answers_may_be_compressed_and_in_chunks(wire: Wire) -> None:
    data = gzip.compress(b'{"status": "PROCESSING"}')
    chunks = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:5], data[5:6], data[6:]))
        + b"0\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.will([head, *(bytes([byte]) for byte in chunks)])
    assert client().status("request-1") == Pending("PROCESSING")


# -- bounds --


def test_an_answer_that_drips_is_cut_by_its_total_time(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is short; all of them together are not, and what comes after them is not waited for."""
    monkeypatch.setattr(segmind, "SUBMIT_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(segmind, "READ_TIMEOUT_SECONDS", 0.05)
    drop: list[Step] = [b" ", 0.01]
    for last in (b'{"request_id": "request-1"}', b'{"status": "COMPLETED"}'):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {30 + len(last)}\r\n\r\n".encode()
        wire.will([head, *drop * 30, last])
    assert isinstance(client().submit(REQUEST), AnswerLost)
    assert isinstance(client().status("request-1"), TryLater)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_an_answer_that_is_too_large_is_cut(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(segmind, "MAX_ANSWER_BYTES", 10_000)
    for last in (b'{"request_id": "request-1"}', b'{"status": "COMPLETED"}'):
        data = b" " * 1_000_000 + last
        wire.will(answer(body=gzip.compress(data) if headers else data, headers=headers))
    assert isinstance(client().submit(REQUEST), AnswerLost)
    assert isinstance(client().status("request-1"), TryLater)


def test_every_call_has_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given_timeouts = []

    class Session(NoRedirectSession):
        def request(self, *_: object, timeout: object = None, **__: object) -> requests.Response:
            given_timeouts.append(timeout)
            raise requests.exceptions.ReadTimeout

    calls = SegmindClient("http://api.segmind.test", keys(KEY), session=Session())
    calls.submit(REQUEST)
    calls.status("request-1")
    calls.result("request-1")
    for call in (calls.credits, lambda: calls.run_sync(REQUEST)):
        with pytest.raises(SegmindError):
            call()
    most = [30, 10, 10, 10, 180]
    for timeout, bound in zip(given_timeouts, most, strict=True):
        assert isinstance(timeout, tuple)
        connect_seconds, read_seconds = timeout
        assert 0 < connect_seconds <= 5
        assert bound - 1 < read_seconds <= bound


# -- the key --


def test_a_key_that_was_changed_meanwhile_is_read_again_once(wire: Wire) -> None:
    wire.will(answer(401, {"error": "Invalid API key"}), ACCEPTED)
    assert client("old", "new").submit(REQUEST) == Accepted("request-1")
    assert [seen.headers["x-api-key"] for seen in wire.seen] == ["old", "new"]
    assert [seen.connection for seen in wire.seen] == [1, 2]


def test_the_same_key_is_not_tried_twice(wire: Wire) -> None:
    wire.will(answer(401, {"error": "Invalid API key"}))
    assert client(KEY, KEY).submit(REQUEST) == KeyRefused(401, "Invalid API key")
    assert len(wire.seen) == 1


def test_a_fresh_key_that_is_refused_is_the_end(wire: Wire) -> None:
    refusal = answer(401, {"error": "Invalid API key"})
    wire.will(refusal, refusal)
    assert client("old", "new", "newer").submit(REQUEST) == KeyRefused(401, "Invalid API key")
    assert len(wire.seen) == 2


@pytest.mark.parametrize("status_code", [403, 429, 500, 502])
def test_nothing_but_a_401_makes_a_second_call(wire: Wire, status_code: int) -> None:
    wire.will(answer(status_code, {"error": "no"}))
    client("old", "new").submit(REQUEST)
    assert len(wire.seen) == 1


def test_without_a_key_nothing_is_sent(wire: Wire) -> None:
    def no_key(fresh: bool) -> str:
        raise NoApiKeyError("the API key's secret is empty")

    calls = SegmindClient("http://api.segmind.test", no_key)
    with pytest.raises(NoApiKeyError):
        calls.submit(REQUEST)
    with pytest.raises(NoApiKeyError):
        calls.status("request-1")
    with pytest.raises(NoApiKeyError):
        calls.credits()
    assert not wire.connected


def test_a_key_that_the_api_echoes_is_cut_out(wire: Wire) -> None:
    echo = answer(403, {"error": f"key {KEY} is not permitted"})
    wire.will(echo, echo, echo)
    assert client().submit(REQUEST) == KeyRefused(403, "key [key] is not permitted")
    assert client().status("request-1") == TryLater("HTTP 403: key [key] is not permitted")
    with pytest.raises(SegmindError) as refusal:
        client().run_sync(REQUEST)
    assert KEY not in str(refusal.value)


# -- status and result --


def test_an_answers_addresses_are_never_called(wire: Wire) -> None:
    done = answer(
        body={
            "status": "COMPLETED",
            "output": "http://elsewhere.test/made.webp",
            "status_url": "http://elsewhere.test/",
        }
    )
    wire.will(ACCEPTED, done, done)
    calls = client()
    calls.submit(REQUEST)
    calls.status("request-1")
    assert calls.result("request-1") == Completed(Output(url="http://elsewhere.test/made.webp"), None, None)
    assert [seen.path for seen in wire.seen[1:]] == [
        "/v2/requests/request-1/status",
        "/v2/requests/request-1",
    ]
    assert set(wire.connected) == {HOST}


@pytest.mark.parametrize("request_id", ["a/b", "a?b", "../../v1/credits", "a b", "ä"])
def test_an_id_is_one_part_of_the_path(wire: Wire, request_id: str) -> None:
    wire.will(answer(404, {"error": "not found"}))
    assert client().status(request_id) == Unknown("not found")
    (seen,) = wire.seen
    assert seen.path.count("/") == 4
    assert "?" not in seen.path


def test_a_failed_request_is_told_with_its_words(wire: Wire) -> None:
    wire.will(answer(422, {"status": "FAILED", "error": "blocked", "metrics": {"inference_time": 0.008}}))
    assert client().result("request-1") == Failed("blocked", 0.008)


@pytest.mark.parametrize(
    "broken", [TimeoutError(), ConnectionResetError(104, "reset"), http.client.BadStatusLine("x")]
)
def test_a_status_that_does_not_come_is_asked_for_later(wire: Wire, broken: Exception) -> None:
    wire.will([broken])
    outcome = client().status("request-1")
    assert isinstance(outcome, TryLater)
    assert "api.segmind.test" not in outcome.message
    assert outcome.retry_at is None


# -- v1 --

HEADERS = {
    "x-request-id": "request-9",
    "x-cost": "0.0891",
    "x-generation-time": "13.5",
    "x-seed-value": "7",
}


def test_a_synchronous_call_gives_the_image_and_what_its_headers_tell(wire: Wire) -> None:
    wire.will(answer(body=b"image", headers={"Content-Type": "image/webp", **HEADERS}))
    image = client().run_sync(REQUEST)
    assert (image.data, image.request_id, image.cost_usd, image.generation_seconds, image.seed) == (
        b"image",
        "request-9",
        0.0891,
        13.5,
        7,
    )
    (seen,) = wire.seen
    assert (seen.method, seen.path) == ("POST", f"/v1/{MODEL}")
    assert seen.json == REQUEST.body()


@pytest.mark.parametrize("odd", ["", "nan", "inf", "-1", "much", "1e400"])
def test_what_the_headers_do_not_tell_is_none(wire: Wire, odd: str) -> None:
    odd_headers = {name: odd for name in HEADERS if name != "x-request-id"} if odd else {}
    wire.will(answer(body=b"image", headers={"Content-Type": "image/webp", **odd_headers}))
    image = client().run_sync(REQUEST)
    assert (image.request_id, image.cost_usd, image.generation_seconds, image.seed) == (
        None,
        None,
        None,
        None,
    )


ENCODED = base64.b64encode(b"image").decode()


@pytest.mark.parametrize(
    "body",
    [
        ENCODED.encode(),
        {"image": ENCODED},
        {"output": f"data:image/webp;base64,{ENCODED}"},
        {"images": [{"url": f"data:image/webp;base64,{ENCODED}"}]},
    ],
)
def test_a_synchronous_answer_in_base64_is_an_image_too(wire: Wire, body: object) -> None:
    wire.will(answer(body=body, headers={"Content-Type": "application/json"}))
    assert client().run_sync(REQUEST).data == b"image"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {"status": "QUEUED"}, {"output": "https://elsewhere.test/a.webp"}]
)
def test_a_synchronous_answer_without_an_image_is_an_error(wire: Wire, body: object) -> None:
    wire.will(answer(body=body))
    with pytest.raises(SegmindError):
        client().run_sync(REQUEST)
    assert len(wire.connected) == 1


def test_a_synchronous_refusal_is_told_in_the_apis_words(wire: Wire) -> None:
    wire.will(answer(406, {"error": "Insufficient credits"}))
    with pytest.raises(SegmindError, match=r"HTTP 406: .*Insufficient credits"):
        client().run_sync(REQUEST)


def test_a_synchronous_call_that_breaks_off_is_an_error_without_addresses(wire: Wire) -> None:
    wire.will([ConnectionResetError(104, "reset")])
    with pytest.raises(SegmindError) as lost:
        client().run_sync(REQUEST)
    assert "api.segmind.test" not in str(lost.value)


# -- credits --


def test_the_balance(wire: Wire) -> None:
    wire.will(answer(body={"credits": 0.0, "free-credits": 0.018}))
    assert client().credits() == Credits(0.0, 0.018)
    (seen,) = wire.seen
    assert (seen.method, seen.path) == ("GET", "/v1/get-user-credits")


def test_a_balance_that_is_not_told_is_an_error(wire: Wire) -> None:
    wire.will(answer(403, {"error": "not permitted"}), [ConnectionResetError(104, "reset")])
    with pytest.raises(SegmindError, match="HTTP 403: not permitted"):
        client().credits()
    with pytest.raises(SegmindError, match="no answer"):
        client().credits()


def test_a_request_of_any_size_is_sent_whole(wire: Wire) -> None:
    wire.will(ACCEPTED)
    large: SceneRequest = Scene(prompt="p").request("A" * 5_000_000, 7)
    client().submit(large)
    assert wire.seen[0].json == large.body()
