"""What a notify costs beside a million pending notifications of the same users: CPU time, the engine's too.

Each notification has an id of its own, which PNS looks for among the pending ones. CPU time says the same on
a busy machine and on an idle one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from itertools import count
from typing import Any

from bench.load.http import WARM_UP_SECONDS, post, start
from bench.load.machine_time import busy
from bench.report import Figure, Goal
from bench.rows.notify import CLIENTS, DATA, USERS
from bench.run import Run, median, ratio
from bench.server_process import Server, on_cores
from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.sqlite.migrate import migrate
from pns.model.timestamp import DAY
from tests.harness.postgres import Postgres

PENDING = 1_000_000
FREE = Goal(1.05, at_most=True)
AT_ONCE = 50_000
"""Rows of a statement that fills a database."""
SQLITE_NUMBERS = """
(WITH RECURSIVE r(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM r WHERE n + 1 < {end}) SELECT n FROM r)"""
POSTGRES_NUMBERS = "generate_series({first}, {end} - 1) r(n)"
KNOWN = """
INSERT INTO {schema}users (user_id, last_seq, unseen, version)
SELECT 'user-' || n, 0, 0, 0 FROM {numbers}"""
WAITING = """
INSERT INTO {schema}pending (user_key, notification_id, deliver_date, snoozed, data, create_date)
SELECT user_key, 'pending-' || n, {tomorrow} + n, 0, '{data}', {tomorrow} + n
FROM {numbers} JOIN {schema}users ON user_id = 'user-' || n % {users}"""


async def measure(run: Run) -> list[Figure]:
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
        return [await _on_sqlite(run), await _on_postgres(run, postgres)]


async def _on_sqlite(run: Run) -> Figure:
    async with run.servers("pns", "pns") as servers:
        for number, server in zip(_numbers(run), servers, strict=True):
            await server.stop()
            migrate(server.store)
            with closing(sqlite3.connect(server.store)) as connection, connection:
                connection.execute("PRAGMA synchronous = OFF")
                for statement in _filling(SQLITE_NUMBERS, schema="", number=number):
                    connection.execute(statement)
            await server.start()
        return await _compare(run, servers, "SQLite", engine=lambda: 0.0)


async def _on_postgres(run: Run, postgres: Postgres) -> Figure:
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for number in _numbers(run):
            url = postgres.fresh()
            await asyncio.to_thread(migrate_postgres, url)
            for statement in [*_filling(POSTGRES_NUMBERS, schema="pns.", number=number), "ANALYZE"]:
                postgres.run(statement, url)
            servers += await stack.enter_async_context(run.servers("pns", store__url=url))
        return await _compare(run, servers, "PostgreSQL", engine=lambda: _cpu_seconds(postgres))


def _numbers(run: Run) -> tuple[int, int]:
    return run.many(PENDING, 5_000), 0


def _filling(numbers: str, *, schema: str, number: int) -> Iterator[str]:
    tomorrow = (time.time_ns() + DAY * 1_000) // 1_000
    waiting: dict[str, Any] = {"schema": schema, "tomorrow": tomorrow, "data": DATA, "users": USERS}
    yield KNOWN.format(schema=schema, numbers=numbers.format(first=0, end=USERS))
    for first in range(0, number, AT_ONCE):
        end = min(first + AT_ONCE, number)
        yield WAITING.format(numbers=numbers.format(first=first, end=end), **waiting)


async def _compare(run: Run, servers: Sequence[Server], name: str, *, engine: Callable[[], float]) -> Figure:
    serial = count()
    crowded, free = (lambda server=server: _cost(run, server, serial, engine) for server in servers)
    beside, alone = await run.in_turns(f"notifies beside pending ones, {name}", crowded, free)
    return Figure(
        f"ms of a core for a notify with an id beside {_numbers(run)[0]:,} pending, {name}",
        f"{median(beside) * 1000:.3f}",
        f"{median(alone) * 1000:.3f} with none pending",
        ratio(beside, alone),
        FREE,
        servers[0].load,
    )


async def _cost(run: Run, server: Server, serial: Iterator[int], engine: Callable[[], float]) -> float:
    """CPU seconds of server and engine for a notify, while CLIENTS ask without pause."""
    answers = await start(server.port, _requests(serial), clients=CLIENTS)
    await asyncio.sleep(WARM_UP_SECONDS)
    before, spent = answers.count, server.cpu_seconds() + engine()
    with busy(server):
        await asyncio.sleep(run.seconds)
    answered, used = answers.count - before, server.cpu_seconds() + engine() - spent
    await answers.stop()
    return used / answered


def _requests(serial: Iterator[int]) -> Iterator[bytes]:
    for number in serial:
        item = {"notification_data": DATA, "notification_id": f"new-{number}"}
        yield post("/notify", {"user_id": f"user-{number % USERS}", "notifications": [item]})


def _cpu_seconds(postgres: Postgres) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in postgres.processes())
