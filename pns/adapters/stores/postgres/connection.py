"""Connections to a PostgreSQL database: a bounded number, made on demand, and made anew after a loss.

Every use has a deadline. After a missed deadline, a broken line or a cancelled caller the connection is
thrown away at once. PNS neither closes such a connection politely nor asks the server to cancel: a frozen
server would not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pns.adapters.stores.postgres.errors import ENGINE_ERRORS, lost, unavailable
from pns.adapters.stores.postgres.rows import Session, affected
from pns.errors import PNSError, StoreUnavailable
from pns.runtime.postgres import connect as connect_to
from pns.runtime.postgres import require_utf8
from pns.settings.postgres_url import postgres

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a use of a connection may take, waiting and connecting included."""


async def connect(
    url: str, *, patience: float, within: float | None = None, any_encoding: bool = False
) -> Any:
    """A connection to a writable server, ready for statements of up to `patience` seconds.

    Connecting takes at most `within` seconds, by default `patience`. Raises the engine's errors, for a
    database that is not UTF-8 too, unless `any_encoding` will do.
    """
    within = patience if within is None else within
    deadline = asyncio.get_running_loop().time() + within
    connection = await connect_to(postgres(url).arguments, timeout=within)
    try:
        if not any_encoding:
            require_utf8(connection)
        prepare = affected(connection, "prepare_session", {"milliseconds": str(round(patience * 1_000))})
        await _until(deadline, prepare, connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


class PostgresConnections:
    """Runs functions on connections of its own, at most `most` at the same time; others wait their turn."""

    def __init__(
        self, url: str, *, most: int, patience: float = PATIENCE_SECONDS, any_encoding: bool = False
    ) -> None:
        self._url = url
        self._any_encoding = any_encoding
        self._most = most
        self._patience = patience
        self._turns = asyncio.Semaphore(most)
        self._idle: list[Any] = []
        self._wanted = False

    async def open(self) -> None:
        """Connect now. Raises StoreUnavailable."""
        self._wanted = True
        self._turns = asyncio.Semaphore(self._most)  # belongs to this event loop
        await self.run(_nothing)

    async def close(self) -> None:
        """Release everything, without waiting for the server. Safe to call twice, and before `open`."""
        self._wanted = False
        self._discard_idle()

    async def run(self, function: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """The result of `function` for a connection without another user meanwhile.

        A cancelled caller or the deadline stops `function`. Raises the errors of `function`, the engine's
        errors as StoreUnavailable.
        """
        if not self._wanted:
            raise StoreUnavailable("The store is not open.")
        deadline = asyncio.get_running_loop().time() + self._patience
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
            try:
                return await self._use(function, deadline)
            finally:
                self._turns.release()
        except ENGINE_ERRORS as error:
            raise unavailable(error) from error

    async def _use(self, function: Callable[[Session], Coroutine[Any, Any, T]], deadline: float) -> T:
        connection = await self._take(deadline)
        kept = False
        try:
            result = await _until(deadline, function(connection), connection)
            kept = True
            return result
        except PNSError:
            kept = True
            raise
        except ENGINE_ERRORS as error:
            kept = not lost(error)
            if not kept:
                self._discard_idle()  # what ended this one has ended the others
            raise
        finally:
            self._leave(connection, kept=kept)

    async def _take(self, deadline: float) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        left = max(0.001, deadline - asyncio.get_running_loop().time())
        return await connect(self._url, patience=self._patience, within=left, any_encoding=self._any_encoding)

    def _leave(self, connection: Any, *, kept: bool) -> None:
        if kept and self._wanted and not connection.is_closed() and not connection.is_in_transaction():
            self._idle.append(connection)
        else:
            connection.terminate()

    def _discard_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()


async def _until(deadline: float, work: Coroutine[Any, Any, T], connection: Any) -> T:
    """The result of `work` on `connection`. A late or cancelled `work` ends with the connection."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=deadline - asyncio.get_running_loop().time())
    finally:
        task.add_done_callback(_seen)  # also where the caller left at the very moment of its end
        if not task.done():
            connection.terminate()
    if task.done():
        return task.result()
    await asyncio.wait([task])
    error = task.exception()
    raise error if isinstance(error, PNSError) else TimeoutError


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


async def _nothing(session: Session) -> None:
    return None
