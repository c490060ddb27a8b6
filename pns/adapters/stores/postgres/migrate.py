"""Brings a PostgreSQL database's schema up to date: one transaction, made by the first node.

The schema and its migrations stand in schema.py. PNS's tables stand in a PostgreSQL schema of
their own named `pns`: an application may keep its tables in the same database.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pns.adapters.stores.postgres.connection import PATIENCE_SECONDS as CONNECT_SECONDS
from pns.adapters.stores.postgres.connection import connect
from pns.adapters.stores.postgres.errors import ENGINE_ERRORS, refusal, worth_another_try
from pns.adapters.stores.postgres.place import place_in
from pns.adapters.stores.postgres.rows import SQL, Session, single_column, tuples
from pns.adapters.stores.schema import ALEMBIC, PATIENCE_SECONDS, is_current, run_migrations

MOST_TRIES = 10
"""A node of an earlier release may hold a table, and want another that the upgrade holds. PostgreSQL ends one
of the two. An upgrade that was ended has changed nothing, and is tried again.
"""

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


def migrate(url: str, *, patience: float = PATIENCE_SECONDS, connect_within: float = CONNECT_SECONDS) -> None:
    """Make PNS's schema in the database at `url` one of at least SCHEMA_VERSION.

    All or nothing. Safe to run in many processes at once: one process upgrades, the others wait. A newer
    schema that lets this code run stays. This function blocks: call `migrate` in a thread.
    Raises SchemaError when code and schema do not fit, StoreUnavailable when the database cannot be used.
    """
    asyncio.run(_migrate(url, patience, connect_within))


async def _migrate(url: str, patience: float, connect_within: float) -> None:
    place = place_in(url)
    try:
        async with asyncio.timeout(connect_within):
            connection = await connect(url, patience=connect_within)
            try:
                current = await _is_current(connection, place)
            finally:
                connection.terminate()
        if not current:
            with ALEMBIC:
                await _upgrade(url, place, patience)
    except ENGINE_ERRORS as error:
        raise refusal(error, place) from error


async def _is_current(session: Session, place: str) -> bool:
    if not (await single_column(session, "has_schema", {}))[0]:
        return False
    version, oldest_code = (await tuples(session, "schema", {}))[0]
    return is_current(version, oldest_code, place)


async def _upgrade(url: str, place: str, patience: float) -> None:
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def creator(*_: object, **__: object) -> Any:
        return await connect(url, patience=patience)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    for left in reversed(range(MOST_TRIES)):
        try:
            async with engine.begin() as transaction:
                await _run_alone(transaction, place)
            return
        except DBAPIError as error:
            cause = getattr(error.orig, "__cause__", None) or error
            if not (left and worth_another_try(cause)):
                raise refusal(cause, place) from error


async def _run_alone(transaction: AsyncConnection, place: str) -> None:
    """Upgrade, unless another process upgraded while this process waited."""
    for name in ("begin_migration", "take_time", "make_schema"):
        await transaction.exec_driver_sql(SQL[name].text)
    session: Session = (await transaction.get_raw_connection()).driver_connection  # type: ignore[assignment]
    if not await _is_current(session, place):
        await transaction.run_sync(run_migrations)
