"""Running SQLite's statements, and checking the rows: a damaged file may hold anything in any column.

Every function takes the raw connection and runs in the connection's thread. Cursors are closed before a
function returns, for an open cursor would keep the write-ahead log from being reused.

A row is read as a kind. A Struct and a NamedTuple take the columns by their names, in whatever order the
statement has them. A plain tuple type takes the columns as they stand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar, get_origin

import msgspec

from pns.adapters.stores.sqlite.errors import Damaged
from pns.adapters.stores.statements import load

T = TypeVar("T")
_OF_INBOXES = ("store", "pages", "marks", "groups", "later", "preferences", "timeline")
_FILES = ("session", *_OF_INBOXES, "announcements", "outbox", "audiences", "webhooks", "acts")
SQL = load(*(f"sqlite/{name}.sql" for name in _FILES))
FEW = 10
"""Rows that are checked one by one. A check of many begins with making the type of their list."""
Parameters = Mapping[str, object] | Sequence[object]


def rows(connection: sqlite3.Connection, name: str, parameters: Parameters, *, kind: type[T]) -> Iterator[T]:
    """The rows of statement `name`, one at a time, each a `kind`. Raises Damaged."""
    with closing(connection.execute(SQL[name], parameters)) as cursor:
        arranged = _arrangement(cursor, kind)
        for row in cursor:
            yield checked(row if arranged is None else arranged(row), kind)


def _arrangement(cursor: sqlite3.Cursor, kind: Any) -> Callable[[Sequence[object]], object] | None:
    """A function that arranges a row of `cursor` by name for `kind`; None when rows stay as they are."""
    if get_origin(kind) is tuple:
        return None
    return _arranged(tuple([column[0] for column in cursor.description or ()]), kind)


@cache
def _arranged(columns: tuple[str, ...], kind: Any) -> Callable[[Sequence[object]], object] | None:
    if issubclass(kind, msgspec.Struct) and not kind.__struct_config__.array_like:
        return lambda row: dict(zip(columns, row, strict=True))
    fields = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields
    return None if columns == tuple(fields) else itemgetter(*map(columns.index, fields))


def checked(found: object, kind: type[T]) -> T:
    """`found` as a `kind`. Raises Damaged when a damaged file holds something else."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise Damaged(str(error)) from error


def all_rows(connection: sqlite3.Connection, name: str, parameters: Parameters, *, kind: type[T]) -> list[T]:
    """All rows of statement `name`: also what a writing statement with RETURNING needs to be complete."""
    cursor = connection.execute(SQL[name], parameters)
    found = cursor.fetchall()
    arranged = _arrangement(cursor, kind) if found else None
    cursor.close()
    whole = found if arranged is None else [*map(arranged, found)]
    if len(whole) > FEW:
        return checked(whole, list[kind])  # type: ignore[valid-type]  # a type that is made here
    return [checked(row, kind) for row in whole]


def row(connection: sqlite3.Connection, name: str, parameters: Parameters, *, kind: type[T]) -> T | None:
    """The only row of statement `name`, or None."""
    found = all_rows(connection, name, parameters, kind=kind)
    return found[0] if found else None


def affected(connection: sqlite3.Connection, name: str, parameters: Parameters) -> int:
    """Run a writing statement; returns how many rows it changed."""
    return connection.execute(SQL[name], parameters).rowcount


def json_array(values: Collection[object]) -> str:
    """`values` as one parameter, for `json_each`."""
    return msgspec.json.encode(values).decode()
