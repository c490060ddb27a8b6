"""What a gateway is compared with: loops that send one prepared request again and again, so many at once.

Each returns answers a second, and takes any other status than it was told for an error of the measurement.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from itertools import repeat
from typing import NamedTuple, Protocol

import httpx2 as httpx

from bench.load import http
from bench.load.http2 import Streams
from bench.load.machine_time import Measured


class Request(NamedTuple):
    """A POST, and the status that answers it. `trust`: for https."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    trust: ssl.SSLContext

    @property
    def http1(self) -> bytes:
        """The bytes of HTTP/1.1."""
        own = {"Host": self.place, "Accept": "*/*", "Content-Length": str(len(self.body))}
        lines = (f"{name}: {value}\r\n" for name, value in {**own, **self.headers}.items())
        return f"POST {self.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + self.body

    @property
    def http2(self) -> list[tuple[str, str]]:
        """The headers of HTTP/2."""
        own = {":method": "POST", ":scheme": "https", ":authority": self.place, ":path": self.path}
        return [*own.items(), ("content-length", str(len(self.body))), *self.headers.items()]

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self.trust if self.url.startswith("https:") else None

    @property
    def path(self) -> str:
        return httpx.URL(self.url).raw_path.decode()

    @property
    def place(self) -> str:
        return httpx.URL(self.url).netloc.decode()

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 0


class Loop(Protocol):
    """Goes on until it is stopped. `stop` raises RuntimeError if an answer was wrong."""

    count: int

    async def stop(self) -> None: ...


async def http1(request: Request, at_once: int, watch: Measured, *, seconds: float) -> float:
    """Only writes bytes and looks for the end of the answer."""
    answers = await http.start(
        request.port, repeat(request.http1), clients=at_once, status=request.status, tls=request.tls
    )
    return await counted(answers, watch, seconds=seconds)


async def http2(request: Request, at_once: int, watch: Measured, *, seconds: float) -> float:
    """One connection, and nothing between it and the protocol."""
    streams = await Streams.connect(
        request.port, request.trust, headers=request.http2, body=request.body, at_once=at_once
    )
    return await counted(streams, watch, seconds=seconds)


async def library(request: Request, at_once: int, watch: Measured, *, seconds: float) -> float:
    """httpx2, the client that PNS is built on, over HTTP/1.1."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(
        verify=request.trust, trust_env=False, timeout=None, limits=limits
    ) as client:

        async def post() -> None:
            answer = await client.post(request.url, headers=dict(request.headers), content=request.body)
            if answer.status_code != request.status:
                raise RuntimeError(f"an unexpected answer: {answer}")

        return await repeated(post, at_once, watch, seconds=seconds)


async def repeated(
    once: Callable[[], Awaitable[None]], at_once: int, watch: Measured, *, seconds: float
) -> float:
    """How often a second `once` returns, `at_once` of it at a time. What it raises ends the measurement."""
    count, going = 0, True

    async def work() -> None:
        nonlocal count
        while going:
            await once()
            count += 1

    async with asyncio.TaskGroup() as working:
        for _ in range(at_once):
            working.create_task(work())
        await asyncio.sleep(http.WARM_UP_SECONDS)
        found = await http.counted(lambda: count, watch, seconds=seconds)
        going = False
    return found


async def counted(loop: Loop, watch: Measured, *, seconds: float) -> float:
    """Answers a second of a loop that has begun, and is stopped here."""
    try:
        await asyncio.sleep(http.WARM_UP_SECONDS)
        return await http.counted(lambda: loop.count, watch, seconds=seconds)
    finally:
        await loop.stop()
