"""A WebSocket as a transport: ASGI's messages on this side, text on the side of the connection.

PNS's own server puts its line into the scope, `scope["extensions"]["pns.line"]`, or with compression its
WebSocket protocol, `"pns.socket"`. There a count is sent in place, and a line needs no task. Under a host's
server each message is a `send` of ASGI, which passes the host's middleware and needs a task.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Receive, Scope, Send

from pns.live.transport import Parkable, Transport


def line_of(scope: Scope) -> Parkable | None:
    """The line of an open WebSocket, where PNS's own server offers one."""
    found: Parkable | None = (scope.get("extensions") or {}).get("pns.line")
    return found


def websocket_transport(scope: Scope, send: Send, *, in_place: bool) -> Transport:
    """The transport of an open WebSocket. With `in_place` counts may pass by `send`, where PNS's own server
    offers its socket.
    """
    socket: Transport | None = (scope.get("extensions") or {}).get("pns.socket")
    return socket if in_place and socket is not None else HostSocket(send, socket)


class HostSocket:
    """A WebSocket behind `send`, which may be a host's middleware. `socket`: of PNS's own server below."""

    __slots__ = ("_send", "_socket")

    def __init__(self, send: Send, socket: Transport | None) -> None:
        self._send = send
        self._socket = socket

    def blocked(self) -> Awaitable[object] | None:
        return self._socket.blocked() if self._socket is not None else None

    def send_text(self, text: str) -> Awaitable[None]:
        return self._send({"type": "websocket.send", "text": text})

    def send_close(self, code: int, reason: str) -> Awaitable[None]:
        return self._send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        if self._socket is not None:
            self._socket.abort()


class Incoming:
    """Returns the next message of a WebSocket; None when the peer has gone."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __call__(self) -> str | bytes | None:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return None
        text: str | None = event.get("text")
        return event.get("bytes") or b"" if text is None else text
