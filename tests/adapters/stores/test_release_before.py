"""Releases before this one: their data are taken over, and they go on beside this release on the same data.

Schema 1 knows no devices, pushes or audiences; what its code says stands here in its own words. Schema 2
knows no tickets. The releases themselves run in tests/releases.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pns.adapters.stores import schema
from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Store
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.harness.postgres import Postgres

from .conftest import Engine, inbox
from .pushing import START, accept, claim, phone, push, states, told

Raw = Callable[[str], list[str]]

APPEND = """
INSERT INTO users (user_id, last_seq, unseen, version) VALUES ('{user}', 1, 1, 1)
ON CONFLICT (user_id) DO UPDATE SET last_seq = users.last_seq + 1, unseen = users.unseen + 1,
  version = users.version + 1;
INSERT INTO notifications
  (user_key, seq, notification_id, data, create_date, category, collapse_key, expire_date)
SELECT user_key, last_seq, '{id}', '{id}', 1, NULL, NULL, NULL FROM users WHERE user_id = '{user}'
"""
MARK = """
UPDATE notifications SET seen_date = 5
WHERE user_key = (SELECT user_key FROM users WHERE user_id = '{user}') AND notification_id = '{id}';
UPDATE users SET unseen = unseen - 1, version = version + 1 WHERE user_id = '{user}'
"""
WITHDRAW = """
DELETE FROM notifications
WHERE user_key = (SELECT user_key FROM users WHERE user_id = '{user}') AND notification_id = '{id}';
UPDATE users SET unseen = unseen - 1, version = version + 1 WHERE user_id = '{user}'
"""
ERASE = """
INSERT INTO erased (user_key) SELECT user_key FROM users WHERE user_id = '{user}';
DELETE FROM users WHERE user_id = '{user}';
DELETE FROM notifications WHERE user_key IN (SELECT user_key FROM erased);
DELETE FROM erased
"""


# ── beside it ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_it_stores_is_kept_and_not_pushed(store: Store, raw: Raw, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    raw(APPEND.format(user="ann", id="theirs"))
    raw(APPEND.format(user="bob", id="theirs"))
    await push(store, "b")
    assert await inbox(store, "ann") == ["a", "theirs", "b"]
    assert [p.notification_id for p in await claim(store, clock)] == ["a", "b"]
    assert await store.outbox.pushes("ann", "theirs") == []
    assert await store.outbox.register(phone("bob", "tablet")) == phone("bob", "tablet")
    assert (await store.states(["bob"]))["bob"].unseen == 1


async def test_what_it_marks_or_removes_is_not_pushed_any_more(
    store: Store, raw: Raw, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a", "b")
    await accept(store, clock)
    await push(store, "c", "d", "e")
    for words, id in ((MARK, "a"), (WITHDRAW, "b"), (MARK, "c"), (WITHDRAW, "d")):
        raw(words.format(user="ann", id=id))
    assert told(await claim(store, clock)) == [("phone", "e")]
    assert await store.outbox.dismiss("ann", START + 9) == 1
    assert [p.dismissed for p in await claim(store, clock)] == [("a", "b")]


async def test_a_user_who_has_nothing_but_a_device_is_one_to_it(
    store: Store, raw: Raw, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    before = (await store.states(["ann"]))["ann"]
    raw(APPEND.format(user="ann", id="theirs"))
    after = (await store.states(["ann"]))["ann"]
    assert after[:3] == (before.user_key, 1, 1)
    await push(store, "a")
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_whom_it_erases_is_gone(store: Store, raw: Raw, clock: FakeClock) -> None:
    """It leaves a device behind that it does not know: nobody's, and whoever wants its address has it."""
    await store.outbox.register(phone())
    await store.audiences.subscribe("topic/a", "ann", make=True)
    await push(store, "a")
    raw(ERASE.format(user="ann"))
    assert await store.outbox.devices("ann") == []
    assert await store.outbox.device("phone") is None
    assert await store.outbox.all_devices("", 9) == []
    assert await store.audiences.subscribers("topic/a", after=0, limit=9) == []
    assert await claim(store, clock) == []
    assert await store.outbox.next_due() == {}
    taken = phone("bob", "tablet", address="address of phone")
    assert await store.outbox.register(taken) == taken
    await push(store, "a")
    assert await states(store, "a") == []


# ── its data ──────────────────────────────────────────────────────────────────────────────────────────


NEWER = {1: ("000[2345]*",), 2: ("000[345]*",), 3: ("000[45]*",), 4: ("0005*",)}
"""Schema → the migrations that its code had not."""


@pytest.fixture(params=[(engine, number) for engine in ("sqlite", "postgres") for number in NEWER])
def theirs(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """A store that is not open yet, on data as a release of that schema left them."""
    engine, number = request.param
    ignored = shutil.ignore_patterns(*NEWER[number])
    shutil.copytree(schema.folder(), tmp_path / "migrations", ignore=ignored)
    words = APPEND.format(user="ann", id="old")
    store: Store
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", number)
        patch.setattr(schema, "folder", lambda: tmp_path / "migrations")
        if engine == "sqlite":
            store = SQLiteStore(tmp_path / "old.db", clock=FakeClock(), metrics=Metrics())
            migrate(store.path)
            _run(store.path, words)
        else:
            url = postgres.fresh()
            store = PostgresStore(url, clock=FakeClock(), metrics=Metrics())
            migrate_postgres(url)
            postgres.run(f"SET search_path = pns; {words}", url)
    return store


def _run(path: Path, words: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(words)


async def test_its_data_are_taken_over(theirs: Store, clock: FakeClock) -> None:
    await theirs.open()
    report = await theirs.report()
    assert (report.schema, report.oldest_code) == (schema.SCHEMA_VERSION, 1)
    assert await inbox(theirs, "ann") == ["old"]
    await theirs.outbox.register(phone())
    await push(theirs, "new")
    found = await claim(theirs, clock)
    assert (told(found), [p.badge for p in found]) == ([("phone", "new")], [2])
    assert [await theirs.use_ticket("a", clock.now()) for _ in range(2)] == [True, False]
    await theirs.close()


# ── its code ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", NEWER)
async def test_its_code_goes_on_beside_this_release(
    engine: Engine, store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It opens what this release has migrated, and this release sees what it revokes."""
    await store.use_ticket("a", clock.now())
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", number)
        older = engine()
        await older.open()
    revoked = await older.revoke("ann")
    assert (await store.states(["ann"]))["ann"].revoked("phone") == revoked
    assert await store.use_ticket("a", clock.now()) is False
    await older.close()
