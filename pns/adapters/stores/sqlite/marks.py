"""Marks on SQLite: seen, read, unread, archived, unarchived. The steps of a large mark stand in ../marks.py.

`places` reads, and runs outside any transaction. The others run inside the writer's transaction, under their
own savepoint. Both work for a user who was erased meanwhile, and then change nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pns.adapters.stores.marks import MARKING, Step, told_by
from pns.adapters.stores.sqlite.level import require_level
from pns.adapters.stores.sqlite.rows import affected, all_rows, json_array, row
from pns.adapters.stores.sqlite.telling import tell_marked
from pns.adapters.stores.sqlite.writes import lower
from pns.contracts.store import Marked


class _Counts(NamedTuple):
    unseen: int
    unread: int


def places(connection: sqlite3.Connection, name: str, where: Mapping[str, object]) -> list[int]:
    """The places that statement `name` finds."""
    return [seq for (seq,) in all_rows(connection, name, where, kind=tuple[int])]


def mark_ids(connection: sqlite3.Connection, user_id: str, ids: Sequence[str], *, step: Step) -> Marked:
    """Mark the notifications of these ids. Ids that are not kept are passed over."""
    require_level(connection, [user_id])
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return Marked()
    possible = [id for id in ids if "\0" not in id]  # json_each would cut it off there
    asked = {"user_key": user[0], "notification_ids": json_array(possible)}
    return mark_places(connection, user[0], places(connection, "places_of", asked), step=step)


def mark_places(connection: sqlite3.Connection, user_key: int, seqs: Sequence[int], *, step: Step) -> Marked:
    """Mark the notifications at `seqs` that need the mark, and lower the user's count."""
    if row(connection, "live_user", {"user_key": user_key}, kind=tuple[int]) is None:
        return Marked()
    at = {"user_key": user_key, "seqs": json_array(seqs), "now": step.now}
    seen = all_rows(connection, "unseen_among", at, kind=tuple[int])[0][0] if step.as_.shows else 0
    for kind, name in told_by(step.as_):
        tell_marked(connection, name, at, kind=kind, terms=step.webhook)
    changed = affected(connection, MARKING[step.as_], at)
    lower(connection, user_key, seen)
    if not step.counted:
        return Marked(changed, seen)
    return Marked(changed, seen, *all_rows(connection, "unseen_and_unread", at, kind=_Counts)[0])
