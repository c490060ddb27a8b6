"""The only writer to one socket: never two sends at once, never an older count after a newer one.

A slow reader is a flag, not a queue: `offer` keeps the newest state, and whoever finishes a send looks
whether there is a newer one than was told. Nothing piles up, and no stalled peer holds anybody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from pns.contracts.store import State
from pns.model.messages import encode_count
from pns.runtime.clock import Clock

Message = MutableMapping[str, Any]
SendCall = Callable[[Message], Awaitable[None]]


class Socket(Protocol):
    """What PNS's own server adds to ASGI, in `scope["extensions"]["pns.socket"]`."""

    writable: asyncio.Event
    """Set while the send buffer takes more, and once the connection is lost."""

    def send_text(self, text: str) -> None:
        """Send a text message at once; nothing once the connection ends. For short ones, while `writable`."""

    def abort(self) -> None:
        """Drop the connection and what is buffered for it, now."""


class SlowReader(Exception):
    """The peer took nothing for `server.send_timeout_seconds`."""


class Outlet:
    """Sends to one socket.

    With `in_place` a count goes straight to `socket`, without a coroutine, and a task waits only for a peer
    whose buffer is full. That is for PNS's own server: a host's middleware around `send` would be passed by,
    so there every count is a `send` in a task of its own.
    """

    __slots__ = (
        "_busy",
        "_clock",
        "_direct",
        "_newest",
        "_on_slow",
        "_send",
        "_socket",
        "_task",
        "_timeout",
        "_told",
        "closed",
        "last_sent",
    )

    def __init__(
        self,
        send: SendCall,
        *,
        socket: Socket | None,
        in_place: bool,
        timeout: float,
        clock: Clock,
        on_slow: Callable[[], None],
    ) -> None:
        """`timeout`: seconds a send may take. `on_slow` is called once when a count took longer."""
        self._send = send
        self._socket = socket
        self._direct = socket if in_place else None
        self._timeout = timeout
        self._clock = clock
        self._on_slow = on_slow
        self._newest: State | None = None
        self._told: tuple[int, int] | None = None
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self.closed = False
        self.last_sent = clock.monotonic()

    @property
    def up_to_date(self) -> bool:
        """Whether the newest known count has been handed to the socket."""
        newest = self._newest
        return newest is None or self._told == (newest.user_key, newest.version)

    # ── counts: synchronous, newest wins ──────────────────────────────────────────────────────────────

    def offer(self, state: State, message: Message | None = None) -> bool:
        """Tell the peer `state`, now or when it reads again; an older one than was offered is ignored.

        `message` is `count_message(state)`, for a caller that makes it once for many. Returns whether `state`
        was news to a peer that had been told a count: before `begin` nothing is.
        """
        newest = self._newest
        if newest is not None and state[:2] <= newest[:2]:
            return False
        self._newest = state
        if self._told is None:
            return False
        self._catch_up(message)
        return True

    def begin(self, state: State) -> None:
        """Send the first count: `state`, or a newer one that was offered meanwhile."""
        self._told = (-1, -1)
        self.offer(state)
        self._catch_up()

    def repeat(self) -> None:
        """Send the newest count again, as a heartbeat."""
        if self._newest is not None and not self._busy and self._told is not None:
            self._start(count_message(self._newest), self._newest)

    def _catch_up(self, message: Message | None = None) -> None:
        newest = self._newest
        if newest is None or self._busy or self.closed or self.up_to_date:
            return
        self._start(message or count_message(newest), newest)

    def _start(self, message: Message, state: State) -> None:
        if self.closed:
            return
        direct = self._direct
        if direct is not None and not direct.writable.is_set():
            # Nothing is told yet: when the peer reads again, it is told what is newest then.
            self._follow(direct.writable.wait())
            return
        self._told = (state.user_key, state.version)
        self.last_sent = self._clock.monotonic()
        if direct is not None:
            direct.send_text(message["text"])
        else:
            self._follow(self._send(message))

    def _follow(self, sending: Awaitable[object]) -> None:
        self._busy = True
        self._task = asyncio.create_task(self._finish(sending))

    async def _finish(self, sending: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await sending
        except TimeoutError:
            self.closed = True
            self._on_slow()
        except Exception:
            self.closed = True
        finally:
            self._release()

    def _release(self) -> None:
        self._busy = False
        self._task = None
        self._catch_up()

    # ── answers: awaited, one at a time ───────────────────────────────────────────────────────────────

    async def ready(self) -> None:
        """Wait until the socket takes more, so that no second page is built for a peer that does not read.

        Raises SlowReader after the timeout. Under a foreign server it returns at once.
        """
        if self._socket is not None and not self._socket.writable.is_set():
            try:
                async with asyncio.timeout(self._timeout):
                    await self._socket.writable.wait()
            except TimeoutError:
                self.closed = True
                raise SlowReader from None

    async def answer(self, text: str) -> None:
        """Send `text` after what is being sent. Raises SlowReader, or what the server's `send` raises."""
        await self._turn()
        self._busy = True
        self.last_sent = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                await self._send({"type": "websocket.send", "text": text})
        except TimeoutError:
            self.closed = True
            raise SlowReader from None
        finally:
            self._release()

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye with `code` if the peer reads; drop it if it does not, after the timeout at most."""
        try:
            async with asyncio.timeout(self._timeout):
                if not self.closed:
                    await self._turn()
                if not self.closed:
                    self.closed = True
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                    return
        except TimeoutError:
            self.closed = True
        self.abort()

    async def _turn(self) -> None:
        while self._task is not None:
            await asyncio.wait([self._task])

    def abort(self) -> None:
        """Drop the connection at once, where the server can."""
        if self._socket is not None:
            self._socket.abort()

    def release(self) -> None:
        """Let go of `on_slow`, which must not be called any more. Its connection holds this outlet in turn:
        many that end at once would stay until garbage is collected.
        """
        self._on_slow = _nobody


def count_message(state: State) -> Message:
    """The ASGI message that tells `state`."""
    return {"type": "websocket.send", "text": encode_count(state.unseen)}


def _nobody() -> None: ...
