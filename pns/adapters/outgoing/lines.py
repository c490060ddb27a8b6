"""The line of a forwarder to the application's database: a connection of the application's own engine.

A synchronous engine works in a thread of its own, because its calls block. An asynchronous engine works in
the event loop. Both raise Unavailable, with the driver's words, for every trouble of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pns.adapters.outgoing.table import LOCKING
from pns.errors import Unavailable
from pns.runtime.one_line import printable

T = TypeVar("T")


def nothing(result: object) -> bool:
    """What a work that is over keeps."""
    return False


CANCEL_SECONDS = 1.0
"""How long a cancelled call waits for its thread, which a silent database may hold for minutes."""
_ISOLATION = "READ COMMITTED"
"""MySQL's own default locks the gaps between rows, too: the application's inserts would wait for PNS."""


class Line(Protocol):
    """A connection that is made by the first `run` and given back by `release`. Calls never overlap."""

    async def run(self, work: Callable[[Connection], T], *, keeps: Callable[[T], object]) -> T:
        """The result of `work`. The connection is given back unless it `keeps(result)`. After an error, the
        connection is given back and its work is undone.
        """

    async def release(self) -> None:
        """Give the connection back. Whatever was not committed is undone."""

    async def close(self) -> None:
        """Nothing may follow."""


class SyncLine:
    """Over an Engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = _isolated(engine)
        self._connection: Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[Connection], T], *, keeps: Callable[[T], object]) -> T:
        return await self._in_thread(lambda: self._run(work, keeps))

    async def release(self) -> None:
        await self._in_thread(self._release)

    async def close(self) -> None:
        if self._thread is not None:
            await self._in_thread(self._release)
            self._thread.shutdown(wait=False)
            self._thread = None

    def _run(self, work: Callable[[Connection], T], keeps: Callable[[T], object]) -> T:
        """The connection is given back in the same turn of the thread: each turn waits for a core."""
        try:
            with _told():
                if self._connection is None:
                    self._connection = self._engine.connect()
                result = work(self._connection)
        except BaseException:
            self._release()
            raise
        if not keeps(result):
            self._release()
        return result

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with _told():
                connection.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="pns outgoing")
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The thread goes on all the same: its work is over before any other work begins.
            await asyncio.wait([future], timeout=CANCEL_SECONDS)
            raise


class AsyncLine:
    """Over an AsyncEngine of the running event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._isolated = _isolated_async(engine)
        self._connection: AsyncConnection | None = None

    async def run(self, work: Callable[[Connection], T], *, keeps: Callable[[T], object]) -> T:
        try:
            with _told():
                if self._connection is None:
                    self._connection = await self._isolated.connect()
                result = await self._connection.run_sync(work)
        except BaseException:
            await self.release()
            raise
        if not keeps(result):
            await self.release()
        return result

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with _told():
                await connection.close()

    async def close(self) -> None:
        await self.release()


def _isolated(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level=_ISOLATION) if engine.dialect.name in LOCKING else engine


def _isolated_async(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level=_ISOLATION) if engine.dialect.name in LOCKING else engine


@contextmanager
def _told() -> Iterator[None]:
    """Raise Unavailable for an error of the database or of its driver."""
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        told = printable(" ".join(str(cause).split()), 300) or type(cause).__name__
        raise Unavailable(f"the application's database: {told}") from error
