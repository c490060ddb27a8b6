"""Brings a SQLite file's schema up to date: one transaction, made by the first process.

The schema and its migrations stand in schema.py. Never touches a file that is not PNS's own.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import cast

from pns.adapters.stores.schema import ALEMBIC, PATIENCE_SECONDS, is_current, run_migrations
from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS, locked, unavailable
from pns.adapters.stores.sqlite.place import require_folder
from pns.adapters.stores.sqlite.rows import SQL
from pns.errors import SchemaError


def migrate(path: Path, *, patience: float = PATIENCE_SECONDS) -> None:
    """Make `path` a database of at least SCHEMA_VERSION. A missing file is created.

    All or nothing. Safe to run in many processes at once: one process upgrades, the others wait. A newer
    schema that lets this code run stays. This function blocks: call `migrate` in a thread.
    Raises SchemaError when code and schema do not fit, SettingsError when the file is a mount of its own,
    StoreUnavailable when the file cannot be used.
    """
    require_folder(path)
    try:
        with closing(_connect(path, patience)) as connection:
            current = _is_current(connection, path)
        if not current:
            _upgrade(path, patience)
    except ENGINE_ERRORS as error:
        raise unavailable(error, path) from error


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=patience)


def _is_current(connection: sqlite3.Connection, path: Path) -> bool:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        _refuse_remains(connection, path)
        return False
    if not {"schema", "users", "notifications"} <= tables:
        raise SchemaError(f"{path} holds other tables than PNS's. Point store.url at a file of its own.")
    version, oldest_code = connection.execute(SQL["schema"]).fetchone()
    return is_current(version, oldest_code, str(path))


def _refuse_remains(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SchemaError for a file with unreadable contents, for a new store would destroy them."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if pages > 1:
        raise SchemaError(
            f"{path} has no tables but is not empty: restore it from a backup, or move it away."
        )


def _upgrade(path: Path, patience: float) -> None:
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    with closing(_connect(path, patience)) as connection:
        _switch_to_wal(connection, patience)
    engine = create_engine("sqlite://", creator=lambda: _connect(path, patience), poolclass=NullPool)
    # SQLite would let two processes begin, and refuse the second one's first write at once
    event.listen(engine, "begin", lambda transaction: transaction.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with ALEMBIC, engine.begin() as transaction:
            driver = cast(sqlite3.Connection, transaction.connection.dbapi_connection)
            if not _is_current(driver, path):
                run_migrations(transaction)
    except DBAPIError as error:
        raise unavailable(error.orig, path) from error


def _switch_to_wal(connection: sqlite3.Connection, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:  # the switch needs the file for itself, and SQLite does not wait for that
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if not locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
