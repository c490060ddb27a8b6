"""The only writer to one peer: never two sends at once, never an older count after a newer count.

A slow reader is a flag, not a queue. `offer` keeps the newest state. At the end of each send the writer
compares the newest state with the state that the peer was told. Nothing piles up, and a stalled peer delays
no other peer.

    state    event                      effect                                 next state
    NEW      offer(state)               keep the newest                        NEW
    NEW      begin(state)               send the newest count                  FREE or BUSY
    FREE     offer(newer)               send the count                         FREE or BUSY
    FREE     repeat()                   send the newest count again            FREE or BUSY
    FREE     answer(text)               send the text                          FREE or BUSY
    any      offer_counts(newer)        as offer, if the peer asked; a count   as offer
                                        that is due as well goes first
    BUSY     offer(newer)               keep the newest                        BUSY
    BUSY     repeat()                   none: another send is under way        BUSY
    BUSY     answer(text), close(code)  wait for FREE                          BUSY
    BUSY     the send ends              send the newest count if not told      FREE or BUSY
    BUSY     the send takes too long    on_broken(SlowReader)                  CLOSED
    BUSY     the send fails             on_broken(error)                       NEW: no count is sent
    NEW      close(code)                send the code; drop the peer if late   CLOSED
    FREE     close(code)                send the code; drop the peer if late   CLOSED
    any      peer_gone()                none                                   CLOSED
    CLOSED   offer, begin, repeat       none                                   CLOSED

FREE follows where the transport sends in place. BUSY follows where a task must wait for the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pns.contracts.store import State
from pns.live.transport import Transport
from pns.model.counts import Counts
from pns.model.messages import encode_count
from pns.runtime.clock import Clock


class SlowReader(Exception):
    """The peer took nothing for `server.send_timeout_seconds`."""


_NOTHING = State(-1, -1)
"""Told to a peer that was told nothing yet."""


class Writer:
    """Sends to one peer; see the table of states above.

    A count that the transport takes in place costs no task and no coroutine.
    """

    __slots__ = (
        "_busy",
        "_clock",
        "_counts",
        "_counts_text",
        "_floor",
        "_newest",
        "_on_broken",
        "_task",
        "_timeout",
        "_told",
        "_transport",
        "closed",
        "last_sent",
    )

    def __init__(
        self, transport: Transport, *, timeout: float, clock: Clock, on_broken: Callable[[Exception], None]
    ) -> None:
        """`timeout`: seconds that a send may take. `on_broken` is called when a count cannot be sent: with
        SlowReader after the timeout, else with the error of the transport.
        """
        self._transport = transport
        self._timeout = timeout
        self._clock = clock
        self._on_broken = on_broken
        self._newest: State | None = None
        # None in the state NEW; _NOTHING before the first count.
        self._told: State | None = None
        # The newest counts since the peer last asked, their text as long as it is to be sent, and the place
        # of the newest counts ever: nothing older follows, also when the peer asks again.
        self._counts: tuple[int, int] | None = None
        self._counts_text: str | None = None
        self._floor = (0, 0)
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self.closed = False
        self.last_sent = clock.monotonic()

    @property
    def up_to_date(self) -> bool:
        """Whether the newest known count was handed to the transport."""
        return self._newest is None or self._told is self._newest

    # ── counts: synchronous, newest wins ──────────────────────────────────────────────────────────────

    def offer(self, state: State, text: str | None = None) -> bool:
        """Tell the peer `state`, now or when the peer reads again. A state older than the newest is ignored.

        `text` is `count_text(state)`, for a caller that encodes a count once for many peers. Returns whether
        `state` was news to a peer that had been told a count: before `begin` nothing is news.
        """
        newest = self._newest
        if newest is not None and (
            state.version <= newest.version
            if state.user_key == newest.user_key
            else state.user_key < newest.user_key
        ):
            return False
        self._newest = state
        if self._told is None:
            return False
        if self._counts_text is not None:
            self._catch_up(text)
        elif not self._busy:
            # The way of every frame of a fan-out: a call less for each of many connections.
            self._send(text or count_text(state), state)
        return True

    def ask_counts(self) -> None:
        """The peer asks for counts: the next ones that are offered are sent in any case."""
        self._counts = self._counts_text = None

    def offer_counts(self, counts: Counts, text: str) -> bool:
        """Tell the peer `counts`, now or when the peer reads again. Older ones than the newest are ignored.

        `text` is `counts_text(counts)`. Returns whether `counts` were news to a peer that had been told
        others since it asked.
        """
        place, before = (counts.user_key, counts.version), self._counts
        if place < self._floor or place == before:
            return False
        self._counts = self._floor = place
        self._counts_text = text
        self._catch_up()
        return before is not None

    def begin(self, state: State) -> None:
        """Send the first count: `state`, or a newer state that was offered before."""
        self._told = _NOTHING
        self.offer(state)
        self._catch_up()

    def repeat(self) -> None:
        """Send the newest count again, as a heartbeat."""
        if self._newest is not None and not self._busy and self._told is not None:
            self._send(count_text(self._newest), self._newest)

    def _catch_up(self, text: str | None = None) -> None:
        newest = self._newest
        if newest is not None and self._may_send and not self.up_to_date:
            self._send(text or count_text(newest), newest)
        if self._counts_text is not None and self._may_send:
            self._send_counts(self._counts_text)

    @property
    def _may_send(self) -> bool:
        return self._told is not None and not (self._busy or self.closed)

    def _send(self, text: str, state: State) -> None:
        if self.closed:
            return
        blocked = self._transport.blocked()
        if blocked is not None:
            self._follow(blocked)
            return
        self._told = state
        self._put(text)

    def _send_counts(self, text: str) -> None:
        if not self._is_blocked():
            self._counts_text = None
            self._put(text)

    def _is_blocked(self) -> bool:
        """Whether the peer does not read. Then the newest of the moment when it reads again is sent."""
        blocked = self._transport.blocked()
        if blocked is not None:
            self._follow(blocked)
        return blocked is not None

    def _put(self, text: str) -> None:
        self.last_sent = self._clock.monotonic()
        try:
            sending = self._transport.send_text(text)
        except Exception as error:  # to the connection, which is the edge
            self._break(error)
            return
        if sending is not None:
            self._follow(sending)

    def _follow(self, sending: Awaitable[object]) -> None:
        self._busy = True
        self._task = asyncio.create_task(self._finish(sending))

    async def _finish(self, sending: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await sending
        except TimeoutError:
            self.closed = True
            self._on_broken(SlowReader())
        except Exception as error:  # to the connection, which is the edge
            self._break(error)
        finally:
            self._free()

    def _free(self) -> None:
        self._busy = False
        self._task = None
        self._catch_up()

    def _break(self, error: Exception) -> None:
        self._told = None
        self._on_broken(error)

    # ── answers: awaited, one at a time ───────────────────────────────────────────────────────────────

    async def ready(self) -> None:
        """Wait until the transport takes more, so that no second page is built for a peer that does not
        read. Raises SlowReader after the timeout.
        """
        blocked = self._transport.blocked()
        if blocked is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await blocked
            except TimeoutError:
                self.closed = True
                raise SlowReader from None

    async def answer(self, text: str) -> None:
        """Send `text` after the send under way. Raises SlowReader, or the error of the transport."""
        await self._until_free()
        self._busy = True
        self.last_sent = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                await self._hand_over(text)
        except TimeoutError:
            self.closed = True
            raise SlowReader from None
        finally:
            self._free()

    async def _hand_over(self, text: str) -> None:
        while (blocked := self._transport.blocked()) is not None:
            await blocked
        sending = self._transport.send_text(text)
        if sending is not None:
            await sending

    async def _until_free(self) -> None:
        while self._task is not None:
            await asyncio.wait([self._task])

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye with `code` to a peer that reads. Drop a peer that does not read, after the timeout at
        most. Raises the error of the transport.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if not self.closed:
                    await self._until_free()
                if not self.closed:
                    self.closed = True
                    await self._transport.send_close(code, reason)
                    return
        except TimeoutError:
            self.closed = True
        self.abort()

    def peer_gone(self) -> None:
        """Take note that the peer has gone. Nothing is sent any more."""
        self.closed = True

    def abort(self) -> None:
        """Drop the peer at once, where the server can."""
        self._transport.abort()

    def release(self) -> None:
        """Let go of `on_broken`, which is not called any more.

        The callback's connection holds this writer in turn. Without `release`, many connections that end at
        once would stay until garbage is collected.
        """
        self._on_broken = _nobody


def count_text(state: State) -> str:
    """The message that tells the count of `state`."""
    return encode_count(state.unseen)


def _nobody(error: Exception) -> None: ...
