"""What holds for every subcommand of `packshot`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "samples/photos"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["explain", str(SAMPLES)], ["explain", str(SAMPLES), "--json"], ["init", "photos"]],
)
def test_a_full_disk_is_told_in_a_line(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "packshot_cli", *arguments]
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert (told.returncode, told.stderr) == (1, "The output cannot be written: No space left on device\n")
