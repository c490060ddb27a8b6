"""Marks: how long a mark of a whole inbox takes, and how long notifies of other users wait meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from itertools import count

from bench.load.http import Asker, notify, post
from bench.report import Figure
from bench.rows.beside import compare, waited
from bench.rows.notify import DATA, PER_REQUEST
from bench.run import Run, median
from bench.server_process import Server, on_cores
from tests.harness.postgres import Postgres

NUMBER = 100_000
AT_ONCE = 8


async def measure(run: Run) -> list[Figure]:
    async with run.servers("pns") as (server,):
        figures = await _compare(run, "SQLite", server)
    async with AsyncExitStack() as stack:
        with on_cores():
            postgres = await stack.enter_async_context(Postgres(durable=True))
        async with run.servers("pns", store__url=postgres.url) as (server,):
            return figures + await _compare(run, "PostgreSQL", server)


async def _compare(run: Run, store: str, server: Server) -> list[Figure]:
    number = run.many(NUMBER, 1_000)
    what = f"a mark of {number:,} notifications as read, {store}"
    users = (f"marks-{index}" for index in count())
    took: list[float] = []

    async def beside() -> float:
        user = next(users)
        await _fill(server, user, number)
        seconds, notified = await waited(server, _mark(server, user, number))
        took.append(seconds)
        return notified

    notifies = await compare(run, server, what, beside)
    return [Figure(f"s for {what}", f"{median(took):.2f}"), notifies]


async def _fill(server: Server, user: str, number: int) -> None:
    """Give `user` so many unseen notifications."""
    wanted = iter(range(number // PER_REQUEST))

    async def fill() -> None:
        asker = await Asker.connect(server)
        for _ in wanted:
            await asker.ask(notify(user, *[DATA] * PER_REQUEST), status=201)
        asker.close()

    await asyncio.gather(*(fill() for _ in range(AT_ONCE)))


async def _mark(server: Server, user: str, number: int) -> float:
    """Mark all that `user` has as read; returns the seconds."""
    asker = await Asker.connect(server)
    begin = time.perf_counter()
    answer = await asker.ask(post(f"/users/{user}/marks", {"as": "read", "all": True}), status=200)
    passed = time.perf_counter() - begin
    asker.close()
    if b'"changed":%d' % number not in answer.replace(b" ", b""):
        raise RuntimeError(f"not {number} marked: {answer[-200:]!r}")
    return passed
