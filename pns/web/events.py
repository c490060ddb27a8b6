"""A connection as Server-Sent Events, for a device behind a proxy that refuses WebSockets.

This module is a transport of lines of `text/event-stream` (HTML Standard §9.2). The transport decides
nothing: counts, heartbeats, limits, revocation and drain belong to the Connection. A device sends its own
messages to POST /messages.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from pns.contracts.store import State
from pns.live.connection import Connection
from pns.model.messages import CloseCode
from pns.node import Node
from pns.web.problems import Headers

MEDIA_TYPE = "text/event-stream"

_HEADERS: Headers = [
    (b"content-type", MEDIA_TYPE.encode()),
    # A proxy that compresses would collect a stream until its buffer is full (RFC 9111 §5.2.2.6).
    (b"cache-control", b"no-store, no-transform"),
    (b"x-content-type-options", b"nosniff"),
    # nginx would collect the answer before it passes any of it on.
    (b"x-accel-buffering", b"no"),
]
OPENING_BYTES = 8192
"""Some proxies keep an answer until so many bytes have come: 4 or 8 KiB are common."""
RETRY_MILLISECONDS = (2_000, 8_000)
"""Between these a browser comes back by itself. After a restart all browsers would come in one moment."""
_FILLING = b": counts follow\n" * (OPENING_BYTES // 16 + 1)


class Closing(msgspec.Struct, frozen=True):
    """The data of the `close` event: the WebSocket's close code, and its cause."""

    code: int
    reason: str


def wants_events(request: Request) -> bool:
    """Whether the request's Accept names the media type. All clients send `*/*`, which is not enough."""
    accepted = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(entry.partition(";")[0].strip() == MEDIA_TYPE for entry in accepted)


class EventStream(Response):
    """The answer that lasts as long as `connection`. In the end `connection` leaves the hub."""

    def __init__(
        self, node: Node, connection: Connection, state: State, *, headers: Headers, counts: bool = False
    ) -> None:
        """Must be called as an ASGI application at once: `connection` is in the hub already.

        `counts`: the device asks for counts, too.
        """
        super().__init__()
        self.raw_headers = [*_HEADERS, *headers]
        self._node = node
        self._connection = connection
        self._state = state
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._connection
        try:
            connection.plug_in(_Lines(send))
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _opening(), "more_body": True})
            if await self._node.crowded(connection.user_id):
                connection.end(CloseCode.TOO_MANY_CONNECTIONS)
            await connection.run(_Hangup(receive), self._state, counts=self._counts)
        finally:
            self._node.leave(connection)


class _Lines:
    """The transport that sends lines. An HTTP server does not report its buffer and has no abort."""

    __slots__ = ("_send",)

    def __init__(self, send: Send) -> None:
        self._send = send

    def blocked(self) -> None:
        return None

    def send_text(self, text: str) -> Awaitable[None]:
        return self._send(_piece(f"data: {text}\n\n".encode()))

    def send_close(self, code: int, reason: str) -> Awaitable[None]:
        data = msgspec.json.encode(Closing(code, reason))
        return self._send(_piece(b"event: close\ndata: " + data + b"\n\n", last=True))

    def abort(self) -> None: ...


def _opening() -> bytes:
    """Comments, which pass the buffers of proxies, and the time after which a browser comes back."""
    return b"%sretry: %d\n\n" % (_FILLING, random.randint(*RETRY_MILLISECONDS))


def _piece(body: bytes, *, last: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": not last}


class _Hangup:
    """Waits for the peer to go. On this connection the peer sends nothing else."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __call__(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
