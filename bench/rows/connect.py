"""New connections: how many a second, from the first packet to the first count, with the login call and with
it answered from the cache.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

from bench.load.machine_time import busy
from bench.load.sockets import Opener, close, cookie_of
from bench.report import Figure
from bench.run import Run, median, ratio
from bench.server_process import Server

CONNECTIONS = 1000
"""Of each turn, and all of different users. Few enough for the cache to keep all turns."""


async def measure(run: Run) -> list[Figure]:
    number, turn = run.many(CONNECTIONS, 100), count()

    def strangers() -> list[str]:
        """Cookies that nobody has shown before."""
        first = next(turn) * number
        return [cookie_of(f"user-{first + index}") for index in range(number)]

    known = strangers()
    async with run.servers("pns", "bare", auth__cache_seconds=3600) as (pns, bare):
        await _rate(pns, known)
        pns.busy.clear()
        asked, cached, accepted = await run.in_turns(
            "new connections",
            lambda: _rate(pns, strangers()),
            lambda: _rate(pns, known),
            lambda: _rate(bare, known),
        )
    compared = f"{median(accepted):,.0f} an application that only accepts"
    what = f"new connections/s, {number:,} users"
    return [
        Figure(f"{what}, each with a login call", f"{median(asked):,.0f}", compared, ratio(asked, accepted)),
        Figure(
            f"{what}, logins from the cache",
            f"{median(cached):,.0f}",
            compared,
            ratio(cached, accepted),
            load=f"both: {pns.load}; only accepts: {bare.load}",
        ),
    ]


async def _rate(server: Server, cookies: Sequence[str]) -> float:
    begin = time.perf_counter()
    with busy(server):
        sockets = await Opener(server.port).open(cookies)
    passed = time.perf_counter() - begin
    close(sockets)
    return len(cookies) / passed
