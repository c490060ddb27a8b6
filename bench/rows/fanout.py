"""Fan-out: how many counts a second one user's connections are sent, and what that is of a loop that only
sends. Notifies follow each other without pause, so that there is always a newer count to tell.
"""

from __future__ import annotations

import asyncio
from itertools import repeat

import httpx2 as httpx

from bench.load import http
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure, Goal
from bench.run import Run, median, ratio
from bench.server_process import Server
from tests.harness import eventually

CONNECTIONS = 2000
USER = "everybody"
NOTIFIERS = 2
SETTLED_SECONDS = 30


async def measure(run: Run) -> list[Figure]:
    number = run.many(CONNECTIONS, 100)
    async with run.servers("pns", "bare") as (pns, bare):
        openers = Opener(pns.port), Opener(bare.port)
        sockets, others = [await opener.open([cookie_of(USER)] * number) for opener in openers]
        told, sent = await run.in_turns(
            "fan-out",
            lambda: tell(pns, openers[0], run.seconds),
            lambda: _pump(bare, openers[1], run.seconds),
        )
        await _settle(pns, sockets)
        close([*sockets, *others])
    return [
        Figure(
            f"counts/s to {number:,} connections of one user",
            f"{median(told):,.0f}",
            f"{median(sent):,.0f} a loop that only sends",
            ratio(told, sent),
            Goal(0.8),
            f"{pns.load}; the loop: {bare.load}",
            disturbed=not bare.had_its_core,
        )
    ]


async def tell(pns: Server, opener: Opener, seconds: float) -> float:
    """Counts that PNS sends while it is notified without pause."""
    answers = await http.start(pns.port, repeat(http.notify(USER, "x")), clients=NOTIFIERS)
    try:
        await asyncio.sleep(http.WARM_UP_SECONDS)
        return await http.counted(lambda: opener.frames.count, pns, seconds=seconds)
    finally:
        await answers.stop()


async def _pump(bare: Server, opener: Opener, seconds: float) -> float:
    async with httpx.AsyncClient(base_url=bare.url, trust_env=False, timeout=60) as client:
        await client.post("/pump")
        try:
            await asyncio.sleep(http.WARM_UP_SECONDS)
            return await http.counted(lambda: opener.frames.count, bare, seconds=seconds)
        finally:
            await client.post("/rest")


async def _settle(pns: Server, sockets: list[Socket]) -> None:
    """Every connection must end on the true count: a fan-out that drops it is no fan-out."""
    async with pns.backend() as backend:
        true: int = (await backend.user(USER))["unseen"]
    await eventually(lambda: all(socket.unseen == true for socket in sockets), within=SETTLED_SECONDS)
