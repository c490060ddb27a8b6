"""A broadcast to everybody: how soon it is answered, how soon everybody who is connected has been told, and
how long other notifies wait meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from typing import NamedTuple

from bench.load.http import Asker, post
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure, Goal
from bench.rows.beside import compare, waited
from bench.rows.notify import DATA
from bench.run import Run, median
from bench.server_process import Server, on_cores
from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.sqlite.migrate import migrate
from tests.harness.postgres import Postgres

KNOWN, CONNECTED = 1_000_000, 2_000
PATIENCE = 120
SQLITE_USERS = """
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
INSERT INTO users (user_id, last_seq, unseen, version) SELECT 'known-' || n, 0, 0, 0 FROM numbers"""
POSTGRES_USERS = """
INSERT INTO pns.users (user_id, last_seq, unseen, version)
SELECT 'known-' || n, 0, 0, 0 FROM generate_series(0, {last}) n"""


class Took(NamedTuple):
    """Seconds from the request: to the answer, and to the last of the connected users."""

    answered: float
    told: float


async def measure(run: Run) -> list[Figure]:
    number = run.many(KNOWN, 2_000)
    async with run.servers("pns", auth__cache_seconds=3600) as (server,):
        await server.stop()
        _fill_sqlite(server, number)
        await server.start()
        figures = await _compare(run, server, "SQLite", number)
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
        await asyncio.to_thread(migrate_postgres, postgres.url)
        postgres.run(POSTGRES_USERS.format(last=number - 1))
        async with run.servers("pns", store__url=postgres.url, auth__cache_seconds=3600) as (server,):
            return figures + await _compare(run, server, "PostgreSQL", number)


def _fill_sqlite(server: Server, number: int) -> None:
    migrate(server.store)
    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(SQLITE_USERS.format(last=number - 1))


async def _compare(run: Run, server: Server, store: str, number: int) -> list[Figure]:
    connected = run.many(CONNECTED, 100)
    what = f"a broadcast to {number:,} users, {connected:,} of them connected, {store}"
    cookies = [cookie_of(f"known-{index * 499 % number}") for index in range(connected)]
    sockets = await Opener(server.port).open(cookies)
    found: list[Took] = []

    async def beside() -> float:
        took, notified = await waited(server, _announce(server, sockets, lasting=run.many(5.0, 0.5)))
        found.append(took)
        return notified

    notifies = await compare(run, server, what, beside)
    close(sockets)
    return [
        _figure("ms to the answer of", [took.answered for took in found], what, most=50),
        _figure("ms to tell all who are connected of", [took.told for took in found], what, most=1_000),
        notifies,
    ]


def _figure(name: str, seconds: Sequence[float], what: str, *, most: int) -> Figure:
    value = median(seconds) * 1000
    return Figure(f"{name} {what}", f"{value:.1f}", f"{most} ms", value / most, Goal(1, at_most=True))


async def _announce(server: Server, sockets: Sequence[Socket], *, lasting: float) -> Took:
    """Broadcast a notification, and go on until `lasting` seconds have passed: notifies are posted beside."""
    loop = asyncio.get_running_loop()
    told, waiting = loop.create_future(), set(sockets)

    def hear(socket: Socket) -> None:
        waiting.discard(socket)
        if not waiting and not told.done():
            told.set_result(None)

    await asyncio.sleep(lasting / 4)
    for socket in sockets:
        socket.heard = lambda payload, socket=socket: hear(socket)
    asker = await Asker.connect(server)
    begin = time.perf_counter()
    await asker.ask(post("/broadcast", {"notifications": [{"notification_data": DATA}]}), status=202)
    answered = time.perf_counter() - begin
    await asyncio.wait_for(told, PATIENCE)
    took = Took(answered, time.perf_counter() - begin)
    asker.close()
    await asyncio.sleep(max(0.0, lasting * 3 / 4 - took.told))
    return took
