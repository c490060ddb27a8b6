"""One batch of the group commit on PostgreSQL: as few statements as its requests allow, and one commit.

Two kinds of batches are a single statement, which commits itself: appends without need of a lock, and marks
of sent notifications. Appends that replace are such a statement, too, after a look at the inboxes. The
statement checks that no other node has changed these inboxes since. Any other batch is a transaction, and
locks the users concerned before reading their rows. The order of locks stands in session.sql.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, TypeVar
from zlib import crc32

from pns.adapters.stores.announcements import NotCaughtUp, dependents
from pns.adapters.stores.appends import Append
from pns.adapters.stores.group_commit import Rejected
from pns.adapters.stores.postgres.append import NeedsLock, append
from pns.adapters.stores.postgres.errors import (
    ENGINE_ERRORS,
    concerns_all,
    uncertain,
    unknown,
    worth_another_try,
)
from pns.adapters.stores.postgres.preferences import Foresight
from pns.adapters.stores.postgres.rows import SQL, Session, affected, safe_id, single_column, tuples
from pns.adapters.stores.postgres.writes import Found, MarkSent, Name, Write, mark_places

T = TypeVar("T")
Request = Append | MarkSent | Write[Any]

TRIES = 5
"""The number of tries for a batch in conflict with other nodes' transactions."""
NAMES, NUMBERS = 1_000, 256
"""The first number of a name's lock, and the count of numbers: a server has room for some thousand."""


async def commit(session: Session, requests: Sequence[Request], foresight: Foresight) -> list[object]:
    """The outcome of each of `requests`, once all are on disk. `foresight`: the same one for all batches.

    Raises the engine's errors when the engine is away, Rejected when the engine refused these requests, and
    Unknown when the requests may have been stored, or not.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            outcomes = await _commit(session, requests, asks=foresight.asks)
            foresight.note_stored()
            return outcomes
        except ENGINE_ERRORS as error:
            if concerns_all(error):
                raise
            foresight.note_refused()
            if not worth_another_try(error) or not tries_left:
                raise Rejected from error
    raise AssertionError


async def _commit(session: Session, requests: Sequence[Request], *, asks: bool) -> list[object]:
    """`asks`: see append."""
    appends = [request for request in requests if isinstance(request, Append)]
    marks = [request for request in requests if isinstance(request, MarkSent)]
    if len(appends) == len(requests) and all(
        request.needs_no_lock or (not asks and request.needs_version) for request in appends
    ):
        with suppress(NeedsLock):
            return [*await _commit_or_unknown(append(session, appends, asks=asks, locked=False))]
    if len(marks) == len(requests) and not any(mark.tells for mark in marks):
        return [*await _commit_or_unknown(mark_places(session, marks))]
    return await _transact(session, requests, asks=asks)


async def _transact(session: Session, requests: Sequence[Request], *, asks: bool) -> list[object]:
    erases = any(isinstance(request, Write) and request.erases for request in requests)
    turns = sorted(range(len(requests)), key=lambda number: _is_last(requests[number]))
    try:
        await session.execute(SQL["begin_erasing" if erases else "begin"].text)
        outcomes = await _work(session, [requests[number] for number in turns], asks=asks)
    except BaseException:
        with suppress(*ENGINE_ERRORS):  # a connection that is left in a transaction is not used again
            await session.execute(SQL["roll_back"].text)
        raise
    await _commit_or_unknown(session.execute(SQL["commit"].text))
    by_number = dict(zip(turns, outcomes, strict=True))
    return [by_number[number] for number in range(len(requests))]


def _is_last(request: Request) -> bool:
    return isinstance(request, Write) and request.last


async def _work(session: Session, requests: Sequence[Request], *, asks: bool) -> list[object]:
    writes = [request for request in requests if isinstance(request, Write)]
    await _lock_names(session, [name for write in writes for name in write.names])
    found = {
        number: await request.find(session)
        for number, request in enumerate(requests)
        if isinstance(request, Write) and request.find is not None
    }
    makes = {user_id for write in writes for user_id in write.makes}
    for write in writes:
        if write.find_new is not None:
            makes.update(await write.find_new(session))
    made, behind = await _lock(session, requests, chain.from_iterable(found.values()), makes=makes)
    outcomes: list[object] = []
    for number, request in enumerate(requests):
        if isinstance(request, Write):
            outcomes += await _appends_and_marks(session, requests[len(outcomes) : number], behind, asks=asks)
            missing = _behind(request, found.get(number, ()), behind) if request.level else []
            if missing:
                outcomes.append(NotCaughtUp(missing))
            else:
                outcomes.append(await request.run(session, *([found[number]] if number in found else [])))
    outcomes += await _appends_and_marks(session, requests[len(outcomes) :], behind, asks=asks)
    unused = set(made) - makes
    if unused:
        await affected(session, "delete_unused", {"user_ids": [*unused]})
    return outcomes


def _behind(request: Write[Any], found: Found, behind: Mapping[int, str]) -> list[str]:
    """Those of the request's users who are not level."""
    keys = {*request.user_keys, *(user_key for user_key, *_ in found)}
    return [id for key, id in behind.items() if key in keys or id in request.user_ids]


async def _appends_and_marks(
    session: Session, requests: Sequence[Request], behind: Mapping[int, str], *, asks: bool
) -> list[object]:
    """The outcomes of appends and marks: first all appends, then all marks, for they are independent.

    An append waits whose outcome depends on an inbox that is not level.
    """
    users = set(behind.values())
    missing = {
        number: dependents(request.wanted) & users
        for number, request in enumerate(requests)
        if users and isinstance(request, Append)
    }
    ready = [
        request
        for number, request in enumerate(requests)
        if isinstance(request, Append) and not missing.get(number)
    ]
    appended = iter(await append(session, ready, asks=asks))
    marked = iter(await mark_places(session, [r for r in requests if isinstance(r, MarkSent)]))
    return [
        NotCaughtUp(missing[number])
        if missing.get(number)
        else next(appended if isinstance(request, Append) else marked)
        for number, request in enumerate(requests)
    ]


async def _lock_names(session: Session, names: Sequence[Name]) -> None:
    owned = {number_of(name.text) for name in names if not name.shared}
    numbers = {number_of(name.text) for name in names}
    if numbers:
        locks = {"numbers": [*numbers], "shared": [number not in owned for number in numbers]}
        await single_column(session, "lock_names", locks)


def number_of(name: str) -> int:
    """The number of a name's lock. Names share numbers: a needless wait lasts no longer than a commit."""
    return NAMES + crc32(name.encode()) % NUMBERS


async def _lock(
    session: Session, requests: Sequence[Request], found: Iterable[tuple[Any, ...]], *, makes: Iterable[str]
) -> tuple[list[str], dict[int, str]]:
    """Lock all users concerned; returns the users that were made for the lock, and by key the users who are
    not level.
    """
    appended: set[str] = set(makes)
    user_ids: set[str] = set()
    user_keys: set[int] = {user_key for user_key, *_ in found}
    for request in requests:
        if isinstance(request, Append):
            appended.update(draft.user_id for draft in request.wanted)
        elif isinstance(request, MarkSent):
            user_keys.add(request.user_key)
        else:
            user_ids.update(map(safe_id, request.user_ids))
            user_keys.update(request.user_keys)
    if not (appended or user_ids or user_keys):
        return [], {}
    concerned = {"appended": [*appended], "user_ids": [*user_ids], "user_keys": [*user_keys]}
    locked = await tuples(session, "lock_users", concerned)
    made = [user_id for user_id, user_key in locked if user_key is None]
    return made, {user_key: user_id for user_id, user_key in locked if user_key is not None}


async def _commit_or_unknown(work: Awaitable[T]) -> T:
    """The result of `work`, which commits. Raises Unknown when the commit may have succeeded or failed."""
    try:
        return await work
    except ENGINE_ERRORS as error:
        if uncertain(error):
            raise unknown() from error
        raise
