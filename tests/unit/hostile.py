"""Payloads that were true once, and what someone who means harm, or breaks down, makes of them."""

from __future__ import annotations

import copy
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from packshot.events import MAX_DETAIL_BYTES, event_of
from packshot.job import Job
from packshot.job_table import _item
from packshot.segmind_answers import MAX_WORDS_CHARACTERS

KEY = "SG_0123456789abcdef"
SIGNED = (
    "https://photos.s3.eu-west-1.amazonaws.com/shoes/red.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=SECRET%2F20260314&X-Amz-Security-Token=SECRET&X-Amz-Signature=SECRET"
)
# DynamoDB's bound on an item.
MAX_ROW_BYTES = 400 * 1024

Place = tuple[str | int, ...]


def nested(depth: int, inner: Any = 1) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


any_character = st.text(st.characters(), max_size=20)  # halves of surrogate pairs among them
odd_texts = st.one_of(
    any_character,
    st.sampled_from(
        ["", "\0", "\ud800", "\udfff.jpg", "\u202e", "\ufeff", "null", "NaN", "[", "{", "../..", " "]
    ),
    st.builds(
        str.__mul__, st.sampled_from(["x", "靴", '"', "\\", "\x01", "=?utf-8?q?", "https://"]), st.just(3000)
    ),
)
odd_numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([-1, 2**31, 2**63, 2**64, 10**40, 10**400, -0.0, 5e-324, 1.7e308]),
)
odd_values = st.recursive(
    st.none() | st.booleans() | odd_numbers | odd_texts | st.builds(nested, st.sampled_from([5, 100, 500])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Where in a JSON value there is something, the whole first."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*here, key))


@st.composite
def damaged_json(draw: st.DrawFn, payloads: Sequence[Any]) -> str:
    """JSON text of one of the payloads, with odd values in it, without some fields, or with fields twice."""
    whole = [copy.deepcopy(draw(st.sampled_from(payloads)))]
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([place for place in places(whole) if place]))
        holder: Any = whole
        for key in path:
            holder = holder[key]
        match draw(st.sampled_from(["put", "drop", "wrap", "beside"])):
            case "drop" if isinstance(holder, dict):
                del holder[last]
            case "wrap":
                holder[last] = [holder[last]]
            case "beside" if isinstance(holder, dict):
                holder[draw(odd_texts)] = draw(odd_values)
            case _:
                holder[last] = draw(odd_values)
    text = json.dumps(whole[0], ensure_ascii=draw(st.booleans()))
    if isinstance(whole[0], dict) and whole[0] and draw(st.booleans()):
        again = draw(st.sampled_from(sorted(whole[0])))
        text = text[:-1] + ", " + json.dumps({again: draw(odd_values)})[1:]
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """The bytes of a text, now and then cut, or with a few of them changed, or in another encoding."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig", "latin-1"]))
    data = draw(texts).encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
    match draw(st.sampled_from(["whole", "whole", "cut", "changed"])):
        case "cut":
            data = data[: draw(st.integers(0, len(data)))]
        case "changed":
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 6)) :]
    return data


@dataclass
class Peak:
    """How much memory was held at most, beyond what was held before."""

    bytes: int = 0


@contextmanager
def memory() -> Iterator[Peak]:
    """Measures what Python objects take; not what a C library keeps for itself."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def held(text: str) -> None:
    """Words that came from outside, as they may be kept; ours may stand before them."""
    assert len(text) <= MAX_WORDS_CHARACTERS + 100
    assert KEY not in text
    assert "SECRET" not in text
    text.encode()


def kept(job: Job) -> None:
    """A job as it is written into the table and told to the world."""
    row = _item(job)
    assert len(json.dumps(row, ensure_ascii=False).encode()) < MAX_ROW_BYTES
    event = event_of(job)
    if event is not None:
        assert len(event.detail.encode()) <= MAX_DETAIL_BYTES
        assert KEY not in event.detail
        assert "SECRET" not in event.detail
        json.loads(event.detail)
    if job.error is not None:
        held(job.error.message)
