"""One batch of the group commit on PostgreSQL: as few statements as its requests allow, and one commit.

Two kinds of batches are a single statement, which commits itself: appends without need of a lock, and marks
of sent notifications. Any other batch is a transaction, and locks the users concerned before reading their
rows. The order of locks stands in session.sql.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, TypeVar
from zlib import crc32

from pns.adapters.stores.group_commit import Rejected
from pns.adapters.stores.postgres.append import Append, append
from pns.adapters.stores.postgres.errors import (
    ENGINE_ERRORS,
    concerns_all,
    uncertain,
    unknown,
    worth_another_try,
)
from pns.adapters.stores.postgres.rows import SQL, Session, affected, safe_id, single_column
from pns.adapters.stores.postgres.writes import MarkSent, Name, Write, mark_places

T = TypeVar("T")
Request = Append | MarkSent | Write[Any]

TRIES = 5
"""The number of tries for a batch in conflict with other nodes' transactions."""
NAMES, NUMBERS = 1_000, 256
"""The first number of a name's lock, and the count of numbers: a server has room for some thousand."""


async def commit(session: Session, requests: Sequence[Request]) -> list[object]:
    """The outcome of each of `requests`, once all are on disk.

    Raises the engine's errors when the engine is away, Rejected when the engine refused these requests, and
    Unknown when the requests may have been stored, or not.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            return await _commit(session, requests)
        except ENGINE_ERRORS as error:
            if concerns_all(error):
                raise
            if not worth_another_try(error) or not tries_left:
                raise Rejected from error
    raise AssertionError


async def _commit(session: Session, requests: Sequence[Request]) -> list[object]:
    appends = [request for request in requests if isinstance(request, Append)]
    marks = [request for request in requests if isinstance(request, MarkSent)]
    if len(appends) == len(requests) and all(request.needs_no_lock for request in appends):
        return [*await _commit_or_unknown(append(session, appends))]
    if len(marks) == len(requests):
        return [*await _commit_or_unknown(mark_places(session, marks))]
    return await _transact(session, requests)


async def _transact(session: Session, requests: Sequence[Request]) -> list[object]:
    erases = any(isinstance(request, Write) and request.erases for request in requests)
    turns = sorted(range(len(requests)), key=lambda number: _is_last(requests[number]))
    try:
        await session.execute(SQL["begin_erasing" if erases else "begin"].text)
        outcomes = await _work(session, [requests[number] for number in turns])
    except BaseException:
        with suppress(*ENGINE_ERRORS):  # a connection that is left in a transaction is not used again
            await session.execute(SQL["roll_back"].text)
        raise
    await _commit_or_unknown(session.execute(SQL["commit"].text))
    by_number = dict(zip(turns, outcomes, strict=True))
    return [by_number[number] for number in range(len(requests))]


def _is_last(request: Request) -> bool:
    return isinstance(request, Write) and request.last


async def _work(session: Session, requests: Sequence[Request]) -> list[object]:
    writes = [request for request in requests if isinstance(request, Write)]
    await _lock_names(session, [name for write in writes for name in write.names])
    found = {
        number: await request.find(session)
        for number, request in enumerate(requests)
        if isinstance(request, Write) and request.find is not None
    }
    made = await _lock(session, requests, chain.from_iterable(found.values()))
    outcomes: list[object] = []
    for number, request in enumerate(requests):
        if isinstance(request, Write):
            outcomes += await _appends_and_marks(session, requests[len(outcomes) : number])
            outcomes.append(await request.run(session, *([found[number]] if number in found else [])))
    outcomes += await _appends_and_marks(session, requests[len(outcomes) :])
    unused = set(made).difference(*(write.makes for write in writes))
    if unused:
        await affected(session, "delete_unused", {"user_ids": [*unused]})
    return outcomes


async def _appends_and_marks(session: Session, requests: Sequence[Request]) -> list[object]:
    """The outcomes of appends and marks: first all appends, then all marks, for they are independent."""
    appended = iter(await append(session, [r for r in requests if isinstance(r, Append)]))
    marked = iter(await mark_places(session, [r for r in requests if isinstance(r, MarkSent)]))
    return [next(appended if isinstance(request, Append) else marked) for request in requests]


async def _lock_names(session: Session, names: Sequence[Name]) -> None:
    owned = {number_of(name.text) for name in names if not name.shared}
    numbers = {number_of(name.text) for name in names}
    if numbers:
        locks = {"numbers": [*numbers], "shared": [number not in owned for number in numbers]}
        await single_column(session, "lock_names", locks)


def number_of(name: str) -> int:
    """The number of a name's lock. Names share numbers: a needless wait lasts no longer than a commit."""
    return NAMES + crc32(name.encode()) % NUMBERS


async def _lock(session: Session, requests: Sequence[Request], found: Iterable[tuple[Any, ...]]) -> list[str]:
    """Lock all users concerned; returns the users that were made for the lock."""
    appended: set[str] = set()
    user_ids: set[str] = set()
    user_keys: set[int] = {user_key for user_key, *_ in found}
    for request in requests:
        if isinstance(request, Append):
            appended.update(draft.user_id for draft in request.wanted)
        elif isinstance(request, MarkSent):
            user_keys.add(request.user_key)
        else:
            appended.update(request.makes)
            user_ids.update(map(safe_id, request.user_ids))
            user_keys.update(request.user_keys)
    if not (appended or user_ids or user_keys):
        return []
    concerned = {"appended": [*appended], "user_ids": [*user_ids], "user_keys": [*user_keys]}
    return await single_column(session, "lock_users", concerned)


async def _commit_or_unknown(work: Awaitable[T]) -> T:
    """The result of `work`, which commits. Raises Unknown when the commit may have succeeded or failed."""
    try:
        return await work
    except ENGINE_ERRORS as error:
        if uncertain(error):
            raise unknown() from error
        raise
