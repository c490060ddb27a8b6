"""One batch of the group commit on SQLite: one transaction, with a savepoint for each request.

Runs in the writer's thread. The statements of transactions stand in session.sql.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from pns.adapters.stores.group_commit import Rejected
from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS, Stuck, concerns_all
from pns.adapters.stores.sqlite.rows import SQL
from pns.errors import PNSError

Operation = Callable[[sqlite3.Connection], object]
"""One request to write."""


def commit(
    connection: sqlite3.Connection, operations: Sequence[Operation], *, check_file: Callable[[], None]
) -> list[object]:
    """The outcome of each of `operations`, once all are on disk.

    `check_file` raises an engine's error when the file was replaced; no commit follows. Raises the engine's
    errors when the engine is away, and Rejected when the engine refused this batch.
    """
    try:
        connection.execute(SQL["begin"])
        outcomes = [_attempt(connection, operation) for operation in operations]
        check_file()
        connection.execute(SQL["commit"])
    except ENGINE_ERRORS as error:
        _roll_back(connection)
        if concerns_all(error):
            raise
        raise Rejected from error
    except BaseException:
        _roll_back(connection)
        raise
    return outcomes


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:  # after some errors SQLite has rolled back already
            connection.execute(SQL["roll_back"])
    except sqlite3.Error as error:
        raise Stuck from error


def _attempt(connection: sqlite3.Connection, operation: Operation) -> object:
    """The result of `operation`, or the refusal that undid this operation alone."""
    connection.execute(SQL["begin_request"])
    try:
        outcome = operation(connection)
    except PNSError as refusal:
        connection.execute(SQL["undo_request"])
        outcome = refusal
    connection.execute(SQL["end_request"])
    return outcome
