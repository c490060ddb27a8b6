"""Unread and each category's numbers are those of the rows, after any write of this release or one before."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import CountsOf, Store
from pns.model.counts import MOST_CATEGORIES, CategoryCount, Counts
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification, StoredNotification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from pns.testing.temporary import empty_store
from tests.harness.postgres import Postgres

from .conftest import PLENTY, Engine, append, cursor, empty, submission

Raw = Callable[[str], list[str]]

CATEGORIES = ("a", "b", "B")


async def rows(store: Store, user_id: str) -> list[StoredNotification]:
    return list((await store.inbox(user_id, cursor(limit=100_000))).items)


async def numbers(store: Store, user_id: str, categories: tuple[str, ...] | None = None) -> Counts:
    asked = CountsOf(user_id, categories)
    return (await store.counts([asked]))[asked]


async def true_numbers(store: Store, user_id: str) -> Counts:
    """The numbers, after they were compared with the rows in every way of asking."""
    told, kept = await numbers(store, user_id), await rows(store, user_id)
    unseen = [item for item in kept if item.seen_date is None]
    unread = [item for item in kept if item.read_date is None]
    expected = {
        name: CategoryCount(sum(i.category == name for i in unseen), sum(i.category == name for i in unread))
        for name in CATEGORIES
    }
    assert (told.unseen, told.unread) == (len(unseen), len(unread))
    assert told.unseen == (await store.states([user_id]))[user_id].unseen
    assert dict(told.categories) == {name: count for name, count in expected.items() if count.unread}
    named = await numbers(store, user_id, CATEGORIES)
    assert named == told._replace(categories=expected)
    return told


# ── any sequence of calls ─────────────────────────────────────────────────────────────────────────────

USERS = st.sampled_from("uv")
NAMES = st.sampled_from("nmop")
ITEMS = st.lists(
    st.tuples(
        NAMES,
        st.none() | st.sampled_from(CATEGORIES),
        st.none() | st.just("k"),
        st.none() | st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
)
WAYS = st.one_of(
    st.builds(lambda ids: {"ids": tuple(ids)}, st.lists(NAMES, min_size=1, max_size=3)),
    st.sampled_from([{"collapse_key": "k"}, {"category": "a"}, {"category": "B"}, {}]),
)
OLDER = st.sampled_from(["append", "mark", "withdraw", "erase", "prune", "expire", "by hand"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), USERS, ITEMS),
        st.tuples(st.just("mark"), USERS, st.tuples(st.sampled_from(MarkAs), WAYS)),
        st.tuples(st.just("mark ids"), USERS, NAMES),
        st.tuples(st.just("mark page"), USERS, st.integers(1, 3)),
        st.tuples(st.just("mark all"), USERS, st.none()),
        st.tuples(st.just("withdraw"), USERS, NAMES),
        st.tuples(st.just("erase"), USERS, st.none()),
        st.tuples(st.just("advance"), USERS, st.integers(1, 2)),
        st.tuples(st.just("prune"), USERS, st.integers(0, 2)),
        st.tuples(st.just("older"), USERS, st.tuples(OLDER, NAMES, st.sampled_from(CATEGORIES))),
    ),
    max_size=25,
)
Steps = list[tuple[str, str, Any]]


@settings(max_examples=60)
@given(STEPS)
def test_any_sequence_of_calls_keeps_all_numbers(steps: Steps) -> None:
    with TemporaryDirectory() as folder:
        path = empty_store(Path(folder) / "pns.db")
        asyncio.run(_take_all(partial(SQLiteStore, path), partial(_run_on_file, path), steps))


@settings(max_examples=8)
@given(STEPS)
def test_any_sequence_of_calls_on_postgres_keeps_all_numbers(postgres: Postgres, steps: Steps) -> None:
    empty(postgres)
    raw = partial(_run_on_server, postgres)
    asyncio.run(_take_all(partial(PostgresStore, postgres.url), raw, steps))


def _run_on_file(path: Path, sql: str) -> list[str]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for part in sql.split(";"):
            connection.execute(part)
    return []


def _run_on_server(server: Postgres, sql: str) -> list[str]:
    return server.run(f"SET search_path = pns; {sql}")


async def _take_all(engine: Engine, raw: Raw, steps: Steps) -> None:
    clock = FakeClock()
    store = engine(clock=clock, metrics=Metrics())
    await store.open()
    try:
        before = {user: (await true_numbers(store, user), await rows(store, user)) for user in "uv"}
        for step in steps:
            await _take(store, clock, raw, *step)
            for user, (told, kept) in before.items():
                now = (await true_numbers(store, user), await rows(store, user))
                if kept != now[1]:
                    assert now[0][:2] > told[:2] or not now[1], "a change raises the version"
                elif now[0].user_key == told.user_key:
                    assert now[0].version >= told.version
                before[user] = now
    finally:
        await store.close()


async def _take(store: Store, clock: FakeClock, raw: Raw, verb: str, user: str, what: Any) -> None:
    if verb == "append":
        known = {item.notification_id for item in await rows(store, user)}
        items = {item[0]: item for item in what if item[0] not in known}
        await append(store, user, *(_notification(clock, *item) for item in items.values()))
    elif verb == "mark":
        as_, which = what
        by_ids = as_ in (MarkAs.UNREAD, MarkAs.UNARCHIVED)
        marked = await store.mark(user, Mark(as_, **({"ids": ("n", "m")} if by_ids else which)), counted=True)
        told = await numbers(store, user)
        assert (marked.unseen, marked.unread) == (told.unseen, told.unread)
    elif verb == "mark ids":
        await store.mark_seen(user, [what])
    elif verb == "mark page":
        page = await store.unseen(user, limit=what, max_bytes=PLENTY)
        await store.mark_sent_seen(page.user_key, [item.seq for item in page.items])
    elif verb == "mark all":
        await store.mark_all_seen(user)
    elif verb == "withdraw":
        await store.withdraw(user, what)
        await store.take_out(user, "m", what)
    elif verb == "erase":
        await store.erase(user)
    elif verb == "advance":
        clock.advance(what)
        await store.expire(1_000)
    elif verb == "prune":
        await _prune(store, clock.now() - what * 1_000_000)
    else:
        await asyncio.to_thread(_as_before, raw, user, *what)


async def _prune(store: Store, seen_before: int) -> None:
    kept = {user: await rows(store, user) for user in "uv"}
    told: list[str] = []
    await store.prune(seen_before=seen_before, limit=1_000, pruned=told.extend)
    assert sorted(told) == [user for user in "uv" if kept[user] != await rows(store, user)]


def _notification(
    clock: FakeClock, name: str, category: str | None, key: str | None, seconds: int | None
) -> Notification:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=seconds or 0)
    return Notification(
        name,
        notification_id=name,
        category=category,
        collapse_key=key,
        expire_date=None if seconds is None else moment,
        group=GroupMember(name) if key is not None and name in "nm" else None,
    )


# ── beside a release before ───────────────────────────────────────────────────────────────────────────

THIS = "(SELECT user_key FROM users WHERE user_id = '{user}')"
OF_BEFORE = {
    "append": """
INSERT INTO users (user_id, last_seq, unseen, version) VALUES ('{user}', 1, 1, 1)
ON CONFLICT (user_id) DO UPDATE SET last_seq = users.last_seq + 1, unseen = users.unseen + 1,
  version = users.version + 1;
INSERT INTO notifications
  (user_key, seq, notification_id, data, create_date, category, collapse_key, expire_date)
SELECT user_key, last_seq, '{user}' || last_seq, '{id}', 1, '{category}', NULL, NULL
FROM users WHERE user_id = '{user}'
""",
    "mark": f"""
UPDATE users
SET version = version + 1, unseen = unseen - (
  SELECT count(*) FROM notifications n
  WHERE n.user_key = users.user_key AND n.category = '{{category}}' AND n.seen_date IS NULL)
WHERE user_id = '{{user}}';
UPDATE notifications SET seen_date = 5
WHERE user_key = {THIS} AND category = '{{category}}' AND seen_date IS NULL
""",
    "withdraw": f"""
UPDATE users
SET version = version + 1, unseen = unseen - (
  SELECT count(*) FROM notifications n
  WHERE n.user_key = users.user_key AND n.notification_id = '{{id}}' AND n.seen_date IS NULL)
WHERE user_id = '{{user}}';
DELETE FROM notifications WHERE user_key = {THIS} AND notification_id = '{{id}}'
""",
    "expire": f"""
UPDATE users
SET version = version + 1, unseen = unseen - (
  SELECT count(*) FROM notifications n
  WHERE n.user_key = users.user_key AND n.expire_date IS NOT NULL AND n.seen_date IS NULL)
WHERE user_id = '{{user}}';
DELETE FROM notifications WHERE user_key = {THIS} AND expire_date IS NOT NULL
""",
    "erase": """
INSERT INTO erased (user_key) SELECT user_key FROM users WHERE user_id = '{user}';
DELETE FROM users WHERE user_id = '{user}';
DELETE FROM notifications WHERE user_key IN (SELECT user_key FROM erased);
DELETE FROM erased
""",
    "prune": "DELETE FROM notifications WHERE seen_date IS NOT NULL",
    "by hand": f"""
UPDATE users SET version = version + 1 WHERE user_id = '{{user}}';
UPDATE notifications SET category = '{{category}}' WHERE user_key = {THIS} AND notification_id <> '{{id}}'
""",
}
"""Writes in the words of schemas 1 to 3, which know neither marks nor numbers."""


def _as_before(raw: Raw, user: str, what: str, id: str, category: str) -> None:
    raw(OF_BEFORE[what].format(user=user, id=id, category=category))


async def test_what_an_older_release_writes_changes_the_numbers(store: Store, raw: Raw) -> None:
    await append(store, "u", *(_notification(FakeClock(), name, "a", None, None) for name in "nmop"))
    await store.mark("u", Mark(MarkAs.SEEN, ids=("n", "m")))
    await store.mark("u", Mark(MarkAs.READ, ids=("o",)))
    assert (await true_numbers(store, "u"))[2:5] == (1, 3, {"a": CategoryCount(1, 3)})
    _as_before(raw, "u", "withdraw", "n", "a")
    assert (await true_numbers(store, "u"))[2:5] == (1, 2, {"a": CategoryCount(1, 2)})
    _as_before(raw, "u", "append", "x", "B")
    told = await true_numbers(store, "u")
    assert told[2:5] == (2, 3, {"B": CategoryCount(1, 1), "a": CategoryCount(1, 2)})
    _as_before(raw, "u", "prune", "", "")
    pruned = await true_numbers(store, "u")
    assert pruned[2:5] == (2, 2, {"B": CategoryCount(1, 1), "a": CategoryCount(1, 1)})
    assert pruned.version > told.version
    _as_before(raw, "u", "mark", "", "B")
    assert (await true_numbers(store, "u"))[2:5] == (1, 1, {"a": CategoryCount(1, 1)}), "it counts as read"
    _as_before(raw, "u", "erase", "", "")
    assert await true_numbers(store, "u") == Counts()
    assert raw("SELECT count(*) FROM category_counts") == ["0"]


async def test_a_user_who_comes_back_begins_with_nothing(store: Store) -> None:
    await append(store, "u", _notification(FakeClock(), "n", "a", None, None))
    before = await true_numbers(store, "u")
    await store.erase("u")
    assert await true_numbers(store, "u") == Counts()
    await append(store, "u", "x")
    back = await true_numbers(store, "u")
    assert back.user_key > before.user_key
    assert back[2:5] == (1, 1, {})


# ── which categories are told ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [MOST_CATEGORIES - 1, MOST_CATEGORIES, MOST_CATEGORIES + 1, 300])
async def test_the_first_by_name_are_told(store: Store, count: int) -> None:
    names = [f"{'cC.'[n % 3]}{n}" for n in range(count)]
    await append(store, "u", *(Notification("x", category=name) for name in reversed(names)))
    told = await numbers(store, "u")
    assert list(told.categories) == sorted(names)[:MOST_CATEGORIES]
    assert told.more is (count > MOST_CATEGORIES)
    assert set(told.categories.values()) == {CategoryCount(1, 1)}
    await store.mark("u", Mark(MarkAs.READ, category=sorted(names)[0]))
    assert list((await numbers(store, "u")).categories) == sorted(names)[1 : MOST_CATEGORIES + 1]
    last = (sorted(names)[-1], "none", sorted(names)[0])
    asked = await numbers(store, "u", last)
    assert list(asked.categories.items()) == [
        (last[0], CategoryCount(1, 1)),
        (last[1], CategoryCount(0, 0)),
        (last[2], CategoryCount(0, 0)),
    ]
    assert not asked.more


async def test_many_are_asked_for_at_once(store: Store) -> None:
    for user in ("u", "v"):
        await append(store, user, *(Notification("x", category=name) for name in ("a", "b")))
    await store.mark("v", Mark(MarkAs.SEEN))
    lists: tuple[tuple[str, ...] | None, ...] = (None, (), ("a",), ("b\0", "b"))
    asked = [CountsOf(user, names) for user in ("u", "v", "w\0") for names in lists]
    found = await store.counts(asked)
    for one in asked:
        assert found[one] == await numbers(store, *one)
    assert found[CountsOf("v", ("a",))].categories == {"a": CategoryCount(0, 1)}
    assert found[CountsOf("u", ("b\0", "b"))].categories == {
        "b\0": CategoryCount(0, 0),
        "b": CategoryCount(1, 1),
    }
    assert found[CountsOf("w\0")] == Counts()
    assert await store.counts([]) == {}


# ── many at once ──────────────────────────────────────────────────────────────────────────────────────


async def test_many_writers_on_two_nodes_leave_true_numbers(store: Store, other: Store) -> None:
    """Each version that is read comes with numbers of one moment, and none goes back."""
    told: list[Counts] = []

    async def write(node: Store, number: int) -> None:
        name = f"{number}"
        item = _notification(FakeClock(), name, CATEGORIES[number % 3], name[-1], None)
        await node.append([submission("u", item), submission("v", item)])
        await node.mark("u", Mark((MarkAs.SEEN, MarkAs.READ, MarkAs.ARCHIVED)[number % 3], ids=(name,)))
        told.append(await numbers(node, "u"))
        await node.mark("u", Mark(MarkAs.UNREAD, ids=(name,)))
        await (node.withdraw("u", name) if number % 4 == 0 else node.mark("v", Mark(MarkAs.SEEN)))
        await node.prune(seen_before=1, limit=10)

    await asyncio.gather(*(write((store, other)[n % 2], n) for n in range(24)))
    for user in "uv":
        assert await true_numbers(store, user) == await true_numbers(other, user)
    for counts in told:
        assert 0 <= counts.unseen <= counts.unread
        assert sum(count.unread for count in counts.categories.values()) == counts.unread
