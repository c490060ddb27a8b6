"""PNS's additions to uvicorn's WebSocket protocol: an end for peers that stop reading.

uvicorn flushes before it closes, so a peer that never reads keeps the connection. ASGI has no abort.
Importing this module changes the `websockets` library for the whole process: see MAX_LINE_LENGTH below.
`scope["extensions"]["pns.socket"]` is the protocol itself, as a pns.live.transport.Transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, ClassVar

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import datastructures, http11
from websockets.frames import CloseCode as Unsent
from websockets.frames import Frame
from websockets.protocol import Protocol, State

from pns.model.messages import CloseCode
from pns.ops.serve.answers import BAD_REQUEST, MAX_HEADERS, MAX_LINE_BYTES, Headers, answer
from pns.ops.serve.websocket.handshake import TakesHead

# For the whole process, clients included. The library's 8 KiB a line and 128 headers refuse cookies that
# browsers send. The library has no parameter for these limits: it reads them from the environment when it is
# imported, which may have happened before.
http11.MAX_LINE_LENGTH = MAX_LINE_BYTES
http11.MAX_NUM_HEADERS = MAX_HEADERS

MAX_EARLY_BYTES = 16_384
"""How much a peer may send before its 101. A client waits for the 101 (RFC 6455, section 4.1)."""
_LOG = logging.getLogger("uvicorn.error.websocket")
"""A connection is no line of the log, so no record is made for it."""
_LOG.setLevel(logging.WARNING)

MAX_FRAGMENTS = 1024
"""Of one message. `limits.max_message_bytes` does not bound fragments that are empty."""


class WebSocketProtocol(TakesHead, WebSocketsSansIOProtocol):
    """A WebSocket whose peer must read. Text that the peer does not take is dropped with the connection."""

    flush_seconds: ClassVar[float] = 20.0
    """How long the peer of an ended connection may take to read the last bytes. Then the peer is dropped."""

    _flush: asyncio.TimerHandle | None = None
    _early_bytes = 0

    # ── pns.live.transport.Transport ──────────────────────────────────────────────────────────────────

    def blocked(self) -> Awaitable[object] | None:
        return None if self.writable.is_set() else self.writable.wait()

    def send_text(self, text: str) -> None:
        """As `send`, but in place: without a coroutine and without frame objects."""
        conn = self.conn
        if self.close_sent or conn.state is not State.OPEN or self.transport.is_closing():
            raise ClientDisconnected
        payload = text.encode()
        if len(payload) < 126 and not conn.extensions:
            # RFC 6455 §5.2: FIN and the text opcode, then the length; what a server sends has no mask.
            self.transport.write(bytes((0x81, len(payload))) + payload)
        else:
            conn.send_text(payload)
            self.transport.write(b"".join(conn.data_to_send()))

    def send_close(self, code: int, reason: str) -> Awaitable[None]:
        return self.send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        self.transport.abort()

    # ── the handshake ─────────────────────────────────────────────────────────────────────────────────

    def begin(self, method: str, target: bytes, headers: Headers) -> None:
        """Take the handshake. The HTTP protocol has read its head, so nothing is parsed a second time.

        websockets judges the handshake. A request with a body is refused here, as websockets does.
        """
        conn = self.conn
        conn.logger = self.logger = _LOG
        conn.parser.close()
        conn.parser = Protocol.parse(conn)
        next(conn.parser)
        known = datastructures.Headers()
        for name, value in headers:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                break
            known.set_insecure(name.decode("ascii"), value.decode("latin-1"))
        else:
            if target.isascii():
                self.handle_connect(http11.Request(target.decode("ascii"), known, method))
                return
        self.transport.write(answer(BAD_REQUEST))
        self.transport.close()

    # ── uvicorn's protocol ────────────────────────────────────────────────────────────────────────────

    def connection_lost(self, exc: Exception | None) -> None:
        if self._flush is not None:
            self._flush.cancel()
        super().connection_lost(exc)
        self.conn.parser.close()  # a generator that holds `conn`

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        # It holds this protocol: many that end at once would stay until garbage is collected.
        self.scope["extensions"].clear()
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
        if not self.handshake_complete and self.handshake_initiated:
            self._early_bytes += len(data)
            if self._early_bytes > MAX_EARLY_BYTES:
                self.abort()
                return
        super().data_received(data)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:
            # A broken frame before the 101: there is no WebSocket yet that could be closed with a code.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": int(Unsent.ABNORMAL_CLOSURE)})
            self.transport.close()
            return
        super().handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self.conn.fail(CloseCode.INVALID_TEXT, "not UTF-8")
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


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
