"""A step of a publication on PostgreSQL: copies for most users, and an append for the others.

Every function runs inside the writer's transaction, in which the step is alone: no other request holds users
before the step locks its own. The statements stand in audiences.sql.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import asyncpg

from pns.adapters.stores.announcements import NotCaughtUp, dependents
from pns.adapters.stores.copies import Copies, Parted, Step, part
from pns.adapters.stores.postgres.append import append
from pns.adapters.stores.postgres.level import behind_among
from pns.adapters.stores.postgres.rows import (
    SQL,
    Session,
    affected,
    kind_of_rows,
    recordset,
    rows,
    single_column,
    single_value,
)
from pns.adapters.stores.publications import drafts_of, step_ahead_of, step_of
from pns.adapters.stores.statements import columns
from pns.contracts.audiences import Publication, Reached
from pns.contracts.store import Appended

_NEW = columns("postgres/store.sql", "new")
_Copy = kind_of_rows("later", "now", "due_at", "expires_at", *_NEW)


class _Locked(NamedTuple):
    """How many users of a step are still known, and how many of these are not level."""

    users: int
    behind: int


class Foresight:
    """Whether steps look at each inbox before they copy. A look costs time, and mostly no inbox has one of
    the ids. After a refusal, the steps of the same publication look: what was refused has left dead rows.
    """

    def __init__(self) -> None:
        self._refused = ""

    def looks(self, publication: Publication) -> bool:
        return publication.publication_id == self._refused

    def note_refused(self, publication: Publication) -> None:
        """An inbox had one of the publication's ids."""
        self._refused = publication.publication_id


async def reach(session: Session, step: Step, foresight: Foresight) -> Reached | NotCaughtUp | None:
    """See Audiences.reach. Writes nothing before it knows that the inboxes are level. `foresight`: the same
    one for all steps.
    """
    locked = _Locked(0, 0)
    if step.users:
        (locked,) = await rows(session, "lock_subscribers", _among(step.user_keys), kind=_Locked)
    copies = step.copies
    may_be_alike = locked == (len(step.users), 0) and not foresight.looks(step.publication)
    if copies is not None and may_be_alike and await _seem_alike(session, step, copies):
        await session.execute(SQL["begin_copies"].text)
        try:
            return await _reach_alike(session, step, copies)
        except asyncpg.UniqueViolationError:
            await session.execute(SQL["undo_copies"].text)
            foresight.note_refused(step.publication)
    return await _reach_each(session, step)


async def _seem_alike(session: Session, step: Step, copies: Copies) -> bool:
    """Whether no user has a say, unless an inbox has one of the ids. The engine refuses copies for such an
    inbox, which costs less than a look at every inbox.
    """
    if copies.collapse_keys or copies.categories:
        return False
    where = {"user_keys": step.user_keys, "ids": copies.ids}
    return not await single_value(session, "held_elsewhere", where)


async def _reach_alike(session: Session, step: Step, copies: Copies) -> Reached | None:
    """Raises UniqueViolationError when an inbox has one of the ids."""
    parted = part(step, ())
    if not await affected(session, *_progress(step, parted)):
        return None
    copied = await _copy(session, copies, parted) if parted.alike else 0
    return parted.reached(copied, Appended([], 0, {}))


async def _reach_each(session: Session, step: Step) -> Reached | NotCaughtUp | None:
    """After a look at each inbox."""
    parted, now = part(step, await _with_a_say(session, step)), step.alone.now
    wanted = drafts_of(step.publication, parted.alone, now)
    behind = await behind_among(session, dependents(wanted)) if wanted else []
    if behind:
        return NotCaughtUp(behind)
    if not await affected(session, *_progress(step, parted)):
        return None
    copied = await _copy(session, step.copies, parted) if step.copies is not None and parted.alike else 0
    (appended,) = await append(session, [step.alone._replace(wanted=wanted)])
    assert isinstance(appended, Appended), "what yields makes no conflict"
    return parted.reached(copied, appended)


def _among(user_keys: Collection[int]) -> dict[str, object]:
    return {"user_keys": [*user_keys], "first": min(user_keys), "last": max(user_keys)}


async def _with_a_say(session: Session, step: Step) -> set[int]:
    """The keys of users who are looked at alone."""
    if step.copies is None or not step.users:
        return set(step.user_keys)
    where = {
        **_among(step.user_keys),
        "ids": step.copies.ids,
        "collapse_keys": step.copies.collapse_keys,
        "categories": step.copies.categories,
    }
    return set(await single_column(session, "with_a_say", where))


def _progress(step: Step, parted: Parted) -> tuple[str, Mapping[str, object]]:
    """The statement that records the step, and its parameters."""
    users, now = parted.users, step.alone.now
    if step.ahead:
        return "advance_ahead", step_ahead_of(step.publication, users, now)
    return "advance", step_of(step.publication, users, now, end=parted.end, complete=parted.complete)


async def _copy(session: Session, copies: Copies, parted: Parted) -> int:
    """Returns how many copies each user got."""
    count = len(copies.drafts)
    same = [
        _Copy(later, copies.now, copies.due_at, copies.expires_at, *(getattr(draft, name) for name in _NEW))
        for later, draft in zip(reversed(range(count)), copies.drafts, strict=True)
    ]
    users = _among([user.user_key for user in parted.alike])
    parameters = {**users, "count": count, "copies": recordset(same)}
    await affected(session, "copy" if copies.push is None else "push_copies", parameters)
    return count
