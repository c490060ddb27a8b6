"""The Backups contract (pns/contracts/backups.py) for SQLite. PostgreSQL brings programs of its own.

A single read transaction holds the moment of a backup: in write-ahead mode no write waits for a reader.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pns.adapters.stores.schema import is_current
from pns.adapters.stores.sqlite.errors import ENGINE_ERRORS
from pns.adapters.stores.sqlite.rows import SQL
from pns.contracts.backups import Advance, Contents, Restored
from pns.errors import PNSError

_PAGES = 2_000
_USERS_BYTE = 128
"""Of the file -shm; each user of the database holds a shared lock there. sqlite.org/walformat.html, 2.3.1."""


_COUNTS = (
    "SELECT count(*) FROM users",
    "SELECT count(*) FROM notifications",
    "SELECT coalesce(sum(unseen), 0) FROM users",
)


class SQLiteBackups(NamedTuple):
    """Backups of the SQLite store at the path `store`."""

    store: Path

    def take(self, target: Path, advance: Advance) -> Contents:
        if target.exists():
            raise PNSError(f"{target} exists: name another file, or remove it first")
        if not self.store.is_file():
            raise PNSError(f"there is no store at {self.store}: check store.url")
        part = _beside(target, "part")
        with _named("the backup failed"), _removed_at_the_end(part):
            part.touch(0o600, exist_ok=False)
            self._copy(part, advance)
            contents = check(part)
            _put(part, target)
        return contents

    def _copy(self, part: Path, advance: Advance) -> None:
        with closing(_opened(self.store, "rw")) as source, closing(sqlite3.connect(part)) as copy:
            source.execute("BEGIN")
            source.execute(SQL["schema"]).fetchone()  # from here on the transaction holds its moment
            source.backup(
                copy, pages=_PAGES, progress=lambda _, left, pages: advance(pages - left, pages), sleep=0
            )
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, without -wal

    def restore(self, backup: Path) -> Restored:
        contents = check(backup)
        part = _beside(self.store, "restoring")
        with _named("restoring failed"), _alone(self.store), _removed_at_the_end(part):
            shutil.copyfile(backup, part)
            _same_owner(part, self.store)
            _sync(part)
            before = _set_aside(self.store)
            _put(part, self.store)
        return Restored(contents, before)


def check(file: Path) -> Contents:
    """Open `file`, look at every page and row, and count. Raises PNSError when `file` is not good."""
    if not file.is_file():
        raise PNSError(f"there is no file {file}")
    try:
        with closing(_opened(file, "ro&immutable=1")) as connection:
            found = [text for (text,) in connection.execute("PRAGMA integrity_check")]
            if found != ["ok"]:
                raise PNSError(f"{file} is damaged: {found[0]}")
            version, oldest_code = connection.execute(SQL["schema"]).fetchone()
            is_current(version, oldest_code, str(file))
            return Contents(version, *(connection.execute(text).fetchone()[0] for text in _COUNTS))
    except ENGINE_ERRORS as error:
        raise PNSError(f"{file} is no store of PNS, or is damaged: {error}") from error


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """No other program has the store open, and none can open it meanwhile."""
    index = Path(f"{os.path.realpath(store)}-shm")
    if not index.exists():
        yield
        return
    with index.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _USERS_BYTE)
        except OSError as error:
            raise PNSError(f"{store} is in use: stop PNS on it, and whatever else has it open") from error
        yield


def _set_aside(store: Path) -> Path | None:
    """Give the store and the log another name; the store keeps the first name, too. None: there is none."""
    if not store.exists():
        return None
    before = _beside(store, f"before-{time.strftime('%Y%m%dT%H%M%S')}")
    log, index = Path(f"{store}-wal"), Path(f"{store}-shm")
    os.link(store, before)  # first: a second name that is taken leaves all as it is
    if log.exists():
        log.rename(f"{before}-wal")
    index.unlink(missing_ok=True)
    return before


def _same_owner(new: Path, old: Path) -> None:
    try:
        known = old.stat()
    except FileNotFoundError:
        known = old.absolute().parent.stat()
    else:
        new.chmod(known.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(new, known.st_uid, known.st_gid)


def _put(part: Path, target: Path) -> None:
    """Give `part` its name, so that a power cut leaves the whole file or none."""
    _sync(part)
    part.replace(target)
    _sync(target.absolute().parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}.{end}")


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Errors of the disk and of SQLite get a sentence."""
    try:
        yield
    except (OSError, *ENGINE_ERRORS) as error:
        raise PNSError(f"{what}: {error}") from error


@contextmanager
def _removed_at_the_end(part: Path) -> Iterator[None]:
    try:
        yield
    finally:
        part.unlink(missing_ok=True)
        Path(f"{part}-journal").unlink(missing_ok=True)
