"""The rows that a batch replaces, and the notifications that take them over. Both engines share this part.

A newer notification takes over the row of an older one if both are of one group, or both of none. The row
gets a new place and new columns, and no count changes. Knows no statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pns.adapters.stores.additions import Added
from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.groups import FoundGroup


class Kept(NamedTuple):
    """An unseen notification with a collapse key of the batch. `member`: as in a FoundGroup."""

    user_id: str
    user_key: int
    collapse_key: str
    seq: int
    group_key: int | None
    grouped: str | None
    expire_date: int | None
    notification_id: str
    create_date: int
    category: str | None
    member: str | None

    @property
    def group(self) -> FoundGroup | None:
        if self.group_key is None or self.grouped is None:
            return None
        return FoundGroup(self.collapse_key, self.group_key, self.grouped, self.expire_date, self.member)


Subjects = dict[str, dict[int, Kept]]
"""A user's unseen notifications by collapse key, and then by place."""

Asked = tuple[str, str, str | None]
"""A user, a collapse key, and the member of a group."""


def asked(drafts: Iterable[Draft]) -> list[Asked]:
    """The subjects of `drafts`, each with each member once."""
    subjects = {
        (draft.user_id, draft.collapse_key, None if draft.group is None else draft.group.member): None
        for draft in drafts
        if draft.collapse_key is not None
    }
    return list(subjects)


class New(NamedTuple):
    """A notification with a new row. `number`: counted from 0 among the user's additions."""

    number: int
    added: Added


class Heir(NamedTuple):
    """A notification, and the row of the older one."""

    number: int
    added: Added
    row: Kept


@dataclass(slots=True)
class Placed:
    """The rows of one user that a batch writes or removes."""

    new: list[New] = field(default_factory=list)
    heirs: list[Heir] = field(default_factory=list)
    gone: list[Kept] = field(default_factory=list)
    """Replaced notifications whose rows are removed."""

    @property
    def added(self) -> list[Added]:
        """The notifications to store."""
        return [*(one.added for one in self.new), *(one.added for one in self.heirs)]

    @property
    def replaced(self) -> list[Kept]:
        return [*(heir.row for heir in self.heirs), *self.gone]


def placed(added: Sequence[Added], kept: Subjects) -> Placed:
    """The rows of `added`, whose collapse keys differ."""
    found = Placed()
    for number, one in enumerate(added):
        key = one.draft.collapse_key
        old = [] if key is None else [*kept.get(key, {}).values()]
        row = next((row for row in old if row.group_key == one.draft.group_key), None)
        if row is None:
            found.new.append(New(number, one))
        else:
            found.heirs.append(Heir(number, one, row))
        found.gone += [other for other in old if other is not row]
    return found
