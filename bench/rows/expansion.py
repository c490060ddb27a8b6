"""A notification for everybody in a topic: how fast it reaches their inboxes, beside the engine alone, how
soon the connected are told, and how long other notifies wait meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.load.http import Asker, get, post
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure, Goal
from bench.rows.bare_spread import Bare, on_postgres, on_sqlite
from bench.rows.beside import compare, waited
from bench.rows.notify import DATA
from bench.run import Run, median, ratio
from bench.server_process import Server, on_cores
from pns.compose import make_store
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings
from tests.harness.postgres import Postgres

SUBSCRIBERS = 100_000
TOPIC = "app:bench"
AT_ONCE = 1000
CONNECTED = 2_000
SETTLED = 2.0
"""Seconds until the store knows of connections."""
POLL_SECONDS = 0.05
PATIENCE = 300


async def measure(run: Run) -> list[Figure]:
    async with run.servers("pns", auth__cache_seconds=3600) as (server,):
        bare = on_sqlite(server.store, f"topic/{TOPIC}")
        figures = await _figures(run, "SQLite", server, url=f"sqlite:///{server.store}", bare=bare)
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
        async with run.servers("pns", store__url=postgres.url, auth__cache_seconds=3600) as (server,):
            bare = on_postgres(postgres, f"topic/{TOPIC}")
            figures += await _figures(run, "PostgreSQL", server, url=postgres.url, bare=bare)
    return figures


async def _figures(run: Run, store: str, server: Server, *, url: str, bare: Bare) -> list[Figure]:
    number = run.many(SUBSCRIBERS, 1_000)
    await server.stop()
    await _subscribe(run, url, number)
    await server.start()
    what = f"a publication to {number:,} users, {store}"
    return [
        *await _alone(run, server, what, number=number, bare=bare),
        *await _compare(run, server, what, number),
    ]


async def _alone(run: Run, server: Server, what: str, *, number: int, bare: Bare) -> list[Figure]:
    """Beside the same rows by one statement, and until those are told who are connected."""
    connected = run.many(CONNECTED, 20)
    cookies = [cookie_of(f"subscriber-{index * 499 % number}") for index in range(connected)]
    sockets = await Opener(server.port).open(cookies)
    await asyncio.sleep(SETTLED)
    told: list[float] = []

    async def spread() -> float:
        seconds, _ = await asyncio.gather(_spread(server), _tell(sockets, told))
        return seconds

    limits, spreads = await run.in_turns(f"{what}, alone", bare, spread)
    close(sockets)
    return [
        Figure(
            f"notifications/s of {what}, nothing beside it",
            f"{number / median(spreads):,.0f}",
            f"{number / median(limits):,.0f} by one INSERT … SELECT",
            ratio(limits, spreads),
            Goal(0.5),
        ),
        Figure(
            f"ms to tell the {connected:,} who are connected of {what}",
            f"{median(told) * 1000:.0f}",
            "1000 ms",
            median(told),
            Goal(1, at_most=True),
        ),
    ]


async def _tell(sockets: Sequence[Socket], told: list[float]) -> None:
    """Note after how many seconds all of `sockets` have heard of something."""
    heard, waiting = asyncio.get_running_loop().create_future(), set(sockets)
    begin = time.perf_counter()

    def hear(socket: Socket) -> None:
        waiting.discard(socket)
        if not waiting and not heard.done():
            heard.set_result(None)

    for socket in sockets:
        socket.heard = lambda payload, socket=socket: hear(socket)
    await asyncio.wait_for(heard, PATIENCE)
    told.append(time.perf_counter() - begin)


async def _compare(run: Run, server: Server, what: str, number: int) -> list[Figure]:
    rates: list[float] = []

    async def beside() -> float:
        seconds, notified = await waited(server, _spread(server))
        rates.append(number / seconds)
        return notified

    notifies = await compare(run, server, what, beside)
    return [Figure(f"notifications/s of {what}", f"{median(rates):,.0f}"), notifies]


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
