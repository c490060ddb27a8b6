"""A connection without a task of its own: the calls of its line drive the connection.

    state    event                  effect                                           next state
    IDLE     hear(message)          a task takes the message                         TURN
    TURN     the message is taken   line.go_on                                       IDLE
    TURN     wake()                 the task stops, says goodbye and leaves          PARTING
    TURN     lost()                 none: the task meets the end by itself           TURN
    IDLE     wake()                 a task says goodbye and leaves                   PARTING
    IDLE     lost()                 the connection leaves                            GONE
    PARTING  hear(message), lost()  none                                             PARTING
    PARTING  goodbye is said        the connection leaves                            GONE

`wake` is the connection's word that the connection ends. The turn's own task is not woken: the task looks at
the connection after each message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any

from pns.contracts.store import State
from pns.live.connection import Connection
from pns.live.transport import Parkable


class Phase(Enum):
    """See the table above."""

    IDLE = auto()
    TURN = auto()
    PARTING = auto()
    GONE = auto()


class Parked:
    """Drives one connection, as the Hearer of its line. `left` is called once, when the connection ends."""

    __slots__ = ("_connection", "_left", "_line", "_phase", "_task")

    def __init__(self, connection: Connection, line: Parkable, *, left: Callable[[Connection], None]) -> None:
        self._connection = connection
        self._line = line
        self._left = left
        self._phase = Phase.IDLE
        self._task: asyncio.Task[None] | None = None

    def begin(self, state: State) -> None:
        """Send the first count, `state`, and serve the device from now on."""
        self._connection.begin(state, self)
        if not self._connection.is_open:
            self.wake()
        self._line.park(self)

    # ── Hearer ────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, message: str | bytes) -> None:
        if self._phase is Phase.IDLE:
            self._start(Phase.TURN, self._take(message))

    def lost(self) -> None:
        self._connection.peer_gone()
        if self._phase is Phase.IDLE:
            self._leave()

    # ── Driver ────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        if self._phase is Phase.IDLE:
            self._start(Phase.PARTING, self._part())
        elif self._phase is Phase.TURN and self._task not in (None, asyncio.current_task()):
            # Not at once: a task that is cancelled before its first step never takes that step.
            asyncio.get_running_loop().call_soon(self._stop, self._task)

    def _stop(self, task: asyncio.Task[None] | None) -> None:
        if self._phase is Phase.TURN and task is not None and self._task is task and not task.cancelling():
            task.cancel()

    def _start(self, phase: Phase, work: Coroutine[Any, Any, None]) -> None:
        self._phase = phase
        self._task = asyncio.create_task(work)

    async def _take(self, message: str | bytes) -> None:
        connection = self._connection
        try:
            if connection.is_open:
                await connection.take(message)
        except asyncio.CancelledError:
            # `_stop` cancelled this task; any other cancellation is the server's.
            if connection.is_open or self._task is None or self._task.uncancel() > 0:
                self._leave()
                raise
        except Exception as error:  # an edge: the error ends this connection alone
            connection.broken(error)
        if connection.is_open:
            self._phase, self._task = Phase.IDLE, None
            self._line.go_on()
        else:
            self._phase = Phase.PARTING
            await self._part()

    async def _part(self) -> None:
        try:
            await self._connection.say_goodbye()
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._phase is not Phase.GONE:
            self._phase, self._task = Phase.GONE, None
            self._connection.release()
            self._left(self._connection)
