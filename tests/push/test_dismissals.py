"""Word of what was seen elsewhere: to every device that shows it, once, and not lost when a node dies."""

from __future__ import annotations

import asyncio

from pns.contracts.store import Store
from pns.model.push import PushState
from pns.push.dismissals import Dismissals
from pns.testing import FakeClock
from tests.push.conftest import Dispatch, install, notify, passes, states
from tests.push.scripted import ScriptedGateway


async def shown(store: Store, clock: FakeClock, dispatch: Dispatch, *ids: str) -> ScriptedGateway:
    """A phone and a tablet of user 42 show these notifications."""
    for device_id in ("phone", "tablet"):
        await install(store, "42", device_id)
    await notify(store, "42", *ids)
    gateway = ScriptedGateway()
    await dispatch(gateway)
    await passes(clock, 1)
    assert gateway.taken.total() == 2 * len(ids)
    gateway.asked.clear()
    return gateway


def told(gateway: ScriptedGateway) -> list[tuple[str, tuple[str, ...], int]]:
    return sorted((push.device.device_id, push.dismissed, push.badge) for push in gateway.asked)


async def test_seen_once_is_dismissed_everywhere(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    gateway = await shown(store, clock, dispatch, "a", "b", "c")
    dismissals = Dismissals(store.outbox, clock)
    await store.mark_seen("42", ["a", "b"])
    dismissals.seen("42")
    await dismissals.dismiss()
    await passes(clock, 1)
    assert told(gateway) == [("phone", ("a", "b"), 1), ("tablet", ("a", "b"), 1)]
    assert await states(store, "42", "a") == [PushState.SEEN] * 2
    await dismissals.dismiss()
    dismissals.seen("42")
    await dismissals.dismiss()
    await passes(clock, 1)
    assert len(gateway.asked) == 2, "once"


async def test_however_much_was_seen_at_once_all_of_it_is_dismissed(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    """At the next turn what was too much for this one, though nobody names the user again."""
    ids = [f"{number:0400}" for number in range(100)]
    gateway = await shown(store, clock, dispatch, *ids)
    await store.mark_all_seen("42")
    dismissals = Dismissals(store.outbox, clock)
    dismissals.seen("42")
    for _ in range(2):
        await dismissals.dismiss()
        await passes(clock, 1)
    for device_id in ("phone", "tablet"):
        told_of = [
            id for push in gateway.asked if push.device.device_id == device_id for id in push.dismissed
        ]
        assert sorted(told_of) == ids


async def test_what_was_withdrawn_is_dismissed(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    gateway = await shown(store, clock, dispatch, "a")
    await store.withdraw("42", "a")
    dismissals = Dismissals(store.outbox, clock)
    dismissals.seen("42")
    await dismissals.dismiss()
    await passes(clock, 1)
    assert told(gateway) == [("phone", ("a",), 0), ("tablet", ("a",), 0)]


async def test_a_counter_of_its_own_goes_down(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    gateway = await shown(store, clock, dispatch, "a", "b")
    await store.outbox.set_badge("phone", 7)
    await store.mark_all_seen("42")
    dismissals = Dismissals(store.outbox, clock)
    dismissals.seen("42")
    await dismissals.dismiss()
    await passes(clock, 1)
    assert told(gateway) == [("phone", ("a", "b"), 5), ("tablet", ("a", "b"), 0)]


async def test_what_nobody_said_is_found(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    """The node that marked it died before it could say so."""
    gateway = await shown(store, clock, dispatch, "a")
    await store.mark_all_seen("42")
    await Dismissals(store.outbox, clock).dismiss_missed()
    await passes(clock, 1)
    assert [device for device, _, _ in told(gateway)] == ["phone", "tablet"]


async def test_a_store_that_is_away_is_asked_again(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    gateway = await shown(store, clock, dispatch, "a")
    await store.mark_all_seen("42")
    dismissals = Dismissals(store.outbox, clock)
    dismissals.seen("42")
    dismissing = asyncio.create_task(dismissals.dismiss())
    await asyncio.sleep(0)
    dismissing.cancel()
    await asyncio.wait([dismissing])
    await dismissals.dismiss()
    await passes(clock, 1)
    assert len(gateway.asked) == 2


async def test_who_shows_nothing_is_told_nothing(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "a")
    await store.mark_all_seen("42")
    dismissals = Dismissals(store.outbox, clock)
    dismissals.seen("42")
    dismissals.seen("a user without devices")
    await dismissals.dismiss()
    gateway = ScriptedGateway()
    await dispatch(gateway)
    await passes(clock, 1)
    assert gateway.asked == []
    assert await states(store, "42", "a") == [PushState.CANCELLED]
