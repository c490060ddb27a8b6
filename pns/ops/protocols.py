"""What PNS adds to uvicorn's protocols, because it owns the server: deadlines for whoever does not finish a
request, limits for a request's head, and an end for peers that stop reading.

uvicorn closes a connection by flushing first, so a peer that never reads keeps it; ASGI has no abort.
`scope["extensions"]["pns.socket"]` is the protocol itself, as a pns.outlet.Socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.protocol import State

MAX_LINE_BYTES = 65_536
MAX_HEAD_BYTES = 131_072
MAX_HEADERS = 256

# websockets' own 8 KiB a line and 128 headers refuse cookies that browsers send. It reads them from the
# environment when it is imported, which may have happened before.
http11.MAX_LINE_LENGTH = MAX_LINE_BYTES
http11.MAX_NUM_HEADERS = MAX_HEADERS

TOO_LARGE = b"431 Request Header Fields Too Large"
BAD_REQUEST = b"400 Bad Request"
TOO_LATE = b"408 Request Timeout"
LINGER_SECONDS = 1.0
"""How long a refused peer's bytes are still taken, and dropped: closing at once would reset the connection
and with it the answer (RFC 9112, section 9.6)."""


class Refused(Exception):
    """Stops the parser: the request was answered already."""


class HTTPProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose requests must arrive: the head within `head_seconds`, the body within `body_seconds`."""

    head_seconds: ClassVar[float] = 10.0
    body_seconds: ClassVar[float] = 30.0

    _due: float | None = None
    _timer: asyncio.TimerHandle | None = None
    """Looks whether `_due` has passed. Set rarely: a request changes `_due` several times."""
    _timer_at = 0.0
    _head_bytes: int | None = 0
    """Bytes of the head that is arriving; None while a body arrives or nothing is expected."""
    _in_body = False
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing_more()
        # uvicorn leaves this timer, and with it the connection, when there was an error.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self.timeout_keep_alive_task is not None and not self._in_body:
            # Idle until now. Not only at `on_message_begin`: an empty line before a request begins none.
            # An answer that did not wait for its body leaves the rest of that to come, which is no head.
            self._begin_head()
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_bytes is None:
            self._begin_head()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._in_body = True
        self._expect(self.body_seconds)
        if self._is_large():
            self._refuse(TOO_LARGE)
            raise Refused
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._expect(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._expect_nothing_more()
        self._head_bytes = None
        if self._is_answering():
            # Pipelined behind a request: its answer would stand in the midst of the WebSocket.
            self.flow.pause_reading()
            self.cycle.keep_alive = False
            return
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._expect(None)
        if not self._refused:
            super().send_400_response(msg)

    def _begin_head(self) -> None:
        self._head_bytes = 0
        self._expect(self.head_seconds)

    def _is_large(self) -> bool:
        sizes = [len(name) + len(value) + 4 for name, value in self.headers]
        sizes.append(len(self.url) + 16)
        return len(sizes) > MAX_HEADERS or max(sizes) > MAX_LINE_BYTES or sum(sizes) > MAX_HEAD_BYTES

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect(self, seconds: float | None) -> None:
        if seconds is None:
            self._due = None
            return
        self._due = self.loop.time() + seconds
        if self._timer is None or self._due < self._timer_at:
            self._set_timer(self._due)

    def _expect_nothing_more(self) -> None:
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self.loop.call_at(at, self._look), at

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self.loop.time() < self._due:
            self._set_timer(self._due)
            return
        self._due = None
        self._late()

    def _late(self) -> None:
        if self._head_bytes is not None and self._is_answering():
            # The head of a request behind the one that is being answered: it may wait as long.
            self._expect(self.head_seconds)
        elif self._head_bytes is None and (self.cycle.response_started or self.pipeline):
            # The answer did not wait for the body.
            self.transport.close()
        else:
            self._refuse(TOO_LATE)

    def _refuse(self, status: bytes) -> None:
        """Answer and close, whatever else was to come."""
        self._expect_nothing_more()
        self._refused = True
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self.transport.is_closing():
            self.transport.write(_answer(status))
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose peer must read: what it does not take is dropped with the connection."""

    flush_seconds: ClassVar[float] = 20.0
    """How long the peer of an ended connection may take to read what was sent before it is dropped."""

    _flush: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Drop the connection and what is buffered for it, now."""
        self.transport.abort()

    def send_text(self, text: str) -> None:
        """See pns.outlet.Socket. What `send` does, without its coroutine and its frame objects."""
        conn = self.conn
        if self.close_sent or conn.state is not State.OPEN or self.transport.is_closing():
            return
        payload = text.encode()
        if len(payload) < 126 and not conn.extensions:
            # RFC 6455 §5.2: FIN and the text opcode, then the length; what a server sends has no mask.
            self.transport.write(bytes((0x81, len(payload))) + payload)
        else:
            conn.send_text(payload)
            self.transport.write(b"".join(conn.data_to_send()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._flush is not None:
            self._flush.cancel()
        super().connection_lost(exc)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            # Closing flushes first: a peer that takes a byte now and then would hold the rest for days.
            self._flush = self.loop.call_later(self.flush_seconds, self.abort)

    def handle_connect(self, event: http11.Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["pns.socket"] = self
            # The scope has them as bytes now; websockets would keep its own copy, cookie and all, for good.
            event.headers.clear()

    def start_keepalive(self) -> None:
        super().start_keepalive()
        self.response.headers.clear()  # sent just now

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The HTTP protocol hands over a complete head: a handshake that has not begun now was refused, and
        # uvicorn would leave the peer without an answer.
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()) or _answer(BAD_REQUEST))
            self.transport.close()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:
            # A broken frame before the 101: there is no WebSocket yet that could be closed with a code.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
            self.transport.close()
            return
        super().handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self.conn.fail(1007, "not UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        # Not a coroutine of its own: this is the way of every message.
        if message["type"] == "websocket.http.response.body":
            return self._refuse(message)
        return super().send(message)

    async def _refuse(self, message: Any) -> None:
        await super().send(message)
        # uvicorn takes a refusal that was answered for a handshake that nobody finished: an error in its log.
        self.handshake_complete = True

    # A peer that sends pings and reads no pongs would fill the buffer without end, so whoever does not read
    # is not read from.

    async def receive(self) -> Any:
        event = await super().receive()
        if not self.writable.is_set():
            self._stop_reading()
        return event

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _stop_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()


def _answer(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
