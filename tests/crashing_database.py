"""A database that outlives its processes, for tests in which they die.

Another engine joins with a class of the same shape.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from pns.stores.migrate import migrate


class Database:
    """A SQLite file, which survives what its processes do not."""

    def __init__(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="pns-model-", dir=memory))
        self._lives = 0
        self.path.write_bytes(_migrated())

    @property
    def path(self) -> Path:
        return self.folder / f"{self._lives}.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def crash(self) -> None:
        """Go on with what is in the files at this moment, as after a kill -9.

        Copying them is that: the log only grows, and no checkpoint happens in the length of an example.
        """
        old = self.path
        self._lives += 1
        for suffix in ("", "-wal"):
            if os.path.exists(f"{old}{suffix}"):
                shutil.copyfile(f"{old}{suffix}", f"{self.path}{suffix}")

    def written(self) -> tuple[int, int]:
        """Changes with every commit."""
        log = os.stat(f"{self.path}-wal")
        return log.st_size, log.st_mtime_ns

    def check(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            drift = "SELECT user_id FROM users u WHERE unseen <> (SELECT count(*) FROM notifications n"
            rows = connection.execute(f"{drift} WHERE n.user_key = u.user_key AND seen_date IS NULL)")
            assert rows.fetchall() == []

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@cache
def _migrated() -> bytes:
    """A database with nothing in it: made once, since a migration costs more than an example."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(Path(folder) / "pns.db")
        return (Path(folder) / "pns.db").read_bytes()
