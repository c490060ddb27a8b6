"""How PostgreSQL is asked for pushes: few statements for many, and no claim waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pns.adapters.stores.postgres.batch import number_of
from pns.adapters.stores.postgres.connection import connect
from pns.adapters.stores.postgres.rows import SQL
from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.audiences import Publication
from pns.contracts.outbox import Settlement
from pns.model.notification import Notification
from pns.model.push import Push, PushState
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import submission
from tests.adapters.stores.pushing import LEASE, START, TERMS, claim, phone, push, settle, told
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually


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


# ── few statements ────────────────────────────────────────────────────────────────────────────────────


async def test_a_plain_append_is_one_statement_with_its_pushes(
    store: PostgresStore, said: list[str], clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    said.clear()
    requests = [store.append([submission("ann", Notification("x"))], terms) for terms in (TERMS, None, TERMS)]
    await asyncio.gather(*requests)
    assert said == [SQL["append_pushed"].text]
    assert len(await claim(store, clock)) == 2


async def test_many_pushes_take_as_many_statements_as_one(
    store: PostgresStore, said: list[str], clock: FakeClock
) -> None:
    for number in range(20):
        await store.outbox.register(phone(f"user {number}", f"{number}", badge=0))
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
            await store.outbox.register(phone(f"user {number}", f"{number}", badge=0))
    assert 4 < costs[0] == costs[1]


# ── no waiting ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_passes_over_what_another_node_is_claiming(
    store: PostgresStore, session: Any, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a", "b", "c")
    await session.execute("SELECT 1 FROM pushes WHERE notification_id = 'a' FOR UPDATE")
    assert told(await claim(store, clock, limit=1)) == [("phone", "b")]
    assert told(await claim(store, clock)) == [("phone", "c")]
    await session.execute("COMMIT")
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_a_claim_passes_over_a_counter_that_another_node_is_raising(
    store: PostgresStore, session: Any, clock: FakeClock
) -> None:
    await store.outbox.register(phone(badge=3))
    await store.outbox.register(phone(device_id="tablet"))
    await push(store, "a")
    await session.execute("UPDATE devices SET badge = 4 WHERE device_id = 'phone'")
    assert told(await claim(store, clock)) == [("tablet", "a")]
    await session.execute("COMMIT")
    assert [(p.device.device_id, p.badge) for p in await claim(store, clock)] == [("phone", 5)]


async def test_what_may_wait_comes_before_what_was_taken_in_passing(
    store: PostgresStore, session: Any, clock: FakeClock, postgres: Postgres
) -> None:
    """A claim and a write that waits, in one commit: who is waited for can still have what is claimed."""
    await store.outbox.register(phone())
    await store.outbox.register(phone("bob", "tablet"))
    await push(store, "a")
    await session.execute("UPDATE devices SET badge = 4 WHERE device_id = 'tablet'")
    both = asyncio.gather(claim(store, clock), store.outbox.set_badge("tablet", 5))
    await eventually(lambda: asyncio.to_thread(postgres.run, WAITS))
    assert len(await session.fetch("SELECT 1 FROM pushes FOR UPDATE NOWAIT")) == 1
    await session.execute("COMMIT")
    claimed, badge_set = await both
    assert (told(claimed), badge_set) == ([("phone", "a")], True)


async def test_a_lease_passes_over_what_another_node_is_leasing(store: PostgresStore, session: Any) -> None:
    for number in range(2):
        await store.audiences.publish(
            Publication(
                publication_id=str(number),
                audience=f"audience {number}",
                notifications=(),
                create_date=START - 2 + number,
            )
        )
    lease = SQL["lease_publication"]
    found = await session.fetch(lease.text, *({"until": START + LEASE, "now": START}[n] for n in lease.names))
    assert found[0]["publication_id"] == "0"
    mine = await store.audiences.due_publication(START + LEASE)
    assert mine is not None
    assert mine.publication_id == "1"
    assert await store.audiences.due_publication(START + LEASE) is None


# ── the order of locks ────────────────────────────────────────────────────────────────────────────────

WAITS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pns' AND wait_event_type = 'Lock'"


@pytest.fixture
async def sent(store: PostgresStore, clock: FakeClock) -> Push:
    """Ann's push, claimed; one that was seen after it; her device, which is past its time, and her topic."""
    await store.outbox.register(phone(expires_at=START))
    await push(store, "seen")
    await settle(store, PushState.ACCEPTED, *await claim(store, clock))
    await store.mark_all_seen("ann")
    await push(store, "a")
    await store.audiences.subscribe("topic", "ann", make=True)
    (sent,) = await claim(store, clock)
    return sent


Call = Callable[[PostgresStore, Push], Awaitable[object]]
TOUCHING: dict[str, Call] = {
    "register": lambda s, p: s.outbox.register(phone()),
    "take over": lambda s, p: s.outbox.register(phone("bob", "tablet", address="address of phone")),
    "unregister": lambda s, p: s.outbox.unregister("ann", "phone"),
    "set badge": lambda s, p: s.outbox.set_badge("phone", 1),
    "regateway": lambda s, p: s.outbox.regateway("fcm", "azure", "fcm", limit=9),
    "settle": lambda s, p: s.outbox.settle([Settlement(p, PushState.FAILED)]),
    "dismiss": lambda s, p: s.outbox.dismiss("ann", START + 9),
    "prune devices": lambda s, p: s.outbox.prune_pushes(settled_before=0, limit=9),
    "subscribe": lambda s, p: s.audiences.subscribe("topic", "ann", make=False),
    "unsubscribe": lambda s, p: s.audiences.unsubscribe("topic", "ann"),
    "remove audience": lambda s, p: s.audiences.remove("topic"),
}


@pytest.mark.parametrize("name", TOUCHING)
async def test_whoever_touches_what_is_a_users_waits_for_the_user(
    store: PostgresStore, session: Any, sent: Push, postgres: Postgres, name: str
) -> None:
    await session.execute("SELECT 1 FROM users WHERE user_id = 'ann' FOR UPDATE")
    call = asyncio.ensure_future(TOUCHING[name](store, sent))
    await eventually(lambda: asyncio.to_thread(postgres.run, WAITS))
    await session.fetch(
        "SELECT 1 FROM devices, pushes, subscriptions FOR UPDATE NOWAIT"
    )  # nothing is held yet
    await session.execute("COMMIT")
    await call


async def test_a_device_that_is_registered_again_while_pruning_waits_is_kept(
    store: PostgresStore, session: Any, clock: FakeClock, postgres: Postgres
) -> None:
    """It had ended when it was found, and has not when its user is locked."""
    await store.outbox.register(phone(expires_at=START))
    await push(store, "a")
    await session.execute("SELECT 1 FROM users WHERE user_id = 'ann' FOR UPDATE")
    pruning = asyncio.ensure_future(store.outbox.prune_pushes(settled_before=0, limit=9))
    await eventually(lambda: asyncio.to_thread(postgres.run, WAITS))
    await session.execute("UPDATE devices SET expires_at = expires_at + 1, registered_at = registered_at + 1")
    await session.execute("COMMIT")
    assert await pruning == 0
    (kept,) = await store.outbox.devices("ann")
    assert (kept.device_id, kept.expires_at) == ("phone", START + 1)
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_claims_and_pruning_wait_for_nobody(
    store: PostgresStore, session: Any, sent: Push, clock: FakeClock, postgres: Postgres
) -> None:
    postgres.run("UPDATE pns.devices SET expires_at = NULL")
    await store.outbox.settle([Settlement(sent, PushState.RETRY, due_at=START)])
    await session.execute("SELECT 1 FROM users WHERE user_id = 'ann' FOR UPDATE")
    assert len(await claim(store, clock)) == 1
    clock.jump(1)
    assert await store.outbox.prune_pushes(settled_before=clock.now(), limit=9) == 1
    assert await store.prune(seen_before=clock.now(), limit=9) == 0, "her numbers are held: next time"
    await session.execute("COMMIT")
    assert await store.prune(seen_before=clock.now(), limit=9) == 1


async def test_whoever_subscribes_waits_for_whoever_removes_the_audience(
    store: PostgresStore, session: Any, sent: Push, postgres: Postgres
) -> None:
    lock = SQL["lock_names"]
    locks = {"numbers": [number_of("audience topic")], "shared": [False]}
    await session.fetch(lock.text, *(locks[name] for name in lock.names))
    await session.execute("DELETE FROM subscriptions; DELETE FROM audiences")
    call = asyncio.create_task(store.audiences.subscribe("topic", "bob", make=False))
    await eventually(lambda: asyncio.to_thread(postgres.run, WAITS))
    await session.execute("COMMIT")
    assert await call is False
    assert await store.audiences.subscriptions("bob") == []
