"""The line to Redis or Valkey: a connection that listens, and a second connection that publishes.

The connections are plain ones of redis-py, without its pool and its PubSub: pool and PubSub reconnect
silently, and a loss of messages stays unnoticed. A connection with any error is thrown away, so that no reply
waits on it for the next command.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from ssl import TLSVersion
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError

from pns.adapters.buses import address
from pns.adapters.buses.wire import Heard, Unsendable, WireError
from pns.settings.broker_url import redis

MESSAGES_IN_A_ROW = 100
"""After so many messages the rest of the node gets its turn."""
_FORMS: Mapping[str, Callable[[str], object]] = {
    "health_check_interval": int,
    "ssl_min_version": lambda text: TLSVersion(int(text)),
    "ssl_check_hostname": lambda text: text.lower() in ("true", "1", "yes"),
}
"""The options of a URL that are no texts."""


class RedisWire:
    """See pns.adapters.buses.wire.Wire. `rediss://` is TLS. The options after `?` are redis-py's own."""

    max_bytes = 32_768
    interests = True

    def __init__(self, url: str) -> None:
        """Raises SettingsError for an impossible URL."""
        self._make, self._options = _parse(url)
        self._prefix = f"pns:{self._options.get('db', 0)}:"
        self._heard: Heard = _unheard
        self._listening: Connection | None = None
        self._publishing: Connection | None = None
        self._confirmed: dict[str, asyncio.Future[None]] = {}

    async def connect(self, heard: Heard) -> None:
        self._heard = heard
        self._confirmed.clear()
        self._listening, self._publishing = self._make(**self._options), self._make(**self._options)
        for connection in (self._listening, self._publishing):
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                raise WireError(_text(error)) from None

    async def close(self) -> None:
        for connection in (self._listening, self._publishing):
            if connection is None:
                continue
            # Without this, a connection with unsent bytes lives on until a dead broker takes them.
            if (writer := getattr(connection, "_writer", None)) is not None:
                writer.transport.abort()
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
        self._listening = self._publishing = None

    async def listen(self) -> None:
        connection = _open(self._listening)
        while True:
            for _ in range(MESSAGES_IN_A_ROW):
                try:
                    reply = await connection.read_response(timeout=math.inf)
                except (RedisError, OSError) as error:
                    raise WireError(_text(error)) from None
                self._take(*reply[:3])
            await asyncio.sleep(0)

    async def subscribe(self, channels: Collection[str]) -> None:
        """Redis confirms channel by channel, in order: the last one's confirmation stands for all."""
        names = [self._prefix + channel for channel in channels]
        confirmed = self._confirmed[names[-1]] = asyncio.get_running_loop().create_future()
        await self._command("SUBSCRIBE", names)
        await confirmed

    async def unsubscribe(self, channels: Collection[str]) -> None:
        await self._command("UNSUBSCRIBE", [self._prefix + channel for channel in channels])

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        connection = _open(self._publishing)
        commands = [("PUBLISH", self._prefix + channel, text) for channel, text in messages]
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            refusals = [error for _ in commands if (error := await _refusal(connection)) is not None]
        except (RedisError, OSError) as error:
            raise WireError(_text(error)) from None
        if refusals:
            raise Unsendable(_text(refusals[0]))

    async def _command(self, command: str, names: list[str]) -> None:
        connection = _open(self._listening)
        try:
            await connection.send_command(command, *names)
        except (RedisError, OSError) as error:
            raise WireError(_text(error)) from None

    def _take(self, kind: bytes, channel: bytes, content: bytes | int) -> None:
        name = channel.decode()
        if kind == b"message" and isinstance(content, bytes):
            self._heard(name.removeprefix(self._prefix), content.decode(errors="replace"))
        elif kind == b"subscribe" and name in self._confirmed:
            self._confirmed.pop(name).set_result(None)


def _parse(url: str) -> tuple[type[Connection], dict[str, Any]]:
    parts = address.parse(url, redis)
    options: dict[str, Any] = {
        **parts.line,
        "host": parts.host,
        "port": parts.port,
        "username": parts.user or None,
        "password": parts.password or None,
        "db": parts.database,
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": None,  # SignalBus bounds all waiting
        "socket_connect_timeout": None,
        "socket_keepalive": True,
        "socket_keepalive_options": address.KEEPALIVE,
    }
    options |= {name: form(parts.line[name]) for name, form in _FORMS.items() if name in parts.line}
    return (SSLConnection if parts.tls else Connection), options


async def _refusal(connection: Connection) -> ResponseError | None:
    """The next reply, if the reply is an error and the line is well."""
    try:
        await connection.read_response()
    except ResponseError as error:
        return error
    return None


def _open(connection: Connection | None) -> Connection:
    """The open connection, else WireError: redis-py would reconnect at the next command and lose all
    subscriptions unnoticed.
    """
    if connection is None or not connection.is_connected:
        raise WireError("Redis closed the connection")
    return connection


def _text(error: Exception) -> str:
    return f"Redis: {error or type(error).__name__}"


def _unheard(channel: str, text: str) -> None:
    """Nobody listens yet."""
