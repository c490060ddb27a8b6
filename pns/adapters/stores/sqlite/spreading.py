"""A step of a publication on SQLite: copies for most users, and an append for the others.

Every function runs in the writer's thread, in the transaction of a step. The statements stand in
audiences.sql.
"""

from __future__ import annotations

import sqlite3

from pns.adapters.stores.copies import Copies, Parted, Step, part
from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.publications import drafts_of, step_ahead_of, step_of
from pns.adapters.stores.sqlite.append import append
from pns.adapters.stores.sqlite.level import require_level_for
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array
from pns.adapters.stores.statements import columns
from pns.contracts.audiences import Reached
from pns.contracts.store import Appended

_COLUMNS = columns("sqlite/store.sql", "new")


def reach(connection: sqlite3.Connection, step: Step) -> Reached | None:
    """See Audiences.reach. Writes nothing before it knows that the inboxes are level."""
    parted, now = part(step, _with_a_say(connection, step)), step.alone.now
    wanted = drafts_of(step.publication, parted.alone, now)
    require_level_for(connection, wanted)
    if not affected(connection, *_progress(step, parted)):
        return None
    copied = _copy(connection, step.copies, parted) if step.copies is not None and parted.alike else 0
    (appended,) = append(connection, [step.alone._replace(wanted=wanted)])
    assert isinstance(appended, Appended), "what yields makes no conflict"
    return parted.reached(copied, appended)


def _with_a_say(connection: sqlite3.Connection, step: Step) -> set[int]:
    """The keys of users who are looked at alone."""
    if step.copies is None:
        return set(step.user_keys)
    where = {
        "user_keys": json_array(step.user_keys),
        "ids": json_array(step.copies.ids),
        "collapse_keys": json_array(step.copies.collapse_keys),
        "categories": json_array(step.copies.categories),
    }
    return {user_key for (user_key,) in all_rows(connection, "with_a_say", where, kind=tuple[int])}


def _progress(step: Step, parted: Parted) -> tuple[str, dict[str, object]]:
    """The statement that records the step, and its parameters."""
    users, now = parted.users, step.alone.now
    if step.ahead:
        return "advance_ahead", step_ahead_of(step.publication, users, now)
    return "advance", step_of(step.publication, users, now, end=parted.end, complete=parted.complete)


def _copy(connection: sqlite3.Connection, copies: Copies, parted: Parted) -> int:
    """Returns how many copies each user got."""
    count = len(copies.drafts)
    users = {"user_keys": json_array([user.user_key for user in parted.alike])}
    connection.execute(SQL["take_places"], {**users, "count": count})
    for later, draft in zip(reversed(range(count)), copies.drafts, strict=True):
        row = {**users, "later": later, **_columns(draft)}
        connection.execute(SQL["copy"], row)
        if copies.push is not None:
            times = {"now": copies.now, "due_at": copies.due_at, "expires_at": copies.expires_at}
            connection.execute(SQL["push_copies"], {**row, **times})
    return count


def _columns(draft: Draft) -> dict[str, object]:
    said = draft._asdict()
    return {name: said[name] for name in _COLUMNS}
