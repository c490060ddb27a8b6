"""Latency: from the moment a notify is posted until the user's connection has the count.

Notifies are posted by the clock, whether or not earlier ones were answered, so a server that falls behind
shows it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count, cycle

from bench.load.http import Asker, Listening, notify
from bench.load.machine_time import busy
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure
from bench.run import Run
from bench.server_process import Server
from tests.harness import eventually

CONNECTIONS = 2000
PER_SECOND = 200
POSTERS = 16
SETTLED_SECONDS = 10


async def measure(run: Run) -> list[Figure]:
    number, seconds = run.many(CONNECTIONS, 100), run.many(10.0, 0.5)
    async with run.servers("pns", "limit") as (pns, limit):
        durable = await latencies(pns, number, seconds)
        accepted = await latencies(limit, number, seconds)
    what = f"ms from POST to frame, {PER_SECOND} notifies/s, {number:,} connections"
    load = {"p50": pns.load, "p99": ""}
    return [
        Figure(
            f"{what}: {name}",
            f"{own * 1000:.2f}",
            f"{other * 1000:.2f} the same without a store",
            own / other,
            load=load[name],
        )
        for name, own, other in zip(("p50", "p99"), durable, accepted, strict=True)
    ]


async def latencies(server: Server, number: int, seconds: float) -> tuple[float, float]:
    """p50 and p99 of the time from a notify to its frame, in seconds."""
    opener = Opener(server.port)
    sockets = await opener.open([cookie_of(f"user-{index}") for index in range(number)])
    clock = Stopwatch()
    for socket in sockets:
        clock.watch(socket)
    with busy(server):
        await clock.run(server, sockets, seconds)
    close(sockets)
    cuts = statistics.quantiles(clock.took, n=100, method="inclusive")
    return cuts[49], cuts[98]


class Stopwatch:
    """Notifies the users of connections in turn, and takes the time until each has its count."""

    def __init__(self, tell: Callable[[str], bytes] = lambda user: notify(user, "x")) -> None:
        """`tell`: the request that notifies a user."""
        self._tell = tell
        self.took: list[float] = []
        self._posted: dict[Socket, float] = {}

    def watch(self, socket: Socket) -> None:
        socket.heard = lambda payload: self._heard(socket)

    def begin(self, socket: Socket) -> None:
        """The user of `socket` is notified now."""
        self._posted[socket] = time.perf_counter()

    async def settled(self) -> None:
        """Wait for the last frame."""
        await eventually(lambda: not self._posted, within=SETTLED_SECONDS)

    def _heard(self, socket: Socket) -> None:
        posted = self._posted.pop(socket, None)
        if posted is not None:
            self.took.append(time.perf_counter() - posted)

    async def run(self, server: Listening, sockets: Sequence[Socket], seconds: float) -> None:
        """Notify PER_SECOND times a second and wait for the last frame."""
        posters = [await Asker.connect(server) for _ in range(POSTERS)]
        begin = time.perf_counter()
        for number, poster, socket in zip(count(), cycle(posters), cycle(sockets), strict=False):
            due = begin + number / PER_SECOND
            if due - begin > seconds:
                break
            await asyncio.sleep(due - time.perf_counter())
            self.begin(socket)
            poster.send(self._tell(socket.user))
        await self.settled()
        for poster in posters:
            poster.close()
