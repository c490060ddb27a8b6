"""One connection to one SQLite file. A lost connection opens itself again.

Owns the pragmas, the thread (aiosqlite's) and the watch over the file: PNS notices a deleted or replaced file
before a write, and never makes the file anew. Knows no table but `schema`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiosqlite

from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS, FileMoved, lost, unavailable
from pns.adapters.stores.sqlite.rows import SQL
from pns.errors import StoreUnavailable

T = TypeVar("T")
Identity = tuple[tuple[int, int], ...]

BUSY_SECONDS = 5.0
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on disk when it returns; NORMAL would lose it with the power
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)


class SQLiteConnection:
    """Runs functions on a raw connection, in its own thread, one after the other.

    `siblings`: all connections to the file. A lost connection ends all, for they share the log and its index.
    """

    def __init__(self, path: Path, siblings: list[SQLiteConnection]) -> None:
        self._path = path
        self._uri = f"file:{quote(str(path.absolute()))}?mode=rw"  # rw: never create
        self._siblings = siblings
        self._opening = asyncio.Lock()
        self._wanted = False
        self._connection: aiosqlite.Connection | None = None
        self._ended: asyncio.Future[Any] | None = None
        self._identity: Identity = ()
        self.generation = 0
        """The number of openings."""
        siblings.append(self)

    async def open(self) -> None:
        """Connect now. Raises StoreUnavailable."""
        self._wanted = True
        await self.run(lambda connection: None)

    async def close(self) -> None:
        """Finish the running function and end the thread. Safe to call twice, and before `open`."""
        self._wanted = False
        async with self._opening:
            connection, self._connection = self._connection, None
            await self._until_ended()
            if connection is not None:
                await _stop_in_turn([connection])

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `function` for the raw connection, run in the connection's thread.

        `function` runs to its end even for a cancelled caller. Raises the errors of `function`, the engine's
        errors as StoreUnavailable. After a loss the next use opens the file again.
        """
        connection = self._connection or await self._open()

        def watched(raw: sqlite3.Connection) -> T:
            self.check_file()
            return function(raw)

        try:
            return await self._hop(connection, watched)
        except ENGINE_ERRORS as error:
            if lost(error) and self._connection is connection:
                self._discard_all()
            raise unavailable(error) from error

    def check_file(self) -> None:
        """Raise FileMoved if another file is at the path now. Cheap; any thread may call."""
        if _identity(self._path) != self._identity:
            raise FileMoved

    async def _open(self) -> aiosqlite.Connection:
        async with self._opening:
            if not self._wanted:
                raise StoreUnavailable("The store is not open.")
            if self._connection is None:
                for sibling in self._siblings:
                    await sibling._until_ended()
                try:
                    self._connection = await self._connect()
                except ENGINE_ERRORS as error:
                    raise unavailable(error) from error
                self.generation += 1
            return self._connection

    async def _connect(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(
            self._uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256
        )
        try:
            await connection
        except ENGINE_ERRORS:
            # aiosqlite lets its thread end by itself, and that must not tell a loop which is closed by then.
            await asyncio.to_thread(connection._thread.join)
            raise
        try:
            self._identity = await self._hop(connection, self._prepare)
        except BaseException:
            self._ended = connection.stop()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> Identity:
        connection.execute(SQL["schema"]).fetchall()  # first: a file that is not ours stays as it is
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
        identity = _identity(self._path)
        if not identity:
            raise FileMoved
        return identity

    def _discard_all(self) -> None:
        lost = [sibling._connection for sibling in self._siblings if sibling._connection is not None]
        ending = asyncio.create_task(_stop_in_turn(lost), name="pns sqlite close")
        for sibling in self._siblings:
            sibling._connection = None
            sibling._ended = ending

    async def _until_ended(self) -> None:
        if self._ended is not None:
            await asyncio.wait([self._ended])

    async def _hop(self, connection: aiosqlite.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
        """aiosqlite hops to its thread once a statement; a whole function in one hop goes in here.

        The one place that reaches into aiosqlite: `_execute` queues a function for its thread, and `_conn`
        is the sqlite3 connection that may only be used there.
        """
        run = connection._execute(function, connection._conn)  # type: ignore[no-untyped-call]
        return cast(T, await run)


async def _stop_in_turn(connections: Sequence[aiosqlite.Connection]) -> None:
    """Close each after what was asked of it before.

    One after the other: the last to close writes the log into the file, and of two that close at the same
    time each may take the other for the last.
    """
    for connection in connections:
        ended = connection.stop()
        if ended is not None:
            await asyncio.wait([ended])


def _identity(path: Path) -> Identity:
    try:
        files = [os.stat(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    except OSError:
        return ()
    return tuple((file.st_dev, file.st_ino) for file in files)
