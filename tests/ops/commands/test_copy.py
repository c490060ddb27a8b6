"""`pns copy`: what a store holds stands in the other one afterwards, wherever it was stopped."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from types import ModuleType

import pytest

from pns.adapters.stores.postgres import archive as postgres_archive
from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.adapters.stores.sqlite import archive as sqlite_archive
from pns.adapters.stores.sqlite.archive import SQLiteArchive
from pns.adapters.stores.sqlite.migrate import migrate
from pns.compose import make_archive, make_store
from pns.contracts.archive import TABLES, Mark, Numbers, Row, Table, UserRow
from pns.contracts.audiences import EVERYBODY, Publication
from pns.contracts.outbox import Claim
from pns.contracts.store import Store, Submission
from pns.errors import PNSError, SchemaError, SettingsError, StoreUnavailable
from pns.model.notification import Notification
from pns.model.push import PushSchedule
from pns.ops.commands.copy import copy, run
from pns.ops.commands.copy.comparison import compare
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings
from tests.harness.postgres import Postgres
from tests.ops.test_cli import PNS, environment

from .filled_store import FAR, change, contents, file, filled

NOTIFICATIONS = next(table for table in TABLES if table.name == "notifications")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def new(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a new store, by its kind: "sqlite" or "postgresql"."""

    numbers = count(1)

    def make(kind: str) -> str:
        if kind == "postgresql":
            return request.getfixturevalue("postgres").fresh()
        return f"sqlite:///{tmp_path / f'store-{next(numbers)}.db'}"

    return make


@pytest.fixture
def source(new: Callable[[str], str]) -> str:
    return filled(new("sqlite"))


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────────


def copying(source: str, target: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PNS, "copy", "--from", source, "--to", target],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


_HALT = """
CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.user_key > {user_key} THEN PERFORM pg_sleep(3600); END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER halt BEFORE INSERT ON pns.notifications FOR EACH ROW EXECUTE FUNCTION halt()
"""


@pytest.mark.parametrize("users", [200, pytest.param(1_000, marks=pytest.mark.soak)])
def test_many_notifications_killed_half_way_and_resumed_are_equal(
    users: int, new: Callable[[str], str], postgres: Postgres
) -> None:
    total = users * 100
    source, target = filled(new("sqlite"), users=users, each=100), new("postgresql")
    migrate_postgres(target)
    postgres.run(_HALT.format(user_key=users * 9 // 10), target)
    with copying(source, target) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if line.startswith(f"notifications: {total // 2:,}"):
                break
        first.kill()
    postgres.terminate_backends(target)
    postgres.run("DROP FUNCTION halt CASCADE", target)
    half = int(postgres.run("SELECT count(*) FROM pns.notifications", target)[0])
    assert total // 2 <= half < total

    with copying(source, target) as second:
        out, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    assert f"notifications: {half:,} of {total:,} are there already" in err
    assert out.count("yes") == len(TABLES) + 7
    assert "NO" not in out
    there = contents(target)
    assert there == contents(source)
    assert len(there.notifications) == total


def test_there_and_back(source: str, new: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(source)
    way = [source, *map(new, ["postgresql", "postgresql", "sqlite", "sqlite"])]
    for here, there in pairwise(way):
        run(here, there)
        assert contents(there) == before
    assert contents(source) == before
    assert "hush" not in "".join(capsys.readouterr())


async def test_wherever_it_stops_it_goes_on_from_there(
    source: str, new: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_archive, "READ_ROWS", 13)
    writes = (
        1 + 1 + 4 + 4 + 1 + 3 + 1 + 1 + 2 + 1 + 1 + 1 + 1 + 1 + 1 + 3 + 1
    )  # of users, erased, notifications, pending, erased pending, groups, revocations, devices …
    for stop in range(writes):
        target = new("sqlite")
        for left, before in ((stop, True), (0, False)):
            with pytest.raises(Stopped):
                await move(SQLiteArchive(file(source)), Stopping(file(target), left=left, before=before))
        await move(SQLiteArchive(file(source)), Stopping(file(target), left=writes))
        assert contents(target) == contents(source)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_rows_and_mark_are_one_commit(kind: str, new: Callable[[str], str]) -> None:
    url, users = new(kind), TABLES[0]
    archive = make_archive(url)
    row, mark = UserRow(1, "alice", 1, 1, 1, 0), Mark("elsewhere", "users", (0,))
    await archive.open(make=True)
    try:
        await archive.begin(mark, Numbers(1, 0, 0), {})
        with pytest.raises(StoreUnavailable):
            await archive.write(users, [row, row], Mark("elsewhere", "users", (1,)))
        with pytest.raises(TypeError):
            await archive.write(users, [row], Mark(object(), "users", (1,)))  # type: ignore[arg-type]
        assert await archive.mark() == mark
        assert await archive.count(users) == 0
        await refuses_to_open(store_at(url))  # PNS does not start on a part
        await archive.end()
        assert await archive.mark() is None
    finally:
        await archive.close()


async def refuses_to_open(store: Store) -> None:
    with pytest.raises(SchemaError, match="pns copy"):
        await store.open()


class Stopped(Exception):
    """The process ended here."""


class Stopping(SQLiteArchive):
    """A target whose process ends at some write: before its commit, or after it."""

    def __init__(self, path: str, *, left: int, before: bool = True) -> None:
        super().__init__(path)
        self.left = left
        self.before = before

    async def write(self, table: Table, rows: Sequence[Row], mark: Mark) -> None:
        self.left -= 1
        if self.left < 0 and self.before:
            raise Stopped
        await super().write(table, rows, mark)
        if self.left < 0:
            raise Stopped


class Silent:
    def begin(self, what: str, *, total: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...


async def move(source: SQLiteArchive, target: SQLiteArchive) -> None:
    try:
        await copy(source, target, clock=SystemClock(), progress=Silent())
        assert all(line.equal for line in await compare(source, target, progress=Silent()))
        await target.end()
    finally:
        await source.close()
        await target.close()


# ── afterwards ────────────────────────────────────────────────────────────────────────────────────────


def store_at(url: str) -> Store:
    return make_store(Settings(store=StoreSettings(url)), clock=SystemClock(), metrics=Metrics())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_that_was_copied_goes_on_above(kind: str, source: str, new: Callable[[str], str]) -> None:
    target = new(kind)
    run(source, target)

    async def use() -> None:
        store = store_at(target)
        await store.open()
        try:
            assert (await store.secret(), await store.vapid_key()) == ("hush", "hush too")
            assert await store.newest_revocation() == 77
            assert await store.revoke("user 5 ü") == 78
            known, fresh = "user 1 ü", "somebody new"
            before = (await store.states([known]))[known]
            assert before.version == 6
            await store.append([Submission(name, (Notification("x"),)) for name in (known, fresh)])
            after = await store.states([known, fresh])
            assert after[known][:3] == (1, before.version + 1, before.unseen + 1)
            assert after[fresh].user_key == 5_001
            await store.append([Submission(known, (Notification("x"),))], PushSchedule(0, 10**9))
            claim = Claim("fcm", 100, until=FAR, offline_only=False)
            keys = [push.push_key for push in await store.outbox.claim(claim)]
            assert keys[-2:] == [501, 502]
            assert 0 < len(keys[:-2]) == sum(key <= 20 for key in keys)
            await store.prune(seen_before=None, limit=1_000)
            note = Notification("all", notification_id="all")
            everybody = Publication(
                publication_id="all", audience=EVERYBODY, notifications=(note,), create_date=FAR - 1
            )
            kept = await store.announcements.announce(everybody)
            assert (kept.announcement, (await store.states([fresh]))[fresh].unseen) == (10, 2)
        finally:
            await store.close()

    asyncio.run(use())
    assert contents(target).erased == []


# ── bounded memory ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_batch_ends_at_some_bytes(kind: str, source: str, new: Callable[[str], str]) -> None:
    change(source, f"UPDATE notifications SET data = '{'x' * 131_072}'")
    target = new(kind)
    run(source, target)

    async def batches() -> list[int]:
        archive = make_archive(target)
        await archive.open()
        try:
            after, sizes = NOTIFICATIONS.start, []
            while rows := await archive.read(NOTIFICATIONS, after):
                after = NOTIFICATIONS.place(rows[-1])
                sizes.append(len(rows))
            return sizes
        finally:
            await archive.close()

    sizes = asyncio.run(batches())
    assert sum(sizes) == 50
    assert max(sizes) <= 33


# ── what it refuses ───────────────────────────────────────────────────────────────────────────────────


def refusal(source: str, target: str) -> str:
    with pytest.raises(PNSError) as refused:
        run(source, target)
    return str(refused.value)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_target_that_is_not_empty(
    kind: str, source: str, new: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    target = new(kind)
    run(source, target)
    postgres = request.getfixturevalue("postgres") if kind == "postgresql" else None
    change(target, "UPDATE users SET unseen = 99", postgres)
    before = contents(target)
    for what in (table.name for table in TABLES):
        assert "is not empty" in refusal(source, target)
        assert contents(target) == before
        change(target, f"DELETE FROM {what}", postgres)
        before = contents(target)
    run(source, target)  # a secret alone does not matter: the first start makes one
    assert contents(target) == contents(source)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("which", ["source", "target"])
def test_a_store_that_is_in_use(
    kind: str, which: str, source: str, new: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    first, second = new(kind), new("sqlite")
    migrate(Path(file(second)))
    run(source, first)
    postgres = request.getfixturevalue("postgres") if kind == "postgresql" else None
    change(first, f"INSERT INTO nodes (node_id, lease_until) VALUES ('alive', {FAR})", postgres)
    assert "in use" in (refusal(first, second) if which == "source" else refusal(second, first))
    assert contents(second).users == []


async def begin(source: str, target: str) -> None:
    """Copy a part, then stop."""
    with pytest.raises(Stopped):
        await move(SQLiteArchive(file(source)), Stopping(file(target), left=1))


def test_a_part_of_another_store(source: str, new: Callable[[str], str]) -> None:
    part, other, empty = new("sqlite"), filled(new("sqlite")), new("sqlite")
    asyncio.run(begin(source, part))
    assert file(source) in refusal(other, part)
    assert "complete that copy first" in refusal(part, empty)
    run(source, part)
    assert contents(part) == contents(source)


CHANGES = {
    "a word": "UPDATE notifications SET category = 'changed' WHERE user_key = 1 AND seq = 1",
    "a count": "UPDATE users SET unseen = unseen + 1, version = version + 1 WHERE user_key = 1",
    "one more": "INSERT INTO notifications (user_key, seq, notification_id, data, create_date)"
    " VALUES (1, 0, 'more', 'x', 1)",
    "one less": "DELETE FROM revocations WHERE revocation = 41",
    "a number": "UPDATE sqlite_sequence SET seq = 6000 WHERE name = 'users'",
    "a secret": "UPDATE meta SET value = 'other' WHERE name = 'push key'",
    "a device": "UPDATE devices SET badge = 7 WHERE device_id = 'device 1'",
    "a push": "UPDATE pushes SET state = 'retry' WHERE push_key = 1",
    "a subscription": "DELETE FROM subscriptions WHERE user_key = 1",
    "a category": "UPDATE categories SET push_required = 1 WHERE category = 'B'",
    "a choice": "UPDATE choices SET push = 1 WHERE user_key = 3",
    "an act": "UPDATE acts SET what = 'publish' WHERE user_id IS NULL",
    "what may be told": "UPDATE webhook_waiting SET due_at = 7 WHERE user_key = 3 AND seq = 1",
    "when a user is told": "UPDATE webhook_users SET told_at = 7 WHERE user_key = 3",
    "an event": "UPDATE webhook_events SET attempts = 7 WHERE user_key = 3",
    "a note": "UPDATE timeline SET what = 'expired' WHERE what = 'muted'",
    "a publication": "UPDATE publications SET reached = reached + 1",
    "a push's number": "UPDATE sqlite_sequence SET seq = 6000 WHERE name = 'pushes'",
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_source_that_changed_meanwhile(
    case: str, source: str, new: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = new("sqlite")

    async def all_but_the_end() -> None:
        with pytest.raises(Stopped):
            await move(
                SQLiteArchive(file(source)), Stopping(file(target), left=len(TABLES) - 1, before=False)
            )

    asyncio.run(all_but_the_end())
    change(source, CHANGES[case])
    for _ in range(2):
        assert "the stores differ" in refusal(source, target)
        assert "NO" in capsys.readouterr().out
    Path(file(target)).unlink()
    run(source, target)
    assert contents(target) == contents(source)


def test_the_same_store_twice(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="same store"):
        run(source, f"sqlite:///{Path(file(source)).name}")


def test_a_source_that_is_none(new: Callable[[str], str], tmp_path: Path) -> None:
    assert "no such file" in refusal(new("sqlite"), new("sqlite"))
    (tmp_path / "other.db").write_bytes(b"something else entirely" * 100)
    assert "no SQLite database" in refusal(f"sqlite:///{tmp_path}/other.db", new("sqlite"))
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE schema SET version = 'x'",
        "UPDATE users SET unseen = 'x'",
        "UPDATE notifications SET data = x'ff'",
    ],
)
def test_a_source_that_is_damaged(damage: str, source: str, new: Callable[[str], str]) -> None:
    change(source, damage)
    assert "damaged" in refusal(source, new("sqlite"))


def test_a_database_that_is_none(source: str, new: Callable[[str], str], postgres: Postgres) -> None:
    absent = postgres.url_of("absent", password="secret")
    for said in (refusal(source, absent), refusal(absent, new("sqlite"))):
        assert "/absent: " in said
        assert "createdb" in said
        assert "secret" not in said
    assert "tables are not there" in refusal(postgres.fresh(), new("sqlite"))


# ── nothing is forgotten ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("engine", [sqlite_archive, postgres_archive])
def test_every_statement_is_used(engine: ModuleType) -> None:
    source = Path(engine.__file__ or "").read_text()
    each = {f"{verb}_{table.name}" for verb in ("read", "write", "count") for table in TABLES}
    assert [name for name in engine.SQL if f'"{name}"' not in source and name not in each] == []


def test_every_table_is_copied(source: str) -> None:
    """A new migration's table is copied too, or is of the moment, or this fails."""
    with closing(sqlite3.connect(file(source))) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        columns = {
            table.name: [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
            for table in TABLES
        }
    of_the_moment = {"nodes", "connections", "used_tickets"}
    of_the_file = {"schema", "alembic_version", "sqlite_sequence"}
    counted = {"category_counts"}
    assert tables - of_the_moment - of_the_file - counted == {*columns, "meta"}
    columns["users"].remove("seen_unread")  # counted by the target as well, with each notification
    assert columns == {table.name: list(table.columns) for table in TABLES}
