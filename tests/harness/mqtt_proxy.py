"""A proxy between one publisher and an MQTT 5 broker: it counts publications, and answers some itself."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

PUBLISH, PUBACK = 3, 4
DISCONNECT_MOVED = b"\xe0\x02\x9d\x00"
PAGE = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n\r\n<html><h1>502 Bad Gateway</h1></html>"


class Publication(NamedTuple):
    topic: str
    number: int
    payload: bytes


Verdict = Callable[[Publication], bytes | None]
"""What the publisher is told instead of the broker's answer. None: the broker gets it; nothing: no answer."""


class MQTTProxy:
    """Use as `async with`. `verdict` is asked for each publication, but for those to the broker itself."""

    def __init__(self, target: int) -> None:
        self.verdict: Verdict = lambda _: None
        self.publications: list[Publication] = []
        """All that came, whatever became of them."""
        self.taken: list[Publication] = []
        """Those that the broker acknowledged, without a complaint."""
        self._on_their_way: dict[int, Publication] = {}
        self._target = target
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side ends; then both are dropped."""
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [self._publisher(reader, writer, back), self._broker(there, writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lines.discard(line)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, back):
                end.transport.abort()

    async def _publisher(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broker: asyncio.StreamWriter
    ) -> None:
        while True:
            packet = await read_packet(reader)
            if packet[0] >> 4 == PUBLISH and not (found := publication(packet)).topic.startswith("$"):
                self.publications.append(found)
                if (answer := self.verdict(found)) is not None:
                    writer.write(answer)
                    await writer.drain()
                    continue
                self._on_their_way[found.number] = found
            broker.write(packet)

    async def _broker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            packet = await read_packet(reader)
            if packet[0] >> 4 == PUBACK:
                self._acknowledged(packet)
            writer.write(packet)

    def _acknowledged(self, packet: bytes) -> None:
        (number,) = struct.unpack_from("!H", packet, 2)
        found = self._on_their_way.pop(number, None)
        refused = len(packet) > 4 and packet[4] >= 0x80
        if found is not None and not refused:
            self.taken.append(found)


def puback(number: int, reason: int) -> bytes:
    return struct.pack("!BBHB", PUBACK << 4, 3, number, reason)


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(2)
    while head[-1] & 0x80:
        head += await reader.readexactly(1)
    length, _ = _number(head, 1)
    return head + await reader.readexactly(length)


def publication(packet: bytes) -> Publication:
    """MQTT 5 §3.3, of QoS 1."""
    _, at = _number(packet, 1)
    (size,) = struct.unpack_from("!H", packet, at)
    topic = packet[at + 2 : at + 2 + size].decode()
    (number,) = struct.unpack_from("!H", packet, at + 2 + size)
    properties, start = _number(packet, at + 4 + size)
    return Publication(topic, number, packet[start + properties :])


def _number(packet: bytes, at: int) -> tuple[int, int]:
    """The variable byte integer at `at`, and where it ends (MQTT 5 §1.5.5)."""
    value, shift = 0, 0
    while True:
        value |= (packet[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not packet[at - 1] & 0x80:
            return value, at
