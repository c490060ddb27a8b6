"""An event stream through proxies that hold answers back: they compress, or wait until a buffer is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2 as httpx
import pytest

from tests.e2e.conftest import House
from tests.harness.events import EventDevice
from tests.harness.express import compressing

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def collecting(port: int, size: int) -> AsyncIterator[str]:
    """The address of a proxy that passes an answer on when its body has `size` bytes, and then each piece."""

    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                back.write(await reader.readuntil(b"\r\n\r\n"))
                held = await there.readuntil(b"\r\n\r\n")
                size_with_head = size + len(held)
                while piece := await there.read(65536):
                    held += piece
                    if len(held) >= size_with_head:
                        writer.write(held)
                        held, size_with_head = b"", 0
        finally:
            for end in (back, writer):
                end.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def test_through_express_with_compression(house: House, alice: str) -> None:
    async with compressing(house.url) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{url}/bell.js")
        assert answer.headers["content-encoding"] == "gzip"  # it does compress
        async with EventDevice.connect(url, alice) as stream:
            assert "content-encoding" not in stream.response.headers
            assert await stream.count() == 0
            await house.backend.notify(alice, "one")
            await stream.count_is(1)


@pytest.mark.parametrize("size", [2048, 4096, 8192])
async def test_through_a_proxy_that_collects(house: House, alice: str, size: int) -> None:
    async with (
        collecting(int(house.url.rpartition(":")[2]), size) as url,
        EventDevice.connect(url, alice) as stream,
    ):
        assert await stream.count() == 0
        await house.backend.notify(alice, "one")
        await stream.count_is(1)
