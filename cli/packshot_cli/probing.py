"""What nobody could find out about Segmind's API without a key, asked of one API, real or emulated.

Each finding is a question and an answer in a few words, without ids, addresses or keys, so that two APIs can
be held side by side. What the answers cost is bounded: at most `MOST_IMAGES` are asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from packshot import segmind_answers as answers
from packshot.http_session import NoRedirectSession
from packshot.model import MODEL
from packshot.segmind import USER_AGENT, read_body

# One with a value out of range, if that is taken; one as a URL, one as base64, and one through v1.
MOST_IMAGES = 4
# More than the plan `pro` lets in a minute.
POLLS = 130
MAX_BYTES = 64 * 1024 * 1024
CALL_SECONDS = 30.0
SYNC_SECONDS = 180.0
REQUEST_SECONDS = 300.0
NOBODY = "00000000-0000-0000-0000-000000000000"
MARKER = "packshot-probe"
UNKNOWN_PARAMETER = "packshot_probe"
ENDINGS = {"COMPLETED", "FAILED"}


@dataclass(frozen=True)
class Finding:
    """What was asked, and what was answered."""

    question: str
    answer: str


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the wire; `body` is JSON where it was any, else None."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.data)
        except ValueError:
            return None

    @property
    def fields(self) -> dict[str, Any]:
        return self.body if isinstance(self.body, dict) else {}

    def __str__(self) -> str:
        """`404 {error}`"""
        return f"{self.status} {shape(self.body) if self.body is not None else kind(self.data)}"


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks at a request, and those that many looks are spread over."""

    look_seconds: float
    many_looks_seconds: float


@dataclass
class Api:
    """One API, and the headers of it that tell of a rate. Raises requests' exceptions."""

    url: str
    api_key: str = field(repr=False)
    pace: Pace
    history_url: str | None = None
    rate_headers: set[str] = field(default_factory=set)

    def get(self, path: str) -> Answer:
        return self._call("GET", self.url + path, self.api_key)

    def post(self, version: str, body: Mapping[str, Any], api_key: str | None = None) -> Answer:
        seconds = SYNC_SECONDS if version == "v1" else CALL_SECONDS
        return self._call("POST", f"{self.url}/{version}/{MODEL}", api_key or self.api_key, body, seconds)

    def status(self, request_id: str) -> Answer:
        return self.get(f"/v2/requests/{quote(request_id, safe='')}/status")

    def result(self, request_id: str) -> Answer:
        return self.get(f"/v2/requests/{quote(request_id, safe='')}")

    def history(self, request_id: str) -> Answer:
        return self._call("GET", f"{self.history_url}/{quote(request_id, safe='')}", self.api_key)

    def file(self, url: str) -> Answer:
        """A public file: without the key."""
        return self._call("GET", url, None)

    def _call(
        self,
        method: str,
        url: str,
        api_key: str | None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        headers = {"User-Agent": USER_AGENT} | ({"x-api-key": api_key} if api_key else {})
        ends_at = time.monotonic() + seconds
        with (
            NoRedirectSession() as session,
            session.request(
                method,
                url,
                headers=headers,
                json=body,
                timeout=(5, seconds),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            data = read_body(response, ends_at, MAX_BYTES)
        if api_key:
            names = {name.lower() for name in response.headers}
            self.rate_headers |= {name for name in names if "rate" in name or "retry" in name}
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, data)


def probe(api: Api, photo: bytes) -> Iterator[Finding]:
    """Ask one question after the other; the calls that cost something come after those that do not.

    Raises requests' exceptions.
    """
    before = api.get("/v1/get-user-credits")
    yield Finding("the balance", str(before))
    body = _body(photo)
    yield Finding("a submit with a wrong key", str(api.post("v2", body, api_key=f"{MARKER}-no-key")))
    yield Finding("the status of an unknown request", str(api.status(NOBODY)))
    yield Finding("the result of one", str(api.result(NOBODY)))
    yield Finding(f"{POLLS} looks within a minute", _many_looks(api))
    paid = 0

    refused = api.post("v2", {**body, "quality": 101})
    ended = _ended(api, refused)
    paid += _is_completed(ended)
    yield Finding("a value out of range", _fate(refused, ended))

    accepted = api.post("v2", {**body, UNKNOWN_PARAMETER: 1})
    yield Finding("a parameter that there is not", "ignored" if _id(accepted) else f"refused: {accepted}")
    if not _id(accepted):
        accepted = api.post("v2", body)
    yield Finding("a submit", str(accepted))
    statuses: list[str] = []
    ended = _ended(api, accepted, statuses)
    yield Finding("the words for its states", ", ".join(statuses) or "none")
    yield Finding("the status at its end", str(ended))
    result = api.result(_id(accepted)) if _id(accepted) else accepted
    paid += _is_completed(result)
    yield Finding("its result", str(result))
    yield Finding("what the result measures", shape(result.fields.get("metrics")))
    output = _output(result)
    yield Finding("the image in it, as Packshot reads it", kind(output))
    yield from _of_file(api, output)
    if api.history_url:
        yield from _of_history(api, _id(accepted))

    accepted = api.post("v2", {**body, "base64": True})
    ended = _ended(api, accepted)
    result = api.result(_id(accepted)) if _id(accepted) else accepted
    paid += _is_completed(result)
    yield Finding("the result with base64=true", str(result))
    yield Finding("the image in that", kind(_output(result)))

    direct = api.post("v1", {**body, "base64": True})
    paid += direct.status == 200
    yield Finding("v1 with base64=true", f"{direct.status} {kind(direct.body or direct.data)}")
    told = sorted(name for name in direct.headers if name.startswith("x-") and "request" not in name)
    yield Finding("what v1 tells in headers", ", ".join(told) or "nothing")

    yield Finding("headers of a rate", ", ".join(sorted(api.rate_headers)) or "none")
    after = api.get("/v1/get-user-credits")
    yield Finding("the price of an image", _price(before, after, paid))


def _body(photo: bytes) -> dict[str, Any]:
    return {
        "prompt": f"Place the mug on a wooden kitchen counter ({MARKER})",
        "image_1": base64.b64encode(photo).decode(),
        "seed": 7,
        "image_format": "webp",
    }


def _many_looks(api: Api) -> str:
    began, looks = time.monotonic(), 0
    for looks in range(1, POLLS + 1):
        answer = api.status(NOBODY)
        if answer.status == 429:
            return f"refused after {looks - 1}: {answer}"
        time.sleep(max(0.0, began + api.pace.many_looks_seconds * looks / POLLS - time.monotonic()))
    return "all answered"


def _id(accepted: Answer) -> str:
    request_id = accepted.fields.get("request_id")
    return request_id if accepted.status == 200 and isinstance(request_id, str) else ""


def _ended(api: Api, accepted: Answer, statuses: list[str] | None = None) -> Answer | None:
    """The first status of an ending, or the last that was seen in time; None for what was not accepted."""
    if not _id(accepted):
        return None
    ends_at = time.monotonic() + REQUEST_SECONDS
    while True:
        answer = api.status(_id(accepted))
        word = str(answer.fields.get("status", ""))
        if statuses is not None and word not in statuses:
            statuses.append(word)
        if word.upper() in ENDINGS or time.monotonic() > ends_at:
            return answer
        time.sleep(api.pace.look_seconds)


def _is_completed(answer: Answer | None) -> bool:
    return answer is not None and str(answer.fields.get("status", "")).upper() == "COMPLETED"


def _fate(accepted: Answer, ended: Answer | None) -> str:
    return f"accepted, then {ended}" if ended else f"refused at once: {accepted}"


def _output(result: Answer) -> str | bytes | None:
    """The image, or its address, as FinalizeFunction would find it."""
    outcome = answers.request_outcome(result.status, result.headers, result.data, datetime.now(UTC))
    output = outcome.output if isinstance(outcome, answers.Completed) else None
    return (output.url or output.data) if output else None


def _of_file(api: Api, output: str | bytes | None) -> Iterator[Finding]:
    if not isinstance(output, str):
        return
    yield Finding("the host of images", urlsplit(output).netloc)
    file = api.file(output)
    content_type = file.headers.get("content-type", "no type")
    yield Finding("the file", f"{file.status} {kind(file.data)}, {content_type}")


def _of_history(api: Api, request_id: str) -> Iterator[Finding]:
    answer = api.history(request_id)
    yield Finding("the history of that request", str(answer.status))
    known = answer.status == 200 and request_id in answer.data.decode(errors="replace")
    yield Finding("it knows ids of v2", "yes" if known else "no")
    yield Finding("it shows what was sent", "yes" if MARKER in answer.data.decode(errors="replace") else "no")


def _price(before: Answer, after: Answer, paid: int) -> str:
    spent = _balance(before) - _balance(after)
    return f"${spent / paid:.4f}, of {paid}" if paid else "no image was made"


def _balance(answer: Answer) -> float:
    """USD, the free ones too."""
    balances = [value for name, value in answer.fields.items() if "credits" in name and _is_number(value)]
    return float(sum(balances))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shape(value: Any) -> str:
    """JSON by its form: `{error}`, `[{url}]`."""
    match value:
        case dict():
            return "{" + ", ".join(sorted(map(str, value))) + "}"
        case list():
            return "[" + (shape(value[0]) if value else "") + "]"
        case None:
            return "nothing"
    return kind(value)


def kind(value: Any) -> str:
    """What a value is: a URL, base64, a picture, a page, JSON of some shape."""
    if isinstance(value, bytes):
        for start, name in PICTURES.items():
            if value.startswith(start):
                return name
        if value.lstrip()[:1] == b"<":
            return "a page"
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return shape(value)
    if value.startswith(("https://", "http://")):
        return "a URL"
    if value.startswith("data:"):
        return f"a data URI, {value[5:].partition(';')[0][:40]}"
    if value[:1] in "{[" and value:
        try:
            return f"JSON text, {shape(json.loads(value))}"
        except ValueError:
            return "text"
    try:
        return f"base64 of {kind(base64.b64decode(value, validate=True))}" if len(value) > 100 else "text"
    except binascii.Error:
        return "text"


PICTURES = {b"RIFF": "a WebP", b"\x89PNG": "a PNG", b"\xff\xd8\xff": "a JPEG"}
