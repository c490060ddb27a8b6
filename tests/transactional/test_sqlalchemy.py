"""`notify` inside transactions of SQLAlchemy: what was committed arrives, in order, and nothing else does."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pns import Notification
from pns.contracts.store import Cursor
from pns.errors import Invalid
from pns.library import PNS
from pns.testing.temporary import empty_store
from pns.transactional import sqlalchemy as module
from pns.transactional.sqlalchemy import notify, outgoing
from tests.harness import eventually
from tests.harness.databases import DRIVERS, engine_of, new_database
from tests.harness.transactions import Block, SessionWriter, inboxes, plans, play, play_async

SHORT, LONG = 60, 10_000


@pytest.fixture
def engine(tmp_path: Any) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    return engine


async def write(engine: Engine | AsyncEngine, blocks: list[Block]) -> None:
    """Play `blocks`, by sessions and by connections in turn."""
    if isinstance(engine, AsyncEngine):
        for block in blocks:
            async with AsyncSession(engine) as session:
                await play_async(block, session)
        return
    for index, block in enumerate(blocks):
        with Session(engine) if index % 2 else engine.connect() as session:
            await asyncio.to_thread(play, block, SessionWriter(session))


async def ids(pns: PNS, user_id: str) -> list[str]:
    """The ids of the user's inbox, oldest first."""
    found: list[str] = []
    reading = pns._started.reading
    while True:
        cursor = Cursor(after=found[-1] if found else "", limit=500, max_bytes=10**9)
        page = await reading.page(user_id, cursor)
        if not page:
            return found
        found += [item.notification_id for item in page]


@pytest.mark.parametrize("number", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_inbox_is_what_was_committed(
    driver: str, number: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While the application writes, a forwarder takes. Order within a user stays, over all transactions."""
    engine = engine_of(new_database(driver, request))
    await _create(engine)
    blocks = plans(number, number)
    store = empty_store(tmp_path / "pns.db")
    async with PNS(f"sqlite:///{store}", outgoing=engine) as pns:
        await write(engine, blocks)
        await eventually(lambda: no_row(engine), within=60)
        expected = inboxes(blocks)
        assert {user: await ids(pns, user) for user in expected} == expected
    await _dispose(engine)


async def _create(engine: Engine | AsyncEngine) -> None:
    if isinstance(engine, AsyncEngine):
        async with engine.begin() as connection:
            await connection.run_sync(outgoing.create)
    else:
        outgoing.create(engine)


async def no_row(engine: Engine | AsyncEngine) -> bool:
    asked = select(outgoing.c.id).limit(1)
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            return (await connection.execute(asked)).first() is None
    with engine.connect() as connection:
        return connection.execute(asked).first() is None


async def _dispose(engine: Engine | AsyncEngine) -> None:
    if isinstance(engine, AsyncEngine):
        await engine.dispose()
    else:
        engine.dispose()


# ── what is written ───────────────────────────────────────────────────────────────────────────────────


def written(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(outgoing).order_by(outgoing.c.created_at, outgoing.c.id)))


def test_a_row_holds_the_item_of_a_call(engine: Engine) -> None:
    full = Notification(
        {"title": "ü"},
        "order-7",
        datetime(2026, 1, 1, tzinfo=UTC),
        category="orders",
        collapse_key="order-7",
        group={"member": "bob", "data": {"name": "Bob"}},
    )
    with Session(engine) as session, session.begin():
        (made,) = notify(session, 42, full)
    (row,) = written(engine)
    assert (row.id, row.user_id, made) == ("order-7", "42", "order-7")
    assert json.loads(row.notification) == {
        "notification_data": '{"title":"ü"}',
        "create_date": "2026-01-01T00:00:00Z",
        "category": "orders",
        "collapse_key": "order-7",
        "group": {"member": "bob", "data": '{"name":"Bob"}'},
    }
    assert (row.failed_at, row.problem) == (None, None)


def test_a_notification_for_later_waits_in_pns(engine: Engine) -> None:
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    with Session(engine) as session, session.begin():
        notify(session, "42", Notification("x", deliver_date=tomorrow))
        for far in (timedelta(days=3), timedelta(days=4_000)):
            with pytest.raises(Invalid):
                notify(session, "42", Notification("x", create_date=tomorrow + far))
        with pytest.raises(Invalid):
            notify(session, "42", Notification("x", deliver_date=tomorrow + timedelta(days=4_000)))
    (row,) = written(engine)
    said = json.loads(row.notification)
    assert said == {"notification_data": "x", "deliver_date": tomorrow.isoformat().replace("+00:00", "Z")}


def test_rows_of_a_transaction_keep_their_order(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the clock stands still or goes back."""
    times = iter([5_000_000, 5_000_000, 4_000_000, 4_000_001])
    monkeypatch.setattr(module, "time_ns", lambda: next(times) * 1_000)
    with Session(engine) as session, session.begin():
        made = [id for text in "abc" for id in notify(session, "42", [text, text])]
        made += notify(session, "42", "d")
    assert [row.id for row in written(engine)] == made
    assert len({row.created_at for row in written(engine)}) == 7


@pytest.mark.parametrize(
    ("user_id", "given", "error"),
    [
        ("42", Notification("x", "a b"), Invalid),
        ("42", "", Invalid),
        ("42", "x" * 131_073, Invalid),
        ("42", "\0", Invalid),
        ("", "x", Invalid),
        ("42", {"x": Decimal(1), "y": object()}, Invalid),
        ("42", 7, TypeError),
        (Decimal(42), "x", TypeError),
        (None, "x", TypeError),
    ],
)
def test_what_pns_would_refuse_is_refused_at_once(
    user_id: Any, given: Any, error: type[Exception], engine: Engine
) -> None:
    with Session(engine) as session:
        with pytest.raises(error):
            notify(session, user_id, given)
        session.commit()
    assert written(engine) == []


def test_nothing_is_nothing(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        assert notify(session, "42", []) == []
    assert written(engine) == []


def test_an_id_that_waits_already_fails_the_transaction(engine: Engine) -> None:
    def write(user_id: str) -> None:
        with Session(engine) as session, session.begin():
            notify(session, user_id, Notification("x", "welcome"))

    write("42")
    write("43")
    with pytest.raises(IntegrityError):
        write("42")
    assert [row.user_id for row in written(engine)] == ["42", "43"]


# ── what it is written with ───────────────────────────────────────────────────────────────────────────


def test_sessions_of_all_kinds(engine: Engine) -> None:
    maker = sessionmaker(engine)
    scoped = scoped_session(maker)
    notify(scoped, "42", "a")
    scoped.commit()
    scoped.remove()
    with maker() as session:
        notify(session, "42", "b")
        session.rollback()
        notify(session, "42", "c")
        session.commit()
    with sessionmaker(binds={outgoing: engine})() as session:
        notify(session, "42", "d")
        session.commit()
    assert [json.loads(row.notification)["notification_data"] for row in written(engine)] == ["a", "c", "d"]


async def test_asynchronous_sessions_of_all_kinds(engine: Engine) -> None:
    asynchronous = engine_of(str(engine.url).replace("sqlite:", "sqlite+aiosqlite:"))
    assert isinstance(asynchronous, AsyncEngine)
    scoped = async_scoped_session(async_sessionmaker(asynchronous), asyncio.current_task)
    notify(scoped, "42", "a")
    await scoped.commit()
    await scoped.remove()
    async with asynchronous.begin() as connection:
        await connection.run_sync(notify, "42", "b")
        with pytest.raises(TypeError, match="run_sync"):
            notify(connection, "42", "c")  # type: ignore[arg-type]
    await asynchronous.dispose()
    assert [json.loads(row.notification)["notification_data"] for row in written(engine)] == ["a", "b"]


def test_an_engine_has_no_transaction(engine: Engine) -> None:
    with pytest.raises(TypeError, match="not Engine"):
        notify(engine, "42", "x")  # type: ignore[arg-type]
