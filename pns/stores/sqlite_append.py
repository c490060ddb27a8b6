"""Appending: which of the submitted notifications are new, what they replace, and their places.

Everything here runs inside the writer's transaction and either completes or raises before it changed a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

from pns.errors import NotificationIdConflict
from pns.notification import Notification, new_notification_id
from pns.store import Appended, Submission
from pns.stores.sqlite_rows import SQL, all_rows, byte_length, change, json_array, row
from pns.timestamp import microseconds

_CONFLICT = "The notification {} is kept already, with other data. Nothing was stored; use a new id."
_ROW_BYTES = 256
"""About what a waiting notification costs beside its data."""


class Draft(NamedTuple):
    """A notification with everything decided but its place. `named`: the application chose the id."""

    user_id: str
    notification_id: str
    data: str
    create_date: int
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    named: bool


def drafts(submissions: Sequence[Submission], now: int) -> list[Draft]:
    """All notifications of one request, in order, with ids and dates where the application gave none."""
    return [_draft(s.user_id, notification, now) for s in submissions for notification in s.notifications]


def _draft(user_id: str, notification: Notification, now: int) -> Draft:
    create_date, expire_date = notification.create_date, notification.expire_date
    return Draft(
        user_id,
        notification.notification_id or new_notification_id(now),
        notification.notification_data,
        now if create_date is None else microseconds(create_date),
        notification.category,
        notification.collapse_key,
        None if expire_date is None else microseconds(expire_date),
        notification.notification_id is not None,
    )


def size(wanted: Sequence[Draft]) -> int:
    """About how many bytes a request holds while it waits."""
    return sum(byte_length(draft.data) + _ROW_BYTES for draft in wanted)


def append(connection: sqlite3.Connection, wanted: Sequence[Draft], now: int) -> Appended:
    """Store what of `wanted` is new and has not expired. Raises NotificationIdConflict."""
    by_user: dict[str, list[Draft]] = {}
    for draft in wanted:
        by_user.setdefault(draft.user_id, []).append(draft)
    fresh = {user_id: _fresh(connection, user_id, some, now) for user_id, some in by_user.items()}
    for user_id, some in fresh.items():
        if some:
            _store(connection, user_id, some)
    return Appended(
        [draft.notification_id for draft in wanted],
        created=sum(map(len, fresh.values())),
        changed=frozenset(user_id for user_id, some in fresh.items() if some),
    )


def _fresh(connection: sqlite3.Connection, user_id: str, wanted: Sequence[Draft], now: int) -> list[Draft]:
    """The drafts to store: unknown, not expired, and not replaced further on in the same request."""
    known = _known(connection, user_id, [draft.notification_id for draft in wanted if draft.named])
    data = dict(known)
    candidates: list[Draft] = []
    newest: dict[str | None, str] = {}
    for draft in wanted:
        new = draft.notification_id not in data
        if data.setdefault(draft.notification_id, draft.data) != draft.data:
            raise NotificationIdConflict(_CONFLICT.format(draft.notification_id))
        if new and (draft.expire_date is None or draft.expire_date > now):
            candidates.append(draft)
            newest[draft.collapse_key] = draft.notification_id
        elif draft.notification_id in known:  # a repeated request must not bring back what this one replaced
            newest[draft.collapse_key] = draft.notification_id
    return [
        draft
        for draft in candidates
        if draft.collapse_key is None or newest[draft.collapse_key] == draft.notification_id
    ]


def _known(connection: sqlite3.Connection, user_id: str, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    asked = {"user_id": user_id, "notification_ids": json_array(ids)}
    return dict(all_rows(connection, "known_notifications", asked, tuple[str, str]))


def _store(connection: sqlite3.Connection, user_id: str, fresh: Sequence[Draft]) -> None:
    taken = {"user_id": user_id, "count": len(fresh)}
    place = row(connection, "advance_user", taken, tuple[int, int])
    user_key, last_seq = place or all_rows(connection, "insert_user", taken, tuple[int, int])[0]
    _collapse(connection, user_key, {draft.collapse_key for draft in fresh if draft.collapse_key is not None})
    first = last_seq - len(fresh) + 1
    connection.executemany(
        SQL["insert_notification"],
        [(user_key, seq, *draft[1:7]) for seq, draft in enumerate(fresh, start=first)],
    )


def _collapse(connection: sqlite3.Connection, user_key: int, keys: Collection[str]) -> None:
    if not keys:
        return
    replaced = {"user_key": user_key, "collapse_keys": json_array(keys)}
    if count := change(connection, "delete_collapsed", replaced):
        all_rows(connection, "lower_unseen", {"user_key": user_key, "count": count}, tuple[str])
