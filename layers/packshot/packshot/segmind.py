"""The client of Segmind's API: a time-out on everything, never sleeping, never retrying.

What an answer means is decided in `segmind_answers`. The key goes to the base URL's host and to no other:
every URL is built from it and an id, no redirect is followed, and no URL of an answer is called with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from packshot import segmind_answers as answers
from packshot.http_session import NoRedirectSession
from packshot.model import MODEL

if TYPE_CHECKING:
    from packshot.scene import SceneRequest

CONNECT_TIMEOUT_SECONDS = 5.0
SUBMIT_TIMEOUT_SECONDS = 30.0
READ_TIMEOUT_SECONDS = 10.0
SYNC_TIMEOUT_SECONDS = 180.0
MAX_ANSWER_BYTES = 1024 * 1024
# An image may be the answer, or part of it in base64.
MAX_IMAGE_ANSWER_BYTES = 64 * 1024 * 1024

USER_AGENT = "packshot/1"

ReadKey = Callable[[bool], str]


@dataclass(frozen=True)
class SyncImage:
    """An image made while the caller waited (v1), with what its headers tell; None where they do not."""

    data: bytes
    request_id: str | None
    cost_usd: float | None
    generation_seconds: float | None
    seed: int | None


class SegmindError(Exception):
    """A synchronous call or a credits call gave nothing; the message is the API's own words."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


@dataclass(frozen=True)
class _Answer:
    status_code: int
    headers: Mapping[str, str]
    body: bytes


class NoApiKeyError(Exception):
    """There is no API key yet: nothing was sent."""


class SegmindClient:
    """Calls one model.

    `read_key(fresh)` gives the API key; after a 401 it is asked once for a fresh one, and the call is made
    again only if that is another key. A 401 was surely not accepted, so this holds for the paid POST too.
    """

    def __init__(
        self,
        base_url: str,
        read_key: ReadKey,
        *,
        model: str = MODEL,
        session: NoRedirectSession | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._read_key = read_key
        self._model = model
        self._now = now
        self._session = session or NoRedirectSession()
        # A kept connection that the other side has closed meanwhile makes the outcome of a POST ambiguous,
        # and an ambiguous submit may be paid twice. Paid calls have connections of their own, never kept.
        for path in (self._submit_path, self._sync_path):
            self._session.mount(self._base_url + path, HTTPAdapter())

    @property
    def _submit_path(self) -> str:
        return f"/v2/{quote(self._model, safe='')}"

    @property
    def _sync_path(self) -> str:
        return f"/v1/{quote(self._model, safe='')}"

    def submit(self, request: SceneRequest) -> answers.SubmitOutcome:
        """Ask for one image: the paid POST. Raises NoApiKeyError, and nothing else."""
        try:
            answer = self._paid_post(self._submit_path, request, SUBMIT_TIMEOUT_SECONDS, MAX_ANSWER_BYTES)
        except requests.exceptions.RequestException as error:
            if _never_connected(error):
                return answers.NotAccepted(f"no connection to the API: {_cause(error)}")
            return answers.AnswerLost(f"the answer was lost: {_cause(error)}")
        return answers.submit_outcome(answer.status_code, answer.headers, answer.body, self._now())

    def status(self, request_id: str) -> answers.RequestOutcome:
        """How a request is doing. Raises NoApiKeyError."""
        return self._request_outcome(f"/v2/requests/{quote(request_id, safe='')}/status", MAX_ANSWER_BYTES)

    def result(self, request_id: str) -> answers.RequestOutcome:
        """What became of a request, with its output. Raises NoApiKeyError."""
        return self._request_outcome(f"/v2/requests/{quote(request_id, safe='')}", MAX_IMAGE_ANSWER_BYTES)

    def run_sync(self, request: SceneRequest) -> SyncImage:
        """Make one image and wait for it (v1), up to 180 s.

        Raises SegmindError with the API's words when there is no image, NoApiKeyError when there is no key.
        """
        try:
            answer = self._paid_post(self._sync_path, request, SYNC_TIMEOUT_SECONDS, MAX_IMAGE_ANSWER_BYTES)
        except requests.exceptions.RequestException as error:
            raise SegmindError(f"no answer: {_cause(error)}") from error
        return SyncImage(
            data=_sync_data(answer),
            request_id=answer.headers.get("x-request-id"),
            cost_usd=_number(answer.headers.get("x-cost")),
            generation_seconds=_number(answer.headers.get("x-generation-time")),
            seed=None if (seed := _number(answer.headers.get("x-seed-value"))) is None else int(seed),
        )

    def credits(self) -> answers.Credits:
        """The account's balance; the call is free. Raises SegmindError when it is not told, NoApiKeyError."""
        try:
            answer = self._request("GET", "/v1/get-user-credits", READ_TIMEOUT_SECONDS, MAX_ANSWER_BYTES)
        except requests.exceptions.RequestException as error:
            raise SegmindError(f"no answer: {_cause(error)}") from error
        if answer.status_code != 200:
            raise _refusal(answer)
        return answers.credits_in(answer.body)

    def _request_outcome(self, path: str, max_bytes: int) -> answers.RequestOutcome:
        try:
            answer = self._request("GET", path, READ_TIMEOUT_SECONDS, max_bytes)
        except requests.exceptions.RequestException as error:
            return answers.TryLater(f"no answer: {_cause(error)}")
        return answers.request_outcome(answer.status_code, answer.headers, answer.body, self._now())

    def _paid_post(self, path: str, request: SceneRequest, timeout_seconds: float, max_bytes: int) -> _Answer:
        return self._request("POST", path, timeout_seconds, max_bytes, json=request.body())

    def _request(
        self, method: str, path: str, timeout_seconds: float, max_bytes: int, json: Any = None
    ) -> _Answer:
        """The one place that talks to the API. Raises requests' exceptions and NoApiKeyError."""
        ends_at = time.monotonic() + timeout_seconds
        key = self._read_key(False)
        answer = self._send(method, path, key, ends_at, max_bytes, json)
        if answer.status_code == 401:
            fresh_key = self._read_key(True)
            if fresh_key != key:
                answer = self._send(method, path, fresh_key, ends_at, max_bytes, json)
        return answer

    def _send(self, method: str, path: str, key: str, ends_at: float, max_bytes: int, json: Any) -> _Answer:
        wait_seconds = max(ends_at - time.monotonic(), 0.001)
        headers = {"x-api-key": key, "User-Agent": USER_AGENT}
        if method == "POST":
            headers["Connection"] = "close"
        try:
            with self._session.request(
                method,
                self._base_url + path,
                json=json,
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT_SECONDS, wait_seconds), wait_seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = read_body(response, ends_at, max_bytes)
        finally:
            if method == "POST":
                # Where the server keeps it open all the same.
                self._session.get_adapter(self._base_url + path).close()
        # An API that echoes the key in an error must not carry it into a record.
        body = body.replace(key.encode(), b"[key]")
        return _Answer(response.status_code, CaseInsensitiveDict(response.headers), body)


def read_body(response: requests.Response, ends_at: float, max_bytes: int) -> bytes:
    """The whole body, bounded in size and in time (a socket's time-out bounds only each wait).

    `ends_at` is a time of the monotonic clock. Raises requests' exceptions.
    """
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            chunks.append(chunk)
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise requests.exceptions.ContentDecodingError(f"the answer is larger than {max_bytes} bytes")
            if time.monotonic() > ends_at:
                raise requests.exceptions.ReadTimeout("the answer took too long")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    return b"".join(chunks)


def _never_connected(error: requests.exceptions.RequestException) -> bool:
    """Whether it is certain that the API saw nothing of the call."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _cause(error: BaseException) -> str:
    """The name of what happened at the bottom, without the address that the libraries' messages carry."""
    bottom = error
    while (deeper := bottom.__cause__ or bottom.__context__) is not None:
        bottom = deeper
    names = dict.fromkeys((type(error).__name__, type(bottom).__name__))
    return ", ".join(names)


def _refusal(answer: _Answer) -> SegmindError:
    return SegmindError(f"HTTP {answer.status_code}: {answers.message_in(answer.body)}", answer.status_code)


def _sync_data(answer: _Answer) -> bytes:
    if answer.status_code != 200:
        raise SegmindError(
            f"HTTP {answer.status_code}: {answers.words(answer.body.decode('utf-8', 'replace'))}"
        )
    if answer.headers.get("content-type", "").casefold().startswith("image/"):
        return answer.body
    output = answers.output_in(answer.body)
    if output is None or output.data is None:
        raise SegmindError("the answer holds no image")
    return output.data


def _number(text: str | None) -> float | None:
    try:
        return answers.number(float(text or ""))
    except ValueError:
        return None
