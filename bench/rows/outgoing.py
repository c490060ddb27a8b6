"""Latency of a notify in the application's own transaction: from the COMMIT until the user's connection has
the count, by way of the table, `pns forward` and PNS. A plain notify of the same PNS stands beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, cycle

import asyncpg
from sqlalchemy import create_engine

from bench.load.http import Listening
from bench.load.machine_time import busy
from bench.load.sockets import Opener, Socket, close, cookie_of
from bench.report import Figure
from bench.rows.latency import Stopwatch
from bench.run import Run, median, ratio
from bench.server_process import KEY, SERVER_CORE, Server, on_cores
from pns.transactional.sqlalchemy import outgoing
from tests.harness.postgres import Postgres

CONNECTIONS = 500
PER_SECOND = 100
SESSIONS = 8
INSERT = """
INSERT INTO pns_outgoing (id, user_id, notification)
VALUES (gen_random_uuid()::text, $1, '{"notification_data": "x"}')
RETURNING pg_notify('pns_outgoing', '')
"""


async def measure(run: Run) -> list[Figure]:
    number, seconds = run.many(CONNECTIONS, 50), run.many(3.0, 0.5)
    with on_cores():
        postgres = Postgres(durable=True)
        postgres.start()
    try:
        async with run.servers("pns") as (server,), forwarding(postgres.url, server):
            sockets = await Opener(server.port).open([cookie_of(f"user-{index}") for index in range(number)])
            figures = await _compare(run, server, sockets, postgres.url, seconds=seconds)
            close(sockets)
    finally:
        postgres.remove()
    return figures


@asynccontextmanager
async def forwarding(database: str, server: Server) -> AsyncIterator[None]:
    """The table in `database`, and `pns forward` from there on the server's core."""
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    outgoing.create(engine)
    engine.dispose()
    command = (sys.executable, "-m", "pns.ops.cli", "forward", "--database", database)
    with on_cores([SERVER_CORE]):
        process = await asyncio.create_subprocess_exec(
            *(*command, "--url", server.url, "--key", KEY), stderr=asyncio.subprocess.PIPE
        )
    assert process.stderr is not None
    await process.stderr.readline()  # it says that it has begun
    try:
        yield
    finally:
        process.terminate()
        await process.communicate()


async def _compare(
    run: Run, server: Server, sockets: Sequence[Socket], database: str, *, seconds: float
) -> list[Figure]:
    cuts: dict[str, list[tuple[float, float]]] = {"commit": [], "post": []}
    pool = await asyncpg.create_pool(database, min_size=SESSIONS, max_size=SESSIONS)

    async def took(name: str) -> float:
        clock = Commits(pool) if name == "commit" else Stopwatch()
        for socket in sockets:
            clock.watch(socket)
        with busy(server):
            await clock.run(server, sockets, seconds)
        found = statistics.quantiles(clock.took, n=100, method="inclusive")
        cuts[name].append((found[49], found[98]))
        return found[98]

    await run.in_turns("commits", lambda: took("commit"), lambda: took("post"))
    await pool.close()
    what = f"ms from COMMIT to frame by pns forward, PostgreSQL, {PER_SECOND}/s, {len(sockets):,} connections"
    figures = []
    for index, name in enumerate(("p50", "p99")):
        commits, posts = ([cut[index] for cut in cuts[kind]] for kind in ("commit", "post"))
        figures.append(
            Figure(
                f"{what}: {name}",
                f"{median(commits) * 1000:.2f}",
                f"{median(posts) * 1000:.2f} a plain notify",
                ratio(commits, posts),
                load=server.load if name == "p50" else "",
            )
        )
    return figures


class Commits(Stopwatch):
    """Notifies by rows of the table, each in a transaction of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__()
        self._pool = pool

    async def run(self, server: Listening, sockets: Sequence[Socket], seconds: float) -> None:
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, socket in zip(count(), cycle(sockets), strict=False):
                due = begin + number / PER_SECOND
                if due - begin > seconds:
                    break
                await asyncio.sleep(due - time.perf_counter())
                tasks.create_task(self._commit(socket))
        await self.settled()

    async def _commit(self, socket: Socket) -> None:
        async with self._pool.acquire() as connection:
            self.begin(socket)
            await connection.fetch(INSERT, socket.user)
