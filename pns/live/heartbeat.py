"""The timers of all connections: a heartbeat after silence, a recheck of the login, and the end of a
connection that a ticket opened and no ticket renewed.
"""

from __future__ import annotations

import asyncio
import random

from pns.contracts.authority import DeviceAuthority
from pns.errors import Forbidden, Problem, Unauthorized
from pns.live.connection import Connection
from pns.live.hub import Hub
from pns.model.messages import CloseCode
from pns.runtime.clock import Clock
from pns.settings import Settings

CHUNK = 1000
"""Connections looked at in one turn of the event loop."""


class Heartbeat:
    """Looks at all connections of a node, at most once a second."""

    def __init__(self, hub: Hub, authority: DeviceAuthority, settings: Settings, *, clock: Clock) -> None:
        self._hub = hub
        self._authority = authority
        self._heartbeat_seconds = settings.server.heartbeat_seconds
        self._recheck_seconds = settings.auth.recheck_seconds
        self._clock = clock
        self._rechecks: set[asyncio.Task[None]] = set()

    @property
    def interval(self) -> float:
        """Seconds between two ticks: short enough for the shortest of the timers."""
        return min(1.0, self._heartbeat_seconds / 4, (self._recheck_seconds or 4.0) / 4)

    def next_recheck(self) -> float:
        """Monotonic seconds of a connection's next recheck. Infinity, where rechecks are turned off.

        After 80 to 120 % of `auth.recheck_seconds`, so that a deploy's reconnects spread out.
        """
        if not self._recheck_seconds:
            return float("inf")
        return self._clock.monotonic() + self._recheck_seconds * random.uniform(0.8, 1.2)

    async def tick(self) -> None:
        """Repeat the count on silent connections and start the rechecks that are due."""
        now = self._clock.monotonic()
        for number, connection in enumerate(self._hub):
            writer = connection.writer
            if writer is not None and now - writer.last_sent >= self._heartbeat_seconds:
                writer.repeat()
            if now >= connection.recheck_at:
                self._recheck_or_end(connection)
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)

    async def stop(self) -> None:
        for task in self._rechecks:
            task.cancel()
        if self._rechecks:
            await asyncio.wait(self._rechecks)

    def _recheck_or_end(self, connection: Connection) -> None:
        if connection.read_ticket is not None:
            connection.end(CloseCode.NOT_RENEWED)
            return
        connection.recheck_at = self.next_recheck()
        if connection.credentials is not None:
            task = asyncio.create_task(self._recheck(connection))
            self._rechecks.add(task)
            task.add_done_callback(self._rechecks.discard)

    async def _recheck(self, connection: Connection) -> None:
        """Ask again, past the cache. Only a clear no, or another user, ends the connection."""
        assert connection.credentials is not None
        try:
            login = await self._authority.login(connection.credentials, recheck=True)
        except (Unauthorized, Forbidden):
            connection.end(CloseCode.LOGGED_OUT)
        except Problem:
            return
        else:
            if login.user_id != connection.user_id:
                connection.end(CloseCode.LOGGED_OUT)
