"""Drives one connection: a message of the device, a wake of the hub or a timer comes in, effects go out.

The conversation decides, the store answers, the writer writes. A connection ends for one reason. `end`
records the reason and wakes the driver, which says goodbye and lets go. The driver is an edge: each error
that nothing below expects is logged here, counted as a close with 1011, and ends this connection alone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from pns.contracts.authority import Credentials
from pns.contracts.store import State, Store
from pns.errors import Overloaded, StoreUnavailable, Unauthorized, UnknownNotification
from pns.inbox.changes import Changes
from pns.live.admission import Admitted, use
from pns.live.conversation import Close, Conversation, Effect, MarkSeen, ReadSeen, ReadUnseen, Renew, Send
from pns.live.transport import PEER_GONE, Receive, Transport
from pns.live.writer import SlowReader, Writer
from pns.model.messages import (
    RENEW_TICKET,
    CloseCode,
    ErrorCode,
    Renewed,
    TicketRenewed,
    encode,
    error_message,
)
from pns.model.notification import Page
from pns.model.ticket import ReadTicket, renewed_until
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.settings import Settings

_AWAY = "the store is away; ask again"
_NEEDS_NONE = "this connection needs no renewal"
_NOT_ITS_OWN = (
    "This ticket is of another user or device than this connection. Open another connection with it."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts of a node that all its connections share.

    `page_turns` lets a few pages be read and encoded at a time. More pages would only make each turn of the
    event loop longer, and so the wait of all other connections.
    """

    settings: Settings
    store: Store
    changes: Changes
    clock: Clock
    metrics: Metrics
    page_turns: asyncio.Semaphore


class Connection:
    """One WebSocket or event stream of a device. Lives in the hub from before its first count to its end.

    `revocation`: how new the login is. A revocation with a higher number ends the connection. `credentials`
    is None where nobody can be asked again. `read_ticket` belongs to a connection that a ticket opened: the
    connection ends unless another ticket renews the connection. For all others `read_ticket` is None.
    """

    __slots__ = (
        "_conversation",
        "_driver",
        "_early",
        "_shared",
        "credentials",
        "device_id",
        "ending",
        "read_ticket",
        "recheck_at",
        "revocation",
        "since",
        "user_id",
        "writer",
    )

    def __init__(
        self,
        shared: Shared,
        admitted: Admitted,
        *,
        credentials: Credentials | None,
        recheck_at: float,
        read_ticket: ReadTicket | None = None,
    ) -> None:
        """`recheck_at`: monotonic seconds when the application is asked about `credentials` again, or when a
        connection ends that no ticket has renewed.
        """
        self._shared = shared
        self.user_id = admitted.user_id
        self.device_id = admitted.device_id
        self.revocation = admitted.revocation
        self.credentials = credentials
        self.read_ticket = read_ticket
        self.since = shared.clock.now()
        self.recheck_at = recheck_at
        self.ending: CloseCode | None = None
        self._driver: asyncio.Task[Any] | None = None
        self.writer: Writer | None = None
        self._early: State | None = None
        self._conversation = Conversation(shared.settings.limits, now=shared.clock.monotonic())

    # ── calls of others; synchronous ──────────────────────────────────────────────────────────────────

    def tell(self, state: State, text: str | None = None) -> bool:
        """Take note of the user's newest state. `text` is `count_text(state)`, if the caller has it.

        Returns whether the count was news to a device that had been told another count.
        """
        if state.revoked(self.device_id) > self.revocation:
            self.end(CloseCode.LOGGED_OUT)
            return False
        if self.writer is not None:
            return self.writer.offer(state, text)
        # The connection's own first read may still be under way, and older.
        if self._early is None or state[:2] > self._early[:2]:
            self._early = state
        return False

    def end(self, code: CloseCode) -> None:
        """Close with `code`. The first reason stands; calling again changes nothing."""
        if self.ending is None:
            self.ending = code
            self._wake()

    def drop(self) -> None:
        """End without a goodbye, where the server can. The peer loses all text that it has not read."""
        if self.writer is not None:
            self.writer.abort()

    # ── its own task ──────────────────────────────────────────────────────────────────────────────────

    def plug_in(self, transport: Transport) -> None:
        """Give the connection its transport.

        You must call this before you await anything: a count that comes meanwhile must find its way.
        """
        self.writer = Writer(
            transport,
            timeout=self._shared.settings.server.send_timeout_seconds,
            clock=self._shared.clock,
            on_broken=self._broken,
        )
        if self._early is not None:
            self.writer.offer(self._early)

    async def run(self, receive: Receive, state: State) -> None:
        """Send the first count, then serve the device until the connection ends. Must follow `plug_in`."""
        writer = self.writer
        assert writer is not None
        self._driver = asyncio.current_task()
        try:
            if self.ending is None:
                writer.begin(state)
                await self._serve(receive, writer)
        except asyncio.CancelledError:
            # `_wake` cancelled this task; any other cancellation is the server's or the host's.
            if not self._was_woken():
                raise
        except Exception as error:  # an edge: the error ends this connection alone
            self._broken(error)
        finally:
            self._driver = None
        await self._say_goodbye(writer)
        writer.release()

    def _wake(self) -> None:
        """Let the driver see that the connection ends."""
        driver = self._driver
        if driver is not None and driver is not asyncio.current_task():
            self._driver = None
            driver.cancel()

    def _was_woken(self) -> bool:
        """Whether `_wake` alone cancelled the driver, which goes on then."""
        task = asyncio.current_task()
        return self._driver is None and task is not None and task.uncancel() == 0

    def _broken(self, error: Exception) -> None:
        """End the connection after `error`, of a count in its own task or of the driver."""
        if isinstance(error, SlowReader):
            self.end(CloseCode.SLOW_READER)
        elif isinstance(error, PEER_GONE):
            self._peer_gone()
        else:
            log.error("a connection failed", exc_info=error)
            self.end(CloseCode.INTERNAL_ERROR)

    def _peer_gone(self) -> None:
        if self.writer is not None:
            self.writer.peer_gone()
        self._wake()

    async def _serve(self, receive: Receive, writer: Writer) -> None:
        while self.ending is None and not writer.closed:
            message = await receive()
            if message is None:
                writer.peer_gone()
                return
            if isinstance(message, bytes):
                self.ending = CloseCode.UNSUPPORTED_DATA
            elif _too_big(message, self._shared.settings.limits.max_message_bytes):
                self.ending = CloseCode.MESSAGE_TOO_BIG
            else:
                now = self._shared.clock.monotonic()
                await self._apply(self._conversation.receive(message, now=now), writer)

    async def _apply(self, effect: Effect, writer: Writer) -> None:
        if isinstance(effect, ReadUnseen | ReadSeen):
            await writer.ready()
            effect = await self._read(effect)
        if isinstance(effect, Send):
            await writer.answer(effect.text)
            marked = self._conversation.handed_over()
            if marked is not None:
                await self._mark(marked)
        elif isinstance(effect, MarkSeen):
            await self._mark(effect, writer)
        elif isinstance(effect, Renew):
            await writer.answer(await self._renew(effect.ticket))
        elif isinstance(effect, Close):
            self.ending = effect.code

    async def _read(self, effect: ReadUnseen | ReadSeen) -> Send:
        try:
            async with self._shared.page_turns:
                return self._conversation.answer(await self._page(effect))
        except UnknownNotification as error:
            return self._conversation.fail(ErrorCode.UNKNOWN_NOTIFICATION, str(error))
        except (StoreUnavailable, Overloaded):
            return self._conversation.fail(ErrorCode.UNAVAILABLE, _AWAY)

    async def _page(self, effect: ReadUnseen | ReadSeen) -> Page:
        store, limits = self._shared.store, self._shared.settings.limits
        if isinstance(effect, ReadUnseen):
            return await store.unseen(self.user_id, limit=effect.limit, max_bytes=limits.page_bytes)
        return await store.seen(self.user_id, effect.cursor)

    async def _mark(self, effect: MarkSeen, writer: Writer | None = None) -> None:
        """Mark the notifications that were shown. `writer` tells a failure, if the device asked to mark."""
        try:
            await self._shared.changes.mark_sent_seen(self.user_id, effect.user_key, effect.seqs)
        except (StoreUnavailable, Overloaded):
            # Without `writer` the notifications stay unseen and are shown again: never lost, perhaps twice.
            if writer is not None:
                await writer.answer(error_message(ErrorCode.UNAVAILABLE, _AWAY))

    async def _renew(self, text: str) -> str:
        """The answer to `renewTicket`. A ticket of another user or device is not used up."""
        seconds = self._shared.settings.auth.recheck_seconds
        if self.read_ticket is None or not seconds:
            return error_message(ErrorCode.BAD_REQUEST, f"{RENEW_TICKET}: {_NEEDS_NONE}")
        try:
            ticket = self.read_ticket(text)
            if (ticket.user_id, ticket.device_id) != (self.user_id, self.device_id):
                raise Unauthorized(_NOT_ITS_OWN)
            await use(ticket, self._shared.store)
        except Unauthorized as refusal:
            return error_message(ErrorCode.BAD_REQUEST, f"{RENEW_TICKET}: {refusal}")
        except (StoreUnavailable, Overloaded):
            return error_message(ErrorCode.UNAVAILABLE, _AWAY)
        self.revocation = max(self.revocation, ticket.revocation)
        self.recheck_at = renewed_until(self._shared.clock.monotonic(), seconds)
        return encode(TicketRenewed(Renewed(seconds)))

    async def _say_goodbye(self, writer: Writer) -> None:
        code = self.ending
        if code is None:
            return
        self._shared.metrics.closes.labels(str(int(code))).inc()
        try:
            await writer.close(int(code), code.cause)
        except Exception as error:  # an edge: the rest of the end must follow
            if not isinstance(error, PEER_GONE) and code is not CloseCode.INTERNAL_ERROR:
                log.exception("a goodbye failed")


def _too_big(text: str, max_bytes: int) -> bool:
    return len(text) > max_bytes or (not text.isascii() and len(text.encode()) > max_bytes)
