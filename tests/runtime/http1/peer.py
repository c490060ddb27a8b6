"""A server that says exactly what a test wants, when the test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from pns.runtime.http1 import Place
from pns.runtime.http1.place import head


class Visit:
    """One connection, as the server sees it. `requests` holds the heads that arrived, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.requests: list[bytes] = []

    async def request(self) -> bytes:
        """The next request's head. Raises IncompleteReadError at the end of the connection."""
        self.requests.append(await self._reader.readuntil(b"\r\n\r\n"))
        return self.requests[-1]

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ended(self) -> None:
        """Wait until the client ends the connection."""
        with suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass

    def close(self) -> None:
        self._writer.close()


def answer(body: bytes = b"hi", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


class Peer:
    """A listening server. `visits`: its connections, in order."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.port = 0

    @property
    def place(self) -> Place:
        return Place(False, "127.0.0.1", self.port, b"localhost", b"/")

    @property
    def request(self) -> bytes:
        return head("GET", self.place, [])


async def answer_all(visit: Visit) -> None:
    while True:
        await visit.request()
        await visit.say(answer())


@asynccontextmanager
async def peer(serve: Callable[[Visit], object] = answer_all) -> AsyncIterator[Peer]:
    """A server each of whose connections is `serve`'s."""
    found = Peer()
    tasks: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        visit = Visit(reader, writer)
        found.visits.append(visit)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await serve(visit)  # type: ignore[misc]
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
