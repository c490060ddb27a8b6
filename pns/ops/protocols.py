"""What PNS adds to uvicorn's protocols, because it owns the server: deadlines for whoever does not finish a
request, limits for a request's head, and an end for peers that stop reading.

uvicorn closes a connection by flushing first, so a peer that never reads keeps it; ASGI has no abort.
`scope["extensions"]["pns.socket"]` is the protocol itself: `abort()` and `writable` (pns.outlet.Socket).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

# Read by websockets when it is imported: its own 8 KiB a line and 128 headers refuse cookies that browsers
# send, and uvicorn never flushes that refusal, so the handshake would hang.
MAX_HEAD_BYTES = 131_072
MAX_HEADERS = 256
os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(MAX_HEAD_BYTES))
os.environ.setdefault("WEBSOCKETS_MAX_NUM_HEADERS", str(MAX_HEADERS))

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: E402
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol  # noqa: E402
from websockets.http11 import Request as HandshakeRequest  # noqa: E402

HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0


class HTTPProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose requests must arrive: the head within HEAD_SECONDS, the body within BODY_SECONDS."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes: int | None = 0
    """Bytes of the head that is arriving; None while a body arrives or nothing is expected."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._is_body(data):
                self._refuse(b"431 Request Header Fields Too Large")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_bytes is None:
            self._head_bytes = 0
            self._expect(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._expect(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._expect(None)
        super().handle_websocket_upgrade()

    def _is_body(self, data: bytes) -> bool:
        """Whether the head ends in `data`, so that what makes it large may be the body."""
        return b"\r\n\r\n" in data

    def _expect(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._late) if seconds is not None else None

    def _late(self) -> None:
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        """Answer and close, whatever else was to come."""
        self._expect(None)
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose peer must read: what it does not take is dropped with the connection."""

    def abort(self) -> None:
        """Drop the connection and what is buffered for it, now."""
        self.transport.abort()

    def handle_connect(self, event: HandshakeRequest) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["pns.socket"] = self

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The HTTP protocol hands over a complete head: a handshake that has not begun now was refused, and
        # the refusal is still to be sent.
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self.conn.fail(1007, "not UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        super().pause_writing()
        # A peer that sends pings and reads no pongs would fill the buffer without end.
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
