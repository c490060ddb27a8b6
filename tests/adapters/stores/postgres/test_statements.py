"""How PostgreSQL is spoken to: every statement reads an index, and no connection stays behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pns.adapters.stores import marks
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
from tests.adapters.stores.conftest import append, named, page_statements, submission
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually

NO_PLAN = {"begin", "begin_erasing", "begin_migration", "make_schema", "prepare_session", "take_time"} | {
    "commit",
    "roll_back",
    "begin_copies",
    "undo_copies",
}
SHORT = {"erased", "erased_pending", "nodes", "schema"}
"""Tables of a row or two, read whole."""
REPORTS = {"backlog", "event_backlog"}
"""Statements that tell of a whole table."""
FEW_ASKED = {"forget_choices", "held_elsewhere", "holders", "with_a_say"}
"""Statements for many users, whose other lists are short: of the ids of a publication, or of a category."""


_MANY = """
INSERT INTO pns.users (user_id, last_seq, unseen, version)
SELECT n, 100, 25, 1 FROM generate_series(1, 100) n;
INSERT INTO pns.notifications
SELECT u, n, n, 'x', n, CASE WHEN n % 4 > 0 THEN n END, n % 50,
  CASE WHEN n % 20 IN (0, 1) THEN n % 20 END, CASE WHEN n % 50 = 0 THEN n END, NULL,
  CASE WHEN n % 8 = 1 THEN 0 END, CASE WHEN n % 8 = 3 THEN n END, CASE WHEN n % 2 = 0 THEN n END, NULL
FROM generate_series(1, 100) u, generate_series(1, 100) n;
INSERT INTO pns.group_members SELECT u, n, m, 1, m
FROM generate_series(1, 100) u, generate_series(2, 100, 2) n, generate_series(1, 5) m;
INSERT INTO pns.group_ids SELECT u, n, m, concat(u, '.', n, '.', m), 1
FROM generate_series(1, 100) u, generate_series(2, 100, 2) n, generate_series(1, 5) m;
INSERT INTO pns.ended_groups SELECT u, n FROM generate_series(1, 100) u, generate_series(1001, 1050) n;
INSERT INTO pns.pending
SELECT u, n, n % 50, n % 2, NULL, 'x', n, n % 50, n % 20, NULL, NULL, CASE WHEN n % 2 = 0 THEN n END, NULL
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
  (publication_id, audience, content, create_date, after_key, reached, due_at, end_date)
SELECT n, n, '', n, 0, 0, n, CASE WHEN n % 100 > 0 THEN n END FROM generate_series(1, 10000) n;
INSERT INTO pns.webhook_waiting SELECT n % 100, n, n FROM generate_series(1, 10000) n;
INSERT INTO pns.webhook_users SELECT n, n, NULL, NULL FROM generate_series(1, 10000) n;
INSERT INTO pns.webhook_events
SELECT n, n % 100, 'seen', CASE WHEN n % 5 = 0 THEN 'queued' ELSE 'failed' END, '[]', 0, n, n, n, NULL, n
FROM generate_series(1, 10000) n;
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


_FEW_EACH = "".join(
    f"ALTER TABLE pns.{table} ALTER user_key SET (n_distinct = -0.5); ANALYZE pns.{table};"
    for table in ("notifications", "pending", "group_members", "group_ids", "ended_groups", "webhook_waiting")
)
"""Let the planner take each user for one with two rows."""


@asynccontextmanager
async def rolled_back(connection: Any) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


@pytest.fixture
async def connection(filled: str) -> AsyncIterator[Any]:
    connection = await connect(filled, patience=10)
    yield connection
    connection.terminate()


async def plan(connection: Any, name: str) -> list[str]:
    """The plan of a statement where reading a whole table costs more than anything."""
    statement = SQL[name]
    types = (await connection.prepare(statement.text)).get_parameters()
    arrays = {"int8[]": [1], "text[]": ["1"], "bool[]": [True]}
    samples = {"int8": 1, "text": "1", "bool": False, "json": "[{}]", **arrays}
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
        ("seen_after", "notifications_listed"),
        ("seen_before", "notifications_listed"),
        ("unread_after", "notifications_unread"),
        ("unread_before", "notifications_unread"),
        ("archived_after", "notifications_archived"),
        ("archived_before", "notifications_archived"),
        ("inbox_unread_after", "notifications_unseen"),
        ("inbox_unread_before", "notifications_unread"),
        ("inbox_listed_after", "notifications_unseen"),
        ("inbox_listed_before", "notifications_listed"),
        ("unseen_places", "notifications_unseen"),
        ("unread_places", "notifications_unread"),
        ("listed_places", "notifications_listed"),
        ("subject_unseen", "notifications_collapse"),
        ("subject_places", "notifications_subject"),
        ("unseen_and_unread", "users_pkey"),
        ("first_counts", "category_counts_pkey"),
        ("named_counts", "category_counts_pkey"),
        ("inbox_after", "notifications_pkey"),
        ("inbox_before", "notifications_pkey"),
        ("mark_oldest", "notifications_unseen"),
        ("delete_replaced", "notifications_pkey"),
        ("known_notifications", "group_ids_notification"),
        ("known_notifications", "notifications_group"),
        ("replaceable", "users_user_id_key"),
        ("replaceable", "notifications_collapse"),
        ("replaceable", "group_members_pkey"),
        ("append_over", "notifications_pkey"),
        ("group_of", "group_ids_notification"),
        ("group_of", "notifications_group"),
        ("known_notifications", "pending_pkey"),
        ("known_notifications", "pending_group"),
        ("pending_group_of", "pending_group"),
        ("pending_after", "pending_user"),
        ("pending_before", "pending_user"),
        ("next_delivery", "pending_due"),
        ("due_pending", "pending_due"),
        ("take_due", "pending_pkey"),
        ("delete_pending", "pending_pkey"),
        ("unseen_keys", "notifications_collapse"),
        ("leave_groups", "group_members_pkey"),
        ("newest_members", "group_members_pkey"),
        ("next_ended_group", "ended_groups_pkey"),
        ("prune_group_members", "group_members_pkey"),
        ("prune_group_ids", "group_ids_pkey"),
        ("delete_erased_groups", "ended_groups_pkey"),
        ("delete_erased_members", "group_members_pkey"),
        ("any_expired", "notifications_expire"),
        ("expired", "notifications_expire"),
        ("prune_seen", "notifications_seen_date"),
        ("prune_seen", "notifications_pkey"),
        ("prune_revocations", "revocations_revoked_at"),
        ("prune_tickets", "used_tickets_expires_at"),
        ("presences", "connections_user_id"),
        ("append_pushed", "devices_user_key"),
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
        ("wait_to_tell", "categories_pkey"),
        ("wait_to_tell", "users_user_id_key"),
        ("wait_to_tell", "notifications_user_key_notification_id_key"),
        ("due_places", "webhook_waiting_pkey"),
        ("drop_untold", "webhook_waiting_pkey"),
        ("prune_events", "webhook_events_settled"),
        ("delete_erased_events", "webhook_events_user"),
        ("publications_before", "publications_newest"),
        ("any_task", "publications_task"),
        ("lease_seen", "publications_task"),
        ("everybody_seen", "users_pkey"),
        ("lease_taking_back", "publications_task"),
        ("holders", "users_pkey"),
        ("holders", "group_ids_notification"),
        ("holders", "notifications_user_key_notification_id_key"),
        ("note_taken_back", "notifications_user_key_notification_id_key"),
        ("holders", "pending_pkey"),
        ("waiting_with_items", "pending_pkey"),
        ("snoozed_groups_with_item", "pending_group"),
        ("take_items_back", "notifications_user_key_notification_id_key"),
        ("groups_with_item", "group_ids_notification"),
        ("groups_with_item", "notifications_group"),
        ("with_a_say", "users_pkey"),
        ("with_a_say", "notifications_user_key_notification_id_key"),
        ("with_a_say", "group_ids_notification"),
        ("with_a_say", "notifications_collapse"),
        ("with_a_say", "pending_pkey"),
        ("lock_subscribers", "users_pkey"),
        ("held_elsewhere", "pending_pkey"),
        ("held_elsewhere", "group_ids_notification"),
        ("copy", "users_pkey"),
        ("push_copies", "devices_user_key"),
        ("connected_subscribers", "subscriptions_user_key"),
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
        ("next_event", "", "webhook_events_due"),
        ("next_to_tell", "", "webhook_users_due"),
        ("due_events", "(1, 8)", "webhook_events_due"),
        ("due_to_tell", "(1, 8)", "webhook_users_due"),
        ("any_task", "('spread', 1)", "publications_task"),
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
    large = {"notifications", "pushes", "publications", "webhook_users", "webhook_events"}
    assert not {f for step in steps for f in re.findall(r"Seq Scan on (\w+)", step)} & large, steps


@pytest.mark.parametrize("name", ["category_after", "category_before", "category_places"])
async def test_what_is_asked_of_a_category_reads_its_index(connection: Any, name: str) -> None:
    """By a plan for any parameters: one for those at hand may know of fewer rows in another index."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {SQL[name].text}")
    nothing = ", ".join(["NULL"] * len(SQL[name].names))
    steps = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked({nothing})")]
    assert any("notifications_category" in step for step in steps), steps


@pytest.mark.parametrize("name", sorted(SQL.keys() - NO_PLAN - REPORTS - FEW_ASKED))
async def test_no_statement_compares_all_that_a_user_has_with_a_list(connection: Any, name: str) -> None:
    """A plan for any parameters takes each user for one with few rows. A mark of 1,000 places of 100,000 took
    half a second, and the notifies behind the mark waited.
    """
    async with rolled_back(connection):
        await connection.execute(_FEW_EACH)
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE asked AS {SQL[name].text}")
        nothing = ", ".join(["NULL"] * len(SQL[name].names))
        asked = f"({nothing})" if nothing else ""
        steps = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked{asked}"))
        await connection.execute("DEALLOCATE asked")
    for scan in re.split(r"\n(?= *->)|\n(?= *CTE)|\n(?= *InitPlan)", steps):
        searched = " ".join(re.findall(r"Index Cond: (.*)", scan))
        for column in re.findall(r"\b(\w+) = ANY \(\(?\$", " ".join(re.findall(r"Filter: (.*)", scan))):
            assert re.search(rf"\b{column}\b", searched), steps


def test_every_statement_is_used() -> None:
    source = "".join(path.read_text() for path in Path(module.__file__).parent.glob("*.py"))
    source += Path(marks.__file__).read_text()
    assert [name for name in SQL if f'"{name}"' not in source and name not in page_statements()] == []


def test_what_both_engines_do_has_one_name() -> None:
    """Where the one has no such statement, its way is another: see the comments of its file."""
    assert SQLITE.keys() - SQL.keys() == {
        # one statement here: append
        *("ends", "advance_user", "insert_notification", "take_over", "enqueue", "note_replaced"),
        "wake_to_tell",  # one statement here: wait_to_tell
        *("join_group", "take_id"),  # one statement here: append, too
        "take_places",  # one statement here: copy
        "living",  # no node waits for another here
        "make_user",  # made when they are locked here
        *("leave_group", "shrink_group", "delete_place", "touch_user"),  # of many users at once here
        *("take_item_back", "waiting_with_item"),  # several at once here
        *("put_presence", "delete_presence", "make_visitor", "note_visitor"),  # many at once here
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


async def test_no_connection_outlives_a_store(postgres: Postgres) -> None:
    url = postgres.fresh()  # other tests keep connections to theirs
    name = url.rpartition("/")[2]

    def connected() -> int:
        return int(postgres.run(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")[0])

    store = PostgresStore(url, clock=FakeClock(), metrics=Metrics())
    await store.open()
    reading = [asyncio.create_task(store.unseen("42", limit=1, max_bytes=1)) for _ in range(9)]
    await asyncio.gather(*reading, *(store.states(["42"]) for _ in range(9)), append(store, "42", "a"))
    await eventually(lambda: connected() == 1 + module.SMALL_READERS + module.PAGE_READERS)
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


PRUNE_OF_BEFORE = """
WITH old AS MATERIALIZED (
  SELECT user_key, seq FROM pns.notifications
  WHERE seen_date < 1::bigint << 62 ORDER BY seen_date LIMIT 10 FOR UPDATE SKIP LOCKED)
DELETE FROM pns.notifications n USING old WHERE n.user_key = old.user_key AND n.seq = old.seq
RETURNING n.seq
"""
"""As nodes of 0.3.0 and before prune: without the locks of users."""


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
    assert len(await node.fetch(PRUNE_OF_BEFORE)) == 2
    erasing = asyncio.create_task(store.erase("42"))
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pns' AND wait_event_type = 'Lock'"
    await eventually(lambda: asyncio.to_thread(postgres.run, waits))
    await node.execute("COMMIT")
    await erasing
    node.terminate()
    await store.close()
    assert postgres.run("SELECT count(*) FROM pns.notifications") == ["0"]
    assert postgres.run("SELECT count(*) FROM pns.erased") == ["0"]
