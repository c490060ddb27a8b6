"""Group commit as callers see it: whole or not at all, whoever the neighbours are and whoever goes away."""

from __future__ import annotations

import asyncio

import pytest

from pns.contracts.store import State, Store
from pns.errors import NotificationIdConflict, Overloaded, StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics

from .conftest import PLENTY, Engine, append, count, cursor, inbox, named, submission


def commits(metrics: Metrics) -> tuple[int, int]:
    """(commits, writes in them) so far."""
    value = metrics.registry.get_sample_value
    return int(value("pns_commit_size_count") or 0), int(value("pns_commit_size_sum") or 0)


async def test_writes_that_wait_together_share_commits(store: Store, metrics: Metrics) -> None:
    await asyncio.gather(*(append(store, str(i % 7), str(i)) for i in range(640)))
    made, writes = commits(metrics)
    assert writes == 640
    assert made <= 3
    assert metrics.registry.get_sample_value("pns_commit_seconds_count") == made


async def test_a_conflict_fails_alone_among_its_neighbours(store: Store, metrics: Metrics) -> None:
    await named(store, "42", "taken")
    before = commits(metrics)[0]
    good = [append(store, "42", f"good {i}") for i in range(63)]
    bad = append(store, "42", "half", Notification("other", notification_id="taken"), "way")
    results = await asyncio.gather(*good[:30], bad, *good[30:], return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    assert [type(error) for error in failed] == [NotificationIdConflict]
    assert commits(metrics)[0] == before + 1
    assert sorted(await inbox(store, "42")) == sorted(["taken", *(f"good {i}" for i in range(63))])
    assert await count(store, "42") == 64


async def test_a_write_that_the_engine_refuses_fails_alone(store: Store) -> None:
    unwritable = Notification("half a 🌍 is \ud83c", notification_id="x")
    good = [append(store, "42", f"good {i}") for i in range(10)]
    too_far = store.mark_sent_seen(2**70, [1])
    results = await asyncio.gather(*good[:5], too_far, *good[5:], return_exceptions=True)
    assert sum(isinstance(result, BaseException) for result in results) == 1
    assert await count(store, "42") == 10
    with pytest.raises(UnicodeEncodeError):
        await append(store, "42", unwritable)
    await append(store, "42", "and on")
    assert await count(store, "42") == 11


async def test_a_cancelled_callers_write_stays_whole(store: Store) -> None:
    """Cancelled at any moment, a request is stored whole or not at all, and nobody else notices."""
    for turns in range(12):
        user_id = f"user {turns}"
        doomed = asyncio.create_task(append(store, user_id, "first", "second"))
        beside = asyncio.create_task(append(store, "beside", str(turns)))
        for _ in range(turns):
            await asyncio.sleep(0)
        doomed.cancel()
        await asyncio.wait([doomed])
        await beside
        await append(store, "after", str(turns))
        assert (await inbox(store, user_id), await count(store, user_id)) in [
            ([], 0),
            (["first", "second"], 2),
        ]
    assert await count(store, "beside") == await count(store, "after") == 12


async def test_no_half_of_a_cancelled_write_ever_becomes_visible(store: Store, other: Store) -> None:
    """Rows, count and collapse of one request are one thing, for a reader beside it too."""
    whole = [{"a", "b"}, {"c", "d"}]
    writes = [
        [Notification(f"{name}{i}", collapse_key=name) for name in sorted(whole[i % 2])] for i in range(200)
    ]

    async def write(i: int) -> None:
        task = asyncio.create_task(append(store, f"user {i % 2}", *writes[i]))
        await asyncio.sleep(0)
        if i % 3:
            task.cancel()
        await asyncio.wait([task])

    writing = asyncio.gather(*(write(i) for i in range(200)))
    while not writing.done():
        for user in range(2):
            items = (await other.inbox(f"user {user}", cursor())).items
            assert [item.collapse_key for item in items] in ([], sorted(whole[user]))
            assert len({item.notification_data[1:] for item in items}) <= 1
            assert (await other.states([f"user {user}"]))[f"user {user}"].unseen in (0, 2)
    await writing
    for user_id in ("user 0", "user 1"):
        assert await count(store, user_id) == len(await inbox(store, user_id)) == 2


async def test_what_may_wait_is_bounded(engine: Engine) -> None:
    store = engine(max_waiting_bytes=100_000)
    await store.open()
    try:
        results = await asyncio.gather(
            *(append(store, "42", "x" * 10_000) for _ in range(50)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, BaseException)]
        assert {type(error) for error in refused} == {Overloaded}
        assert len(refused) + await count(store, "42") == 50
        assert 9 <= await count(store, "42") <= 10
        await append(store, "42", "x" * 200_000)  # alone, anything may
        await asyncio.gather(*(append(store, "42", "x" * 10_000) for _ in range(9)))
    finally:
        await store.close()


async def test_closing_finishes_what_waits(engine: Engine) -> None:
    store = engine()
    await store.open()
    waiting = [asyncio.create_task(append(store, "42", str(i))) for i in range(100)]
    await asyncio.sleep(0)
    await store.close()
    assert [task.done() and task.exception() for task in waiting] == [None] * 100
    again = engine()
    await again.open()
    assert await count(again, "42") == 100
    await again.close()


async def test_opening_and_closing_in_any_order(engine: Engine) -> None:
    store = engine()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await append(store, "42", "too early")
    with pytest.raises(StoreUnavailable):
        await store.states(["42"])
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.open()
    await append(store, "42", "a")
    await store.check()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await append(store, "42", "too late")
    with pytest.raises(StoreUnavailable):
        await store.unseen("42", limit=1, max_bytes=PLENTY)
    await store.open()
    assert await inbox(store, "42") == ["a"]
    await store.close()


async def test_racing_repeats_store_one(store: Store, other: Store) -> None:
    twin = submission("42", Notification("same", notification_id="one"))
    results = await asyncio.gather(*(s.append([twin]) for s in (store, other) * 16))
    assert sorted(result.created for result in results) == [0] * 31 + [1]
    assert {tuple(result.notification_ids) for result in results} == {("one",)}
    assert await count(store, "42") == 1


async def test_two_stores_write_the_same_inbox(store: Store, other: Store) -> None:
    """Read, then write, in one transaction, against another process that does the same."""

    async def write(s: Store, name: str) -> None:
        for i in range(100):
            await named(s, "42", f"{name}{i}")

    await asyncio.gather(write(store, "a"), write(other, "b"))
    page = await store.inbox("42", cursor(limit=1_000))
    assert [item.seq for item in page.items] == list(range(1, 201))
    for name in "ab":
        own = [item.notification_data for item in page.items if item.notification_data[0] == name]
        assert own == [f"{name}{i}" for i in range(100)]
    assert await count(other, "42") == 200


async def test_a_refused_request_leaves_no_user_behind(store: Store) -> None:
    one, two = Notification("1", notification_id="a"), Notification("2", notification_id="a")
    with pytest.raises(NotificationIdConflict):
        await store.append([submission("new", "x"), submission("42", one, two)])
    assert await store.states(["new", "42"]) == {"new": State(), "42": State()}
