"""Fetching a finished image from where the API says it is: only from allowed hosts, bounded, to a file."""

from __future__ import annotations

import http.client
import ipaddress
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions

from packshot.http_session import NoRedirectSession

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 8.0
# Of one fetch with its redirects; a read that has begun may end later. With a result call and FETCHES of
# `finalizing`, a file that stays wrong has failed within two minutes.
TOTAL_TIMEOUT_SECONDS = 25.0
MAX_REDIRECTS = 3
_CHUNK_BYTES = 256 * 1024


class DownloadError(Exception):
    """The image could not be fetched this time: a network or server fault, or a file cut short. Try again."""


class CutShortError(DownloadError):
    """The host's answer ended before the whole file had come."""


class ForbiddenOutputError(Exception):
    """The image is somewhere, or something, that will not be fetched, however often one tries."""


@dataclass(frozen=True)
class Downloader:
    """Fetches files from the hosts on the list (`host` or `host:port`, lower case), up to `max_bytes`."""

    hosts: frozenset[str]
    max_bytes: int
    session: NoRedirectSession

    def fetch(self, url: str) -> BinaryIO:
        """The file, complete, at its start, to be closed by the caller. Memory stays constant.

        Raises DownloadError (CutShortError when the file itself was not whole) or ForbiddenOutputError.
        """
        ends_at = time.monotonic() + TOTAL_TIMEOUT_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            check_allowed(url, self.hosts)
            left_seconds = ends_at - time.monotonic()
            if left_seconds <= 0:
                raise _too_slow()
            try:
                with self._get(url, left_seconds) as response:
                    if response.is_redirect:
                        url = _target(url, response.headers["location"])
                        continue
                    if response.status_code != 200:
                        raise DownloadError(f"the image's host answered HTTP {response.status_code}")
                    return self._to_file(response, ends_at)
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
                if _cut_short(error):
                    raise CutShortError("the image was cut short") from error
                raise DownloadError(f"the image could not be fetched: {type(error).__name__}") from error
        raise ForbiddenOutputError(f"more than {MAX_REDIRECTS} redirects")

    def _get(self, url: str, left_seconds: float) -> requests.Response:
        return self.session.get(
            url,
            timeout=(min(CONNECT_TIMEOUT_SECONDS, left_seconds), min(READ_TIMEOUT_SECONDS, left_seconds)),
            allow_redirects=False,
            stream=True,
            headers={"Accept-Encoding": "identity"},
        )

    def _to_file(self, response: requests.Response, ends_at: float) -> BinaryIO:
        with ExitStack() as on_failure:
            file = on_failure.enter_context(tempfile.TemporaryFile())
            # What has come is taken at once: a whole chunk of a dripping body may never come.
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                file.write(chunk)
                if file.tell() > self.max_bytes:
                    raise ForbiddenOutputError(f"the image has more than {self.max_bytes} bytes")
                if time.monotonic() > ends_at:
                    raise _too_slow()
            file.seek(0)
            on_failure.pop_all()
            return file


def _too_slow() -> DownloadError:
    return DownloadError(f"the image took more than {TOTAL_TIMEOUT_SECONDS:.0f} s")


def _cut_short(error: Exception) -> bool:
    """Whether a body ended before its length, or its last chunk, was reached; a broken connection is none."""
    return any(isinstance(inner, http.client.IncompleteRead) for inner in (error, *error.args))


def _target(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise ForbiddenOutputError("the image's host redirects to a malformed address") from None


def check_allowed(url: str, hosts: frozenset[str]) -> None:
    """Raise ForbiddenOutputError unless it is HTTPS on a host of the list; plain HTTP only on loopback."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ForbiddenOutputError("the image's address is malformed") from None
    name = f"[{host}]" if ":" in host else host
    if port is not None and port != {"https": 443, "http": 80}.get(parts.scheme):
        name = f"{name}:{port}"
    if name not in hosts or parts.username is not None:
        raise ForbiddenOutputError(f"the image's host is not on the list of output hosts: {name[:255]}")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ForbiddenOutputError(f"the image's address is not HTTPS: {parts.scheme[:20]}://{name[:255]}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
