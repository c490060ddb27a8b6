"""How PostgreSQL is asked for pushes: few statements for many, and no claim waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pns.metrics import Metrics
from pns.notification import Notification
from pns.push import PushState
from pns.stores.postgres import PostgresStore
from pns.stores.postgres_connection import connect
from pns.stores.postgres_rows import SQL
from pns.testing.clock import FakeClock
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually

from .conftest import submission
from .pushing import LEASE, START, TERMS, claim, phone, push, settle, told


@pytest.fixture
async def store(database: str, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, clock=clock, metrics=Metrics())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def said(store: PostgresStore) -> list[str]:
    """What is said to the server by the one connection that writes."""
    statements: list[str] = []

    async def listen(session: Any) -> None:
        session.add_query_logger(lambda query: statements.append(query.query))

    await store._writer.run(listen)
    return statements


@pytest.fixture
async def session(database: str) -> AsyncIterator[Any]:
    """Another node's connection, in a transaction."""
    session = await connect(database, patience=10)
    await session.execute("BEGIN")
    yield session
    session.terminate()


def begins(said: list[str]) -> int:
    return said.count(SQL["begin"].text)


# ── few statements ────────────────────────────────────────────────────────────────────────────────────


async def test_a_plain_append_is_one_statement_with_its_pushes(
    store: PostgresStore, said: list[str], clock: FakeClock
) -> None:
    await store.outbox.install(phone())
    said.clear()
    requests = [store.append([submission("ann", Notification("x"))], terms) for terms in (TERMS, None, TERMS)]
    await asyncio.gather(*requests)
    assert said == [SQL["append"].text]
    assert len(await claim(store, clock)) == 2


async def test_many_pushes_take_as_many_statements_as_one(
    store: PostgresStore, said: list[str], clock: FakeClock
) -> None:
    for number in range(20):
        await store.outbox.install(phone(f"user {number}", f"{number}", badge=0))
    costs = []
    for users in (1, 20):
        for number in range(users):
            await push(store, "a", "b", "c", "d", user_id=f"user {number}")
            await store.mark_seen(f"user {number}", ["d"])
        said.clear()
        claimed = await claim(store, clock)
        assert len(claimed) == 3 * users
        sorted_out: dict[str, list[Any]] = {name: [] for name in "abc"}
        for each in claimed:
            sorted_out[each.notification_id].append(each)
        await settle(store, PushState.ACCEPTED, *sorted_out["a"])
        await settle(store, PushState.RETRY, *sorted_out["b"], due_at=START + LEASE)
        await settle(store, PushState.DEVICE_INVALID, *sorted_out["c"])
        costs.append(len(said))
        for number in range(users):
            await store.erase(f"user {number}")
            await store.outbox.install(phone(f"user {number}", f"{number}", badge=0))
    assert costs[0] == costs[1]
    assert begins(said) > 0


# ── no waiting ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_passes_over_what_another_node_is_claiming(
    store: PostgresStore, session: Any, clock: FakeClock
) -> None:
    await store.outbox.install(phone())
    await push(store, "a", "b", "c")
    await session.execute("SELECT 1 FROM pushes WHERE notification_id = 'a' FOR UPDATE")
    assert told(await claim(store, clock, limit=1)) == [("phone", "b")]
    assert told(await claim(store, clock)) == [("phone", "c")]
    await session.execute("COMMIT")
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_a_claim_passes_over_a_counter_that_another_node_is_raising(
    store: PostgresStore, session: Any, clock: FakeClock
) -> None:
    await store.outbox.install(phone(badge=3))
    await store.outbox.install(phone(device_id="tablet"))
    await push(store, "a")
    await session.execute("UPDATE devices SET badge = 4 WHERE device_id = 'phone'")
    assert told(await claim(store, clock)) == [("tablet", "a")]
    await session.execute("COMMIT")
    assert [(p.device.device_id, p.badge) for p in await claim(store, clock)] == [("phone", 5)]


async def test_what_may_wait_comes_before_what_was_taken_in_passing(
    store: PostgresStore, session: Any, clock: FakeClock, postgres: Postgres
) -> None:
    """A claim and a write that waits, in one commit: who is waited for can still have what is claimed."""
    await store.outbox.install(phone())
    await store.outbox.install(phone("bob", "tablet"))
    await push(store, "a")
    await session.execute("UPDATE devices SET badge = 4 WHERE device_id = 'tablet'")
    both = asyncio.gather(claim(store, clock), store.outbox.set_badge("tablet", 5))
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pns' AND wait_event_type = 'Lock'"
    await eventually(lambda: asyncio.to_thread(postgres.run, waits))
    assert len(await session.fetch("SELECT 1 FROM pushes FOR UPDATE NOWAIT")) == 1
    await session.execute("COMMIT")
    claimed, badge_set = await both
    assert (told(claimed), badge_set) == ([("phone", "a")], True)
