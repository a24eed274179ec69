"""Every answer of the API has one meaning, and no answer, however odd, is without one."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.segmind_answers import (
    MAX_WORDS_CHARACTERS,
    Accepted,
    AnswerLost,
    Completed,
    Credits,
    Failed,
    KeyRefused,
    NotAcceptable,
    NotAccepted,
    Output,
    Pending,
    RateLimited,
    Refused,
    RequestOutcome,
    SubmitOutcome,
    TryLater,
    Unknown,
    credits_in,
    message_in,
    output_in,
    output_of,
    request_outcome,
    retry_at,
    submit_outcome,
    words,
)

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
URL = "https://images.segmind.com/generations/made.webp"
DATA = b"\x89PNG and so on"
BASE64 = base64.b64encode(DATA).decode()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def submitted(status_code: int, body: object, **headers: str) -> SubmitOutcome:
    data = body if isinstance(body, bytes) else as_json(body)
    return submit_outcome(
        status_code, {name.replace("_", "-"): value for name, value in headers.items()}, data, NOW
    )


def told(status_code: int, body: object, **headers: str) -> RequestOutcome:
    data = body if isinstance(body, bytes) else as_json(body)
    return request_outcome(
        status_code, {name.replace("_", "-"): value for name, value in headers.items()}, data, NOW
    )


def error(text: str) -> dict[str, str]:
    return {"error": text}


# -- submit --


def test_an_accepted_request_is_known_by_its_id() -> None:
    answer = {
        "request_id": "6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11",
        "status": "QUEUED",
        "poll_url": "https://api.segmind.com/v1/requests/6f2f3c3e",
        "status_url": "https://api.segmind.com/v2/requests/6f2f3c3e/status",
        "response_url": "https://api.segmind.com/v2/requests/6f2f3c3e",
    }
    assert submitted(200, answer) == Accepted("6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11")
    assert submitted(202, answer) == Accepted("6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11")


# The error table of the API, line by line.
MEANINGS: dict[str, tuple[int, object, SubmitOutcome]] = {
    "malformed": (400, error("missing prompt"), Refused("BadRequest", "missing prompt")),
    "no key": (401, error("Invalid API key"), KeyRefused(401, "Invalid API key")),
    "not permitted": (403, error("not for your team"), KeyRefused(403, "not for your team")),
    "unknown model": (404, error("no such model"), Refused("ModelNotFound", "no such model")),
    "wrong method": (405, HTML, Refused("MethodNotAllowed", HTML.decode())),
    "out of credits": (406, error("Insufficient credits"), NotAcceptable("Insufficient credits")),
    "out of CREDITS": (406, error("INSUFFICIENT CREDITS"), NotAcceptable("INSUFFICIENT CREDITS")),
    "rejected value": (406, error("quality is not valid"), NotAcceptable("quality is not valid")),
    "retired": (410, error("model retired"), KeyRefused(410, "model retired")),
    "too large": (413, HTML, Refused("TooLarge", HTML.decode())),
    "wrong type": (415, error("send JSON"), Refused("UnsupportedMediaType", "send JSON")),
    "not valid": (422, error("validation error"), Refused("ValidationError", "validation error")),
    "rate": (429, error("Too many requests"), RateLimited("Too many requests", None)),
    "server error": (500, error("Internal server error"), NotAccepted("Internal server error")),
    "server error in HTML": (500, HTML, NotAccepted(HTML.decode())),
    "bad gateway": (502, HTML, AnswerLost(HTML.decode())),
    "unavailable": (503, error("busy"), AnswerLost("busy")),
    "time-out": (504, b"", AnswerLost("an empty body")),
    "another refusal": (402, error("pay"), Refused("Refused", "pay")),
    "a redirect": (302, b"", Refused("Refused", "an empty body")),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_an_answer_to_a_submit_means_what_the_table_says(name: str) -> None:
    status_code, body, outcome = MEANINGS[name]
    assert submitted(status_code, body) == outcome


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        {},
        [],
        {"request_id": None},
        {"request_id": ""},
        {"request_id": 7},
        {"request_id": "a b"},
        {"request_id": "../credits"},
        {"request_id": "x" * 129},
        {"request_id": "id\n"},
    ],
)
def test_a_yes_without_a_usable_id_may_have_been_a_yes(body: object) -> None:
    assert isinstance(submitted(200, body), AnswerLost)


def test_a_rate_limit_says_when_to_come_back() -> None:
    assert submitted(429, error("slow"), retry_after="20") == RateLimited("slow", NOW + timedelta(seconds=20))


# -- status and result --

DONE = {"status": "COMPLETED", "request_id": "request-1", "metrics": {"inference_time": 13.06}}
OUTCOMES: dict[str, tuple[int, object, RequestOutcome]] = {
    "queued": (200, {"status": "QUEUED", "request_id": "request-1", "metrics": {}}, Pending("QUEUED")),
    "processing": (200, {"status": "PROCESSING", "metrics": {}}, Pending("PROCESSING")),
    "in lower case": (200, {"status": "processing"}, Pending("PROCESSING")),
    "done": (200, DONE, Completed(None, 13.06, None)),
    "done in lower case": (200, {**DONE, "status": "completed"}, Completed(None, 13.06, None)),
    "result": (200, {**DONE, "error": None, "output": URL}, Completed(Output(url=URL), 13.06, None)),
    "result with cost": (
        200,
        {**DONE, "output": URL, "metrics": {"inference_time": 1, "cost": 0.0891, "remaining_credits": 3}},
        Completed(Output(url=URL), 1.0, 0.0891),
    ),
    "result without metrics": (
        200,
        {"status": "COMPLETED", "output": URL},
        Completed(Output(url=URL), None, None),
    ),
    "failed is a 422": (
        422,
        {"status": "FAILED", "error": "blocked", "metrics": {"inference_time": 0.008}},
        Failed("blocked", 0.008),
    ),
    "failed with a 200": (200, {"status": "Failed", "error": "blocked"}, Failed("blocked", None)),
    "unknown": (404, error("Request request-1 not found"), Unknown("Request request-1 not found")),
    "validation error": (422, error("validation error"), TryLater("HTTP 422: validation error")),
    "key refused": (401, error("Invalid API key"), TryLater("HTTP 401: Invalid API key")),
    "bad gateway": (502, HTML, TryLater(f"HTTP 502: {HTML.decode()}")),
    "queued with an error": (500, {"status": "QUEUED"}, TryLater('HTTP 500: {"status": "QUEUED"}')),
    "a status nobody knows": (200, {"status": "PAUSED"}, TryLater('HTTP 200: {"status": "PAUSED"}')),
    "no status": (200, {"output": URL}, TryLater(f'HTTP 200: {{"output": "{URL}"}}')),
    "nothing": (200, b"", TryLater("HTTP 200: an empty body")),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_status_in_the_body_decides(name: str) -> None:
    status_code, body, outcome = OUTCOMES[name]
    assert told(status_code, body) == outcome


@pytest.mark.parametrize("content_type", ["image/webp", "Image/PNG", "image/jpeg; charset=binary"])
def test_an_image_itself_is_a_result(content_type: str) -> None:
    assert told(200, DATA, content_type=content_type) == Completed(Output(data=DATA), None, None)


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-1", "-0.001", "1e400", "1e300", "1e-300", "true", '"13"', "null", "[]", "{}"],
)
def test_a_measure_that_is_no_measure_is_unknown_and_never_0(number: str) -> None:
    metrics = f'{{"cost": {number}, "inference_time": {number}}}'
    body = f'{{"status": "COMPLETED", "output": "{URL}", "metrics": {metrics}}}'
    assert told(200, body.encode()) == Completed(Output(url=URL), None, None)


def test_an_integer_beyond_a_float_is_unknown() -> None:
    body = f'{{"status": "FAILED", "error": "x", "metrics": {{"inference_time": {"9" * 400}}}}}'
    assert told(422, body.encode()) == Failed("x", None)


def test_a_measure_of_0_is_0() -> None:
    assert told(200, {**DONE, "metrics": {"inference_time": 0, "cost": 0.0}}) == Completed(None, 0.0, 0.0)


@pytest.mark.parametrize("metrics", [None, [], "fast", 7])
def test_metrics_that_are_none_are_unknown(metrics: object) -> None:
    assert told(200, {**DONE, "metrics": metrics}) == Completed(None, None, None)


# -- output --

SHAPES: dict[str, object] = {
    "a URL": {"output": URL},
    "a list": {"output": [URL, "https://images.segmind.com/other.webp"]},
    "an object": {"output": {"url": URL}},
    "a list of objects": {"output": [{"url": URL}]},
    "images": {"images": [{"url": URL}]},
    "output with images": {"output": {"images": [{"url": URL}]}},
    "an image": {"image": {"url": URL}},
    "a bare url": {"url": URL},
    "JSON text": {"output": json.dumps({"url": URL})},
    "JSON text of a list": {"output": json.dumps([URL])},
    "JSON text of text": {"output": json.dumps(URL)},
    "an empty output before images": {"output": None, "images": [{"url": URL}]},
    "an empty entry first": {"output": ["", {"seed": 1}, URL]},
    "other fields beside it": {"seed": 7, "output": URL, "nsfw": False},
    "spaces around it": {"output": f" {URL}\n"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_address_is_found_in_every_shape(name: str) -> None:
    answer: Any = SHAPES[name]
    assert output_of(answer) == Output(url=URL)
    assert output_in(as_json(answer)) == Output(url=URL)


@pytest.mark.parametrize(
    "text", [BASE64, f"data:image/png;base64,{BASE64}", f"{BASE64[:10]}\n{BASE64[10:]}\n", json.dumps(BASE64)]
)
def test_an_image_in_base64_is_found(text: str) -> None:
    assert output_of({"output": text}) == Output(data=DATA)
    assert output_of({"images": [{"image": text}]}) == Output(data=DATA)


def test_a_synchronous_answer_may_be_base64_alone() -> None:
    assert output_in(BASE64.encode()) == Output(data=DATA)


@pytest.mark.parametrize(
    "output",
    [None, "", "  ", [], {}, 7, True, "no image, sorry", "{not json", "data:image/png;base64,", "====="],
)
def test_what_is_no_output_is_none(output: object) -> None:
    assert output_of({"output": output}) is None


def test_an_output_is_not_looked_for_without_end() -> None:
    nested: Any = URL
    for _ in range(50):
        nested = [nested]
    assert output_of({"output": nested}) is None
    text: Any = URL
    for _ in range(8):
        text = json.dumps([text])
    assert output_of({"output": text}) is None


# -- credits --


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        (b'{"credits": 0.0, "free-credits": 0.018}', Credits(0.0, 0.018)),
        (b'{"credits": 12}', Credits(12.0, None)),
        (b'{"credits": "12"}', Credits(None, None)),
        (HTML, Credits(None, None)),
    ],
)
def test_the_balance_is_what_is_told(body: bytes, balance: Credits) -> None:
    assert credits_in(body) == balance


# -- when to come back --

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({}, None),
        ({"retry-after": "20"}, NOW + timedelta(seconds=20)),
        ({"retry-after": " 20 "}, NOW + timedelta(seconds=20)),
        ({"retry-after": "0"}, NOW),
        ({"retry-after": "Sat, 14 Mar 2026 09:31:00 GMT"}, NOW + timedelta(minutes=1)),
        ({"x-rate-limit-reset-at-utc": "2026-03-14T09:31:00Z"}, NOW + timedelta(minutes=1)),
        ({"x-rate-limit-reset-at-utc": "2026-03-14T10:31:00+01:00"}, NOW + timedelta(minutes=1)),
        ({"x-rate-limit-reset-at-utc": "2026-03-14 09:31:00"}, NOW + timedelta(minutes=1)),
        (
            {"x-rate-limit-reset-at-utc": str(int(NOW.timestamp()) + 60)},
            NOW + timedelta(minutes=1),
        ),
        ({"retry-after": "20", "x-rate-limit-reset-at-utc": "2027-01-01"}, NOW + timedelta(seconds=20)),
        (
            {"retry-after": "soon", "x-rate-limit-reset-at-utc": "2026-03-14T09:31:00Z"},
            NOW + timedelta(minutes=1),
        ),
        ({"retry-after": "31536000"}, NOW + HOUR),
        ({"retry-after": "9" * 10}, NOW + HOUR),
        ({"retry-after": "9" * 12}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"x-rate-limit-reset-at-utc": "2226-03-14T09:31:00Z"}, NOW + HOUR),
        ({"x-rate-limit-reset-at-utc": "0001-01-01T00:00:00+14:00"}, None),
        ({"x-rate-limit-reset-at-utc": "9999-12-31T23:59:59-14:00"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_api_says_when_to_come_back(headers: dict[str, str], moment: datetime | None) -> None:
    assert retry_at(headers, NOW) == moment


# -- words --


def test_words_are_kept_word_for_word() -> None:
    text = "Content policy: „größe“ & co. (https://docs.segmind.com/errors#406) — see §3\nline two"
    assert words(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "see https://bucket.s3.amazonaws.com/red.jpg?X-Amz-Signature=SECRET&X-Amz-Date=1",
        "see HTTPS://bucket.example/red.jpg?token=SECRET.",
        "(http://bucket.example/?SECRET)",
        r"see https:\/\/bucket.example\/red.jpg?token=SECRET",
        "see https://bucket.example/o'neill.jpg?token=SECRET",
        "signed with X-Amz-Signature=SECRET&x",
        "x-amz-security-token=SECRET",
        "AWSAccessKeyId=SECRET&Signature=SECRET",
        "url=https%3A%2F%2Fbucket.example%2Fred.jpg%3FX-Amz-Signature%3DSECRET",
        "bad image data:image/png;base64,SECRET/+==",
        "bad image DATA:image/png;charset=utf-8;base64,SECRET",
        "bad image " + "SECRET" * 50,
    ],
)
def test_words_hold_no_secret(text: str) -> None:
    assert "SECRET" not in words(text)
    assert "SECRET" not in message_in(as_json({"error": text}))
    assert "SECRET" not in message_in(as_json({"detail": [{"msg": "invalid", "input": text}]}))
    assert "SECRET" not in message_in(text.encode())


def test_half_a_surrogate_pair_does_not_reach_a_record() -> None:
    assert words("a\ud800b") == "a?b"
    assert message_in(b'{"error": "a\\ud800b"}') == "a?b"


def test_the_end_of_long_words_is_cut_visibly() -> None:
    assert words("x y " * 1000) == ("x y " * 1000)[: MAX_WORDS_CHARACTERS - 1] + "…"


unreserved = st.text("abcXYZ019-._~/%!$&'()*+,;=:@", max_size=40)
addresses = st.builds(
    "{}://{}{}?{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.just("host"),
    unreserved,
    unreserved,
)


@given(st.lists(st.text() | addresses, max_size=6))
def test_no_text_keeps_the_query_of_an_address(parts: list[str]) -> None:
    kept = words(" ".join(parts))
    assert len(kept) <= MAX_WORDS_CHARACTERS
    assert not re.search(r"https?://[^\s\"<>]*\?[^\s\"<>]", kept, re.IGNORECASE)
    kept.encode()


@given(st.binary(min_size=200, max_size=600), st.text(max_size=20))
def test_no_text_keeps_base64(data: bytes, text: str) -> None:
    encoded = base64.b64encode(data).decode()
    assert encoded[:100] not in words(f"{text} {encoded}")
    assert encoded[:100] not in words(f"{text} data:image/png;base64,{encoded}")


def test_words_of_any_size_are_cut_in_no_time() -> None:
    for text in ("https://" * 1_000_000, "data:" * 1_000_000, "A" * 10_000_000, "=%3D" * 1_000_000):
        assert len(words(text)) <= MAX_WORDS_CHARACTERS


# -- anything at all --

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800") | st.just(URL),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status", "error", "output", "metrics", "images", "url", "cost", "request_id", "detail"]
            )
            | st.text(),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)
bodies = st.binary() | json_values.map(as_json) | st.text().map(str.encode)
any_headers = st.dictionaries(
    st.sampled_from(["retry-after", "x-rate-limit-reset-at-utc", "content-type"]),
    st.text() | st.text("0123456789-+:TZ. eE") | st.sampled_from(["image/png", "application/json"]),
)
statuses = st.integers(100, 599)


@given(statuses, any_headers, bodies)
def test_any_answer_has_a_meaning(status_code: int, headers: dict[str, str], body: bytes) -> None:
    submit = submit_outcome(status_code, headers, body, NOW)
    request = request_outcome(status_code, headers, body, NOW)
    assert isinstance(submit, get_args(SubmitOutcome))
    assert isinstance(request, get_args(RequestOutcome))
    assert isinstance(submit, Accepted | AnswerLost) or not 200 <= status_code < 300
    for outcome in (submit, request):
        message = getattr(outcome, "message", "")
        assert len(message) <= MAX_WORDS_CHARACTERS + 60
        message.encode()
        moment = getattr(outcome, "retry_at", None)
        assert moment is None or moment <= NOW + HOUR


def nested(depth: int, opening: str, closing: str) -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"output":', "}"), ('{"error":', "}"), ('{"status":', "}")]
)
def test_no_depth_of_an_answer_is_too_deep(opening: str, closing: str) -> None:
    for depth in (1, 4, 5, 6, 100, *range(900, 1000), 10_000, 100_000):
        body = nested(depth, opening, closing)
        assert isinstance(submit_outcome(200, {}, body, NOW), AnswerLost)
        assert isinstance(request_outcome(200, {}, body, NOW), TryLater)
