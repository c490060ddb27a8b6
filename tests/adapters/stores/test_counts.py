"""Counts cannot drift: after any sequence of calls the store equals a model, and `unseen` the unseen rows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Store
from pns.errors import NotificationIdConflict
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from pns.testing.temporary import empty_store
from tests.harness.postgres import Postgres

from .conftest import Engine, append, cursor, empty, inbox, seen, unseen

USERS = st.sampled_from(["u", "v"])
NAMES = st.sampled_from("abcd")
ITEMS = st.lists(
    st.tuples(
        st.none() | NAMES, st.sampled_from("xy"), st.none() | st.just("k"), st.none() | st.integers(-1, 3)
    ),
    min_size=1,
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), USERS, ITEMS),
        st.tuples(st.just("mark"), USERS, st.lists(NAMES, max_size=3)),
        st.tuples(st.just("mark page"), USERS, st.integers(1, 3)),
        st.tuples(st.just("mark all"), USERS, st.none()),
        st.tuples(st.just("withdraw"), USERS, NAMES),
        st.tuples(st.just("erase"), USERS, st.none()),
        st.tuples(st.just("advance"), USERS, st.integers(1, 2)),
        st.tuples(st.just("prune"), USERS, st.integers(1, 3)),
    ),
    max_size=25,
)


@dataclass
class Row:
    name: str | None
    data: str
    key: str | None
    expires: int | None
    seen: int | None = None


@dataclass
class Model:
    """The simplest inbox that keeps the promises: lists of rows."""

    now: int = 0
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"u": [], "v": []})

    def append(self, user: str, items: list[tuple[str | None, str, str | None, int | None]]) -> bool:
        rows = self.rows[user]
        known = {row.name: row.data for row in rows if row.name}
        told = dict(known)
        for name, data, _, _ in items:
            if name and told.setdefault(name, data) != data:
                return False
        done = set()
        replaced: list[Row] = []
        for name, data, key, seconds in items:
            if name in known or name in done:
                if name in known and name not in done:
                    replaced = [row for row in replaced if key is None or row.key != key]
                done.add(name)
                continue
            if name:
                done.add(name)
            expires = None if seconds is None else self.now + seconds
            if expires is not None and expires <= self.now:
                continue
            replaced = [row for row in replaced if key is None or row.key != key]
            replaced.append(Row(name, data, key, expires))
        keys = {row.key for row in replaced if row.key}
        self.rows[user] = [row for row in rows if row.seen is not None or row.key not in keys] + replaced
        return True

    def expire(self) -> None:
        for user, rows in self.rows.items():
            self.rows[user] = [row for row in rows if row.expires is None or row.expires > self.now]


@settings(max_examples=40)
@given(STEPS)
def test_any_sequence_of_calls_equals_the_model(steps: list[tuple[str, str, object]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_compare(partial(SQLiteStore, empty_store(Path(folder) / "pns.db")), steps))


@settings(max_examples=10)
@given(STEPS)
def test_any_sequence_of_calls_on_postgres_equals_the_model(
    postgres: Postgres, steps: list[tuple[str, str, object]]
) -> None:
    empty(postgres)
    asyncio.run(_compare(partial(PostgresStore, postgres.url), steps))


async def _compare(engine: Engine, steps: list[tuple[str, str, object]]) -> None:
    clock = FakeClock()
    store = engine(clock=clock, metrics=Metrics())
    await store.open()
    model = Model()
    try:
        for step in steps:
            await _take(store, model, clock, *step)
            await _equal(store, model)
    finally:
        await store.close()


async def _take(store: Store, model: Model, clock: FakeClock, verb: str, user: str, what: object) -> None:
    rows = model.rows[user]
    if verb == "append":
        fits = model.append(user, what)  # type: ignore[arg-type]
        try:
            await append(store, user, *(_notification(clock, *item) for item in what))  # type: ignore[attr-defined]
            assert fits
        except NotificationIdConflict:
            assert not fits
    elif verb == "mark":
        await store.mark_seen(user, what)  # type: ignore[arg-type]
        _mark(model, [row for row in rows if row.name in what])  # type: ignore[operator]
    elif verb == "mark page":
        page = await store.unseen(user, limit=what, max_bytes=2**20)  # type: ignore[arg-type]
        await store.mark_sent_seen(page.user_key, [item.seq for item in page.items])
        _mark(model, [row for row in rows if row.seen is None][:what])  # type: ignore[index]
    elif verb == "mark all":
        await store.mark_all_seen(user)
        _mark(model, rows)
    elif verb == "withdraw":
        await store.withdraw(user, what)  # type: ignore[arg-type]
        model.rows[user] = [row for row in rows if row.name != what]
    elif verb == "erase":
        await store.erase(user)
        model.rows[user] = []
    elif verb == "advance":
        clock.advance(what)  # type: ignore[arg-type]
        model.now += what  # type: ignore[operator]
        await store.expire(1_000)
        model.expire()
    else:
        await store.prune(seen_before=clock.now() - what * 1_000_000, limit=1_000)  # type: ignore[operator]
        before = model.now - what  # type: ignore[operator]
        for name, some in model.rows.items():
            model.rows[name] = [row for row in some if row.seen is None or row.seen >= before]


def _mark(model: Model, rows: list[Row]) -> None:
    for row in rows:
        row.seen = model.now if row.seen is None else row.seen


def _notification(
    clock: FakeClock, name: str | None, data: str, key: str | None, seconds: int | None
) -> Notification:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=seconds or 0)
    return Notification(
        data, notification_id=name, collapse_key=key, expire_date=None if seconds is None else moment
    )


async def _equal(store: Store, model: Model) -> None:
    states = await store.states(list(model.rows))
    for user, rows in model.rows.items():
        assert await unseen(store, user) == [row.data for row in rows if row.seen is None]
        assert await seen(store, user) == [row.data for row in rows if row.seen is not None]
        assert await inbox(store, user) == [row.data for row in rows]
        assert states[user].unseen == sum(row.seen is None for row in rows)
        page = await store.inbox(user, cursor())
        assert [item.collapse_key for item in page.items] == [row.key for row in rows]
