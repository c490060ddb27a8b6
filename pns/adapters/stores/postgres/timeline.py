"""The Timeline contract of pns/contracts/timeline.py on a PostgreSQL store's own connections.

Statements stand in timeline.sql. Writing the notes is the part of notes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pns.adapters.stores.postgres.level import require_level
from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import Session, affected, rows, safe_id, single_value
from pns.adapters.stores.postgres.writes import Write
from pns.adapters.stores.timeline import PushFactsRow
from pns.contracts.timeline import Facts, Note, PushFacts
from pns.model.timeline import What


class PostgresTimeline:
    """See pns.contracts.timeline.Timeline."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def user_key(self, user_id: str) -> int:
        return await self._read(partial(_user_key, user_id=user_id))

    async def facts(self, user_key: int, *, after: int, limit: int) -> Sequence[Facts]:
        where = {"user_key": user_key, "seq": after, "limit": limit}
        return await self._read(lambda session: rows(session, "facts", where, kind=Facts))

    async def pushes(self, user_key: int, *, after: tuple[str, int], limit: int) -> Sequence[PushFacts]:
        where = {
            "user_key": user_key,
            "notification_id": safe_id(after[0]),
            "push_key": after[1],
            "limit": limit,
        }
        found = await self._read(lambda session: rows(session, "user_pushes", where, kind=PushFactsRow))
        return [push.facts for push in found]

    async def notes(self, user_key: int, *, after: tuple[int, str, str], limit: int) -> Sequence[Note]:
        at, notification_id, what = after
        where = {"user_key": user_key, "at": at, "notification_id": safe_id(notification_id), "what": what}
        found = await self._read(lambda session: rows(session, "notes", {**where, "limit": limit}, kind=Note))
        return [each._replace(what=What(each.what)) for each in found]

    async def prune(self, *, noted_before: int, limit: int) -> int:
        old = {"noted_before": noted_before, "limit": limit}
        return await self._write(Write(partial(_prune, old=old), last=True))


async def _prune(session: Session, *, old: dict[str, int]) -> int:
    return await affected(session, "prune_notes", old)


async def _user_key(session: Session, user_id: str) -> int:
    await require_level(session, [user_id])
    found: int | None = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    return found or 0
