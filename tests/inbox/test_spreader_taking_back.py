"""The spreader takes back: to the end, whatever is cut off, beside spreading, in nobody's way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pns.contracts.audiences import Publication, Reached, Stretch
from pns.contracts.store import Store, Submission
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.inbox.spreader import STEP_USERS, Spreader
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock

from .test_spreader import MOST, USERS, Signals, bus, changes, counts, spread, spreader, subscribe
from .test_spreader import publication as a_publication

__all__ = ["bus", "changes", "spreader"]


async def published(store: Store, spreader: Spreader, clock: FakeClock) -> None:
    """Everybody has it."""
    await subscribe(store)
    await store.audiences.publish(a_publication())
    await spread(spreader, clock)
    assert await counts(store) == [1] * USERS


async def kept(store: Store, id: str = "p") -> Publication:
    found = await store.audiences.publication(id)
    assert found is not None
    return found


async def test_everybody_is_told_and_pushes_are_dismissed(
    store: Store, bus: Signals, metrics: Metrics, clock: FakeClock
) -> None:
    seen: list[str] = []
    changes = Changes(store, bus, metrics, on_seen=seen.append)
    spreader = Spreader(store, changes, clock)
    await published(store, spreader, clock)
    await store.mark_seen("user 3", ["p"])
    bus.users.clear()
    assert await changes.take_back("p") is not None
    await spread(spreader, clock)
    assert await counts(store) == [0] * USERS
    concerned = sorted(f"user {number}" for number in range(USERS) if number != 3)
    assert sorted(bus.users) == sorted(seen) == concerned
    assert f"pns_notifications_taken_back_total {USERS - 1}.0" in metrics.text().decode()
    shown = await kept(store)
    assert (shown.taken_back, shown.taken_back_date is None) == (USERS - 1, False)
    await spread(spreader, clock)
    assert await kept(store) == shown


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_cut_off_and_repeated(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, step: int, when: str
) -> None:
    """A node dies before a step is taken, or before it is told: the next goes on where it stood."""
    await published(store, spreader, clock)
    await changes.take_back("p")
    take, calls = changes.take_from, 0

    async def dying(publication: Publication, stretch: Stretch) -> bool:
        nonlocal calls
        calls += 1
        if calls == step and when == "before":
            raise StoreUnavailable
        taken = await take(publication, stretch)
        if calls == step:
            raise StoreUnavailable
        return taken

    changes.take_from = dying  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await spread(spreader, clock)
    changes.take_from = take  # type: ignore[method-assign]
    await spread(spreader, clock)
    assert (await kept(store)).taken_back_date is None or (step, when) == (3, "after"), "the lease holds"
    clock.advance(31)
    await spread(spreader, clock)
    assert await counts(store) == [0] * USERS
    assert (await kept(store)).taken_back == USERS


@pytest.mark.parametrize("step", [1, 2])
async def test_one_that_still_spreads_reaches_nobody_more(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, step: int
) -> None:
    """It is taken back while a node stands before a step of it, which then is not taken."""
    await subscribe(store)
    await store.audiences.publish(a_publication())
    reach, calls = changes.reach, 0

    async def taken_back_before(*args: Any, **more: Any) -> Reached | None:
        nonlocal calls
        calls += 1
        if calls == step:
            await changes.take_back("p")
        return await reach(*args, **more)

    changes.reach = taken_back_before  # type: ignore[method-assign]
    await spread(spreader, clock)
    assert calls == step
    assert await counts(store) == [0] * USERS
    shown = await kept(store)
    assert (shown.reached, shown.taken_back, shown.end_date) == ((step - 1) * MOST,) * 2 + (None,)


async def test_two_nodes_spread_and_take_back_at_once(
    store: Store, changes: Changes, clock: FakeClock
) -> None:
    await subscribe(store, 5)
    for number in range(6):
        await store.audiences.publish(a_publication(f"p{number}"))
    spreaders = [Spreader(store, changes, clock) for _ in range(2)]
    ticks = [spread(spreader, clock) for spreader in spreaders]
    await asyncio.gather(*ticks, *(changes.take_back(f"p{number}") for number in range(0, 6, 2)))
    await spread(spreaders[0], clock)
    assert await counts(store, 5) == [3] * 5
    taken = [await kept(store, f"p{number}") for number in range(0, 6, 2)]
    assert [each.taken_back for each in taken] == [each.reached for each in taken]
    assert all(each.taken_back_date is not None for each in taken)


async def test_a_large_one_holds_up_no_other(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 0.6 s here, which is a turn; what is published meanwhile has the next."""
    await published(store, spreader, clock)
    await store.audiences.subscribe("topic/small", "user 1", make=True)
    await changes.take_back("p")
    take, order = changes.take_from, list[tuple[str, int]]()

    async def slow(publication: Publication, stretch: Stretch) -> bool:
        clock.advance(0.6)
        if not order:
            await store.audiences.publish(a_publication("small", "topic/small"))
        small = await store.audiences.publication("small")
        order.append((publication.publication_id, small.reached if small else 0))
        return await take(publication, stretch)

    monkeypatch.setattr(changes, "take_from", slow)
    await spread(spreader, clock)
    assert order[:2] == [("p", 0), ("p", 1)]
    assert sum(await counts(store)) == 1


async def test_others_have_their_turn_between_steps(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock
) -> None:
    await published(store, spreader, clock)
    await changes.take_back("p")
    task = asyncio.create_task(spreader.tick())
    await clock.until_sleeping()
    assert STEP_USERS[0] <= (await counts(store)).count(0) <= MOST
    await store.append([Submission("somebody", (Notification("y"),))])
    assert not task.done(), "it waits while others write"
    task.cancel()
    await asyncio.wait([task])
