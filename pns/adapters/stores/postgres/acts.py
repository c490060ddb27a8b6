"""The Acts contract of pns/contracts/acts.py on a PostgreSQL store's connections. Statements: acts.sql."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import Session, affected, rows, safe, safe_id, single_column
from pns.adapters.stores.postgres.writes import Write
from pns.contracts.acts import LAST, Act
from pns.contracts.audiences import EVERYBODY


class PostgresActs:
    """See pns.contracts.acts.Acts."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def add(self, act: Act) -> None:
        await self._write(Write(partial(_add, act=act)))

    async def page(self, before: str, limit: int) -> Sequence[Act]:
        where = {"before": safe_id(before) or LAST, "limit": limit}
        return await self._read(lambda session: rows(session, "acts", where, kind=Act))

    async def audience_size(self, audience: str, limit: int) -> int:
        name = "some_users" if audience == EVERYBODY else "some_subscribers_of"
        where = {"audience": safe_id(audience), "limit": limit}
        found: list[int] = await self._read(lambda session: single_column(session, name, where))
        return found[0]


async def _add(session: Session, *, act: Act) -> int:
    return await affected(session, "note_act", safe(act._asdict()))
