"""`packshot probe` asks an API what nobody could find out without a key, and says it beside the emulator."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from packshot_cli import probe as command
from packshot_cli.demo_photos import SAMPLES
from packshot_cli.main import app
from packshot_cli.probing import MOST_IMAGES, POLLS, Api, Pace, kind, probe
from tests.emulator_server import emulator_in_thread

KEY = "SG_0123456789abcdef"
PACE = Pace(look_seconds=0.02, many_looks_seconds=0.0)
PHOTO = (SAMPLES / "mug.jpg").read_bytes()


def findings(**settings: Any) -> dict[str, str]:
    """What an emulator with these switches is found to do, by the question."""
    with emulator_in_thread(api_key=KEY, seconds=0.2, **settings) as segmind:
        history_url = f"{segmind.url}/inference-request/request-history"
        found = list(probe(Api(segmind.url, KEY, PACE, history_url), PHOTO))
        assert segmind.counts()["accepted"] <= MOST_IMAGES
    assert len({finding.question for finding in found}) == len(found)
    text = " ".join(finding.answer for finding in found)
    assert KEY not in text
    assert "request_id=" not in text
    return {finding.question: finding.answer for finding in found}


def test_what_the_emulator_assumes() -> None:
    found = findings()
    assert found["a submit with a wrong key"] == "401 {error}"
    assert found["the status of an unknown request"] == "404 {error}"
    assert found[f"{POLLS} looks within a minute"] == "all answered"
    assert found["a value out of range"].startswith("refused at once: 400")
    assert found["a parameter that there is not"] == "ignored"
    assert found["the words for its states"].endswith("COMPLETED")
    assert found["the image in it, as Packshot reads it"] == "a URL"
    assert found["the file"] == "200 a WebP, image/webp"
    assert found["it knows ids of v2"] == "yes"
    assert found["the image in that"] == "a WebP"
    assert found["v1 with base64=true"] == "200 base64 of a WebP"
    assert found["the price of an image"] == "$0.0891, of 3"


@pytest.mark.parametrize(
    ("switches", "question", "answer"),
    [
        (
            {"validate_at": "work"},
            "a value out of range",
            "accepted, then 422 {error, metrics, request_id, status}",
        ),
        ({"unknown_parameter": "reject"}, "a parameter that there is not", "refused: 400 {error}"),
        ({"output_shape": "list"}, "the image in it, as Packshot reads it", "a URL"),
        ({"output_shape": "data_uri"}, "the image in it, as Packshot reads it", "a WebP"),
        ({"sync_base64_shape": "json"}, "v1 with base64=true", "200 {image}"),
        ({"history_knows_v2": False}, "it knows ids of v2", "no"),
        ({"extra_metrics": ["cost"]}, "what the result measures", "{cost, inference_time}"),
        ({"price_usd": 0.12}, "the price of an image", "$0.1200, of 3"),
        ({"lower_case_statuses": True}, "the price of an image", "$0.0891, of 3"),
        ({"credits_usd": 0.0}, "the price of an image", "no image was made"),
        ({"credits_usd": 0.0}, "a submit", "406 {error}"),
    ],
)
def test_each_switch_of_the_emulator_is_a_question_that_is_answered(
    switches: dict[str, Any], question: str, answer: str
) -> None:
    assert findings(**switches)[question] == answer


def test_polls_that_count_are_found_out() -> None:
    found = findings(requests_a_minute=60, polls_count=True, rate_limit_headers="retry_after")
    assert found[f"{POLLS} looks within a minute"].startswith("refused after ")
    assert found["headers of a rate"] == "retry-after"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"RIFF....WEBP", "a WebP"),
        (b"  <html>", "a page"),
        (b"plain", "text"),
        ("https://images.example/1.webp?signed=1", "a URL"),
        ("data:image/webp;base64,UklGRg", "a data URI, image/webp"),
        ('{"url": "https://images.example"}', "JSON text, {url}"),
        ("{broken", "text"),
        ([{"url": 1}], "[{url}]"),
        (None, "nothing"),
        ("", "text"),
    ],
)
def test_a_value_is_told_by_its_kind_and_never_by_what_it_is(value: object, words: str) -> None:
    assert kind(value) == words


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, key: str | None = KEY) -> Result:
    monkeypatch.setattr(command, "LIVE_PACE", PACE)
    if key is None:
        monkeypatch.delenv("SEGMIND_API_KEY", raising=False)
    else:
        monkeypatch.setenv("SEGMIND_API_KEY", key)
    return CliRunner().invoke(app, ["probe", *arguments])


def test_the_command_says_the_price_first_and_shows_both_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with emulator_in_thread(api_key=KEY, seconds=0.2, unknown_parameter="reject") as segmind:
        result = run(monkeypatch, "--segmind-url", segmind.url, "--yes")
    assert result.exit_code == 0, result.output
    price, *_ = result.stderr.splitlines()
    assert "up to 4 images: about $0.36" in price
    rows = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert rows["a parameter that there is not"] == "refused: 400 {error}\tignored"
    assert "it knows ids of v2" not in rows
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("arguments", "key", "line"),
    [
        ([], None, "SEGMIND_API_KEY is not set: asking Segmind needs a key"),
        ([], KEY, "Nothing was sent, nothing is paid"),
        (["--yes", "--segmind-url", "http://127.0.0.1:9"], KEY, "No answer (ConnectionError)"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], key: str | None, line: str
) -> None:
    result = run(monkeypatch, *arguments, key=key)
    assert result.exit_code == 1
    assert line in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
