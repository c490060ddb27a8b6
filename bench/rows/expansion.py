"""A notification for everybody in a topic: how fast it reaches their inboxes, and how long other notifies
wait meanwhile.

Those are posted by the clock, whether or not earlier ones were answered, and a wait begins when one was due,
so a server that falls behind shows it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, TypeVar

from bench.load.http import Asker, get, post
from bench.load.machine_time import busy
from bench.report import Figure, Goal
from bench.rows.notify import DATA, requests
from bench.run import Run, median, ratio
from bench.server_process import Server, on_cores
from pns.compose import make_store
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings
from tests.harness.postgres import Postgres

T = TypeVar("T")

SUBSCRIBERS = 100_000
TOPIC = "app:bench"
AT_ONCE = 1000
PER_SECOND = 200
ASKERS = 64
POLL_SECONDS = 0.05
PATIENCE = 300


async def measure(run: Run) -> list[Figure]:
    async with run.servers("pns") as (server,):
        figures = await _figures(run, "SQLite", server, f"sqlite:///{server.store}")
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
        async with run.servers("pns", store__url=postgres.url) as (server,):
            figures += await _figures(run, "PostgreSQL", server, postgres.url)
    return figures


async def _figures(run: Run, store: str, server: Server, url: str) -> list[Figure]:
    number = run.many(SUBSCRIBERS, 1_000)
    await server.stop()
    await _subscribe(run, url, number)
    await server.start()
    return await _compare(run, server, f"a publication to {number:,} users, {store}", number)


async def _compare(run: Run, server: Server, what: str, number: int) -> list[Figure]:
    rates: list[float] = []

    async def beside() -> float:
        seconds, waited = await _waited(server, _spread(server))
        rates.append(number / seconds)
        return waited

    async def alone() -> float:
        return (await _waited(server, asyncio.sleep(run.many(5.0, 0.5))))[1]

    crowded, quiet = await run.in_turns(what, beside, alone)
    return [
        Figure(f"notifications/s of {what}", f"{median(rates):,.0f}"),
        Figure(
            f"ms of a notify beside {what}, {PER_SECOND} notifies/s: p99",
            f"{median(crowded) * 1000:.2f}",
            f"{median(quiet) * 1000:.2f} with nothing beside it",
            ratio(crowded, quiet),
            Goal(3, at_most=True),
            server.load,
        ),
    ]


async def _spread(server: Server) -> float:
    """Notify the topic; returns after how many seconds everybody had it."""
    asker = await Asker.connect(server)
    begin = time.perf_counter()
    content = {"notifications": [{"notification_data": DATA}]}
    published = _json(await asker.ask(post(f"/topics/{TOPIC}/notify", content), status=202))
    publication = get(f"/publications/{published['publication_id']}")
    async with asyncio.timeout(PATIENCE):
        while True:
            if _json(await asker.ask(publication, status=200))["end_date"] is not None:
                asker.close()
                return time.perf_counter() - begin
            await asyncio.sleep(POLL_SECONDS)


async def _waited(server: Server, work: Coroutine[Any, Any, T]) -> tuple[T, float]:
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
            if until.done():
                break
            await asyncio.sleep(due - time.perf_counter())
            asking.create_task(ask(request, due))
    while not askers.empty():
        askers.get_nowait().close()


def _json(answer: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def _subscribe(run: Run, url: str, number: int) -> None:
    """Subscribe so many users by the store's own contract, while no server runs."""
    settings = Settings(store=StoreSettings(url=url))
    store = make_store(settings, clock=SystemClock(), metrics=Metrics())
    await store.open()
    try:
        for start in run.progress.track(range(0, number, AT_ONCE), description=f"{number:,} subscribers"):
            users = (f"subscriber-{index}" for index in range(start, start + AT_ONCE))
            subscribe = store.audiences.subscribe
            await asyncio.gather(*(subscribe(f"topic/{TOPIC}", user, make=True) for user in users))
    finally:
        await store.close()
