"""Deciding about a request's notifications: new ones, known ones, and replaced ones.

The part of appending that both engines share. Knows no statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from pns.contracts.store import Submission
from pns.errors import NotificationIdConflict
from pns.model.group import GroupMember
from pns.model.notification import Notification, new_notification_id
from pns.model.push import Cause, PushControls, StoredPush
from pns.model.timestamp import microseconds
from pns.model.webhook import told_after

_CONFLICT = "The notification {} is kept already, with other data. Nothing was stored; use a new id."
_ROW_BYTES = 256
"""The bytes of a waiting notification beside its data, about."""
_GROUP_BYTES = 1024
"""The same for a notification with a group."""


class Draft(NamedTuple):
    """A notification with everything decided but its place. `id_given`: the application chose the id.

    `user_key`: the draft is for the user with this key alone, not for a later user of the same `user_id`.
    `yields`: a kept notification with the same id and other data is no conflict; the draft is left out.
    `group_key` and `grouped` stand for the group that took in `group`, once this is decided. `webhook`: see
    `told_after`.
    `deliver_date`: the draft waits until then; None for a draft that is stored at once.
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
    group: GroupMember | None = None
    group_key: int | None = None
    grouped: str | None = None
    webhook: int | None = None
    deliver_date: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing that is stored decides about the draft, but for the user's preferences."""
        return self.collapse_key is None and self.is_new

    @property
    def is_new(self) -> bool:
        """Whether the draft is for any user of its `user_id`, at once, with an id that nobody knows."""
        return not self.id_given and self.user_key is None and self.deliver_date is None


def drafts(submissions: Sequence[Submission], now: int) -> list[Draft]:
    """All notifications of one request, in order, with ids and dates where the application gave none."""
    return [_draft(s, notification, now) for s in submissions for notification in s.notifications]


def _draft(submission: Submission, notification: Notification, now: int) -> Draft:
    create_date, expire_date = notification.create_date, notification.expire_date
    deliver_date = None if notification.deliver_date is None else microseconds(notification.deliver_date)
    if create_date is None:
        created = now if deliver_date is None else deliver_date
    else:
        created = microseconds(create_date)
    return Draft(
        submission.user_id,
        notification.notification_id or new_notification_id(now),
        notification.notification_data,
        created,
        notification.category,
        notification.collapse_key,
        None if expire_date is None else microseconds(expire_date),
        _push(notification.push, submission.cause),
        notification.notification_id is not None,
        submission.user_key,
        group=notification.group,
        webhook=told_after(notification.webhook),
        deliver_date=None if deliver_date is None or deliver_date <= now else deliver_date,
    )


def _push(controls: PushControls | None, cause: Cause | None) -> str | None:
    """The pushes' part of a row, as JSON; mostly nothing."""
    if controls is None and cause is None:
        return None
    return msgspec.json.encode(StoredPush(controls or PushControls(), cause or Cause())).decode()


def size(wanted: Sequence[Draft]) -> int:
    """The bytes of a waiting request, about."""
    return sum(
        byte_length(draft.data)
        + len(draft.push or "")
        + (_ROW_BYTES if draft.group is None else _GROUP_BYTES)
        for draft in wanted
    )


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


def digest(data: str) -> int:
    """What a group keeps of the data behind an id that the group took in: 64 bits, to know a repeat by."""
    return int.from_bytes(blake2b(data.encode(), digest_size=8).digest(), signed=True)


class Known(NamedTuple):
    """The ids that one user's inbox knows. `data`: of each id the data, or their digest. `waiting`: the ids
    of notifications that wait for their `deliver_date`.
    """

    data: dict[str, str | int]
    waiting: set[str]

    def keeps(self, id: str) -> bool:
        """Whether the id is known, and not that of a waiting notification."""
        return id in self.data and id not in self.waiting


def to_wait(wanted: Sequence[Draft], known: Container[str]) -> list[Draft]:
    """The drafts of one user that wait from now on: with a `deliver_date` and an unknown id."""
    if all(draft.deliver_date is None for draft in wanted):
        return []
    first: dict[str, Draft] = {}
    for draft in wanted:
        first.setdefault(draft.notification_id, draft)
    return [draft for id, draft in first.items() if draft.deliver_date is not None and id not in known]


def to_store(wanted: Sequence[Draft], known: Known, now: int, *, off: Container[str] = ()) -> list[Draft]:
    """The drafts of one user to store at once, one after the other: unknown, not to wait, and not expired.

    Drafts that later drafts of `wanted` replace without a trace are left out. A draft with a group leaves a
    trace in the next one of the same key with a group. `known`: for given ids. `off`: the categories whose
    drafts are left out as if they had expired. A draft that yields and is left out replaces nothing. Raises
    NotificationIdConflict.
    """
    data = dict(known.data)
    candidates: list[Draft] = []
    chains: dict[str, list[Draft]] = {}
    for draft in wanted:
        new = draft.notification_id not in data
        if _differ(data.setdefault(draft.notification_id, draft.data), draft.data):
            if draft.yields:
                continue
            raise NotificationIdConflict(_CONFLICT.format(draft.notification_id))
        if new and (draft.deliver_date is not None or draft.category in off):
            continue
        chain = chains.setdefault(draft.collapse_key or "", [])
        if new and (draft.expire_date is None or draft.expire_date > now):
            candidates.append(draft)
            if draft.group is None:
                chain.clear()
            chain.append(draft)
        elif known.keeps(draft.notification_id) and not _goes_on(chain, draft):
            chain.clear()  # a repeated request must not bring back what this one replaced
    traced = {draft.notification_id for chain in chains.values() for draft in chain}
    return [draft for draft in candidates if draft.collapse_key is None or draft.notification_id in traced]


def _differ(kept: str | int, data: str) -> bool:
    return kept != (data if isinstance(kept, str) else digest(data))


def _goes_on(chain: Sequence[Draft], known: Draft) -> bool:
    """Whether `chain` ends in a group, and the known draft behind it belongs to a group, too: had the two
    been stored together before, both would be known.
    """
    return bool(chain) and chain[-1].group is not None and known.group is not None
