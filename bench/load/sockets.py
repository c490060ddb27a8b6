"""WebSocket clients that cost little: they count text frames, answer pings and parse nothing else.

They ask like a browser does: its headers, a cookie, an offer of permessage-deflate.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count as counter

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
COUNT = b'{"newNotificationCountChanged":'
_NO_MASK = b"\0\0\0\0"
PATIENCE = 60.0
PORTS_OF_AN_ADDRESS = 10_000
"""Connections from one source address before the next one (127.0.0.x) is taken."""


class Frames:
    """What many clients were sent, counted together."""

    def __init__(self) -> None:
        self.count = 0


class Socket(asyncio.Protocol):
    """One connection. `opened` is done when the first text frame has come, or the connection has ended."""

    def __init__(self, cookie: str, frames: Frames, path: str = "/subscribe") -> None:
        self.user = cookie.partition(";")[0].removeprefix("user=")
        self._request = handshake(cookie, path)
        self._frames = frames
        self._rest = b""
        self._switched = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.last = b""
        """The payload of the newest text frame."""
        self.heard: Callable[[bytes], None] | None = None
        """Called with the payload of every text frame, if it is set."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"refused or closed: {self._rest[:300]!r}"))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0 if self._switched else self._switch(data)
        self._rest = data[self._parse(data, at) :] if self._switched else data

    def _switch(self, data: bytes) -> int:
        """Where frames begin, once the handshake's answer is complete."""
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            self._switched = data.startswith(b"HTTP/1.1 101")
            if not self._switched:
                self._rest = data
                self.transport.abort()
        return end + 4

    def _parse(self, data: bytes, at: int) -> int:
        """Take note of the whole frames in `data`; returns where the first incomplete one begins."""
        end = len(data)
        while end - at >= 2:
            opcode, length, start = data[at], data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start])
            if end < start + length:
                break
            at = start + length
            if opcode == TEXT:
                self._text(data[start:at])
            elif opcode == PING:
                self.transport.write(bytes((PONG, 0x80 | length)) + _NO_MASK + data[start:at])
            elif opcode == CLOSE:
                self.transport.abort()
        return at

    def _text(self, payload: bytes) -> None:
        self._frames.count += 1
        self.last = payload
        if not self.opened.done():
            self.opened.set_result(None)
        if self.heard is not None:
            self.heard(payload)

    @property
    def unseen(self) -> int:
        """The count that the newest frame told."""
        found: int = json.loads(self.last)["newNotificationCountChanged"]
        return found

    async def ask(self, message: bytes) -> bytes:
        """Send `message` and return the payload of the next text frame that tells no count."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def hear(payload: bytes) -> None:
            if not answer.done() and not payload.startswith(COUNT):
                answer.set_result(payload)

        self.heard = hear
        self.transport.write(text_frame(message))
        try:
            return await asyncio.wait_for(answer, PATIENCE)
        finally:
            self.heard = None


def text_frame(payload: bytes) -> bytes:
    """A client's text frame of less than 126 bytes. RFC 6455 wants a mask; zero is one."""
    return bytes((TEXT, 0x80 | len(payload))) + _NO_MASK + payload


def handshake(cookie: str, path: str = "/subscribe") -> bytes:
    """The request of a browser that opens a WebSocket with `cookie`."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
        "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n"
        "Origin: http://127.0.0.1\r\nSec-WebSocket-Version: 13\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        f"Accept-Language: en-US,en;q=0.9\r\nCookie: {cookie}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    ).encode()


def cookie_of(user: str, size: int = 0) -> str:
    """The cookie that logs `user` in, and the application's session, `size` bytes in all."""
    login = f"user={user}"
    session = "; session="
    room = size - len(login) - len(session)
    return login + session + (f"{user}." * size)[:room] if room > 0 else login


class Opener:
    """Opens connections to one server, so many at a time, from as many source addresses as they need."""

    def __init__(
        self, port: int, *, at_once: int = 64, make: Callable[[str, Frames], Socket] | None = None
    ) -> None:
        """`make`: a connection with a cookie, for a server that speaks otherwise than PNS."""
        self._port = port
        self._make = make or Socket
        self._at_once = at_once
        self._number = counter()
        self.frames = Frames()

    async def open(
        self, cookies: Sequence[str], *, opened: Callable[[], object] | None = None
    ) -> list[Socket]:
        """One connection for each cookie, in no order, each after its first text frame."""
        waiting = iter(cookies)
        sockets: list[Socket] = []

        async def work() -> None:
            for cookie in waiting:
                sockets.append(await self.one(cookie))
                if opened is not None:
                    opened()

        await in_parallel(work() for _ in range(min(self._at_once, len(cookies))))
        return sockets

    async def one(self, cookie: str) -> Socket:
        """One connection, after its first text frame."""
        address = f"127.0.0.{2 + next(self._number) // PORTS_OF_AN_ADDRESS % 200}"
        _, socket = await asyncio.get_running_loop().create_connection(
            lambda: self._make(cookie, self.frames), "127.0.0.1", self._port, local_addr=(address, 0)
        )
        await asyncio.wait_for(socket.opened, PATIENCE)
        return socket


async def in_parallel(work: Iterable[Awaitable[None]]) -> None:
    """Do all of `work` at once; the first error ends it."""
    async with asyncio.TaskGroup() as group:
        for part in work:
            group.create_task(_await(part))


async def _await(part: Awaitable[None]) -> None:
    await part


def close(sockets: Iterable[Socket]) -> None:
    """End the connections at once, without a handshake."""
    for socket in sockets:
        socket.transport.abort()
