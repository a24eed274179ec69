"""What a cold start costs: a function's imports and clients, in new processes of Python 3.13.

Measured on the layer as it is deployed, made by its own recipe for this machine's processor, and on the same
files without bytecode, as a plain `sam build` ships them.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.designs import FOLDER

ROOT = FOLDER.parent
# What constructs a function's collaborators; the textbook's are made as its module is imported.
CASES = {
    "SubmitFunction": ("functions/submit", "submitter"),
    "CheckStatusFunction": ("functions/check_status", "checker"),
    "FinalizeFunction": ("functions/finalize", "finalizer"),
    "SweepFunction": ("functions/sweep", "sweeper"),
}
TEXTBOOK = "the textbook's status check"
TEXTBOOK_CASE = ("benchmarks/textbook/check_status", None)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "packshot",
    "POWERTOOLS_METRICS_NAMESPACE": "Packshot",
    "SEGMIND_BASE_URL": "https://api.segmind.com",
    "API_KEY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:key",
    "JOB_TABLE_NAME": "jobs",
    "EVENT_BUS_NAME": "bus",
    "UPLOAD_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/uploads",
    "WORKFLOW_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:workflow",
    "OUTPUT_BUCKET_NAME": "images",
    "OUTPUT_HOSTS": "images.segmind.com",
    "MAX_IMAGE_BYTES": "50000000",
    "MAX_PHOTO_BYTES": "20000000",
    "MAX_SUBMITS_PER_JOB": "3",
    "IMAGE_PRICE_USD": "0.0891",
    "REQUESTS_A_MINUTE": "1000",
    "SUBMIT_CONCURRENCY": "30",
    "SCENE_PROMPT": "in a living room",
    "SCENE_ASPECT_RATIO": "1:1",
    "SCENE_IMAGE_FORMAT": "webp",
    "SCENE_QUALITY": "95",
    "SCENE_SEED": "-1",
    "SCENE_LORA": "product_photography",
}
# Runs in the new process: the layer, the function's folder and its constructor are its arguments.
PROGRAM = """
import json, sys, time
layer, folder, constructor = sys.argv[1:]
sys.path[:0] = [folder, layer]
began = time.perf_counter()
import app
if constructor:
    getattr(app, constructor)()
milliseconds = 1000 * (time.perf_counter() - began)
with open("/proc/self/status") as status:
    peak_kib = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(json.dumps([milliseconds, 1024 * int(peak_kib)]))
"""


@dataclass(frozen=True)
class Milliseconds:
    """Of several runs: the median, and the quartiles around it."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class ColdStart:
    """Of one function: with the bytecode that is deployed, without any, and the memory it takes so far."""

    built: Milliseconds
    naive: Milliseconds
    peak_bytes: int

    @property
    def share(self) -> float:
        return self.built.median / self.naive.median


@dataclass(frozen=True)
class ColdStarts:
    """By function, and of the textbook's status check."""

    python: str
    runs: int
    functions: Mapping[str, ColdStart]
    textbook_check: Milliseconds

    @property
    def check_share(self) -> float:
        """Our status check's time as a share of the textbook's, both with bytecode."""
        return self.functions["CheckStatusFunction"].built.median / self.textbook_check.median


def measure(runs: int) -> ColdStarts | None:
    """Build both artifacts and start every function so often, by turns; None where no Python 3.13 runs."""
    python = find_python()
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built, naive = Path(folder, "built"), Path(folder, "naive")
        build_layer(built, python)
        shutil.copytree(built, naive, ignore=shutil.ignore_patterns("__pycache__"))
        textbook = Path(folder, "textbook")
        install_textbook(textbook, python)
        times: dict[str, dict[Path, list[tuple[float, int]]]] = {
            **{name: {built / "python": [], naive / "python": []} for name in CASES},
            TEXTBOOK: {textbook: []},
        }
        for _ in range(runs):
            for name, (code, constructor) in {**CASES, TEXTBOOK: TEXTBOOK_CASE}.items():
                for layer, found in times[name].items():
                    found.append(_start(python, layer, ROOT / code, constructor))
    (textbook_times,) = times.pop(TEXTBOOK).values()
    functions = {
        name: ColdStart(_milliseconds(of_built), _milliseconds(of_naive), max(peak for _, peak in of_built))
        for name, (of_built, of_naive) in ((name, of.values()) for name, of in times.items())
    }
    return ColdStarts(_version(python), runs, functions, _milliseconds(textbook_times))


def build_layer(folder: Path, python: Path) -> None:
    """Make the layer by its own recipe, but for this machine's processor. Raises CalledProcessError."""
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["make", "-C", str(ROOT / "layers/packshot"), "build-PackshotLayer", "PLATFORMS="],
        env={**os.environ, "PATH": path, "ARTIFACTS_DIR": str(folder), "PYTHON": sys.executable},
        check=True,
        capture_output=True,
    )


def install_textbook(folder: Path, python: Path) -> None:
    """What the textbook's function would have in its layer, with bytecode. Raises CalledProcessError."""
    file = FOLDER / "textbook/requirements.txt"
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "--no-compile"]
    target = ["--only-binary=:all:", "--python-version", "3.13", "--target", str(folder), "-r", str(file)]
    subprocess.run([*pip, *target], check=True, capture_output=True)
    compiled = [str(python), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    subprocess.run(compiled, check=True, capture_output=True)


def find_python() -> Path | None:
    """A Python 3.13 that runs; a shim of that name may be on PATH and run nothing."""
    return next((path for path in _pythons() if _version(path).startswith("3.13.")), None)


def _pythons() -> Iterator[Path]:
    if found := shutil.which("python3.13"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/3.13.*/bin/python3.13"))


def _version(python: Path) -> str:
    done = subprocess.run(
        [str(python), "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _start(python: Path, layer: Path, code: Path, constructor: str | None) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python), "-I", "-S", "-B", "-c", PROGRAM, str(layer), str(code), constructor or ""],
            env={**ENVIRONMENT, "HOME": home},
            capture_output=True,
            check=True,
        )
    milliseconds, peak_bytes = json.loads(done.stdout)
    return milliseconds, peak_bytes


def _milliseconds(found: Sequence[tuple[float, int]]) -> Milliseconds:
    low, median, high = statistics.quantiles([milliseconds for milliseconds, _ in found], n=4)
    return Milliseconds(low, median, high)


def main() -> None:
    """Print what was measured."""
    found = measure(7)
    table = Table("function", "built, ms", "naive, ms", "share", "MB")
    if found is not None:
        for name, start in found.functions.items():
            table.add_row(
                name,
                f"{start.built.median:.0f} ({start.built.low:.0f} to {start.built.high:.0f})",
                f"{start.naive.median:.0f} ({start.naive.low:.0f} to {start.naive.high:.0f})",
                f"{start.share:.2f}",
                f"{start.peak_bytes / 1e6:.0f}",
            )
        table.add_row(TEXTBOOK, f"{found.textbook_check.median:.0f}", "", f"{found.check_share:.2f}")
    Console().print(table if found else "no Python 3.13 runs here")


if __name__ == "__main__":
    main()
