"""The emulator on a loopback port: uvicorn, with a hold on its connections and an end without delay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"


class PortInUseError(Exception):
    """Somebody listens on the wanted port."""


class _Protocol(H11Protocol):
    """Puts the connection's transport into each request's `scope["state"]`, so that a fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class EmulatorServer(uvicorn.Server):
    """Ends at once and with success: uvicorn waits for open requests, and dies of the signal it was sent.

    `run(sockets=[listen(port)])` serves until SIGINT, SIGTERM or `should_exit`; `on_ready` is called when the
    first call can be made.
    """

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # Longer than a client keeps an idle connection: only faults break connections, never a race.
                timeout_keep_alive=300,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()
        await super().shutdown(sockets)


def listen(port: int) -> socket.socket:
    """Take a port of loopback, 0 for any free one; raises PortInUseError."""
    # Not socket.create_server: it names no protocol, for want of which asyncio leaves out TCP_NODELAY,
    # and each answer takes 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortInUseError(f"Port {port} cannot be used: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"
