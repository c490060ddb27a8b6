"""Keep-alive clients of an HTTP server: each sends its next request when the last was answered.

Requests are ready-made bytes, answers are only counted. An answer with another status than expected is an
error of the whole measurement, never a slower one.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from bench.load.machine_time import Measured, busy
from bench.server_process import KEY, Server

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
WARM_UP_SECONDS = 0.2


class Answers:
    """Answers of several clients, counted together."""

    def __init__(self, requests: Iterator[bytes], expected: bytes) -> None:
        """`expected`: what every answer begins with."""
        self.requests = requests
        self.expected = expected
        self.count = 0
        self.going = True
        self.wrong: bytes | None = None
        self.ended: list[asyncio.Future[None]] = []

    async def stop(self) -> None:
        """Return when nothing is under way. Raises RuntimeError if an answer was wrong."""
        self.going = False
        await asyncio.wait_for(asyncio.gather(*self.ended), 30)
        if self.wrong is not None:
            raise RuntimeError(f"an unexpected answer: {self.wrong[:300]!r}")


class Client(asyncio.Protocol):
    """One connection. `on_answer` is called with each answer; by default they are only counted."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._ended = asyncio.get_running_loop().create_future()
        answers.ended.append(self._ended)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(next(self._answers.requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not complete(self._buffer):
            return
        answer, self._buffer = self._buffer, b""
        answers = self._answers
        answers.count += 1
        if not answer.startswith(answers.expected):
            answers.wrong, answers.going = answer, False
        if answers.going:
            self._transport.write(next(answers.requests))
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class Listening(Protocol):
    """A server at a port of this machine."""

    port: int


class Asker(asyncio.Protocol):
    """A keep-alive connection for one request after the other. Use `connect`."""

    @classmethod
    async def connect(cls, server: Listening) -> Asker:
        _, asker = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", server.port)
        return asker

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if complete(self._buffer):
            answer, self._buffer = self._buffer, b""
            if self._answer is not None:
                self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed before the answer"))

    def send(self, request: bytes) -> None:
        """Send, and drop the answer. Another request may follow at once."""
        self._answer = None
        self._transport.write(request)

    async def ask(self, request: bytes, *, status: int | None = None) -> bytes:
        """Send, and return the whole answer. Raises RuntimeError if its status is another than `status`."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if status is not None and not answer.startswith(b"HTTP/1.1 %d" % status):
            raise RuntimeError(f"an unexpected answer: {answer[:300]!r}")
        return answer

    def close(self) -> None:
        self._transport.close()


def complete(answer: bytes) -> bool:
    """Whether `answer` is a whole answer, with its body."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(answer, 0, head)
    return len(answer) >= head + 4 + (int(length[1]) if length else 0)


async def start(
    port: int,
    requests: Iterator[bytes],
    *,
    clients: int,
    status: int = 201,
    tls: ssl.SSLContext | None = None,
) -> Answers:
    """Start `clients` that ask without pause until `Answers.stop`."""
    answers = Answers(requests, b"HTTP/1.1 %d" % status)
    loop = asyncio.get_running_loop()
    name = "localhost" if tls else None
    for _ in range(clients):
        await loop.create_connection(
            lambda: Client(answers), "127.0.0.1", port, ssl=tls, server_hostname=name
        )
    return answers


async def rate(
    server: Server, requests: Iterator[bytes], *, clients: int, seconds: float, status: int = 201
) -> float:
    """Answers a second of `clients` keep-alive clients, measured after a short warm-up."""
    answers = await start(server.port, requests, clients=clients, status=status)
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        return await counted(lambda: answers.count, server, seconds=seconds)
    finally:
        await answers.stop()


async def counted(count: Callable[[], int], server: Measured, *, seconds: float) -> float:
    """How much `count()` rises in a second, noting how busy server and generator were meanwhile."""
    before, begin = count(), time.perf_counter()
    with busy(server):
        await asyncio.sleep(seconds)
        risen, passed = count() - before, time.perf_counter() - begin
    return risen / passed


def notify(user_id: str, *data: str) -> bytes:
    """The request that notifies a user of all of `data`."""
    return post("/notify", {"user_id": user_id, "notifications": [{"notification_data": x} for x in data]})


def post(path: str, content: object) -> bytes:
    """A request with `content` as its JSON."""
    body = json.dumps(content).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
