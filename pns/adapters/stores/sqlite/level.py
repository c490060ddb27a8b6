"""Whether inboxes are level, on SQLite: a read of an inbox, or a write that depends on rows, asks here.

Statements stand in announcements.sql. Every function runs in a connection's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

from pns.adapters.stores.announcements import NotCaughtUp, dependents
from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.sqlite.rows import all_rows, json_array


def behind_among(connection: sqlite3.Connection, user_ids: Collection[str]) -> list[str]:
    """The users among `user_ids` without a level inbox."""
    possible = [id for id in user_ids if "\0" not in id]  # json_each would cut it off there
    if not possible or not newest(connection):
        return []
    asked = {"user_ids": json_array(possible)}
    return [user for (user,) in all_rows(connection, "behind_among", asked, kind=tuple[str])]


def require_level(connection: sqlite3.Connection, user_ids: Collection[str]) -> None:
    """Raise NotCaughtUp unless the inboxes of `user_ids` are level."""
    behind = behind_among(connection, user_ids)
    if behind:
        raise NotCaughtUp(behind)


def require_level_for(connection: sqlite3.Connection, wanted: Iterable[Draft]) -> None:
    """The same for the inboxes whose rows decide about `wanted`."""
    require_level(connection, dependents(wanted))


def require_visitors(connection: sqlite3.Connection, user_ids: Collection[str], *, today: int) -> None:
    """The same for the users among `user_ids` with a last connection to be written over."""
    if not user_ids or not newest(connection):
        return
    asked = {"user_ids": json_array(user_ids), "today": today}
    behind = all_rows(connection, "visitors_behind", asked, kind=tuple[str])
    if behind:
        raise NotCaughtUp([user for (user,) in behind])


def newest(connection: sqlite3.Connection) -> int:
    """The number of the newest announcement; 0 for none."""
    return all_rows(connection, "newest_announcement", (), kind=tuple[int])[0][0]
