"""A TCP proxy that misbehaves on demand: what lies between a node and its broker or database."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST."""


class FaultProxy:
    """Passes bytes between `port` here and `target` on loopback. Use as `async with`."""

    def __init__(self, target: int) -> None:
        self.latency = 0.0
        """Seconds by which each piece is late, each way."""
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._lines)

    def through(self, url: str) -> str:
        """`url` with this proxy in place of its target."""
        parts = urlsplit(url)
        place = parts.netloc.replace(f":{parts.port}", f":{self.port}")
        return parts._replace(netloc=place).geturl()

    def swallow(self) -> None:
        """Keep all connections open, take new ones too, and pass nothing on, neither bytes nor an end."""
        self._open.clear()

    def cut(self) -> None:
        """Reset every connection. New ones are taken as before."""
        for writers in self._lines.values():
            for writer in writers:
                _reset(writer)

    def refuse(self) -> None:
        """Reset every connection, and each new one at once."""
        self._refusing = True
        self.cut()

    def resume(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._refusing = False
        self._open.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if lines := list(self._lines):
            for line in lines:
                line.cancel()
            await asyncio.wait(lines)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        writers = self._lines[line] = [writer]
        try:
            if self._refusing:
                _reset(writer)
                return
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(back)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, back))
                pumps.create_task(self._pump(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the line is over, however it ended; what it was made of is closed below
        finally:
            del self._lines[line]
            for end in writers:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await asyncio.sleep(self.latency)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        await self._open.wait()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    if (sock := writer.get_extra_info("socket")) is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
