"""One connection to a server: a request out, an answer in, one exchange at a time.

state   event                       effect                              next state
IDLE    exchange(request)           write the request                   ASKED
ASKED   the answer is complete      hand the answer over                IDLE, or CLOSED if it is the last
ASKED   the head is complete, and   wait a moment for the body          DECIDED
        says all (ByHead)
ASKED   the connection ends         hand over what an end completes,    CLOSED
                                    else Broken
ASKED   nonsense, or too much       Broken                              CLOSED
ASKED   the caller is cancelled     drop the connection                 CLOSED
DECIDED the answer is complete      hand the answer over                IDLE, or CLOSED if it is the last
DECIDED the moment or the           hand over what has come             CLOSED
        connection ends; nonsense,
        or too much
DECIDED the caller is cancelled     drop the connection                 CLOSED
IDLE    any byte, or the end        drop the connection: nobody asked   CLOSED
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

from pns.runtime.http1.reader import Answer, ByHead, Reader
from pns.runtime.http1.trouble import Broken

P = TypeVar("P", bound=asyncio.Protocol)

MOMENT_SECONDS = 0.25
"""For the body of an answer that is decided: many servers write head and body apart."""
_BEFORE_DEADLINE_SECONDS = 0.05
"""The answer has to be handed over before the caller gives up."""


class Line(asyncio.Protocol):
    """A connection. `idle_since`: the event loop's time of the last answer."""

    __slots__ = ("_by_head", "_loop", "_moment", "_reader", "_transport", "_waiter", "idle_since")

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._waiter: asyncio.Future[Answer] | None = None
        self._by_head: ByHead | None = None
        self._moment: asyncio.TimerHandle | None = None
        self.idle_since = 0.0

    async def exchange(
        self, request: bytes, *, most: int, tunnel: bool = False, by_head: ByHead | None = None
    ) -> Answer:
        """The final answer to `request`, with at most `most` bytes of its body. Raises Broken.

        `tunnel`: `request` is a CONNECT, whose good answer has no body. `by_head`: the answers whose body may
        be cut. The caller sets the deadline, by a cancellation. No other exchange may be under way.
        """
        self._by_head = by_head
        self._reader.begin(most, tunnel=tunnel, by_head=by_head)
        self._waiter = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.drop()
            raise
        finally:
            self._waiter = None
            if self._moment is not None:
                self._moment.cancel()
                self._moment = None
            self.idle_since = self._loop.time()

    async def inside(self, trust: ssl.SSLContext | None, host: str, protocol: Callable[[], P]) -> P:
        """A `protocol` to `host` through this tunnel, with TLS if there is a `trust`. Raises OSError.

        This line must not be used any more.
        """
        inner = protocol()
        if trust is None:
            self._transport.set_protocol(inner)
            inner.connection_made(self._transport)
            return inner
        made = await self._loop.start_tls(self._transport, inner, trust, server_hostname=host)
        if made is None:
            raise ConnectionAbortedError("the connection was closed")
        inner.connection_made(made)
        return inner

    @property
    def is_open(self) -> bool:
        """Whether the next request can be sent: the connection is kept, and the server has not ended it."""
        return self._reader.reusable and not self._transport.is_closing()

    def is_silent(self) -> bool:
        """Whether nothing waits to be read: neither an end that was not heard of yet, nor stray bytes."""
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)

    def drop(self) -> None:
        """End the connection at once. Safe to call twice."""
        self._transport.abort()

    # ── called by the event loop ──────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.drop()
            return
        try:
            answer = self._reader.feed(data)
        except Broken as error:
            self.drop()
            waiter.set_exception(error)
            return
        if answer is not None:
            if not (self._reader.reusable or self._reader.is_tunnel):
                self.drop()
            waiter.set_result(answer)
        elif self._moment is None and self._reader.is_decided:
            self._wait_for_body()

    def connection_lost(self, error: Exception | None) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        answer = self._reader.end() if error is None else self._reader.so_far()
        if answer is None:
            waiter.set_exception(Broken("the connection ended before the answer was complete"))
        else:
            waiter.set_result(answer)

    # ── an answer that is decided ─────────────────────────────────────────────────────────────────────

    def _wait_for_body(self) -> None:
        assert self._by_head is not None, "as the answer is decided"
        end = self._loop.time() + MOMENT_SECONDS
        last = self._by_head.deadline - _BEFORE_DEADLINE_SECONDS
        self._moment = self._loop.call_at(min(end, last), self._end_moment)

    def _end_moment(self) -> None:
        waiter, answer = self._waiter, self._reader.so_far()
        if waiter is None or waiter.done() or answer is None:
            return
        self.drop()
        waiter.set_result(answer)
