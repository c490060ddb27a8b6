"""Appending to SQLite: a batch's appends are decided in memory, then stored together.

The outcome is the same as for the requests one after the other. Everything here runs inside the writer's
transaction. A conflict of a request is decided before a row is changed, so no request needs a savepoint.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from pns.adapters.stores.additions import Added, Additions
from pns.adapters.stores.appends import Append, complete, decide, noted_at
from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.groups import FoundGroup, found_groups
from pns.adapters.stores.preferences import Off
from pns.adapters.stores.replaced import Kept, Placed, Subjects, asked, placed
from pns.adapters.stores.sqlite.preferences import turned_off
from pns.adapters.stores.sqlite.rows import SQL, all_rows, json_array, rows
from pns.adapters.stores.statements import columns
from pns.contracts.store import Appended, State
from pns.errors import NotificationIdConflict
from pns.model.pending import member_text
from pns.model.webhook import WebhookKind, WebhookTerms

_row = itemgetter(*map(Draft._fields.index, columns("sqlite/store.sql", "new")))
"""From a draft the columns of its row beside the place, in the order of the statement."""
_heir = itemgetter(*map(Draft._fields.index, columns("sqlite/store.sql", "heir")))
"""The same for a draft that takes over a row."""


class _Known(NamedTuple):
    """A known id. `data` of a notification that a group took in is a digest. `waits`: see Additions.know."""

    user_id: str
    notification_id: str
    data: str | int
    collapse_key: str | None
    waits: int


class _End(NamedTuple):
    """Where a user's inbox ends, and the user's counts."""

    user_id: str
    user_key: int
    last_seq: int
    version: int
    unseen: int


@dataclass(slots=True)
class _Rows:
    """The parameters of an append's statements, a row each.

    `at`: see `noted_at`. `untold`: the categories without webhook, by user.
    """

    at: int | None
    webhook: WebhookTerms
    untold: Off
    advance_user: list[Sequence[object]] = field(default_factory=list)
    delete_replaced: list[Sequence[object]] = field(default_factory=list)
    take_over: list[Sequence[object]] = field(default_factory=list)
    insert_notification: list[Sequence[object]] = field(default_factory=list)
    insert_pending: list[Sequence[object]] = field(default_factory=list)
    join_group: list[Sequence[object]] = field(default_factory=list)
    take_id: list[Sequence[object]] = field(default_factory=list)
    enqueue: list[Sequence[object]] = field(default_factory=list)
    note: list[Sequence[object]] = field(default_factory=list)
    note_replaced: list[Sequence[object]] = field(default_factory=list)
    wait_to_tell: list[Sequence[object]] = field(default_factory=list)
    wake_to_tell: list[Sequence[object]] = field(default_factory=list)

    def add(self, end: _End, inbox: Additions, kept: Subjects) -> State | None:
        """Store what is new in `inbox` behind `end`, in place of what is replaced in `kept`.

        Returns the user's state after that, or None where nothing is stored.
        """
        user_key = end.user_key
        self.note += [each.note(user_key) for each in inbox.passed]
        self.insert_pending += [
            (user_key, draft.deliver_date, member_text(draft.group), *_row(draft)) for draft in inbox.to_wait
        ]
        if inbox.is_empty:
            return None
        added = inbox.added
        more = len(added) - self._place(user_key, end.last_seq + 1, placed(added, kept))
        self.advance_user.append((len(added), more, user_key))
        self._grow(user_key, inbox)
        self._push(user_key, end.last_seq + 1, added)
        if WebhookKind.UNSEEN in self.webhook.kinds:
            self._tell(end, added)
        return State(user_key, end.version + 1, end.unseen + more)

    def _place(self, user_key: int, first: int, places: Placed) -> int:
        """Fill the places from `first` on; returns the number of replaced notifications."""
        self.insert_notification += [
            (user_key, first + number, *_row(one.draft)) for number, one in places.new
        ]
        self.take_over += [
            (first + number, *_heir(one.draft), user_key, row.seq) for number, one, row in places.heirs
        ]
        self.delete_replaced += [(user_key, row.seq) for row in places.gone]
        if self.at is not None:
            self.note_replaced += [
                (user_key, self.at, row.notification_id, row.create_date, row.category)
                for row in places.replaced
            ]
        return len(places.heirs) + len(places.gone)

    def _grow(self, user_key: int, inbox: Additions) -> None:
        for group in inbox.grown:
            self.join_group += [
                (user_key, group.key, member, *joined) for member, joined in group.joined.items()
            ]
            self.take_id += [(user_key, group.key, *taken) for taken in group.ids.values()]

    def _push(self, user_key: int, first: int, added: Sequence[Added]) -> None:
        for _, together in groupby(added, key=lambda one: one[1:]):
            one, *others = together
            if one.terms is not None:
                times = (one.now, one.due_at, one.expires_at)
                self.enqueue.append((user_key, first, first + len(others), *times))
            first += 1 + len(others)

    def _tell(self, end: _End, added: Sequence[Added]) -> None:
        webhook, untold = self.webhook, self.untold.get(end.user_id, ())
        due = [
            (end.user_key, due_at, seq)
            for seq, (draft, now, _) in enumerate(added, start=end.last_seq + 1)
            if draft.category not in untold and (due_at := webhook.due_at(draft.webhook, now)) is not None
        ]
        if due:
            self.wait_to_tell += due
            first = min(due_at for _, due_at, _ in due)
            self.wake_to_tell.append((end.user_key, first, webhook.unseen_every))

    def write(self, connection: sqlite3.Connection) -> None:
        for name, written in (
            ("note", self.note),
            ("note_replaced", self.note_replaced),
            ("advance_user", self.advance_user),
            ("delete_replaced", self.delete_replaced),
            ("take_over", self.take_over),
            ("insert_notification", self.insert_notification),
            ("insert_pending", self.insert_pending),
            ("join_group", self.join_group),
            ("take_id", self.take_id),
            ("wait_to_tell", self.wait_to_tell),
            ("wake_to_tell", self.wake_to_tell),
        ):
            if written:
                connection.executemany(SQL[name], written)
        if self.enqueue:
            connection.execute(SQL["enqueue"], {"asked": json_array(self.enqueue)})


def append(
    connection: sqlite3.Connection, requests: Sequence[Append]
) -> list[Appended | NotificationIdConflict]:
    """Store each request's new notifications that have not expired, and their pushes. A conflict undoes its
    request alone.
    """
    if not requests:
        return []
    wanted = [draft for request in requests for draft in request.wanted]
    inboxes = {draft.user_id: Additions() for draft in wanted}
    _look_up(connection, inboxes, [draft for draft in wanted if draft.id_given])
    kept = _replaceable(connection, inboxes, wanted)
    ends = _ends(connection, list(inboxes))
    keys = {user_id: end.user_key for user_id, end in ends.items()}
    off = turned_off(connection, wanted)
    outcomes = [decide(inboxes, request, keys=keys, off=off.inbox) for request in requests]
    rows = _Rows(noted_at(requests), requests[0].webhook, off.webhook)
    states = {
        user_id: rows.add(end, inboxes[user_id], kept.get(user_id, {}))
        for user_id, end in {**ends, **_new_users(connection, inboxes, ends)}.items()
    }
    rows.write(connection)
    complete(outcomes, {user_id: state for user_id, state in states.items() if state is not None})
    return outcomes


def _look_up(
    connection: sqlite3.Connection, inboxes: Mapping[str, Additions], named: Sequence[Draft]
) -> None:
    """Find the data of kept notifications with the ids of `named`, or their digest."""
    if not named:
        return
    wanted = {"named": json_array([(draft.user_id, draft.notification_id) for draft in named])}
    for known in rows(connection, "known_notifications", wanted, kind=_Known):
        inbox, waits = inboxes[known.user_id], bool(known.waits)
        inbox.know(known.notification_id, known.data, known.collapse_key, waits=waits)


def _replaceable(
    connection: sqlite3.Connection, inboxes: Mapping[str, Additions], wanted: Iterable[Draft]
) -> dict[str, Subjects]:
    """Find the groups that `wanted` may go on. Returns what `wanted` may replace, by user."""
    subjects = asked(wanted)
    kept: dict[str, Subjects] = defaultdict(lambda: defaultdict(dict))
    groups: dict[str, list[FoundGroup]] = defaultdict(list)
    where = {"asked": json_array(subjects)}
    for one in all_rows(connection, "replaceable", where, kind=Kept) if subjects else ():
        kept[one.user_id][one.collapse_key][one.seq] = one
        if one.group is not None:
            groups[one.user_id].append(one.group)
    for user_id, found in groups.items():
        inboxes[user_id].groups = found_groups(found)
    return kept


def _new_users(
    connection: sqlite3.Connection, inboxes: Mapping[str, Additions], ends: Mapping[str, _End]
) -> dict[str, _End]:
    """Make the users of new notifications who are not known."""
    taking = [user_id for user_id, inbox in inboxes.items() if inbox.to_wait or not inbox.is_empty]
    new = [user_id for user_id in taking if user_id not in ends]
    if not new:
        return {}
    connection.executemany(SQL["make_user"], [{"user_id": user_id} for user_id in new])
    return _ends(connection, new)


def _ends(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, _End]:
    """Where the inboxes of known users end."""
    found = all_rows(connection, "ends", {"user_ids": json_array(user_ids)}, kind=_End)
    return {end.user_id: end for end in found}
