"""PostgreSQL that goes away, comes back, stands still or lets nobody in: StoreUnavailable meanwhile, and
afterwards all that was answered, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest

from pns.adapters.buses.local import LocalBus
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.store import State
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import PLENTY, append, count, cursor, inbox, named, submission
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually

PATIENCE = 1.5
"""Quick to give up, and yet no busy machine takes as long."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One that this module's tests may stop and freeze."""
    with Postgres() as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> str:
    return server.fresh()


def new_store(url: str, patience: float = PATIENCE) -> PostgresStore:
    return PostgresStore(url, clock=FakeClock(), metrics=Metrics(), patience=patience)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = new_store(url)
    await store.open()
    yield store
    await store.close()


async def reads(store: PostgresStore) -> None:
    await store.states(["42"])
    await store.unseen("42", limit=10, max_bytes=PLENTY)
    await store.newest_revocation()


async def works_again(store: PostgresStore) -> None:
    """Every connection serves again, whatever became of it, and nothing is stored twice."""

    async def all_served() -> bool:
        try:
            await asyncio.gather(store.check(), *(reads(store) for _ in range(6)))
            await store.revoke("somebody else")
        except StoreUnavailable:
            return False
        return True

    await eventually(all_served, within=30)
    for _ in range(3):
        await asyncio.gather(store.check(), *(reads(store) for _ in range(6)))
        await store.revoke("somebody else")


async def more(names: list[str], *, than: int) -> None:
    await eventually(lambda: len(names) > than, within=30)


async def refused(store: PostgresStore) -> None:
    """Every kind of call raises StoreUnavailable, in a bounded time."""
    async with asyncio.timeout(30):
        for call in (
            store.states(["42"]),
            store.unseen("42", limit=10, max_bytes=PLENTY),
            append(store, "42", Notification("lost", notification_id="lost")),
            store.check(),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                await call
            assert "127.0.0.1" not in str(caught.value)
            assert "postgres" not in str(caught.value)


async def test_a_server_that_stops_and_comes_back(server: Postgres, store: PostgresStore) -> None:
    await named(store, "42", "a")
    server.stop()
    await refused(store)
    server.start()
    await works_again(store)
    await named(store, "42", "b")
    assert await inbox(store, "42") == ["a", "b"]


async def test_a_server_that_stands_still(server: Postgres, store: PostgresStore) -> None:
    await named(store, "42", "a")
    server.freeze()
    await asyncio.gather(*(refused(store) for _ in range(4)))
    server.thaw()
    await works_again(store)
    assert set(await inbox(store, "42")) - {"lost"} == {"a"}
    assert await count(store, "42") == len(await inbox(store, "42"))


async def test_a_change_of_unknown_outcome_is_told(server: Postgres, store: PostgresStore) -> None:
    """The page of a user whose notification was stored after all shows the count at once."""
    told: list[str] = []
    bus = LocalBus(None, clock=FakeClock(), metrics=Metrics())
    await bus.start(lambda user_ids: told.extend(user_ids or ()))
    changes = Changes(store, bus, Metrics())
    await changes.notify([submission("42", "a")])
    told.clear()
    for change in (changes.notify([submission("42", "b")]), changes.mark_sent_seen("42", 1, [1])):
        server.freeze()
        with pytest.raises(StoreUnavailable, match="Repeat"):
            await change
        server.thaw()
        await works_again(store)
    assert told == ["42", "42"]


async def test_a_server_that_stands_still_at_the_start(server: Postgres, url: str) -> None:
    store = new_store(url)
    server.freeze()
    async with asyncio.timeout(30):
        with pytest.raises(StoreUnavailable, match="in time"):
            await store.open()
    server.thaw()
    await store.open()
    await named(store, "42", "a")
    await store.close()


async def test_a_server_that_stands_still_once_it_let_a_connection_in(
    server: Postgres, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    async def connect_and_freeze(*arguments: object, **options: object) -> object:
        connection = await connect(*arguments, **options)
        server.freeze()
        return connection

    server.terminate_backends(store._url)
    with monkeypatch.context() as patch:
        patch.setattr(asyncpg, "connect", connect_and_freeze)
        try:
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await append(store, "42", "a")  # its connection was lost
                with pytest.raises(StoreUnavailable, match="in time"):
                    await append(store, "42", "b")
        finally:
            server.thaw()
    await works_again(store)


async def test_closing_does_not_wait_for_a_server_that_stands_still(
    server: Postgres, store: PostgresStore
) -> None:
    waiting = asyncio.create_task(append(store, "42", "a"))
    await asyncio.sleep(0)
    server.freeze()
    async with asyncio.timeout(30):
        await store.close()
    server.thaw()
    await asyncio.wait([waiting])


@pytest.mark.parametrize("fault", ["fast", "immediate", "terminated", "frozen"])
async def test_what_was_answered_is_there_once(server: Postgres, store: PostgresStore, fault: str) -> None:
    """Writers that repeat until they are answered, while the server goes and comes."""
    faults: dict[str, Callable[[], object]] = {
        "fast": lambda: server.restart("fast"),
        "immediate": lambda: server.restart("immediate"),
        "terminated": server.terminate_backends,
        "frozen": server.freeze,
    }
    other = new_store(store._url)
    await other.open()
    answered: list[str] = []
    unanswered: list[str] = []
    ended = False

    async def write(writer: int) -> None:
        serial = 0
        while not ended:
            name = f"w{writer}-{serial}"
            try:
                await named([store, other][writer % 2], "42", name)
            except StoreUnavailable:
                unanswered.append(name)
                await asyncio.sleep(0.005)
                continue
            answered.append(name)
            serial += 1

    writers = [asyncio.create_task(write(writer)) for writer in range(6)]
    for _ in range(3):
        await more(answered, than=len(answered) + 10)
        failed = len(unanswered)
        await asyncio.to_thread(faults[fault])
        await more(unanswered, than=failed)
        server.thaw()
    await more(answered, than=len(answered) + 10)
    ended = True
    await asyncio.gather(*writers)
    await works_again(store)
    page = await store.inbox("42", cursor(limit=100_000))
    assert sorted(item.notification_id for item in page.items) == sorted(answered)
    assert [item.seq for item in page.items] == list(range(1, len(answered) + 1))
    assert await count(other, "42") == len(answered)
    await other.close()


async def test_connections_that_were_ended_from_outside(server: Postgres, store: PostgresStore) -> None:
    await asyncio.gather(*(reads(store) for _ in range(6)))
    assert server.terminate_backends(store._url) >= 6
    await works_again(store)


async def test_a_server_that_has_no_room_for_a_connection(server: Postgres, url: str) -> None:
    await asyncio.to_thread(migrate, url)
    server.run("CREATE ROLE few LOGIN IN ROLE pg_write_all_data, pg_read_all_data")
    server.run("GRANT USAGE ON SCHEMA pns TO few", url)
    store = new_store(url.replace("postgres@", "few@"))
    await store.open()
    server.run("ALTER ROLE few CONNECTION LIMIT 0")
    server.terminate_backends(url)
    with pytest.raises(StoreUnavailable):
        await eventually(lambda: store.states(["42"]))
    with pytest.raises(StoreUnavailable, match="room"):
        await store.newest_revocation()
    server.run("ALTER ROLE few CONNECTION LIMIT -1")
    await works_again(store)
    await store.close()


async def test_a_server_that_may_only_be_read(server: Postgres, store: PostgresStore) -> None:
    """As one that has become a standby: what is written there must find its way once it is no more."""
    database = store._url.rpartition("/")[2]
    server.run(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    server.terminate_backends(store._url)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await append(store, "42", "lost")
    with pytest.raises(StoreUnavailable, match="standby"):
        await append(store, "42", "lost")
    server.run(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    await works_again(store)
    assert await inbox(store, "42") == []


async def test_readers_who_go_away_leave_nothing_to_others(store: PostgresStore) -> None:
    """Cancelled at any moment, a read leaves no connection behind that answers the next one with its rows."""
    users = [f"user {number}" for number in range(8)]
    for user_id in users:
        await append(store, user_id, user_id)
    for turns in range(40):
        tasks = [asyncio.create_task(store.unseen(user, limit=5, max_bytes=PLENTY)) for user in users]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        pages = await asyncio.gather(*tasks, return_exceptions=True)
        for user, page in list(zip(users, pages, strict=True))[1::2]:
            assert not isinstance(page, BaseException)
            assert [item.notification_data for item in page.items] == [user]
    assert {state.unseen for state in (await store.states(users)).values()} == {1}


async def test_a_lock_that_somebody_holds(server: Postgres, store: PostgresStore) -> None:
    """An operator's transaction that forgot to end holds up no one for longer than the store's patience."""
    await named(store, "42", "a")
    holding = asyncio.create_task(
        asyncio.to_thread(
            server.run, "BEGIN; UPDATE pns.users SET unseen = unseen; SELECT pg_sleep(2)", store._url
        )
    )
    held = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    await eventually(lambda: asyncio.to_thread(server.run, held))
    with pytest.raises(StoreUnavailable):
        await named(store, "42", "b")
    assert (await store.states(["42"]))["42"].unseen == 1
    await holding
    await works_again(store)
    assert await inbox(store, "42") == ["a"]
    assert (await store.states(["nobody"]))["nobody"] == State()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.rpartition("/")[0] + "/nowhere", "createdb"),
        (lambda url: url.replace("postgres@", "stranger:geheim@"), "name and password"),
        (lambda url: url.rpartition(":")[0] + ":1/postgres", "away"),
    ],
    ids=["no database", "no user", "no server"],
)
async def test_a_store_that_cannot_be_reached_is_named_without_its_secrets(
    url: str, change: Callable[[str], str], says: str
) -> None:
    store = new_store(change(url))
    with pytest.raises(StoreUnavailable, match=says) as caught:
        await store.open()
    assert str(caught.value).startswith("127.0.0.1:")
    assert "geheim" not in str(caught.value)
    await store.close()
