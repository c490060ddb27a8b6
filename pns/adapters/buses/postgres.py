"""The line to PostgreSQL: a connection of its own, with LISTEN and NOTIFY.

PostgreSQL wakes every listener of a database for every NOTIFY, so all nodes share a single channel. A pooler
in transaction mode between the two carries no hints; the canary detects such a pooler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import asyncpg

from pns.adapters.buses import address
from pns.adapters.buses.wire import Heard, Hopeless, Unsendable, WireError
from pns.runtime.postgres import by_hand, connect, require_utf8, words
from pns.settings.postgres_url import bus_database

PUBLISH = "SELECT pg_notify(name, content) FROM unnest($1::text[], $2::text[]) AS message (name, content)"
PREFIX = "pns:"
SESSION = {
    "application_name": "pns bus",
    "synchronous_commit": "off",  # a NOTIFY is a commit, and a hint need not survive anything
    "tcp_keepalives_idle": "30",  # a listener without power would fill the queue of all notifications
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_STANDBY = (
    "PostgreSQL: a standby takes no LISTEN: let bus.url name the server that writes, beside this or alone"
)

_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class PostgresWire:
    """See pns.adapters.buses.wire.Wire. Of several hosts, the line goes to the one that writes."""

    max_bytes = 7_900
    interests = False

    def __init__(self, url: str) -> None:
        """Raises SettingsError for an impossible URL."""
        self._url = address.parse(url, bus_database)
        self._heard: Heard | None = None
        self._connection: asyncpg.Connection | None = None
        self._broken: asyncio.Future[None] | None = None

    async def connect(self, heard: Heard) -> None:
        self._heard = heard
        self._broken = asyncio.get_running_loop().create_future()
        try:
            self._connection = connection = await connect(self._arguments)
            require_utf8(connection)
        except asyncpg.TargetServerAttributeNotMatched:
            raise WireError(_STANDBY) from None
        except _ERRORS as error:
            raise _made(error) from None
        self._connection.add_termination_listener(self._ended)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def listen(self) -> None:
        assert self._broken is not None
        await self._broken
        raise WireError("PostgreSQL closed the connection")

    async def subscribe(self, channels: Collection[str]) -> None:
        try:
            for channel in channels:
                await self._open.add_listener(PREFIX + channel, self._take)
        except _ERRORS as error:
            raise WireError(_text(error)) from None

    async def unsubscribe(self, channels: Collection[str]) -> None:
        try:
            for channel in channels:
                await self._open.remove_listener(PREFIX + channel, self._take)
        except _ERRORS as error:
            raise WireError(_text(error)) from None

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        names = [PREFIX + channel for channel, _ in messages]
        try:
            await self._open.execute(PUBLISH, names, [text for _, text in messages])
        except _ERRORS as error:
            raise (Unsendable if _is_refused(error) else WireError)(_text(error)) from None

    def _arguments(self) -> dict[str, Any]:
        given = self._url.arguments()
        return given | {"server_settings": given["server_settings"] | SESSION}

    @property
    def _open(self) -> asyncpg.Connection:
        if self._connection is None:
            raise WireError("PostgreSQL is not connected")
        return self._connection

    def _take(self, connection: object, pid: int, channel: str, text: str) -> None:
        assert self._heard is not None
        self._heard(channel.removeprefix(PREFIX), text)

    def _ended(self, connection: object) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(None)


def _made(error: Exception) -> WireError:
    """The error of a line that could not be made."""
    remedy = by_hand(error, server="The bus's server", key="bus.url")
    return WireError(_text(error)) if remedy is None else Hopeless(f"{remedy} ({words(error)})")


def _is_refused(error: Exception) -> bool:
    """Whether the messages are to blame: data that PostgreSQL does not take, or no room for them."""
    code = getattr(error, "sqlstate", None) or ""
    return code.startswith(("22", "54")) or _is_no_text(error)


def _is_no_text(error: Exception) -> bool:
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def _text(error: Exception) -> str:
    told = "a text that cannot be sent" if _is_no_text(error) else words(error)
    return f"PostgreSQL: {told}"
