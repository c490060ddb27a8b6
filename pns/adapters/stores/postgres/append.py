"""Appending to PostgreSQL: a batch's appends are decided in memory, then stored by one statement.

The outcome is the same as for the requests one after the other. A caller must lock the users of notifications
with a given id or a collapse key before, so that their inboxes stay as they were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft, by_user, to_store, users_with_key, with_known_key
from pns.adapters.stores.postgres.rows import Session, affected, single_column, tuples
from pns.contracts.store import Appended
from pns.errors import NotificationIdConflict
from pns.model.push import PushSchedule


class Append(NamedTuple):
    """One request to append."""

    wanted: Sequence[Draft]
    now: int
    terms: PushSchedule | None = None

    @property
    def needs_no_lock(self) -> bool:
        """Whether no stored row matters to this request."""
        return not any(
            draft.id_given or draft.collapse_key is not None or draft.user_key is not None
            for draft in self.wanted
        )


class _Added(NamedTuple):
    """A notification to store, and the terms of its pushes. Requests of a batch may differ in terms."""

    draft: Draft
    now: int
    terms: PushSchedule | None

    @property
    def due_at(self) -> int | None:
        return None if self.terms is None else self.now + self.terms.delay

    @property
    def expires_at(self) -> int | None:
        return None if self.terms is None else self.now + self.terms.delay + self.terms.lifetime


@dataclass(slots=True)
class _Inbox:
    """One user's inbox, as far as the batch needs the inbox: notifications with given ids, and new ones."""

    data: dict[str, str] = field(default_factory=dict)
    """By id."""
    replaceable: dict[str, str] = field(default_factory=dict)
    """Collapse key by id, of the unseen."""
    added: dict[str, _Added] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    """Collapse keys whose stored notifications go."""

    def add(self, new: Sequence[Draft], request: Append) -> None:
        keys = {draft.collapse_key for draft in new if draft.collapse_key is not None}
        for id in [id for id, key in self.replaceable.items() if key in keys]:
            del self.replaceable[id], self.data[id]
            self.added.pop(id, None)
        self.replaced |= keys
        for draft in new:
            self.data[draft.notification_id] = draft.data
            self.added[draft.notification_id] = _Added(draft, request.now, request.terms)
            if draft.collapse_key is not None:
                self.replaceable[draft.notification_id] = draft.collapse_key


async def append(session: Session, requests: Sequence[Append]) -> list[Appended | NotificationIdConflict]:
    """Store each request's new notifications that have not expired. A conflict undoes its request alone."""
    inboxes = {draft.user_id: _Inbox() for request in requests for draft in request.wanted}
    await _look_up(session, inboxes, [d for r in requests for d in r.wanted if d.id_given])
    keys = await _keys(session, users_with_key([draft for request in requests for draft in request.wanted]))
    outcomes = [_decide(inboxes, request, keys) for request in requests]
    changed = {user_id: inbox for user_id, inbox in inboxes.items() if inbox.added}
    if changed:
        await _store(session, changed, await _collapse(session, changed))
    return outcomes


async def _look_up(session: Session, inboxes: dict[str, _Inbox], named: Sequence[Draft]) -> None:
    if not named:
        return
    asked = {
        "user_ids": [draft.user_id for draft in named],
        "notification_ids": [draft.notification_id for draft in named],
    }
    for user_id, id, data, collapse_key in await tuples(session, "known_notifications", asked):
        inboxes[user_id].data[id] = data
        if collapse_key is not None:
            inboxes[user_id].replaceable[id] = collapse_key


async def _keys(session: Session, user_ids: Sequence[str]) -> dict[str, int]:
    """The keys of locked users. A user who was made for the lock has a new key."""
    if not user_ids:
        return {}
    return dict(await tuples(session, "user_keys", {"user_ids": user_ids}))


def _decide(
    inboxes: dict[str, _Inbox], request: Append, keys: Mapping[str, int]
) -> Appended | NotificationIdConflict:
    try:
        new = {
            user_id: to_store(some, inboxes[user_id].data, request.now)
            for user_id, some in by_user(with_known_key(request.wanted, keys)).items()
        }
    except NotificationIdConflict as conflict:
        return conflict
    for user_id, some in new.items():
        inboxes[user_id].add(some, request)
    return Appended(
        [draft.notification_id for draft in request.wanted],
        created=sum(map(len, new.values())),
        changed=frozenset(user_id for user_id, some in new.items() if some),
    )


async def _collapse(session: Session, inboxes: dict[str, _Inbox]) -> Counter[str]:
    """Remove replaced notifications; returns their number by user."""
    keys = [(user_id, key) for user_id, inbox in inboxes.items() for key in inbox.replaced]
    if not keys:
        return Counter()
    newer = {"user_ids": [user_id for user_id, _ in keys], "collapse_keys": [key for _, key in keys]}
    return Counter(await single_column(session, "delete_collapsed", newer))


async def _store(session: Session, inboxes: dict[str, _Inbox], replaced: Counter[str]) -> None:
    added = [one for inbox in inboxes.values() for one in inbox.added.values()]
    columns = zip(*(one.draft for one in added), strict=True)
    pushes = {
        "now": [one.now for one in added],
        "due_at": [one.due_at for one in added],
        "expires_at": [one.expires_at for one in added],
        "later": [later for inbox in inboxes.values() for later in reversed(range(len(inbox.added)))],
    }
    users = {
        "users": list(inboxes),
        "counts": [len(inbox.added) for inbox in inboxes.values()],
        "replaced": [replaced[user_id] for user_id in inboxes],
    }
    await affected(session, "append", {**users, **pushes, **dict(zip(Draft._fields, columns, strict=True))})
