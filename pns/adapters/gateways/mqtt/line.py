"""The line to an MQTT broker: a connection on demand, made anew when the last connection was lost.

The line never waits to try again. While the broker is away, each call fails at once, and the caller asks
later.
"""

from __future__ import annotations

import asyncio

from pns.adapters.gateways.mqtt.connection import Broker, Connection


class BrokerLine:
    """At most one connection at a time. Calls during an attempt to connect share the attempt."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._opening: asyncio.Task[Connection] | None = None

    async def connection(self) -> Connection:
        """An open connection. Raises BrokerAway or BrokerRefuses. Cancelling ends no attempt of others."""
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.create_task(self._open(), name="pns mqtt")
        return await asyncio.shield(self._opening)

    async def visit(self, *, username: str, password: str, client_id: str) -> None:
        """Be another client for a moment. A clean start ends the session of this client."""
        login = self._broker._replace(username=username, password=password, client_id=client_id)
        connection = Connection(login)
        await connection.open()
        connection.close()

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        opening, self._opening = self._opening, None
        if opening is None:
            return
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()

    async def _open(self) -> Connection:
        connection = Connection(self._broker)
        await connection.open()
        return connection


def _is_over(opening: asyncio.Task[Connection]) -> bool:
    """Whether the attempt ended without a connection, or the connection is lost."""
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or bool(opening.result().lost)
