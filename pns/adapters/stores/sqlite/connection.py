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
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import aiosqlite

from pns.adapters.stores.hops import Hops
from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS, FileMoved, lost, unavailable
from pns.adapters.stores.sqlite.rows import SQL
from pns.errors import StoreUnavailable
from pns.runtime.watched_files import WatchedFiles

T = TypeVar("T")

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
    `at_once`: so many functions share a hop to the thread; see ../hops.py. `looks`: whether each hop looks at
    the file first. A commit looks before its end, so the connection of commits looks once.
    """

    def __init__(
        self, path: Path, siblings: list[SQLiteConnection], *, at_once: int = 1, looks: bool = True
    ) -> None:
        self._path = path
        self._at_once = at_once
        self._look = self.check_file if looks else _nothing
        self._uri = f"file:{quote(str(path.absolute()))}?mode=rw"  # rw: never create
        self._siblings = siblings
        self._opening = asyncio.Lock()
        self._wanted = False
        self._connection: aiosqlite.Connection | None = None
        self._hops: Hops | None = None
        self._ended: asyncio.Future[Any] | None = None
        self._files: WatchedFiles | None = None
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
            connection, self._connection, self._hops = self._connection, None, None
            await self._until_ended()
            if connection is not None:
                await _stop_in_turn([_Opened(connection, self._files)])

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `function` for the raw connection, run in the connection's thread.

        `function` runs to its end even for a cancelled caller. Raises the errors of `function`, the engine's
        errors as StoreUnavailable. After a loss the next use opens the file again.
        """
        hops = self._hops or await self._open()
        try:
            return await hops.run(function)
        except ENGINE_ERRORS as error:
            if lost(error) and self._hops is hops:
                self._discard_all()
            raise unavailable(error) from error

    def check_file(self) -> None:
        """Raise FileMoved if another file is at the path now. Cheap; any thread may call."""
        if self._files is None or not self._files.in_place():
            raise FileMoved

    async def _open(self) -> Hops:
        async with self._opening:
            if not self._wanted:
                raise StoreUnavailable("The store is not open.")
            if self._hops is None:
                for sibling in self._siblings:
                    await sibling._until_ended()
                try:
                    self._connection = await self._connect()
                except ENGINE_ERRORS as error:
                    raise unavailable(error) from error
                self._hops = Hops(self._connection, at_once=self._at_once, check=self._look)
                self.generation += 1
            return self._hops

    async def _connect(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(
            self._uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256
        )
        try:
            await connection
        except BaseException:
            # aiosqlite lets its thread end by itself, and that must not tell a loop which is closed by then.
            self._ended = asyncio.get_running_loop().run_in_executor(None, connection._thread.join)
            await asyncio.wait([self._ended])
            raise
        try:
            self._files = await Hops(connection, check=_nothing).run(self._prepare)
        except BaseException:
            self._ended = connection.stop()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> WatchedFiles:
        connection.execute(SQL["schema"]).fetchall()  # first: a file that is not ours stays as it is
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
        connection.execute(SQL["schema"]).fetchall()  # of a file in another mode, makes the log
        real = os.path.realpath(self._path)  # SQLite follows links, and keeps the log beside the real file
        try:
            return WatchedFiles([str(self._path.absolute()), f"{real}-wal", f"{real}-shm"])
        except OSError as error:
            raise FileMoved from error

    def _discard_all(self) -> None:
        lost = [
            _Opened(sibling._connection, sibling._files)
            for sibling in self._siblings
            if sibling._connection is not None
        ]
        ending = asyncio.create_task(_stop_in_turn(lost), name="pns sqlite close")
        for sibling in self._siblings:
            sibling._connection = sibling._hops = None
            sibling._ended = ending

    async def _until_ended(self) -> None:
        if self._ended is not None:
            await asyncio.wait([self._ended])


class _Opened(NamedTuple):
    connection: aiosqlite.Connection
    files: WatchedFiles | None


async def _stop_in_turn(opened: Sequence[_Opened]) -> None:
    """Close each after what was asked of it before.

    One after the other: the last to close writes the log into the file, and of two that close at the same
    time each may take the other for the last.
    """
    for connection, files in opened:
        ended = connection.stop()
        if ended is not None:
            await asyncio.wait([ended])
        if files is not None:
            files.close()


def _nothing() -> None: ...
