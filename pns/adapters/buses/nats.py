"""The line to NATS: a connection on subjects `pns.<path of the URL>.<channel>`.

nats-py's own reconnecting is off: it would replay subscriptions and hide the loss of messages in between.
Each subscription takes about 5 KB here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import ParseResult

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from pns.adapters.buses import address
from pns.adapters.buses.wire import Heard, Unsendable, WireError
from pns.runtime.bracketed import bracketed
from pns.settings.broker_url import nats as read_nats

SUBSCRIBED_IN_A_ROW = 100
"""After so many subscriptions the rest of the node gets its turn."""
SECONDS = 5
"""The longest wait of nats-py for the broker. SignalBus bounds all waiting as well."""

_ERRORS = (errors.Error, OSError, TimeoutError)
_FORBIDDEN = "permissions violation for publish"


class NATSWire:
    """See pns.adapters.buses.wire.Wire. In a URL without a password, the user is a token."""

    max_bytes = 32_768
    interests = True

    def __init__(self, url: str) -> None:
        """Raises SettingsError for an impossible URL."""
        self._address = address.parse(url, read_nats)
        self._prefix = f"pns.{self._address.name}." if self._address.name else "pns."
        self._heard: Heard | None = None
        self._client = Client()
        self._transport: _Transport | None = None
        self._broken: asyncio.Future[str] | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._forbidden = ""

    async def connect(self, heard: Heard) -> None:
        self._heard = heard
        self._subscriptions = {}
        self._broken = asyncio.get_running_loop().create_future()
        self._client = Client()
        self._client._transport = self._transport = _Transport()
        try:
            # In a task of its own, whose count of cancellations tells `_Transport` of a lost one.
            await asyncio.create_task(self._client.connect(**self._options()))
        except _ERRORS as error:
            self._break(error)
        if self._broken.done():
            raise WireError(self._broken.result())

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        with suppress(*_ERRORS):
            await self._client.close()
        self._transport = None

    async def listen(self) -> None:
        assert self._broken is not None
        raise WireError(await self._broken)

    async def subscribe(self, channels: Collection[str]) -> None:
        try:
            for number, channel in enumerate(channels, 1):
                if channel not in self._subscriptions:
                    subject = self._prefix + channel
                    self._subscriptions[channel] = await self._client.subscribe(subject, cb=self._take)
                if number % SUBSCRIBED_IN_A_ROW == 0:
                    await asyncio.sleep(0)
            await self._flush()
        except _ERRORS as error:
            raise WireError(_text(error)) from None

    async def unsubscribe(self, channels: Collection[str]) -> None:
        try:
            for channel in channels:
                if (subscription := self._subscriptions.pop(channel, None)) is not None:
                    await subscription.unsubscribe()
        except _ERRORS as error:
            raise WireError(_text(error)) from None

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        try:
            self._forbidden = ""
            for channel, text in messages:
                await self._client.publish(self._prefix + channel, text.encode())
            await self._flush()
        except (errors.MaxPayloadError, errors.BadSubjectError) as error:
            raise Unsendable(_text(error)) from None
        except _ERRORS as error:
            raise WireError(_text(error)) from None
        if self._forbidden:
            raise Unsendable(self._forbidden)

    async def _flush(self) -> None:
        """Return when the server has received everything.

        nats-py sends its PING ahead of the bytes that its flusher still holds. Only a PING sent while the
        flusher held nothing counts.
        """
        held = True
        while held:
            held = self._client.pending_data_size > 0
            await self._client.flush(SECONDS)

    def _options(self) -> dict[str, Any]:
        host, port, user, password, _ = self._address
        login = {"user": user, "password": password} if password else {"token": user or None}
        return login | {
            "servers": f"nats://{bracketed(host)}:{port}",
            "name": "pns",
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,  # of the first connecting; 0 would be for ever
            "reconnect_time_wait": 0,
            "connect_timeout": SECONDS,
            "error_cb": self._failed,
            "closed_cb": self._closed,
        }

    async def _take(self, message: Msg) -> None:
        assert self._heard is not None
        self._heard(message.subject.removeprefix(self._prefix), message.data.decode(errors="replace"))

    async def _failed(self, error: Exception) -> None:
        """Every complaint of NATS breaks the line, so no complaint is lost; but for a subject that may not be
        published to, which comes before the answer to `publish`.
        """
        if _FORBIDDEN in str(error).lower():
            self._forbidden = _text(error)
        else:
            self._break(error)

    async def _closed(self) -> None:
        self._break(errors.ConnectionClosedError())

    def _break(self, error: Exception) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(_text(error))


class _Transport(TcpTransport):
    """A connection that is dropped at the end, not flushed: a dead broker would never take the rest."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._dropped = False

    def __bool__(self) -> bool:
        return True  # Client replaces a false value with a transport of its own

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        await super().connect(uri, buffer_size, connect_timeout)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # asyncio.wait_for before 3.12 loses a cancellation that comes together with the connection.
            self.close()
            raise asyncio.CancelledError
        assert self._io_writer is not None
        connection = self._io_writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in address.KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    async def drain(self) -> None:
        """`read` alone tells of a lost connection: nats-py, which is closing, would die of another one."""
        if not self._dropped:
            with suppress(OSError):
                await super().drain()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._dropped = True
        if self._io_writer is not None:
            self._io_writer.transport.abort()

    async def wait_closed(self) -> None:
        """Return at the next turn of the loop: the dropped connection is closed by then."""


def _text(error: Exception) -> str:
    return f"NATS: {error or type(error).__name__}"
