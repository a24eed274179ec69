"""Whatever comes from outside has a typed outcome, or a typed error: no crash, no hang, no flood, no leak.

True payloads are damaged, and what was made of them is followed into the row and the event that hold it.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packshot import segmind
from packshot import segmind_answers as answers
from packshot.finalizing import NotFinishedError
from packshot.scene import Scene
from packshot.segmind import SegmindClient, SegmindError
from tests.unit.fakes import World, a_job, a_photo
from tests.unit.hostile import (
    KEY,
    SIGNED,
    any_character,
    damaged_bytes,
    damaged_json,
    held,
    kept,
    memory,
    nested,
    odd_values,
)
from tests.unit.wire import answer, wired

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
URL = "https://images.segmind.com/generations/made.webp"
REQUEST = Scene(prompt="in a bright living room").request(SIGNED, 7)
MEGABYTE = 1_000_000


# -- what the API answers --

DONE = {
    "status": "COMPLETED",
    "request_id": "6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11",
    "error": None,
    "metrics": {"inference_time": 13.06, "cost": 0.0891},
    "output": URL,
}
true_answers: list[Any] = [
    {
        "request_id": "6f2f3c3e-52a1-4a44-8e39-3f5f9d0b7a11",
        "status": "QUEUED",
        "status_url": "https://api.segmind.com/v2/requests/6f2f3c3e/status",
    },
    {"status": "PROCESSING", "metrics": {}},
    DONE,
    {**DONE, "output": [{"url": URL}]},
    {**DONE, "output": json.dumps({"images": [{"url": URL}]})},
    {**DONE, "output": "data:image/png;base64,iVBORw0KGgo="},
    {
        "status": "FAILED",
        "error": f"content policy violation: {SIGNED}",
        "metrics": {"inference_time": 0.008},
    },
    {"error": f"could not fetch {SIGNED} with {KEY}"},
    {"detail": [{"loc": ["body", "image_1"], "msg": "invalid", "input": SIGNED}]},
    {"credits": 0.0, "free-credits": 0.018},
    [],
]
bodies = damaged_bytes(damaged_json(true_answers)) | damaged_bytes(st.builds(json.dumps, odd_values))
status_codes = st.sampled_from(
    [200, 201, 301, 400, 401, 403, 404, 406, 410, 413, 422, 429, 500, 502, 504, 999]
)
header_texts = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
    st.sampled_from(["20", "-1", "1e308", "9" * 400, "²", "nan", "0001-01-01T00:00:00+23:59", "image/webp"]),
    st.datetimes().map(str),
    st.builds(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} {}".format,
        st.sampled_from(["Mon", "Foo", ""]),
        st.integers(0, 99),
        st.sampled_from(["Jan", "Dec", "13"]),
        st.integers(0, 99999),
        *[st.integers(0, 99)] * 3,
        st.sampled_from(["GMT", "+2359", "-9999", "+99999999"]),
    ),
)
headers = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "x-rate-limit-reset-at-utc", "Content-Type", "Content-Encoding", "Location"]
    )
    | st.sampled_from(["Set-Cookie", "Link", "Connection", "x-cost", "x-seed-value", "x-generation-time"]),
    header_texts,
    max_size=4,
)


def client() -> SegmindClient:
    return SegmindClient("http://api.segmind.test", lambda _fresh: KEY, now=lambda: NOW)


@settings(max_examples=300)
@given(status_codes, headers, bodies)
def test_any_answer_to_any_call_is_an_outcome_or_the_one_error_of_that_call(
    status_code: int, fields: dict[str, str], body: bytes
) -> None:
    with wired() as wire:
        wire.will(*[answer(status_code, body, headers=fields)] * 5)
        assert isinstance(client().submit(REQUEST), get_args(answers.SubmitOutcome))
        assert isinstance(client().status("request-1"), get_args(answers.RequestOutcome))
        assert isinstance(client().result("request-1"), get_args(answers.RequestOutcome))
        for call in (client().credits, lambda: client().run_sync(REQUEST)):
            try:
                call()
            except SegmindError as refusal:
                held(str(refusal))


# -- what becomes of it --


pieces = st.one_of(
    any_character,
    st.sampled_from([SIGNED, SIGNED.replace("/", r"\/"), KEY, f"(see {SIGNED})", f"<{SIGNED}>", "ü" * 2000]),
    st.sampled_from(
        ["\x01" * 2000, '"' * 3000, "data:image/png;base64,SECRET" + "A" * 300, "Insufficient credits"]
    ),
)
hostile_words = st.lists(pieces, max_size=6).map(" ".join)
shapes = st.sampled_from(["error", "message", "detail", "errors", "status", "reason"])


@st.composite
def wordy_bodies(draw: st.DrawFn) -> bytes:
    """Words in the fields where the API's are looked for, in others, deeper, or bare."""
    text: Any = draw(hostile_words)
    match draw(st.sampled_from(["bare", "field", "deep", "failed", "failed"])):
        case "bare":
            return str(text).encode("utf-8", "surrogatepass")
        case "field":
            return json.dumps({draw(shapes): text}).encode()
        case "deep":
            return json.dumps({draw(shapes): nested(draw(st.integers(1, 6)), text)}).encode()
        case _:
            return json.dumps({"status": "FAILED", "error": text, "output": text}).encode()


@settings(max_examples=200)
@given(status_codes, st.one_of(bodies, wordy_bodies()))
def test_of_an_answer_to_a_submit_a_row_and_an_event_keep_bounded_words_and_no_secret(
    status_code: int, body: bytes
) -> None:
    world = World()
    with wired() as wire:
        wire.will(answer(status_code, body))
        world.segmind.submits = [client().submit(REQUEST)]
    job = world.uploads(a_photo(key="靴" * 300 + ".jpg"))
    kept(job)
    for told in world.bus.events:
        assert json.dumps(told)


@settings(max_examples=200)
@given(status_codes, st.one_of(bodies, wordy_bodies()))
def test_of_the_end_of_a_request_a_row_and_an_event_keep_bounded_words_and_no_secret(
    status_code: int, body: bytes
) -> None:
    world = World()
    with wired() as wire:
        wire.will(answer(status_code, body))
        world.segmind.results = [client().result("request-1")]
    job = world.table.keep(a_job())
    world.clock.step(timedelta(hours=1))
    try:
        ended = world.finalizer.finalize(job.job_id, job.attempt)
    except NotFinishedError as undecided:
        held(str(undecided))
    else:
        assert ended is not None
        kept(ended)


@pytest.mark.parametrize(
    "url",
    ["https://images.segmind.com/\ud800", "https://images.segmind.com/\0", "https://x/" + "a" * 500_000],
)
def test_an_address_that_no_row_can_hold_is_no_output(url: str) -> None:
    """Or the row could not be written, and the workflow would try for ever."""
    world = World()
    body = json.dumps({**DONE, "output": url}).encode()
    outcome = answers.request_outcome(200, {}, body, NOW)
    world.segmind.results = [outcome]
    job = world.table.keep(a_job())
    ended = world.finalizer.finalize(job.job_id, job.attempt)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "NoOutput"
    kept(ended)


def test_a_signature_is_cut_out_however_json_spells_its_equals_sign() -> None:
    assert "SECRET" not in answers.message_in(rb'{"reason": "X-Amz-Signature\u003dSECRET"}')


def test_what_is_too_deep_to_be_written_again_is_told_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """How deep that is depends on the version of Python and on who is calling."""

    def too_deep(_value: object) -> str:
        raise RecursionError

    body = json.dumps({"detail": nested(30, "no such model"), "status": nested(30)}).encode()
    monkeypatch.setattr(json, "dumps", too_deep)
    assert "no such model" in answers.message_in(body)
    assert isinstance(answers.request_outcome(500, {}, body, NOW), answers.TryLater)


@given(hostile_words)
def test_words_are_bounded_and_hold_no_query(text: str) -> None:
    for spelled in (text, json.dumps(text), json.dumps(json.dumps(text))):
        kept_words = answers.words(spelled)
        assert len(kept_words) <= answers.MAX_WORDS_CHARACTERS
        assert "SECRET" not in kept_words
        assert not re.search(r"amazonaws\.com[^\s?]*\?.", kept_words)
        kept_words.encode()


# -- how much of it --


def bomb(size_bytes: int) -> bytes:
    """That many zeros, a thousandth of the size."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(size_bytes // MEGABYTE)) + packer.flush()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "gzip, gzip, gzip, gzip, gzip, gzip"])
def test_a_compressed_bomb_is_cut_before_it_fills_the_memory(encoding: str) -> None:
    data = bomb(300 * MEGABYTE)
    for _ in range(encoding.count(",")):
        data = gzip.compress(data)
    with wired() as wire, memory() as peak:
        wire.will(*[answer(body=data, headers={"Content-Encoding": encoding})] * 2)
        assert isinstance(client().submit(REQUEST), answers.AnswerLost)
        assert isinstance(client().status("request-1"), answers.TryLater)
    assert peak.bytes < 10 * MEGABYTE


LONG = {
    "empty lists": b"[" + b"[]," * (300 * 1000) + b"1]",
    "numbers": b"[" + b"1," * (400 * 1000) + b"1]",
    "fields": b"{" + b",".join(b'"%d":{}' % number for number in range(80_000)) + b"}",
    "digits": b"9" * 900_000,
    "brackets": b"[" * 900_000,
    "JSON text": json.dumps("[" + "[]," * 250_000 + "1]").encode(),
    "escaped JSON text": b'"[' + rb"[]\u002c" * 100_000 + b'1]"',
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("field", ["output", "error", "status", "metrics", "request_id"])
def test_an_answer_of_a_megabyte_takes_a_few(kind: str, field: str) -> None:
    body = b'{"status": "COMPLETED", "%b": %b}' % (field.encode(), LONG[kind])
    assert len(body) < segmind.MAX_ANSWER_BYTES
    with memory() as peak:
        answers.submit_outcome(400, {}, body, NOW)
        answers.request_outcome(200, {}, body, NOW)
    assert peak.bytes < 10 * len(body)


def test_an_image_of_megabytes_in_base64_takes_a_few_times_its_size() -> None:
    image = bytes(range(256)) * 40_000
    encoded = answer(body={"status": "COMPLETED", "output": base64.b64encode(image).decode()})
    with wired() as wire, memory() as peak:
        wire.will(encoded)
        outcome = client().result("request-1")
    assert outcome == answers.Completed(answers.Output(data=image), None, None)
    assert peak.bytes < 8 * len(image)


def test_only_where_an_image_may_come_an_answer_may_be_large() -> None:
    body = {"status": "QUEUED", "request_id": "request-1", "credits": 1, "note": "x" * 2 * MEGABYTE}
    with wired() as wire:
        wire.will(*[answer(body=body)] * 4)
        assert isinstance(client().submit(REQUEST), answers.AnswerLost)
        assert isinstance(client().status("request-1"), answers.TryLater)
        with pytest.raises(SegmindError):
            client().credits()
        assert client().result("request-1") == answers.Pending("QUEUED")
