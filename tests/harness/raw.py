"""A peer on a bare socket: reads only when told, and may send what no client would."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

PATIENCE = 10.0

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Header = tuple[str, str]


def upgrade_head(
    user: str = "alice",
    *,
    path: str = "/subscribe",
    extra: tuple[Header, ...] = (),
    without: tuple[str, ...] = (),
    version: str = "1.1",
) -> bytes:
    """The request that opens a WebSocket, with `extra` headers and `without` some of the usual ones."""
    usual = [
        ("Host", "127.0.0.1"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Cookie", f"user={user}"),
    ]
    lines = [f"{name}: {value}" for name, value in usual if name not in without]
    lines += [f"{name}: {value}" for name, value in extra]
    return "\r\n".join([f"GET {path} HTTP/{version}", *lines, "", ""]).encode("latin-1")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame of a client (RFC 6455, section 5.2); `rsv` is the three reserved bits as a number."""
    first = (FIN if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked << 7 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, masked << 7 | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked << 7 | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


class RawPeer:
    """One TCP connection. What was received and not yet asked for stands in `buffer`."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.buffer = b""

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, receive_buffer: int | None = None) -> AsyncIterator[RawPeer]:
        """Connect to the server at `url`; a small `receive_buffer` makes a peer that stalls soon."""
        parts = urlsplit(url)
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
            yield cls(sock)

    @classmethod
    @asynccontextmanager
    async def subscribe(
        cls, url: str, user: str = "alice", *, receive_buffer: int | None = None
    ) -> AsyncIterator[RawPeer]:
        """Connect and open a WebSocket as `user`; its first count is not read yet."""
        async with cls.connect(url, receive_buffer=receive_buffer) as peer:
            await peer.send(upgrade_head(user))
            status, _ = await peer.head()
            assert status == 101, status
            yield peer

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The head of an HTTP answer: its status, and its headers with names in lower case."""
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [line.partition(":") for line in lines[1:] if line]
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in headers}

    async def frame(self) -> tuple[int, bytes]:
        """The server's next frame: opcode and payload. Raises EOFError."""
        first, size = await self.body(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.body(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.body(8))
        assert first & FIN, "PNS does not fragment"
        return first & 0x0F, await self.body(size)

    async def text(self) -> str:
        """The next text message; pings of the server in between are passed over."""
        while (received := await self.frame())[0] == PING:
            pass
        opcode, payload = received
        assert opcode == TEXT, received
        return payload.decode()

    async def close_code(self) -> int:
        """Read to the end, and return the code of the close frame; 1005 for one without, 1006 for none.

        The close frame is answered with the like of it, as a client must (section 5.5.1).
        """
        try:
            while (received := await self.frame())[0] != CLOSE:
                pass
        except (EOFError, ConnectionError):
            return 1006
        payload = received[1]
        with suppress(ConnectionError):
            await self.send(frame(CLOSE, payload))
        await self.rest()
        return int.from_bytes(payload[:2], "big") if payload else 1005

    async def rest(self) -> bytes:
        """All bytes to the end of the connection."""
        while await self._more():
            pass
        received, self.buffer = self.buffer, b""
        return received

    async def _until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            if not await self._more():
                raise EOFError(self.buffer)
        found, _, self.buffer = self.buffer.partition(end)
        return found

    async def body(self, size: int) -> bytes:
        """The next `size` bytes. Raises EOFError."""
        while len(self.buffer) < size:
            if not await self._more():
                raise EOFError(self.buffer)
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    async def _more(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            try:
                data = await asyncio.get_running_loop().sock_recv(self.socket, 65_536)
            except ConnectionError:
                return False
        self.buffer += data
        return bool(data)
