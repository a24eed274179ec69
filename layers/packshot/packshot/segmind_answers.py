"""What Segmind's API answers, as typed outcomes. Pure: from a status code, headers and a body to a value.

    Submit:   Accepted | RateLimited | NotAcceptable | KeyRefused | Refused | NotAccepted | AnswerLost
    Status:   Pending | Completed | Failed | Unknown | TryLater
    Result:   the same, where Completed carries the output

The state of a request is what the body's `status` says, in any case, whatever the HTTP code: FAILED is a 422.
What the body does not tell is None, never 0.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

MAX_WORDS_CHARACTERS = 2000
# As long as browsers and CDNs take; it has to fit into a row.
MAX_URL_CHARACTERS = 8192
# The API's answers have a dozen. Millions of empty lists in a few megabytes would fill the memory when read.
MAX_JSON_COMMAS = 10_000
# What an API asks for beyond this is a mistake.
MAX_RETRY_SECONDS = 3_600


@dataclass(frozen=True)
class Accepted:
    """The request was taken, and will be paid unless it fails."""

    request_id: str


@dataclass(frozen=True)
class RateLimited:
    """429: not taken. `retry_at` is when the API says to come back, if it says."""

    message: str
    retry_at: datetime | None


@dataclass(frozen=True)
class NotAcceptable:
    """406: not taken, for want of credits or because of something in the request; the words do not decide."""

    message: str


@dataclass(frozen=True)
class KeyRefused:
    """401, 403, 410: the key, the team's permission or the model; no photo is taken until someone acts."""

    status_code: int
    message: str


@dataclass(frozen=True)
class Refused:
    """A permanent no to this photo in this scene."""

    code: str
    message: str


@dataclass(frozen=True)
class NotAccepted:
    """Surely not taken, and not for good: no connection, or a 500. May be posted again, bounded."""

    message: str


@dataclass(frozen=True)
class AnswerLost:
    """The request may have been taken: a time-out, a reset, 502, 504, or an answer nobody can read."""

    message: str


SubmitOutcome = Accepted | RateLimited | NotAcceptable | KeyRefused | Refused | NotAccepted | AnswerLost


@dataclass(frozen=True)
class Output:
    """What a completed request points to or holds: a URL, or the bytes themselves."""

    url: str | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Pending:
    """In flight. `status` is the API's word, upper case."""

    status: str


@dataclass(frozen=True)
class Completed:
    """Done. `output` is None in an answer to the status call, and when the result has none to be read."""

    output: Output | None
    inference_seconds: float | None
    cost_usd: float | None
    queue_seconds: float | None = None


@dataclass(frozen=True)
class Failed:
    """The request failed, content blocks included. Failures are not charged."""

    message: str
    inference_seconds: float | None


@dataclass(frozen=True)
class Unknown:
    """404: the id is unknown, or the record expired (one hour after its submission)."""

    message: str


@dataclass(frozen=True)
class TryLater:
    """An answer that decides nothing about the request."""

    message: str
    retry_at: datetime | None = None


RequestOutcome = Pending | Completed | Failed | Unknown | TryLater


@dataclass(frozen=True)
class Credits:
    """The account's balance in USD."""

    paid_usd: float | None
    free_usd: float | None

    @property
    def balance_usd(self) -> float | None:
        """All of it; None when no part of it is known."""
        known = [part for part in (self.paid_usd, self.free_usd) if part is not None]
        return sum(known) if known else None


def submit_outcome(status_code: int, headers: Mapping[str, str], body: bytes, now: datetime) -> SubmitOutcome:
    """The meaning of an answer to a submit, by the error table of the API."""
    answer = _json_object(body)
    message = _message(answer, body)
    if 200 <= status_code < 300:
        request_id = answer.get("request_id")
        if isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id):
            return Accepted(request_id)
        return AnswerLost(f"HTTP {status_code} without a usable request_id: {message}")
    match status_code:
        case 429:
            return RateLimited(message, retry_at(headers, now))
        case 406:
            return NotAcceptable(message)
        case 401 | 403 | 410:
            return KeyRefused(status_code, message)
        case 500:
            return NotAccepted(message)
        case _ if status_code == 408 or status_code >= 500:
            return AnswerLost(message)
        case _:
            return Refused(_REFUSALS.get(status_code, _REFUSED), message)


def request_outcome(
    status_code: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> RequestOutcome:
    """The meaning of an answer about a request: to the status call or to the result call."""
    if status_code == 200 and headers.get("content-type", "").casefold().startswith("image/"):
        return Completed(Output(data=body), None, None)
    answer = _json_object(body)
    message = _message(answer, body)
    metrics = answer.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    status = answer.get("status")
    match status.upper() if isinstance(status, str) else None:
        case "COMPLETED":
            output = output_of(answer)
            return Completed(
                output,
                number(metrics.get("inference_time")),
                number(metrics.get("cost")),
                number(metrics.get("queue_time")),
            )
        case "FAILED":
            return Failed(message, number(metrics.get("inference_time")))
        case "QUEUED" | "PROCESSING" as pending if status_code < 400:
            return Pending(pending)
    if status_code == 404:
        return Unknown(message)
    return TryLater(f"HTTP {status_code}: {message}", retry_at(headers, now))


def credits_in(body: bytes) -> Credits:
    """The answer of the credits endpoint: `{"credits": 0.0, "free-credits": 0.018}`."""
    answer = _json_object(body)
    return Credits(number(answer.get("credits")), number(answer.get("free-credits")))


def output_of(answer: Mapping[str, Any], depth: int = 0) -> Output | None:
    """The first output of a result, in any shape seen; None when there is none to be read.

    A URL, a data URI, base64, a list of these, `{"url": …}`, `images: [{"url": …}]`, or any of them as JSON
    text, up to five levels deep.
    """
    for field in ("output", "images", "image", "url"):
        output = _output(answer.get(field), depth)
        if output is not None:
            return output
    return None


def output_in(body: bytes) -> Output | None:
    """The output of a synchronous answer that is no image itself: JSON of any shape, or bare base64."""
    answer = _json_object(body)
    return output_of(answer) if answer else _output(body.decode("ascii", "ignore"), depth=0)


def message_in(body: bytes) -> str:
    """The API's own words in the body of an error."""
    return _message(_json_object(body), body)


def words(text: str) -> str:
    """The API's own words as they may be kept: no URL queries, no inline data, at most 2,000 characters."""
    # JSON may carry half a surrogate pair, which neither UTF-8 nor AWS can.
    text = text[: 10 * MAX_WORDS_CHARACTERS].encode("utf-8", "replace").decode()
    text = _BASE64.sub("[cut]", _DATA_URI.sub("data:[cut]", text))
    text = _URL_QUERY.sub(r"\1", text)
    text = _SIGNATURE.sub(r"\1=[cut]", text)
    return text if len(text) <= MAX_WORDS_CHARACTERS else text[: MAX_WORDS_CHARACTERS - 1] + "…"


def retry_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the API says to come back, None if it does not.

    `Retry-After` (seconds or a date) or `x-rate-limit-reset-at-utc` (documented for v1); an hour at most.
    """
    after = headers.get("retry-after", "").strip()
    if after.isdecimal() and len(after) < 10:
        return now + timedelta(seconds=min(int(after), MAX_RETRY_SECONDS))
    for value in (after, headers.get("x-rate-limit-reset-at-utc", "").strip()):
        moment = _moment(value)
        if moment is not None:
            return min(moment, now + timedelta(seconds=MAX_RETRY_SECONDS))
    return None


REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_DATA_URI = re.compile(r"data:[\w.+/;=-]*;base64,[A-Za-z0-9+/=_-]*", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
# Slashes may be escaped, as JSON allows.
_URL_QUERY = re.compile(r"(https?:\\*/\\*/[^\s?\"<>]*)\?[^\s\"<>]*", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"((?:X-Amz-)?(?:Signature|Credential|Security-Token)|AWSAccessKeyId)(?:=|%3D|\\u003d)[^\s&\"<>]*",
    re.IGNORECASE,
)
_REFUSALS = {
    400: "BadRequest",
    404: "ModelNotFound",
    405: "MethodNotAllowed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "ValidationError",
}
# The code of any other refusal.
_REFUSED = "Refused"
REFUSAL_CODES = frozenset({*_REFUSALS.values(), _REFUSED})


def _json_object(body: bytes) -> dict[str, Any]:
    # Python would read other encodings too, in which the client has not looked for the key.
    text = body.decode("utf-8", "replace")
    answer = _json(text) if text.count(",") <= MAX_JSON_COMMAS else None
    return answer if isinstance(answer, dict) else {}


def _json(text: str) -> Any:
    """What JSON text says; None when it is none, or too deep to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(answer: Mapping[str, Any], body: bytes) -> str:
    """The API's own words: its `error` (or what stands in for it), else the start of whatever it sent."""
    for field in ("error", "message", "detail"):
        value = answer.get(field)
        if isinstance(value, str) and value:
            return words(value)
        if value:
            # What was not too deep to be read may be too deep to be written.
            with suppress(RecursionError):
                return words(json.dumps(value))
    text = body[:MAX_WORDS_CHARACTERS].decode("utf-8", "replace").strip()
    return words(text) if text else "an empty body"


def number(value: Any) -> float | None:
    """A non-negative number of the API, of a size that means something (and that a row can hold), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number == 0 or 1e-9 <= number < 1e12 else None


def _moment(text: str) -> datetime | None:
    """A date as HTTP or ISO 8601 writes it, or seconds since 1970; without a zone it is UTC."""
    if not text:
        return None
    for parse in (_from_timestamp, datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _from_timestamp(text: str) -> datetime:
    return datetime.fromtimestamp(float(text), UTC)


def _output(value: Any, depth: int) -> Output | None:
    if depth > 4:
        return None
    if isinstance(value, str):
        return _output_text(value.strip(), depth)
    if isinstance(value, list):
        return next((found for item in value if (found := _output(item, depth + 1))), None)
    if isinstance(value, dict):
        return output_of(value, depth + 1)
    return None


def _output_text(text: str, depth: int) -> Output | None:
    start = text[:8].casefold()
    if start.startswith(("https://", "http://")):
        # Printable also means: no half of a surrogate pair, which no row can hold.
        return Output(url=text) if len(text) <= MAX_URL_CHARACTERS and text.isprintable() else None
    if start.startswith("data:"):
        _, _, text = text.partition(",")
    elif text.startswith(("{", "[", '"')):
        return _output(_json(text), depth + 1) if text.count(",") <= MAX_JSON_COMMAS else None
    try:
        # It may be broken into lines.
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Output(data=data) if data else None
