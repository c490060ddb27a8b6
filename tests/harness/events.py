"""A device on an event stream: what an EventSource would be sent, read from a running PNS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx

from tests.harness.device import PATIENCE

HEADERS = {"accept": "text/event-stream"}


class EventDevice:
    """One stream. `response` is its answer, `counts` every count it was sent."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.counts: list[int] = []
        self._lines = response.aiter_lines()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, user: str, *, headers: dict[str, str] | None = None
    ) -> AsyncIterator[EventDevice]:
        """Connect as `user`, whom the test's application knows by the cookie `user`."""
        sent = {**HEADERS, "cookie": f"user={user}", **(headers or {})}
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
            client.stream("GET", f"{url}/subscribe", headers=sent) as response,
        ):
            yield cls(response)

    async def opening(self) -> list[str]:
        """The lines before the first event."""
        async with asyncio.timeout(PATIENCE):
            lines = []
            while line := await self._line():
                lines.append(line)
            return lines

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next event's name and data. Raises TimeoutError, and AssertionError at the stream's end."""
        name, data = "message", ""
        async with asyncio.timeout(PATIENCE):
            while line := await self._line():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = value
        return (name, json.loads(data)) if data else await self.event()

    async def count(self) -> int:
        """The next event, which must be a count."""
        name, data = await self.event()
        assert (name, list(data)) == ("message", ["newNotificationCountChanged"])
        self.counts.append(data["newNotificationCountChanged"])
        return self.counts[-1]

    async def count_is(self, expected: int) -> None:
        while await self.count() != expected:
            pass

    async def closed(self) -> int:
        """Read to the `close` event, which must be the last; its code."""
        while (event := await self.event())[0] != "close":
            pass
        async with asyncio.timeout(PATIENCE):
            assert [line async for line in self._lines] == []
        code: int = event[1]["code"]
        assert event[1]["reason"]
        return code

    async def _line(self) -> str:
        line = await anext(self._lines, None)
        assert line is not None, "the stream has ended"
        return line
