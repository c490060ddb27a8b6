"""A real PostgreSQL server that a test starts itself, in a temporary folder, on a free loopback port.

It may be stopped, started, frozen and thawed, and its clients thrown out. All methods block: for
milliseconds, starting and stopping for some hundreds. One server serves many tests, in `fresh` databases.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Literal, Self

import psutil

from tests.harness.certificate import self_signed
from tests.harness.memory import memory
from tests.harness.psql import Line
from tests.harness.server import free_port

Mode = Literal["smart", "fast", "immediate"]
"""How to stop: when all clients have gone, at once and in order, or as after a power cut."""

_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""The server's defaults for tests that cut no power. PNS sets synchronous_commit for itself."""

_TERMINATE = """
CREATE TEMPORARY TABLE thrown_out ON COMMIT DROP AS
SELECT pid, backend_start, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() {where};
DO $$ BEGIN
  WHILE EXISTS (SELECT FROM pg_stat_activity JOIN thrown_out USING (pid, backend_start)) LOOP
    PERFORM pg_sleep(0.001), pg_stat_clear_snapshot();
  END LOOP;
END $$;
SELECT count(*) FROM thrown_out;
"""


class Postgres:
    """A server with trust for everybody on loopback. Use as `with` or `async with`; both start it.

    `settings` are those of postgresql.conf, by name, such as `max_connections=5`. With `durable` it keeps
    what was committed when the machine goes down; otherwise only when its processes do.
    """

    def __init__(self, *, durable: bool = False, **settings: object) -> None:
        self.port = free_port()
        self.folder = Path()
        self.log = Path()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 100,
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in the folder, so that nothing stays behind
            "autovacuum_naptime": "5s",
            **({} if durable else _UNSAFE),
            **settings,
        }
        self._numbers = count(1)
        self._frozen: list[psutil.Process] = []
        self._line: Line | None = None
        self._turn = Lock()

    @property
    def url(self) -> str:
        """The address of the database that is there from the start, named postgres."""
        return self.url_of("postgres")

    def url_of(self, database: str, *, user: str = "postgres", password: str = "") -> str:
        """The address of `database`. Any password will do."""
        credentials = f"{user}:{password}" if password else user
        return f"postgresql://{credentials}@127.0.0.1:{self.port}/{database}"

    def fresh(self, template: str = "template1") -> str:
        """The address of a new database, a copy of the one named `template` (which nobody may be using)."""
        name = f"test_{next(self._numbers)}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove the database at `url`, with everybody who is connected to it."""
        self.run(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def run(self, sql: str, url: str | None = None) -> list[str]:
        """What `sql` returns, a line for each row, columns apart by |.

        All statements are one transaction. A new connection costs as much as many questions: one is kept.
        """
        if url not in (None, self.url) or not self._turn.acquire(blocking=False):
            with Line(url or self.url) as line:
                return line.run(sql)
        try:
            if self._line is not None and not self._line.is_open:
                self._hang_up()
            if self._line is None:
                self._line = Line(self.url)
            return self._line.run(sql)
        finally:
            self._turn.release()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def speak_tls(self, name: str) -> Path:
        """Speak TLS from now on, as a server called `name`; returns the file by which it is trusted."""
        _, file = self_signed(self.folder, name)
        for each in (file, file.with_suffix(".key")):
            each.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(each, "postgres", "postgres")
        self.set("ssl_cert_file", str(file))
        self.set("ssl_key_file", str(file.with_suffix(".key")))
        self.turn_tls("on")
        return file

    def turn_tls(self, value: Literal["on", "off"]) -> None:
        """Return when the server does so."""
        self.set("ssl", value)

    def set(self, name: str, value: str) -> None:
        """Change a setting of postgresql.conf, and return when new connections have it."""
        self.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.run("SELECT pg_reload_conf()")
        shown: list[str] = []
        while shown != [value]:
            with Line(self.url) as line:
                shown = line.run(f"SHOW {name}")

    @contextmanager
    def as_standby(self) -> Iterator[None]:
        """Follow another server, which is not there: this one can only be read meanwhile."""
        signal_file = self.folder / "data" / "standby.signal"
        self.stop()
        signal_file.touch()
        try:
            self.start()
            yield
        finally:
            self.stop()
            signal_file.unlink()
            self.start()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the server and return when it takes connections. What was stored before is there again."""
        if not self.folder.name:
            self._init()
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items() if value != "")
        options += " -c unix_socket_directories="
        self._command("pg_ctl", "start", "-w", "-t", "60", "-l", str(self.log), "-o", options)

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server; nothing happens if it does not run."""
        self.thaw()
        self._hang_up()
        if self.processes():
            self._command("pg_ctl", "stop", "-w", "-t", "60", "-m", mode)

    def restart(self, mode: Mode = "fast") -> None:
        """Stop, then start."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        if self.folder.name:
            self.stop("immediate")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = Path()

    def freeze(self) -> None:
        """Stop all of the server's processes where they are: it takes connections, and answers nothing."""
        for process in self.processes():
            process.send_signal(signal.SIGSTOP)
            self._frozen.append(process)

    def thaw(self) -> None:
        """Let them go on."""
        frozen, self._frozen = self._frozen, []
        for process in frozen:
            if process.is_running():
                process.send_signal(signal.SIGCONT)

    def terminate_backends(self, url: str | None = None) -> int:
        """Throw out everybody connected to the database at `url`, or to any; returns how many those were.

        They are gone when it returns. New ones may be there.
        """
        where = f"AND datname = '{url.rpartition('/')[2]}'" if url else ""
        return int(self.run(_TERMINATE.format(where=where))[-1])

    def processes(self) -> list[psutil.Process]:
        """The server's processes, the first of them before those that it made; [] when it does not run."""
        try:
            first = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
            return [first, *first.children(recursive=True)]
        except (OSError, IndexError, psutil.NoSuchProcess):
            return []

    def _init(self) -> None:
        """A copy of an empty cluster, which this process made once: `initdb` takes a second of a core."""
        place = None if self._durable else memory()
        self.folder = Path(tempfile.mkdtemp(prefix="pns-postgres-", dir=place))
        self.log = self.folder / "log"
        _give(self.folder)
        subprocess.run(["cp", "-a", str(_empty_cluster()), str(self.folder / "data")], check=True)

    @property
    def _durable(self) -> bool:
        return self._settings.get("fsync") != "off"

    def _command(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs on the server's data, as somebody who is not root."""
        log = self.folder / "programs"
        assert _run(name, *arguments, data=self.folder / "data", log=log), f"{name}: {self._tail()}"

    def _tail(self) -> str:
        files = [self.folder / "programs", self.log]
        return "".join(file.read_text()[-4_000:] for file in files if file.exists())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def _run(name: str, *arguments: str, data: Path, log: Path) -> bool:
    """Run one of PostgreSQL's programs on `data`, as somebody who is not root: whether it succeeded."""
    command = [program(name), *arguments, "-D", str(data)]
    account = "postgres" if os.geteuid() == 0 else None
    with log.open("ab") as output:  # a pipe would wait for the server to end
        done = subprocess.run(
            command, cwd=log.parent, user=account, group=account, stdout=output, stderr=output, timeout=90
        )
    return done.returncode == 0


@cache
def _empty_cluster() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pns-postgres-", dir=memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _give(folder)
    options = ("-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8")
    log = folder / "programs"
    assert _run("initdb", *options, data=folder / "data", log=log), log.read_text()
    return folder / "data"


def _give(folder: Path) -> None:
    """Let PostgreSQL's programs write there."""
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")


def program(name: str) -> str:
    """Where PostgreSQL's `name` is; Debian keeps those of the server off the PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(newest[-1]) if newest else shutil.which(name)
    assert found, f"these tests need PostgreSQL's {name}: apt-get install postgresql"
    return found
