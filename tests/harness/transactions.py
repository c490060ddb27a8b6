"""Random transactions of an application: notifications, savepoints in savepoints, commits and rollbacks.

A plan is made first, as a value, so each way to write (SQLAlchemy, asynchronous or not, Django, plain SQL) is
given the same plans, and the notifications that must arrive are known before anything runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, Executable
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pns import Notification
from pns.transactional.sqlalchemy import notify

USERS = ("42", "43", "é 7", "Anna", "anna")


class Notify(NamedTuple):
    user_id: str
    id: str
    text: str


class Block(NamedTuple):
    """A transaction, or a savepoint inside. Without `kept`, everything inside is rolled back."""

    kept: bool
    steps: tuple[Notify | Block, ...]


class RolledBack(Exception):
    """How a block is left that is not kept."""


def plans(seed: int, number: int, *, prefix: str = "") -> list[Block]:
    """`number` transactions."""
    chance, ids = random.Random(seed), iter(range(10**9))

    def block(depth: int) -> Block:
        steps: list[Notify | Block] = []
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            if depth < 3 and chance.random() < 0.3:
                steps.append(block(depth + 1))
            else:
                id = f"{prefix}{seed}-{next(ids)}"
                steps.append(Notify(chance.choice(USERS), id, f"text of {id}"))
        return Block(chance.random() < 0.7, tuple(steps))

    return [block(0) for _ in range(number)]


def committed(block: Block) -> Iterator[Notify]:
    """The notifications that must arrive, in the order of writing."""
    for step in block.steps if block.kept else ():
        if isinstance(step, Notify):
            yield step
        else:
            yield from committed(step)


def inboxes(blocks: list[Block]) -> dict[str, list[str]]:
    """The ids of each user's inbox, oldest first."""
    found: dict[str, list[str]] = {user: [] for user in USERS}
    for block in blocks:
        for step in committed(block):
            found[step.user_id].append(step.id)
    return found


# ── ways to write ─────────────────────────────────────────────────────────────────────────────────────


class Writer(Protocol):
    def atomic(self) -> AbstractContextManager[object]:
        """A transaction, or a savepoint inside of one, which an exception rolls back."""

    def notify(self, step: Notify) -> None: ...


def play(block: Block, writer: Writer) -> None:
    """Do as `block` says."""
    try:
        with writer.atomic():
            for step in block.steps:
                if isinstance(step, Notify):
                    writer.notify(step)
                else:
                    play(step, writer)
            if not block.kept:
                raise RolledBack
    except RolledBack:
        if block.kept:
            raise


class SessionWriter:
    """A Session, or a Connection. `session` must have no transaction."""

    def __init__(self, session: Session | Connection) -> None:
        self._session = session

    @contextmanager
    def atomic(self) -> Iterator[None]:
        inside = self._session.in_transaction()
        with self._session.begin_nested() if inside else self._session.begin():
            yield

    def notify(self, step: Notify) -> None:
        assert notify(self._session, step.user_id, Notification(step.text, step.id)) == [step.id]


async def play_async(
    block: Block, session: AsyncSession, *, also: Callable[[Notify], Executable] | None = None
) -> None:
    """As `play`, in an AsyncSession. `also`: a statement beside each notification."""
    try:
        async with session.begin_nested() if session.in_transaction() else session.begin():
            for step in block.steps:
                if isinstance(step, Notify):
                    if also is not None:
                        await session.execute(also(step))
                    notify(session, step.user_id, Notification(step.text, step.id))
                else:
                    await play_async(step, session, also=also)
            if not block.kept:
                raise RolledBack
    except RolledBack:
        if block.kept:
            raise
