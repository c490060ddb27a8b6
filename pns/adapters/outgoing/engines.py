"""An engine for a database's URL, with the URL's own driver, or the first of the usual drivers installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pns.errors import SettingsError

_DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "asyncpg": "asyncpg", "psycopg2": "psycopg2"},
    "mysql": {"mysqldb": "MySQLdb", "pymysql": "pymysql", "asyncmy": "asyncmy", "aiomysql": "aiomysql"},
    "sqlite": {"pysqlite": "sqlite3"},
}
"""The modules of drivers, by the drivers' names in a URL. The first that is installed is taken."""
_ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
_FORM = "must be the URL of PostgreSQL, MySQL, MariaDB or SQLite, such as postgresql://user:password@host/database"


def is_engine(value: object) -> TypeGuard[Engine | AsyncEngine]:
    return isinstance(value, Engine | AsyncEngine)


def engine_of(text: str) -> Engine | AsyncEngine:
    """An engine of one connection at a time, beside the connection that listens. Raises SettingsError."""
    try:
        url = _with_driver(make_url(text))
        is_async = url.get_dialect().is_async
        _check_file(url)
        if is_async:
            return create_async_engine(url, pool_pre_ping=True)
        return create_engine(url, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError):
        raise SettingsError(f"--database {_FORM}") from None
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--database needs the package {error.name}: install the package beside PNS"
        ) from None


def _check_file(url: URL) -> None:
    """Raises SettingsError for a missing file: SQLite would make an empty file of a wrong name."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return
    if not Path(name).exists():
        raise SettingsError(f"--database: there is no file {name}: give the application's own")


def _with_driver(url: URL) -> URL:
    """`url` with the name of an installed driver. Raises SettingsError when there is no driver."""
    database, _, driver = url.drivername.partition("+")
    database = _ALIASES.get(database, database)
    if driver:
        return url.set(drivername=f"{database}+{driver}")
    drivers = _DRIVERS.get(database)
    if drivers is None:
        raise SettingsError(f"--database {_FORM}")
    for driver, module in drivers.items():
        if find_spec(module):
            return url.set(drivername=f"{database}+{driver}")
    raise SettingsError(f"--database needs a driver: install one of {', '.join(drivers.values())} beside PNS")
