"""A connection to a server of HTTP/2, in the event loop.

Owns the transport. streams.py knows the protocol. The bytes of all questions of one turn of the event loop
go out in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from pns.runtime.http2.fields import Field
from pns.runtime.http2.streams import Answer, Lost, Question, Streams


class Line(asyncio.Protocol):
    """A connection. Questions may be asked at once, as many as there are."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams = Streams()
        self._is_due = False

    @property
    def takes_questions(self) -> bool:
        return not (self._streams.ending or self._transport.is_closing())

    @property
    def protocol(self) -> str:
        """The name of the protocol that TLS agreed on."""
        tls = self._transport.get_extra_info("ssl_object")
        return str(tls.selected_alpn_protocol()) if tls is not None else ""

    def question(self, fields: Iterable[Field], content: bytes) -> tuple[Question, asyncio.Future[Answer]]:
        """A question, and its answer to come."""
        future: asyncio.Future[Answer] = self._loop.create_future()

        def done(outcome: Answer | Exception) -> None:
            if not future.done():
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

        return Question(fields, content, done), future

    async def ask(self, question: Question, answer: asyncio.Future[Answer]) -> Answer:
        """The answer, of any status. Raises OSError. The caller sets the deadline, by a cancellation."""
        self._streams.ask(question)
        self._send_soon()
        try:
            return await answer
        except asyncio.CancelledError:
            self._streams.forget(question)
            self._send_soon()
            raise
        finally:
            if self._streams.ending:
                self._end_if_idle()

    def end(self) -> None:
        """Close after the answers that are under way. A question without a stream is lost."""
        self._streams.wind_up()
        self._end_if_idle()

    def drop(self) -> None:
        """End the connection at once. Every question under way is lost. Safe to call twice."""
        self._streams.end(Lost("the connection was closed"))
        self._transport.abort()

    # ── called by the event loop ──────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._streams.begin()
        self._send()

    def data_received(self, data: bytes) -> None:
        self._streams.receive(data)
        self._send()
        if self._streams.error is not None:
            self._transport.abort()
        elif self._streams.ending:
            self._end_if_idle()

    def connection_lost(self, error: Exception | None) -> None:
        self._streams.end(error or Lost("the server ended the connection"))

    def _send_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._is_due = False
        if (data := self._streams.take()) and not self._transport.is_closing():
            self._transport.write(data)

    def _end_if_idle(self) -> None:
        if self._streams.is_idle:
            self._send()
            self._transport.close()
