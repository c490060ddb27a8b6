"""What the line to NATS makes good of its library and of asyncio."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from urllib.parse import ParseResult

import pytest
from nats.aio.transport import TcpTransport

from pns.adapters.buses.nats import NATSWire
from pns.adapters.buses.wire import WireError
from tests.harness.nats import NATS
from tests.harness.proxy import FaultProxy


async def _ends_with_the_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that says nothing."""
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


async def test_a_cancellation_that_comes_together_with_the_connection_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = await asyncio.start_server(_ends_with_the_client, "127.0.0.1", 0)
    (port,) = [one.getsockname()[1] for one in silent.sockets]
    connecting = asyncio.Event()
    connect = TcpTransport.connect

    async def loses(self: TcpTransport, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """As asyncio.wait_for before 3.12, when what it waits for is done in the same turn."""
        with suppress(asyncio.CancelledError):
            connecting.set()
            await asyncio.Event().wait()
        await connect(self, uri, buffer_size, connect_timeout)

    monkeypatch.setattr(TcpTransport, "connect", loses)
    wire = NATSWire(f"nats://127.0.0.1:{port}")
    task = asyncio.create_task(wire.connect(lambda channel, text: None))
    await connecting.wait()
    task.cancel()
    # Else it waits for the server's first word, and gives that up by an error of its own.
    with pytest.raises(asyncio.CancelledError):
        await task
    await wire.close()
    silent.close()
    await silent.wait_closed()


async def test_a_line_that_is_cut_while_a_hint_waits_to_be_written_leaves_no_error_in_the_log(
    nats: NATS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """nats-py writes the waiting bytes while it closes, into a connection that is lost."""
    read = TcpTransport.read

    async def while_one_waits(self: TcpTransport, buffer_size: int) -> bytes:
        try:
            return bytes(await read(self, buffer_size))
        except OSError:
            await wire._client.publish("pns.all", b"a hint")
            raise

    monkeypatch.setattr(TcpTransport, "read", while_one_waits)
    async with FaultProxy(nats.port) as proxy:
        wire = NATSWire(proxy.through(nats.url))
        await wire.connect(lambda channel, text: None)
        proxy.cut()
        with pytest.raises(WireError, match="closed"):
            async with asyncio.timeout(10):
                await wire.listen()
        await wire.close()
    gc.collect()
    assert not [record.getMessage() for record in caplog.records]
