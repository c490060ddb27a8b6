"""Drives one connection: a message of the device, a wake of the hub or a timer comes in, effects go out.

The conversation decides, the store answers, the writer writes. A connection ends for one reason. `end`
records the reason and wakes the driver, which says goodbye and lets go. The driver is an edge: each error
that nothing below expects is logged here, counted as a close with 1011, and ends this connection alone.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pns.contracts.authority import Credentials
from pns.contracts.store import CountsOf, Place, State, Store
from pns.errors import Overloaded, StoreUnavailable, Unauthorized, UnknownNotification
from pns.inbox.changes import Changes
from pns.live.admission import Admitted, use
from pns.live.askers import Askers
from pns.live.conversation import (
    NOT_KEPT,
    Close,
    Conversation,
    Effect,
    FindPlace,
    MarkSeen,
    MarkShown,
    ReadCounts,
    ReadSeen,
    ReadUnseen,
    Renew,
    Send,
)
from pns.live.transport import PEER_GONE, Receive, Transport
from pns.live.writer import SlowReader, Writer
from pns.model.counts import Counts
from pns.model.mark import Mark, MarkAs
from pns.model.messages import (
    RENEW_TICKET,
    SNOOZE,
    CloseCode,
    ErrorCode,
    Renewed,
    TicketRenewed,
    counts_text,
    encode,
    error_message,
    marked_text,
    snoozed_text,
)
from pns.model.notification import Page
from pns.model.pending import Snooze
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
    askers: Askers = field(default_factory=Askers)


class Driver(Protocol):
    """What serves a connection: a task in `Connection.run`, or live/parked.py."""

    def wake(self) -> None:
        """The connection ends. Calling again changes nothing."""


class Connection:
    """One WebSocket or event stream of a device. Lives in the hub from before its first count to its end.

    `revocation`: how new the login is. A revocation with a higher number ends the connection. `credentials`
    is None where nobody can be asked again. `read_ticket` belongs to a connection that a ticket opened: the
    connection ends unless another ticket renews the connection. For all others `read_ticket` is None.
    `asks`: the counts that the device asked for, to be told after every change; None: not asked.
    """

    __slots__ = (
        "_conversation",
        "_driver",
        "_early",
        "_shared",
        "asks",
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
        self._driver: Driver | None = None
        self.writer: Writer | None = None
        self._early: State | None = None
        self.asks: CountsOf | None = None
        self._conversation = Conversation(shared.settings.limits, now=shared.clock.monotonic())

    # ── calls of others; synchronous ──────────────────────────────────────────────────────────────────

    def tell(self, state: State, text: str | None = None) -> bool:
        """Take note of the user's newest state. `text` is `count_text(state)`, if the caller has it.

        Returns whether the count was news to a device that had been told another count.
        """
        if state.revocations and state.revoked(self.device_id) > self.revocation:
            self.end(CloseCode.LOGGED_OUT)
            return False
        if self.writer is not None:
            return self.writer.offer(state, text)
        # The connection's own first read may still be under way, and older.
        if self._early is None or state[:2] > self._early[:2]:
            self._early = state
        return False

    def tell_counts(self, counts: Counts, text: str) -> bool:
        """Take note of the newest counts. `text` is `counts_text(counts)`.

        Returns whether the counts were news to a device that had been told others.
        """
        return self.writer is not None and self.writer.offer_counts(counts, text)

    def end(self, code: CloseCode) -> None:
        """Close with `code`. The first reason stands; calling again changes nothing."""
        if self.ending is None:
            self.ending = code
            self._wake()

    def drop(self) -> None:
        """End without a goodbye, where the server can. The peer loses all text that it has not read."""
        if self.writer is not None:
            self.writer.abort()

    # ── its own driver ────────────────────────────────────────────────────────────────────────────────

    def plug_in(self, transport: Transport) -> None:
        """Give the connection its transport.

        You must call this before you await anything: a count that comes meanwhile must find its way.
        """
        self.writer = Writer(
            transport,
            timeout=self._shared.settings.server.send_timeout_seconds,
            clock=self._shared.clock,
            on_broken=self.broken,
        )
        if self._early is not None:
            self.writer.offer(self._early)

    def begin(self, state: State, driver: Driver) -> None:
        """Send the first count. From now on `driver` is woken when the connection ends. Must follow
        `plug_in`.
        """
        assert self.writer is not None
        self._driver = driver
        if self.ending is None:
            self.writer.begin(state)

    @property
    def is_open(self) -> bool:
        """Whether the device is to be served any more."""
        return self.ending is None and self.writer is not None and not self.writer.closed

    async def take(self, message: str | bytes) -> None:
        """Serve one message. Raises an error that ends the connection: hand the error to `broken`."""
        if isinstance(message, bytes):
            self.ending = CloseCode.UNSUPPORTED_DATA
        elif _too_big(message, self._shared.settings.limits.max_message_bytes):
            self.ending = CloseCode.MESSAGE_TOO_BIG
        else:
            await self._apply(self._conversation.receive(message, now=self._shared.clock.monotonic()))

    def broken(self, error: Exception) -> None:
        """End the connection after `error`, of a count in its own task or of the driver."""
        if isinstance(error, SlowReader):
            self.end(CloseCode.SLOW_READER)
        elif isinstance(error, PEER_GONE):
            self.peer_gone()
            self._wake()
        else:
            log.error("a connection failed", exc_info=error)
            self.end(CloseCode.INTERNAL_ERROR)

    def peer_gone(self) -> None:
        """Take note that the peer has gone. Nothing is sent any more."""
        if self.writer is not None:
            self.writer.peer_gone()

    async def say_goodbye(self) -> None:
        """Tell the peer why the connection ends, if PNS ends the connection."""
        code, writer = self.ending, self.writer
        self._let_go()
        if code is None or writer is None:
            return
        self._shared.metrics.closes.labels(str(int(code))).inc()
        try:
            await writer.close(int(code), code.cause)
        except Exception as error:  # an edge: the rest of the end must follow
            if not isinstance(error, PEER_GONE) and code is not CloseCode.INTERNAL_ERROR:
                log.exception("a goodbye failed")

    def release(self) -> None:
        """Let go of everything that holds the connection in turn. No call follows."""
        self._let_go()
        if self.writer is not None:
            self.writer.release()

    def _let_go(self) -> None:
        self._driver = None
        self._shared.askers.discard(self)

    def _wake(self) -> None:
        if self._driver is not None:
            self._driver.wake()

    async def run(self, receive: Receive, state: State, *, counts: bool = False) -> None:
        """Send the first count, then serve the device until the connection ends. Must follow `plug_in`.

        `counts`: the device asks for counts from the beginning.
        """
        driver = _Running(asyncio.current_task())
        try:
            self.begin(state, driver)
            if counts and self.ending is None:
                await self._apply(ReadCounts(None))
            await self._serve(receive)
        except asyncio.CancelledError:
            # `wake` cancelled this task; any other cancellation is the server's or the host's.
            if not driver.was_woken():
                raise
        except Exception as error:  # an edge: the error ends this connection alone
            self.broken(error)
        finally:
            self._let_go()
        await self.say_goodbye()
        self.release()

    async def _serve(self, receive: Receive) -> None:
        while self.is_open:
            message = await receive()
            if message is None:
                self.peer_gone()
            else:
                await self.take(message)

    async def _apply(self, effect: Effect) -> None:
        writer = self.writer
        assert writer is not None
        if isinstance(effect, ReadUnseen | ReadSeen):
            await writer.ready()
            effect = await self._read(effect)
        elif isinstance(effect, FindPlace):
            effect = await self._find(effect)
        if isinstance(effect, Send):
            await writer.answer(effect.text)
            marked = self._conversation.handed_over()
            if marked is not None:
                await self._mark(marked)
        elif isinstance(effect, MarkShown):
            await self._mark_shown(effect, writer)
        elif isinstance(effect, Mark):
            await writer.answer(await self._marked(effect))
        elif isinstance(effect, Snooze):
            await writer.answer(await self._snoozed(effect))
        elif isinstance(effect, ReadCounts):
            await self._read_counts(effect, writer)
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
            return await store.unseen(
                self.user_id, limit=effect.limit, max_bytes=limits.page_bytes, category=effect.category
            )
        return await store.seen(self.user_id, effect.cursor)

    async def _read_counts(self, effect: ReadCounts, writer: Writer) -> None:
        """Ask for these counts from now on, and tell them at once."""
        self.asks = asked = CountsOf(self.user_id, effect.categories)
        writer.ask_counts()
        self._shared.askers.add(self)
        try:
            counts = (await self._shared.store.counts([asked]))[asked]
        except (StoreUnavailable, Overloaded):
            await writer.answer(error_message(ErrorCode.UNAVAILABLE, _AWAY))
        else:
            writer.offer_counts(counts, counts_text(counts))

    async def _mark(self, effect: MarkSeen) -> None:
        """Mark the notifications that were handed over."""
        # While the store is away they stay unseen and are shown again: never lost, perhaps twice.
        with suppress(StoreUnavailable, Overloaded):
            await self._shared.changes.mark_sent_seen(self.user_id, effect.user_key, effect.seqs)

    async def _find(self, effect: FindPlace) -> MarkShown | Send:
        try:
            return self._conversation.placed(
                await self._shared.store.place(self.user_id, effect.notification_id)
            )
        except UnknownNotification:
            return self._conversation.fail(ErrorCode.UNKNOWN_NOTIFICATION, NOT_KEPT)
        except (StoreUnavailable, Overloaded):
            return self._conversation.fail(ErrorCode.UNAVAILABLE, _AWAY)

    async def _mark_shown(self, effect: MarkShown, writer: Writer) -> None:
        """Mark the notifications that the device has shown. `writer` tells a failure."""
        changes, key = self._shared.changes, effect.user_key
        try:
            if effect.seqs:
                await changes.mark_sent_seen(self.user_id, key, effect.seqs)
            for category, last in effect.stretches:
                mark = Mark(MarkAs.SEEN, category=category)
                await changes.mark(self.user_id, mark, last=Place(key, last))
        except (StoreUnavailable, Overloaded):
            await writer.answer(error_message(ErrorCode.UNAVAILABLE, _AWAY))
        else:
            self._conversation.shown(effect)

    async def _marked(self, mark: Mark) -> str:
        """The answer to `markNotifications`."""
        try:
            marked = await self._shared.changes.mark(self.user_id, mark)
        except UnknownNotification as error:
            return error_message(ErrorCode.UNKNOWN_NOTIFICATION, str(error))
        except (StoreUnavailable, Overloaded):
            return error_message(ErrorCode.UNAVAILABLE, _AWAY)
        return marked_text(mark.as_, marked.changed)

    async def _snoozed(self, snooze: Snooze) -> str:
        """The answer to `snoozeNotification`."""
        try:
            until = snooze.moment(self._shared.clock.now())
            await self._shared.changes.snooze(self.user_id, snooze.id, until)
        except ValueError as wrong:
            return error_message(ErrorCode.BAD_REQUEST, f"{SNOOZE}: {wrong}")
        except UnknownNotification as error:
            return error_message(ErrorCode.UNKNOWN_NOTIFICATION, str(error))
        except (StoreUnavailable, Overloaded):
            return error_message(ErrorCode.UNAVAILABLE, _AWAY)
        return snoozed_text(snooze.id, until)

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


class _Running:
    """The task that is in `Connection.run`."""

    __slots__ = ("_is_woken", "_task")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self._task = task
        self._is_woken = False

    def wake(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task() and not self._is_woken:
            self._is_woken = True
            self._task.cancel()

    def was_woken(self) -> bool:
        """Whether `wake` alone cancelled the task, which goes on then."""
        return self._is_woken and self._task is not None and self._task.uncancel() == 0


def _too_big(text: str, max_bytes: int) -> bool:
    return len(text) > max_bytes or (not text.isascii() and len(text.encode()) > max_bytes)
