"""The Timeline contract of pns/contracts/timeline.py on a SQLite store's own connections.

Statements stand in timeline.sql. Writing the notes is the part of notes.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from pns.adapters.stores.sqlite.level import require_level
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import affected, all_rows, row
from pns.adapters.stores.timeline import PushFactsRow
from pns.contracts.timeline import Facts, Note, PushFacts


class SQLiteTimeline:
    """See pns.contracts.timeline.Timeline."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def user_key(self, user_id: str) -> int:
        return await self._read(partial(_user_key, user_id=user_id))

    async def facts(self, user_key: int, *, after: int, limit: int) -> Sequence[Facts]:
        where = {"user_key": user_key, "seq": after, "limit": limit}
        return await self._read(lambda connection: all_rows(connection, "facts", where, kind=Facts))

    async def pushes(self, user_key: int, *, after: tuple[str, int], limit: int) -> Sequence[PushFacts]:
        where = {"user_key": user_key, "notification_id": after[0], "push_key": after[1], "limit": limit}
        found = await self._read(
            lambda connection: all_rows(connection, "user_pushes", where, kind=PushFactsRow)
        )
        return [push.facts for push in found]

    async def notes(self, user_key: int, *, after: tuple[int, str, str], limit: int) -> Sequence[Note]:
        at, notification_id, what = after
        where = {"user_key": user_key, "at": at, "notification_id": notification_id, "what": what}
        return await self._read(
            lambda connection: all_rows(connection, "notes", {**where, "limit": limit}, kind=Note)
        )

    async def prune(self, *, noted_before: int, limit: int) -> int:
        old = {"noted_before": noted_before, "limit": limit}
        return await self._write(partial(_prune, old=old))


def _user_key(connection: sqlite3.Connection, user_id: str) -> int:
    require_level(connection, [user_id])
    found = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    return 0 if found is None else found[0]


def _prune(connection: sqlite3.Connection, old: dict[str, int]) -> int:
    return affected(connection, "prune_notes", old)
