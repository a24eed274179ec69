"""The request history is a second chance, never a dependency: absent or lying, it changes nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from packshot.history import ROWS_A_PAGE, RequestHistory
from packshot.http_session import NoRedirectSession
from packshot.segmind import NoApiKeyError
from tests.unit.fakes import START, Clock
from tests.unit.wire import Wire, answer

URL = "http://history.example/inference-request/request-history"
MARKER = "packshot-0123456789abcdef0123456789abcdef-2"


def history(url: str | None = URL, key: str = "SG_secret") -> RequestHistory:
    return RequestHistory(url, lambda _: key, NoRedirectSession(), Clock())


def row(request_id: object = "request-1", marker: str = MARKER, **more: Any) -> dict[str, Any]:
    photo = f"https://photos.example/red.jpg?response-content-disposition=inline%3B%20filename%3D{marker}&X"
    return {"request_id": request_id, "request_body": {"image_1": photo, "seed": 7}, **more}


OTHER = row("request-9", MARKER[:-1] + "1")


def answer_with(wire: Wire, *bodies: object, status_code: int = 200) -> None:
    wire.will(*(answer(status_code, body) for body in bodies))


@pytest.mark.parametrize(
    "body",
    [
        [OTHER, row()],
        {"data": [OTHER, row()], "page": 1},
        {"requests": [row()], "total_pages": 1},
        [{**OTHER, "request_body": None}, {**row(), "request_body": json.dumps(row()["request_body"])}],
    ],
)
def test_a_request_is_known_by_its_attempts_marker(wire: Wire, body: object) -> None:
    answer_with(wire, body)
    assert history().find(MARKER, START) == "request-1"
    (seen,) = wire.seen
    assert seen.address == ("history.example", 80)
    assert seen.headers["x-api-key"] == "SG_secret"
    assert "from_date=2026-03-13&to_date=2026-03-15" in seen.path


@pytest.mark.parametrize(
    "body", [[], {}, [OTHER], "[]", b"<html>", [row(7)], [row("../admin")], [None, 3], b"[" * 100_000]
)
def test_what_tells_nothing_usable_finds_nothing(wire: Wire, body: object) -> None:
    answer_with(wire, body)
    assert history().find(MARKER, START) is None


def test_it_is_read_page_by_page_and_not_for_ever(wire: Wire) -> None:
    answer_with(wire, [OTHER] * ROWS_A_PAGE, [row()])
    assert history().find(MARKER, START) == "request-1"
    answer_with(wire, *[[OTHER] * ROWS_A_PAGE] * 5)
    assert history().find(MARKER, START) is None
    assert [seen.path.split("page=")[1][0] for seen in wire.seen] == list("1212345")


@pytest.mark.parametrize("status_code", [301, 401, 404, 500])
def test_a_refusal_finds_nothing_and_is_not_followed(wire: Wire, status_code: int) -> None:
    answer_with(wire, [row()], status_code=status_code)
    assert history().find(MARKER, START) is None
    assert len(wire.seen) == 1


def test_a_broken_answer_finds_nothing(wire: Wire) -> None:
    wire.cannot_connect = [OSError("refused")]
    assert history().find(MARKER, START) is None
    wire.will([b"HTTP/1.1 200 Words\r\nContent-Length: 99\r\n\r\n[", ConnectionResetError()])
    assert history().find(MARKER, START) is None


def test_nowhere_it_knows_nothing_and_the_key_stays_at_home(wire: Wire) -> None:
    assert history(None).find(MARKER, START) is None
    assert history(None).output_url("request-1") is None
    assert not wire.connected


def test_without_a_key_it_knows_nothing() -> None:
    def no_key(_: bool) -> str:
        raise NoApiKeyError("the API key's secret is empty")

    asked = RequestHistory(URL, no_key, NoRedirectSession(), Clock())
    assert asked.find(MARKER, START) is None


@pytest.mark.parametrize(
    ("body", "url"),
    [
        (row(generation_url="https://images.segmind.com/a.webp"), "https://images.segmind.com/a.webp"),
        (
            {"data": row(generation_url="https://images.segmind.com/a.webp")},
            "https://images.segmind.com/a.webp",
        ),
        (row(generation_url=None), None),
        (row(generation_url=["https://images.segmind.com/a.webp"]), None),
        (row(), None),
    ],
)
def test_it_tells_where_an_image_is(wire: Wire, body: object, url: str | None) -> None:
    answer_with(wire, body)
    assert history().output_url("request-1") == url
    assert wire.seen[0].path == "/inference-request/request-history/request-1"
