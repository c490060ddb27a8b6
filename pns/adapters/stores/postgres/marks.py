"""Marks on PostgreSQL: seen, read, unread, archived, unarchived. The steps of a large mark stand in
../marks.py.

`places` reads, and runs outside any transaction. The others run inside the writer's transaction, after the
locks of their Write. Both work for a user who was erased meanwhile, and then change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pns.adapters.stores.marks import MARKING, Step, told_by
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    rows,
    safe,
    safe_id,
    single_column,
    single_value,
)
from pns.adapters.stores.postgres.telling import tell_marked
from pns.adapters.stores.postgres.writes import lower
from pns.contracts.store import Marked


class _Counts(NamedTuple):
    unseen: int
    unread: int


async def places(session: Session, name: str, where: Mapping[str, object]) -> list[int]:
    """The places that statement `name` finds."""
    return await single_column(session, name, safe(where))


async def mark_ids(session: Session, user_id: str, ids: Sequence[str], *, step: Step) -> Marked:
    """Mark the notifications of these ids. Ids that are not kept are passed over."""
    user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if user_key is None:
        return Marked()
    asked = {"user_key": user_key, "notification_ids": [*map(safe_id, ids)]}
    found = await places(session, "places_of", asked)
    return await mark_places(session, user_key, found, step=step)


async def mark_places(session: Session, user_key: int, seqs: Sequence[int], *, step: Step) -> Marked:
    """Mark the notifications at `seqs` that need the mark, and lower the user's count."""
    if await single_value(session, "live_user", {"user_key": user_key}) is None:
        return Marked()
    at = {"user_key": user_key, "seqs": sorted(seqs), "now": step.now}
    seen = await single_value(session, "unseen_among", at) if step.as_.shows else 0
    for kind, name in told_by(step.as_):
        await tell_marked(session, name, at, kind=kind, terms=step.webhook)
    changed = await affected(session, MARKING[step.as_], at)
    await lower(session, user_key, seen)
    if not step.counted:
        return Marked(changed, seen)
    return Marked(changed, seen, *(await rows(session, "unseen_and_unread", at, kind=_Counts))[0])
