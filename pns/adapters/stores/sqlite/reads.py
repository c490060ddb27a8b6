"""Reading: pages of an inbox, states of users, who is connected where.

Every function takes a raw connection and runs in its thread, outside any transaction: each statement sees one
commit's truth. A page is read row by row and left as soon as it is full.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.drafts import byte_length
from pns.adapters.stores.numbers import READ_CATEGORIES, CountRow, counts_from
from pns.adapters.stores.pages import Kind, page_filter, page_statement
from pns.adapters.stores.schema import SCHEMA_VERSION
from pns.adapters.stores.sqlite.level import require_level
from pns.adapters.stores.sqlite.place import doubt
from pns.adapters.stores.sqlite.rows import SQL, all_rows, json_array, row, rows
from pns.contracts.store import CountsOf, Cursor, LivingNode, Place, Presence, State, StoreReport
from pns.errors import UnknownNotification
from pns.model.counts import Counts
from pns.model.notification import Page, StoredNotification

_FIRST, _LAST = 0, 2**63 - 1
_ANY_TIME = -(2**63)
_STATES_AT_ONCE = 500
_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")


class _State(NamedTuple):
    user_id: str
    user_key: int | None
    version: int | None
    unseen: int | None
    device_id: str | None
    revocation: int | None
    behind: int | None


def page(connection: sqlite3.Connection, user_id: str, cursor: Cursor, *, kind: Kind, now: int) -> Page:
    """A page of the user's "unseen", "seen" or whole "inbox". Raises UnknownNotification and NotCaughtUp."""
    require_level(connection, [user_id])
    user_key = _user_key(connection, user_id)
    if user_key is None:
        if cursor.after or cursor.before:
            raise UnknownNotification
        return Page(0, ())
    if cursor.place is not None and cursor.place.user_key != user_key:
        return Page(user_key, ())
    where = {
        **page_filter(kind, cursor),
        "user_key": user_key,
        "seq": _start(connection, user_key, cursor),
        "received_after": _ANY_TIME if cursor.received_after is None else min(cursor.received_after, _LAST),
        "now": now,
        "limit": min(cursor.limit, _LAST),
    }
    statement = page_statement(kind, cursor)
    if statement is None:
        return Page(user_key, ())
    items: list[StoredNotification] = []
    room = cursor.max_bytes
    for item in rows(connection, statement, where, kind=StoredNotification):
        room -= byte_length(item.notification_data)
        if items and room < 0:
            break
        items.append(item)
    return Page(user_key, tuple(items))


def _user_key(connection: sqlite3.Connection, user_id: str) -> int | None:
    found = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    return None if found is None else found[0]


def _start(connection: sqlite3.Connection, user_key: int, cursor: Cursor) -> int:
    if cursor.place is not None:
        return cursor.place.seq
    backwards = cursor.before is not None
    notification_id = cursor.before if cursor.before is not None else cursor.after
    if not notification_id:
        return _LAST if backwards else _FIRST
    return _place(connection, user_key, notification_id)


def _place(connection: sqlite3.Connection, user_key: int, notification_id: str) -> int:
    place = {"user_key": user_key, "notification_id": notification_id}
    found = row(connection, "place", place, kind=tuple[int])
    if found is None:
        raise UnknownNotification
    return found[0]


def place_of(connection: sqlite3.Connection, user_id: str, notification_id: str) -> Place:
    """The user's key, and the place of one notification. Raises UnknownNotification and NotCaughtUp."""
    require_level(connection, [user_id])
    user_key = _user_key(connection, user_id)
    if user_key is None:
        raise UnknownNotification
    return Place(user_key, _place(connection, user_key, notification_id))


def states(connection: sqlite3.Connection, user_ids: Collection[str]) -> dict[str, State]:
    """See Store.states. Raises NotCaughtUp."""
    found = dict.fromkeys(user_ids, State())
    asked = [user_id for user_id in found if "\0" not in user_id]  # json_each would cut it off there
    for start in range(0, len(asked), _STATES_AT_ONCE):
        found.update(_some_states(connection, asked[start : start + _STATES_AT_ONCE]))
    return found


def _some_states(connection: sqlite3.Connection, user_ids: Collection[str]) -> dict[str, State]:
    found: dict[str, State] = {}
    behind: dict[str, None] = {}
    revocations: dict[str, dict[str, int]] = {}
    for user_id, user_key, version, unseen, device_id, revocation, misses in rows(
        connection, "states", {"user_ids": json_array(user_ids)}, kind=_State
    ):
        of_user = revocations.setdefault(user_id, {})
        if device_id is not None and revocation is not None:
            of_user[device_id] = revocation
        found[user_id] = State(user_key or 0, version or 0, unseen or 0, of_user)
        if misses:
            behind[user_id] = None
    if behind:
        raise NotCaughtUp(behind)
    return found


def counts(connection: sqlite3.Connection, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
    """See Store.counts. Raises NotCaughtUp."""
    require_level(connection, {one.user_id for one in asked})
    return {one: counts_from(_count_rows(connection, one), one) for one in asked}


def _count_rows(connection: sqlite3.Connection, asked: CountsOf) -> list[CountRow]:
    if asked.categories is None:
        first = {"user_id": asked.user_id, "limit": READ_CATEGORIES}
        return all_rows(connection, "first_counts", first, kind=CountRow)
    named = {"user_id": asked.user_id, "categories": json_array(asked.categories)}
    return all_rows(connection, "named_counts", named, kind=CountRow)


def newest_revocation(connection: sqlite3.Connection) -> int:
    """See Store.newest_revocation."""
    found = row(connection, "newest_revocation", (), kind=tuple[int])
    return 0 if found is None else found[0]


def presences(connection: sqlite3.Connection, user_id: str, *, except_node: str, now: int) -> list[Presence]:
    """See Store.presences."""
    where = {"user_id": user_id, "except_node": except_node, "now": now}
    return all_rows(connection, "presences", where, kind=Presence)


def fleet(connection: sqlite3.Connection, now: int) -> list[LivingNode]:
    """See Store.fleet."""
    return all_rows(connection, "fleet", {"now": now}, kind=LivingNode)


def any_expired(connection: sqlite3.Connection, now: int) -> bool:
    """Whether a notification's `expire_date` has passed. One read of an index."""
    return row(connection, "any_expired", {"now": now}, kind=tuple[int]) is not None


def secret(connection: sqlite3.Connection, name: str) -> str | None:
    """The secret of this name, if one was made already."""
    found = row(connection, "read_secret", {"name": name}, kind=tuple[str])
    return None if found is None else found[0]


def copy_mark(connection: sqlite3.Connection) -> str | None:
    """The mark of a copy into this store that is not complete."""
    found = row(connection, "copy_mark", (), kind=tuple[str])
    return None if found is None else found[0]


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection has committed."""
    found: int = connection.execute(SQL["data_version"]).fetchone()[0]
    return found


def report(connection: sqlite3.Connection, path: Path) -> StoreReport:
    """See Store.report; `connection` was prepared as all of the store's are."""
    version, oldest_code = all_rows(connection, "schema", (), kind=tuple[int, int])[0]
    journal = connection.execute(SQL["journal_mode"]).fetchone()[0]
    synchronous = connection.execute(SQL["synchronous"]).fetchone()[0]
    return StoreReport(
        place=f"{path}, {path.stat().st_size / 2**20:.1f} MiB, SQLite {sqlite3.sqlite_version}",
        schema=version,
        oldest_code=oldest_code,
        code=SCHEMA_VERSION,
        durability=f"journal_mode {journal}, synchronous {_SYNCHRONOUS[synchronous]}",
        durable=journal == "wal" and synchronous >= 2,
        doubt=doubt(path),
    )
