"""Members that are taken out of groups on SQLite. Groups grow in append.py, and writes.py prunes the ended.

Every function runs inside the writer's transaction, under its own savepoint.
"""

from __future__ import annotations

import sqlite3

from pns.adapters.stores.groups import GroupOf, without
from pns.adapters.stores.later import PendingGroup
from pns.adapters.stores.sqlite.level import require_level
from pns.adapters.stores.sqlite.notes import note_places
from pns.adapters.stores.sqlite.rows import affected, all_rows, row
from pns.adapters.stores.sqlite.writes import Removed, lower, take_back, touch
from pns.model.group import SHOWN, KeptGroup, kept_group
from pns.model.pending import read_member
from pns.model.timeline import What


def take_out(
    connection: sqlite3.Connection,
    user_id: str,
    notification_id: str,
    *,
    member: str,
    noted_at: int | None,
) -> bool:
    """See Store.take_out. `noted_at`: when timelines are kept, the time of the note."""
    require_level(connection, [user_id])
    named = {"user_id": user_id, "notification_id": notification_id}
    found = row(connection, "group_of", named, kind=GroupOf)
    if found is None:
        return take_out_of_pending(connection, user_id, notification_id, member=member, noted_at=noted_at)
    return leave(connection, found, member, noted_at=noted_at)


def leave(connection: sqlite3.Connection, found: GroupOf, member: str, *, noted_at: int | None) -> bool:
    """Take `member` out of a group; returns whether the group had the member."""
    kept = _without(connection, found, member)
    if kept is None:
        return False
    if kept.times > 0:
        affected(connection, "shrink_group", {**found._asdict(), "grouped": kept.text})
        touch(connection, found.user_key)
    else:
        if noted_at is not None:
            note_places(connection, found.user_key, [found.seq], what=What.WITHDRAWN, now=noted_at)
        for removed in all_rows(connection, "delete_place", found._asdict(), kind=Removed):
            lower(connection, removed.user_key, 1 if removed.seen_date is None else 0)
    return True


def take_out_of_pending(
    connection: sqlite3.Connection, user_id: str, notification_id: str, *, member: str, noted_at: int | None
) -> bool:
    """The same for a notification that waits for its time."""
    named = {"user_id": user_id, "notification_id": notification_id}
    found = row(connection, "pending_group_of", named, kind=PendingGroup)
    if found is None:
        alone = row(connection, "pending_member", named, kind=tuple[str])
        if alone is None or read_member(alone[0]).member != member:
            return False
        return take_back(connection, user_id, notification_id, noted_at=noted_at)
    kept = _without(connection, found, member)
    if kept is None:
        return False
    if kept.times > 0:
        affected(connection, "shrink_pending", {**found._asdict(), "grouped": kept.text})
    else:
        take_back(connection, user_id, found.notification_id, noted_at=noted_at)
    return True


def _without(connection: sqlite3.Connection, found: GroupOf | PendingGroup, member: str) -> KeptGroup | None:
    """The group after `member` has left, or None if the group had no such member."""
    where = {**found._asdict(), "member": member, "limit": SHOWN}
    left = row(connection, "leave_group", where, kind=tuple[int])
    if left is None:
        return None
    newest = [name for (name,) in all_rows(connection, "newest_members", where, kind=tuple[str])]
    return without(kept_group(found.grouped), member, times=left[0], newest=newest)
