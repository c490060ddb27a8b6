"""One batch of the group commit on SQLite: one transaction, with a savepoint for each request but appends.

Runs in the writer's thread. The statements of transactions stand in session.sql.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from pns.adapters.stores.announcements import NotCaughtUp, dependents
from pns.adapters.stores.appends import Append
from pns.adapters.stores.group_commit import Rejected
from pns.adapters.stores.sqlite.append import append
from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS, Stuck, concerns_all
from pns.adapters.stores.sqlite.level import behind_among
from pns.adapters.stores.sqlite.rows import SQL
from pns.errors import PNSError

Operation = Append | Callable[[sqlite3.Connection], object]
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
        outcomes = _outcomes(connection, operations)
        check_file()
        if connection.in_transaction:  # not after the refusal of a lone operation
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


def _outcomes(connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[object]:
    """Appends that follow each other are stored together. An operation without neighbours needs no savepoint:
    each page that the operation changes would be copied for the savepoint first.
    """
    if len(operations) == 1 and not isinstance(operations[0], Append):
        return [_attempt_alone(connection, operations[0])]
    outcomes: list[object] = []
    appends: list[Append] = []
    for operation in operations:
        if isinstance(operation, Append):
            appends.append(operation)
            continue
        outcomes += _append(connection, appends)
        appends.clear()
        outcomes.append(_attempt(connection, operation))
    return outcomes + _append(connection, appends)


def _append(connection: sqlite3.Connection, requests: Sequence[Append]) -> list[object]:
    """The outcomes of appends. An append waits whose outcome depends on an inbox that is not level."""
    asked = [dependents(request.wanted) for request in requests]
    concerned = set[str]().union(*asked)
    behind = set(behind_among(connection, concerned)) if concerned else set[str]()
    if not behind:
        return [*append(connection, requests)]
    ready = [request for request, users in zip(requests, asked, strict=True) if not users & behind]
    outcomes = iter(append(connection, ready))
    return [NotCaughtUp(users & behind) if users & behind else next(outcomes) for users in asked]


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:  # after some errors SQLite has rolled back already
            connection.execute(SQL["roll_back"])
    except sqlite3.Error as error:
        raise Stuck from error


def _attempt_alone(
    connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], object]
) -> object:
    try:
        return operation(connection)
    except PNSError as refusal:
        _roll_back(connection)
        return refusal


def _attempt(connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], object]) -> object:
    """The result of `operation`, or the refusal that undid this operation alone."""
    connection.execute(SQL["begin_request"])
    try:
        outcome = operation(connection)
    except PNSError as refusal:
        connection.execute(SQL["undo_request"])
        outcome = refusal
    connection.execute(SQL["end_request"])
    return outcome
