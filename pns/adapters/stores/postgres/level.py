"""Whether inboxes are level, on PostgreSQL: a read of an inbox asks here first.

Statements stand in announcements.sql. The locks of a batch tell the same for writes; see batch.py.
"""

from __future__ import annotations

from collections.abc import Collection

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.postgres.rows import Session, safe_id, single_column


async def behind_among(session: Session, user_ids: Collection[str]) -> list[str]:
    """The users among `user_ids` without a level inbox."""
    return await single_column(session, "behind_among", {"user_ids": [*map(safe_id, user_ids)]})


async def require_level(session: Session, user_ids: Collection[str]) -> None:
    """Raise NotCaughtUp unless the inboxes of `user_ids` are level. Must not be called in a transaction."""
    behind = await behind_among(session, user_ids)
    if behind:
        raise NotCaughtUp(behind)


async def visitors_behind(session: Session, user_ids: Collection[str], *, today: int) -> list[str]:
    """The users among `user_ids` without a level inbox, and with a last connection to be written over."""
    asked = {"user_ids": [*map(safe_id, user_ids)], "today": today}
    return await single_column(session, "visitors_behind", asked)
