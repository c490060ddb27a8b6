"""Reading from PostgreSQL: pages of an inbox, states of users, who is connected where.

Every function runs outside any transaction: each statement sees one commit's truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.numbers import READ_CATEGORIES, CountRow, counts_from
from pns.adapters.stores.pages import Kind, page_filter, page_statement
from pns.adapters.stores.postgres.level import require_level
from pns.adapters.stores.postgres.rows import Session, rows, safe, safe_id, single_value, tuples
from pns.adapters.stores.schema import SCHEMA_VERSION
from pns.contracts.store import CountsOf, Cursor, LivingNode, Place, Presence, State, StoreReport
from pns.errors import UnknownNotification
from pns.model.counts import Counts
from pns.model.notification import Page, StoredNotification

_FIRST, _LAST = 0, 2**63 - 1
_ANY_TIME = -(2**63)


async def page(session: Session, user_id: str, cursor: Cursor, *, kind: Kind, now: int) -> Page:
    """A page of the user's "unseen", "seen" or whole "inbox". Raises UnknownNotification and NotCaughtUp."""
    await require_level(session, [user_id])
    user_key = await _user_key(session, user_id)
    if user_key is None:
        if cursor.after or cursor.before:
            raise UnknownNotification
        return Page(0, ())
    if cursor.place is not None and cursor.place.user_key != user_key:
        return Page(user_key, ())
    where = {
        **safe(page_filter(kind, cursor)),
        "user_key": user_key,
        "seq": await _start(session, user_key, cursor),
        "received_after": _ANY_TIME if cursor.received_after is None else min(cursor.received_after, _LAST),
        "now": now,
        "limit": min(cursor.limit, _LAST),
        "max_bytes": min(cursor.max_bytes, _LAST),
    }
    statement = page_statement(kind, cursor)
    if statement is None:
        return Page(user_key, ())
    return Page(user_key, tuple(await rows(session, statement, where, kind=StoredNotification)))


async def _user_key(session: Session, user_id: str) -> int | None:
    found: int | None = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    return found


async def _start(session: Session, user_key: int, cursor: Cursor) -> int:
    if cursor.place is not None:
        return cursor.place.seq
    backwards = cursor.before is not None
    notification_id = cursor.before if cursor.before is not None else cursor.after
    if not notification_id:
        return _LAST if backwards else _FIRST
    return await _place(session, user_key, notification_id)


async def _place(session: Session, user_key: int, notification_id: str) -> int:
    place = {"user_key": user_key, "notification_id": safe_id(notification_id)}
    found: int | None = await single_value(session, "place", place)
    if found is None:
        raise UnknownNotification
    return found


async def place_of(session: Session, user_id: str, notification_id: str) -> Place:
    """The user's key, and the place of one notification. Raises UnknownNotification and NotCaughtUp."""
    await require_level(session, [user_id])
    user_key = await _user_key(session, user_id)
    if user_key is None:
        raise UnknownNotification
    return Place(user_key, await _place(session, user_key, notification_id))


async def states(session: Session, user_ids: Collection[str]) -> dict[str, State]:
    """See Store.states. Raises NotCaughtUp."""
    found = dict.fromkeys(user_ids, State())
    revocations: dict[str, dict[str, int]] = {}
    behind: dict[str, None] = {}
    asked = {"user_ids": [user_id for user_id in found if "\0" not in user_id]}
    for user_id, user_key, version, unseen, device_id, revocation, misses in await tuples(
        session, "states", asked
    ):
        of_user = revocations.setdefault(user_id, {})
        if device_id is not None:
            of_user[device_id] = revocation
        found[user_id] = State(user_key or 0, version or 0, unseen or 0, of_user)
        if misses:
            behind[user_id] = None
    if behind:
        raise NotCaughtUp(behind)
    return found


async def counts(session: Session, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
    """See Store.counts. Raises NotCaughtUp."""
    await require_level(session, {one.user_id for one in asked})
    first = [one for one in asked if one.categories is None]
    named = [one for one in asked if one.categories is not None]
    return {**await _first_counts(session, first), **await _named_counts(session, named)}


async def _first_counts(session: Session, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
    where = {"user_ids": _ids(asked), "limit": READ_CATEGORIES}
    found = _by_user(await tuples(session, "first_counts", where) if asked else [])
    return {one: counts_from(found[one.user_id], one) for one in asked}


async def _named_counts(session: Session, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
    names = {(safe_id(one.user_id), safe_id(name)) for one in asked for name in one.categories or ()}
    where = {
        "user_ids": _ids(asked),
        "of": [user_id for user_id, _ in names],
        "categories": [category for _, category in names],
    }
    found = _by_user(await tuples(session, "named_counts", where) if asked else [])
    return {one: counts_from(found[one.user_id], one) for one in asked}


def _ids(asked: Collection[CountsOf]) -> list[str]:
    return list({safe_id(one.user_id) for one in asked})


def _by_user(found: Collection[tuple[Any, ...]]) -> dict[str, list[CountRow]]:
    """The rows of each user in the order of categories, which is the order of bytes: names are ASCII."""
    by_user: dict[str, list[CountRow]] = defaultdict(list)
    for user_id, *numbers in found:
        by_user[user_id].append(CountRow(*numbers))
    for of_user in by_user.values():
        of_user.sort(key=lambda row: row.category or "")
    return by_user


async def newest_revocation(session: Session) -> int:
    """See Store.newest_revocation."""
    return await single_value(session, "newest_revocation", {}) or 0


async def fleet(session: Session, now: int) -> list[LivingNode]:
    """See Store.fleet."""
    return await rows(session, "fleet", {"now": now}, kind=LivingNode)


async def presences(session: Session, user_id: str, *, except_node: str, now: int) -> list[Presence]:
    """See Store.presences."""
    where = {"user_id": safe_id(user_id), "except_node": except_node, "now": now}
    return await rows(session, "presences", where, kind=Presence)


async def any_expired(session: Session, now: int) -> bool:
    """Whether a notification's `expire_date` has passed. One read of an index."""
    return await single_value(session, "any_expired", {"now": now}) is not None


async def secret(session: Session, name: str) -> str | None:
    """The secret of this name, if made already."""
    found: str | None = await single_value(session, "read_secret", {"name": name})
    return found


async def copy_mark(session: Session) -> str | None:
    """The mark of a copy into this store that is not complete."""
    found: str | None = await single_value(session, "copy_mark", {})
    return found


async def report(session: Session, place: str) -> StoreReport:
    """See Store.report."""
    version, oldest_code = (await tuples(session, "schema", {}))[0]
    server, size, synchronous, fsync, whole_pages = (await tuples(session, "server", {}))[0]
    return StoreReport(
        place=f"{place}, {size / 2**20:.1f} MiB, PostgreSQL {server}",
        schema=version,
        oldest_code=oldest_code,
        code=SCHEMA_VERSION,
        durability=f"synchronous_commit {synchronous}, fsync {fsync}, full_page_writes {whole_pages}",
        durable=(synchronous, fsync, whole_pages) == ("on", "on", "on"),
    )
