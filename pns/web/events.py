"""A connection as Server-Sent Events, for whoever sits behind a proxy that refuses WebSockets.

It turns what an Outlet says to a WebSocket into lines of `text/event-stream` (HTML Standard §9.2), and the
end of the request into the end of a WebSocket. It decides nothing: counts, heartbeats, limits, revocation and
drain are the Connection's, as ever. The device's own messages go to POST /messages.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pns.contracts.store import State
from pns.live.connection import Connection
from pns.live.outlet import Message
from pns.model.messages import CloseCode
from pns.node import Node
from pns.web.problems import API_HEADERS, Headers

MEDIA_TYPE = "text/event-stream"

_HEADERS: Headers = [
    (b"content-type", MEDIA_TYPE.encode()),
    *API_HEADERS,
    # nginx would collect the answer before it passes any of it on.
    (b"x-accel-buffering", b"no"),
]
_GREETING = b": counts follow\n\n"
"""A comment, so that a proxy that waits for the body's first bytes passes the headers on at once."""


class Closing(msgspec.Struct, frozen=True):
    """The data of the `close` event: the WebSocket's close code, and its cause."""

    code: int
    reason: str


def wants_events(request: Request) -> bool:
    """Whether the request's Accept names the media type; `*/*` is everybody's and does not."""
    accepted = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(entry.partition(";")[0].strip() == MEDIA_TYPE for entry in accepted)


class EventStream(Response):
    """The answer that lasts as long as `connection`, which it takes out of the hub in the end."""

    def __init__(self, node: Node, connection: Connection, state: State, headers: Headers) -> None:
        """Must be called as an ASGI application at once: `connection` is in the hub already."""
        super().__init__()
        self.raw_headers = [*_HEADERS, *headers]
        self._node = node
        self._connection = connection
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._connection
        try:
            # Before anything is awaited: a count that comes meanwhile must find where to go.
            connection.plug_in(_Lines(send), None)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _GREETING, "more_body": True})
            if await self._node.crowded(connection.user_id):
                connection.end(CloseCode.TOO_MANY_CONNECTIONS)
            await connection.run(_Hangup(receive), self._state)
        finally:
            self._node.leave(connection)


class _Lines:
    """What a WebSocket would be sent, as lines."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        closing = message["type"] == "websocket.close"
        body = _close(message) if closing else f"data: {message['text']}\n\n".encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": not closing})


class _Hangup:
    """Waits for the peer to go: all that it can say on this connection."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __call__(self) -> Message:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        return {"type": "websocket.disconnect", "code": 1006}


def _close(message: Message) -> bytes:
    closing = Closing(message["code"], message["reason"])
    return b"event: close\ndata: " + msgspec.json.encode(closing) + b"\n\n"
