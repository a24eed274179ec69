"""Segmind as whoever pays sees it: a ledger of the requests it truly took, whatever it answered."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, BinaryIO

from PIL import Image as Pillow

from packshot import segmind_answers as answers
from packshot.downloads import Downloader, DownloadError
from packshot.scene import SceneRequest
from packshot.segmind import NoApiKeyError, SegmindError
from tests.simulation.processes import Process, Seams
from tests.unit.fakes import FakeSegmind

# Segmind forgets a request one hour after its submission.
RECORD_LIFETIME = timedelta(hours=1)
HOST = "images.segmind.com"


@dataclass(frozen=True)
class Weather:
    """How the API answers for a while. No status is no answer at all; `taken` is the truth about a POST."""

    name: str
    status: int | None = None
    body: bytes = b"{}"
    taken: bool = False
    retry_after: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": self.retry_after} if self.retry_after else {}


FINE = Weather("fine", 200, taken=True)
NO_KEY = Weather("no key")
_HTML = b"<html>Bad Gateway</html>"
POST_WEATHERS = (
    FINE,
    Weather("accepted, and the connection reset", taken=True),
    Weather("a reset before it was accepted"),
    Weather("502 after it was accepted", 502, _HTML, taken=True),
    Weather("504 before it was accepted", 504, _HTML),
    Weather("accepted with an answer of garbage", 200, _HTML, taken=True),
    Weather("429", 429),
    Weather("429 for two minutes", 429, retry_after="120"),
    Weather("500", 500),
    Weather("406 out of credits", 406, b'{"error": "insufficient credits"}'),
    Weather("406", 406, b'{"error": "not acceptable"}'),
    Weather("401", 401),
    Weather("403", 403),
    Weather("410", 410),
    Weather("400", 400),
    NO_KEY,
)
GET_WEATHERS = (
    FINE,
    Weather("reset"),
    Weather("429 for a minute", 429, retry_after="60"),
    Weather("500", 500),
    Weather("404", 404),
    Weather("garbage", 200, _HTML),
    Weather("401", 401),
    NO_KEY,
)


@dataclass
class Request:
    """A request that was taken. `status` is Segmind's word for how it is doing."""

    request_id: str
    seed: int
    taken_at: datetime
    status: str = "PROCESSING"
    hangs: bool = False


@dataclass(frozen=True)
class Post:
    """A POST that reached the API, by which process, and whether the process was told what became of it."""

    seed: int
    by: Process | None
    request: Request | None
    answer: answers.SubmitOutcome


class SegmindLedger(FakeSegmind):
    """The API, with what it took and what it answered."""

    now: Callable[[], datetime]

    def __init__(self, seams: Seams) -> None:
        super().__init__(seams)
        self._seams = seams
        self.post_weather = FINE
        self.get_weather = FINE
        self.posts: list[Post] = []
        self.requests: dict[str, Request] = {}

    def _submit(self, request: SceneRequest) -> answers.SubmitOutcome:
        weather, now = self.post_weather, self.now()
        if weather is NO_KEY:
            raise NoApiKeyError("the secret is empty")
        seed = request.seed or 0
        taken, body = None, weather.body
        if weather.taken:
            taken = Request(f"request-{len(self.requests) + 1}", seed, now)
            self.requests[taken.request_id] = taken
            if weather is FINE:
                body = json.dumps({"request_id": taken.request_id, "status": "QUEUED"}).encode()
        if weather.status is None:
            answer: answers.SubmitOutcome = answers.AnswerLost("the answer was lost: ConnectionResetError")
        else:
            answer = answers.submit_outcome(weather.status, weather.headers, body, now)
        self.posts.append(Post(seed, self._seams.running, taken, answer))
        return answer

    def credits(self) -> answers.Credits:
        return self._outside.call(self._credits)

    def _credits(self) -> answers.Credits:
        """The balance, as far as the weather of submits lets it be told."""
        match self.post_weather:
            case weather if weather is NO_KEY:
                raise NoApiKeyError("the secret is empty")
            case Weather(status=401):
                raise SegmindError("HTTP 401: Invalid API key", 401)
            case Weather(status=status) if status in {None, 500, 502, 504}:
                raise SegmindError("no answer")
            case Weather(status=406, body=body) if b"credits" in body:
                return answers.Credits(0.0, 0.018)
            case _:
                return answers.Credits(10.0, 0.018)

    def status(self, request_id: str) -> answers.RequestOutcome:
        return self._outside.call(lambda: self._outcome(request_id))

    def result(self, request_id: str) -> answers.RequestOutcome:
        return self._outside.call(lambda: self._outcome(request_id))

    def _outcome(self, request_id: str) -> answers.RequestOutcome:
        weather, now = self.get_weather, self.now()
        if weather is NO_KEY:
            raise NoApiKeyError("the secret is empty")
        if weather.status is None:
            return answers.TryLater("no answer: ConnectionResetError")
        if weather is not FINE:
            return answers.request_outcome(weather.status, weather.headers, weather.body, now)
        found = self.requests.get(request_id)
        if found is None or now - found.taken_at > RECORD_LIFETIME:
            return answers.request_outcome(404, {}, b'{"error": "not found"}', now)
        body: dict[str, Any] = {"status": found.status}
        if found.status == "COMPLETED":
            body |= {"output": [output_url(found.seed)], "metrics": {"inference_time": 13.06}}
        if found.status == "FAILED":
            body |= {"error": "could not fetch the image"}
        status = 422 if found.status == "FAILED" else 200
        return answers.request_outcome(status, {}, json.dumps(body).encode(), now)


def output_url(seed: int) -> str:
    return f"https://{HOST}/{seed}.webp"


@cache
def painted(seed: int) -> bytes:
    """The image that a request with this seed makes."""
    file = io.BytesIO()
    Pillow.new("RGB", (24, 16), (seed % 251, seed // 251 % 241, seed // 60491 % 239)).save(
        file, "WEBP", lossless=True
    )
    return file.getvalue()


DOWNLOADS = ("fine", "cut short", "down")


@dataclass(frozen=True)
class Downloads(Downloader):
    """The images' host."""

    seams: Seams = field(default_factory=Seams)
    weather: list[str] = field(default_factory=lambda: ["fine"])

    def fetch(self, url: str) -> BinaryIO:
        return self.seams.call(lambda: self._fetch(url))

    def _fetch(self, url: str) -> BinaryIO:
        data = painted(int(url.removeprefix(f"https://{HOST}/").removesuffix(".webp")))
        match self.weather[0]:
            case "down":
                raise DownloadError("the image's host answered HTTP 503")
            case "cut short":
                data = data[:20]
        return io.BytesIO(data)
