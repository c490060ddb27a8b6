"""An application's end of webhooks: a raw HTTP server on loopback that answers each POST as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""A whole answer, or what to do with the line instead."""

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def status(code: int, *headers: str, body: str = "") -> bytes:
    """An answer of this status."""
    lines = [f"HTTP/1.1 {code} Word", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Posted(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Application:
    """Use as `async with`. `answer` is asked for each request; `posted` has every request, as they came."""

    def __init__(self, answer: Callable[[Posted], Answer] = lambda posted: OK) -> None:
        self.answer = answer
        self.posted: list[Posted] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?a=b"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                posted = await _read(reader)
                self.posted.append(posted)
                answer = self.answer(posted)
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Posted:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    assert method == "POST"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Posted(path, headers, await reader.readexactly(int(headers["content-length"])))
