"""What PNS adds to uvicorn's HTTP protocol, because it owns the server: deadlines for requests that are not
finished, and limits for a request's head.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pns.ops.answers import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, TOO_LARGE, TOO_LATE, answer

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
            self.transport.write(answer(status))
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
