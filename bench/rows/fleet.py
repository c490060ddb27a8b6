"""A fleet: two nodes on one PostgreSQL, with each bus between them, and what one of them does alone.

Both nodes have the same core, so that what is compared is the way and not the number of cores.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.load.http import rate
from bench.load.machine_time import busy
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure, Goal
from bench.rows.latency import PER_SECOND, Stopwatch
from bench.rows.notify import CLIENTS, requests
from bench.run import Run, median, ratio
from bench.server_process import Server, on_cores
from tests.harness.nats import NATS
from tests.harness.postgres import Postgres
from tests.harness.redis import Redis

CONNECTIONS = 500


async def measure(run: Run) -> list[Figure]:
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
            redis = await stack.enter_async_context(Redis())
            nats = await stack.enter_async_context(NATS())
        for name, bus in (("Redis", redis.url), ("NATS", nats.url), ("LISTEN/NOTIFY", postgres.url)):
            url = postgres.fresh()
            async with run.servers("pns", "pns", store__url=url, bus__url=bus) as (here, there):
                figures += await _latency(run, name, here, there)
                figures.append(await _notifies(run, name, here, there))
    return figures


async def _latency(run: Run, bus: str, here: Server, there: Server) -> list[Figure]:
    number, seconds = run.many(CONNECTIONS, 50), run.many(3.0, 0.5)
    near = await Opener(here.port).open([cookie_of(f"near-{index}") for index in range(number)])
    far = await Opener(there.port).open([cookie_of(f"far-{index}") for index in range(number)])
    cuts: dict[str, list[tuple[float, float]]] = {"near": [], "far": []}

    async def took(name: str, sockets: Sequence[Socket]) -> float:
        cuts[name].append(await _latencies(here, sockets, seconds))
        return cuts[name][-1][1]

    await run.in_turns(f"latency over {bus}", lambda: took("near", near), lambda: took("far", far))
    close([*near, *far])
    what = f"ms from POST to frame on another node, {bus}, {PER_SECOND} notifies/s, {number:,} connections"
    figures = []
    for index, (name, goal) in enumerate((("p50", None), ("p99", Goal(2, at_most=True)))):
        across, alone = ([cut[index] for cut in cuts[place]] for place in ("far", "near"))
        figures.append(
            Figure(
                f"{what}: {name}",
                f"{median(across) * 1000:.2f}",
                f"{median(alone) * 1000:.2f} on the node that was asked",
                ratio(across, alone),
                goal,
                here.load if goal is None else there.load,
            )
        )
    return figures


async def _latencies(server: Server, sockets: Sequence[Socket], seconds: float) -> tuple[float, float]:
    """p50 and p99 of the time from a notify through `server` to its frame on `sockets`, in seconds."""
    clock = Stopwatch()
    for socket in sockets:
        clock.watch(socket)
    with busy(server):
        await clock.run(server, sockets, seconds)
    cuts = statistics.quantiles(clock.took, n=100, method="inclusive")
    return cuts[49], cuts[98]


async def _notifies(run: Run, bus: str, here: Server, there: Server) -> Figure:
    singles = requests(1)

    async def both() -> float:
        halves = [
            rate(server, requests(1), clients=CLIENTS // 2, seconds=run.seconds) for server in (here, there)
        ]
        return sum(await asyncio.gather(*halves))

    together, alone = await run.in_turns(
        f"notifies over {bus}", both, lambda: rate(here, singles, clients=CLIENTS, seconds=run.seconds)
    )
    return Figure(
        f"durable notifies/s on PostgreSQL, two nodes and {bus}, one core for both",
        f"{median(together):,.0f}",
        f"{median(alone):,.0f} one node",
        ratio(together, alone),
        load=here.load,
    )
