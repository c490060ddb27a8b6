"""Notifies: how many a second are durable, and what that is of a store that costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle

from bench.load.http import notify, rate
from bench.report import Figure, Goal
from bench.run import Run, median, ratio

CLIENTS = 64
USERS = 1000
PER_REQUEST = 100
DATA = json.dumps({"title": "Order shipped", "body": "It will arrive tomorrow.", "url": "/orders/42"})


def requests(per_request: int) -> Iterator[bytes]:
    """Requests for one user after the other, without end."""
    return cycle([notify(f"user-{number}", *[DATA] * per_request) for number in range(USERS)])


async def measure(run: Run) -> list[Figure]:
    singles, hundreds = requests(1), requests(PER_REQUEST)
    async with run.servers("pns", "limit", "naive") as (pns, limit, naive):
        durable, accepted, alone, _ = await run.in_turns(
            "notifies",
            lambda: rate(pns, singles, clients=CLIENTS, seconds=run.seconds),
            lambda: rate(limit, singles, clients=CLIENTS, seconds=run.seconds),
            lambda: rate(naive, singles, clients=CLIENTS, seconds=run.seconds),
            lambda: _fsync(run),
        )
        load = pns.load
        pns.busy.clear()
        pns.generator_busy.clear()
        (batched,) = await run.in_turns(
            "notifies of 100", lambda: rate(pns, hundreds, clients=8, seconds=run.seconds)
        )
    what = f"durable notifies/s, {CLIENTS} keep-alive clients"
    naive_goal = Goal(5) if run.machine.commits_cost else None
    return [
        Figure(
            what,
            f"{median(durable):,.0f}",
            f"{median(accepted):,.0f} the same without a store",
            ratio(durable, accepted),
            Goal(0.5),
            f"{load}; without a store: {limit.load}",
            disturbed=not limit.had_its_core,
        ),
        Figure(
            what,
            f"{median(durable):,.0f}",
            f"{median(alone):,.0f} a commit for each request",
            ratio(durable, alone),
            naive_goal,
            f"a commit each: {naive.load}",
            disturbed=not limit.had_its_core,
        ),
        Figure(
            f"durable notifications/s, {PER_REQUEST} a request",
            f"{median(batched) * PER_REQUEST:,.0f}",
            f"{median(durable):,.0f} one a request",
            median(batched) * PER_REQUEST / median(durable),
            load=pns.load,
        ),
    ]


async def _fsync(run: Run) -> float:
    """In the same turn as the commits whose cost it explains."""
    run.machine.measure_fsync()
    return run.machine.fsync_seconds
