"""Taking publications back on PostgreSQL: steps over the users who have some of one, unseen.

A writing function runs inside the writer's transaction, after the locks of its Write. A step has a few
statements, and some more for each notification with a group, however many users it is about. The statements
stand in audiences.sql.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pns.adapters.stores.groups import GroupOf
from pns.adapters.stores.postgres.groups import leave, take_out_of_pending
from pns.adapters.stores.postgres.notes import note_taken_back
from pns.adapters.stores.postgres.rows import Session, affected, rows, single_column, tuples
from pns.adapters.stores.postgres.writes import take_back
from pns.adapters.stores.publications import (
    Item,
    LookedAt,
    items_of,
    step_back_of,
    stretch_of,
    users_at_once,
)
from pns.contracts.audiences import Publication, Stretch, TakenBack


async def holders(session: Session, publication: Publication, *, limit: int) -> Stretch:
    """See Audiences.holders."""
    items = items_of(publication)
    looked = users_at_once(items, limit)
    where = {
        "ids": [item.notification_id for item in items],
        "grouped_ids": [item.notification_id for item in items if item.member is not None],
        "after": publication.after,
        "limit": looked,
    }
    found = await rows(session, "holders", where, kind=LookedAt)
    return stretch_of(found, limit, after=publication.after, looked=looked)


async def take_from(
    session: Session, publication: Publication, stretch: Stretch, *, now: int, noting: bool
) -> TakenBack | None:
    """See Audiences.take_from. `noting`: timelines are kept."""
    if not await affected(session, "advance_taking_back", step_back_of(publication, stretch, now)):
        return None
    items, keys = items_of(publication), [user.user_key for user in stretch.users]
    noted_at = now if noting else None
    taken = await _take_items(session, items, keys, noted_at=noted_at)
    for item in items:
        if item.member is not None:
            taken.update(await _take_out(session, item, keys, noted_at=noted_at))
    waited = await _take_waiting(session, items, keys, noted_at=noted_at)
    by_id = {user.user_id: user.user_key for user in stretch.users}
    taken.update(by_id[user_id] for user_id in waited)
    users = {"publication_id": publication.publication_id, "users": len(taken)}
    await affected(session, "count_taken_back", users)
    return TakenBack(
        taken.total(), frozenset(user.user_id for user in stretch.users if user.user_key in taken)
    )


async def _take_items(
    session: Session, items: Sequence[Item], user_keys: Sequence[int], *, noted_at: int | None
) -> Counter[int]:
    """How many notifications each user lost."""
    ids, data, members = zip(*items, strict=True)
    where = {"notification_ids": ids, "data": data, "members": members, "user_keys": user_keys}
    if noted_at is not None:
        await note_taken_back(session, where, now=noted_at)
    removed = Counter(await single_column(session, "take_items_back", where))
    if removed:
        lowered = {"user_keys": [*removed], "counts": [*removed.values()]}
        await affected(session, "lower_unseen", lowered)
    return removed


async def _take_out(
    session: Session, item: Item, user_keys: Sequence[int], *, noted_at: int | None
) -> list[int]:
    """The users from whose groups `item` was taken out."""
    where = {"notification_id": item.notification_id, "digest": item.digest, "user_keys": user_keys}
    groups = await rows(session, "groups_with_item", where, kind=GroupOf)
    return [group.user_key for group in await leave(session, groups, item.member or "", noted_at=noted_at)]


async def _take_waiting(
    session: Session, items: Sequence[Item], user_keys: Sequence[int], *, noted_at: int | None
) -> list[str]:
    """The users for whom some of `items` waited, alone or in a snoozed group. Hardly anybody's does."""
    ids, data, members = zip(*items, strict=True)
    where = {"notification_ids": ids, "data": data, "members": members, "user_keys": user_keys}
    alone = await tuples(session, "waiting_with_items", where)
    taken = [user for user, id in alone if await take_back(session, user, id, noted_at=noted_at)]
    for item in items:
        if (member := item.member) is not None:
            of = {"notification_id": item.notification_id, "digest": item.digest, "user_keys": user_keys}
            for user in await single_column(session, "snoozed_groups_with_item", of):
                id = item.notification_id
                if await take_out_of_pending(session, user, id, member=member, noted_at=noted_at):
                    taken.append(user)
    return taken
