"""What is due, from rows to drafts: the part of delivering that both engines share.

Knows no statement and touches no database. Rows take the columns of the statements by name.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft
from pns.contracts.timeline import Note
from pns.model.pending import read_member
from pns.model.timeline import What


class DueRow(NamedTuple):
    """A notification whose time has come. `user_id` is None when the user was erased. The other members are
    the columns of `pending`.
    """

    user_id: str | None
    user_key: int
    deliver_date: int
    snoozed: int
    member: str | None
    notification_id: str
    data: str
    create_date: int
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    push: str | None
    group_key: int | None
    grouped: str | None
    webhook: int | None

    @property
    def subject(self) -> Subject | None:
        """What keeps a snoozed notification from coming back, when something unseen has it."""
        if not self.snoozed or self.collapse_key is None:
            return None
        return Subject(self.user_key, self.collapse_key)


class Subject(NamedTuple):
    """A collapse key of a user."""

    user_key: int
    collapse_key: str


class PendingGroup(NamedTuple):
    """A snoozed notification that stands for a group."""

    user_key: int
    notification_id: str
    group_key: int
    grouped: str


class Taken(NamedTuple):
    """A notification that waits no more, and its group."""

    user_key: int
    group_key: int | None


class Recalled(NamedTuple):
    """A pending notification, taken back. `create_date`: of a snoozed notification, stored once before."""

    user_key: int
    group_key: int | None
    notification_id: str
    create_date: int | None
    category: str | None

    @property
    def taken(self) -> Taken:
        """The notification's group."""
        return Taken(self.user_key, self.group_key)

    def note(self, at: int) -> Note:
        """The note for the user's timeline."""
        note = Note(self.user_key, at, self.notification_id, What.WITHDRAWN, self.create_date)
        return note._replace(category=self.category)


def runs(due: Iterable[DueRow]) -> Iterator[list[DueRow]]:
    """`due` in parts to append one after the other: a snoozed notification shares its part with none of the
    same user. Erased users are left out.
    """
    run: list[DueRow] = []
    users: set[int] = set()
    alone: set[int] = set()
    for row in due:
        if row.user_id is None:
            continue
        if row.user_key in (users if row.snoozed else alone):
            yield run
            run, users, alone = [], set(), set()
        run.append(row)
        users.add(row.user_key)
        if row.snoozed:
            alone.add(row.user_key)
    if run:
        yield run


def subjects(run: Iterable[DueRow]) -> list[Subject]:
    """The subjects of a part, which its caller looks up among what is unseen."""
    return [row.subject for row in run if row.subject is not None]


def drafts_of(run: Sequence[DueRow], unseen: Container[Subject]) -> list[Draft]:
    """The drafts of a part. `unseen`: the subjects of unseen notifications. A kept notification with the same
    id stays.
    """
    return [_draft(row, row.user_id) for row in run if row.user_id is not None and row.subject not in unseen]


def _draft(row: DueRow, user_id: str) -> Draft:
    return Draft(
        user_id,
        row.notification_id,
        row.data,
        row.create_date,
        row.category,
        row.collapse_key,
        row.expire_date,
        row.push,
        id_given=True,
        user_key=row.user_key,
        yields=True,
        group=None if row.member is None else read_member(row.member),
        group_key=row.group_key,
        grouped=row.grouped,
        webhook=row.webhook,
    )


def groups(due: Iterable[DueRow]) -> list[Taken]:
    """The groups of snoozed notifications among `due`."""
    return [Taken(row.user_key, row.group_key) for row in due if row.group_key is not None]
