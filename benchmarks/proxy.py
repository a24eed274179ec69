"""A proxy before the local cloud's AWS: it sees every request of the functions, and passes it on."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# The setting AWS_SDK_UA_APP_ID of the SDKs, which `designs` sets to the function's logical id.
_APP_ID = re.compile(r"\bapp/(\w+)")
_HOP_BY_HOP = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "content-length",
}
_S3_BY_METHOD = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject"}
# Whoever has a presigned URL.
GUEST = "Segmind"


@dataclass(frozen=True)
class AwsRequest:
    """One request and its answer; bucket, key and version are of S3, the bodies JSON if they were."""

    answered_at: datetime
    function: str
    service: str
    operation: str
    status_code: int
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    answer_bytes: int = 0
    body: Any = None
    answer: Any = None

    @property
    def name(self) -> str:
        """As AWS's documentation names it."""
        return f"{self.service}:{self.operation}"


class AwsProxy:
    """What was seen so far, in the order of the answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._seen: list[AwsRequest] = []
        self._lock = Lock()

    def add(self, request: AwsRequest) -> None:
        with self._lock:
            self._seen.append(request)

    def seen(self) -> list[AwsRequest]:
        with self._lock:
            return list(self._seen)


@contextmanager
def aws_proxy(upstream_port: int) -> Iterator[AwsProxy]:
    """A proxy on a free port of loopback, until the block ends."""

    class Handler(_Handler):
        def setup(self) -> None:
            super().setup()
            self.upstream = http.client.HTTPConnection("127.0.0.1", upstream_port, timeout=120)
            self.proxy = proxy

        def finish(self) -> None:
            super().finish()
            self.upstream.close()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = AwsProxy(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: http.client.HTTPConnection
    proxy: AwsProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            answer, answer_body = self._ask(body)
        except (http.client.HTTPException, OSError):
            # A kept connection was closed meanwhile: as any client does, once more.
            self.upstream.close()
            answer, answer_body = self._ask(body)
        self.proxy.add(
            described(self.command, self.path, dict(self.headers), body, answer.status, answer_body)
        )
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(answer_body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(answer_body)

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.upstream.putheader(name, value)
        if body or self.command in {"PUT", "POST"}:
            self.upstream.putheader("Content-Length", str(len(body)))
        self.upstream.endheaders(body or None)
        answer = self.upstream.getresponse()
        return answer, answer.read()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a path may be a presigned URL."""


def described(
    method: str, path: str, headers: Mapping[str, str], body: bytes, status_code: int, answer: bytes
) -> AwsRequest:
    """What a request was, from what went over the wire."""
    fields = {name.lower(): value for name, value in headers.items()}
    app_id = _APP_ID.search(fields.get("user-agent", ""))
    common: dict[str, Any] = {
        "answered_at": datetime.now(UTC),
        "function": app_id[1] if app_id else "",
        "status_code": status_code,
        "answer_bytes": len(answer),
    }
    if target := fields.get("x-amz-target"):
        service, _, operation = target.rpartition(".")
        service = service.partition("_")[0].removeprefix("Amazon").removeprefix("AWS")
        return AwsRequest(
            service=service, operation=operation, body=_json(body), answer=_json(answer), **common
        )
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    if "X-Amz-Signature" in query:
        common["function"] = GUEST
    bucket, _, key = parts.path.lstrip("/").partition("/")
    (version_id,) = query.get("versionId", [""])
    of_bucket = "GetBucketVersioning" if "versioning" in query else "ListObjects"
    operation = _S3_BY_METHOD.get(method, method) if key else of_bucket
    return AwsRequest(
        service="S3",
        operation=operation,
        bucket=bucket,
        key=unquote(key),
        version_id=version_id,
        **common,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
