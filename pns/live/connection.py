"""Drives one connection: a message of the device, a wake of the hub or a timer comes in, effects go out.

The conversation decides, the store answers, the outlet writes. A connection ends for one reason, which
`end` records first; whoever records it wakes the driver, which says goodbye and lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from pns.contracts.authority import Credentials
from pns.contracts.store import State, Store
from pns.errors import Overloaded, StoreUnavailable, Unauthorized, UnknownNotification
from pns.inbox.changes import Changes
from pns.live.admission import Admitted, use
from pns.live.conversation import Close, Conversation, Effect, MarkSeen, ReadSeen, ReadUnseen, Renew, Send
from pns.live.outlet import Message, Outlet, SendCall, SlowReader, Socket
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

ReceiveCall = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What all connections of a node are served with.

    `in_place`: counts may go straight to the server's socket; see Outlet. `page_turns` lets a few pages be
    read and encoded at a time: more would only make each turn of the event loop, and so everybody else's
    wait, longer.
    """

    settings: Settings
    store: Store
    changes: Changes
    clock: Clock
    metrics: Metrics
    in_place: bool
    page_turns: asyncio.Semaphore


class Connection:
    """One WebSocket of a device. Lives in the hub from before its first count until its end.

    `revocation`: the connection was let in by an answer this new; a revocation with a higher number ends it.
    `credentials` is None where nobody can be asked again. `read_ticket`: of a connection that a ticket
    opened, which ends unless another ticket renews it; None for all others.
    """

    __slots__ = (
        "_conversation",
        "_delivery",
        "_driver",
        "_early",
        "credentials",
        "device_id",
        "ending",
        "outlet",
        "read_ticket",
        "recheck_at",
        "revocation",
        "since",
        "user_id",
    )

    def __init__(
        self,
        delivery: Delivery,
        admitted: Admitted,
        *,
        credentials: Credentials | None,
        recheck_at: float,
        read_ticket: ReadTicket | None = None,
    ) -> None:
        """`recheck_at`: monotonic seconds when `credentials` are to be asked about again, or when the
        connection ends that no ticket has renewed.
        """
        self._delivery = delivery
        self.user_id = admitted.user_id
        self.device_id = admitted.device_id
        self.revocation = admitted.revocation
        self.credentials = credentials
        self.read_ticket = read_ticket
        self.since = delivery.clock.now()
        self.recheck_at = recheck_at
        self.ending: CloseCode | None = None
        self._driver: asyncio.Task[Any] | None = None
        self.outlet: Outlet | None = None
        self._early: State | None = None
        self._conversation = Conversation(delivery.settings.limits, now=delivery.clock.monotonic())

    # ── what others may do to it; synchronous ─────────────────────────────────────────────────────────

    def tell(self, state: State, message: Message | None = None) -> bool:
        """Take note of the user's newest state.

        Returns whether its count was news to a device that had been told another one.
        """
        if state.revoked(self.device_id) > self.revocation:
            self.end(CloseCode.LOGGED_OUT)
            return False
        if self.outlet is not None:
            return self.outlet.offer(state, message)
        # Its own first read may be on its way still, and older.
        if self._early is None or state[:2] > self._early[:2]:
            self._early = state
        return False

    def end(self, code: CloseCode) -> None:
        """Close with `code`. The first reason stands; calling again changes nothing."""
        if self.ending is None:
            self.ending = code
            if self._driver is not None:
                self._driver.cancel()

    def drop(self) -> None:
        """End without a goodbye, where the server can: what the peer has not read is lost to it."""
        if self.outlet is not None:
            self.outlet.abort()

    # ── its own task ──────────────────────────────────────────────────────────────────────────────────

    def plug_in(self, send: SendCall, socket: Socket | None) -> Outlet:
        """Give the connection its socket, before it can be told anything."""
        server = self._delivery.settings.server
        self.outlet = Outlet(
            send,
            socket=socket,
            in_place=self._delivery.in_place,
            timeout=server.send_timeout_seconds,
            clock=self._delivery.clock,
            on_slow=lambda: self.end(CloseCode.SLOW_READER),
        )
        if self._early is not None:
            self.outlet.offer(self._early)
        return self.outlet

    async def run(self, receive: ReceiveCall, state: State) -> None:
        """Send the first count, then serve the device until the connection ends. Must follow `plug_in`."""
        outlet = self.outlet
        assert outlet is not None
        self._driver = asyncio.current_task()
        try:
            if self.ending is None:
                outlet.begin(state)
                await self._serve(receive, outlet)
        except asyncio.CancelledError:
            # `end` cancelled this task to wake it; any other cancellation is the server's or the host's.
            if self.ending is None or self._driver is None or self._driver.uncancel() > 0:
                raise
        except SlowReader:
            self.ending = self.ending or CloseCode.SLOW_READER
        except (OSError, RuntimeError):
            # The peer went while something was sent to it; what servers raise then has no common type.
            outlet.closed = True
        finally:
            self._driver = None
        await self._say_goodbye(outlet)
        outlet.release()

    async def _serve(self, receive: ReceiveCall, outlet: Outlet) -> None:
        while self.ending is None:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                outlet.closed = True
                return
            text = event.get("text")
            if text is None:
                self.ending = CloseCode.UNSUPPORTED_DATA
            elif _too_big(text, self._delivery.settings.limits.max_message_bytes):
                self.ending = CloseCode.MESSAGE_TOO_BIG
            else:
                await self._apply(
                    self._conversation.receive(text, now=self._delivery.clock.monotonic()), outlet
                )

    async def _apply(self, effect: Effect, outlet: Outlet) -> None:
        if isinstance(effect, ReadUnseen | ReadSeen):
            await outlet.ready()
            effect = await self._read(effect)
        if isinstance(effect, Send):
            await outlet.answer(effect.text)
            marked = self._conversation.handed_over()
            if marked is not None:
                await self._mark(marked)
        elif isinstance(effect, MarkSeen):
            await self._mark(effect, outlet)
        elif isinstance(effect, Renew):
            await outlet.answer(await self._renew(effect.ticket))
        elif isinstance(effect, Close):
            self.ending = effect.code

    async def _read(self, effect: ReadUnseen | ReadSeen) -> Send:
        try:
            async with self._delivery.page_turns:
                return self._conversation.answer(await self._page(effect))
        except UnknownNotification as error:
            return self._conversation.fail(ErrorCode.UNKNOWN_NOTIFICATION, str(error))
        except (StoreUnavailable, Overloaded):
            return self._conversation.fail(ErrorCode.UNAVAILABLE, _AWAY)

    async def _page(self, effect: ReadUnseen | ReadSeen) -> Page:
        store, limits = self._delivery.store, self._delivery.settings.limits
        if isinstance(effect, ReadUnseen):
            return await store.unseen(self.user_id, limit=effect.limit, max_bytes=limits.page_bytes)
        return await store.seen(self.user_id, effect.cursor)

    async def _mark(self, effect: MarkSeen, outlet: Outlet | None = None) -> None:
        """Mark what was shown. `outlet`: where a failure is told, when the device asked for the marking."""
        try:
            await self._delivery.changes.mark_sent_seen(self.user_id, effect.user_key, effect.seqs)
        except (StoreUnavailable, Overloaded):
            # Without `outlet` they stay unseen and will be shown again: never lost, perhaps twice.
            if outlet is not None:
                await outlet.answer(error_message(ErrorCode.UNAVAILABLE, _AWAY))

    async def _renew(self, text: str) -> str:
        """The answer to `renewTicket`. A ticket of another user or device is not used up."""
        seconds = self._delivery.settings.auth.recheck_seconds
        if self.read_ticket is None or not seconds:
            return error_message(ErrorCode.BAD_REQUEST, f"{RENEW_TICKET}: {_NEEDS_NONE}")
        try:
            ticket = self.read_ticket(text)
            if (ticket.user_id, ticket.device_id) != (self.user_id, self.device_id):
                raise Unauthorized(_NOT_ITS_OWN)
            await use(ticket, self._delivery.store)
        except Unauthorized as refusal:
            return error_message(ErrorCode.BAD_REQUEST, f"{RENEW_TICKET}: {refusal}")
        except (StoreUnavailable, Overloaded):
            return error_message(ErrorCode.UNAVAILABLE, _AWAY)
        self.revocation = max(self.revocation, ticket.revocation)
        self.recheck_at = renewed_until(self._delivery.clock.monotonic(), seconds)
        return encode(TicketRenewed(Renewed(seconds)))

    async def _say_goodbye(self, outlet: Outlet) -> None:
        code = self.ending
        if code is None:
            return
        self._delivery.metrics.closes.labels(str(int(code))).inc()
        try:
            await outlet.close(int(code), code.cause)
        except (OSError, RuntimeError):
            outlet.closed = True


def _too_big(text: str, max_bytes: int) -> bool:
    return len(text) > max_bytes or (not text.isascii() and len(text.encode()) > max_bytes)
