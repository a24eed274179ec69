"""`packshot try` as a person calls it: a process, with an emulator in the place of Segmind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from packshot_cli import trying
from tests.emulator_server import emulator_process
from tests.photos import packshot

COMMAND = [sys.executable, "-m", "packshot_cli", "try"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_props").mkdir()
    (tmp_path / "_props/rug.png").write_bytes(packshot("PNG", colour="green"))
    (tmp_path / "sofa.jpg").write_bytes(packshot(size=(160, 120)))
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    scenes = {
        "room": {
            "prompt": "The sofa in a room",
            "seed": 3,
            "image_format": "png",
            "image_2": "_props/rug.png",
        },
        "beach": {"prompt": "The sofa on a beach", "image_format": "jpeg"},
    }
    (tmp_path / "scenes.json").write_text(json.dumps({"scenes": scenes}))
    return tmp_path


def tried(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_image_of_one_scene_is_on_disk_and_a_line_says_what_it_is(folder: Path) -> None:
    told = tried(folder, "sofa.jpg", "--scene", "room")
    assert (told.returncode, told.stderr) == (0, "")
    with Image.open(folder / "sofa-room.png") as image:
        assert image.format == "PNG"
        assert f"sofa-room.png  {image.width} x {image.height}  " in told.stdout
    assert "  seed 3  " in told.stdout
    assert "emulated, free" in told.stdout
    assert told.stdout.count("\n") == 1

    again = tried(folder, "sofa.jpg", "--scene", "room")
    assert again.returncode == 1
    assert "sofa-room.png is there already" in again.stderr
    assert tried(folder, "sofa.jpg", "--scene", "room", "--force").returncode == 0


def test_a_photo_is_never_replaced_by_its_image(folder: Path) -> None:
    before = (folder / "sofa.jpg").read_bytes()
    told = tried(folder, "sofa.jpg", "--scene", "beach", "--output", "./sofa.jpg", "--force")
    assert told.returncode == 1
    assert "is the photo itself" in told.stderr
    assert (folder / "sofa.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sofa.jpg"], 2, "Which scene? --scene is one of room, beach"),
        (["sofa.jpg", "--scene", "cave"], 2, "There is no scene cave; it is one of room, beach"),
        (["broken.jpg", "--scene", "room"], 2, "the content is text"),
        (["_props/rug.png", "--root", "."], 2, "no photo"),
        (["none.jpg", "--scene", "room"], 1, "There is no file none.jpg"),
        (["sofa.jpg", "--scene", "room", "--live"], 1, "SEGMIND_API_KEY is not set"),
    ],
)
def test_what_cannot_be_tried_says_why(folder: Path, arguments: list[str], code: int, words: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    told = tried(folder, *arguments, SEGMIND_API_KEY="")
    assert told.returncode == code
    assert words in told.stderr
    assert not told.stdout
    assert sorted(path.name for path in folder.iterdir()) == before


def test_nobody_pays_without_a_yes(folder: Path) -> None:
    told = tried(folder, "sofa.jpg", "--scene", "room", "--live", SEGMIND_API_KEY="a-key")
    assert told.returncode == 1
    assert "paid for one image: about $0.0891" in told.stderr
    assert "Nothing was sent, nothing is paid" in told.stderr


def test_live_asks_for_exactly_one_image_and_tells_its_cost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEGMIND_API_KEY", "the-key")
    with emulator_process("--seconds", "0.3", "--api-key", "the-key", "--price", "0.05") as (emulator, _):
        monkeypatch.setattr(trying, "SEGMIND_URL", emulator.url)
        trying.run(
            photo=Path("sofa.jpg"),
            scene="beach",
            root=None,
            bucket=None,
            parameters=[],
            output=Path("out/beach.jpg"),
            live=True,
            force=False,
            yes=True,
        )
        assert {call: n for call, n in emulator.counts()["calls"].items() if n} == {"v1": 1}
    assert "$0.05" in capsys.readouterr().out
    with Image.open(folder / "out/beach.jpg") as image:
        assert image.format == "JPEG"


def test_the_apis_own_words_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEGMIND_API_KEY", "another-key")
    with emulator_process("--api-key", "the-key") as (emulator, _):
        monkeypatch.setattr(trying, "SEGMIND_URL", emulator.url)
        with pytest.raises(Exception, match="1"):
            trying.run(
                photo=Path("sofa.jpg"),
                scene="beach",
                root=None,
                bucket=None,
                parameters=[],
                output=None,
                live=True,
                force=False,
                yes=True,
            )
    told = capsys.readouterr()
    assert "Segmind made no image: HTTP 401" in told.err
    assert "another-key" not in told.err


def test_ctrl_c_leaves_nothing(folder: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "sofa.jpg", "--scene", "room"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "Stopped\n")
    assert not (folder / "sofa-room.png").exists()
