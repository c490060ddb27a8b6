"""The application whose users connect: answers every login question at once, by the cookie `user`."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType
from typing import Self

_USER = re.compile(rb"\buser=([^;\r]*)")


class Application:
    """Use as `async with`; `url` is what auth.url must be."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(_Login, "127.0.0.1", 0, backlog=4096)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/login"


class _Login(asyncio.Protocol):
    """Questions have no body and come one after the other."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        found = _USER.search(self._head)
        self._head = b""
        body = b'{"user_id":"%b"}' % found[1] if found else b"{}"
        status = b"200 OK" if found else b"401 Unauthorized"
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )
