"""The news of new rows from PostgreSQL: LISTEN on a connection of its own, made as the engine makes its own.

An insert by `pns.transactional` notifies in the same statement, and PostgreSQL passes the word on at the
commit. A forwarder that cannot listen finds the rows by looking: other databases, drivers, a pooler between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from pns.runtime.one_line import printable

log = logging.getLogger(__name__)

CHANNEL = "pns_outgoing"
LISTEN = "LISTEN pns_outgoing"
_KEEPS_LOOKING = "LISTEN is not to be had (%s): the forwarder looks for new rows each second"


class Ear(Protocol):
    """A connection that listens."""

    @property
    def is_deaf(self) -> bool:
        """Whether the connection has ended."""

    async def close(self) -> None: ...


class _Opened(Ear, Protocol):
    async def open(self) -> None: ...

    def errors(self) -> tuple[type[Exception], ...]: ...


async def listen(engine: Engine | AsyncEngine, heard: Callable[[], None]) -> Ear | None:
    """An ear that calls `heard` in the event loop for every word; None where no driver listens."""
    kind = _EARS.get((engine.dialect.name, engine.dialect.driver, isinstance(engine, AsyncEngine)))
    if kind is None:
        return None
    ear: _Opened = kind(engine, heard)
    troubles: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, TimeoutError, *ear.errors())
    try:
        await ear.open()
    except troubles as error:
        log.info(_KEEPS_LOOKING, printable(str(error), 200))
        await ear.close()
        return None
    return ear


class _AsyncpgEar:
    """Calls `heard` from the driver itself."""

    def __init__(self, engine: Any, heard: Callable[[], None]) -> None:
        self._engine, self._heard = engine, heard
        self._pooled: Any = None  # whatever is collected as garbage is closed
        self._driver: Any = None

    @property
    def is_deaf(self) -> bool:
        return self._driver is None or self._driver.is_closed()

    async def open(self) -> None:
        self._pooled = await self._engine.raw_connection()
        self._driver = self._pooled.driver_connection
        self._pooled.detach()
        await self._driver.add_listener(CHANNEL, self._take)

    async def close(self) -> None:
        if self._driver is not None:
            self._driver.terminate()

    @staticmethod
    def errors() -> tuple[type[Exception], ...]:
        import asyncpg

        return asyncpg.PostgresError, asyncpg.InterfaceError

    def _take(self, connection: object, pid: int, channel: str, text: str) -> None:
        self._heard()


class _PsycopgEar:
    """Waits for the socket of a synchronous connection, which nothing else uses."""

    def __init__(self, engine: Any, heard: Callable[[], None]) -> None:
        self._engine, self._heard = engine, heard
        self._pooled: Any = None  # whatever is collected as garbage is closed
        self._driver: Any = None
        self._loop = asyncio.get_running_loop()
        self.is_deaf = True

    async def open(self) -> None:
        await asyncio.to_thread(self._connect)
        self._loop.add_reader(self._driver.fileno(), self._read)
        self.is_deaf = False

    async def close(self) -> None:
        if self._driver is not None:
            self._stop_reading()
            self._driver.close()

    @staticmethod
    def errors() -> tuple[type[Exception], ...]:
        import psycopg

        return (psycopg.Error,)

    def _connect(self) -> None:
        self._pooled = self._engine.raw_connection()
        self._driver = self._pooled.driver_connection
        self._pooled.detach()
        self._driver.rollback()
        self._driver.autocommit = True
        self._driver.execute(LISTEN)

    def _read(self) -> None:
        """Take what has come. The socket is readable, so nothing here waits."""
        try:
            for _ in self._driver.notifies(timeout=0):
                pass
        except self.errors():
            self._stop_reading()
        self._heard()

    def _stop_reading(self) -> None:
        if not self.is_deaf:
            self.is_deaf = True
            with suppress(ValueError, OSError):
                self._loop.remove_reader(self._driver.fileno())


class _AsyncPsycopgEar:
    """Waits for the next word of an asynchronous connection in a task."""

    def __init__(self, engine: Any, heard: Callable[[], None]) -> None:
        self._engine, self._heard = engine, heard
        self._pooled: Any = None  # whatever is collected as garbage is closed
        self._driver: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_deaf(self) -> bool:
        return self._task is None or self._task.done()

    async def open(self) -> None:
        self._pooled = await self._engine.raw_connection()
        self._driver = self._pooled.driver_connection
        self._pooled.detach()
        await self._driver.rollback()
        await self._driver.set_autocommit(True)
        await self._driver.execute(LISTEN)
        self._task = asyncio.create_task(self._read(), name="pns outgoing ear")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._driver is not None:
            await self._driver.close()

    @staticmethod
    def errors() -> tuple[type[Exception], ...]:
        return _PsycopgEar.errors()

    async def _read(self) -> None:
        with suppress(*self.errors()):
            async for _ in self._driver.notifies():
                self._heard()


_EARS: dict[tuple[str, str, bool], Callable[[Any, Callable[[], None]], _Opened]] = {
    ("postgresql", "asyncpg", True): _AsyncpgEar,
    ("postgresql", "psycopg", False): _PsycopgEar,
    ("postgresql", "psycopg", True): _AsyncPsycopgEar,
}
