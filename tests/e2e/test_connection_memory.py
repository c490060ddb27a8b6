"""What an idle connection costs the server's memory: its cookie once, and not much beside it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psutil

from tests.harness import Device, ServerProcess

CONNECTIONS = 200
COOKIE_BYTES = 32_768
BESIDE_BYTES = 40_960
"""Room for a connection and more, but not for a connection and the cookie a second time."""


async def test_a_large_cookie_is_kept_once(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    async with AsyncExitStack() as stack:
        await connect(stack, server, range(CONNECTIONS // 4))
        before = process.memory_info().rss
        await connect(stack, server, range(CONNECTIONS // 4, CONNECTIONS + CONNECTIONS // 4))
        each = (process.memory_info().rss - before) / CONNECTIONS
    assert each < COOKIE_BYTES + BESIDE_BYTES


async def connect(stack: AsyncExitStack, server: ServerProcess, numbers: range) -> None:
    """A device for each number, one after the other, each told its count."""
    for number in numbers:
        cookie = f"user=user-{number}; session={str(number) * COOKIE_BYTES}"[:COOKIE_BYTES]
        device = await stack.enter_async_context(Device.connect(server.url, headers={"Cookie": cookie}))
        async with asyncio.timeout(30):
            assert await device.count() == 0
