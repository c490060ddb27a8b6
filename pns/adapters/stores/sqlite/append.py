"""Appending to SQLite: known notifications are left out, old ones are replaced, new ones get their places.

Everything here runs inside the writer's transaction, and completes or raises before a row is changed.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter

from pns.adapters.stores.drafts import Draft, by_user, to_store, users_with_key, with_known_key
from pns.adapters.stores.sqlite.outbox_writes import enqueue
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, rows
from pns.adapters.stores.statements import columns
from pns.contracts.store import Appended
from pns.model.push import PushSchedule

_row = itemgetter(*map(Draft._fields.index, columns("sqlite/store.sql", "new")))
"""From a draft the columns of its row beside the place, in the order of the statement."""


def append(
    connection: sqlite3.Connection, wanted: Sequence[Draft], terms: PushSchedule | None, *, now: int
) -> Appended:
    """Store the new notifications of `wanted`, and their pushes. Raises NotificationIdConflict."""
    known = _known(connection, [draft for draft in wanted if draft.id_given])
    asked = with_known_key(wanted, _keys(connection, users_with_key(wanted)))
    new = {user_id: to_store(some, known.get(user_id, {}), now) for user_id, some in by_user(asked).items()}
    changed = {user_id: some for user_id, some in new.items() if some}
    if changed:
        places = _store(connection, changed)
        if terms is not None:
            enqueue(connection, places, terms=terms, now=now)
    return Appended(
        [draft.notification_id for draft in wanted],
        created=sum(map(len, changed.values())),
        changed=frozenset(changed),
    )


def _known(connection: sqlite3.Connection, named: Sequence[Draft]) -> dict[str, dict[str, str]]:
    """The data of kept notifications, by user and id."""
    known: dict[str, dict[str, str]] = defaultdict(dict)
    if named:
        asked = {"named": json_array([(draft.user_id, draft.notification_id) for draft in named])}
        for user_id, id, data in rows(connection, "known_notifications", asked, kind=tuple[str, str, str]):
            known[user_id][id] = data
    return known


def _keys(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, int]:
    """The keys of the known users."""
    if not user_ids:
        return {}
    found = rows(connection, "last_places", {"user_ids": json_array(user_ids)}, kind=tuple[str, int, int])
    return {user_id: user_key for user_id, user_key, _ in found}


def _store(connection: sqlite3.Connection, new: Mapping[str, Sequence[Draft]]) -> list[tuple[int, int]]:
    """Returns each user's key and first new place. The number of statements does not depend on `new`."""
    last = _last_places(connection, list(new))
    for user_id, some in new.items():
        _collapse(connection, last[user_id][0], {draft.collapse_key for draft in some if draft.collapse_key})
    places = [(*last[user_id], some) for user_id, some in new.items()]
    taken = [(len(some), len(some), user_key) for user_key, _, some in places]
    connection.executemany(SQL["advance_user"], taken)
    connection.executemany(
        SQL["insert_notification"],
        [
            (user_key, seq, *_row(draft))
            for user_key, last_seq, some in places
            for seq, draft in enumerate(some, start=last_seq + 1)
        ],
    )
    return [(user_key, last_seq + 1) for user_key, last_seq, _ in places]


def _last_places(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The key and the newest place of each user. Unknown users are made."""
    asked = {"user_ids": json_array(user_ids)}
    found = all_rows(connection, "last_places", asked, kind=tuple[str, int, int])
    if len(found) < len(user_ids):
        known = {user_id for user_id, _, _ in found}
        new = [{"user_id": user_id} for user_id in user_ids if user_id not in known]
        connection.executemany(SQL["make_user"], new)
        found = all_rows(connection, "last_places", asked, kind=tuple[str, int, int])
    return {user_id: (user_key, last_seq) for user_id, user_key, last_seq in found}


def _collapse(connection: sqlite3.Connection, user_key: int, keys: Collection[str]) -> None:
    if not keys:
        return
    replaced = {"user_key": user_key, "collapse_keys": json_array(keys)}
    if count := affected(connection, "delete_collapsed", replaced):
        all_rows(connection, "lower_unseen", {"user_key": user_key, "count": count}, kind=tuple[str])
