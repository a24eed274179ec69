"""The real API, with a real key: `SEGMIND_API_KEY=… make test-live`. One image is paid for, about $0.09."""

from __future__ import annotations

import base64
import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from packshot import segmind_answers as answers
from packshot.downloads import Downloader
from packshot.http_session import NoRedirectSession
from packshot.polling import FIRST_WAIT_SECONDS, QUICKEST_CADENCE_SECONDS
from packshot.scene import Scene
from packshot.segmind import SegmindClient

BASE_URL = "https://api.segmind.com"
SOFA = Path(__file__).parents[2] / "samples" / "photos" / "sofa.jpg"
PATIENCE_SECONDS = 110


@pytest.fixture
def segmind() -> SegmindClient:
    key = os.environ["SEGMIND_API_KEY"]
    return SegmindClient(BASE_URL, lambda _fresh: key)


def test_the_balance_can_be_read(segmind: SegmindClient) -> None:
    balance = segmind.credits()
    assert balance.paid_usd is not None or balance.free_usd is not None


def test_an_unknown_request_is_unknown(segmind: SegmindClient) -> None:
    assert isinstance(segmind.status("00000000-0000-0000-0000-000000000000"), answers.Unknown)


def test_a_sofa_goes_to_a_living_room(segmind: SegmindClient) -> None:
    scene = Scene(prompt="Place the sofa in a modern living room", image_format="jpeg", quality=80)
    request = scene.request(base64.b64encode(SOFA.read_bytes()).decode(), seed=7)
    accepted = segmind.submit(request)
    assert isinstance(accepted, answers.Accepted), accepted

    time.sleep(FIRST_WAIT_SECONDS)
    ends_at = time.monotonic() + PATIENCE_SECONDS - FIRST_WAIT_SECONDS
    while isinstance(segmind.status(accepted.request_id), answers.Pending) and time.monotonic() < ends_at:
        time.sleep(QUICKEST_CADENCE_SECONDS)

    completed = segmind.result(accepted.request_id)
    assert isinstance(completed, answers.Completed), completed
    assert completed.output is not None
    assert completed.output.url is not None
    downloader = Downloader(frozenset({"images.segmind.com"}), 50_000_000, NoRedirectSession())
    with downloader.fetch(completed.output.url) as file:
        assert Image.open(io.BytesIO(file.read())).format == "JPEG"
