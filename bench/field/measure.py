"""What is measured of each peer, with the same load: connections, latency, fan-out, memory."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count, repeat
from typing import NamedTuple

from bench.field.servers import KINDS, Peer
from bench.load import http
from bench.load.sockets import Frames, Opener, Socket, close, cookie_of, text_frame
from bench.rows.latency import PER_SECOND, Stopwatch
from bench.rows.memory import COOKIE_BYTES, WARM_UP

NOTIFIERS = 2
ROWS = (
    "fresh connections/s, each with a login call",
    f"ms from POST to frame, {PER_SECOND}/s: p50",
    f"ms from POST to frame, {PER_SECOND}/s: p99",
    "frames/s, one user's connections",
    "KiB resident for each idle connection",
)
_numbers = count()


class Amount(NamedTuple):
    """How much is done."""

    strangers: int = 1000
    listeners: int = 500
    audience: int = 2000
    idle: int = 5000
    seconds: float = 4.0


SHORT = Amount(strangers=300, listeners=200, audience=500, idle=1000, seconds=2.0)


class PeerSocket(Socket):
    """A connection to a peer, which may not greet, or may talk as socket.io does."""

    def __init__(self, cookie: str, frames: Frames, *, peer: Peer) -> None:
        super().__init__(cookie, frames, peer.handshake_path)
        self._kind = KINDS[peer.kind]

    def _switch(self, data: bytes) -> int:
        at = super()._switch(data)
        if self._switched and not self._kind.greets and not self.opened.done():
            self.opened.set_result(None)
        return at

    def _text(self, payload: bytes) -> None:
        if not self._kind.talks or payload.startswith((b"40", b"42")):
            super()._text(payload)
        elif payload.startswith(b"0"):  # Engine.IO is open
            self.transport.write(text_frame(b"40"))
        elif payload == b"2":  # its ping
            self.transport.write(text_frame(b"3"))


async def measure(peer: Peer, amount: Amount) -> list[float]:
    """A value for each of ROWS."""
    opener = Opener(peer.port, make=partial(_socket, peer))
    kib = await _memory(peer, opener, amount) / 1024  # first: later, memory of the other rows is used again
    connections = await _connections(opener, amount)
    p50, p99 = await _latency(peer, opener, amount)
    frames = await _fanout(peer, opener, amount)
    return [connections, p50 * 1000, p99 * 1000, frames, kib]


def _socket(peer: Peer, cookie: str, frames: Frames) -> Socket:
    return PeerSocket(cookie, frames, peer=peer)


def _strangers(number: int, size: int = 0) -> list[str]:
    return [cookie_of(f"user-{next(_numbers)}", size) for _ in range(number)]


async def _connections(opener: Opener, amount: Amount) -> float:
    close(await opener.open(_strangers(50)))
    begin = time.perf_counter()
    sockets = await opener.open(_strangers(amount.strangers))
    passed = time.perf_counter() - begin
    close(sockets)
    return amount.strangers / passed


async def _latency(peer: Peer, opener: Opener, amount: Amount) -> tuple[float, float]:
    sockets = await opener.open(_strangers(amount.listeners))
    clock = Stopwatch(peer.tell)
    for socket in sockets:
        clock.watch(socket)
    await clock.run(peer, sockets, amount.seconds)
    close(sockets)
    cuts = statistics.quantiles(clock.took, n=100, method="inclusive")
    return cuts[49], cuts[98]


async def _fanout(peer: Peer, opener: Opener, amount: Amount) -> float:
    user = "everybody"
    sockets = await opener.open([cookie_of(user)] * amount.audience)
    answers = await http.start(peer.port, repeat(peer.tell(user)), clients=NOTIFIERS)
    heard: Callable[[], int] = lambda: opener.frames.count  # noqa: E731
    try:
        await asyncio.sleep(http.WARM_UP_SECONDS)
        return await http.counted(heard, peer, seconds=amount.seconds)
    finally:
        await answers.stop()
        close(sockets)


async def _memory(peer: Peer, opener: Opener, amount: Amount) -> float:
    close(await opener.open(_strangers(WARM_UP, COOKIE_BYTES)))
    await asyncio.sleep(1)
    before = peer.resident_bytes()
    sockets = await opener.open(_strangers(amount.idle, COOKIE_BYTES))
    await asyncio.sleep(1)
    each = (peer.resident_bytes() - before) / amount.idle
    close(sockets)
    return each
