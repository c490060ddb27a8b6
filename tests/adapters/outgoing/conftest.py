"""A database of each kind, with the table, and the Outgoing of its engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from pns.adapters.outgoing.sqlalchemy import SQLAlchemyOutgoing
from pns.testing import FakeClock
from pns.transactional.sqlalchemy import outgoing
from tests.harness.databases import DRIVERS, engine_of, new_database
from tests.harness.mariadb import MariaDB
from tests.harness.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB() as server:
        yield server


class Database:
    """An application's database, and its engine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engines: list[Engine | AsyncEngine] = []
        self.engine = self.new_engine()

    @property
    def kind(self) -> str:
        return self.engine.dialect.name

    def new_engine(self) -> Engine | AsyncEngine:
        self.engines.append(engine_of(self.url))
        return self.engines[-1]

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Do `work` in a transaction, and commit."""
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.begin() as connection:
                return await connection.run_sync(work)
        with self.engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        for engine in self.engines:
            if isinstance(engine, AsyncEngine):
                await engine.dispose()
            else:
                engine.dispose()


@pytest.fixture(scope="session")
def urls() -> dict[str, str]:
    """The databases so far, by driver: a new one takes half a second."""
    return {}


@pytest.fixture(params=DRIVERS)
async def database(request: pytest.FixtureRequest, urls: dict[str, str]) -> AsyncIterator[Database]:
    driver: str = request.param
    if driver not in urls or driver.startswith("sqlite"):
        urls[driver] = new_database(driver, request)
    database = Database(urls[driver])
    await database.run(partial(outgoing.drop, checkfirst=True))
    await database.run(outgoing.create)
    yield database
    await database.close()


@pytest.fixture
async def made(database: Database, clock: FakeClock) -> AsyncIterator[Callable[[], SQLAlchemyOutgoing]]:
    """Another process's Outgoing each time, as far as the database can tell."""
    tables: list[SQLAlchemyOutgoing] = []

    def make() -> SQLAlchemyOutgoing:
        tables.append(SQLAlchemyOutgoing(database.new_engine(), clock=clock))
        return tables[-1]

    yield make
    for table in tables:
        await table.close()
