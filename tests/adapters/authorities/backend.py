"""An application to ask, on loopback: plain asyncio, so that it can misbehave byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]


@dataclass
class Asked:
    """One request as it came over the wire."""

    line: bytes
    headers: Headers
    raw: bytes
    reader: asyncio.StreamReader

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Backend:
    """Answers every request by `behaviour`, which may be changed at any time."""

    behaviour: Behaviour
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    most_at_once: int = 0
    at_once: int = 0
    port: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/login", *, host: str = "localhost", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def until_asked(self, count: int) -> None:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.asked) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while not writer.is_closing():
                raw = await reader.readuntil(b"\r\n\r\n")
                await self._answer(_parse(raw, reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        async with self.arrived:
            self.arrived.notify_all()
        try:
            await self.behaviour(asked, writer)
            await writer.drain()
        finally:
            self.at_once -= 1


def _parse(raw: bytes, reader: asyncio.StreamReader) -> Asked:
    line, *lines = raw[:-4].split(b"\r\n")
    headers = [(name, value) for name, _, value in (text.partition(b": ") for text in lines)]
    return Asked(line, headers, raw, reader)


@contextlib.asynccontextmanager
async def running(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Backend]:
    backend = Backend(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await backend.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**20, backlog=2048)
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))


def reply(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Whatever" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answering(status: int, body: bytes = b"", *headers: bytes) -> Behaviour:
    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status, body, *headers))

    return behave


def sending(raw: bytes, *, then_close: bool = False) -> Behaviour:
    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if then_close:
            writer.close()

    return behave


async def user_of_cookie(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Says yes to `sid=<user>`, and 401 without a cookie."""
    cookies = asked.all(b"cookie")
    if not cookies:
        writer.write(reply(401))
        return
    user = cookies[0].rpartition(b"sid=")[2].split(b";")[0]
    writer.write(reply(200, b'{"user_id": "%s"}' % user))


async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never answers; ends when the asker has gone."""
    await asked.reader.read()


async def drip_or_hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """By port of the peer, so evenly: silence, half a header, half a body."""
    drips = (b"", b"HTTP/1.1 200 OK\r\nx-drip: a", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
    writer.write(drips[writer.get_extra_info("peername")[1] % 3])
    await writer.drain()
    await hang(asked, writer)


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; for what the kernel reports, where nothing can be awaited."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
