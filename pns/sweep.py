"""What every connection is owed as time goes by: a heartbeat after silence, and a recheck of its login."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from pns.delivery import Connection
from pns.errors import Forbidden, Problem, Unauthorized
from pns.messages import CloseCode

if TYPE_CHECKING:
    from pns.node import Node

CHUNK = 1000
"""Connections looked at in one turn of the event loop."""


class Sweep:
    """Looks at all connections of a node, at most once a second."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._rechecks: set[asyncio.Task[None]] = set()

    @property
    def interval(self) -> float:
        """Seconds between two looks: fine enough for the shortest of the times that it keeps."""
        settings = self._node.settings
        recheck = settings.auth.recheck_seconds or 1.0
        return min(1.0, settings.server.heartbeat_seconds / 4, recheck / 4)

    async def tick(self) -> None:
        """Repeat the count on silent connections and start the rechecks that are due."""
        now = self._node.clock.monotonic()
        silence = self._node.settings.server.heartbeat_seconds
        for number, connection in enumerate(self._node.hub):
            if connection.outlet is not None and now - connection.outlet.last_sent >= silence:
                connection.outlet.repeat()
            if now >= connection.recheck_at:
                self._start_recheck(connection)
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)

    async def stop(self) -> None:
        for task in self._rechecks:
            task.cancel()
        if self._rechecks:
            await asyncio.wait(self._rechecks)

    def _start_recheck(self, connection: Connection) -> None:
        connection.recheck_at = self._node.next_recheck()
        if connection.credentials is not None:
            task = asyncio.create_task(self._recheck(connection))
            self._rechecks.add(task)
            task.add_done_callback(self._rechecks.discard)

    async def _recheck(self, connection: Connection) -> None:
        """Ask again, past the cache. Only a clear no, or another user, ends the connection."""
        assert connection.credentials is not None
        try:
            login = await self._node.authority.login(connection.credentials, fresh=True)
        except (Unauthorized, Forbidden):
            connection.end(CloseCode.LOGGED_OUT)
        except Problem:
            return
        else:
            if login.user_id != connection.user_id:
                connection.end(CloseCode.LOGGED_OUT)


def recheck_delay(seconds: float) -> float:
    """Seconds until the next recheck: 80 to 120 % of `seconds`, so that a deploy's reconnects spread out."""
    return seconds * random.uniform(0.8, 1.2) if seconds else float("inf")
