"""A SQLite file as rows: the Archive contract of pns/contracts/archive.py. Statements stand in archive.sql.

Reads and writes through one connection, in the connection's thread. Never makes or changes a file without
being asked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pns.adapters.stores.schema import require
from pns.adapters.stores.sqlite.connection import SQLiteConnection
from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.rows import checked
from pns.adapters.stores.statements import load
from pns.contracts.archive import TABLES, Counts, Key, Mark, Numbers, Row, Table
from pns.errors import PNSError, SettingsError, StoreUnavailable

T = TypeVar("T")
SQL = load("sqlite/archive.sql", lists={table.name: table.columns for table in TABLES})

READ_ROWS = 2_000
READ_BYTES = 4 * 2**20


class SQLiteArchive:
    """See pns.contracts.archive.Archive."""

    emptying = "name another file as --to, or remove this one with its -wal and -shm"

    def __init__(self, path: str) -> None:
        if path in ("", ":memory:"):
            raise SettingsError("PNS keeps notifications in a file: name one, as in sqlite:///pns.db.")
        self._path = Path(path)
        self.place = str(self._path.resolve())
        self._connection = SQLiteConnection(self._path, [])

    async def open(self, *, make: bool = False) -> None:
        if make:
            await asyncio.to_thread(migrate, self._path)
        elif not self._path.is_file():
            raise StoreUnavailable(f"{self.place}: there is no such file.")
        try:
            await self._connection.open()
        except StoreUnavailable as error:
            raise self._with_place(error) from error
        version, oldest_code = await self._row("schema")
        require(version, oldest_code, self.place)

    async def close(self) -> None:
        await self._connection.close()

    async def living(self, now: int) -> int:
        return (await self._row("living", now))[0]

    async def empty(self) -> bool:
        return not await self._rows("any_row")

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    async def read(self, table: Table, after: Key) -> Sequence[Row]:
        def some(connection: sqlite3.Connection) -> list[Row]:
            with closing(connection.execute(SQL[f"read_{table.name}"], after)) as cursor:
                return [checked(row, table.row) for row in _some(cursor)]

        return await self._run(some)

    async def count(self, table: Table) -> int:
        return (await self._row(f"count_{table.name}"))[0]

    async def counts(self) -> Counts:
        return Counts(*await self._row("counts"))

    async def numbers(self) -> Numbers:
        return Numbers(*await self._row("numbers"))

    async def secrets(self) -> dict[str, str]:
        return dict(await self._rows("secrets"))

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    async def mark(self) -> Mark | None:
        found = await self._rows("read_mark")
        return msgspec.json.decode(found[0][0], type=Mark) if found else None

    async def begin(self, mark: Mark, numbers: Numbers, secrets: dict[str, str]) -> None:
        def set_out(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["forget_numbers"])
            connection.execute(SQL["write_numbers"], numbers)
            connection.executemany(SQL["write_meta"], secrets.items())
            _write_mark(connection, mark)

        await self._commit(set_out)

    async def write(self, table: Table, rows: Sequence[Row], mark: Mark) -> None:
        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(SQL[f"write_{table.name}"], rows)
            _write_mark(connection, mark)

        await self._commit(add)

    async def end(self) -> None:
        def complete(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["forget_erased"])
            connection.execute(SQL["delete_mark"])

        await self._commit(complete)

    # ── the ways in ───────────────────────────────────────────────────────────────────────────────────

    async def _commit(self, work: Callable[[sqlite3.Connection], object]) -> None:
        def transact(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["begin"])
            with connection:  # commits, or rolls back
                work(connection)

        await self._run(transact)

    async def _rows(self, name: str, *parameters: object) -> list[Any]:
        return await self._run(lambda connection: connection.execute(SQL[name], parameters).fetchall())

    async def _row(self, name: str, *parameters: object) -> tuple[int, ...]:
        def numbers(connection: sqlite3.Connection) -> tuple[int, ...]:
            return checked(connection.execute(SQL[name], parameters).fetchone(), tuple[int, ...])

        return await self._run(numbers)

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._connection.run(function)
        except StoreUnavailable as error:
            raise self._with_place(error) from error

    def _with_place(self, error: PNSError) -> StoreUnavailable:
        return StoreUnavailable(f"{self.place}: {error}")


def _some(cursor: sqlite3.Cursor) -> list[Sequence[object]]:
    """As many rows as one commit should take."""
    found: list[Sequence[object]] = []
    size = 0
    for row in cursor:
        found.append(row)
        size += sum(len(text) for text in row if isinstance(text, str))
        if len(found) == READ_ROWS or size >= READ_BYTES:
            break
    return found


def _write_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    connection.execute(SQL["write_meta"], ("copy", msgspec.json.encode(mark).decode()))
