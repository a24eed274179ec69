"""The layer as its recipe makes it: for Lambda's processor and Python, with bytecode that is used."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.cold_start import find_python

ROOT = Path(__file__).resolve().parents[2]
AARCH64 = 183
# PEP 552: bytecode by the hash of its source, which is not looked at.
UNCHECKED_HASH = 0b01
# Runs in Python 3.13, which alone reads its own bytecode: what is wrong with each file's.
PROGRAM = """
import importlib.util, json, marshal, pathlib, sys
layer, flags_wanted = pathlib.Path(sys.argv[1]), int(sys.argv[2])
wrong = {}
for source in layer.rglob("*.py"):
    file = pathlib.Path(importlib.util.cache_from_source(str(source)))
    data = file.read_bytes() if file.exists() else b""
    flags = int.from_bytes(data[4:8], "little")
    expected = "/opt/" + str(source.relative_to(layer))
    if data[:4] != importlib.util.MAGIC_NUMBER or flags != flags_wanted:
        wrong[str(source)] = [data[:8].hex()]
    elif data[8:16] != importlib.util.source_hash(source.read_bytes()):
        wrong[str(source)] = ["of another source"]
    elif marshal.loads(data[16:]).co_filename != expected:
        wrong[str(source)] = [marshal.loads(data[16:]).co_filename]
print(json.dumps(wrong))
"""


@dataclass(frozen=True)
class Built:
    folder: Path
    said: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("layer")
    python = find_python()
    path = [str(python.parent)] if python else []
    done = subprocess.run(
        ["make", "build-PackshotLayer"],
        cwd=ROOT / "layers/packshot",
        env={
            **os.environ,
            "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
            "ARTIFACTS_DIR": str(folder),
            "PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return Built(folder, done.stdout)


def test_every_module_has_bytecode_that_is_used_whatever_its_date(built: Built) -> None:
    python = find_python()
    if python is None:
        # Nothing here can make it: then there is none at all, and the build says so.
        assert "no bytecode" in built.said
        assert not list(built.folder.rglob("*.pyc"))
        return
    done = subprocess.run(
        [str(python), "-I", "-c", PROGRAM, str(built.folder), str(UNCHECKED_HASH)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {}
    assert len(list(built.folder.rglob("*.pyc"))) > 500


def test_what_is_compiled_is_for_lambdas_processor_and_python(built: Built) -> None:
    libraries = list(built.folder.rglob("*.so*"))
    assert libraries
    for library in libraries:
        machine: int = struct.unpack_from("<H", library.read_bytes(), 18)[0]
        assert machine == AARCH64, library
        version = re.search(r"cpython-(\d+)", library.name)
        assert version is None or version[1] == "313", library


def test_the_services_that_are_called_are_described(built: Built) -> None:
    code = [*ROOT.glob("functions/*/app.py"), *ROOT.glob("layers/packshot/packshot/*.py")]
    called = {
        name for file in code for name in re.findall(r'client\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    data = built.folder / "python/botocore/data"
    assert called == {path.name for path in data.iterdir() if path.is_dir()}


def test_it_is_small(built: Built) -> None:
    size_bytes = sum(path.stat().st_size for path in built.folder.rglob("*") if path.is_file())
    assert size_bytes < 60_000_000


def test_every_handler_imports_with_the_layers_own_packages_and_no_others(tmp_path: Path) -> None:
    """With Lambda's Python, where there is one: arm64 does not run here, but the pins are the same."""
    python = find_python()
    layer = tmp_path / "layer"
    build = {"PLATFORMS": ""} if python else {"HOST_LAYER": "1"}
    subprocess.run(
        ["make", "build-PackshotLayer", *(f"{name}={value}" for name, value in build.items())],
        cwd=ROOT / "layers/packshot",
        env={**os.environ, "ARTIFACTS_DIR": str(layer), "PYTHON": sys.executable},
        capture_output=True,
        check=True,
    )
    handlers = sorted((ROOT / "functions").glob("*/app.py"))
    assert len(handlers) == 4
    for handler in handlers:
        program = "import sys; sys.path[:0] = sys.argv[1:]; import app"
        # Without this machine's site-packages, and without its environment.
        subprocess.run(
            [python or sys.executable, "-I", "-S", "-B", "-c", program, handler.parent, layer / "python"],
            env={},
            check=True,
        )
