"""The Categories contract of pns/contracts/categories.py on a SQLite store's own connections.

Statements stand in preferences.sql. Every function below the class runs in a connection's thread, and a
writing function inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.group_commit import REMOVED_AT_ONCE
from pns.adapters.stores.preferences import (
    CategoryRow,
    PreferenceRow,
    TurnedOff,
    columns_of,
    off_of,
    pairs_of,
    rows_of,
)
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.outbox_writes import known_user
from pns.adapters.stores.sqlite.rows import affected, all_rows, json_array, row
from pns.model.category import MAX_CATEGORIES, Category, Choices, Preference, refusal_of


class SQLiteCategories:
    """See pns.contracts.categories.Categories."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def declare(self, category: Category) -> bool:
        return await self._write(partial(_declare, category=category))

    async def remove(self, category: str) -> None:
        step = partial(_remove, category=category, limit=REMOVED_AT_ONCE)
        while not await self._write(step):
            continue

    async def declared(self) -> Sequence[Category]:
        return await self._read(_declared)

    async def preferences(self, user_id: str) -> Sequence[Preference]:
        return await self._read(partial(_preferences, user_id=user_id))

    async def choose(self, user_id: str, choices: Choices, *, make: bool = True) -> None:
        await self._write(partial(_choose, user_id=user_id, choices=choices, make=make))


def turned_off(connection: sqlite3.Connection, wanted: Sequence[Draft]) -> TurnedOff:
    """What users turned off in the categories of `wanted`."""
    pairs = pairs_of(wanted)
    if not pairs:
        return TurnedOff({}, {})
    asked = {"pairs": json_array(pairs)}
    found = all_rows(connection, "turned_off", asked, kind=tuple[str, str, int, int])
    return TurnedOff(
        off_of((user_id, category) for user_id, category, inbox, _ in found if not inbox),
        off_of((user_id, category) for user_id, category, _, webhook in found if not webhook),
    )


def _declare(connection: sqlite3.Connection, category: Category) -> bool:
    columns = columns_of(category)
    if all_rows(connection, "others", columns, kind=tuple[int])[0][0] >= MAX_CATEGORIES:
        return False
    affected(connection, "declare", columns)
    return True


def _remove(connection: sqlite3.Connection, category: str, *, limit: int) -> bool:
    """Whether the category is gone; if not, call again."""
    old = {"category": category, "limit": limit}
    if affected(connection, "forget_choices", old) == limit:
        return False
    affected(connection, "remove_category", old)
    return True


def _declared(connection: sqlite3.Connection) -> list[Category]:
    return [found.value for found in all_rows(connection, "categories", {}, kind=CategoryRow)]


def _preferences(connection: sqlite3.Connection, user_id: str) -> list[Preference]:
    found = all_rows(connection, "preferences", {"user_id": user_id}, kind=PreferenceRow)
    return [each.preference for each in found]


def _choose(connection: sqlite3.Connection, user_id: str, choices: Choices, *, make: bool) -> None:
    refusal = refusal_of(choices, _declared(connection))
    if refusal is not None:
        raise refusal
    chosen = rows_of(choices)
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    if not chosen or (user is None and not make):
        return
    user_key = known_user(connection, user_id) if user is None else user[0]
    for choice in chosen:
        affected(connection, "choose", {"user_key": user_key, **choice})
    affected(connection, "count_choice", {"user_key": user_key})
