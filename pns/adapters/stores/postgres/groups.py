"""Members that are taken out of groups on PostgreSQL. Groups grow in append.py, and writes.py prunes the
ended.

Every function runs inside the writer's transaction, after the locks of its Write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pns.adapters.stores.groups import GroupOf, without
from pns.adapters.stores.later import PendingGroup
from pns.adapters.stores.postgres.notes import note_all
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    row,
    rows,
    safe,
    safe_id,
    single_value,
    tuples,
)
from pns.adapters.stores.postgres.writes import Removed, take_back
from pns.contracts.store import Place
from pns.model.group import SHOWN, kept_group
from pns.model.pending import read_member
from pns.model.timeline import What


async def take_out(
    session: Session, user_id: str, notification_id: str, *, member: str, noted_at: int | None
) -> bool:
    """See Store.take_out. `noted_at`: when timelines are kept, the time of the note."""
    named = safe({"user_id": user_id, "notification_id": notification_id})
    found = await rows(session, "group_of", named, kind=GroupOf)
    if not found:
        return await take_out_of_pending(session, user_id, notification_id, member=member, noted_at=noted_at)
    return bool(await leave(session, found, member, noted_at=noted_at))


async def leave(
    session: Session, found: Sequence[GroupOf], member: str, *, noted_at: int | None
) -> list[GroupOf]:
    """Take `member` out of groups of several users; returns the groups that had the member."""
    if not found:
        return []
    where = {**_groups(found), "member": safe_id(member), "limit": SHOWN}
    times = {
        (user_key, group_key): left
        for user_key, group_key, left in await tuples(session, "leave_groups", where)
    }
    left = [group for group in found if _key(group) in times]
    if not left:
        return []
    newest: dict[tuple[int, int], list[str]] = {}
    for user_key, group_key, name in await tuples(
        session, "newest_members", _groups(left) | {"limit": SHOWN}
    ):
        newest.setdefault((user_key, group_key), []).append(name)
    kept = {
        group: without(
            kept_group(group.grouped), member, times=times[_key(group)], newest=newest.get(_key(group), ())
        )
        for group in left
    }
    await _shrink(session, {group: rest.text for group, rest in kept.items() if rest.times > 0})
    await _remove(session, [group for group, rest in kept.items() if rest.times <= 0], noted_at=noted_at)
    return left


async def take_out_of_pending(
    session: Session, user_id: str, notification_id: str, *, member: str, noted_at: int | None
) -> bool:
    """`take_out` for a pending notification."""
    named = safe({"user_id": user_id, "notification_id": notification_id})
    found = await row(session, "pending_group_of", named, kind=PendingGroup)
    if found is None:
        alone: str | None = await single_value(session, "pending_member", named)
        if alone is None or read_member(alone).member != member:
            return False
        return await take_back(session, user_id, notification_id, noted_at=noted_at)
    keys = {"user_keys": [found.user_key], "group_keys": [found.group_key], "limit": SHOWN}
    left = await tuples(session, "leave_groups", {**keys, "member": safe_id(member)})
    if not left:
        return False
    newest = [name for _, _, name in await tuples(session, "newest_members", keys)]
    kept = without(kept_group(found.grouped), member, times=left[0][2], newest=newest)
    if kept.times > 0:
        await affected(session, "shrink_pending", {**found._asdict(), "grouped": kept.text})
    else:
        await take_back(session, user_id, found.notification_id, noted_at=noted_at)
    return True


async def _shrink(session: Session, grouped: Mapping[GroupOf, str]) -> None:
    if grouped:
        await affected(session, "shrink_groups", {**_groups([*grouped]), "grouped": [*grouped.values()]})
        await affected(session, "touch_users", {"user_keys": [group.user_key for group in grouped]})


async def _remove(session: Session, ended: Sequence[GroupOf], *, noted_at: int | None) -> None:
    """Remove the notifications of groups without members."""
    if ended and noted_at is not None:
        places = [Place(group.user_key, group.seq) for group in ended]
        await note_all(session, places, what=What.WITHDRAWN, now=noted_at)
    if ended:
        removed = await rows(session, "delete_places", _groups(ended), kind=Removed)
        unseen = Counter(user_key for user_key, seen_date in removed if seen_date is None)
        await affected(session, "lower_unseen", {"user_keys": [*unseen], "counts": [*unseen.values()]})


def _key(group: GroupOf) -> tuple[int, int]:
    return group.user_key, group.group_key


def _groups(groups: Sequence[GroupOf]) -> dict[str, object]:
    return {
        "user_keys": [group.user_key for group in groups],
        "group_keys": [group.group_key for group in groups],
        "seqs": [group.seq for group in groups],
    }
