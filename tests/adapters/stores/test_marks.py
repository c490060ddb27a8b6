"""Marks: archived ⇒ read ⇒ seen after every mark by every way, and the numbers are those of the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pns.adapters.stores.group_commit import MARKED_AT_ONCE
from pns.contracts.store import Cursor, Marked, Place, Store
from pns.errors import UnknownNotification
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification, StoredNotification
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, count, cursor, data, named, seen, unseen

SEEN, READ, UNREAD = MarkAs.SEEN, MarkAs.READ, MarkAs.UNREAD
ARCHIVED, UNARCHIVED = MarkAs.ARCHIVED, MarkAs.UNARCHIVED


async def items(store: Store, user_id: str = "42") -> dict[str, StoredNotification]:
    page = await store.inbox(user_id, cursor(limit=100_000))
    for item in page.items:
        assert item.archived_date is None or item.read_date is not None
        assert item.read_date is None or item.seen_date is not None
    return {item.notification_id: item for item in page.items}


async def marks(store: Store, user_id: str = "42") -> dict[str, tuple[int | None, int | None, int | None]]:
    """Id → seen_date, read_date, archived_date."""
    found = await items(store, user_id)
    return {id: (item.seen_date, item.read_date, item.archived_date) for id, item in found.items()}


async def put(
    store: Store, *names: str, user: str = "42", category: str | None = None, key: str | None = None
) -> None:
    await append(
        store, user, *(Notification(n, notification_id=n, category=category, collapse_key=key) for n in names)
    )


def by_ids(as_: MarkAs, *ids: str) -> Mark:
    return Mark(as_, ids=ids)


# ── what a mark sets and clears ───────────────────────────────────────────────────────────────────────


async def test_a_mark_sets_the_empty_ones_before_it(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b", "c", "d")
    one = clock.now()
    assert await store.mark("42", by_ids(SEEN, "a", "b"), counted=True) == Marked(2, 2, 2, 4)
    clock.advance(1)
    two = clock.now()
    assert await store.mark("42", by_ids(READ, "b", "c"), counted=True) == Marked(2, 1, 1, 2)
    clock.advance(1)
    three = clock.now()
    assert await store.mark("42", by_ids(ARCHIVED, "a", "b", "c", "d"), counted=True) == Marked(4, 1, 0, 0)
    assert await marks(store) == {
        "a": (one, three, three),
        "b": (one, two, three),
        "c": (two, two, three),
        "d": (three, three, three),
    }
    assert await count(store, "42") == 0


async def test_unread_clears_both_and_makes_nothing_unseen(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b", "c", "d")
    now = clock.now()
    await store.mark("42", by_ids(ARCHIVED, "a"))
    await store.mark("42", by_ids(READ, "b"))
    await store.mark("42", by_ids(SEEN, "c"))
    before = (await store.states(["42"]))["42"]
    clock.advance(1)
    assert await store.mark("42", by_ids(UNREAD, "a", "b", "c", "d"), counted=True) == Marked(2, 0, 1, 4)
    assert await marks(store) == {**dict.fromkeys("abc", (now, None, None)), "d": (None, None, None)}
    assert (await store.states(["42"]))["42"] == before


async def test_unarchived_clears_that_alone(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b")
    now = clock.now()
    await store.mark("42", by_ids(ARCHIVED, "a"))
    await store.mark("42", by_ids(READ, "b"))
    clock.advance(1)
    assert await store.mark("42", by_ids(UNARCHIVED, "a", "b"), counted=True) == Marked(1, 0, 0, 0)
    assert await marks(store) == {"a": (now, now, None), "b": (now, now, None)}


@pytest.mark.parametrize("as_", MarkAs)
async def test_a_mark_twice_changes_once(store: Store, clock: FakeClock, as_: MarkAs) -> None:
    await named(store, "42", "a")
    await store.mark("42", by_ids(ARCHIVED, "a"))
    if as_ in (SEEN, READ, ARCHIVED):
        await named(store, "42", "b")
    assert (await store.mark("42", by_ids(as_, "a", "b"))).changed == 1
    first = await marks(store)
    clock.advance(1)
    assert await store.mark("42", by_ids(as_, "a", "b", "a")) == Marked()
    assert await marks(store) == first


async def test_what_was_seen_by_another_way_is_not_read(store: Store) -> None:
    await named(store, "42", "a", "b", "c", "d")
    await store.mark_seen("42", ["a"])
    await store.mark_seen_up_to("42", "b")
    key = (await store.states(["42"]))["42"].user_key
    await store.mark_sent_seen(key, [3])
    await store.mark_all_seen("42")
    assert [(seen is None, read) for seen, read, _ in (await marks(store)).values()] == [(False, None)] * 4
    assert await store.mark("42", Mark(SEEN), counted=True) == Marked(0, 0, 0, 4)


async def test_a_mark_ends_at_a_place(store: Store) -> None:
    """Also where nothing stands any more. The place of a user who was erased has nothing."""
    await put(store, "a", "b", category="c")
    await put(store, "x", "y")
    await put(store, "d", category="c")
    key = (await store.states(["42"]))["42"].user_key
    await store.withdraw("42", "x")
    assert await store.mark("42", Mark(SEEN, category="c"), last=Place(key, 1)) == Marked(1, 1)
    assert await store.mark("42", Mark(SEEN), last=Place(key, 3)) == Marked(1, 1)
    assert await unseen(store, "42") == ["y", "d"]
    assert await store.mark("42", Mark(SEEN, category="c"), last=Place(key, 9)) == Marked(1, 1)
    await store.erase("42")
    await put(store, "a", category="c")
    assert await store.mark("42", Mark(SEEN, category="c"), last=Place(key, 9)) == Marked()
    assert await unseen(store, "42") == ["a"]


async def test_a_mark_takes_only_what_is_the_users_and_is_kept(store: Store) -> None:
    await named(store, "42", "a", "b")
    await named(store, "7", "c")
    strange = ("c", "never", "a\0", "x" * 300, "b", "b")
    assert (await store.mark("42", by_ids(READ, *strange))).changed == 1
    for mark in (by_ids(READ, "a"), Mark(READ), Mark(READ, category="x"), Mark(READ, collapse_key="x")):
        assert await store.mark("nobody", mark, counted=True) == Marked()
        assert await store.mark("no\0body", mark, counted=True) == Marked()
    assert await count(store, "7") == 1


async def test_retention_looks_at_seen_alone(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b", "c")
    await store.mark("42", by_ids(SEEN, "a", "b"))
    clock.advance(1)
    await store.mark("42", by_ids(ARCHIVED, "a", "c"))
    assert await store.prune(seen_before=clock.now(), limit=100) == 2
    assert list(await marks(store)) == ["c"]
    assert await store.mark("42", Mark(READ), counted=True) == Marked()


async def test_erased_meanwhile(store: Store) -> None:
    await named(store, "42", "a", "b")
    await asyncio.gather(store.erase("42"), store.mark("42", Mark(ARCHIVED), counted=True))
    assert await store.mark("42", by_ids(READ, "a"), counted=True) == Marked()
    await named(store, "42", "a")
    assert await marks(store) == {"a": (None, None, None)}
    assert await count(store, "42") == 1


# ── which ─────────────────────────────────────────────────────────────────────────────────────────────


async def several(store: Store, user: str = "42") -> None:
    """a to f: seen, read and archived ones among them, in two categories and under a key."""
    await put(store, "a", user=user, category="comments", key="order:7")
    await store.mark(user, by_ids(SEEN, "a"))
    await put(store, "b", user=user, category="comments")
    await put(store, "c", user=user, key="order:7")
    await store.mark(user, by_ids(ARCHIVED, "c"))
    await put(store, "d", user=user, category="orders", key="order:7")
    await put(store, "e", user=user, category="comments")
    await store.mark(user, by_ids(READ, "e"))
    await put(store, "f", user=user, category="comments", key="order:8")


WAYS: list[tuple[dict[str, Any], dict[MarkAs, set[str]]]] = [
    ({}, {SEEN: {*"bdf"}, READ: {*"abdf"}, ARCHIVED: {*"abdef"}}),
    ({"up_to": "d"}, {SEEN: {*"bd"}, READ: {*"abd"}, ARCHIVED: {*"abd"}}),
    ({"category": "comments"}, {SEEN: {*"bf"}, READ: {*"abf"}, ARCHIVED: {*"abef"}}),
    ({"category": "comments", "up_to": "c"}, {SEEN: {*"b"}, READ: {*"ab"}, ARCHIVED: {*"ab"}}),
    ({"collapse_key": "order:7"}, {SEEN: {*"d"}, READ: {*"ad"}, ARCHIVED: {*"ad"}}),
    ({"collapse_key": "order:7", "up_to": "c"}, {SEEN: set(), READ: {*"a"}, ARCHIVED: {*"a"}}),
    ({"category": "no"}, {SEEN: set(), READ: set(), ARCHIVED: set()}),
    ({"collapse_key": "n\0"}, {SEEN: set(), READ: set(), ARCHIVED: set()}),
]


@pytest.mark.parametrize("as_", [SEEN, READ, ARCHIVED])
async def test_by_category_key_or_all(store: Store, clock: FakeClock, as_: MarkAs) -> None:
    for which, changed in WAYS:
        user = str(which)
        await several(store, user)
        before = await marks(store, user)
        clock.advance(1)
        marked = await store.mark(user, Mark(as_, **which), counted=True)
        after = await marks(store, user)
        assert {id for id in before if before[id] != after[id]} == changed[as_]
        assert marked == Marked(
            len(changed[as_]),
            sum(before[id][0] is None for id in changed[as_]),
            await count(store, user),
            sum(read is None for _, read, _ in after.values()),
        )
        assert marked.unseen == sum(seen is None for seen, _, _ in after.values())


async def test_up_to_what_is_not_kept(store: Store) -> None:
    await several(store)
    before = await marks(store)
    ways: list[dict[str, Any]] = [{}, {"category": "comments"}, {"collapse_key": "order:7"}]
    for which in ways:
        for user_id, up_to in (("42", "gone"), ("42", ""), ("42", "a\0"), ("nobody", "a")):
            with pytest.raises(UnknownNotification):
                await store.mark(user_id, Mark(READ, up_to=up_to, **which))
    assert await marks(store) == before


async def test_what_is_stored_after_the_beginning_is_left_out(store: Store) -> None:
    for _ in range(3):
        await append(store, "42", *(Notification(str(i), category="c") for i in range(MARKED_AT_ONCE)))
    for mark in (Mark(SEEN, category="c"), Mark(ARCHIVED)):
        marking = asyncio.create_task(store.mark("42", mark))
        late = 0
        while not marking.done():  # somebody appends in every gap between its commits
            await append(store, "42", Notification("late", category="c"))
            late += 1
        found = [item for item in (await items(store)).values() if item.notification_data == "late"]
        assert any(item.seen_date is None for item in found[-late:])
        assert (await marking).changed >= 3 * MARKED_AT_ONCE


@pytest.mark.parametrize("as_", [SEEN, READ, ARCHIVED])
async def test_many_are_marked_in_steps(store: Store, as_: MarkAs) -> None:
    steps: list[Marked | None] = []
    for _ in range(2):
        await append(store, "42", *map(str, range(1_000)))
        await store.mark_all_seen("42")
        await append(store, "42", *map(str, range(1_000)))
    total = await store.mark("42", Mark(as_), counted=True, committed=steps.append)
    changed = 1_000 if as_ is SEEN else 4_000
    assert total == Marked(changed, 1_000, 0, 4_000 if as_ is SEEN else 0)
    assert [step is not None and step.changed <= MARKED_AT_ONCE for step in steps] == [True] * len(steps)
    assert sum(step.changed for step in steps if step is not None) == changed
    assert len(steps) >= changed / MARKED_AT_ONCE


async def test_two_marks_of_the_same_rows_change_them_once(store: Store) -> None:
    await named(store, "42", *(f"n{i}" for i in range(100)))
    ids = tuple(f"n{i}" for i in range(100))
    ways = [Mark(READ, ids=ids), Mark(READ), Mark(SEEN), Mark(ARCHIVED, ids=ids)] * 3
    marked = await asyncio.gather(*(store.mark("42", mark) for mark in ways))
    assert sum(each.seen for each in marked) == 100
    assert sum(m.changed for m, way in zip(marked, ways, strict=True) if way.as_ is ARCHIVED) == 100
    assert await count(store, "42") == 0
    await items(store)


async def test_two_nodes_mark_at_once(store: Store, other: Store) -> None:
    await named(store, "42", *(f"n{i}" for i in range(300)))
    ids = tuple(f"n{i}" for i in range(300))
    calls = [node.mark("42", Mark(as_)) for as_ in (SEEN, READ, ARCHIVED) for node in (store, other)]
    unread = [node.mark("42", Mark(UNREAD, ids=ids[::3])) for node in (store, other)]
    marked = await asyncio.gather(*calls, *unread)
    assert sum(each.seen for each in marked) == 300
    await items(store)
    last = await store.mark("42", Mark(SEEN), counted=True)
    assert last == Marked(0, 0, 0, sum(read is None for _, read, _ in (await marks(store)).values()))


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────

LISTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "ae", "abcdef"),
    ({"archived": False}, "ae", "abdef"),
    ({"archived": True}, "c", "c"),
    ({"unread": True}, "a", "abdf"),
    ({"unread": True, "archived": False}, "a", "abdf"),
    ({"unread": True, "archived": True}, "", ""),
    ({"category": "comments"}, "ae", "abef"),
    ({"category": "comments", "unread": True}, "a", "abf"),
    ({"category": "comments", "archived": True}, "", ""),
    ({"category": "comments", "archived": False}, "ae", "abef"),
    ({"category": "orders"}, "", "d"),
    ({"category": "no"}, "", ""),
]


async def test_lists_take_filters(store: Store) -> None:
    await several(store)
    for asked, of_seen, of_all in LISTS:
        for list_, expected in ((store.seen, of_seen), (store.inbox, of_all)):
            for back in (False, True):
                found = data(await list_("42", _cursor(back=back, limit=9, **asked)))
                assert found == (list(reversed(expected)) if back else list(expected)), asked
                walked: list[str] = []
                place = ""
                while page := data(await list_("42", _cursor(back=back, at=place, limit=1, **asked))):
                    walked += page
                    place = page[-1]
                assert walked == found, asked


def _cursor(*, back: bool, at: str = "", limit: int, max_bytes: int = PLENTY, **asked: Any) -> Cursor:
    if back:
        return Cursor(limit=limit, max_bytes=max_bytes, before=at, **asked)
    return Cursor(limit=limit, max_bytes=max_bytes, after=at, **asked)


async def test_the_unseen_of_a_category(store: Store) -> None:
    await several(store)
    assert await unseen(store, "42") == ["b", "d", "f"]
    for category, expected in (("comments", ["b", "f"]), ("orders", ["d"]), ("no", []), ("a\0", [])):
        page = await store.unseen("42", limit=9, max_bytes=PLENTY, category=category)
        assert data(page) == expected
    assert data(await store.unseen("42", limit=1, max_bytes=PLENTY, category="comments")) == ["b"]


async def test_a_page_that_is_full_of_bytes(store: Store) -> None:
    await several(store)
    ways: list[tuple[dict[str, Any], str]] = [
        ({"unread": True}, "fd"),
        ({"archived": False}, "fe"),
        ({"category": "comments"}, "fe"),
    ]
    for asked, expected in ways:
        assert data(await store.inbox("42", _cursor(back=True, limit=9, max_bytes=2, **asked))) == [*expected]


# ── releases that know only `seen_date` ───────────────────────────────────────────────────────────────

Raw = Callable[[str], list[str]]
OLD_MARK = "UPDATE notifications SET seen_date = {now} WHERE notification_id = '{id}' AND seen_date IS NULL"
OLD_COUNT = "UPDATE users SET unseen = unseen - 1, version = version + 1"


async def test_what_an_older_release_marks_counts_as_read(store: Store, raw: Raw, clock: FakeClock) -> None:
    """From before the migration and from beside this release, before this one says anything, and after."""
    await put(store, "a", "b", "c", "d", category="x")
    then = clock.now()
    for id in "abcd":
        raw(f"{OLD_MARK.format(now=then, id=id)}; {OLD_COUNT}")
    assert await marks(store) == dict.fromkeys("abcd", (then, then, None))
    assert await store.mark("42", Mark(READ), counted=True) == Marked()
    assert await store.mark("42", Mark(READ, category="x"), counted=True) == Marked()
    assert data(await store.inbox("42", _cursor(back=False, limit=9, unread=True))) == []
    assert data(await store.inbox("42", _cursor(back=False, limit=9, unread=True, category="x"))) == []
    clock.advance(1)
    assert await store.mark("42", by_ids(UNREAD, "a"), counted=True) == Marked(1, 0, 0, 1)
    assert await store.mark("42", by_ids(ARCHIVED, "b"), counted=True) == Marked(1, 0, 0, 1)
    assert await store.mark("42", by_ids(SEEN, "c"), counted=True) == Marked(0, 0, 0, 1)
    assert await marks(store) == {
        "a": (then, None, None),
        "b": (then, then, clock.now()),
        "c": (then, then, None),
        "d": (then, then, None),
    }
    assert await seen(store, "42") == ["a", "c", "d"]
