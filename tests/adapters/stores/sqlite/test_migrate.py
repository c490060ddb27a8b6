"""The SQLite schema: made once by whoever comes first, all or nothing; strange files are refused."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from pns.adapters.stores import schema
from pns.adapters.stores.schema import SCHEMA_VERSION, folder
from pns.adapters.stores.sqlite import migrate as module
from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.rows import SQL
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.errors import SchemaError, SettingsError, StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import EVERY, SOME, Places, append, inbox, new_store

# ── migrations ────────────────────────────────────────────────────────────────────────────────────────


def test_migrating_twice_changes_nothing(file: Path) -> None:
    before = file.read_bytes()
    migrate(file)
    assert file.read_bytes() == before


def test_the_newest_migration_is_the_schema_of_this_code(connection: sqlite3.Connection) -> None:
    files = sorted((folder() / "versions").glob("*.py"))
    assert int(files[-1].name[:4]) == len(files) == SCHEMA_VERSION
    assert connection.execute(SQL["schema"]).fetchall() == [(SCHEMA_VERSION, 1)]
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
        (f"{SCHEMA_VERSION:04}",)
    ]


def _open(path: Path, word: str, start: Barrier, said: Path) -> None:
    """What a new process does that opens the file at the same moment as others do."""
    with said.open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)

    async def write() -> None:
        store = SQLiteStore(path, clock=FakeClock(), metrics=Metrics())
        start.wait(60)
        await store.open()
        await append(store, "42", word)
        await store.close()

    asyncio.run(write())


def test_many_processes_open_one_new_file(tmp_path: Path) -> None:
    path, context = tmp_path / "pns.db", get_context("fork")
    start = context.Barrier(6)
    outputs = [tmp_path / f"output-{i}" for i in range(6)]
    processes = [context.Process(target=_open, args=(path, output.name, start, output)) for output in outputs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [output.read_text() for output in outputs] == [""] * 6
    assert [process.exitcode for process in processes] == [0] * 6
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM schema").fetchone() == (1,)
        assert connection.execute("SELECT unseen FROM users").fetchall() == [(6,)]


async def test_many_stores_of_one_process_open_one_new_file(tmp_path: Path) -> None:
    stores = [new_store(tmp_path / "pns.db") for _ in range(5)]
    others = [new_store(tmp_path / f"other{i}.db") for i in range(3)]
    await asyncio.gather(*(store.open() for store in stores + others))
    await append(stores[0], "42", "a")
    assert await inbox(stores[4], "42") == ["a"]
    assert await inbox(others[0], "42") == []
    await asyncio.gather(*(store.close() for store in stores + others))


def _statements(path: Path, kill_at: int | None = None) -> int:
    """How many statements a migration of the new file at `path` runs; before that number it kills itself."""
    number = 0
    connect = module._connect

    def counting(path: Path, patience: float) -> sqlite3.Connection:
        def count(_: str) -> None:
            nonlocal number
            if number == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            number += 1

        connection = connect(path, patience)
        connection.set_trace_callback(count)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_connect", counting)
        migrate(path)
    return number


@pytest.mark.parametrize("places", [SOME, pytest.param(EVERY, marks=pytest.mark.soak)])
def test_a_migration_killed_at_any_statement_is_all_or_nothing(tmp_path: Path, places: Places) -> None:
    whole = tmp_path / "whole.db"
    total = _statements(whole)
    assert total > 20
    for point in places(total):
        path = tmp_path / f"{point}.db"
        killed = get_context("fork").Process(target=_statements, args=(path, point))
        killed.start()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        assert tables == 0 or _schema(path) == _schema(whole)
        migrate(path)
        assert _schema(path) == _schema(whole)


def _schema(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()


def test_a_newer_schema_that_lets_this_code_run_is_left_alone(
    file: Path, connection: sqlite3.Connection
) -> None:
    connection.execute("UPDATE schema SET version = 7, oldest_code = ?", (SCHEMA_VERSION,))
    connection.execute("UPDATE alembic_version SET version_num = '0007'")
    migrate(file)
    assert connection.execute(SQL["schema"]).fetchall() == [(7, SCHEMA_VERSION)]


async def test_a_schema_that_is_too_new_is_refused_by_name(
    file: Path, connection: sqlite3.Connection
) -> None:
    connection.execute("UPDATE schema SET version = 9, oldest_code = 8")
    store = new_store(file)
    with pytest.raises(SchemaError, match="pns migrate") as caught:
        await store.open()
    assert str(file) in str(caught.value)
    await store.close()


async def test_an_older_schema_is_brought_up_to_date(
    file: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = SCHEMA_VERSION + 1
    target = tmp_path / "next"
    shutil.copytree(folder(), target)
    (target / "versions" / f"{number:04}_more.py").write_text(
        f'from alembic import op\nrevision, down_revision = "{number:04}", "{SCHEMA_VERSION:04}"\n'
        f'def upgrade():\n    op.execute("UPDATE schema SET version = {number}")\n'
    )
    monkeypatch.setattr(schema, "SCHEMA_VERSION", number)
    monkeypatch.setattr(schema, "folder", lambda: target)
    store = new_store(file)
    await store.open()
    await store.close()
    assert connection.execute(SQL["schema"]).fetchall() == [(number, 1)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = tmp_path / "bad" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "bad" / "env.py").write_text((folder() / "env.py").read_text())
    source = (folder() / "versions" / "0001_core.py").read_text()
    (versions / "0001_core.py").write_text(source.replace("_nodes()\n", 'op.execute("nonsense")\n', 1))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "folder", lambda: tmp_path / "bad")
        with pytest.raises(StoreUnavailable):
            migrate(tmp_path / "pns.db")
    with closing(sqlite3.connect(tmp_path / "pns.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    migrate(tmp_path / "pns.db")


# ── files that are not ours ───────────────────────────────────────────────────────────────────────────


async def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name)")
    before = path.read_bytes()
    store = new_store(path)
    with pytest.raises(SchemaError, match=re.escape(str(path))):
        await store.open()
    await store.close()
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_bytes(b"Dear diary, " * 1_000)
    store = new_store(path)
    with pytest.raises(StoreUnavailable, match=re.escape(str(path))) as caught:
        await store.open()
    assert "backup" in str(caught.value)
    await store.close()
    assert path.read_bytes() == b"Dear diary, " * 1_000


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = new_store(tmp_path / "missing" / "pns.db")
    with pytest.raises(StoreUnavailable, match="missing"):
        await store.open()
    await store.close()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_store_needs_a_file(path: str) -> None:
    with pytest.raises(SettingsError, match="file"):
        SQLiteStore(path, clock=FakeClock(), metrics=Metrics())


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "ü?#.db", "c&d=e.db"])
async def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    store = new_store(tmp_path / name)
    await store.open()
    await append(store, "42", Notification("a"))
    await store.close()
    assert os.listdir(tmp_path) == [name]
