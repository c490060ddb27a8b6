"""The implementations that the contract suite runs on: `store` is one of each, `engine` makes more of them.

Another implementation joins by one more parameter of `engine`; no test knows which one it runs on, apart from
those in test_sqlite*.py.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pns.adapters.stores.postgres import connection as postgres_connection
from pns.adapters.stores.postgres import store as postgres_store
from pns.adapters.stores.postgres.connection import PostgresConnections
from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Appended, Cursor, Store, Submission
from pns.model.notification import Notification, Page
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from pns.testing.temporary import empty_store
from tests.harness.postgres import Postgres

Engine = Callable[..., Store]

PLENTY = 2**30


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, clock: FakeClock, metrics: Metrics) -> Engine:
    """Makes stores that are not open yet, each time another one on the same data."""
    if request.param == "sqlite":
        path = empty_store(request.getfixturevalue("tmp_path") / "pns.db")
        return partial(SQLiteStore, path, clock=clock, metrics=metrics)
    request.getfixturevalue("without_connecting")
    return partial(PostgresStore, request.getfixturevalue("database"), clock=clock, metrics=metrics)


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    store = engine()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def other(engine: Engine, store: Store) -> AsyncIterator[Store]:
    """Another node's store, on the same data."""
    other = engine()
    await other.open()
    yield other
    await other.close()


@pytest.fixture
def raw(engine: Engine, request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Runs plain SQL on the stores' data; returns a line for each row, columns apart by |."""
    if engine.func is PostgresStore:  # type: ignore[attr-defined]
        server = request.getfixturevalue("postgres")
        return lambda sql: server.run(f"SET search_path = pns; {sql}")

    def run(sql: str) -> list[str]:
        path = request.getfixturevalue("tmp_path") / "pns.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            rows = [row for part in sql.split(";") for row in connection.execute(part)]
        return ["|".join("" if column is None else str(column) for column in row) for row in rows]

    return run


def page_statements() -> set[str]:
    """The names of the statements that read pages."""
    lists = ("seen", "unread", "archived", "inbox", "inbox_unread", "inbox_listed", "category")
    return {f"{name}_{way}" for name in lists for way in ("after", "before")} | {"unseen_after"}


def submission(user_id: str, *notifications: Notification | str) -> Submission:
    return Submission(user_id, tuple(Notification(n) if isinstance(n, str) else n for n in notifications))


async def append(store: Store, user_id: str, *notifications: Notification | str) -> Appended:
    return await store.append([submission(user_id, *notifications)])


async def named(store: Store, user_id: str, *names: str) -> None:
    """Append notifications whose id and data are the same word."""
    await append(store, user_id, *(Notification(name, notification_id=name) for name in names))


def cursor(
    *,
    after: str = "",
    before: str | None = None,
    received_after: int | None = None,
    limit: int = 500,
    max_bytes: int = PLENTY,
) -> Cursor:
    return Cursor(after=after, before=before, received_after=received_after, limit=limit, max_bytes=max_bytes)


async def unseen(store: Store, user_id: str, *, limit: int = 500, max_bytes: int = PLENTY) -> list[str]:
    return data(await store.unseen(user_id, limit=limit, max_bytes=max_bytes))


async def inbox(store: Store, user_id: str) -> list[str]:
    return data(await store.inbox(user_id, cursor(limit=100_000)))


async def seen(store: Store, user_id: str) -> list[str]:
    return data(await store.seen(user_id, cursor(limit=100_000)))


async def count(store: Store, user_id: str) -> int:
    return (await store.states([user_id]))[user_id].unseen


def data(page: Page) -> list[str]:
    return [item.notification_data for item in page.items]


def ids(page: Page) -> list[str]:
    return [item.notification_id for item in page.items]


# ── where a migration is cut off ──────────────────────────────────────────────────────────────────────

Places = Callable[[int], Iterable[int]]
"""Some of so many statements, by number."""

EVERY: Places = range


def SOME(statements: int) -> list[int]:
    """The first of them, the last of them, and eight between: most are alike."""
    return [round(place * (statements - 1) / 9) for place in range(10)]


# ── PostgreSQL alone ──────────────────────────────────────────────────────────────────────────────────

Kept = defaultdict[tuple[str, float], list[Any]]


@pytest.fixture
def _function_scoped_runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    """The event loop of a test: the same for all that are on PostgreSQL, for connections belong to a loop."""
    callspec = getattr(request.node, "callspec", None)
    on_postgres = callspec is not None and callspec.params.get("engine") == "postgres"
    runner = "_session_scoped_runner" if on_postgres else "_function_scoped_runner"
    found: asyncio.Runner = request.getfixturevalue(runner)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kept() -> AsyncIterator[Kept]:
    """Idle connections of stores that were closed, by address and patience."""
    kept: Kept = defaultdict(list)
    yield kept
    for connection in chain(*kept.values()):
        connection.terminate()


@pytest.fixture
def without_connecting(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store takes the connections of the store before, in a database whose schema is there: opening one
    takes longer than most tests. How a store connects, test_faults.py and test_migrate.py show.
    """
    connect = postgres_connection.connect

    async def take(url: str, *, patience: float, **options: Any) -> Any:
        idle = kept[url, patience]
        while idle:
            connection = idle.pop()
            if not connection.is_closed():
                return connection
        return await connect(url, patience=patience, **options)

    async def close(connections: PostgresConnections) -> None:
        kept[connections._url, connections._patience] += connections._idle
        connections._idle = []
        await discard(connections)

    discard = PostgresConnections.close
    monkeypatch.setattr(postgres_connection, "connect", take)
    monkeypatch.setattr(PostgresConnections, "close", close)
    monkeypatch.setattr(postgres_store, "migrate", lambda *_, **__: None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests that neither stop nor freeze it."""
    with Postgres(autovacuum="off") as server:
        migrate_postgres(server.url)
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The address of a database that has PNS's schema, and nothing in it. Much faster than a fresh one."""
    empty(postgres)
    return postgres.url


_TABLES = """
SELECT oid::regclass FROM pg_class
WHERE relnamespace = 'pns'::regnamespace AND relkind = 'r' AND relname NOT IN ('schema', 'alembic_version')
"""
_LARGE = f"{_TABLES} AND pg_relation_size(oid) > 100000"
_NUMBERS = "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pns'::regnamespace AND relkind = 'S'"


def empty(server: Postgres) -> None:
    """Make the database of `server` one with PNS's schema, and nothing in it.

    A new file for every table would take longer than most tests: only the large tables get one.
    """
    for table in server.run(_LARGE):
        server.run(f"TRUNCATE {table}")
    server.run(_deletions(server))


@cache
def _deletions(server: Postgres) -> str:
    tables = [f"DELETE FROM {table}" for table in server.run(_TABLES)]
    numbers = [f"SELECT setval('{number}', 1, false)" for number in server.run(_NUMBERS)]
    return "; ".join(["SET session_replication_role = replica", *tables, *numbers])


@pytest.fixture
def without_deadlock(postgres: Postgres) -> Iterator[None]:
    """PNS would try again, a second later: its transactions take their locks in one order instead."""
    before = postgres.log.read_text().count("deadlock detected")
    yield
    assert postgres.log.read_text().count("deadlock detected") == before


# ── SQLite alone ──────────────────────────────────────────────────────────────────────────────────────


def new_store(path: Path) -> SQLiteStore:
    return SQLiteStore(path, clock=FakeClock(), metrics=Metrics())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return empty_store(tmp_path / "pns.db")


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection
