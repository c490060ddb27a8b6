"""A device: a real WebSocket client of a running PNS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 10.0


class Device:
    """One connection. `counts` holds every count it was sent, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.counts: list[int] = []

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, user: str | None = None, *, headers: dict[str, str] | None = None, **options: Any
    ) -> AsyncIterator[Device]:
        """Connect to PNS at `url` as `user`, whom the test's application knows by the cookie `user`."""
        extra = dict(headers or {})
        if user is not None:
            extra.setdefault("Cookie", f"user={user}")
        address = url.replace("http", "ws", 1) + "/subscribe"
        async with connect(address, additional_headers=extra, proxy=None, **options) as socket:
            yield cls(socket)

    async def receive(self) -> dict[str, Any]:
        """The next message, decoded. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        if "newNotificationCountChanged" in message:
            self.counts.append(message["newNotificationCountChanged"])
        return message

    async def count(self) -> int:
        """The next message, which must be a count."""
        message = await self.receive()
        assert list(message) == ["newNotificationCountChanged"], message
        return self.counts[-1]

    async def count_is(self, expected: int) -> None:
        """Read counts until `expected`. PNS may skip intermediate ones."""
        while await self.count() != expected:
            pass

    async def ask(self, message: str | dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; counts that come between are recorded."""
        await self.send(message)
        asks_counts = isinstance(message, dict) and "countsRequest" in message
        others = {"newNotificationCountChanged"} | (set() if asks_counts else {"notificationCounts"})
        while not others.isdisjoint(answer := await self.receive()):
            pass
        return answer

    async def send(self, message: str | dict[str, Any]) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def unseen(self, **request: Any) -> list[dict[str, Any]]:
        answer = await self.ask({"unseenNotificationDataRequest": request})
        items: list[dict[str, Any]] = answer["newNotificationData"]
        return items

    async def seen(self, **request: Any) -> list[dict[str, Any]]:
        answer = await self.ask({"seenNotificationsRequest": request})
        items: list[dict[str, Any]] = answer["seenNotificationData"]
        return items

    async def closed(self) -> int:
        """Read until the server closes, and return the close code."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        code = self.socket.close_code
        assert code is not None
        return code
