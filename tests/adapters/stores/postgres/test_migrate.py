"""The PostgreSQL schema: made once by whoever comes first, all or nothing, beside an application's tables."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from pns.adapters.stores import schema
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.schema import SCHEMA_VERSION, folder
from pns.errors import SchemaError, StoreUnavailable
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import EVERY, SOME, Places, append, inbox, named
from tests.harness.postgres import Postgres

SHAPE = """
SELECT table_name, column_name, data_type, collation_name, is_nullable, is_identity
FROM information_schema.columns WHERE table_schema = 'pns' ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'pns' ORDER BY 1"
VERSION = "SELECT version, oldest_code FROM pns.schema"


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """The address of a database with nothing in it."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


def new_store(url: str) -> PostgresStore:
    return PostgresStore(url, clock=FakeClock(), metrics=Metrics())


def shape(postgres: Postgres, url: str) -> list[str]:
    return [*postgres.run(SHAPE, url), *postgres.run(INDEXES, url)]


def test_migrating_twice_changes_nothing(postgres: Postgres, url: str) -> None:
    migrate(url)
    before = shape(postgres, url)
    migrate(url)
    assert shape(postgres, url) == before
    assert postgres.run(VERSION, url) == [f"{SCHEMA_VERSION}|1"]
    assert postgres.run("SELECT version_num FROM pns.alembic_version", url) == [f"{SCHEMA_VERSION:04}"]


def test_text_is_compared_byte_by_byte(postgres: Postgres, url: str) -> None:
    migrate(url)
    texts = [line.split("|") for line in postgres.run(SHAPE, url) if "|text|" in line]
    assert len(texts) > 10
    assert {collation for _, _, _, collation, _, _ in texts} == {"C"}


def test_every_table_and_index_stands_in_a_schema_of_its_own(postgres: Postgres, url: str) -> None:
    for name in ("users", "notifications", "schema"):
        postgres.run(f"CREATE TABLE {name} (theirs text)", url)
    migrate(url)
    outside = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    assert postgres.run(outside, url) == ["notifications", "schema", "users"]
    assert postgres.run("SELECT count(*) FROM users", url) == ["0"]


def _migrate_at_once(url: str, start: Barrier, said: Path) -> None:
    """What a new process does that migrates the database at the same moment as others do."""
    with said.open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    start.wait(60)
    migrate(url)


def test_several_processes_migrate_one_new_database(postgres: Postgres, url: str, tmp_path: Path) -> None:
    context = get_context("fork")
    start = context.Barrier(3)
    outputs = [tmp_path / f"output-{i}" for i in range(3)]
    processes = [context.Process(target=_migrate_at_once, args=(url, start, output)) for output in outputs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [output.read_text() for output in outputs] == [""] * 3
    assert [process.exitcode for process in processes] == [0] * 3
    assert postgres.run(VERSION, url) == [f"{SCHEMA_VERSION}|1"]


async def test_many_stores_open_one_new_database(url: str) -> None:
    stores = [new_store(url) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await append(stores[0], "42", "a")
    assert await inbox(stores[3], "42") == ["a"]
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("places", [SOME, pytest.param(EVERY, marks=pytest.mark.soak)])
def test_a_migration_cut_off_at_any_statement_is_all_or_nothing(
    postgres: Postgres, url: str, places: Places
) -> None:
    whole = postgres.fresh()
    with _at_statement(0, lambda: None) as reached:
        migrate(whole)
    postgres.drop(whole)
    assert reached() > 20
    for cut in places(reached()):
        with _at_statement(cut, lambda: postgres.terminate_backends(url)) as reached:
            with pytest.raises(StoreUnavailable):
                migrate(url)
            assert reached() == cut + 1
        assert shape(postgres, url) == []
        assert postgres.run("SELECT to_regnamespace('pns')", url) == [""]
    migrate(url)
    assert postgres.run(VERSION, url) == [f"{SCHEMA_VERSION}|1"]


@contextmanager
def _at_statement(number: int, act: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """Call `act` before the `number`th statement of whatever migrates meanwhile; COMMIT is one, too.

    Yields how many statements there were until now.
    """
    reached = 0

    def count(*_: object) -> None:
        nonlocal reached
        reached += 1
        if reached == number + 1:
            act()

    def counted(connection: Connection) -> None:
        count()

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", counted)
    try:
        yield lambda: reached
    finally:
        event.remove(Engine, "before_cursor_execute", count)
        event.remove(Engine, "commit", counted)


# ── releases side by side ─────────────────────────────────────────────────────────────────────────────

_NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{number:04}", "{before:04}"


def upgrade():
    op.add_column("notifications", sa.Column("weight_{number}", sa.BigInteger))
    op.execute("UPDATE schema SET version = {number}, oldest_code = {oldest_code}")
"""


NEXT = SCHEMA_VERSION + 1


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this code one of that schema, which code of schema `oldest_code` and above may use."""
    target, versions = tmp_path / "migrations", folder() / "versions"

    def become(number: int, oldest_code: object = 1) -> None:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder(), target, ignore=shutil.ignore_patterns("0*.py"))
        for path in versions.glob("0*.py"):
            if int(path.name[:4]) <= number:
                shutil.copy(path, target / "versions")
        if number > SCHEMA_VERSION:
            text = _NEXT.format(number=number, before=number - 1, oldest_code=oldest_code)
            (target / "versions" / f"{number:04}_next.py").write_text(text)
        monkeypatch.setattr(schema, "SCHEMA_VERSION", number)
        monkeypatch.setattr(schema, "folder", lambda: target)

    return become


async def test_a_release_and_the_next_run_side_by_side(
    postgres: Postgres, url: str, release: Callable[..., None]
) -> None:
    older = new_store(url)
    await older.open()
    for _ in range(8):  # often enough for the server to keep the plans of its statements
        await use(older)
    release(NEXT)
    newer = new_store(url)
    await newer.open()
    assert postgres.run(VERSION, url) == [f"{NEXT}|1"]
    await use(older)
    await use(newer)
    release(SCHEMA_VERSION)
    await older.close()
    await older.open()
    await use(older)
    assert postgres.run(VERSION, url) == [f"{NEXT}|1"]
    assert await inbox(newer, "42") == ["a"]
    await older.close()
    await newer.close()


async def use(store: PostgresStore) -> None:
    """Every kind of statement on the table that the next release changes."""
    await store.erase("42")
    await append(store, "42", "plain")
    await store.mark_all_seen("42")
    await store.prune(seen_before=2**62, limit=10)
    await named(store, "42", "a", "b")
    await store.withdraw("42", "b")
    assert await inbox(store, "42") == ["a"]


async def test_a_column_that_changes_its_type_undoes_no_write(postgres: Postgres, url: str) -> None:
    """A prepared statement that returned another type before is prepared anew, within a transaction too."""
    store = new_store(url)
    await store.open()
    for kind in ("numeric", "bigint", "numeric"):
        await append(store, "42", kind)
        assert await store.mark_all_seen("42") == 1
        postgres.run(f"ALTER TABLE pns.users ALTER last_seq TYPE {kind}", url)
        assert await store.mark_all_seen("42") == 0
    await store.close()


async def test_a_release_that_is_too_old_is_told_so(
    postgres: Postgres, url: str, release: Callable[..., None]
) -> None:
    release(NEXT, NEXT)
    await asyncio.to_thread(migrate, url)
    release(SCHEMA_VERSION)
    store = new_store(url)
    with pytest.raises(SchemaError, match="pns migrate") as caught:
        await store.open()
    assert str(caught.value).startswith("127.0.0.1:")
    await store.close()
    assert postgres.run(VERSION, url) == [f"{NEXT}|{NEXT}"]


def test_a_migration_may_take_longer_than_others_wait_for_it(
    postgres: Postgres, url: str, release: Callable[..., None]
) -> None:
    migrate(url)
    postgres.run("CREATE RULE slow AS ON UPDATE TO pns.schema DO ALSO SELECT pg_sleep(1)", url)
    release(NEXT)
    migrate(url, patience=0.5)
    assert postgres.run(VERSION, url) == [f"{NEXT}|1"]


def test_a_migration_that_fails_changes_nothing(
    postgres: Postgres, url: str, release: Callable[..., None]
) -> None:
    migrate(url)
    before = shape(postgres, url)
    release(NEXT, "nonsense")
    with pytest.raises(StoreUnavailable):
        migrate(url)
    assert shape(postgres, url) == before
    assert postgres.run(VERSION, url) == [f"{SCHEMA_VERSION}|1"]


@pytest.mark.parametrize(("ended", "made"), [(1, True), (9, True), (10, False)])
def test_an_upgrade_that_met_another_node_in_a_deadlock_is_tried_again(
    postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch, ended: int, made: bool
) -> None:
    left = iter(range(ended))

    def run(connection: Connection) -> None:
        schema.run_migrations(connection)
        if next(left, None) is not None:
            connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")

    monkeypatch.setattr("pns.adapters.stores.postgres.migrate.run_migrations", run)
    if made:
        migrate(url)
        assert postgres.run(VERSION, url) == [f"{SCHEMA_VERSION}|1"]
    else:
        with pytest.raises(StoreUnavailable, match="40P01"):
            migrate(url)


def test_a_user_with_few_rights_can_use_a_schema_made_for_it(postgres: Postgres, url: str) -> None:
    postgres.run("CREATE ROLE modest LOGIN")
    as_modest = url.replace("postgres@", "modest@")
    with pytest.raises(StoreUnavailable, match="schema pns"):
        migrate(as_modest)
    postgres.run("CREATE SCHEMA pns AUTHORIZATION modest", url)
    migrate(as_modest)
    assert postgres.run(VERSION, as_modest) == [f"{SCHEMA_VERSION}|1"]
    postgres.run("DROP OWNED BY modest; DROP ROLE modest", url)


# ── what the doctor asks ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("durable", [True, False])
async def test_the_report_says_what_a_commit_is_worth(durable: bool) -> None:
    with Postgres(durable=durable) as server:
        url = server.url_of("postgres", password="geheim")
        await asyncio.to_thread(migrate, url)
        report = await new_store(url).report()
    assert report.durable is durable
    assert f"fsync {'on' if durable else 'off'}" in report.durability
    assert "synchronous_commit on" in report.durability  # PNS's own setting, whatever the server's
    assert report.place.startswith(f"127.0.0.1:{server.port}/postgres, ")
    assert "PostgreSQL 1" in report.place
    assert (report.schema, report.oldest_code, report.code) == (SCHEMA_VERSION, 1, SCHEMA_VERSION)


async def test_a_report_makes_nothing(postgres: Postgres, url: str) -> None:
    with pytest.raises(StoreUnavailable, match="pns migrate"):
        await new_store(url).report()
    assert postgres.run("SELECT to_regnamespace('pns')", url) == [""]
