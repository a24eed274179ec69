"""What stands in front of the API: it counts the calls, and lets faults strike them.

Pure ASGI, because faults happen to answers and connections, below what a route can do.
"""

from __future__ import annotations

import asyncio
import io
import re
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from PIL import Image as Pillow
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packshot_cli.emulator import answers
from packshot_cli.emulator.faults import (
    Answer,
    Call,
    Failed,
    Faults,
    Lost,
    Reset,
    Slow,
    Truncated,
    WrongFile,
)
from packshot_cli.emulator.ledger import Ledger
from packshot_cli.emulator.settings import Settings

_PATHS: tuple[tuple[str, re.Pattern[str], Call], ...] = (
    ("GET", re.compile(r"/v2/requests/(?P<request_id>[^/]+)/status"), "status"),
    ("GET", re.compile(r"/v[12]/requests/(?P<request_id>[^/]+)"), "result"),
    ("GET", re.compile(r"/generations/(?P<image_name>[^/]+)"), "file"),
    ("GET", re.compile(r"/v1/get-user-credits"), "credits"),
    ("GET", re.compile(r"/inference-request/request-history(/(?P<request_id>[^/]+))?"), "history"),
    ("POST", re.compile(r"/v2/[^/]+"), "submit"),
    ("POST", re.compile(r"/v1/[^/]+"), "v1"),
)


@dataclass
class Tally:
    """What came in, by call, and how it was answered: a status code, `reset` or `lost`."""

    calls: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(get_args(Call), 0)))
    answers: dict[str, Counter[str]] = field(
        default_factory=lambda: {call: Counter() for call in get_args(Call)}
    )
    keys_seen_on_file_host: int = 0


@dataclass
class _Kept:
    """A whole answer, held back from the client."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def with_body(self, body: bytes, content_type: str | None = None) -> _Kept:
        """The same answer with another body, of which its headers tell the truth."""
        told = {b"content-length": str(len(body)).encode()}
        if content_type is not None:
            told[b"content-type"] = content_type.encode()
        kept = [(name, value) for name, value in self.headers if name not in told]
        return _Kept(self.status, kept + list(told.items()), body)

    async def send(self, send: Send, *, part: bytes | None = None) -> None:
        """Send the head, and the body or only a `part` of it, with more to come."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = self.body if part is None else part
        await send({"type": "http.response.body", "body": body, "more_body": part is not None})


class Gateway:
    """Middleware around the whole application; only calls of the API are counted and struck."""

    def __init__(
        self, app: ASGIApp, settings: Settings, ledger: Ledger, faults: Faults, tally: Tally
    ) -> None:
        self._app = app
        self._settings = settings
        self._ledger = ledger
        self._faults = faults
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called = _call_of(scope)
        try:
            if called is None:
                await self._app(scope, receive, send)
            else:
                await self._api_call(*called, scope, receive, send)
        except asyncio.CancelledError:
            # Calls are cancelled only by the end of the server, which has cut their connections already.
            # Let through, this would be reported as an error of the application.
            return

    async def _api_call(
        self, call: Call, names: dict[str, str | None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._tally.calls[call] += 1
        if call == "file" and any(name == b"x-api-key" for name, _ in scope["headers"]):
            self._tally.keys_seen_on_file_host += 1

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._tally.answers[call][str(message["status"])] += 1
            await send(message)

        request_id = names.get("request_id") or self._ledger.owner_of_image(names.get("image_name") or "")
        effect = self._faults.strike(call, random_seed=self._settings.random_seed, request_id=request_id)
        if isinstance(effect, Reset | Answer | Failed):
            await _read_request(receive)
        if isinstance(effect, Reset | Lost):
            if isinstance(effect, Lost):
                await self._app(scope, receive, _Kept().keep)
            self._tally.answers[call][effect.kind] += 1
            await _break(scope, receive, "reset")
        elif isinstance(effect, Answer | Failed):
            await self._other_answer(effect, request_id)(scope, receive, counted_send)
        elif effect is None:
            await self._app(scope, receive, counted_send)
        else:
            kept = _Kept()
            await self._app(scope, receive, kept.keep)
            await _distort(effect, kept, scope, receive, counted_send)

    def _other_answer(self, effect: Answer | Failed, request_id: str | None) -> Response:
        if isinstance(effect, Failed):
            body = answers.failed(request_id or "", effect.message, None, self._settings)
            return JSONResponse(body, status_code=422)
        if effect.html is not None:
            return HTMLResponse(effect.html, effect.status, effect.headers)
        body = answers.error(effect.status) if effect.json_body is None else effect.json_body
        return JSONResponse(body, effect.status, effect.headers)


def _call_of(scope: Scope) -> tuple[Call, dict[str, str | None]] | None:
    if scope["type"] == "http":
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for known_method, path, call in _PATHS:
            match = path.fullmatch(scope["path"])
            if method == known_method and match:
                return call, match.groupdict()
    return None


async def _distort(
    effect: Slow | Truncated | WrongFile, kept: _Kept, scope: Scope, receive: Receive, send: Send
) -> None:
    if isinstance(effect, Slow):
        await asyncio.sleep(effect.seconds)
        await kept.send(send)
    elif isinstance(effect, WrongFile):
        is_image = kept.status == 200 and kept.body
        await (_wrong_file(effect, kept) if is_image else kept).send(send)
    else:
        part = kept.body[: int(len(kept.body) * effect.keep)]
        if effect.declare_whole:
            await kept.send(send, part=part)
            await _break(scope, receive, "close")
        else:
            await kept.with_body(part).send(send)


def _wrong_file(effect: WrongFile, kept: _Kept) -> _Kept:
    declared = dict(kept.headers)[b"content-type"].decode()
    body, content_type = {
        "html": (answers.error_page(503).encode(), "text/html"),
        "text": (b"temporarily unavailable", "text/plain"),
        "empty": (b"", declared),
        "other_format": (_in_other_format(kept.body), declared),
    }[effect.content]
    return kept.with_body(body, effect.content_type or content_type)


def _in_other_format(picture: bytes) -> bytes:
    with Pillow.open(io.BytesIO(picture)) as image:
        other = io.BytesIO()
        image.convert("RGB").save(other, "JPEG" if image.format == "PNG" else "PNG")
        return other.getvalue()


async def _read_request(receive: Receive) -> None:
    # A client that is cut off, or answered, while it still sends sees another error each time.
    while (await receive()).get("more_body"):
        pass


async def _break(scope: Scope, receive: Receive, how: Literal["reset", "close"]) -> None:
    """End the connection without the (rest of the) answer.

    ASGI has no word for it, so the server's protocol class puts its transport into the scope's state. A reset
    is a TCP RST, which throws away what was not read yet; a close lets what was sent arrive.
    """
    transport: asyncio.Transport = scope["state"]["transport"]
    if how == "reset":
        connection: Any = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    # Returning before the server has noticed would have it complain about an unfinished answer.
    while (await receive())["type"] != "http.disconnect":
        pass
