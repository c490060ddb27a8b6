"""An HTTP proxy on loopback that knows names of its own: CONNECT, and whole URLs for http."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """The method, `host:port`, and the login that was shown, "" for none."""

    method: str
    place: str
    login: str


class ConnectProxy:
    """Use as `async with`. `names`: `host:port` → the port on loopback that it means; loopback is itself.

    `refuse`: a status that is answered in place of everything; with `cut`, before a body that never comes.
    """

    def __init__(self, names: dict[str, int] | None = None) -> None:
        self.names = names or {}
        self.asked: list[Asked] = []
        self.refuse = 0
        self.cut = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def places(self) -> list[str]:
        return [asked.place for asked in self.asked]

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._exchange(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        parts = urlsplit(target if "://" in target else f"//{target}")
        place = f"{parts.hostname}:{parts.port or 80}"
        self.asked.append(Asked(method, place, headers.get("proxy-authorization", "")))
        if self.refuse:
            answer = b"HTTP/1.1 %d a secret of the proxy\r\ncontent-length: %d\r\n\r\n"
            writer.write(answer % (self.refuse, 99 if self.cut else 0))
            return await writer.drain()
        other, away = await asyncio.open_connection("127.0.0.1", self.names.get(place, parts.port or 80))
        prefix = b"" if method == "CONNECT" else f"{parts.scheme}://{parts.netloc}".encode()
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            away.write(_without(head.encode("latin-1"), prefix))
        try:
            await asyncio.gather(_pass(reader, away, prefix), _pass(other, writer))
        finally:
            away.close()


def _without(piece: bytes, prefix: bytes) -> bytes:
    """The request line with a path in place of a whole URL, and without the proxy's own header."""
    lines = piece.replace(b" " + prefix, b" ", 1).split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"proxy-authorization:"))


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter, prefix: bytes = b"") -> None:
    with suppress(OSError):
        while piece := await source.read(65_536):
            target.write(_without(piece, prefix) if prefix else piece)
            await target.drain()
        target.write_eof()
