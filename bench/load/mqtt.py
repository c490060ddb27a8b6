"""A bare MQTT 5 client: the same publication of QoS 1 over and over, so many on their way at once."""

from __future__ import annotations

import asyncio
from itertools import cycle

from bench.load.endless import Endless

CONNACK, PUBACK = 0x20, 0x40
_WORKS = 0


class Publications(Endless):
    """Publishes without pause until `stop`. A refusal is an error of the whole measurement."""

    def __init__(self, login: tuple[str, str], topic: str, payload: bytes, *, at_once: int) -> None:
        super().__init__()
        self._login = login
        self._body = payload
        self._topic = _text(topic)
        self._at_once = at_once
        self._numbers = cycle(range(1, 65_536))
        self._rest = b""

    @classmethod
    async def connect(
        cls, port: int, login: tuple[str, str], topic: str, payload: bytes, *, at_once: int
    ) -> Publications:
        """Connect and begin."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: cls(login, topic, payload, at_once=at_once), "127.0.0.1", port
        )
        return made

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Protocol name and level, flags: user, password, clean start; 60 s; no properties; no client id.
        head = b"\0\4MQTT\5\xc2\0\x3c\0\0\0"
        transport.write(_packet(0x10, head + _text(self._login[0]) + _text(self._login[1])))

    def data_received(self, data: bytes) -> None:
        data, at, ready = self._rest + data, 0, 0
        while len(data) - at >= 2 and len(data) >= (end := at + 2 + data[at + 1]):  # one byte tells it
            ready += self._take(data[at], data[at + 2 : end])
            at = end
        self._rest = data[at:]
        if self.going:
            self.transport.write(b"".join(self._publication() for _ in range(ready)))

    def _take(self, kind: int, content: bytes) -> int:
        """How many may be sent for it."""
        if kind == CONNACK and content[1] == _WORKS:
            return self._at_once
        if kind == PUBACK and content[2:3] in (b"", b"\0"):
            self.count += 1
            return 1
        self.wrong = bytes((kind,)) + content
        return 0

    def _publication(self) -> bytes:
        number = next(self._numbers).to_bytes(2)
        day = b"\x05\x02\x00\x01\x51\x80"  # of properties: Message Expiry Interval
        return _packet(0x32, self._topic + number + day + self._body)


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2) + text.encode()


def _packet(kind: int, content: bytes) -> bytes:
    """MQTT 5 §2.1: the length in groups of seven bits."""
    length, rest = bytearray(), len(content)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes((kind, *length, rest)) + content
