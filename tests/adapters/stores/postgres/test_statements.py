"""How PostgreSQL is spoken to: every statement reads an index, and no connection stays behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pns.adapters.stores.group_commit import REMOVED_AT_ONCE
from pns.adapters.stores.postgres import store as module
from pns.adapters.stores.postgres.connection import PostgresConnections, connect
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.rows import SQL
from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.rows import SQL as SQLITE
from pns.errors import StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, named, submission
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually

NO_PLAN = {"begin", "begin_erasing", "begin_migration", "make_schema", "prepare_session", "take_time"} | {
    "commit",
    "roll_back",
}
SHORT = {"erased", "nodes", "schema"}
"""Tables of a row or two, read whole."""
REPORTS = {"backlog"}
"""Statements that tell of a whole table."""


_MANY = """
INSERT INTO pns.users (user_id, last_seq, unseen, version)
SELECT n, 100, 25, 1 FROM generate_series(1, 100) n;
INSERT INTO pns.notifications
SELECT u, n, n, 'x', n, CASE WHEN n % 4 > 0 THEN n END, NULL,
  CASE WHEN n % 20 = 0 THEN n END, CASE WHEN n % 50 = 0 THEN n END, NULL
FROM generate_series(1, 100) u, generate_series(1, 100) n;
INSERT INTO pns.revocations SELECT n, n, '', n FROM generate_series(1, 1000) n;
INSERT INTO pns.used_tickets SELECT n, n FROM generate_series(1, 1000) n;
INSERT INTO pns.connections SELECT 'node', n, 'phone', 1, n FROM generate_series(1, 1000) n;
INSERT INTO pns.devices
SELECT n, n % 100, 'fcm', n % 3, n, n, '{}', '', 'production', '', NULL, n, CASE WHEN n % 20 = 0 THEN n END
FROM generate_series(1, 3000) n;
INSERT INTO pns.pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at,
   changed_at)
SELECT n % 100, n / 100, n / 100, n, 'fcm', n % 3, CASE WHEN n % 5 = 0 THEN 'queued' ELSE 'accepted' END,
  0, n, n, n
FROM generate_series(1, 10000) n;
INSERT INTO pns.audiences SELECT n, n FROM generate_series(1, 1000) n;
INSERT INTO pns.subscriptions SELECT n % 100, n FROM generate_series(1, 10000) n;
INSERT INTO pns.publications
SELECT n, n, '', n, 0, 0, n, CASE WHEN n % 100 > 0 THEN n END FROM generate_series(1, 10000) n;
ANALYZE
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[str]:
    """The address of a database with so many rows that their indexes are worth it."""
    url = postgres.fresh()
    migrate(url)
    postgres.run(_MANY, url)
    yield url
    postgres.drop(url)


@pytest.fixture
async def connection(filled: str) -> AsyncIterator[Any]:
    connection = await connect(filled, patience=10)
    yield connection
    connection.terminate()


async def plan(connection: Any, name: str) -> list[str]:
    """The plan of a statement where reading a whole table costs more than anything."""
    statement = SQL[name]
    types = (await connection.prepare(statement.text)).get_parameters()
    samples = {"int8": 1, "text": "1", "int8[]": [1], "text[]": ["1"], "bool[]": [True]}
    parameters = [samples[kind.name] for kind in types]
    await connection.execute("SET enable_seqscan = off")
    return [row[0] for row in await connection.fetch(f"EXPLAIN {statement.text}", *parameters)]


@pytest.mark.parametrize("name", sorted(SQL.keys() - NO_PLAN - REPORTS))
async def test_every_statement_reads_an_index(connection: Any, name: str) -> None:
    steps = await plan(connection, name)
    whole = {found[1] for step in steps if (found := re.search(r"Seq Scan on (\w+)", step))}
    assert whole <= SHORT, steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("unseen_after", "notifications_unseen"),
        ("seen_after", "notifications_seen"),
        ("seen_before", "notifications_seen"),
        ("inbox_after", "notifications_pkey"),
        ("inbox_before", "notifications_pkey"),
        ("mark_oldest", "notifications_unseen"),
        ("delete_collapsed", "notifications_collapse"),
        ("any_expired", "notifications_expire"),
        ("expired", "notifications_expire"),
        ("prune_seen", "notifications_seen_date"),
        ("prune_revocations", "revocations_revoked_at"),
        ("prune_tickets", "used_tickets_expires_at"),
        ("presences", "connections_user_id"),
        ("append", "devices_user_key"),
        ("owner", "devices_address_hash_network_key"),
        ("owner_of_address", "devices_address_hash_network_key"),
        ("devices", "devices_user_key"),
        ("all_devices", "devices_pkey"),
        ("at_gateway", "devices_gateway"),
        ("ended_devices", "devices_expires_at"),
        ("move_pushes", "pushes_device"),
        ("cancel_pushes", "pushes_device"),
        ("next_due", "pushes_due"),
        ("due", "pushes_due"),
        ("due", "connections_user_id"),
        ("pushes", "pushes_notification"),
        ("untold", "pushes_accepted"),
        ("stale", "pushes_accepted"),
        ("prune_pushes", "pushes_settled"),
        ("delete_erased_pushes", "pushes_notification"),
        ("subscribers", "subscriptions_pkey"),
        ("subscriptions", "subscriptions_user_key"),
        ("lease_publication", "publications_due"),
        ("any_due", "publications_due"),
        ("prune_publications", "publications_ended"),
    ],
)
async def test_a_statement_reads_the_index_made_for_it(connection: Any, name: str, index: str) -> None:
    steps = await plan(connection, name)
    assert any(re.search(rf"\b{index}\b", step) for step in steps), steps


@pytest.mark.parametrize(
    ("name", "parameters", "index"),
    [
        ("any_expired", "(1)", "notifications_expire"),
        ("next_due", "", "pushes_due"),
        ("due", "('1', 1, 100)", "pushes_due"),
        ("any_due", "(1)", "publications_due"),
    ],
)
async def test_what_is_asked_every_second_reads_an_index_though_its_plan_is_kept(
    connection: Any, name: str, parameters: str, index: str
) -> None:
    """After some executions PostgreSQL keeps a plan that is made for any parameters, if that seems cheap."""
    await connection.execute("SET enable_seqscan = on; SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {SQL[name].text}")
    steps = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked{parameters}")]
    assert any(index in step for step in steps), steps
    large = {"notifications", "pushes", "publications"}
    assert not {f for step in steps for f in re.findall(r"Seq Scan on (\w+)", step)} & large, steps


def test_every_statement_is_used() -> None:
    source = "".join(path.read_text() for path in Path(module.__file__).parent.glob("*.py"))
    kinds = {f"{kind}_{way}" for kind in ("seen", "inbox") for way in ("after", "before")} | {"unseen_after"}
    assert [name for name in SQL if f'"{name}"' not in source and name not in kinds] == []


def test_what_both_engines_do_has_one_name() -> None:
    """Where the one has no such statement, its way is another: see the comments of its file."""
    assert SQLITE.keys() - SQL.keys() == {
        *("last_places", "advance_user", "insert_notification", "enqueue"),  # one statement here: append
        "make_user",  # made when they are locked here
        *("put_presence", "delete_presence"),  # many at once here
        "delete_revocation",  # replaced in place here
        *("begin_request", "undo_request", "end_request"),  # decided in memory here
        *("data_version", "journal_mode", "synchronous"),  # of a file
    }


async def test_a_batch_of_one_kind_is_one_statement(database: str) -> None:
    store = PostgresStore(database, clock=FakeClock(), metrics=Metrics())
    await store.open()
    await store.append([submission("warm", "up")])
    await store.mark_sent_seen(1, [1])
    said: list[str] = []

    async def listen(session: Any) -> None:
        session.add_query_logger(lambda query: said.append(query.query))

    await store._writer.run(listen)
    await asyncio.gather(
        *(store.append([submission(f"user {i}", Notification("a")) for i in range(n)]) for n in (1, 5))
    )
    await asyncio.gather(*(store.mark_sent_seen(2, [seq]) for seq in range(4)))
    assert said == [SQL["append"].text, SQL["mark_places"].text]
    said.clear()
    await named(store, "42", "a")
    assert [query for query in said if query.startswith(("BEGIN", "COMMIT", "ROLLBACK"))] == [
        SQL["begin"].text,
        "COMMIT",
    ]
    await store.close()


async def test_no_connection_outlives_a_store(database: str, postgres: Postgres) -> None:
    def connected() -> int:
        return int(postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pns'")[0])

    await eventually(lambda: connected() == 0)
    store = PostgresStore(database, clock=FakeClock(), metrics=Metrics())
    await store.open()
    reading = [asyncio.create_task(store.unseen("42", limit=1, max_bytes=1)) for _ in range(9)]
    await asyncio.gather(*reading, *(store.states(["42"]) for _ in range(9)), append(store, "42", "a"))
    assert connected() == 1 + module.SMALL_READERS + module.PAGE_READERS
    late = asyncio.create_task(store.unseen("42", limit=1, max_bytes=1))
    await asyncio.sleep(0)
    await store.close()
    await asyncio.wait([late])
    await eventually(lambda: connected() == 0)
    with pytest.raises(StoreUnavailable):
        await store.states(["42"])


async def test_a_connection_made_late_has_as_much_time_as_any_other(database: str) -> None:
    """Who made it had waited for a turn and had little left; whoever uses it afterwards has all of it."""
    connections = PostgresConnections(database, most=1, patience=2)
    await connections.open()

    async def lose(session: Any) -> None:
        await asyncio.sleep(1)
        session.terminate()

    async def limit(session: Any) -> Any:
        return await session.fetchval("SHOW statement_timeout")

    losing = asyncio.create_task(connections.run(lose))
    await asyncio.sleep(0)
    assert await connections.run(limit) == "2s"
    await losing
    await connections.close()


async def test_a_refused_value_leaves_the_connection_as_it_was(database: str) -> None:
    store = PostgresStore(database, clock=FakeClock(), metrics=Metrics())
    await store.open()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await append(store, "42", "nothing \0")
        with pytest.raises(StoreUnavailable):
            await store.mark_sent_seen(2**70, [1])
    await append(store, "42", "a")
    assert (await store.states(["42"]))["42"].unseen == 1
    await store.close()


async def test_an_erasure_removes_all_though_another_node_prunes_meanwhile(
    database: str, postgres: Postgres
) -> None:
    """Rows that go while it waits for them must not look like the end of the inbox."""
    store = PostgresStore(database, clock=FakeClock(), metrics=Metrics())
    await store.open()
    await append(store, "42", *map(str, range(REMOVED_AT_ONCE + 100)))
    user_key = (await store.states(["42"]))["42"].user_key
    await store.mark_sent_seen(user_key, [1, 2])
    node = await connect(database, patience=10)
    await node.execute("BEGIN")
    prune = SQL["prune_seen"]
    pruned = await node.fetch(prune.text, *({"seen_before": 2**62, "limit": 10}[n] for n in prune.names))
    assert len(pruned) == 2
    erasing = asyncio.create_task(store.erase("42"))
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pns' AND wait_event_type = 'Lock'"
    await eventually(lambda: asyncio.to_thread(postgres.run, waits))
    await node.execute("COMMIT")
    await erasing
    node.terminate()
    await store.close()
    assert postgres.run("SELECT count(*) FROM pns.notifications") == ["0"]
    assert postgres.run("SELECT count(*) FROM pns.erased") == ["0"]
