"""The Categories contract of pns/contracts/categories.py on a PostgreSQL store's own connections.

Statements stand in preferences.sql. Of the functions below the class, the writing functions run inside the
writer's transaction, after the locks of their Write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.group_commit import REMOVED_AT_ONCE
from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    rows,
    safe_id,
    single_column,
    single_value,
    tuples,
)
from pns.adapters.stores.postgres.writes import Found, Name, Write
from pns.adapters.stores.preferences import (
    CategoryRow,
    Off,
    PreferenceRow,
    columns_of,
    off_of,
    pairs_of,
    rows_of,
)
from pns.model.category import MAX_CATEGORIES, Category, Choices, Preference, Refusal, refusal_of

_CATEGORIES = Name("categories")


class PostgresCategories:
    """See pns.contracts.categories.Categories."""

    def __init__(self, read: Reading, write: Committing) -> None:
        self._read = read
        self._write = write

    async def declare(self, category: Category) -> bool:
        return await self._write(Write(partial(_declare, category=category), names=(_CATEGORIES,)))

    async def remove(self, category: str) -> None:
        step = Write(
            partial(_remove, category=category, limit=REMOVED_AT_ONCE),
            names=(_CATEGORIES,),
            find=partial(_some_choosers, category=category, limit=REMOVED_AT_ONCE),
        )
        while not await self._write(step):
            continue

    async def declared(self) -> Sequence[Category]:
        return await self._read(_declared)

    async def preferences(self, user_id: str) -> Sequence[Preference]:
        return await self._read(partial(_preferences, user_id=user_id))

    async def choose(self, user_id: str, choices: Choices, *, make: bool = True) -> None:
        # Checked before, too: what is refused then makes no user.
        refusal = refusal_of(choices, await self.declared())
        if refusal is not None:
            raise refusal
        if not rows_of(choices):
            return
        choose: Write[Refusal | None] = Write(
            partial(_choose, user_id=user_id, choices=choices),
            user_ids=(user_id,),
            makes=(user_id,) if make else (),
            names=(_CATEGORIES._replace(shared=True),),
        )
        await self._write(choose)


class Foresight:
    """Whether the next appends ask for preferences before they are decided.

    Asking costs a round trip, and mostly nothing is turned off. An append that did not ask is refused by its
    own statement where something is turned off. The refused append asks, and so do the ASKED next batches.
    """

    ASKED = 100

    def __init__(self) -> None:
        self._left = 0

    @property
    def asks(self) -> bool:
        return self._left > 0

    def note_stored(self) -> None:
        """A batch was stored."""
        self._left = max(self._left - 1, 0)

    def note_refused(self) -> None:
        """A batch was refused, perhaps for a preference."""
        self._left = self.ASKED


class Decided(NamedTuple):
    """What was known of preferences when an append was decided: categories without inbox, and the number of
    choices of each user whose choices matter. `asked`: whether anything was known.
    """

    off: Off
    choices: dict[str, int]
    asked: bool = True


async def turned_off(session: Session, wanted: Sequence[Draft]) -> Decided:
    """What the append of `wanted` must know of preferences."""
    pairs = pairs_of(wanted)
    if not pairs:
        return Decided({}, {})
    user_ids, categories = zip(*pairs, strict=True)
    found = await tuples(session, "turned_off", {"user_ids": user_ids, "categories": categories})
    off = off_of((user_id, category) for user_id, category, _, is_off in found if is_off)
    return Decided(off, {user_id: choices for user_id, _, choices, _ in found})


async def _declare(session: Session, *, category: Category) -> bool:
    columns = columns_of(category)
    if (await single_column(session, "others", columns))[0] >= MAX_CATEGORIES:
        return False
    await affected(session, "declare", columns)
    return True


async def _some_choosers(session: Session, *, category: str, limit: int) -> Found:
    return await tuples(session, "some_choosers", {"category": safe_id(category), "limit": limit})


async def _remove(session: Session, found: Found, *, category: str, limit: int) -> bool:
    """Whether the category is gone; if not, call again."""
    where = {"category": safe_id(category)}
    if len(found) < limit:
        await affected(session, "remove_category", where)
        return True
    await affected(session, "forget_choices", {**where, "user_keys": [key for (key,) in found]})
    return False


async def _declared(session: Session) -> list[Category]:
    return [found.value for found in await rows(session, "categories", {}, kind=CategoryRow)]


async def _preferences(session: Session, *, user_id: str) -> list[Preference]:
    found = await rows(session, "preferences", {"user_id": safe_id(user_id)}, kind=PreferenceRow)
    return [each.preference for each in found]


async def _choose(session: Session, *, user_id: str, choices: Choices) -> Refusal | None:
    """The refusal is returned: an exception would undo the whole batch."""
    refusal = refusal_of(choices, await _declared(session))
    if refusal is not None:
        return refusal
    user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if user_key is not None:
        for choice in rows_of(choices):
            await affected(session, "choose", {"user_key": user_key, **choice})
        await affected(session, "count_choice", {"user_key": user_key})
    return None
