"""How much memory FinalizeFunction's work takes, for small and for large images of each format.

Every image is finalized in a process of its own: fetched over HTTP, judged, and put to S3 by boto3, both on
loopback. The table, the events and Segmind's answer are stand-ins; none of them knows how large an image is.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from PIL import Image
from rich.console import Console
from rich.table import Table

from packshot import segmind_answers as answers
from packshot.aws import CONFIG
from packshot.downloads import Downloader
from packshot.http_session import NoRedirectSession
from packshot.image_store import ImageStore
from packshot.job import JobState
from packshot.scene import ImageFormat, Scene
from tests.unit.fakes import World, a_job

SIZES_BYTES = (500_000, 40_000_000)
MAX_IMAGE_BYTES = 50_000_000
_ROOT = Path(__file__).resolve().parents[1]
_PART_BYTES = 64 * 1024
_TIMEOUT_SECONDS = 60
# The working process takes this and no more from its environment: no proxy, no AWS account.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class PeakMemory:
    """The most that a process held while it finalized one image, Python and its libraries included."""

    format: str
    size_bytes: int
    peak_bytes: int


class MemoryNotMeasuredError(Exception):
    """The image was not finalized."""


def measure() -> list[PeakMemory]:
    """The peak for each format and size, the formats one after the other. Raises MemoryNotMeasuredError."""
    return [
        PeakMemory(name, len(data), _peak_of(name, data))
        for name, image_of in _IMAGES.items()
        for data in (image_of(size_bytes) for size_bytes in SIZES_BYTES)
    ]


# -- images of a size: noise, so that it does not get lost in compression --


def _noise(pixels: float, image_format: str, **options: Any) -> bytes:
    side = math.ceil(math.sqrt(pixels))
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(file, image_format, **options)
    return file.getvalue()


def _jpeg(size_bytes: int) -> bytes:
    """Baseline: of a progressive one the decoder holds all coefficients, 6 bytes a pixel."""
    return _noise(size_bytes / 2.4, "JPEG", quality=95, subsampling=0)


def _png(size_bytes: int) -> bytes:
    return _noise(size_bytes / 3, "PNG", compress_level=0)


def _png_of_one_chunk(size_bytes: int) -> bytes:
    """As encoders that do not stream write it: all pixels in one IDAT."""
    data, at, chunks = _png(size_bytes), 8, []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    pixels = b"".join(part for kind, part in chunks if kind == b"IDAT")
    joined = [chunks[0], (b"IDAT", pixels), (b"IEND", b"")]
    return data[:8] + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in joined
    )


def _webp(size_bytes: int) -> bytes:
    return _noise(size_bytes / 3, "WEBP", lossless=True, quality=0, method=0)


def _webp_with_metadata(size_bytes: int) -> bytes:
    return _noise(400, "WEBP", xmp=bytes(size_bytes))


_IMAGES = {
    "jpeg": _jpeg,
    "png": _png,
    "png, one chunk": _png_of_one_chunk,
    "webp": _webp,
    "webp, metadata": _webp_with_metadata,
}


# -- the two hosts --


@contextmanager
def _serving(data: bytes, taken: list[int]) -> Iterator[str]:
    """An image's host, and an S3 in which nothing stands; `taken` gets the size of each body that was put."""

    class Host(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, data)

        def do_HEAD(self) -> None:
            self._answer(404)

        def do_PUT(self) -> None:
            left = int(self.headers["Content-Length"])
            taken.append(left)
            while left:
                left -= len(self.rfile.read(min(left, _PART_BYTES)))
            self._answer(200)

        def _answer(self, status_code: int, body: bytes = b"") -> None:
            self.send_response(status_code)
            self.send_header("ETag", '"made-up"')
            self.send_header("x-amz-version-id", "version-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# -- the working process --


def _peak_of(name: str, data: bytes) -> int:
    taken: list[int] = []
    with _serving(data, taken) as host_url:
        work = "import sys, benchmarks.memory; benchmarks.memory.finalize_one(*sys.argv[1:])"
        ran = subprocess.run(
            [sys.executable, "-c", work, host_url, name.partition(",")[0]],
            cwd=_ROOT,
            env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    if ran.returncode != 0 or taken != [len(data)]:
        raise MemoryNotMeasuredError(f"{name}, {len(data)} bytes: {taken} bytes put; {ran.stderr[-2000:]}")
    return int(json.loads(ran.stdout)["peak_bytes"])


def finalize_one(host_url: str, image_format: ImageFormat) -> None:
    """Finalize the image at a host, and print what this process took; raises when there is no image then."""
    client = boto3.client(
        "s3",
        endpoint_url=host_url,
        region_name="eu-west-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="made-up",  # noqa: S106
        config=CONFIG,
    )
    world = World()
    finalizer = replace(
        world.finalizer,
        downloader=Downloader(frozenset({urlsplit(host_url).netloc}), MAX_IMAGE_BYTES, NoRedirectSession()),
        images=ImageStore(client, "images", None),
    )
    world.segmind.results = [answers.Completed(answers.Output(url=f"{host_url}/image"), None, None)]
    job = world.table.keep(a_job(parameters=Scene(prompt="a kitchen", image_format=image_format)))
    ended = finalizer.finalize(job.job_id, job.attempt)
    if ended is None or ended.state is not JobState.COMPLETED:
        raise MemoryNotMeasuredError(ended.error if ended else "the job moved on")
    sys.stdout.write(json.dumps({"peak_bytes": _peak_bytes()}))


def _peak_bytes() -> int:
    """The most that this process held.

    On Linux ru_maxrss survives an exec: it may be the peak of whoever started the process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE)
        return int(kibibytes) * 1024
    # macOS counts in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# -- told --


def main() -> None:
    """Print what was measured, and by how much the peak grows with the image."""
    measured = measure()
    table = Table("format", "image", "peak", "growth")
    for name in _IMAGES:
        small, *larger = [each for each in measured if each.format == name]
        table.add_row(name, _megabytes(small.size_bytes), _megabytes(small.peak_bytes), "")
        for each in larger:
            growth = _megabytes(each.peak_bytes - small.peak_bytes)
            table.add_row("", _megabytes(each.size_bytes), _megabytes(each.peak_bytes), growth)
    Console().print(table)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"


if __name__ == "__main__":
    main()
