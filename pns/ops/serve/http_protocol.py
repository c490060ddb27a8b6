"""PNS's additions to uvicorn's HTTP protocol: deadlines for unfinished requests, limits for a request's head,
and the order of answers at a connection's end.

Once a connection is to end, nothing more is taken from its peer. Requests that came whole before are answered
first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

from pns.ops.serve.answers import (
    BAD_REQUEST,
    BAD_VERSION,
    HTTP_09,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    TOO_LARGE,
    TOO_LATE,
    TOO_MANY,
    Refusal,
    answer,
    head_without_upgrade,
    origin_form,
    wrong_with,
)
from pns.ops.serve.deadline import Deadline
from pns.ops.serve.together import Together
from pns.ops.serve.websocket.handshake import Head, TakesHead
from pns.ops.serve.websocket.lines import Lines
from pns.ops.serve.websocket.opening import Opening
from pns.runtime.clock import SystemClock
from pns.runtime.quiet_log import QuietLog
from pns.web.whole import WHOLE

log = logging.getLogger(__name__)

LINGER_SECONDS = 1.0
"""How long a refused peer's bytes are still taken, and dropped: closing at once would reset the connection
and lose the answer (RFC 9112, section 9.6)."""

MAX_REST_PIECES = 4096
"""How many pieces of a body are parsed after the answer, so that the connection can be used again. A
read may hold tens of thousands of chunks of a byte."""

MAX_WAITING = 64
"""How many requests may wait behind the request under way: each takes 4 KB until its turn."""


class Refused(Exception):
    """Stops the parser: the connection is to end."""


class _Flow(FlowControl):
    """uvicorn's, but nothing more is read while requests wait: each answer would let in thousands of them."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class HTTPProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose requests must arrive: the head within `head_seconds`, the body within `body_seconds`."""

    head_seconds: ClassVar[float] = 10.0
    body_seconds: ClassVar[float] = 30.0
    quiet: ClassVar[QuietLog] = QuietLog(log, clock=SystemClock())
    """Anybody can send garbage, a connection for each."""

    _deadline: Deadline
    _head_bytes: int | None = 0
    """Bytes of the head that is arriving; None while a body arrives or nothing is expected."""
    _in_body = False
    """Whether the rest of `cycle`'s request is arriving: its body, and the trailers of that."""
    _bodiless = 0
    """Bytes of that rest since the last one of a body: ends of chunks, and trailers."""
    _trailers = 0
    _rest = 0
    """Pieces of the body that came after the answer."""
    _running: RequestResponseCycle | None = None
    """The request that the application was last given; `cycle` is the one that came last."""
    _declined = False
    """Whether `headers` ask for another protocol than the WebSocket."""
    _ending = False
    """Whether nothing is taken any more."""
    _last: Refusal | None = None
    """What ends the connection; None: the answers before it are all."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn's own asks for a socket object and twice makes another one of it: 20 µs of a connection.
        self.connections.add(self)
        self.transport = transport
        self.flow = _Flow(transport, self.pipeline)
        self.client = _address(transport, "peername")
        self.server = _address(transport, "sockname")
        self.scheme = "https" if is_ssl(transport) else "http"
        self._deadline = Deadline(self.loop, self._late)
        self._deadline.set(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.end()
        # uvicorn leaves this timer, and with it the connection, when there was an error.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # uvicorn tells the request that came last; the one that is being answered may be another.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            _disconnect(self._running)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self.timeout_keep_alive_task is not None and not self._in_body:
            # Idle until now. Not only at `on_message_begin`: an empty line before a request begins none.
            # An answer that did not wait for its body leaves the rest of that to come, which is no head.
            self._begin_head()
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        elif self._in_body:
            self._bodiless += len(data)
        self._parse(data)
        if self._bodiless > MAX_HEAD_BYTES or (self._head_bytes or 0) > MAX_HEAD_BYTES:
            self._end(TOO_LARGE)
        elif self._head_bytes == len(data) and HTTP_09.match(data):
            self._end(BAD_VERSION)

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self._declined:
                    self.handle_websocket_upgrade()
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                if not self._ending:
                    self.quiet.write("invalid", "a peer sent what is no request of HTTP/1.1: 400")
                    self._end(BAD_REQUEST)
                return

    def _without_upgrade(self) -> bytes:
        """The head of a request whose upgrade is declined, for a new parser: it took the body for the other
        protocol's, and the next request with it.
        """
        self._declined = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head_without_upgrade(method, self.url, version, headers=self.headers)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_bytes is None:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A read holds tens of thousands of small lines: each beyond the limit would cost time and memory.
        if self._in_body:
            self._trailers += 1
            if self._trailers > MAX_HEADERS:
                self._refuse(TOO_LARGE)
            # RFC 9110 §6.5.1: never merged into the headers, which the application may have read or not.
            return
        if len(self.headers) > MAX_HEADERS:
            self._refuse(TOO_LARGE)
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._deadline.set(self.body_seconds)
        wrong = wrong_with(self.parser.get_http_version(), self.url, self.headers)
        if wrong is not None:
            self._refuse(wrong)
        if len(self.pipeline) >= MAX_WAITING:
            self._refuse(TOO_MANY)
        upgrading = self.parser.should_upgrade()
        if upgrading and not self._should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse(BAD_REQUEST)
            self._declined = True
            return
        if upgrading:
            # As uvicorn does, which would look for the upgrade again.
            self.scope["method"] = self.parser.get_method().decode("ascii")
        else:
            super().on_headers_complete()
        self._in_body = True
        self._bodiless = self._trailers = self._rest = 0

    def on_body(self, body: bytes) -> None:
        self._bodiless = 0
        if self.cycle.response_complete:
            self._drop()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._declined:
            return
        self._in_body, self._bodiless = False, 0
        self._deadline.clear()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ending and not self._is_answering():
            self._say_last()

    def handle_websocket_upgrade(self) -> None:
        self._deadline.end()
        self._head_bytes = None
        if self._is_answering():
            # Pipelined behind a request: its answer would stand in the midst of the WebSocket.
            self._ending = True
            self.cycle.keep_alive = False
            return
        if not self.url.startswith(b"/"):
            self.url = origin_form(self.url)
        kind: Any = self.ws_protocol_class
        if isinstance(kind, Lines):
            self.connections.discard(self)
            head = Head(self.scope["method"], self.url, self.headers, self.server, self.client)
            Opening(kind, self.config, self.server_state).begin(self.transport, head)
        elif issubclass(kind, TakesHead):
            self._hand_over(kind)
        else:
            super().handle_websocket_upgrade()
        # It holds this protocol: without it both go now, and not when garbage is collected.
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end

    def _hand_over(self, kind: Any) -> None:
        """As uvicorn does, but a head that was read here is not written out and parsed again."""
        self.connections.discard(self)
        protocol = kind(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        protocol.begin(self.scope["method"], self.url, self.headers)
        self.transport.set_protocol(protocol)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.scope["method"] != "HEAD":  # its answer has no body that would be written
            together = Together(cycle.transport)
            cycle.transport = together  # type: ignore[assignment]  # all that the cycle asks of a transport
            scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
            scope["extensions"] = {WHOLE: together.hold}
        super()._start_asgi_task(cycle, app)

    def _begin_head(self) -> None:
        self._head_bytes = 0
        self._deadline.set(self.head_seconds)

    def _drop(self) -> None:
        """A piece that nobody waits for. After many of them nothing is parsed, and the deadline closes."""
        self._rest += 1
        if self._rest > MAX_REST_PIECES:
            self._ending = True
            self._unset_keepalive_if_required()
            self.transport.write_eof()
            raise Refused

    def _is_answering(self) -> bool:
        """Whether an answer is under way, or a request waits for its turn."""
        running = self._running
        return bool(self.pipeline) or (
            running is not None and not running.response_complete and not running.disconnected
        )

    def _late(self) -> None:
        if self._ending:
            self.transport.close()
        elif self._head_bytes is not None and self._is_answering():
            # The head of a request behind the one that is being answered: it may wait as long.
            self._deadline.set(self.head_seconds)
        else:
            self._end(TOO_LATE)

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection out of a callback of the parser."""
        self._end(refusal)
        raise Refused

    def _end(self, refusal: Refusal) -> None:
        """Take nothing more, answer what came whole, then refuse, and close."""
        if self._ending:
            return
        self._ending, self._last = True, refusal
        self._deadline.end()
        if self._in_body:
            self._give_up()
        if not self._is_answering():
            self._say_last()

    def _give_up(self) -> None:
        """The request whose body was arriving will not be whole: `_last` answers it, if nothing did."""
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()
            return
        if self.cycle.response_started:
            self._last = None
        _disconnect(self.cycle)

    def _say_last(self) -> None:
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._last is None:
            self.transport.close()
            return
        self.transport.write(answer(self._last))
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _address(transport: asyncio.Transport, side: str) -> tuple[str, int] | None:
    """The host and the port of one side; None where the socket has none."""
    found = transport.get_extra_info(side)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


def _disconnect(cycle: RequestResponseCycle) -> None:
    cycle.disconnected = True
    cycle.message_event.set()
