"""`packshot demo` as a newcomer meets it: a command, what it says, and the folder that it leaves."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from packshot_cli.demo import Segmind, show
from packshot_cli.demo_photos import find_photos
from packshot_cli.output_folder import output_folder
from tests.emulator_server import emulator_in_thread
from tests.photos import packshot

KEY = "SG_0123456789abcdef"
SAMPLES = ("handbag", "mug", "perfume", "sofa", "table-lamp")
WITHIN_SECONDS = 90


@dataclass(frozen=True)
class Ended:
    """A demo that came to its end, without a terminal."""

    code: int
    output: str
    errors: list[str]
    folder: Path
    temporary: Path

    @property
    def page(self) -> str:
        return (self.folder / "index.html").read_text(encoding="utf-8")


def start(
    home: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A demo that works in `home`, and whose temporary files go to `home/tmp`."""
    (home / "tmp").mkdir()
    variables = {name: value for name, value in os.environ.items() if name != "SEGMIND_API_KEY"}
    return subprocess.Popen(
        [sys.executable, "-m", "packshot_cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={**variables, "TMPDIR": str(home / "tmp"), **(environment or {})},
    )


def ended(home: Path, process: subprocess.Popen[str]) -> Ended:
    with process:
        try:
            output, errors = process.communicate(timeout=WITHIN_SECONDS)
        finally:
            process.kill()
    return Ended(process.returncode, output, errors.splitlines(), home / ".packshot" / "demo", home / "tmp")


def demo(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    return ended(home, start(home, arguments, environment))


@pytest.fixture(scope="class")
def played(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    environment = {"AWS_PROFILE": "no-such", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    return demo(tmp_path_factory.mktemp("demo"), "--seconds", "1", environment=environment)


class TestSamples:
    """The first thing that a newcomer does."""

    def test_it_ends_well_and_says_so(self, played: Ended) -> None:
        assert (played.code, played.errors) == (0, [])
        assert "5 images of 5 jobs in " in played.output
        assert ".packshot/demo/index.html" in played.output

    def test_every_sample_is_an_image_in_its_place(self, played: Ended) -> None:
        for stem in SAMPLES:
            with Image.open(played.folder / "catalogue" / stem / "default.webp") as image:
                image.load()
                assert image.format == "WEBP"
        assert not any(played.temporary.iterdir())
        assert not list(played.folder.glob(".*"))

    def test_the_page_shows_each_photo_beside_its_scene(self, played: Ended) -> None:
        shown = re.findall(r'<img src="([^"]+)"', played.page)

        assert [Path(file).parts[0] for file in shown] == ["photos", "catalogue"] * len(SAMPLES)
        for file in shown:
            assert (played.folder / file).is_file()
        assert "The scenes are emulated." in played.page

    def test_each_scene_has_its_own_prompt(self, played: Ended) -> None:
        prompts = re.findall(r'<p class="prompt">([^<]+)', played.page)

        assert len(set(prompts)) == len(SAMPLES)

    def test_each_way_and_each_event_is_told_in_plain_lines(self, played: Ended) -> None:
        for stem in SAMPLES:
            told = [line.split()[2] for line in played.output.splitlines() if " s  " in line and stem in line]
            assert told[0] == "uploaded"
            assert told[-1] == "COMPLETED"
            assert re.search(
                rf"Scene Generated +[0-9a-f]{{8}} .* catalogue/{stem}/default\.webp", played.output
            )

    def test_what_is_no_terminal_gets_nothing_but_text(self, played: Ended) -> None:
        assert all(character.isprintable() or character == "\n" for character in played.output)


def test_a_photo_that_is_none_is_told_with_the_reason_and_the_others_are_made(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "boot.jpg").write_bytes(packshot())
    (photos / "letter.jpg").write_text("Dear customer")

    played = demo(tmp_path, "--photos", "photos", "--seconds", "1")

    assert played.code == 1
    assert "1 image of 2 jobs" in played.output
    assert re.search(r"^letter.jpg: REJECTED: .*text", played.output, re.MULTILINE)
    assert "Photo Rejected" in played.output
    assert "UnsupportedFormat" in played.page
    with Image.open(played.folder / "catalogue" / "boot" / "default.webp") as image:
        image.load()


def test_a_signal_ends_it_with_one_line_and_nothing_left(tmp_path: Path) -> None:
    process = start(tmp_path, ["--seconds", "30"], {"PYTHONUNBUFFERED": "1"})
    assert process.stdout
    for line in process.stdout:
        if "SUBMITTED" in line:
            break
    process.send_signal(signal.SIGINT)
    stopped = ended(tmp_path, process)

    assert stopped.code == 130
    assert stopped.errors == ["Stopped: nothing is left running"]
    assert not any(stopped.temporary.iterdir())
    assert not stopped.folder.exists()
    assert (
        str(stopped.temporary)
        not in subprocess.run(
            ["ps", "-axww", "-o", "command="], capture_output=True, text=True, check=True
        ).stdout
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--live", "--photos", "photos"], {}, "SEGMIND_API_KEY is not set"),
        (["--live", "--photos", ""], {"SEGMIND_API_KEY": KEY}, "No photos are named"),
        (["--live", "--photos", "empty"], {"SEGMIND_API_KEY": KEY}, "holds no photo"),
        (["--live", "--photos", "nowhere"], {"SEGMIND_API_KEY": KEY}, "cannot be read as a folder"),
        (["--photos", "nowhere"], {}, "cannot be read as a folder"),
        (["--output", "held"], {}, "Another demo"),
        (["--output", "photos"], {}, "not a demo's"),
    ],
)
def test_what_it_cannot_do_it_says_in_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "boot.jpg").write_bytes(packshot())

    with output_folder(tmp_path / "held"):
        refused = demo(tmp_path, *arguments, environment=environment)

    assert refused.code == 1
    assert len(refused.errors) == 1
    assert words in refused.errors[0]
    assert KEY not in refused.output + refused.errors[0]
    assert (tmp_path / "photos" / "boot.jpg").read_bytes() == packshot()


def show_live(tmp_path: Path, segmind_url: str) -> tuple[int, str, str]:
    """The live demo's way against another server: the exit code, what was said, the page."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "boot.jpg").write_bytes(packshot())
    said = io.StringIO()
    code = show(
        Console(file=said, width=200),
        find_photos(tmp_path / "photos"),
        Segmind(1.0, segmind_url, KEY),
        tmp_path / "out",
    )
    return code, said.getvalue(), (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_live_the_photos_are_sent_inline_and_the_page_does_not_call_the_scenes_emulated(
    tmp_path: Path,
) -> None:
    with emulator_in_thread(api_key=KEY) as segmind:
        code, said, page = show_live(tmp_path, segmind.url)
        (accepted,) = segmind.requests()

    assert code == 0
    assert not accepted["body"]["image_1"].startswith("http")
    assert "are emulated" not in page
    assert KEY not in said + page


def test_live_a_refused_key_is_told_at_once(tmp_path: Path) -> None:
    with emulator_in_thread(api_key="SG_another") as segmind:
        code, said, page = show_live(tmp_path, segmind.url)

    assert code == 1
    assert re.search(r"^boot.jpg: PARKED: HTTP 401", said, re.MULTILINE)
    assert "Scene Parked" in said
    assert KEY not in said + page


def test_what_takes_too_long_is_given_up_with_the_request_to_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packshot_cli.demo.LIVE_PATIENCE_SECONDS", 4.0)
    with emulator_in_thread(api_key=KEY, seconds=60) as segmind:
        code, said, page = show_live(tmp_path, segmind.url)
        (accepted,) = segmind.requests()

    assert code == 1
    assert f"boot.jpg: still SUBMITTED after 4 s, request {accepted['request_id']}" in said
    assert "still SUBMITTED" in page
    assert accepted["request_id"] in page
