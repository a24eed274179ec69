"""The functions call the hosts on the list and no other, whatever answers they are given.

Python itself tells of every name that is looked up and every address that is connected to, by an audit hook
that stands in the layer for this test alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from benchmarks.designs import Design, write_template
from packshot_cli.local_cloud import local_cloud
from tests.photos import packshot
from tests.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
HOOK = """

import json as _json
import sys as _sys


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.getaddrinfo", "socket.connect", "socket.sendto"}:
        where = arguments[:2] if event == "socket.getaddrinfo" else arguments[1]
        with open(NOTES, "a", encoding="utf-8") as notes:
            notes.write(_json.dumps([event, where], default=str) + "\\n")


_sys.addaudithook(_note)
"""
ELSEWHERE = "https://elsewhere.example"
# Where a machine of AWS keeps its credentials.
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Watched:
    """A shop beside a stack whose every connection is noted."""

    shop: Shop
    notes: Path

    def hosts(self) -> set[tuple[str, int]]:
        """Names and addresses, with ports, that the functions went for so far."""
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        return {(where[0], int(where[1] or 0)) for _, where in map(json.loads, lines)}

    def emulator(self, **settings: Any) -> None:
        admin = f"{self.shop.cloud.segmind_url}/_emulator/settings"
        requests.patch(admin, json=settings, timeout=10).raise_for_status()

    def faults(self, *rules: dict[str, Any]) -> None:
        admin = f"{self.shop.cloud.segmind_url}/_emulator/faults"
        requests.put(admin, json=rules, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    notes = folder / "notes"
    notes.touch()
    layer = folder / "layer"
    shutil.copytree(ROOT / "layers/packshot", layer, ignore=shutil.ignore_patterns("__pycache__"))
    package = layer / "packshot/__init__.py"
    package.write_text(
        package.read_text(encoding="utf-8") + HOOK.replace("NOTES", repr(str(notes))), encoding="utf-8"
    )
    file = write_template(Design("watched", "A stack whose connections are noted"), folder)
    template = json.loads(file.read_text(encoding="utf-8"))
    template["Resources"]["PackshotLayer"]["Properties"]["ContentUri"] = str(layer)
    file.write_text(json.dumps(template), encoding="utf-8")
    with local_cloud(template_file=file, wait_scale=0.05, emulator_seconds=0.5) as cloud:
        yield Watched(Shop(cloud, aws_url=cloud.endpoint_url), notes)


@pytest.fixture(autouse=True)
def as_usual(watched: Watched) -> Iterator[None]:
    """The emulator is what it was, after each test; and nobody was called who is not on the list."""
    yield
    watched.emulator(api_url=None, files_url=None)
    watched.faults()
    cloud = watched.shop.cloud
    listed = {(url.hostname, url.port) for url in map(urlsplit, (cloud.endpoint_url, cloud.segmind_url))}
    assert watched.hosts() == listed


def redirected(call: str, location: str) -> dict[str, Any]:
    return {"call": call, "effect": {"kind": "answer", "status": 302, "headers": {"Location": location}}}


def test_a_photo_takes_aws_and_segmind_and_nothing_else(watched: Watched) -> None:
    watched.shop.upload("hosts/boot.jpg", packshot(colour="maroon"))
    watched.shop.event("hosts/boot.jpg", "Photo Completed")


def test_addresses_in_answers_lead_nowhere(watched: Watched) -> None:
    watched.emulator(api_url=ELSEWHERE)
    watched.shop.upload("hosts/answers.jpg", packshot(colour="teal"))
    watched.shop.event("hosts/answers.jpg", "Scene Generated")


@pytest.mark.parametrize("host", [ELSEWHERE, "https://169.254.169.254", "https://images.segmind.com.example"])
def test_an_image_elsewhere_is_not_fetched(watched: Watched, host: str) -> None:
    watched.emulator(files_url=host)
    key = f"hosts/{urlsplit(host).hostname}.jpg"
    watched.shop.upload(key, packshot(colour="olive"))
    assert watched.shop.event(key, "Scene Failed")["reason"]["code"] == "OutputForbidden"


@pytest.mark.parametrize("location", [ELSEWHERE, METADATA])
def test_an_image_that_leads_on_elsewhere_is_not_followed(watched: Watched, location: str) -> None:
    watched.faults(redirected("file", location))
    key = f"hosts/file-{urlsplit(location).hostname}.jpg"
    watched.shop.upload(key, packshot(colour="navy"))
    assert watched.shop.event(key, "Scene Failed")["reason"]["code"] == "OutputForbidden"


@pytest.mark.parametrize("call", ["submit", "status", "result"])
def test_the_api_leads_nowhere_either(watched: Watched, call: str) -> None:
    watched.faults({**redirected(call, METADATA), "nth": 1})
    key = f"hosts/redirected-{call}.jpg"
    watched.shop.upload(key, packshot(colour="plum"))
    # Whatever becomes of it, it is told of: an image, or an answer that cannot be made sense of.
    watched.shop.listen_until(
        lambda: any(
            each["detail"].get("photo", {}).get("key") == key
            and each["detail-type"] in {"Scene Generated", "Scene Failed", "Scene Uncertain"}
            for each in watched.shop.seen
        )
    )
