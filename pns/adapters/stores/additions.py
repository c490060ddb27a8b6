"""The additions of a batch to one user's inbox, and the rows that they replace: decided in memory, request by
request.

Both engines share this part of appending. Knows no statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft, Known
from pns.adapters.stores.groups import Growing
from pns.adapters.stores.timeline import Passed
from pns.model.push import PushSchedule
from pns.model.timeline import What


class Added(NamedTuple):
    """A notification to store, and the terms of its pushes. Requests of a batch may differ in terms."""

    draft: Draft
    now: int
    terms: PushSchedule | None

    @property
    def due_at(self) -> int | None:
        return None if self.terms is None else self.terms.due_at(self.now)

    @property
    def expires_at(self) -> int | None:
        return None if self.terms is None else self.terms.expires_at(self.now)


@dataclass(slots=True)
class Additions:
    """One user's inbox, as far as the batch needs the inbox: notifications with given ids, groups, and new
    notifications.
    """

    data: dict[str, str | int] = field(default_factory=dict)
    """By id; for an id in a group, the digest of the data."""
    replaceable: dict[str, str] = field(default_factory=dict)
    """Collapse key by id, of unseen notifications and of the ids in their groups."""
    groups: dict[str, Growing] = field(default_factory=dict)
    """By collapse key, of the unseen."""
    waiting: set[str] = field(default_factory=set)
    """The ids of notifications that wait for their `deliver_date`."""
    to_wait: list[Draft] = field(default_factory=list)
    """Those of them that are new."""
    passed: list[Passed] = field(default_factory=list)
    """Notifications that the batch took and does not store, for timelines."""
    _added: dict[str, Added] = field(default_factory=dict)
    """By collapse key, or by id without one: ids have 1 to 64 characters, so a key begins with a space."""

    def add(self, new: Sequence[Draft], now: int, terms: PushSchedule | None = None) -> None:
        """Store `new` one after the other."""
        for draft in new:
            id, key = draft.notification_id, draft.collapse_key
            if key is None:
                self.take(draft, now, terms)
                continue
            self._replace(draft, key, now)
            before = self._added.pop(f" {key}", None)
            if before is not None:
                self.passed.append(Passed(before.draft, What.REPLACED, now))
            self._added[f" {key}"] = Added(draft, now, terms)
            self.replaceable[id] = key
            self.data[id] = draft.data

    def take(self, draft: Draft, now: int, terms: PushSchedule | None = None) -> None:
        """The same for one draft without a collapse key."""
        self._added[draft.notification_id] = Added(draft, now, terms)
        self.data[draft.notification_id] = draft.data

    def know(self, id: str, data: str | int, collapse_key: str | None, *, waits: bool) -> None:
        """An id is kept, with its data or their digest. `collapse_key`: of an unseen notification. `waits`:
        the notification, or that of the group, waits for its time.

        Of an id that is kept twice, the notification counts more than the group that took in the id, and both
        more than a waiting one.
        """
        if id in self.data and (waits or (isinstance(data, int) and id not in self.waiting)):
            return
        self.data[id] = data
        (self.waiting.add if waits else self.waiting.discard)(id)
        self.replaceable.pop(id, None)
        if collapse_key is not None:
            self.replaceable[id] = collapse_key

    def wait(self, new: Sequence[Draft]) -> None:
        """Let `new` wait for their `deliver_date`."""
        self.to_wait += new
        self.waiting.update(draft.notification_id for draft in new)
        self.data.update((draft.notification_id, draft.data) for draft in new)

    @property
    def known(self) -> Known:
        """The ids that the inbox knows."""
        return Known(self.data, self.waiting)

    def _replace(self, draft: Draft, key: str, now: int) -> None:
        """Let `draft` replace the unseen notification of the same key, and inherit the group."""
        group = self.groups.get(key)
        if group is not None and (draft.group is None or _is_over(group.ends_at, now)):
            del self.groups[key]
            group = None
        if group is None:
            self._forget(key)
            if draft.group is None:
                return
            group = self.groups[key] = Growing()
        group.take_in(draft)

    def _forget(self, key: str) -> None:
        for id in [id for id, replaceable in self.replaceable.items() if replaceable == key]:
            del self.replaceable[id], self.data[id]

    @property
    def is_empty(self) -> bool:
        return not self._added

    @property
    def added(self) -> list[Added]:
        """The notifications to store, in order."""
        return [
            one
            if one.draft.group is None
            else Added(self._grown(one.draft).row(one.draft), one.now, one.terms)
            for one in self._added.values()
        ]

    @property
    def grown(self) -> list[Growing]:
        """The groups with new ids."""
        return [group for group in self.groups.values() if group.ids]

    def _grown(self, draft: Draft) -> Growing:
        return self.groups[draft.collapse_key or ""]


def _is_over(ends_at: int | None, now: int) -> bool:
    return ends_at is not None and ends_at <= now


def number_of_rows(new: Iterable[Draft]) -> int:
    """The number of rows in the end, when the drafts are stored one after the other."""
    drafts = list(new)
    return len({draft.collapse_key for draft in drafts} - {None}) + sum(
        draft.collapse_key is None for draft in drafts
    )
