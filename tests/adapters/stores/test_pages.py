"""Pages: every stretch of an inbox, both ways, without repeat and without gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Cursor, Place, Store
from pns.errors import UnknownNotification
from pns.model.notification import Notification, Page
from pns.model.timestamp import microseconds
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, cursor, data, ids, inbox, named, unseen

T0 = datetime(2026, 1, 1, tzinfo=UTC)


async def fill(store: Store, total: int) -> list[str]:
    """`total` notifications of user 42, every third unseen, dates that do not follow the order."""
    names = [f"n{i}" for i in range(total)]
    await append(
        store,
        "42",
        *(
            Notification(name, notification_id=name, create_date=T0 + timedelta(seconds=i * 7 % total))
            for i, name in enumerate(names)
        ),
    )
    await store.mark_seen("42", [name for i, name in enumerate(names) if i % 3])
    return names


async def read(store: Store, kind: str, where: Cursor) -> Page:
    return await (store.seen if kind == "seen" else store.inbox)("42", where)


@pytest.mark.parametrize("kind", ["seen", "inbox"])
@pytest.mark.parametrize("limit", [1, 7, 500])
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
async def test_paging_by_id_neither_repeats_nor_skips(
    store: Store, kind: str, limit: int, filtered: bool, backwards: bool
) -> None:
    names = await fill(store, 50)
    received_after = microseconds(T0 + timedelta(seconds=20)) if filtered else None
    expected = [
        name
        for i, name in enumerate(names)
        if (kind == "inbox" or i % 3) and (not filtered or i * 7 % 50 > 20)
    ]
    found: list[str] = []
    last = ""
    while True:
        where = cursor(
            after="" if backwards else last,
            before=last if backwards else None,
            received_after=received_after,
            limit=limit,
        )
        page = await read(store, kind, where)
        if not page.items:
            break
        assert len(page.items) <= limit
        found += ids(page)
        last = found[-1]
    assert found == (expected[::-1] if backwards else expected)


@pytest.mark.parametrize("kind", ["seen", "inbox"])
async def test_a_reading_by_place_goes_on_though_what_stood_there_is_gone(store: Store, kind: str) -> None:
    await named(store, "42", *"abcdef")
    await store.mark_seen("42", [*"abcdef"])
    user_key = (await store.states(["42"]))["42"].user_key
    found: list[str] = []
    place = Place(user_key)
    while items := (await read(store, kind, Cursor(place=place, limit=2, max_bytes=PLENTY))).items:
        found += [item.notification_id for item in items]
        place = Place(user_key, items[-1].seq)
        await store.withdraw("42", found[-1])
    assert found == [*"abcdef"]
    assert await inbox(store, "42") == [*"ace"]


@pytest.mark.parametrize("kind", ["seen", "inbox"])
async def test_a_place_of_a_user_who_was_erased_is_at_the_end(store: Store, kind: str) -> None:
    await named(store, "42", "a", "b")
    user_key = (await store.states(["42"]))["42"].user_key
    where = Cursor(place=Place(user_key), limit=9, max_bytes=PLENTY)
    await store.erase("42")
    assert (await read(store, kind, where)).items == ()
    await named(store, "42", "a", "b", "c")
    await store.mark_seen("42", ["a", "b", "c"])
    assert (await read(store, kind, where)).items == ()
    key = (await store.states(["42"]))["42"].user_key
    assert ids(await read(store, kind, Cursor(place=Place(key, 1), limit=9, max_bytes=PLENTY))) == ["b", "c"]


async def test_unseen_is_oldest_first_and_marks_nothing(store: Store) -> None:
    await named(store, "42", "a", "b", "c")
    await store.mark_seen("42", ["b"])
    assert await unseen(store, "42") == ["a", "c"]
    assert await unseen(store, "42") == ["a", "c"]
    assert await unseen(store, "42", limit=1) == ["a"]


async def test_a_cursor_may_stand_on_either_kind(store: Store) -> None:
    await named(store, "42", "a", "b", "c")
    await store.mark_seen("42", ["a", "c"])
    assert data(await store.seen("42", cursor(after="b"))) == ["c"]
    assert data(await store.seen("42", cursor(before="b"))) == ["a"]


@pytest.mark.parametrize("kind", ["seen", "inbox"])
@pytest.mark.parametrize("where", [cursor(after="gone"), cursor(before="gone")], ids=["after", "before"])
async def test_a_cursor_that_is_not_kept_is_told(store: Store, kind: str, where: Cursor) -> None:
    with pytest.raises(UnknownNotification):
        await read(store, kind, where)
    await named(store, "42", "gone", "kept")
    await named(store, "7", "gone")
    await store.withdraw("42", "gone")
    with pytest.raises(UnknownNotification):
        await read(store, kind, where)


async def test_received_after_is_strictly_later(store: Store) -> None:
    for i in range(3):
        await append(store, "42", Notification(str(i), create_date=T0 + timedelta(microseconds=i)))
    await store.mark_all_seen("42")
    page = await store.seen("42", cursor(received_after=microseconds(T0) + 1))
    assert data(page) == ["2"]


@pytest.mark.parametrize("kind", ["unseen", "seen", "inbox"])
async def test_a_page_ends_before_its_bytes_are_exceeded(store: Store, kind: str) -> None:
    texts = ["aaaa", "éé", "🌍", "bbbb"]  # four bytes each
    await append(store, "42", *texts)
    if kind == "seen":
        await store.mark_all_seen("42")

    async def page(max_bytes: int) -> list[str]:
        if kind == "unseen":
            return await unseen(store, "42", max_bytes=max_bytes)
        return data(await read(store, kind, cursor(max_bytes=max_bytes)))

    assert [len(await page(n)) for n in (1, 4, 7, 8, 12, 15, 16, 17)] == [1, 1, 1, 2, 3, 3, 4, 4]


async def test_a_page_names_the_user_it_was_read_of(store: Store) -> None:
    assert (await store.unseen("42", limit=1, max_bytes=1)) == Page(0, ())
    assert (await store.seen("42", cursor())) == Page(0, ())
    await append(store, "42", "a")
    key = (await store.states(["42"]))["42"].user_key
    assert key > 0
    assert (await store.unseen("42", limit=1, max_bytes=1)).user_key == key
    assert (await store.seen("42", cursor())) == Page(key, ())


async def test_expired_notifications_are_in_no_page(store: Store, clock: FakeClock) -> None:
    soon = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=10)
    await append(
        store,
        "42",
        Notification("seen", notification_id="seen", expire_date=soon),
        Notification("unseen", expire_date=soon),
        "kept",
    )
    await store.mark_seen("42", ["seen"])
    assert await inbox(store, "42") == ["seen", "unseen", "kept"]
    clock.advance(10)
    assert await unseen(store, "42") == ["kept"]
    assert data(await store.seen("42", cursor())) == []
    assert await inbox(store, "42") == ["kept"]
    assert data(await store.inbox("42", cursor(before=""))) == ["kept"]


async def test_long_notifications_come_back_whole(store: Store) -> None:
    long = "é" * 32_768
    await append(store, "42", *[long] * 5)
    assert await unseen(store, "42", max_bytes=PLENTY) == [long] * 5
    assert await unseen(store, "42", max_bytes=3 * 65_536) == [long] * 3


async def test_an_id_that_no_engine_could_keep_is_unknown(store: Store) -> None:
    await named(store, "42", "a")
    for id in ("\0", "a\0", "\0a", "x" * 10_000):
        for user in ("42", "4\0002", "nobody"):
            with pytest.raises(UnknownNotification):
                await store.seen(user, cursor(after=id))
            with pytest.raises(UnknownNotification):
                await store.inbox(user, cursor(before=id))
            with pytest.raises(UnknownNotification):
                await store.mark_seen_up_to(user, id)
            assert await store.withdraw(user, id) is False
            assert await store.mark_seen(user, [id]) == 0
    assert (await store.states(["4\0002", "42"]))["4\0002"].unseen == 0
    assert (await store.inbox("4\0002", cursor())).items == ()
    assert await inbox(store, "42") == ["a"]


async def test_limits_and_times_beyond_all_measure(store: Store) -> None:
    await named(store, "42", "a")
    far = 2**63
    assert len((await store.inbox("42", cursor(limit=far, max_bytes=far))).items) == 1
    assert len((await store.unseen("42", limit=10**30, max_bytes=10**30)).items) == 1
    assert (await store.inbox("42", cursor(received_after=far))).items == ()
