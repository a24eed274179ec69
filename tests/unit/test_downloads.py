"""An image is fetched from the hosts on the list alone, whole, bounded, and without any key."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from packshot import downloads
from packshot.downloads import Downloader, DownloadError, ForbiddenOutputError, check_allowed
from packshot.http_session import NoRedirectSession
from tests.unit.wire import Step, Wire, answer

HOSTS = frozenset({"images.segmind.com", "127.0.0.1:8766", "[::1]:8766", "localhost:8766"})
LOCAL = "http://127.0.0.1:8766/generations/made.webp"
DATA = bytes(range(256)) * 40


def downloader(max_bytes: int = 100_000) -> Downloader:
    return Downloader(HOSTS, max_bytes, NoRedirectSession())


def fetched(url: str = LOCAL, max_bytes: int = 100_000) -> bytes:
    with downloader(max_bytes).fetch(url) as file:
        return file.read()


# -- the list --


@pytest.mark.parametrize(
    "url",
    [
        "https://images.segmind.com/generations/made.webp",
        "https://IMAGES.Segmind.COM/made.webp",
        "HTTPS://images.segmind.com/made.webp",
        "https://images.segmind.com:443/made.webp",
        "https://images.segmind.com/made.webp?token=1#x",
        "https://images.segmind.com",
        "http://127.0.0.1:8766/made.webp",
        "http://localhost:8766/made.webp",
        "http://[::1]:8766/made.webp",
        "https://127.0.0.1:8766/made.webp",
    ],
)
def test_a_host_on_the_list_is_allowed(url: str) -> None:
    check_allowed(url, HOSTS)


FORBIDDEN = [
    "http://images.segmind.com/made.webp",
    "http://images.segmind.com:443/made.webp",
    "ftp://images.segmind.com/made.webp",
    "file:///etc/passwd",
    "//images.segmind.com/made.webp",
    "images.segmind.com/made.webp",
    "",
    "https://images.segmind.com:8443/made.webp",
    "https://images.segmind.com:80/made.webp",
    "https://images.segmind.com:0/made.webp",
    "https://images.segmind.com:99999/made.webp",
    "https://images.segmind.com./made.webp",
    "https://images.segmind.com.evil.example/made.webp",
    "https://evilimages.segmind.com/made.webp",
    "https://a.images.segmind.com/made.webp",
    "https://segmind.com/made.webp",
    "https://images-segmind.com/made.webp",
    "https://user@images.segmind.com/made.webp",
    "https://user:password@images.segmind.com/made.webp",  # pragma: allowlist secret
    "https://@images.segmind.com/made.webp",
    "https://images.segmind.com@evil.example/made.webp",
    "https://images.segmind.com:443@evil.example/made.webp",
    "https://evil.example\\@images.segmind.com/made.webp",
    "https://images.segmind.com\\@evil.example/made.webp",
    "https://evil.example/?https://images.segmind.com/",
    "https://evil.example#@images.segmind.com/",
    "https://images.segmind.com%2eevil.example/made.webp",
    "https://images%2esegmind.com/made.webp",
    "https://\uff49mages.segmind.com/made.webp",
    "https://[images.segmind.com]/made.webp",
    "https://[::1",
    "https://127.0.0.1/made.webp",
    "http://127.0.0.1/made.webp",
    "http://127.0.0.1:8767/made.webp",
    "http://127.0.0.2:8766/made.webp",
    "http://127.1:8766/made.webp",
    "http://2130706433:8766/made.webp",
    "http://0x7f000001:8766/made.webp",
    "http://[::ffff:127.0.0.1]:8766/made.webp",
    "http://localhost/made.webp",
    "http://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/made.webp",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_nothing_else_is_and_nothing_is_called(wire: Wire, url: str) -> None:
    with pytest.raises(ForbiddenOutputError):
        downloader().fetch(url)
    assert not wire.connected


def test_plain_http_is_for_loopback_even_on_the_list() -> None:
    for url in ("http://10.0.0.1:80/", "http://images.segmind.com/", "http://0.0.0.0/"):
        with pytest.raises(ForbiddenOutputError):
            check_allowed(url, frozenset({urlsplit(url).hostname or ""}))


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_refusal_holds_no_query(url: str) -> None:
    with pytest.raises(ForbiddenOutputError) as refusal:
        check_allowed(f"{url}?token=SECRET" if "?" not in url else url + "SECRET", HOSTS)
    assert "SECRET" not in str(refusal.value)


pieces = st.sampled_from(
    [
        "https:",
        ":",
        "/",
        "//",
        "\\",
        "@",
        "#",
        "?",
        "%",
        ".",
        "[",
        "]",
        "\t",
        "\n",
        " ",
        ":8766",
        ":443",
        "\0",
    ]
) | st.sampled_from(
    ["images.segmind.com", "127.0.0.1", "evil.example", "[::1]", "\u3002", "\uff05", "\u2028", ""]
)
few = st.lists(pieces | st.text(max_size=1), max_size=3).map("".join)
allowed_hosts = st.sampled_from(["images.segmind.com", "127.0.0.1:8766", "[::1]:8766", "localhost:8766"])


@given(st.sampled_from(["https://", "http://", ""]), few, allowed_hosts, few)
@example("https://", "", "images.segmind.com", "\\evil.example/")
@example("https://", "", "images.segmind.com", "\t.evil.example/")
@example("https://", "", "images.segmind.com", "/made.webp")
def test_what_is_allowed_is_what_would_be_called(scheme: str, before: str, host: str, after: str) -> None:
    """The list is checked by one parser and the call made by another: they must agree."""
    url = scheme + before + host + after
    try:
        check_allowed(url, HOSTS)
        called = urllib3.util.parse_url(requests.Request("GET", url).prepare().url or "")
    except (ForbiddenOutputError, requests.exceptions.RequestException):
        return
    assert called.auth is None
    name = (called.host or "").casefold()
    default_port = {"https": 443, "http": 80}[called.scheme or ""]
    assert (name if called.port in {None, default_port} else f"{name}:{called.port}") in HOSTS


# -- redirects --


def redirect(location: str, status_code: int = 302) -> list[Step]:
    return answer(status_code, headers={"Location": location})


@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_list_is_followed(wire: Wire, status_code: int) -> None:
    wire.will(
        redirect("/moved.webp", status_code), redirect("http://[::1]:8766/there.webp"), answer(body=DATA)
    )
    assert fetched() == DATA
    assert [seen.path for seen in wire.seen] == ["/generations/made.webp", "/moved.webp", "/there.webp"]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://evil.example/",
        "//evil.example/",
        "http://127.0.0.1:8767/",
        "http://images.segmind.com/",
        "file:///etc/passwd",
        "https://[evil",
        "http://127.0.0.1:8766@evil.example/",
    ],
)
def test_a_redirect_out_of_the_list_is_not(wire: Wire, location: str) -> None:
    wire.will(redirect(location))
    with pytest.raises(ForbiddenOutputError):
        fetched()
    assert len(wire.connected) == 1


def test_redirects_have_an_end(wire: Wire) -> None:
    wire.will(*[redirect("/again.webp")] * 10)
    with pytest.raises(ForbiddenOutputError, match="redirects"):
        fetched()
    assert len(wire.seen) == 4


# -- what is fetched --


def test_a_file_is_whole_at_its_start_and_only_asked_for(wire: Wire) -> None:
    wire.will(answer(body=DATA))
    with downloader().fetch(LOCAL) as file:
        assert file.tell() == 0
        assert file.read() == DATA
        assert file.seekable()
    (seen,) = wire.seen
    assert seen.method == "GET"
    assert {name.casefold() for name in seen.headers} <= {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    }


def test_a_file_may_come_in_chunks_or_end_with_the_connection(wire: Wire) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(DATA),
        DATA,
    )
    wire.will([chunked], [b"HTTP/1.1 200 OK\r\n\r\n", DATA])
    assert fetched() == DATA
    assert fetched() == DATA


def test_a_file_of_just_the_allowed_size_is_fetched(wire: Wire) -> None:
    wire.will(answer(body=DATA))
    assert fetched(max_bytes=len(DATA)) == DATA


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_that_is_too_large_is_not_read_to_its_end(wire: Wire, declared: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000000000\r\n" if declared else b"") + b"\r\n"
    endless: list[Step] = [head, *[b"x" * 8192] * 40, AssertionError("read on and on")]
    wire.will(endless)
    with pytest.raises(ForbiddenOutputError, match="more than 100000 bytes"):
        fetched()


CUT: dict[str, list[Step]] = {
    "cut short": [b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", DATA],
    "reset": [b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", DATA, ConnectionResetError(104, "reset")],
    "no more": [b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", DATA, TimeoutError("timed out")],
    "a chunk that is cut": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", DATA],
    "no answer": [TimeoutError("timed out")],
    "no HTTP": [b"hello\r\n\r\n"],
    "not there": answer(404, b"<html>"),
    "server error": answer(500),
    "a redirect to nowhere": answer(302),
    "nothing": answer(204),
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_did_not_come_whole_may_be_asked_for_again(wire: Wire, name: str) -> None:
    wire.will(CUT[name])
    with pytest.raises(DownloadError) as failure:
        fetched(LOCAL + "?token=SECRET")
    assert "SECRET" not in str(failure.value)


def test_no_connection_is_worth_another_try(wire: Wire) -> None:
    wire.cannot_connect = [ConnectionRefusedError(111, "Connection refused")]
    with pytest.raises(DownloadError):
        fetched()


def test_a_file_that_drips_is_cut_by_its_total_time(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TOTAL_TIMEOUT_SECONDS", 0.05)
    drop: list[Step] = [b"x", 0.01]
    wire.will([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *drop * 1000])
    with pytest.raises(DownloadError):
        fetched()
    assert len(wire.seen) == 1


# -- over HTTPS --


class Https(HTTPAdapter):
    """Answers every call with the data, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.asked.append(request)
        self.options.append(options)
        return self.build_response(
            request,
            urllib3.HTTPResponse(io.BytesIO(DATA), status=200, preload_content=False),
        )


def test_an_image_is_fetched_over_https_with_its_certificate_checked_and_time_outs() -> None:
    session = NoRedirectSession()
    https = Https()
    session.mount("https://", https)
    url = "https://images.segmind.com/generations/made.webp?token=1"
    with Downloader(HOSTS, 100_000, session).fetch(url) as file:
        assert file.read() == DATA
    ((asked, options),) = zip(https.asked, https.options, strict=True)
    assert asked.url == url
    assert "x-api-key" not in asked.headers
    assert "Authorization" not in asked.headers
    assert options["verify"] is not False
    assert options["timeout"] == (downloads.CONNECT_TIMEOUT_SECONDS, downloads.READ_TIMEOUT_SECONDS)
