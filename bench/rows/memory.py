"""Memory: what an idle connection costs the server's process, above an application that does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.load.sockets import Opener, close, cookie_of
from bench.report import Figure, Goal
from bench.run import Run
from bench.server_process import Server

CONNECTIONS = 5000
COOKIE_BYTES = 1024
WARM_UP = 200
"""Connections before the measured ones: what a server needs once is not counted."""
IDLE_SECONDS = 3


async def measure(run: Run) -> list[Figure]:
    cookies = [cookie_of(f"user-{number}", COOKIE_BYTES) for number in range(run.many(CONNECTIONS, 300))]
    async with run.servers("pns", "bare") as (pns, bare):
        own, other = [await bytes_each(run, server, cookies) for server in (pns, bare)]
    return [
        Figure(
            f"KiB resident for each of {len(cookies):,} idle connections",
            f"{own / 1024:.1f}",
            f"{other / 1024:.1f} an application that only accepts",
            own / other,
            Goal(1.5, at_most=True),
        )
    ]


async def bytes_each(run: Run, server: Server, cookies: Sequence[str]) -> float:
    opener = Opener(server.port)
    close(await opener.open([cookie_of(f"warm-{number}", COOKIE_BYTES) for number in range(WARM_UP)]))
    await asyncio.sleep(1)
    before = server.resident_bytes()
    task = run.progress.add_task(f"memory of {server.kind}", total=len(cookies))
    sockets = await opener.open(cookies, opened=lambda: run.progress.advance(task))
    await asyncio.sleep(run.many(IDLE_SECONDS, 1))
    each = (server.resident_bytes() - before) / len(cookies)
    close(sockets)
    return each
