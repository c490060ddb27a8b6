"""Two nodes at work on the same devices, pushes and audiences: nothing is lost, doubled or left locked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from pns.contracts.store import Presence, Store
from pns.model.notification import Notification
from pns.model.push import PushState
from pns.testing.clock import FakeClock

from .conftest import append, submission
from .pushing import HOUR, SECOND, START, TERMS, claim, phone, push, settle

pytestmark = pytest.mark.usefixtures("without_deadlock")

USERS = [f"user {number}" for number in range(4)]
DEVICES = [f"device {number}" for number in range(6)]
OUTCOMES = [
    *(PushState.ACCEPTED, PushState.ACCEPTED, PushState.RETRY, PushState.FAILED, PushState.DEVICE_INVALID),
    None,  # the node dies
]
ORPHANS = """
SELECT 'device', device_id FROM devices WHERE user_key NOT IN (SELECT user_key FROM users)
UNION ALL SELECT 'subscription', audience FROM subscriptions
WHERE user_key NOT IN (SELECT user_key FROM users) OR audience NOT IN (SELECT audience FROM audiences)
UNION ALL SELECT 'push', device_id FROM pushes
WHERE user_key NOT IN (SELECT user_key FROM users)
UNION ALL SELECT 'double', address_hash FROM devices GROUP BY address_hash HAVING count(*) > 1
UNION ALL SELECT 'waits for nothing', p.device_id FROM pushes p
WHERE p.state IN ('queued', 'sending', 'retry')
  AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.device_id = p.device_id AND d.user_key = p.user_key)
"""
"""What must never be there: rows of nobody, an address twice, and pushes that wait for a device that left."""


@pytest.mark.parametrize("seed", range(3))
async def test_everything_at_once(
    store: Store, other: Store, clock: FakeClock, raw: Callable[[str], list[str]], seed: int
) -> None:
    chance = random.Random(seed)

    def user() -> str:
        return chance.choice(USERS)

    def device() -> str:
        return chance.choice(DEVICES)

    async def install(s: Store) -> None:
        badge = chance.choice([None, 0])
        wanted = phone(user(), device(), address=device(), badge=badge, gateway=chance.choice("fa"))
        await s.outbox.register(wanted)

    async def send(s: Store) -> None:
        claimed = await claim(
            s, clock, gateway=chance.choice("fa"), limit=5, lease=chance.choice([0, SECOND])
        )
        for each in claimed:
            outcome = chance.choice(OUTCOMES)
            if outcome is not None:
                await settle(s, outcome, each, due_at=clock.now())

    async def send_all(s: Store) -> None:
        claimed = await claim(s, clock, gateway="f", limit=20, lease=0)
        await settle(s, PushState.ACCEPTED, *claimed)

    async def dismiss(s: Store) -> None:
        found, _ = await s.outbox.stale(0, 5)
        await asyncio.gather(*(s.outbox.dismiss(user_id, clock.now() + HOUR) for user_id in found))

    calls: list[Callable[[Store], Awaitable[object]]] = [
        install,
        install,
        send,
        send,
        send_all,
        dismiss,
        lambda s: push(s, chance.choice("abc"), user_id=user()),
        lambda s: push(s, "k", user_id=user(), collapse_key="k"),
        lambda s: append(s, user(), "x"),
        lambda s: s.mark_all_seen(user()),
        lambda s: s.withdraw(user(), chance.choice("abc")),
        lambda s: s.erase(user()),
        lambda s: s.outbox.unregister(user(), device()),
        lambda s: s.outbox.set_badge(device(), chance.randrange(9)),
        lambda s: s.outbox.set_badge(device(), 1, user_id=user()),
        lambda s: s.outbox.regateway("f", "a", "fcm", limit=3),
        lambda s: s.outbox.prune_pushes(settled_before=clock.now(), limit=3),
        lambda s: s.prune(seen_before=clock.now() + 1, limit=7),
        lambda s: s.audiences.subscribe(chance.choice("st"), user(), make=True),
        lambda s: s.audiences.remove(chance.choice("st")),
        lambda s: s.renew_lease(f"node {id(s)}", clock.now() + 5, [Presence(user(), "tab", 1, 1)]),
    ]

    async def work(s: Store) -> None:
        for _ in range(25):
            clock.jump(1e-6)
            await chance.choice(calls)(s)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(s) for s in (store, other) * 5))
        while await store.prune(seen_before=None, limit=100):
            pass
    assert raw(ORPHANS) == []
    clock.advance(60)
    for gateway in await store.outbox.next_due():
        for each in await claim(other, clock, gateway=gateway, limit=1_000, lease=HOUR):
            kept = await store.outbox.device(each.device.device_id)
            assert kept is not None
            assert replace(kept, badge=None) == replace(each.device, badge=None)
    assert await store.outbox.next_due() == {} or min((await store.outbox.next_due()).values()) > START + HOUR


async def test_an_append_and_a_move_to_another_gateway_leave_nothing_behind(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """Whichever comes first, what is pushed waits where its device is reached."""
    for number in range(20):
        before, after = f"{number}", f"{number + 1}"
        await store.outbox.register(phone(gateway=before))
        await asyncio.gather(
            *(append_plain(s) for s in (store, other) for _ in range(3)),
            other.outbox.regateway(before, after, "fcm", limit=10),
        )
        assert set(await store.outbox.next_due()) == {after}
        claimed = await claim(store, clock, gateway=after)
        assert len(claimed) == 6
        await settle(store, PushState.ACCEPTED, *claimed)


async def append_plain(store: Store) -> None:
    """One statement on PostgreSQL, which looks at nothing before it is done."""
    await store.append([submission("ann", Notification("x"))], TERMS)
