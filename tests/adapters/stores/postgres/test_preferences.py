"""A choice that is stored between the decision about an append and its rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from pns.adapters.stores.postgres.preferences import Foresight
from pns.adapters.stores.postgres.rows import SQL
from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.store import Store
from pns.model.category import Category, Channels
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, count, inbox
from tests.harness import eventually

CATEGORY = Category("comments", "Comments", "", Channels(), frozenset())


@pytest.fixture
async def other(database: str, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Store]:
    other = PostgresStore(database, clock=clock, metrics=metrics)
    await other.open()
    yield other
    await other.close()


async def waiting(rival: asyncpg.Connection, number: int = 1) -> bool:
    found = await rival.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(found >= number)


@pytest.mark.parametrize("known", [True, False])
async def test_an_append_is_decided_anew(node: Store, rival: asyncpg.Connection, known: bool) -> None:
    """The append was decided, and waits for its user, who is choosing. The choice is answered first."""
    await node.categories.declare(CATEGORY)
    if known:
        await append(node, "ann", "before")
    choosing = rival.transaction()
    await choosing.start()
    user_key = await rival.fetchval(
        "INSERT INTO users (user_id, last_seq, unseen, version, choices) VALUES ('ann', 0, 0, 0, 1)"
        " ON CONFLICT (user_id) DO UPDATE SET choices = users.choices + 1 RETURNING user_key"
    )
    await rival.execute(
        "INSERT INTO choices (user_key, category, inbox) VALUES ($1, 'comments', 0)", user_key
    )
    notify = asyncio.create_task(append(node, "ann", Notification("x", category="comments")))
    plain = asyncio.create_task(append(node, "ann", "y"))
    await eventually(lambda: waiting(rival))
    await choosing.commit()
    assert ((await notify).created, (await plain).created) == (0, 1)
    expected = ["before"] * known + ["y"]
    assert (await inbox(node, "ann"), await count(node, "ann")) == (expected, len(expected))


@pytest.mark.parametrize("lock", [True, False])
async def test_nothing_comes_after_the_choice_was_answered(
    node: Store, other: Store, rival: asyncpg.Connection, lock: bool
) -> None:
    """A choice on one node waits for its user, behind it an append of the other node, which was decided
    before. `lock`: the append takes the user before it looks, as one with a given id does.
    """
    await node.categories.declare(CATEGORY)
    await append(node, "ann", "before")
    held = rival.transaction()
    await held.start()
    await rival.execute("SELECT 1 FROM users WHERE user_id = 'ann' FOR UPDATE")
    off = other.categories.choose("ann", {"comments": Channels(inbox=False)})
    choice = asyncio.create_task(off)
    await eventually(lambda: waiting(rival, 1))
    comment = Notification("x", notification_id="x" if lock else None, category="comments")
    notify = asyncio.create_task(append(node, "ann", comment))
    await eventually(lambda: waiting(rival, 2))
    await held.rollback()
    await choice
    assert ((await notify).created, await inbox(other, "ann")) == (0, ["before"])


async def test_preferences_are_asked_for_where_one_has_refused(node: PostgresStore) -> None:
    """Mostly nothing is turned off, and the statement that writes looks itself."""
    asked: list[str] = []

    async def listen(session: Any) -> None:
        session.add_query_logger(lambda query: asked.append(query.query))

    async def notify(user_id: str) -> tuple[int, bool]:
        """How many were stored, and whether somebody asked."""
        asked.clear()
        created = (await append(node, user_id, Notification("x", category="comments"))).created
        return created, SQL["turned_off"].text in asked

    await node.categories.declare(CATEGORY)
    await node._writer.run(listen)
    assert await notify("ann") == (1, False)
    await node.categories.choose("ann", {"comments": Channels(inbox=False)})
    assert await notify("bob") == (1, False)
    assert await notify("ann") == (0, True)
    assert [await notify("bob") for _ in range(Foresight.ASKED)] == [(1, True)] * (Foresight.ASKED - 1) + [
        (1, False)
    ]
