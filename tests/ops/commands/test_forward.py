"""`pns forward` as a process beside a real PNS: what it says, how it ends, and what no `kill -9` loses."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from pns import Notification
from pns.transactional.sqlalchemy import notify, outgoing
from tests.harness import Backend, Device, ServerProcess, eventually
from tests.harness.forkserver import Process, spawn
from tests.harness.server import API_KEY, free_port
from tests.ops.test_cli import environment, one_line, pns


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    return engine


def write(engine: Engine, user_id: str, *notifications: str | Notification) -> None:
    with Session(engine) as session, session.begin():
        notify(session, user_id, notifications)


class Forward:
    """`pns forward` from the database in `folder`."""

    def __init__(self, folder: Path, url: str, *arguments: str) -> None:
        self.log = folder / "forward.log"
        words = ["forward", "--database", f"sqlite:///{folder / 'app.db'}", "--url", url, "--key", API_KEY]
        with self.log.open("ab") as log:
            self.process: Process = spawn(
                [*words, *arguments], cwd=folder, env=environment(), output=log.fileno()
            )

    async def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return await asyncio.to_thread(self.process.wait, 30)


@asynccontextmanager
async def forwarding(folder: Path, url: str) -> AsyncIterator[Forward]:
    forward = Forward(folder, url)
    try:
        yield forward
    finally:
        await forward.end(signal.SIGKILL)


def waiting(tmp_path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        return list(connection.execute("SELECT user_id, id, problem FROM pns_outgoing"))


async def test_what_is_committed_reaches_the_page(
    engine: Engine, server: ServerProcess, backend: Backend, tmp_path: Path
) -> None:
    """And a poison row stays with its problem. SIGTERM and Ctrl-C end with 0."""
    await backend.notify("42", {"notification_data": "other", "notification_id": "taken"})
    write(engine, "42", "one", Notification("two", "taken"), "three")
    async with Device.connect(server.url, "42") as device, forwarding(tmp_path, server.url) as forward:
        await device.count_is(3)
        write(engine, "42", "four")
        await device.count_is(4)
        await eventually(lambda: len(waiting(tmp_path)) == 1)
        ((user_id, id, problem),) = waiting(tmp_path)
        assert (user_id, id) == ("42", "taken")
        assert problem.startswith("409 notification_id_conflict: ")
        assert await forward.end() == 0
    said = forward.log.read_text()
    assert "3 forwarded, 1 refused" in said
    assert "3 rows wait, the oldest for " in said
    assert "Traceback" not in said
    inbox = await backend.inbox("42")
    assert [item["notification_data"] for item in inbox] == ["other", "one", "three", "four"]
    async with forwarding(tmp_path, server.url) as forward:
        await eventually(lambda: forward.log.read_text().count("forwarding to") == 2)
        assert await forward.end(signal.SIGINT) == 0


async def test_a_pns_that_comes_later_is_waited_for(
    engine: Engine, server: ServerProcess, tmp_path: Path
) -> None:
    await server.stop()
    write(engine, "42", "one")
    async with forwarding(tmp_path, server.url) as forward:
        await eventually(lambda: "no answer from" in forward.log.read_text())
        await server.start()
        await eventually(lambda: waiting(tmp_path) == [], within=30)
        assert await forward.end() == 0


async def test_two_forwarders_and_the_death_of_one(
    engine: Engine, server: ServerProcess, backend: Backend, tmp_path: Path
) -> None:
    async with forwarding(tmp_path, server.url) as first:
        write(engine, "42", "one")
        await eventually(lambda: waiting(tmp_path) == [])
        async with forwarding(tmp_path, server.url):
            await first.end(signal.SIGKILL)
            write(engine, "42", "two")
            await eventually(lambda: waiting(tmp_path) == [])
    assert [item["notification_data"] for item in await backend.inbox("42")] == ["one", "two"]


# ── what an operator must mend ────────────────────────────────────────────────────────────────────────


async def test_a_failure_says_why(engine: Engine, server: ServerProcess, tmp_path: Path) -> None:
    def forward(*arguments: str, **settings: object) -> Any:
        return pns("forward", *arguments, folder=tmp_path, **settings)

    async def failed(*arguments: str) -> str:
        ended = await asyncio.to_thread(forward, *arguments)
        assert (ended.code, ended.out) == (1, "")
        return ended.err.splitlines()[-1]

    database = ("--database", f"sqlite:///{tmp_path / 'app.db'}")
    at = ("--url", server.url)
    nowhere = ("--url", f"{server.url}/nowhere")
    (tmp_path / "empty.db").touch()
    empty = ("--database", f"sqlite:///{tmp_path / 'empty.db'}")
    away = ("--database", f"postgresql://u:secret@127.0.0.1:{free_port()}/app")
    key, path, table, line = await asyncio.gather(
        failed(*database, *at, "--key", "not-the-key-at-all"),
        failed(*database, *nowhere, "--key", API_KEY),
        failed(*empty, *at, "--key", API_KEY),
        failed(*away, *at, "--key", API_KEY),
    )
    assert "401" in key
    assert "give the URL at which PNS is" in path
    assert "no table pns_outgoing" in table
    assert "the application's database" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ((), "DATABASE_URL"),
        (("--database", "nonsense"), "must be the URL"),
        (("--database", "oracle://x/y"), "must be the URL"),
        (("--database", "sqlite+nodriver:///x"), "must be the URL"),
        (("--database", "sqlite:///typo.db"), "there is no file typo.db"),
        (("--database", "sqlite+aiosqlite:///./data/typo.db"), "there is no file ./data/typo.db"),
        (("--database", "mssql+pyodbc://x/y"), "package pyodbc"),
        (("--database", "mysql+mysqldb://x/y"), "package MySQLdb"),
    ],
)
def test_wrong_use_names_the_option(arguments: tuple[str, ...], remedy: str, tmp_path: Path) -> None:
    assert remedy in one_line(pns("forward", *arguments, "--key", API_KEY, folder=tmp_path), 2)
    assert not list(tmp_path.rglob("*typo*"))


def test_without_a_key(tmp_path: Path) -> None:
    assert "app.api_keys" in one_line(pns("forward", "--database", "sqlite:///x", folder=tmp_path), 2)
