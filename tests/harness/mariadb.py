"""A real MariaDB server that a test starts itself, in a temporary folder, on a free loopback port.

All methods block. One server serves many tests, in `fresh` databases.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql

from tests.harness.memory import memory
from tests.harness.server import free_port

_SMALL = (
    *("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"),
    *("--performance-schema=OFF", "--skip-log-bin", "--innodb-undo-tablespaces=0"),
)
STARTS_WITHIN = 60.0


class MariaDB:
    """A server whose root needs no password. Use as `with`, which starts the server."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    def url_of(self, database: str) -> str:
        """The address of `database`, without a driver's name."""
        return f"mysql://root@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The address of a new database."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def run(self, sql: str) -> None:
        """Run one statement."""
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="pns-mariadb-", dir=memory()))
        _give(self.folder)
        subprocess.run(["cp", "-a", str(_empty()), str(self.folder / "data")], check=True)
        options = (
            *("--no-defaults", f"--datadir={self.folder / 'data'}", f"--socket={self.folder / 'socket'}"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve", *_SMALL),
        )
        self._process = _started("mariadbd", *options, log=self.folder / "log")
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.run("SELECT 1")
                return
            except pymysql.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)


@cache
def _empty() -> Path:
    """The data of an empty server, which this process made once."""
    folder = Path(tempfile.mkdtemp(prefix="pns-mariadb-", dir=memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _give(folder)
    options = ("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", *_SMALL)
    log = folder / "log"
    made = _started("mariadb-install-db", *options, f"--datadir={folder / 'data'}", log=log)
    assert made.wait(timeout=90) == 0, log.read_text()
    return folder / "data"


def _started(name: str, *options: str, log: Path) -> subprocess.Popen[bytes]:
    """One of MariaDB's programs, run by somebody who is not root. Debian keeps the server off the PATH."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, f"these tests need {name}: apt-get install mariadb-server"
    account = "mysql" if os.geteuid() == 0 else None
    with log.open("ab") as output:
        return subprocess.Popen(
            [program, *options], cwd=log.parent, user=account, group=account, stdout=output, stderr=output
        )


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "mysql", "mysql")
