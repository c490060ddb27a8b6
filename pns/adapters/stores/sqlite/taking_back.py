"""Taking publications back on SQLite: steps over the users who have some of one, unseen.

Every function runs in a connection's thread, and a writing function inside the writer's transaction. The
statements stand in audiences.sql.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping

from pns.adapters.stores.groups import GroupOf
from pns.adapters.stores.publications import (
    Item,
    LookedAt,
    items_of,
    step_back_of,
    stretch_of,
    users_at_once,
)
from pns.adapters.stores.sqlite.groups import leave, take_out_of_pending
from pns.adapters.stores.sqlite.notes import note_taken_back
from pns.adapters.stores.sqlite.rows import affected, all_rows, json_array
from pns.adapters.stores.sqlite.writes import lower, take_back
from pns.contracts.audiences import Publication, Stretch, TakenBack


def holders(connection: sqlite3.Connection, publication: Publication, *, limit: int) -> Stretch:
    """See Audiences.holders."""
    items = items_of(publication)
    looked = users_at_once(items, limit)
    where = {
        "ids": json_array([item.notification_id for item in items]),
        "grouped_ids": json_array([item.notification_id for item in items if item.member is not None]),
        "after": publication.after,
        "limit": looked,
    }
    found = all_rows(connection, "holders", where, kind=LookedAt)
    return stretch_of(found, limit, after=publication.after, looked=looked)


def take_from(
    connection: sqlite3.Connection, publication: Publication, stretch: Stretch, *, now: int, noting: bool
) -> TakenBack | None:
    """See Audiences.take_from. `noting`: timelines are kept."""
    if not affected(connection, "advance_taking_back", step_back_of(publication, stretch, now)):
        return None
    removed: Counter[int] = Counter()
    left: Counter[int] = Counter()
    waited: Counter[str] = Counter()
    for item in items_of(publication):
        where = {**item._asdict(), "digest": item.digest, "user_keys": _keys(stretch)}
        if noting:
            note_taken_back(connection, where, now=now)
        removed.update(key for (key,) in all_rows(connection, "take_item_back", where, kind=tuple[int]))
        left.update(_take_out(connection, item, where, noted_at=now if noting else None))
        waited.update(_take_waiting(connection, item, where, noted_at=now if noting else None))
    for user_key, count in removed.items():
        lower(connection, user_key, count)
    keys = {user.user_id: user.user_key for user in stretch.users}
    taken = removed + left + Counter(keys[user_id] for user_id in waited.elements())
    users = {"publication_id": publication.publication_id, "users": len(taken)}
    affected(connection, "count_taken_back", users)
    return TakenBack(
        taken.total(), frozenset(user.user_id for user in stretch.users if user.user_key in taken)
    )


def _keys(stretch: Stretch) -> str:
    return json_array([user.user_key for user in stretch.users])


def _take_out(
    connection: sqlite3.Connection, item: Item, where: Mapping[str, object], *, noted_at: int | None
) -> list[int]:
    """The users from whose groups `item` was taken out."""
    if item.member is None:
        return []
    found = all_rows(connection, "groups_with_item", where, kind=GroupOf)
    return [group.user_key for group in found if leave(connection, group, item.member, noted_at=noted_at)]


def _take_waiting(
    connection: sqlite3.Connection, item: Item, where: Mapping[str, object], *, noted_at: int | None
) -> list[str]:
    """The users for whom `item` waited, alone or in a snoozed group."""
    alone = all_rows(connection, "waiting_with_item", where, kind=tuple[str])
    id = item.notification_id
    taken = [user for (user,) in alone if take_back(connection, user, id, noted_at=noted_at)]
    if (member := item.member) is not None:
        for (user,) in all_rows(connection, "snoozed_groups_with_item", where, kind=tuple[str]):
            if take_out_of_pending(connection, user, id, member=member, noted_at=noted_at):
                taken.append(user)
    return taken
