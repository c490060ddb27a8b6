"""Devices that stay for long: watchers only count, seers also show what is unseen, and so see it.

All connect again, elsewhere, when their node is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.harness import Device

ASK_SECONDS = 0.2
"""Between two requests of a device, well below `limits.requests_per_second`."""


class Watcher:
    """A device of `user`. `lives` holds the counts of each of its connections, one after another."""

    def __init__(self, urls: Sequence[str], user: str, tell: Callable[[], None]) -> None:
        """Connects to the first of `urls`, then to the next… `tell` is called after each message."""
        self.user = user
        self.lives: list[list[int]] = []
        self.device: Device | None = None
        self._urls = list(urls)
        self._tell = tell

    @property
    def count(self) -> int:
        """What the user sees; -1 while there is no connection."""
        return self.device.counts[-1] if self.device and self.device.counts else -1

    async def run(self) -> None:
        """Stay connected until cancelled. Raises TimeoutError when the line is mute for long."""
        while True:
            try:
                await self._live()
            except TimeoutError:
                raise
            except (OSError, WebSocketException):
                self._urls.append(self._urls.pop(0))
                await asyncio.sleep(0.1)

    async def _live(self) -> None:
        async with Device.connect(self._urls[0], self.user) as device:
            self.lives.append(device.counts)
            self.device = device
            try:
                while True:
                    await self._take(await device.receive())
                    self._tell()
            finally:
                self.device = None

    async def _take(self, message: dict[str, Any]) -> None:
        assert list(message) == ["newNotificationCountChanged"], message


class Seer(Watcher):
    """A device that shows what is unseen, and says so if it is to `ack`. `shown` holds the ids."""

    def __init__(self, urls: Sequence[str], user: str, tell: Callable[[], None], *, ack: bool) -> None:
        super().__init__(urls, user, tell)
        self.shown: set[str] = set()
        self._ack = ack
        self._asked: Device | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run())
            tasks.create_task(self._ask())

    async def _ask(self) -> None:
        while True:
            if self.count > 0 and self._asked is not self.device:
                self._asked = self.device
                await self._send({"unseenNotificationDataRequest": {"ack": self._ack}})
            await asyncio.sleep(ASK_SECONDS)

    async def _take(self, message: dict[str, Any]) -> None:
        if "newNotificationCountChanged" not in message:
            self._asked = None
        items = message.get("newNotificationData", [])
        self.shown.update(item["notification_id"] for item in items)
        if items and self._ack:
            await self._send({"notificationDataSeen": {"upTo": items[-1]["notification_id"]}})
        if "error" in message:
            # A mark that failed looks like the answer to the next request, which is then made twice.
            assert message["error"]["code"] in ("unavailable", "unknown_notification"), message

    async def _send(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):
            if self.device is not None:
                await self.device.send(message)
