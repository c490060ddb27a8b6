"""The Acts contract of pns/contracts/acts.py on a SQLite store's own connections. Statements: acts.sql."""

from __future__ import annotations

from collections.abc import Sequence

from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import affected, all_rows
from pns.contracts.acts import LAST, Act
from pns.contracts.audiences import EVERYBODY


class SQLiteActs:
    """See pns.contracts.acts.Acts."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def add(self, act: Act) -> None:
        await self._write(lambda connection: affected(connection, "note_act", act._asdict()))

    async def page(self, before: str, limit: int) -> Sequence[Act]:
        where = {"before": before or LAST, "limit": limit}
        return await self._read(lambda connection: all_rows(connection, "acts", where, kind=Act))

    async def audience_size(self, audience: str, limit: int) -> int:
        name = "some_users" if audience == EVERYBODY else "some_subscribers_of"
        where = {"audience": audience, "limit": limit}
        if audience == EVERYBODY:
            del where["audience"]
        found = await self._read(lambda connection: all_rows(connection, name, where, kind=tuple[int]))
        return found[0][0]
