"""The demo application's own web server: uvicorn, for which Ctrl-C is a good end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from pns.ops.serve.http_protocol import HTTPProtocol
from pns.ops.serve.websocket_protocol import WebSocketProtocol


class Server(uvicorn.Server):
    """Serves `application` until a signal or `stop`; calls `on_start` when the server can be reached."""

    def __init__(self, application: ASGIApp, *, on_start: Callable[[], object]) -> None:
        config = uvicorn.Config(
            application,
            http=HTTPProtocol,
            ws=WebSocketProtocol,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._on_start = on_start

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, but the signal is not raised again: the exit code is 0."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()
