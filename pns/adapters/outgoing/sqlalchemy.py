"""The Outgoing contract for the engine of an application, synchronous or not: PostgreSQL, MySQL, MariaDB and
SQLite.

On SQLite, one forwarder works and the others wait for its end. Elsewhere, several share the rows by the rows'
locks. An engine of the application's stays the application's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from pns.adapters.outgoing import table
from pns.adapters.outgoing.alone import Alone
from pns.adapters.outgoing.lines import AsyncLine, Line, SyncLine, nothing
from pns.adapters.outgoing.listening import Ear, listen
from pns.contracts.outgoing import Backlog, Refusal, Row
from pns.errors import SchemaError, SettingsError, Unavailable
from pns.runtime.clock import Clock

WROTE = "pns_outgoing"
"""The mark that `notify` leaves in the `info` of a connection."""
LISTEN_SECONDS = 10.0
"""From one attempt to listen to the next."""
_NO_TABLE = (
    "the application's database has no table pns_outgoing: make the table with the statement in "
    "docs/transactions.md, or with `pns.transactional.sqlalchemy.outgoing.create(engine)`"
)

_IN_MEMORY = (
    "notifications are not taken from SQLite in memory, because its one connection is in the application's "
    "own transactions: keep the database in a file, in tests too, such as sqlite:///app.db"
)


class SQLAlchemyOutgoing:
    """Raises SettingsError for another database, where several forwarders would send twice."""

    def __init__(self, engine: Engine | AsyncEngine, *, clock: Clock, owned: bool = False) -> None:
        """`owned`: the engine is for the forwarder alone, and is disposed of at the end."""
        name = engine.dialect.name
        if name not in (*table.LOCKING, "sqlite"):
            raise SettingsError(
                f"notifications are taken from PostgreSQL, MySQL, MariaDB or SQLite, not {name}"
            )
        self._engine = engine
        self._clock = clock
        self._owned = owned
        self._line: Line = AsyncLine(engine) if isinstance(engine, AsyncEngine) else SyncLine(engine)
        self._alone = _alone(engine)
        self._ear: Ear | None = None
        self._listen_at = 0.0
        self._nudge: Callable[[], None] | None = None
        self._checkin: Callable[[Any, Any], None] | None = None

    async def open(self, nudge: Callable[[], None]) -> None:
        if not await self._line.run(table.has_table, keeps=nothing):
            raise SchemaError(_NO_TABLE)
        self._nudge = nudge
        self._hear_commits(nudge)
        await self._listen()

    async def close(self) -> None:
        if self._checkin is not None:
            event.remove(self._pooled, "checkin", self._checkin)
            self._checkin = None
        await self._stop_listening()
        await self._line.close()
        if self._alone is not None:
            self._alone.give_back()
        if self._owned and isinstance(self._engine, AsyncEngine):
            await self._engine.dispose()
        elif self._owned:
            self._pooled.dispose()

    async def claim(self, most: int) -> Sequence[Row]:
        await self._listen()
        if not self._has_the_right():
            return ()
        return await self._line.run(partial(table.claim, most=most), keeps=bool)

    async def settle(self, taken: Collection[Row], refused: Collection[Refusal]) -> None:
        if taken or refused:
            await self._line.run(partial(table.settle, taken=taken, refused=refused), keeps=nothing)
        else:
            await self._line.release()

    async def backlog(self) -> Backlog:
        return await self._line.run(partial(table.backlog, now=self._clock.now()), keeps=nothing)

    def _has_the_right(self) -> bool:
        try:
            return self._alone is None or self._alone.take()
        except sqlite3.Error as error:
            raise Unavailable(f"the application's database: beside its file, {error}") from error

    # ── news ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _pooled(self) -> Engine:
        return self._engine.sync_engine if isinstance(self._engine, AsyncEngine) else self._engine

    def _hear_commits(self, nudge: Callable[[], None]) -> None:
        """Nudge when a connection comes back with the mark of `notify`: its transaction is over then.

        SQLAlchemy tells of a commit before the commit, so that event would come too early.
        """
        loop = asyncio.get_running_loop()

        def checkin(connection: Any, record: Any) -> None:
            if record.info.pop(WROTE, False) and not loop.is_closed():
                loop.call_soon_threadsafe(nudge)

        event.listen(self._pooled, "checkin", checkin)
        self._checkin = checkin

    async def _listen(self) -> None:
        if self._ear is not None and not self._ear.is_deaf:
            return
        now = self._clock.monotonic()
        if self._nudge is not None and now >= self._listen_at:
            self._listen_at = now + LISTEN_SECONDS
            await self._stop_listening()
            self._ear = await listen(self._engine, self._nudge)

    async def _stop_listening(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()


def _alone(engine: Engine | AsyncEngine) -> Alone | None:
    """The claim on a SQLite file. Raises SettingsError for a database in memory."""
    if engine.dialect.name != "sqlite":
        return None
    database = engine.url.database or ""
    path = database.removeprefix("file:").partition("?")[0]
    if path in ("", ":memory:") or "mode=memory" in database or engine.url.query.get("mode") == "memory":
        raise SettingsError(_IN_MEMORY)
    return Alone(path)
