"""Appending to SQLite: which of the submitted notifications are known, what they replace, and their places.

Everything here runs inside the writer's transaction and either completes or raises before it changed a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from pns.push import PushTerms
from pns.store import Appended
from pns.stores.drafts import Draft, by_user, fresh
from pns.stores.sqlite_outbox_writes import enqueue
from pns.stores.sqlite_rows import SQL, all_rows, change, json_array, row


def append(
    connection: sqlite3.Connection, wanted: Sequence[Draft], terms: PushTerms | None, *, now: int
) -> Appended:
    """Store what of `wanted` is new and has not expired, and its pushes. Raises NotificationIdConflict."""
    new = {
        user_id: fresh(some, _known(connection, user_id, some), now)
        for user_id, some in by_user(wanted).items()
    }
    for user_id, some in new.items():
        if some:
            place = _store(connection, user_id, some)
            if terms is not None:
                enqueue(connection, *place, terms=terms, now=now)
    return Appended(
        [draft.notification_id for draft in wanted],
        created=sum(map(len, new.values())),
        changed=frozenset(user_id for user_id, some in new.items() if some),
    )


def _known(connection: sqlite3.Connection, user_id: str, wanted: Sequence[Draft]) -> dict[str, str]:
    ids = [draft.notification_id for draft in wanted if draft.named]
    if not ids:
        return {}
    asked = {"user_id": user_id, "notification_ids": json_array(ids)}
    return dict(all_rows(connection, "known_notifications", asked, tuple[str, str]))


def _store(connection: sqlite3.Connection, user_id: str, new: Sequence[Draft]) -> tuple[int, int]:
    """Returns the user's key, and the place of the first."""
    taken = {"user_id": user_id, "count": len(new)}
    place = row(connection, "advance_user", taken, tuple[int, int])
    user_key, last_seq = place or all_rows(connection, "insert_user", taken, tuple[int, int])[0]
    _collapse(connection, user_key, {draft.collapse_key for draft in new if draft.collapse_key is not None})
    first = last_seq - len(new) + 1
    connection.executemany(
        SQL["insert_notification"],
        [(user_key, seq, *draft[1:8]) for seq, draft in enumerate(new, start=first)],
    )
    return user_key, first


def _collapse(connection: sqlite3.Connection, user_key: int, keys: Collection[str]) -> None:
    if not keys:
        return
    replaced = {"user_key": user_key, "collapse_keys": json_array(keys)}
    if count := change(connection, "delete_collapsed", replaced):
        all_rows(connection, "lower_unseen", {"user_key": user_key, "count": count}, tuple[str])
