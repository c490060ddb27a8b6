"""How SQLite is spoken to: every statement reads an index, commits are durable, no thread stays behind."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pns.adapters.stores import marks
from pns.adapters.stores.sqlite import migrate as migrating
from pns.adapters.stores.sqlite.rows import SQL
from pns.adapters.stores.statements import load
from pns.errors import SchemaError, StoreUnavailable
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from tests.adapters.stores.conftest import append, inbox, new_store, page_statements

# ── statements and indexes ────────────────────────────────────────────────────────────────────────────

SESSION = set(load("sqlite/session.sql"))
NO_PLAN = {
    "insert_notification",
    "newest_revocation",
    "schema",
    "put_probe",
    "next_erased",
    "next_erased_pending",
    "count_pending",
    "next_ended_group",
    "backlog",
    *("some_users", "some_subscribers_of"),  # no further than a limit
    "event_backlog",
} | SESSION
"""Statements that insert a row, read a table of a row or two, report on a whole table, or read no table."""
SORTED = {"presences", "devices", "pushes", "newest_members"}
"""They order the few devices of a user, the pushes to these, or the members of a group, at most 1,000."""


def plan(connection: sqlite3.Connection, name: str) -> list[str]:
    statement = SQL[name]
    names = re.findall(r"(?<!:):(\w+)", statement)
    parameters: object = dict.fromkeys(names, 1) if names else (1,) * statement.count("?")
    if names:
        lists = [n for n in names if f"json_each(:{n})" in statement]
        parameters = {**dict.fromkeys(names, 1), **dict.fromkeys(lists, "[1]")}
    rows = connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)  # type: ignore[arg-type]
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(SQL.keys() - NO_PLAN))
def test_every_statement_reads_an_index(connection: sqlite3.Connection, name: str) -> None:
    steps = plan(connection, name)
    if name not in SORTED:
        assert not any("TEMP B-TREE" in step for step in steps), steps
    # a parameter's list; nodes, a row for each process; a row for each gateway; at most 100 categories
    short = {"asked", "json_each", "n", "CONSTANT", "waiting", "categories"}
    scans = [step for step in steps if step.startswith("SCAN") and "INDEX publications_" not in step]
    assert [scan for scan in scans if scan.split()[1] not in short] == [], steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("unseen_after", "notifications_unseen (user_key=? AND seq>?)"),
        ("seen_after", "notifications_listed (user_key=? AND seq>?)"),
        ("seen_before", "notifications_listed (user_key=? AND seq<?)"),
        ("unread_after", "notifications_unread (user_key=? AND seq>?)"),
        ("unread_before", "notifications_unread (user_key=? AND seq<?)"),
        ("archived_after", "notifications_archived (user_key=? AND seq>?)"),
        ("archived_before", "notifications_archived (user_key=? AND seq<?)"),
        ("inbox_unread_after", "notifications_unseen (user_key=? AND seq>?)"),
        ("inbox_unread_before", "notifications_unread (user_key=? AND seq<?)"),
        ("inbox_listed_after", "notifications_listed (user_key=? AND seq>?)"),
        ("inbox_listed_before", "notifications_unseen (user_key=? AND seq<?)"),
        ("category_after", "notifications_category (user_key=? AND category=? AND seq>?)"),
        ("category_before", "notifications_category (user_key=? AND category=? AND seq<?)"),
        ("inbox_after", "(user_key=? AND seq>?)"),
        ("inbox_before", "(user_key=? AND seq<?)"),
        ("place", "(user_key=? AND notification_id=?)"),
        ("known_notifications", "(user_key=? AND notification_id=?)"),
        ("replaceable", "notifications_collapse (user_key=? AND collapse_key=?)"),
        ("replaceable", "PRIMARY KEY (user_key=? AND group_key=? AND member=?)"),
        ("delete_replaced", "(user_key=? AND seq=?)"),
        ("take_over", "(user_key=? AND seq=?)"),
        ("known_notifications", "group_ids_notification (user_key=? AND notification_id=?)"),
        ("known_notifications", "INDEX notifications_group (user_key=? AND group_key=?)"),
        ("group_of", "group_ids_notification (user_key=? AND notification_id=?)"),
        ("group_of", "notifications_group (user_key=? AND group_key=?)"),
        ("leave_group", "PRIMARY KEY (user_key=? AND group_key=? AND member=?)"),
        ("newest_members", "PRIMARY KEY (user_key=? AND group_key=?)"),
        ("shrink_group", "(user_key=? AND seq=?)"),
        ("delete_place", "(user_key=? AND seq=?)"),
        ("prune_group_members", "PRIMARY KEY (user_key=? AND group_key=?)"),
        ("prune_group_ids", "PRIMARY KEY (user_key=? AND group_key=?)"),
        ("delete_erased_groups", "PRIMARY KEY (user_key=?)"),
        ("delete_erased_members", "PRIMARY KEY (user_key=?)"),
        ("delete_erased_ids", "(user_key=?)"),
        ("note_places", "(user_key=? AND seq=?)"),
        ("note_withdrawn", "(user_key=? AND notification_id=?)"),
        ("note_expired", "notifications_expire (expire_date<?)"),
        ("facts", "(user_key=? AND seq>?)"),
        ("user_pushes", "pushes_notification (user_key=? AND notification_id>?)"),
        ("notes", "PRIMARY KEY (user_key=? AND (at,notification_id,what)>(?,?,?))"),
        ("acts", "(act_id<?)"),
        ("forget_acted_upon", "acts_user_id (user_id=?)"),
        ("some_subscribers_of", "(audience=?)"),
        ("prune_notes", "timeline_at (at<?)"),
        ("delete_erased_notes", "PRIMARY KEY (user_key=?)"),
        ("mark_places", "(user_key=? AND seq=?)"),
        ("mark_ids", "(user_key=? AND notification_id=?)"),
        ("mark_oldest", "notifications_unseen (user_key=? AND seq<?)"),
        ("unseen_places", "notifications_unseen (user_key=? AND seq>? AND seq<?)"),
        ("unread_places", "COVERING INDEX notifications_unread (user_key=? AND seq>? AND seq<?)"),
        ("listed_places", "notifications_listed (user_key=? AND seq>? AND seq<?)"),
        ("subject_unseen", "notifications_collapse (user_key=? AND collapse_key=?)"),
        ("subject_places", "notifications_subject (user_key=? AND collapse_key=? AND seq>? AND seq<?)"),
        ("category_places", "COVERING INDEX notifications_category (user_key=? AND category=? AND seq>? AND"),
        ("places_of", "(user_key=? AND notification_id=?)"),
        ("unseen_among", "(user_key=? AND seq=?)"),
        ("mark_archived", "(user_key=? AND seq=?)"),
        ("unseen_and_unread", "SEARCH users USING INTEGER PRIMARY KEY"),
        ("first_counts", "PRIMARY KEY (user_key=?)"),
        ("named_counts", "PRIMARY KEY (user_key=? AND category=?)"),
        ("any_expired", "notifications_expire (expire_date<?)"),
        ("delete_expired", "notifications_expire (expire_date<?)"),
        ("prune_seen", "notifications_seen_date (seen_date<?)"),
        ("prune_revocations", "revocations_revoked_at (revoked_at<?)"),
        ("prune_tickets", "used_tickets_expires_at (expires_at<?)"),
        ("presences", "connections_user_id (user_id=?)"),
        ("owner", "(address_hash=? AND network=?)"),
        ("devices", "devices_user_key (user_key=?)"),
        ("device_at", "(address_hash=? AND network=?)"),
        ("all_devices", "(device_id>?)"),
        ("regateway", "devices_gateway (gateway=? AND network=?)"),
        ("move_pushes", "pushes_device (device_id=?)"),
        ("cancel_pushes", "pushes_device (device_id=?)"),
        ("enqueue", "devices_user_key (user_key=?)"),
        ("due", "pushes_due (gateway=? AND due_at<?)"),
        ("due", "connections_user_id (user_id=?)"),
        ("due", "c USING INDEX sqlite_autoindex_categories_1 (category=?)"),
        ("due", "o USING INDEX sqlite_autoindex_choices_1 (user_key=? AND category=?)"),
        ("enqueue", "c USING INDEX sqlite_autoindex_categories_1 (category=?)"),
        ("enqueue", "o USING INDEX sqlite_autoindex_choices_1 (user_key=? AND category=?)"),
        ("turned_off", "c USING INDEX sqlite_autoindex_categories_1 (category=?)"),
        ("turned_off", "o USING INDEX sqlite_autoindex_choices_1 (user_key=? AND category=?)"),
        ("preferences", "o USING INDEX sqlite_autoindex_choices_1 (user_key=? AND category=?)"),
        ("forget_choices", "COVERING INDEX choices_category (category=?)"),
        ("delete_user_choices", "sqlite_autoindex_choices_1 (user_key=?)"),
        ("pushes", "pushes_notification (user_key=? AND notification_id=?)"),
        ("untold", "pushes_accepted (user_key=?)"),
        ("stale", "pushes_accepted (user_key>?)"),
        ("prune_pushes", "pushes_settled (changed_at<?)"),
        ("prune_devices", "devices_expires_at (expires_at<?)"),
        ("delete_erased_pushes", "pushes_notification (user_key=?)"),
        ("subscribers", "(audience=? AND user_key>?)"),
        ("subscriptions", "subscriptions_user_key (user_key=?)"),
        ("lease_publication", "publications_due"),
        ("any_due", "publications_due"),
        ("prune_publications", "publications_ended (end_date<?)"),
        ("next_event", "webhook_events_due"),
        ("next_to_tell", "webhook_users_due (due_at>?)"),
        ("due_events", "webhook_events_due (due_at<?)"),
        ("due_to_tell", "webhook_users_due (due_at<?)"),
        ("due_places", "PRIMARY KEY (user_key=? AND due_at<?)"),
        ("drop_untold", "PRIMARY KEY (user_key=? AND due_at<?)"),
        ("prune_events", "webhook_events_settled (changed_at<?)"),
        ("delete_erased_events", "webhook_events_user (user_key=?)"),
        ("publications_before", "publications_newest ((create_date,publication_id)<(?,?))"),
        ("any_task", "publications_task (due_at<?)"),
        ("lease_seen", "p USING INDEX publications_task (due_at<?)"),
        ("lease_seen", "publications_waiting (audience=?"),
        ("everybody_seen", "SEARCH users USING INTEGER PRIMARY KEY (rowid>?)"),
        ("note_visitor", "users USING INDEX"),
        ("lease_taking_back", "publications_task (due_at<?)"),
        ("holders", "SEARCH u USING INTEGER PRIMARY KEY (rowid>?)"),
        ("holders", "(user_key=? AND notification_id=?)"),
        ("holders", "group_ids_notification (user_key=? AND notification_id=?)"),
        ("note_taken_back", "(user_key=? AND notification_id=?)"),
        ("holders", "SEARCH p USING"),
        ("waiting_with_item", "(user_key=? AND notification_id=?)"),
        ("snoozed_groups_with_item", "pending_group (user_key=? AND group_key=?)"),
        ("take_item_back", "(user_key=? AND notification_id=?)"),
        ("groups_with_item", "group_ids_notification (user_key=? AND notification_id=?)"),
        ("groups_with_item", "notifications_group (user_key=? AND group_key=?)"),
        ("with_a_say", "(user_key=? AND notification_id=?)"),
        ("with_a_say", "group_ids_notification (user_key=? AND notification_id=?)"),
        ("with_a_say", "notifications_collapse (user_key=? AND collapse_key=?)"),
        ("with_a_say", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"),
        ("take_places", "SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"),
        ("copy", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"),
        ("push_copies", "devices_user_key (user_key=?)"),
        ("connected_subscribers", "(audience=? AND user_key=?)"),
    ],
)
def test_a_statement_reads_the_index_made_for_it(
    connection: sqlite3.Connection, name: str, index: str
) -> None:
    assert any(index in step for step in plan(connection, name)), plan(connection, name)


def test_every_statement_is_used() -> None:
    source = "".join(path.read_text() for path in Path(migrating.__file__).parent.glob("*.py"))
    source += Path(marks.__file__).read_text()
    assert [name for name in SQL if f'"{name}"' not in source and name not in page_statements()] == []


async def test_a_page_of_a_long_inbox_reads_a_page(tmp_path: Path) -> None:
    """Steps of SQLite's machine do not grow with the inbox, seen or unseen, forwards or back."""
    store = new_store(tmp_path / "pns.db")
    await store.open()
    costs: list[dict[str, int]] = []
    for size in (1_000, 4_000):
        while (await store.states(["42"]))["42"].unseen < size:
            await append(store, "42", *["x"] * 1_000)
        names = ["unseen_after", "inbox_before", "inbox_unread_after", "inbox_listed_before"]
        costs.append(await asyncio.to_thread(_costs, tmp_path / "pns.db", names))
        await store.mark_all_seen("42")
        names = ["seen_after", "seen_before", "inbox_after", "unseen_after"]
        marked = await asyncio.to_thread(_costs, tmp_path / "pns.db", names)
        costs[-1] |= {f"{name} when all is seen": cost for name, cost in marked.items()}
        kept = page_statements() - {"unseen_after", "archived_after", "archived_before"}
        listed = await asyncio.to_thread(_costs, tmp_path / "pns.db", [*kept])
        costs[-1] |= {f"{name} when nothing is read": cost for name, cost in listed.items()}
        await store.mark("42", Mark(MarkAs.ARCHIVED))
        gone = await asyncio.to_thread(_costs, tmp_path / "pns.db", [*page_statements()])
        costs[-1] |= {f"{name} when all is archived": cost for name, cost in gone.items()}
    await store.close()
    small, large = costs
    assert sum(cost > 3 for cost in small.values()) == 21
    assert {name: (small[name], large[name]) for name in small if large[name] > small[name] + 1} == {}


_WAITING = """
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at,
   changed_at)
SELECT n, n, n, n, 'fcm', 'gateway ' || (n % 3), 'queued', 0, n, 1, 1 FROM n
"""


def test_what_waits_for_a_gateway_is_found_however_much_it_is(connection: sqlite3.Connection) -> None:
    """Steps of SQLite's machine that the questions of every second take."""
    where = {"gateway": "gateway 1", "now": 2**62, "limit": 20}
    costs: list[list[int]] = []
    for _ in range(2):
        connection.execute(_WAITING)
        costs.append([_steps(connection, name, where) for name in ("next_due", "due")])
    small, large = costs
    assert min(small) > 3
    assert [more - less <= 1 for less, more in zip(small, large, strict=True)] == [True, True]
    assert dict(connection.execute(SQL["next_due"]).fetchall()) == {f"gateway {n}": n or 3 for n in range(3)}


def _costs(path: Path, names: list[str]) -> dict[str, int]:
    """What a page of each kind costs."""
    where: dict[str, object] = {"user_key": 1, "received_after": 0, "now": 2**62, "limit": 50}
    where |= {"category": "c", "seen": 1, "archived": 0, "unread": 1}
    seqs = {name: 2**62 if name.endswith("before") else 0 for name in names}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(SQL["schema"]).fetchall()  # reads all tables' definitions, which takes steps, too
        return {name: _steps(connection, name, {**where, "seq": seqs[name]}, each=100) for name in names}


def _steps(connection: sqlite3.Connection, name: str, where: dict[str, object], *, each: int = 10) -> int:
    """Steps of SQLite's machine that a statement takes, in units of `each`."""
    steps: list[None] = []
    connection.set_progress_handler(partial(steps.append, None), each)
    connection.execute(SQL[name], where).fetchall()
    return len(steps)


async def test_durable_pragmas(tmp_path: Path) -> None:
    store = new_store(tmp_path / "pns.db")
    await store.open()
    for connection in (store._writer, store._small, store._pages):
        found = await connection.run(
            lambda c: [
                c.execute(f"PRAGMA {p}").fetchone()[0]
                for p in ("journal_mode", "synchronous", "busy_timeout")
            ]
        )
        assert found == ["wal", 2, 5000]
    await store.close()


async def test_no_thread_outlives_a_store(tmp_path: Path) -> None:
    """aiosqlite's threads would keep the process from ending."""

    def alive() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]

    def all_end() -> bool:
        for thread in alive():
            thread.join(10)
        return not alive()

    path = tmp_path / "pns.db"
    store = new_store(path)
    await store.open()
    reading = asyncio.create_task(store.unseen("42", limit=1, max_bytes=1))
    await asyncio.sleep(0)
    reading.cancel()
    assert len(alive()) == 3
    await store.close()
    assert all_end()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE schema SET oldest_code = 99")
    with pytest.raises(SchemaError):
        await store.open()
    assert all_end()
    await asyncio.to_thread(path.write_bytes, b"no database" * 1_000)
    with pytest.raises(StoreUnavailable):
        await store.open()
    assert all_end()


async def test_a_store_is_closed_when_an_opening_that_was_given_up_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that ends after its event loop prints a traceback among the lines of the log."""
    store = new_store(tmp_path / "pns.db")
    await store.open()
    connect = sqlite3.connect
    asked, answered = threading.Event(), threading.Event()

    def slow(*arguments: object, **options: object) -> sqlite3.Connection:
        asked.set()
        answered.wait(10)
        return connect(*arguments, **options)  # type: ignore[call-overload]

    (tmp_path / "pns.db").rename(tmp_path / "away.db")
    with pytest.raises(StoreUnavailable):
        await store.states(["42"])
    monkeypatch.setattr(sqlite3, "connect", slow)
    reading = asyncio.create_task(store.states(["42"]))
    await asyncio.to_thread(asked.wait, 10)
    reading.cancel()
    closing = asyncio.create_task(store.close())
    done, _ = await asyncio.wait([reading, closing], timeout=0.1)
    assert not done
    answered.set()
    await closing
    assert not [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]


async def test_a_file_in_another_journal_mode_is_opened(tmp_path: Path) -> None:
    """As `VACUUM INTO` leaves a copy: without a log beside it."""
    path = tmp_path / "pns.db"
    store = new_store(path)
    await store.open()
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    store = new_store(path)
    await store.open()
    try:
        assert await store.states(["42"]) is not None
        assert await asyncio.to_thread(Path(f"{path}-wal").exists)
    finally:
        await store.close()


async def test_every_begin_of_a_write_is_immediate(tmp_path: Path) -> None:
    """A transaction that reads before it writes is refused at once if another process wrote in between."""
    store = new_store(tmp_path / "pns.db")
    await store.open()
    statements: list[str] = []
    await store._writer.run(lambda connection: connection.set_trace_callback(statements.append))
    await append(store, "42", Notification("a", notification_id="a"))
    await store.erase("42")
    await store.close()
    begins = [statement for statement in statements if statement.startswith("BEGIN")]
    assert len(begins) == 3
    assert set(begins) == {"BEGIN IMMEDIATE"}


async def test_what_another_process_wrote_is_noticed(tmp_path: Path) -> None:
    store, other = new_store(tmp_path / "pns.db"), new_store(tmp_path / "pns.db")
    await store.open()
    await other.open()
    before = await store.foreign_changes()
    await append(store, "42", "own")
    assert await store.foreign_changes() == before
    await append(other, "42", "theirs")
    assert await store.foreign_changes() != before
    assert await inbox(store, "42") == ["own", "theirs"]
    await other.close()
    await store.close()
