"""`pns serve`: a node behind uvicorn, on a listening socket of our own, with a drain before the end.

uvicorn closes all WebSockets at once before anybody is told of the shutdown, so the drain happens while its
main loop has ended and its sockets are still open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from types import FrameType

import uvicorn

from pns.node import Node
from pns.ops.serve.descriptors import Descriptors
from pns.ops.serve.heap import Connections, Heap
from pns.ops.serve.http_protocol import HTTPProtocol
from pns.ops.serve.websocket.line import Line
from pns.ops.serve.websocket.lines import Lines
from pns.runtime.bracketed import bracketed
from pns.settings import Settings
from pns.web.app import Web

log = logging.getLogger(__name__)

SEND_BUFFER_BYTES = 65_536
USER_TIMEOUT_SECONDS = 20.0
"""How long TCP keeps bytes that the peer does not acknowledge (RFC 5482)."""
PING_SECONDS = 20.0
BACKLOG = 4096
TICKS_A_SECOND = 10
"""uvicorn's main loop looks up so often."""


def listen(host: str, port: int, *, user_timeout: float = USER_TIMEOUT_SECONDS) -> socket.socket:
    """A listening socket whose connections have a small send buffer and end when the peer takes nothing
    for `user_timeout` seconds.

    Raises OSError when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit these three.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(user_timeout * 1000))
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """uvicorn with a drain: the first signal begins it, a second one cuts it short."""

    def __init__(self, config: uvicorn.Config, node: Node, lines: Lines) -> None:
        super().__init__(config)
        self.lines = lines
        self._node = node
        self._drain: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptors = Descriptors(node.clock)
        self.server_state.connections = connections = Connections()
        self._heap = Heap(connections, node.clock)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            self._descriptors.look()
            connections = list(self.server_state.connections)
            await self.lines.look(each for each in connections if isinstance(each, Line))
            await self._heap.look()
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._descriptors.on_loop_error)
        await super().main_loop()
        seconds = self._node.settings.server.drain_seconds
        log.info("going down", extra={"connections": len(self._node.hub), "drain_seconds": seconds})
        self._drain = asyncio.create_task(self._node.drain(seconds))
        await asyncio.wait([self._drain])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._cut_short)
        super().handle_exit(sig, frame)

    def _cut_short(self) -> None:
        """Wait for nobody any more: who is still connected is dropped, and so what waits for them ends."""
        if self._drain is not None:
            self._drain.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, but a graceful end is a success: the signal is not raised again afterwards."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def make_server(
    settings: Settings,
    node: Node,
    web: Web,
    *,
    http: type[HTTPProtocol] = HTTPProtocol,
    ping_seconds: float = PING_SECONDS,
) -> Server:
    """A server for `web`, to be run inside `async with node`.

    A peer is pinged after `ping_seconds` and dropped when it has not answered after as many again.
    """
    lines = Lines(most_bytes=settings.limits.max_message_bytes, ping_seconds=ping_seconds)
    config = uvicorn.Config(
        web,
        http=http,
        # uvicorn's annotation says type; HTTPProtocol alone looks at the value.
        ws=_compressing() if settings.server.compression else lines,  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=settings.limits.max_message_bytes,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        ws_per_message_deflate=settings.server.compression,
        # uvicorn's annotation says int; a timer of the event loop takes any number of seconds.
        timeout_keep_alive=settings.server.keep_alive_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )
    return Server(config, node, lines)


def _compressing() -> type[asyncio.Protocol]:
    """The protocol of a WebSocket whose frames may be compressed, with the library that compresses."""
    from pns.ops.serve.websocket_protocol import WebSocketProtocol

    return WebSocketProtocol


async def serve(settings: Settings, node: Node, web: Web, *, listener: socket.socket) -> None:
    """Serve until a signal says to stop. Raises what the node raises when it cannot start."""
    await run_server(make_server(settings, node, web), node, listener)


async def run_server(server: Server, node: Node, listener: socket.socket) -> None:
    """As `serve`, with a server that was made before."""
    with server.capture_signals():
        async with node:
            gateways = ", ".join(gateway.name for gateway in node.pushing.gateways) or "off"
            extra = {"address": address_of(listener), "node": node.node_id, "push": gateways}
            log.info("PNS is ready", extra=extra)
            # uvicorn's serve() would capture the signals again.
            await server._serve(sockets=[listener])


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(host)}:{port}"
