"""The databases of an application: PostgreSQL, MariaDB and SQLite, each by the drivers that people use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

DRIVERS = {
    "sqlite+pysqlite": False,
    "sqlite+aiosqlite": True,
    "postgresql+psycopg": False,
    "postgresql+asyncpg": True,
    "mysql+pymysql": False,
    "mysql+aiomysql": True,
}
"""Whether the driver needs an asynchronous engine, by what begins its URLs."""


def new_database(driver: str, request: pytest.FixtureRequest) -> str:
    """The URL of a new database. Servers are the fixtures `postgres` and `mariadb`."""
    kind = driver.partition("+")[0]
    if kind == "sqlite":
        path: Path = request.getfixturevalue("tmp_path")
        return f"{driver}:///{path / 'app.db'}"
    server = request.getfixturevalue({"postgresql": "postgres", "mysql": "mariadb"}[kind])
    return make_url(server.fresh()).set(drivername=driver).render_as_string(hide_password=False)


def engine_of(url: str, **options: Any) -> Engine | AsyncEngine:
    """An engine as an application makes one, also with the lines for savepoints on SQLite."""
    if DRIVERS[url.partition(":")[0]]:
        made = create_async_engine(url, **options)
        _begin_by_hand(made.sync_engine)
        return made
    engine = create_engine(url, **options)
    _begin_by_hand(engine)
    return engine


def sync(engine: Engine | AsyncEngine) -> Engine:
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


def _begin_by_hand(engine: Engine) -> None:
    """Python's sqlite3 begins no transaction before a savepoint; docs/transactions.md has the same lines."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")
