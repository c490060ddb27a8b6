"""A host application: logs users in by the cookie `user`, and records what PNS asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Self

import msgspec

Asked = dict[str, str]
Header = tuple[str, str]
Reply = tuple[int, bytes] | tuple[int, bytes, list[Header]]
Decide = Callable[[Asked], Reply | Awaitable[Reply]]


def by_cookie(asked: Asked) -> Reply:
    """The user whom the cookie `user` names; 401 without one."""
    morsel = SimpleCookie(asked.get("cookie", "")).get("user")
    if morsel is None or not morsel.value:
        return 401, b"{}"
    return 200, msgspec.json.encode({"user_id": morsel.value})


def always(reply: Reply) -> Decide:
    """The same answer, whoever is asked about."""
    return lambda asked: reply


class HostApplication:
    """Answers every request by `decide`. `asked` holds the headers of each, names in lower case; `heads` the
    bytes of each as they came.
    """

    def __init__(self, decide: Decide = by_cookie) -> None:
        self.decide = decide
        self.asked: list[Asked] = []
        self.heads: list[bytes] = []
        self.delay = 0.0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/pns-auth"

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
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        lines = head.decode("latin-1").split("\r\n")[1:-2]
        asked = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.asked.append(asked)
        self.heads.append(head)
        if self.delay:
            await asyncio.sleep(self.delay)
        reply = self.decide(asked)
        status, body, *more = reply if isinstance(reply, tuple) else await reply
        headers = [
            ("content-type", "application/json"),
            ("content-length", len(body)),
            *(more[0] if more else []),
        ]
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
