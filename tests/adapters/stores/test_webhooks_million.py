"""A million users with something unseen: the look for due ones reads little, and no notify waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import psycopg
import pytest

from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.receiver import Letter, Reply, Taking
from pns.contracts.store import Store
from pns.inbox.unsubscribing import Unsubscribing
from pns.model.timestamp import DAY, HOUR, MINUTE
from pns.model.webhook import WebhookKind, WebhookTerms
from pns.push.webhook.letter import Writer
from pns.push.webhook.sender import Sender
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.testing.temporary import empty_store
from tests.adapters.stores.conftest import submission
from tests.harness.postgres import Postgres

TERMS = WebhookTerms(frozenset([WebhookKind.UNSEEN]), 15 * MINUTE, HOUR, 3 * DAY)
USERS = 1_000_000
COUNT = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {USERS}) SELECT n FROM n"
NUMBERS = {"sqlite": f"({COUNT})", "postgres": f"generate_series(1, {USERS}) n(n)"}
WAITING = """
INSERT INTO users (user_id, last_seq, unseen, version, seen_unread)
SELECT 'user ' || n, 1, 1, 1, 0 FROM {numbers};
INSERT INTO notifications (user_key, seq, notification_id, data, create_date)
SELECT user_key, 1, 'a', 'x', 1 FROM users;
INSERT INTO webhook_waiting (user_key, due_at, seq) SELECT user_key, {due_at} + user_key, 1 FROM users;
INSERT INTO webhook_users (user_key, due_at) SELECT user_key, {due_at} + user_key FROM users;
"""
WRITERS = 16
WINDOW_SECONDS = 2.0
WINDOWS = 12
"""Half of them beside the look."""


class Taker:
    """See pns.contracts.receiver.Receiver. It takes everything at once."""

    kinds = frozenset(WebhookKind)
    taken = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def take(self, letter: Letter) -> Reply:
        self.taken += 1
        return Reply(Taking.TAKEN)


@asynccontextmanager
async def a_million(engine: str, folder: Path, *, due_at: int) -> AsyncIterator[Store]:
    """A store with a million users who are to be told, each a microsecond after the one before."""
    told, clock, metrics = WAITING.format(numbers=NUMBERS[engine], due_at=due_at), SystemClock(), Metrics()
    store: Store
    with ExitStack() as stack:
        if engine == "postgres":
            server = stack.enter_context(Postgres())
            await asyncio.to_thread(migrate_postgres, server.url)
            with psycopg.connect(server.url, autocommit=True) as connection:
                for statement in ["SET search_path = pns", *told.split(";\n"), "ANALYZE"]:
                    connection.execute(statement)
            store = PostgresStore(server.url, clock=clock, metrics=metrics, webhook=TERMS)
        else:
            path = empty_store(folder / "pns.db")
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.executescript(told)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            store = SQLiteStore(path, clock=clock, metrics=metrics, webhook=TERMS)
        await store.open()
        yield store
        await store.close()


async def notifies(store: Store, *, seconds: float, serial: list[int]) -> list[float]:
    """How long each of the notifies took that `WRITERS` clients made in this time."""
    times: list[float] = []
    end = time.monotonic() + seconds

    async def write() -> None:
        while (begin := time.monotonic()) < end:
            serial[0] += 1
            await store.append([submission(f"user {serial[0] * 7919 % USERS + 1}", "x")])
            times.append(time.monotonic() - begin)

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    return times


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


async def compare(store: Store, taker: Taker) -> tuple[float, float, int, int]:
    clock, metrics, serial = SystemClock(), Metrics(), [0]
    alone: list[float] = []
    beside: list[float] = []
    for window in range(WINDOWS):
        if window % 2:
            alone += await notifies(store, seconds=WINDOW_SECONDS, serial=serial)
            continue
        writer = Writer(Unsubscribing(store, secret="s" * 32), public_url="")
        sender = Sender(taker, store.webhooks, writer, timeout=10, clock=clock, metrics=metrics)
        sender.start()
        beside += await notifies(store, seconds=WINDOW_SECONDS, serial=serial)
        await sender.stop()
    return p99(beside), p99(alone), len(beside), len(alone)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("due", [False, True], ids=["looked for", "told"])
@pytest.mark.parametrize("engine", NUMBERS)
async def test_a_notify_beside_a_million_that_wait(engine: str, due: bool, tmp_path: Path) -> None:
    now, taker = SystemClock().now(), Taker()
    async with a_million(engine, tmp_path, due_at=now - DAY if due else now + DAY) as store:
        begin = time.process_time()
        for _ in range(100):
            await store.webhooks.next_due()
        look = (time.process_time() - begin) / 100
        beside, alone, some, others = await compare(store, taker)
    print(f"{engine}: a look takes {look * 1e6:.0f} µs of CPU; p99 of a notify {beside * 1e3:.2f} ms beside,")
    print(f"{alone * 1e3:.2f} ms alone, ratio {beside / alone:.3f}; {some} and {others} notifies,")
    print(f"{taker.taken} events taken")
    assert beside / alone <= 1.2
