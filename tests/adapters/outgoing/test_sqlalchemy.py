"""The table of an application, on every database and by several drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from pns.adapters.outgoing.lines import SyncLine
from pns.adapters.outgoing.sqlalchemy import SQLAlchemyOutgoing
from pns.contracts.outgoing import Backlog, Outgoing, Refusal, Row, Taken
from pns.errors import SchemaError, SettingsError, Unavailable
from pns.inbox.forwarder import Forwarder
from pns.model.outgoing import Errand
from pns.runtime.clock import SystemClock
from pns.testing import FakeClock
from pns.transactional.sqlalchemy import notify, outgoing
from tests.harness import eventually

from .conftest import Database

Made = Callable[[], SQLAlchemyOutgoing]
END_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def ignored() -> None: ...


def insert(*rows: tuple[str, str, float]) -> Callable[[Connection], None]:
    """Insert rows of a user, an id and the seconds after noon."""
    values = [
        {"user_id": user, "id": id, "notification": "{}", "created_at": NOON + timedelta(seconds=seconds)}
        for user, id, seconds in rows
    ]

    def work(connection: Connection) -> None:
        connection.execute(outgoing.insert(), values)

    return work


def all_rows(connection: Connection) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in connection.execute(select(outgoing.c.user_id, outgoing.c.id, outgoing.c.problem))
    ]


def keys(rows: Any) -> list[tuple[str, str]]:
    return [(row.user_id, row.id) for row in rows]


async def opened(made: Made) -> SQLAlchemyOutgoing:
    outgoing = made()
    assert isinstance(outgoing, Outgoing)
    await outgoing.open(ignored)
    return outgoing


async def test_a_claim_and_what_became_of_it_are_a_turn_of_the_thread_each(
    database: Database, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn waits for a core, and so does a notification that was just committed."""
    table = await opened(made)
    turns: list[object] = []
    in_thread = SyncLine._in_thread

    async def counted(line: SyncLine, work: Callable[[], Any]) -> Any:
        turns.append(work)
        return await in_thread(line, work)

    monkeypatch.setattr(SyncLine, "_in_thread", counted)
    monkeypatch.setattr(table, "_listen_at", float("inf"))
    await table.claim(10)
    await database.run(insert(("a", "1", 0)))
    await table.settle(await table.claim(10), [])
    assert len(turns) == (0 if isinstance(database.engine, AsyncEngine) else 3)
    assert await table.claim(10) == []


async def test_the_oldest_come_first_and_go_for_good(database: Database, made: Made) -> None:
    await database.run(insert(("a", "2", 0), ("b", "1", 0), ("a", "1", 0.000002), ("a", "0", -1)))
    table = await opened(made)
    assert keys(await table.claim(1)) == [("a", "0")]
    await table.settle([], [])
    rows = await table.claim(3)
    assert keys(rows) == [("a", "0"), ("b", "1"), ("a", "2")]
    # Committed later, with an earlier time, or with the same id for another user.
    await database.run(insert(("c", "0", -2), ("d", "2", -3)))
    await table.settle(rows, [])
    rows = await table.claim(10)
    assert keys(rows) == [("d", "2"), ("c", "0"), ("a", "1")]
    await table.settle(rows, [])
    assert not await table.claim(10)
    assert await database.run(all_rows) == []
    await table.close()


async def test_a_refused_row_stays_with_its_problem(database: Database, made: Made) -> None:
    await database.run(insert(("a", "x", 0), ("b", "x", 0), ("b", "y", 0)))
    table = await opened(made)
    rows = await table.claim(10)
    await table.settle([rows[2]], [Refusal(rows[0], "409 taken: «déjà»")])
    rows = await table.claim(10)
    assert keys(rows) == [("b", "x")]
    await table.settle(rows, [])
    assert await database.run(all_rows) == [("a", "x", "409 taken: «déjà»")]
    await database.run(lambda connection: connection.execute(outgoing.update().values(failed_at=None)))
    assert keys(await table.claim(10)) == [("a", "x")]
    await table.settle([], [])
    await table.close()


async def test_users_are_told_apart_byte_by_byte(database: Database, made: Made) -> None:
    users = ["anna", "Anna", "ANNA", "é", "e", "ß", "ss", "😀", "😁", "42", "042"]
    await database.run(insert(*((user, "x", index) for index, user in enumerate(users))))
    table = await opened(made)
    for user in users:
        rows = await table.claim(len(users))
        assert rows[0].user_id == user
        await table.settle(rows[:1], [])
    assert not await table.claim(1)


async def test_a_claimed_row_is_nobody_elses(database: Database, made: Made) -> None:
    await database.run(insert(*[("a", f"{index:02}", index) for index in range(6)]))
    first, second = await opened(made), await opened(made)
    held = await first.claim(3)
    others = await second.claim(10)
    assert not set(held) & set(others)
    if database.kind == "sqlite":
        assert not others
    if others:
        await second.settle(others, [])
    await first.settle(held, [])
    rest = await first.claim(10)
    assert len(held) + len(others) + len(rest) == 6
    await first.close()
    if rest:
        # The end of the first gives back what it held.
        assert await second.claim(10) == rest
        await second.settle(rest, [])
    await second.close()


class Recording:
    """A PNS that takes everything, and remembers what came."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def check(self) -> str:
        return ""

    async def take(self, rows: Sequence[Row]) -> Taken:
        self.ids += [row.id for row in rows]
        await asyncio.sleep(0)
        return Taken()

    async def run_errand(self, user_id: str, wanted: Errand) -> Taken:
        return Taken()

    async def close(self) -> None: ...


async def test_forwarders_that_share_the_rows_send_none_twice(database: Database, made: Made) -> None:
    """While the application goes on writing."""
    taken, clock = Recording(), SystemClock()
    forwarders = [Forwarder(made(), taken, clock=clock) for _ in range(3)]
    for forwarder in forwarders:
        forwarder.start()
    for batch in range(8):
        await database.run(insert(*((f"u{index}", f"{batch}-{index}", index) for index in range(25))))
        for forwarder in forwarders:
            forwarder.nudge()
    await eventually(lambda: len(taken.ids) >= 200, within=60)
    for forwarder in forwarders:
        await forwarder.stop()
    assert len(taken.ids) == len(set(taken.ids)) == 200
    assert await database.run(all_rows) == []


async def test_the_application_writes_while_rows_are_held(database: Database, made: Made) -> None:
    """Beside the held rows: a lock on the gap between two would keep the application waiting."""
    await database.run(insert(("a", "1", 0), ("a", "3", 2), ("c", "1", 4)))
    table = await opened(made)
    held = await table.claim(10)
    async with asyncio.timeout(10):
        await database.run(insert(("a", "2", 1), ("b", "1", 3), ("d", "1", 5), ("", "", -1)))
    await table.settle(held, [])
    rows = await table.claim(10)
    assert len(rows) == 4
    await table.settle([], [])
    assert rows[0].user_id == ""
    await table.close()


async def test_what_is_not_committed_is_not_there(database: Database, made: Made) -> None:
    table = await opened(made)

    class Undone(Exception):
        pass

    def work(connection: Connection) -> None:
        notify(connection, "42", "x")
        raise Undone

    with pytest.raises(Undone):
        await database.run(work)
    assert not await table.claim(10)
    await table.close()


def by_connection(connection: Connection) -> None:
    notify(connection, "42", "x")


def by_session(connection: Connection) -> None:
    with Session(connection) as session:
        notify(session, "42", "x")
        session.commit()


async def test_a_commit_nudges(database: Database, clock: FakeClock) -> None:
    """On the same engine, by a connection and by a session."""
    table, news = SQLAlchemyOutgoing(database.engine, clock=clock), asyncio.Event()
    await table.open(news.set)
    for write in (by_connection, by_session):
        await database.run(write)
        async with asyncio.timeout(10):
            await news.wait()
        rows = await table.claim(10)
        assert len(rows) == 1
        await table.settle(rows, [])
        for _ in range(20):
            await asyncio.sleep(0)
        news.clear()
    await table.close()
    news.clear()
    await database.run(lambda connection: notify(connection, "42", "x"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not news.is_set()


async def test_a_database_without_the_table(database: Database, made: Made) -> None:
    await database.run(outgoing.drop)
    table = made()
    with pytest.raises(SchemaError, match="no table pns_outgoing"):
        await table.open(ignored)
    await table.close()


async def test_trouble_of_the_database_is_told(database: Database, made: Made) -> None:
    await database.run(insert(("a", "1", 0)))
    table = await opened(made)
    await database.run(outgoing.drop)
    with pytest.raises(Unavailable, match="pns_outgoing"):
        await table.claim(10)
    await database.run(outgoing.create)
    await database.run(insert(("a", "2", 0)))
    assert keys(await table.claim(10)) == [("a", "2")]
    await table.settle([], [])
    await table.close()
    await table.close()


async def test_a_column_of_json_is_read(database: Database, made: Made) -> None:
    await database.run(outgoing.drop)
    kind = {"postgresql": "jsonb", "sqlite": "json"}.get(database.kind, "json")
    columns = (
        f"id varchar(64), user_id varchar(99), notification {kind}, created_at timestamp, failed_at timestamp"
    )
    await database.run(
        lambda connection: connection.execute(
            text(f"CREATE TABLE pns_outgoing ({columns} NULL, problem text)")
        )
    )
    written = "INSERT INTO pns_outgoing (id, user_id, notification) VALUES ('x', '42', '{\"a\": \"ü\"}')"
    await database.run(lambda connection: connection.exec_driver_sql(written))
    table = await opened(made)
    ((_, _, notification),) = rows = await table.claim(10)
    assert notification.replace(" ", "") == '{"a":"ü"}'
    await table.settle(rows, [])
    assert not await table.claim(10)
    await table.close()


@pytest.mark.parametrize("database", ["postgresql+psycopg", "postgresql+asyncpg"], indirect=True)
async def test_a_commit_of_another_process_is_heard(database: Database, made: Made, clock: FakeClock) -> None:
    """Also by a line that broke and was made anew."""
    table, news = made(), asyncio.Event()
    await table.open(news.set)
    for _ in range(2):
        await database.run(lambda connection: notify(connection, "42", "x"))
        async with asyncio.timeout(10):
            await news.wait()
        rows = await table.claim(10)
        assert len(rows) == 1
        await table.settle(rows, [])
        await database.run(lambda connection: connection.execute(text(END_LISTENERS)))
        await eventually(lambda: table._ear is not None and table._ear.is_deaf)
        clock.advance(10)
        assert not await table.claim(10)
        news.clear()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///:memory:",
        "sqlite:///file:shared?mode=memory&cache=shared&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str, clock: FakeClock) -> None:
    """A look for rows would roll back whatever the application has begun on the one connection."""
    engine = (create_async_engine if "aiosqlite" in url else create_engine)(url, poolclass=StaticPool)
    with pytest.raises(SettingsError, match="in a file"):
        SQLAlchemyOutgoing(engine, clock=clock)


def test_another_database_is_refused(clock: FakeClock) -> None:
    engine: Any = _Oracle()
    with pytest.raises(SettingsError, match="not oracle"):
        SQLAlchemyOutgoing(engine, clock=clock)


class _Oracle:
    class dialect:
        name = "oracle"


async def test_what_waits_is_counted(database: Database, made: Made, clock: FakeClock) -> None:
    clock.jump((NOON + timedelta(seconds=90)).timestamp() - clock.now() / 1e6)
    table = await opened(made)
    assert await table.backlog() == Backlog(0, 0.0, 0)
    await database.run(insert(("a", "1", 0.25), ("a", "2", 30), ("b", "1", -60)))
    oldest = await table.claim(1)
    await table.settle([], [Refusal(oldest[0], "409")])
    assert await table.backlog() == Backlog(2, 89.75, 1)
    rows = await table.claim(10)
    assert keys(rows) == [("a", "1"), ("a", "2")]
    await table.settle(rows[:1], [])
    assert await table.backlog() == Backlog(1, 60.0, 1)
    await database.run(insert(("c", "1", 500)))
    await table.settle(await table.claim(1), [])
    assert await table.backlog() == Backlog(1, 0.0, 1), "a clock behind the database's makes no age below 0"


async def test_a_time_in_another_form_has_no_age(tmp_path: Path, clock: FakeClock) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    table = SQLAlchemyOutgoing(engine, clock=clock, owned=True)
    with engine.begin() as connection:
        outgoing.create(connection)
        for id, created_at in (("a", 1_700_000_000), ("b", "'yesterday'")):
            connection.execute(
                text(f"INSERT INTO pns_outgoing VALUES ('{id}', '42', '{{}}', {created_at}, NULL, NULL)")
            )
    await table.open(ignored)
    assert await table.backlog() == Backlog(2, 0.0, 0)
    await table.close()
