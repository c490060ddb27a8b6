"""Deciding about a request's notifications: new ones, known ones, and replaced ones.

The part of appending that both engines share. Knows no statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from pns.contracts.store import Submission
from pns.errors import NotificationIdConflict
from pns.model.notification import Notification, new_notification_id
from pns.model.push import Cause, PushControls, StoredPush
from pns.model.timestamp import microseconds

_CONFLICT = "The notification {} is kept already, with other data. Nothing was stored; use a new id."
_ROW_BYTES = 256
"""The bytes of a waiting notification beside its data, about."""


class Draft(NamedTuple):
    """A notification with everything decided but its place. `id_given`: the application chose the id.

    `user_key`: the draft is for the user with this key alone, not for a later user of the same `user_id`.
    `yields`: a kept notification with the same id and other data is no conflict; the draft is left out.
    """

    user_id: str
    notification_id: str
    data: str
    create_date: int
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    push: str | None
    id_given: bool
    user_key: int | None = None
    yields: bool = False


def drafts(submissions: Sequence[Submission], now: int) -> list[Draft]:
    """All notifications of one request, in order, with ids and dates where the application gave none."""
    return [_draft(s, notification, now) for s in submissions for notification in s.notifications]


def _draft(submission: Submission, notification: Notification, now: int) -> Draft:
    create_date, expire_date = notification.create_date, notification.expire_date
    return Draft(
        submission.user_id,
        notification.notification_id or new_notification_id(now),
        notification.notification_data,
        now if create_date is None else microseconds(create_date),
        notification.category,
        notification.collapse_key,
        None if expire_date is None else microseconds(expire_date),
        _push(notification.push, submission.cause),
        notification.notification_id is not None,
        submission.user_key,
    )


def _push(controls: PushControls | None, cause: Cause | None) -> str | None:
    """The pushes' part of a row, as JSON; mostly nothing."""
    if controls is None and cause is None:
        return None
    return msgspec.json.encode(StoredPush(controls or PushControls(), cause or Cause())).decode()


def size(wanted: Sequence[Draft]) -> int:
    """The bytes of a waiting request, about."""
    return sum(byte_length(draft.data) + len(draft.push or "") + _ROW_BYTES for draft in wanted)


def byte_length(text: str) -> int:
    """Bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def by_user(wanted: Sequence[Draft]) -> dict[str, list[Draft]]:
    """The drafts of each user, in order."""
    found: dict[str, list[Draft]] = {}
    for draft in wanted:
        found.setdefault(draft.user_id, []).append(draft)
    return found


def users_with_key(wanted: Sequence[Draft]) -> list[str]:
    """The users of drafts with a user key."""
    return list({draft.user_id: None for draft in wanted if draft.user_key is not None})


def with_known_key(wanted: Sequence[Draft], keys: Mapping[str, int]) -> list[Draft]:
    """The drafts without those for erased users. `keys`: the keys of the users of `users_with_key`."""
    return [draft for draft in wanted if draft.user_key is None or keys.get(draft.user_id) == draft.user_key]


def to_store(wanted: Sequence[Draft], known: Mapping[str, str], now: int) -> list[Draft]:
    """The drafts of one user to store: unknown, not expired, and not replaced by a later draft of `wanted`.

    `known`: the data of the user's kept notifications by id, for given ids. A draft that yields and is left
    out replaces nothing. Raises NotificationIdConflict.
    """
    data = dict(known)
    candidates: list[Draft] = []
    newest: dict[str | None, str] = {}
    for draft in wanted:
        new = draft.notification_id not in data
        if data.setdefault(draft.notification_id, draft.data) != draft.data:
            if draft.yields:
                continue
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
