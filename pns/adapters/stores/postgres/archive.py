"""PNS's tables in a PostgreSQL database as rows: the Archive contract of pns/contracts/archive.py.

Statements stand in archive.sql. COPY writes the rows, for COPY is the fastest way in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from pns.adapters.stores.postgres.connection import PATIENCE_SECONDS as CONNECT_SECONDS
from pns.adapters.stores.postgres.connection import PostgresConnections
from pns.adapters.stores.postgres.errors import refusal
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.place import place_in
from pns.adapters.stores.schema import require
from pns.adapters.stores.statements import load
from pns.contracts.archive import TABLES, Counts, Key, Mark, Numbers, Row, Table
from pns.errors import StoreUnavailable

T = TypeVar("T")
SQL = load("postgres/archive.sql", lists={table.name: table.columns for table in TABLES})

PATIENCE_SECONDS = 600.0
"""How long one statement may take: counting a large table takes its time."""


class PostgresArchive:
    """See pns.contracts.archive.Archive."""

    emptying = "name another database as --to, or run DROP SCHEMA pns CASCADE in this one"

    def __init__(self, url: str) -> None:
        self._url = url
        self.place = place_in(url)
        self._connections = PostgresConnections(url, most=1, patience=PATIENCE_SECONDS, any_encoding=True)

    async def open(self, *, make: bool = False) -> None:
        if make:
            await asyncio.to_thread(migrate, self._url)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connections.open()
        except StoreUnavailable as error:
            raise self._with_place(error) from error
        except TimeoutError as error:
            raise refusal(error, self.place) from error
        version, oldest_code = await self._row("schema")
        require(version, oldest_code, self.place)

    async def close(self) -> None:
        await self._connections.close()

    async def living(self, now: int) -> int:
        return (await self._row("living", now))[0]

    async def empty(self) -> bool:
        return not await self._rows("any_row")

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    async def read(self, table: Table, after: Key) -> Sequence[Row]:
        return [table.row(**row) for row in await self._rows(f"read_{table.name}", *after)]

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
        async def set_out(connection: Any) -> None:
            keys = (numbers.user_key, numbers.push_key, numbers.announcement)
            await connection.fetch(SQL["write_keys"], *keys)
            meta = {**secrets, "newest revocation": str(numbers.revocation)}
            await connection.executemany(SQL["write_meta"], meta.items())
            await _write_mark(connection, mark)

        await self._commit(set_out)

    async def write(self, table: Table, rows: Sequence[Row], mark: Mark) -> None:
        async def add(connection: Any) -> None:
            await connection.copy_records_to_table(table.name, columns=table.row._fields, records=rows)
            await _write_mark(connection, mark)

        await self._commit(add)

    async def end(self) -> None:
        async def complete(connection: Any) -> None:
            await connection.execute(SQL["forget_erased"])
            await connection.execute(SQL["delete_mark"])

        await self._commit(complete)

    # ── the ways in ───────────────────────────────────────────────────────────────────────────────────

    async def _commit(self, work: Callable[[Any], Coroutine[Any, Any, object]]) -> None:
        async def transact(connection: Any) -> None:
            async with connection.transaction():
                await work(connection)

        await self._run(transact)

    async def _rows(self, name: str, *parameters: object) -> list[Any]:
        return await self._run(lambda connection: connection.fetch(SQL[name], *parameters))

    async def _row(self, name: str, *parameters: object) -> tuple[int, ...]:
        (found,) = await self._rows(name, *parameters)
        return tuple(found)

    async def _run(self, function: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        try:
            return await self._connections.run(function)
        except StoreUnavailable as error:
            raise self._with_place(error) from error

    def _with_place(self, error: StoreUnavailable) -> StoreUnavailable:
        return StoreUnavailable(f"{self.place}: {error.told}")


async def _write_mark(connection: Any, mark: Mark) -> None:
    await connection.execute(SQL["write_meta"], "copy", msgspec.json.encode(mark).decode())
