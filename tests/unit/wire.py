"""Servers below urllib3: connections are made, bytes are sent and answered, and no socket is opened.

What a client does on the wire is what these tests are about: which host it calls and with which headers, how
often, on which connection, and what it makes of an answer that breaks off.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest

Step = bytes | float | Exception
"""What a server does next: sends bytes, lets so many seconds pass, or breaks the connection."""


def answer(
    status_code: int = 200, body: object = b"", *, headers: dict[str, str] | None = None
) -> list[Step]:
    """A whole answer; anything but bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(data)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return [f"HTTP/1.1 {status_code} Words\r\n{head}\r\n".encode("latin-1"), data]


@dataclass
class Seen:
    """A request as the server saw it."""

    connection: int
    address: tuple[str, int]
    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """The network: what was seen on it, and what the servers will do, in order."""

    to_come: list[Sequence[Step]] = field(default_factory=list)
    cannot_connect: list[Exception] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)

    def will(self, *answers: Sequence[Step]) -> None:
        self.to_come.extend(answers)

    def connect(self, address: tuple[str, int], *_: object, **__: object) -> _Socket:
        self.connected.append(address)
        if self.cannot_connect:
            raise self.cannot_connect.pop(0)
        return _Socket(self, len(self.connected), address)


class _Socket:
    def __init__(self, wire: Wire, number: int, address: tuple[str, int]) -> None:
        self._wire, self._number, self._address = wire, number, address
        self._sent = b""
        # urllib3 polls a kept connection before it uses it again: an empty pipe looks alive.
        self._readable, self._writable = os.pipe()

    def fileno(self) -> int:
        return self._readable

    def sendall(self, data: bytes | Iterator[bytes]) -> None:
        self._sent += data if isinstance(data, bytes) else b"".join(data)

    def makefile(self, _mode: str, *_: object, **__: object) -> io.BufferedReader:
        head, body = self._sent.split(b"\r\n\r\n", 1)
        line, fields = head.split(b"\r\n", 1)
        method, path, _version = line.decode("ascii").split(" ", 2)
        headers = BytesParser().parsebytes(fields)
        self._wire.seen.append(Seen(self._number, self._address, method, path, headers, body))
        self._sent = b""
        return io.BufferedReader(_Steps(self._wire.to_come.pop(0)))

    def settimeout(self, _seconds: float | None) -> None: ...

    def shutdown(self, _how: int) -> None: ...

    def close(self) -> None:
        if self._number not in self._wire.closed:
            self._wire.closed.add(self._number)
            os.close(self._readable)
            os.close(self._writable)


class _Steps(io.RawIOBase):
    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._steps:
            match self._steps.pop(0):
                case Exception() as error:
                    raise error
                case bytes() as data if data:
                    taken = data[: len(buffer)]
                    if len(taken) < len(data):
                        self._steps.insert(0, data[len(taken) :])
                    buffer[: len(taken)] = taken
                    return len(taken)
                case float() as seconds:
                    time.sleep(seconds)
        return 0


@contextmanager
def wired() -> Iterator[Wire]:
    """All connections go to a wire, whatever proxy this machine has."""
    wire = Wire()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        connect: Callable[..., _Socket] = wire.connect
        patch.setattr("urllib3.util.connection.create_connection", connect)
        yield wire
