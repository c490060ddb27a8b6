"""Backups of a SQLite store: one moment of it, whole or not there, put back without losing what was there."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pns.adapters.stores import backup as module
from pns.adapters.stores.backup import SQLiteBackups, check
from pns.errors import PNSError, SchemaError
from tests.ops.commands.filled_store import contents, filled


def nobody(done: int, total: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    filled(f"sqlite:///{tmp_path / 'pns.db'}")
    return tmp_path / "pns.db"


@pytest.fixture
def backups(path: Path) -> SQLiteBackups:
    return SQLiteBackups(path)


@pytest.fixture
def open_store(path: Path) -> Iterator[sqlite3.Connection]:
    """A program that has the store open, in write-ahead mode as PNS has."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("UPDATE users SET version = version + 1")
        yield connection


def add_users(connection: sqlite3.Connection, names: str, number: int) -> None:
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO users (user_id, last_seq, unseen, version) SELECT ? || i, 0, 0, 0 FROM n",
        (number, names),
    )


def test_a_backup_is_the_store(backups: SQLiteBackups, tmp_path: Path) -> None:
    told = backups.take(tmp_path / "copy.db", nobody)
    assert contents(f"sqlite:///{tmp_path / 'copy.db'}") == contents(f"sqlite:///{backups.store}")
    assert told == check(tmp_path / "copy.db")
    assert told.users > 0
    assert told.notifications > 0
    assert told.unseen > 0
    assert stat.S_IMODE(os.stat(tmp_path / "copy.db").st_mode) == 0o600
    assert not list(tmp_path.glob("copy.db?*"))


def test_a_backup_is_one_moment_while_others_write(
    backups: SQLiteBackups, open_store: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write between two steps neither comes into the copy nor lets it begin anew."""
    monkeypatch.setattr(module, "_PAGES", 3)
    before = check_rows(open_store)
    steps: list[tuple[int, int]] = []

    def write(done: int, total: int) -> None:
        steps.append((done, total))
        add_users(open_store, f"new-{done}-", 3)

    told = backups.take(tmp_path / "copy.db", write)
    assert len(steps) > 3
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert told.users == before
    assert check_rows(open_store) == before + 3 * len(steps)


def check_rows(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT count(*) FROM users").fetchone()
    return int(number)


def test_a_file_that_exists_stays(backups: SQLiteBackups, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("last night's")
    with pytest.raises(PNSError, match=r"copy\.db exists: name another file"):
        backups.take(tmp_path / "copy.db", nobody)
    assert (tmp_path / "copy.db").read_text() == "last night's"


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PNSError, match=r"no store at .*: check store\.url"):
        SQLiteBackups(tmp_path / "nothing.db").take(tmp_path / "copy.db", nobody)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(backups: SQLiteBackups, tmp_path: Path) -> None:
    with pytest.raises(PNSError, match=r"the backup failed: .*nowhere"):
        backups.take(tmp_path / "nowhere" / "copy.db", nobody)


def test_a_damaged_store_gives_no_backup(backups: SQLiteBackups, tmp_path: Path) -> None:
    """A page in the middle of the file is written over."""
    with backups.store.open("r+b") as file:
        file.seek(os.path.getsize(backups.store) // 8192 * 4096)
        file.write(b"x" * 8192)
    with pytest.raises(PNSError, match=r"damaged|failed"):
        backups.take(tmp_path / "copy.db", nobody)
    assert not list(tmp_path.glob("copy.db*"))


def test_a_backup_stopped_half_way_leaves_nothing(
    backups: SQLiteBackups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGES", 1)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backups.take(tmp_path / "copy.db", stop)
    assert not list(tmp_path.glob("copy.db*"))


def test_there_and_back(backups: SQLiteBackups, tmp_path: Path) -> None:
    url = f"sqlite:///{backups.store}"
    then = contents(url)
    backups.take(tmp_path / "copy.db", nobody)
    with closing(sqlite3.connect(backups.store, isolation_level=None)) as connection:
        add_users(connection, "later-", 5)
    later = contents(url)
    backups.store.chmod(0o640)
    told, before = backups.restore(tmp_path / "copy.db")
    assert contents(url) == then
    assert told.users == len(then.users)
    assert before is not None
    assert contents(f"sqlite:///{before}") == later
    assert stat.S_IMODE(os.stat(backups.store).st_mode) == 0o640
    assert (tmp_path / "copy.db").exists()


def test_what_a_killed_process_left_in_its_log_is_moved_along(
    path: Path, tmp_path: Path, backups: SQLiteBackups
) -> None:
    """The log of the store before would be read into the backup."""
    backups.take(tmp_path / "copy.db", nobody)
    then = contents(f"sqlite:///{path}")
    child = os.fork()
    if not child:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        add_users(connection, "in-the-log-", 4)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert Path(f"{path}-wal").stat().st_size > 0
    _, before = backups.restore(tmp_path / "copy.db")
    assert contents(f"sqlite:///{path}") == then
    assert len(contents(f"sqlite:///{before}").users) == len(then.users) + 4


def test_a_name_that_is_taken_leaves_all_as_it_is(
    path: Path, tmp_path: Path, backups: SQLiteBackups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of the store goes with the store, or stays with it."""
    monkeypatch.setattr(time, "strftime", lambda text: "now")
    backups.take(tmp_path / "copy.db", nobody)
    (tmp_path / "pns.db.before-now").write_text("of a restoring in the same second")
    log = tmp_path / "pns.db-wal"
    log.write_bytes(b"what was committed last")
    with pytest.raises(PNSError, match="restoring failed"):
        backups.restore(tmp_path / "copy.db")
    assert log.read_bytes() == b"what was committed last"
    assert path.exists()


def test_a_store_that_is_open_is_not_replaced(
    backups: SQLiteBackups, open_store: sqlite3.Connection, tmp_path: Path
) -> None:
    """By whatever program; the lock is another process's, as PNS's is."""
    backups.take(tmp_path / "copy.db", nobody)
    child = os.fork()
    if not child:
        try:
            backups.restore(tmp_path / "copy.db")
        except PNSError as error:
            os._exit(3 if "is in use: stop PNS on it" in str(error) else 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert not list(tmp_path.glob("pns.db.*"))


def test_a_backup_comes_back_where_nothing_is_left(backups: SQLiteBackups, tmp_path: Path) -> None:
    backups.take(tmp_path / "copy.db", nobody)
    (tmp_path / "new").mkdir()
    _, before = SQLiteBackups(tmp_path / "new" / "pns.db").restore(tmp_path / "copy.db")
    assert before is None
    assert contents(f"sqlite:///{tmp_path / 'new' / 'pns.db'}") == contents(f"sqlite:///{backups.store}")


@pytest.mark.parametrize("what", ["text", "another database", "half of it", "too new", "nothing"])
def test_what_is_no_backup_is_not_put_back(backups: SQLiteBackups, tmp_path: Path, what: str) -> None:
    file = tmp_path / "copy.db"
    backups.take(file, nobody)
    now = backups.store.read_bytes()
    match what:
        case "text":
            file.write_text("no database, but long enough to be one" * 1_000)
        case "another database":
            file.unlink()
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("CREATE TABLE orders (number)")
        case "half of it":
            os.truncate(file, os.path.getsize(file) // 8192 * 4096)
        case "too new":
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                connection.execute("UPDATE schema SET version = 99, oldest_code = 99")
        case "nothing":
            file.unlink()
    with pytest.raises((PNSError, SchemaError)):
        backups.restore(file)
    assert backups.store.read_bytes() == now
    assert not list(tmp_path.glob("pns.db.*"))
