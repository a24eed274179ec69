"""`packshot emulator` as a process, with the real painter."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from PIL import Image
from segmind import SegmindClient

from packshot_cli.emulator.settings import MODEL
from tests.emulator_server import RunningEmulator, emulator_process

KEYED = {"x-api-key": "the-key"}
BODY = {"prompt": "a modern living room"}
END_SECONDS = 2


def refuse(*arguments: str) -> tuple[int, str]:
    """The exit code and standard error of a command that must not start."""
    command = [sys.executable, "-m", "packshot_cli", "emulator", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_a_picture_from_the_real_painter(tmp_path: Path) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (96, 64), "white").save(photo, "PNG")
    with emulator_process("--seconds", "0.3", "--api-key", "the-key") as (emulator, _):
        client = SegmindClient(api_key="the-key", base_url=f"{emulator.url}/v1")
        with client._client:
            uri = "data:image/png;base64," + b64encode(photo.getvalue()).decode()
            job = client.submit_async(MODEL, **BODY, image_1=uri, image_format="jpeg", seed=1)
            output = job.wait(timeout=20, interval=0.05)["output"]
        with Image.open(io.BytesIO(httpx.get(output).content)) as picture:
            assert picture.format == "JPEG"
            assert picture.width / picture.height == pytest.approx(1.5, rel=0.05)


def test_every_option_is_taken(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(
        json.dumps([{"call": "credits", "nth": 1, "effect": {"kind": "answer", "status": 503}}])
    )
    options = (
        "--seconds 7 --sigma 0.25 --api-key the-key --credits 3 --price 0.5 --seed 9 --requests-a-minute 120"
        ' --set output_shape=list --set polls_count=true --set extra_metrics=["cost"]'
    )
    with emulator_process(*options.split(), "--faults", str(faults)) as (emulator, _):
        settings = httpx.get(f"{emulator.url}/_emulator/settings").json()
        balances = [httpx.get(f"{emulator.url}/v1/get-user-credits", headers=KEYED) for _ in range(2)]
    expected = {
        "seconds": 7,
        "sigma": 0.25,
        "credits_usd": 3,
        "price_usd": 0.5,
        "random_seed": 9,
        "requests_a_minute": 120,
        "output_shape": "list",
        "polls_count": True,
        "extra_metrics": ["cost"],
    }
    assert {name: settings[name] for name in expected} == expected
    assert [answer.status_code for answer in balances] == [503, 200]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_with_calls_open_and_leaves_nothing(
    sent: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with emulator_process("--seconds", "60") as (emulator, process):
        emulator.put_faults({"call": "submit", "effect": {"kind": "slow", "seconds": 60}})
        broken: list[str] = []

        def call(path: str) -> None:
            try:
                httpx.post(emulator.url + path, headers=KEYED, json=BODY, timeout=30)
            except httpx.TransportError as error:
                broken.append(type(error).__name__)

        threads = [threading.Thread(target=call, args=(f"/{version}/{MODEL}",)) for version in ("v1", "v2")]
        for thread in threads:
            thread.start()
        wait_until_accepted(emulator, 2)
        started = time.monotonic()
        process.send_signal(sent)
        assert process.wait(END_SECONDS) == 0
        assert time.monotonic() - started < END_SECONDS
        for thread in threads:
            thread.join()
        assert len(broken) == 2
        assert process.stdout
        assert process.stderr
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
        assert list(tmp_path.iterdir()) == []


def wait_until_accepted(emulator: RunningEmulator, number: int) -> None:
    deadline = time.monotonic() + 5
    while emulator.counts()["accepted"] < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_photo_host_that_hangs_does_not_hold_up_the_end() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        emulator_process("--seconds", "0.2") as (
            emulator,
            process,
        ),
    ):
        photo = f"http://127.0.0.1:{silent.getsockname()[1]}/photo.png"
        httpx.post(f"{emulator.url}/v2/{MODEL}", headers=KEYED, json={**BODY, "image_1": photo})
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_SECONDS) == 0


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refuse("--port", str(port)) == (1, f"Port {port} cannot be used: Address already in use\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "unknown=1"], "unknown"),
        (["--set", "output_shape"], "NAME=VALUE"),
        (["--set", "output_shape=circle"], "output_shape"),
        (["--seconds", "0"], "seconds"),
        (["--faults", "no-such-file.json"], "no-such-file.json"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str) -> None:
    code, error = refuse("--port", "0", *arguments)
    assert code == 2
    assert said in error
    assert "Traceback" not in error


def test_wrong_fault_rules_are_named(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('[{"call": "nothing", "effect": {"kind": "reset"}}]')
    code, error = refuse("--port", "0", "--faults", str(faults))
    assert code == 2
    assert "call" in error
    assert "Traceback" not in error
