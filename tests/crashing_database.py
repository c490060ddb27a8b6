"""Databases that outlive their processes, for tests in which these die: one class for each engine."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Protocol

from pns.adapters.stores.postgres.migrate import migrate as migrate_postgres
from pns.testing.temporary import empty_store
from tests.harness.memory import memory
from tests.harness.postgres import Postgres

DRIFT = """
SELECT user_id FROM {schema}users u
WHERE unseen <>
  (SELECT count(*) FROM {schema}notifications n WHERE n.user_key = u.user_key AND seen_date IS NULL)
"""
"""The users whose count is not that of their unseen rows."""


class Database(Protocol):
    """As the state machine uses it. A new one is empty, and has PNS's schema."""

    @property
    def url(self) -> str:
        """Where it is now; elsewhere after a crash."""

    def crash(self) -> None:
        """Go on with what is stored at this moment; whoever used the database till now changes it no more."""

    def written(self) -> object:
        """Changes with every commit."""

    def check(self) -> None:
        """Assert that what is stored is sound."""

    def remove(self) -> None: ...


class SQLiteDatabase:
    """A SQLite file, which survives what its processes do not."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pns-model-", dir=memory()))
        self._lives = 0
        empty_store(self.path)

    @property
    def path(self) -> Path:
        return self.folder / f"{self._lives}.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def crash(self) -> None:
        """As after a kill -9. Copying the files is that: the log only grows, and no checkpoint happens in the
        length of an example.
        """
        old = self.path
        self._lives += 1
        for suffix in ("", "-wal"):
            if os.path.exists(f"{old}{suffix}"):
                shutil.copyfile(f"{old}{suffix}", f"{self.path}{suffix}")

    def written(self) -> tuple[int, int]:
        log = os.stat(f"{self.path}-wal")
        return log.st_size, log.st_mtime_ns

    def check(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute(DRIFT.format(schema="")).fetchall() == []

    def remove(self) -> None:
        shutil.rmtree(self.folder)


class PostgresDatabase:
    """A database of `server`, which goes on when all connections to it are cut.

    Whoever was cut off stays out: the nodes of each life come in under a name of their own.
    """

    _numbers = count(1)

    def __init__(self, server: Postgres) -> None:
        self._server = server
        if not server.run("SELECT 1 FROM pg_database WHERE datname = 'migrated'"):
            server.run("CREATE DATABASE migrated")
            migrate_postgres(server.url_of("migrated"))
        self._name = server.fresh("migrated").rpartition("/")[2]
        self._user = self._new_user()

    @property
    def url(self) -> str:
        return self._server.url_of(self._name, user=self._user)

    def crash(self) -> None:
        self._server.run(f"ALTER ROLE {self._user} NOLOGIN")
        self._server.terminate_backends(self.url)
        self._user = self._new_user()

    def _new_user(self) -> str:
        user = f"life_{next(self._numbers)}"
        self._server.run(f"CREATE ROLE {user} SUPERUSER LOGIN")
        return user

    def written(self) -> int:
        """When the write-ahead log was, in which every commit stands."""
        return max(path.stat().st_mtime_ns for path in (self._server.folder / "data" / "pg_wal").iterdir())

    def check(self) -> None:
        assert self._server.run(DRIFT.format(schema="pns."), self.url) == []

    def remove(self) -> None:
        self._server.drop(self.url)
