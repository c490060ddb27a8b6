"""What stands before PNS in a browser's eyes: pages of the application, and at /pns a reverse proxy.

Both are one origin, as behind a real web server. The proxy can be a bad one: it takes upgrades away, or the
line is cut. It speaks just enough HTTP/1.1 for a browser, one request per connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

STRICT = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
TWO_LINES = '<script type="module" src="/pns/bell.js"></script>\n<pns-bell></pns-bell>'


def page(body: str = TWO_LINES, *, lang: str = "en", direction: str = "ltr", head: str = "") -> str:
    """An HTML page of the application; `body` is by default all that the bell needs."""
    return (
        f'<!doctype html><html lang="{lang}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Shop</title>{head}</head><body>{body}</body></html>"
    )


class Front:
    """Serves `pages` by path, and PNS, which listens on `pns_port`, below /pns. Use as `async with`."""

    def __init__(self, pns_port: int) -> None:
        self.pages: dict[str, tuple[str, str | bytes]] = {}
        self.policy = STRICT
        self.upgrades = True
        self.line = True
        self.opened: list[str] = []
        self._held: dict[str, asyncio.Event] = {}
        self._pns_port = pns_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def add(self, path: str, body: str | bytes, media_type: str = "text/html; charset=utf-8") -> str:
        """Serve `body` at `path`; returns its address."""
        self.pages[path] = media_type, body
        return self.url + path

    def hold(self, path: str) -> asyncio.Event:
        """Answer a request of `path` once this event is set."""
        return self._held.setdefault(path, asyncio.Event())

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Break every connection, and let none through to PNS."""
        self.line = False
        for writer in list(self._writers):
            writer.transport.abort()
        try:
            yield
        finally:
            self.line = True

    @contextmanager
    def without_upgrades(self) -> Iterator[None]:
        """Be a proxy that knows no WebSocket."""
        self.upgrades = False
        try:
            yield
        finally:
            self.upgrades = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            if target in self._held:
                await self._held[target].wait()
            if not target.startswith("/pns/") or target in self.pages:
                writer.write(self.answer(target, head))
                await writer.drain()
            elif self.line:
                await self._forward(f"{method} {target[4:]} {head.split(' ', 2)[2]}", reader, writer)
        self._writers.discard(writer)
        writer.close()

    def answer(self, target: str, head: str) -> bytes:
        """What the application answers to a request with this head."""
        return self._page(target)

    def _page(self, target: str) -> bytes:
        path = target.partition("?")[0]
        status = "200 OK" if path in self.pages else "404 Not Found"
        media_type, body = self.pages.get(path, ("text/plain", "no such page"))
        content = body.encode() if isinstance(body, str) else body
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(content)}\r\n"
            f"content-security-policy: {self.policy}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + content

    async def _forward(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upgrade = "\r\nupgrade: websocket" in head.lower() and self.upgrades
        self.opened.append("websocket" if upgrade else head.split("\r\n")[0])
        there, back = await asyncio.open_connection("127.0.0.1", self._pns_port)
        self._writers.add(back)
        try:
            back.write((head if upgrade else _plain(head)).encode("latin-1"))
            async with asyncio.TaskGroup() as ways:
                up = ways.create_task(_pipe(reader, back))
                await _pipe(there, writer)
                up.cancel()
        finally:
            self._writers.discard(back)
            back.close()


def _plain(head: str) -> str:
    """The request as a proxy passes it on that knows no upgrades."""
    keep: Callable[[str], bool] = lambda line: not line.lower().startswith(("upgrade:", "connection:"))  # noqa: E731
    first, *lines = head.split("\r\n")[:-2]
    return "\r\n".join([first, *filter(keep, lines), "connection: close", "", ""])


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
