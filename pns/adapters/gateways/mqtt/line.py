"""The line to an MQTT broker: a connection whenever one is asked for, made anew when the last one was lost.

Nothing here waits to try again: whoever asks while the broker is away hears so at once, and asks later.
"""

from __future__ import annotations

import asyncio

from pns.adapters.gateways.mqtt.connection import Broker, Connection


class Line:
    """At most one connection at a time; all who ask while it is being opened wait for the same attempt."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._opening: asyncio.Task[Connection] | None = None

    async def connection(self) -> Connection:
        """An open connection. Raises BrokerAway or BrokerRefuses. Cancelling it ends no attempt of others."""
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.create_task(self._open(), name="pns mqtt")
        return await asyncio.shield(self._opening)

    async def visit(self, *, username: str, password: str, client_id: str) -> None:
        """Be another client for a moment. It starts clean, which ends the session that this client had."""
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
    """Whether it ended without a connection, or that connection is lost."""
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or bool(opening.result().lost)
