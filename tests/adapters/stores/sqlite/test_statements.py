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

from pns.adapters.stores.sqlite import migrate as migrating
from pns.adapters.stores.sqlite.rows import SQL
from pns.adapters.stores.statements import load
from pns.errors import SchemaError, StoreUnavailable
from pns.model.notification import Notification
from tests.adapters.stores.conftest import append, inbox, new_store

# ── statements and indexes ────────────────────────────────────────────────────────────────────────────

SESSION = set(load("sqlite/session.sql"))
NO_PLAN = {
    "insert_notification",
    "newest_revocation",
    "schema",
    "put_probe",
    "next_erased",
    "backlog",
} | SESSION
"""Statements that insert a row, read a table of a row or two, report on a whole table, or read no table."""
SORTED = {"presences", "devices", "pushes"}
"""They order the few devices of a user, or the pushes to these."""


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
    # a parameter's list; nodes, a row for each process; a row for each gateway
    short = {"asked", "json_each", "n", "CONSTANT", "waiting"}
    scans = [step for step in steps if step.startswith("SCAN") and "INDEX publications_due" not in step]
    assert [scan for scan in scans if scan.split()[1] not in short] == [], steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("unseen_after", "notifications_unseen (user_key=? AND seq>?)"),
        ("seen_after", "notifications_seen (user_key=? AND seq>?)"),
        ("seen_before", "notifications_seen (user_key=? AND seq<?)"),
        ("inbox_after", "(user_key=? AND seq>?)"),
        ("inbox_before", "(user_key=? AND seq<?)"),
        ("place", "(user_key=? AND notification_id=?)"),
        ("known_notifications", "(user_key=? AND notification_id=?)"),
        ("delete_collapsed", "notifications_collapse (user_key=? AND collapse_key=?)"),
        ("mark_places", "(user_key=? AND seq=?)"),
        ("mark_ids", "(user_key=? AND notification_id=?)"),
        ("mark_oldest", "notifications_unseen (user_key=? AND seq<?)"),
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
    ],
)
def test_a_statement_reads_the_index_made_for_it(
    connection: sqlite3.Connection, name: str, index: str
) -> None:
    assert any(index in step for step in plan(connection, name)), plan(connection, name)


def test_every_statement_is_used() -> None:
    source = "".join(path.read_text() for path in Path(migrating.__file__).parent.glob("*.py"))
    kinds = {f"{kind}_{way}" for kind in ("seen", "inbox") for way in ("after", "before")} | {"unseen_after"}
    unused = [name for name in SQL if f'"{name}"' not in source and name not in kinds]
    assert unused == []


async def test_a_page_of_a_long_inbox_reads_a_page(tmp_path: Path) -> None:
    """Steps of SQLite's machine do not grow with the inbox, seen or unseen, forwards or back."""
    store = new_store(tmp_path / "pns.db")
    await store.open()
    costs: list[dict[str, int]] = []
    for size in (1_000, 4_000):
        while (await store.states(["42"]))["42"].unseen < size:
            await append(store, "42", *["x"] * 1_000)
        costs.append(await asyncio.to_thread(_costs, tmp_path / "pns.db", ["unseen_after", "inbox_before"]))
        await store.mark_all_seen("42")
        names = ["seen_after", "seen_before", "inbox_after", "unseen_after"]
        marked = await asyncio.to_thread(_costs, tmp_path / "pns.db", names)
        costs[-1] |= {f"{name} when all is seen": cost for name, cost in marked.items()}
    await store.close()
    small, large = costs
    assert sum(cost > 3 for cost in small.values()) == 5
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
    where = {"user_key": 1, "received_after": 0, "now": 2**62, "limit": 50}
    seqs = {name: 2**62 if name.endswith("before") else 0 for name in names}
    with closing(sqlite3.connect(path)) as connection:
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
