"""The rows that SQLite hands out, checked: a damaged file may hold anything in any column.

Reading only. Every function takes the raw connection and runs in its thread; cursors are closed before it
returns, for an open one would keep the write-ahead log from being reused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

import msgspec

from pns.adapters.stores.sqlite.errors import Damaged
from pns.adapters.stores.statements import load

T = TypeVar("T")
SQL = load("sqlite/store.sql", "sqlite/outbox.sql", "sqlite/audiences.sql")
Parameters = Mapping[str, object] | Sequence[object]


def rows(connection: sqlite3.Connection, name: str, parameters: Parameters, kind: type[T]) -> Iterator[T]:
    """The rows of statement `name`, one at a time, each a `kind` (a tuple type). Raises Damaged."""
    with closing(connection.execute(SQL[name], parameters)) as cursor:
        for row in cursor:
            yield checked(row, kind)


def checked(found: object, kind: type[T]) -> T:
    """`found` as a `kind`: what a damaged file holds is not of it. Raises Damaged."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise Damaged(str(error)) from error


def all_rows(connection: sqlite3.Connection, name: str, parameters: Parameters, kind: type[T]) -> list[T]:
    """All rows of statement `name`: also what a writing statement with RETURNING needs to be complete."""
    return list(rows(connection, name, parameters, kind))


def row(connection: sqlite3.Connection, name: str, parameters: Parameters, kind: type[T]) -> T | None:
    """The only row of statement `name`, or None."""
    found = all_rows(connection, name, parameters, kind)
    return found[0] if found else None


def change(connection: sqlite3.Connection, name: str, parameters: Parameters) -> int:
    """Run a writing statement; returns how many rows it changed."""
    return connection.execute(SQL[name], parameters).rowcount


def json_array(values: Collection[object]) -> str:
    """`values` as one parameter, for `json_each`."""
    return msgspec.json.encode(values).decode()
