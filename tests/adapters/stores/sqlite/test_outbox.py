"""The outbox's statements on SQLite: many pushes of one request share a statement, and its fate.

A statement of its own for each push would build the lists of states again, which decide what the indexes of
waiting pushes hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Presence
from pns.errors import StoreUnavailable
from pns.model.push import PushState
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from tests.adapters.stores.conftest import submission
from tests.adapters.stores.pushing import HOUR, TERMS, claim, phone, push, settle

Act = Callable[[SQLiteStore, FakeClock, int], Awaitable[None]]
Broken = Callable[[Awaitable[object]], Awaitable[None]]

FEW, MANY = 2, 20
BREAKS_AT_THE_TENTH = """
CREATE TEMP TRIGGER breaks_at_insert BEFORE INSERT ON main.pushes WHEN NEW.device_id = 'phone 9'
BEGIN SELECT RAISE(ABORT, 'broken'); END;
CREATE TEMP TRIGGER breaks_at_update BEFORE UPDATE ON main.pushes WHEN NEW.device_id = 'phone 9'
BEGIN SELECT RAISE(ABORT, 'broken'); END;
"""
MENDED = "DROP TRIGGER breaks_at_insert; DROP TRIGGER breaks_at_update"


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock, metrics: Metrics) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(empty_store(tmp_path / "pns.db"), clock=clock, metrics=metrics)
    await store.open()
    for number in range(MANY):
        await store.outbox.register(phone(device_id=f"phone {number}"))
    yield store
    await store.close()


async def _claim(store: SQLiteStore, clock: FakeClock, number: int) -> None:
    assert len(await claim(store, clock, limit=number)) == number


async def _claim_what_nobody_wants(store: SQLiteStore, clock: FakeClock, number: int) -> None:
    await store.renew_lease("node", clock.now() + HOUR, [Presence("ann", "tab", 1, 1)])
    assert await claim(store, clock, limit=number, offline_only=True) == []


async def _accept(store: SQLiteStore, clock: FakeClock, number: int) -> None:
    claimed = await claim(store, clock, limit=number)
    await settle(store, PushState.ACCEPTED, *claimed, provider_id="theirs")


async def _put_off(store: SQLiteStore, clock: FakeClock, number: int) -> None:
    claimed = await claim(store, clock, limit=number)
    await settle(store, PushState.RETRY, *claimed, reason="503", due_at=clock.now(), sent=False)


async def _said(store: SQLiteStore, acting: Awaitable[None]) -> list[str]:
    """The statements of the writer."""
    said: list[str] = []
    await store._writer.run(lambda connection: connection.set_trace_callback(said.append))
    await acting
    await store._writer.run(lambda connection: connection.set_trace_callback(None))
    return said


@pytest.mark.parametrize(
    ("act", "states"),
    [
        (_claim, {PushState.SENDING}),
        (_claim_what_nobody_wants, {PushState.CANCELLED}),
        (_accept, {PushState.ACCEPTED}),
        (_put_off, {PushState.RETRY}),
    ],
)
async def test_many_pushes_take_as_many_statements_as_a_few(
    store: SQLiteStore, clock: FakeClock, act: Act, states: set[PushState]
) -> None:
    counts = []
    for name, number in (("a", FEW), ("b", MANY)):
        await push(store, name)
        counts.append(len(await _said(store, act(store, clock, number))))
        assert {status.state for status in await store.outbox.pushes("ann", name)} >= states
        await settle(store, PushState.FAILED, *await claim(store, clock))
    assert counts[0] == counts[1]


async def test_the_pushes_of_many_users_are_enqueued_by_one_statement(
    store: SQLiteStore, clock: FakeClock
) -> None:
    users = [f"user {number}" for number in range(MANY)]
    for user_id in users:
        await store.outbox.register(phone(user_id, f"phone of {user_id}"))

    async def append() -> None:
        await store.append([submission(user_id, "a", "b") for user_id in users], TERMS)

    said = await _said(store, append())
    assert len([statement for statement in said if statement.startswith("INSERT INTO pushes")]) == 1
    assert len(await claim(store, clock, limit=1000)) == 2 * MANY


async def test_the_dismissal_of_much_takes_as_many_statements_as_of_little(
    store: SQLiteStore, clock: FakeClock
) -> None:
    await store.outbox.register(phone("bob", "phone of bob"))
    counts = []
    for number in (FEW, MANY):
        names = [f"{number} {each}" for each in range(number)]
        await push(store, *names, user_id="bob")
        await settle(store, PushState.ACCEPTED, *await claim(store, clock))
        await store.mark_seen("bob", names)
        counts.append(len(await _said(store, _dismiss(store, clock))))
        (word,) = await claim(store, clock)
        assert word.dismissed == tuple(names)
    assert counts[0] == counts[1]


async def _dismiss(store: SQLiteStore, clock: FakeClock) -> None:
    assert await store.outbox.dismiss("bob", clock.now() + HOUR) == 1


# ── what fails in its midst ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def broken(store: SQLiteStore) -> Broken:
    """Awaits something that must fail, on a disk that refuses the tenth push."""

    async def fails(acting: Awaitable[object]) -> None:
        await store._writer.run(lambda connection: connection.executescript(BREAKS_AT_THE_TENTH))
        with pytest.raises(StoreUnavailable):
            await acting
        await store._writer.run(lambda connection: connection.executescript(MENDED))

    return fails


async def test_an_append_that_fails_stores_neither_notification_nor_push(
    store: SQLiteStore, clock: FakeClock, broken: Broken
) -> None:
    await broken(push(store, "a"))
    assert await claim(store, clock) == []
    assert (await push(store, "a")).created == 1
    assert len(await claim(store, clock)) == MANY


async def test_a_claim_that_fails_leases_nothing(
    store: SQLiteStore, clock: FakeClock, broken: Broken
) -> None:
    await push(store, "a")
    await broken(claim(store, clock))
    claimed = await claim(store, clock)
    assert [push.attempt for push in claimed] == [1] * MANY


async def test_answers_that_are_not_kept_are_kept_the_next_time(
    store: SQLiteStore, clock: FakeClock, broken: Broken
) -> None:
    await push(store, "a")
    claimed = await claim(store, clock)
    await broken(settle(store, PushState.ACCEPTED, *claimed))
    assert {status.state for status in await store.outbox.pushes("ann", "a")} == {PushState.SENDING}
    await settle(store, PushState.ACCEPTED, *claimed)
    assert {status.state for status in await store.outbox.pushes("ann", "a")} == {PushState.ACCEPTED}


async def test_pushes_that_are_not_put_off_are_leased_still(
    store: SQLiteStore, clock: FakeClock, broken: Broken
) -> None:
    await push(store, "a")
    claimed = await claim(store, clock)
    await broken(settle(store, PushState.RETRY, *claimed, due_at=clock.now()))
    assert await claim(store, clock) == []
    await settle(store, PushState.RETRY, *claimed, due_at=clock.now())
    assert [push.attempt for push in await claim(store, clock)] == [2] * MANY


async def test_pushes_that_are_not_dropped_are_waiting_still(
    store: SQLiteStore, clock: FakeClock, broken: Broken
) -> None:
    await push(store, "a")
    await store.renew_lease("node", clock.now() + HOUR, [Presence("ann", "tab", 1, 1)])
    await broken(claim(store, clock, offline_only=True))
    waiting = await store.outbox.pushes("ann", "a")
    assert {status.state for status in waiting} == {PushState.QUEUED}
    assert await claim(store, clock, offline_only=True) == []
    assert {status.state for status in await store.outbox.pushes("ann", "a")} == {PushState.CANCELLED}
