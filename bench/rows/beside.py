"""Notifies by the clock, beside some other work: how long they wait.

A notify is posted when it is due, whether or not earlier ones were answered. A wait begins when a notify was
due, so that a server which falls behind shows it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

from bench.load.http import Asker
from bench.load.machine_time import busy
from bench.report import Figure, Goal
from bench.rows.notify import requests
from bench.run import Run, median, ratio
from bench.server_process import Server

T = TypeVar("T")

PER_SECOND = 200
ASKERS = 64
LEAST = 2
"""A quantile needs so many."""


async def compare(run: Run, server: Server, what: str, beside: Callable[[], Awaitable[float]]) -> Figure:
    """Notifies beside `what`, and with nothing beside them. `beside` returns their p99, as `waited` found."""

    async def alone() -> float:
        return (await waited(server, asyncio.sleep(run.many(5.0, 0.5))))[1]

    crowded, quiet = await run.in_turns(what, beside, alone)
    return Figure(
        f"ms of a notify beside {what}, {PER_SECOND} notifies/s: p99",
        f"{median(crowded) * 1000:.2f}",
        f"{median(quiet) * 1000:.2f} with nothing beside it",
        ratio(crowded, quiet),
        Goal(3, at_most=True),
        server.load,
    )


async def waited(server: Server, work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """What `work` returns, and the p99 of notifies that are posted meanwhile, in seconds."""
    took: list[float] = []
    with busy(server):
        working = asyncio.create_task(work)
        await _post_by_the_clock(server, took, working)
    return await working, statistics.quantiles(took, n=100, method="inclusive")[98]


async def _post_by_the_clock(server: Server, took: list[float], until: asyncio.Task[Any]) -> None:
    askers: asyncio.Queue[Asker] = asyncio.Queue()
    for _ in range(ASKERS):
        askers.put_nowait(await Asker.connect(server))
    begin = time.perf_counter()

    async def ask(request: bytes, due: float) -> None:
        asker = await askers.get()
        await asker.ask(request, status=201)
        took.append(time.perf_counter() - due)
        askers.put_nowait(asker)

    async with asyncio.TaskGroup() as asking:
        for number, request in zip(count(), requests(1), strict=False):
            due = begin + number / PER_SECOND
            if until.done() and number >= LEAST:
                break
            await asyncio.sleep(due - time.perf_counter())
            asking.create_task(ask(request, due))
    while not askers.empty():
        askers.get_nowait().close()
