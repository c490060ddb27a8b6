"""Devices at push networks: who owns an address, what a new registration changes, what leaves with one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from msgspec.structs import replace

from pns.contracts.store import Store
from pns.model.device import Device
from pns.model.push import PushState
from pns.testing.clock import FakeClock

from .conftest import append
from .pushing import HOUR, START, accept, claim, phone, push, settle, states, told


async def ids(store: Store, user_id: str) -> list[str]:
    return [device.device_id for device in await store.outbox.devices(user_id)]


# ── install ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_device_is_kept_as_it_was_installed(store: Store, other: Store) -> None:
    device = phone(
        network="webpush",
        gateway="web",
        address="https://push.example/" + "é" * 2_000,
        keys=MappingProxyType({"p256dh": "BN…", "auth": "x"}),
        app="org.example",
        environment="sandbox",
        platform="firefox",
        badge=3,
        expires_at=START + HOUR,
    )
    assert await store.outbox.register(device) == device
    assert await other.outbox.device("phone") == device
    assert await other.outbox.devices("ann") == [device]


async def test_a_user_is_known_from_the_first_device_on(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    state = (await store.states(["ann"]))["ann"]
    assert state.user_key > 0
    assert (state.version, state.unseen) == (0, 0)
    await store.mark_all_seen("ann")
    assert await store.prune(seen_before=clock.now(), limit=100) == 0
    assert (await store.states(["ann"]))["ann"] == state
    await append(store, "ann", "a")
    assert (await store.states(["ann"]))["ann"][:3] == (state.user_key, 1, 1)


async def test_a_user_is_known_though_what_was_appended_in_the_same_commit_was_nothing(store: Store) -> None:
    expired = datetime(2000, 1, 1, tzinfo=UTC)
    appended, installed = await asyncio.gather(
        push(store, "too late", expire_date=expired), store.outbox.register(phone())
    )
    assert appended.created == 0
    assert await store.outbox.devices("ann") == [installed]
    assert (await store.states(["ann"]))["ann"].user_key > 0


async def test_the_same_address_is_refreshed_and_keeps_its_id(store: Store) -> None:
    await store.outbox.register(phone(badge=7, keys=MappingProxyType({"auth": "old"}), platform="android 1"))
    again = phone(
        device_id="another",
        address="address of phone",
        gateway="azure",
        keys=MappingProxyType({"auth": "new"}),
        platform="android 2",
        badge=0,
        registered_at=START + 5,
        expires_at=START + HOUR,
    )
    kept = await store.outbox.register(again)
    assert kept == replace(again, device_id="phone", badge=7)
    assert await store.outbox.devices("ann") == [kept]
    assert await store.outbox.device("another") is None


async def test_a_new_address_replaces_the_old_one_of_the_same_device(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=2))
    await push(store, "a")
    renewed = phone(address="another", app="org.next", environment="sandbox", registered_at=START + 5)
    kept = await store.outbox.register(renewed)
    assert kept == replace(renewed, badge=2)
    assert await store.outbox.devices("ann") == [kept]
    assert [p.device for p in await claim(store, clock)] == [replace(kept, badge=2)]
    back = await store.outbox.register(phone(device_id="tablet", address="address of phone"))
    assert back.device_id == "tablet"


@pytest.mark.parametrize(
    "taken",
    [phone("bob", address="elsewhere"), phone(network="apns", gateway="apns", address="elsewhere")],
    ids=["by another user", "at another network"],
)
async def test_an_id_that_is_taken_otherwise_is_answered_with_a_new_one(store: Store, taken: Device) -> None:
    await store.outbox.register(taken)
    device = await store.outbox.register(phone())
    assert device.device_id not in ("phone", "")
    assert device == phone(device_id=device.device_id, address="address of phone")
    assert await store.outbox.device("phone") == taken
    assert await store.outbox.device(device.device_id) == device


async def test_an_address_is_one_of_its_network(store: Store) -> None:
    await store.outbox.register(phone(address="same"))
    await store.outbox.register(phone("bob", "tablet", address="same", network="apns"))
    assert (await ids(store, "ann"), await ids(store, "bob")) == (["phone"], ["tablet"])


@pytest.mark.parametrize("other", [{"app": "b"}, {"environment": "sandbox"}])
async def test_an_address_has_one_owner_whatever_app_it_names(store: Store, other: dict[str, str]) -> None:
    await store.outbox.register(phone(address="same"))
    again = await store.outbox.register(phone(device_id="another", address="same", **other))
    assert again == phone(address="same", registered_at=again.registered_at, **other), "the same device"
    await store.outbox.register(phone("bob", "tablet", address="same"))
    assert (await ids(store, "ann"), await ids(store, "bob")) == ([], ["tablet"])


async def test_a_registration_is_later_than_the_one_before_whatever_the_clock_says(store: Store) -> None:
    first = await store.outbox.register(phone())
    second = await store.outbox.register(phone(registered_at=START - HOUR))
    third = await store.outbox.register(phone(registered_at=START + HOUR))
    assert first.registered_at < second.registered_at < third.registered_at == START + HOUR


async def test_devices_stand_in_the_order_of_their_registration(store: Store) -> None:
    for number, device_id in enumerate(["c", "a", "b"]):
        await store.outbox.register(phone(device_id=device_id, registered_at=START + number))
    assert await ids(store, "ann") == ["c", "a", "b"]
    await store.outbox.register(phone(device_id="c", registered_at=START + 9))
    assert await ids(store, "ann") == ["a", "b", "c"]


# ── the last user to install an address owns it ───────────────────────────────────────────────────────


@pytest.mark.parametrize("device_id", ["phone", "browser"])
async def test_the_last_user_to_install_an_address_owns_it(
    store: Store, clock: FakeClock, device_id: str
) -> None:
    await store.outbox.register(phone(badge=5))
    await store.outbox.register(phone(device_id="tablet"))
    await push(store, "a")
    taken = phone("bob", device_id, address="address of phone")
    assert await store.outbox.register(taken) == taken
    assert (await ids(store, "ann"), await ids(store, "bob")) == (["tablet"], [device_id])
    assert sorted(await states(store, "a")) == [("phone", "cancelled"), ("tablet", "queued")]
    await push(store, "b")
    await push(store, "c", user_id="bob")
    assert told(await claim(store, clock)) == sorted([(device_id, "c"), ("tablet", "a"), ("tablet", "b")])


async def test_what_was_cancelled_does_not_come_back_with_its_device(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "waits")
    sending = await claim(store, clock, limit=1)
    await push(store, "waits too")
    await store.outbox.register(phone("bob"))
    await store.outbox.register(phone())
    await settle(store, PushState.RETRY, *sending, due_at=clock.now())
    assert await claim(store, clock) == []
    await store.outbox.unregister("ann", "phone")
    await store.outbox.register(phone())
    clock.advance(120)
    assert await claim(store, clock) == []
    await push(store, "new")
    assert told(await claim(store, clock)) == [("phone", "new")]


@pytest.mark.usefixtures("without_deadlock")
async def test_two_nodes_install_one_address_for_two_users_at_the_same_moment(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """One of them owns it afterwards, whole: one row, and the other user's pushes go nowhere."""
    users = ["ann", "bob"]
    for number in range(25):
        address = f"address {number}"
        await asyncio.gather(
            *(
                s.outbox.register(phone(user_id, f"{user_id}-{number}", address=address))
                for s, user_id in zip((store, other, store, other), [*users, *reversed(users)], strict=True)
            )
        )
        found = [d for u in users for d in await store.outbox.devices(u) if d.address == address]
        assert len(found) == 1
        await push(store, f"n{number}", user_id="ann")
        await push(store, f"n{number}", user_id="bob")
        assert [p.device for p in await accept(store, clock) if p.device.address == address] == found
        assert [await store.outbox.device_at("fcm", address)] == found


@pytest.mark.usefixtures("without_deadlock")
async def test_two_nodes_install_many_addresses_crosswise(store: Store, other: Store) -> None:
    """In whatever order each of them comes to the addresses."""
    for number in range(6):
        addresses = [f"{number}-{each}" for each in range(5)]
        installs = [
            s.outbox.register(phone(user_id, f"{user_id} {address}", address=address))
            for s, user_id, order in ((store, "ann", addresses), (other, "bob", addresses[::-1]))
            for address in order
        ]
        await asyncio.gather(*installs)
        owned = [d.address for u in ("ann", "bob") for d in await store.outbox.devices(u)]
        assert sorted(address for address in owned if address in addresses) == addresses


async def test_two_nodes_give_one_device_id_to_two_users(store: Store, other: Store) -> None:
    for number in range(10):
        wanted = [phone(user_id, f"{number}", address=f"{user_id} {number}") for user_id in ("ann", "bob")]
        one, two = await asyncio.gather(store.outbox.register(wanted[0]), other.outbox.register(wanted[1]))
        assert one.device_id != two.device_id
        assert str(number) in (one.device_id, two.device_id)


# ── uninstall ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_uninstalled_device_is_gone_with_what_waited_for_it(store: Store, clock: FakeClock) -> None:
    device = await store.outbox.register(phone())
    await push(store, "a")
    assert await store.outbox.unregister("ann", "tablet") is None
    assert await store.outbox.unregister("bob", "phone") is None
    assert await store.outbox.unregister("ann", "phone") == device
    assert await store.outbox.unregister("ann", "phone") is None
    assert await ids(store, "ann") == []
    assert await states(store, "a") == [("phone", "cancelled")]
    assert await claim(store, clock) == []
    assert await store.outbox.next_due() == {}


async def test_the_device_at_an_address(store: Store) -> None:
    await store.outbox.register(phone("ann", "phone", address="same"))
    other = await store.outbox.register(phone("bob", "tablet", address="same", app="x"))
    await store.outbox.register(phone(address="same", network="apns"))
    assert await store.outbox.device_at("fcm", "same") == other
    assert await store.outbox.device_at("fcm", "never heard of") is None


# ── looking ───────────────────────────────────────────────────────────────────────────────────────────


async def test_all_devices_page_by_page(store: Store) -> None:
    for number in range(7):
        await store.outbox.register(phone(f"user {number % 3}", f"{(number * 5) % 7}"))
    found: list[str] = []
    while page := await store.outbox.all_devices(found[-1] if found else "", 3):
        assert len(page) <= 3
        found += [device.device_id for device in page]
    assert found == [str(number) for number in range(7)]


@pytest.mark.parametrize("strange", ["never", "", "a\0b", "\0", "'", "é" * 300])
async def test_nobody_has_what_nobody_registered(store: Store, strange: str) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    outbox = store.outbox
    assert await outbox.devices(strange) == []
    assert await outbox.device(strange) is None
    assert await outbox.unregister(strange, "phone") is None
    assert await outbox.unregister("ann", strange) is None
    assert await outbox.set_badge(strange, 1) is False
    assert await outbox.set_badge("phone", 1, user_id=strange) is False
    assert await outbox.pushes(strange, "a") == []
    assert await outbox.pushes("ann", strange) == []
    assert await outbox.dismiss(strange, START + HOUR) == 0
    assert (await store.states([strange]))[strange].user_key == 0


# ── badges, and another gateway ───────────────────────────────────────────────────────────────────────


async def test_a_badge_is_set_by_whoever_may(store: Store) -> None:
    await store.outbox.register(phone())
    assert await store.outbox.set_badge("phone", 4) is True
    assert await store.outbox.set_badge("phone", 9, user_id="bob") is False
    assert (await store.outbox.devices("ann"))[0].badge == 4
    assert await store.outbox.set_badge("phone", 0, user_id="ann") is True
    assert (await store.outbox.devices("ann"))[0].badge == 0


async def test_devices_move_to_another_gateway_in_steps(store: Store, clock: FakeClock) -> None:
    for number in range(5):
        await store.outbox.register(phone(device_id=f"phone {number}"))
    await store.outbox.register(phone(device_id="ipad", network="apns"))
    await store.outbox.register(phone(device_id="elsewhere", gateway="other"))
    await push(store, "a")
    await accept(store, clock, limit=1, gateway="other")
    steps = [await store.outbox.regateway("fcm", "azure", "fcm", limit=2) for _ in range(3)]
    assert (sum(steps), steps[:2]) == (5, [2, 2])
    assert await store.outbox.regateway("fcm", "azure", "fcm", limit=2) == 0
    gateways = {device.device_id: device.gateway for device in await store.outbox.devices("ann")}
    assert gateways == {f"phone {n}": "azure" for n in range(5)} | {"ipad": "fcm", "elsewhere": "other"}
    assert told(await claim(store, clock)) == [("ipad", "a")]
    assert told(await claim(store, clock, gateway="azure")) == [(f"phone {n}", "a") for n in range(5)]


async def test_what_waits_follows_a_device_that_registers_with_another_gateway(
    store: Store, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    (sent,) = await claim(store, clock)
    await push(store, "b")
    await store.outbox.register(phone(gateway="azure"))
    await settle(store, PushState.RETRY, sent, due_at=clock.now())
    assert set(await store.outbox.next_due()) == {"azure"}
    found = await claim(store, clock, gateway="azure")
    assert told(found) == [("phone", "a"), ("phone", "b")]
    assert {p.device.gateway for p in found} == {"azure"}


@pytest.mark.parametrize("move", ["regateway", "register again"])
async def test_what_is_settled_keeps_the_gateway_that_sent_it(
    store: Store, clock: FakeClock, move: str
) -> None:
    """Only what waits moves: the rest is history."""
    await store.outbox.register(phone())
    await push(store, "accepted", "failed", "seen")
    for sent in await claim(store, clock):
        failed = sent.notification_id == "failed"
        await settle(store, PushState.FAILED if failed else PushState.ACCEPTED, sent)
    await store.mark_seen("ann", ["seen"])
    await push(store, "waits")
    if move == "regateway":
        assert await store.outbox.regateway("fcm", "azure", "fcm", limit=9) == 1
    else:
        await store.outbox.register(phone(gateway="azure"))
    gateways = {}
    for name in ("accepted", "failed", "seen", "waits"):
        (status,) = await store.outbox.pushes("ann", name)
        gateways[name] = status.gateway
    assert gateways == {"accepted": "fcm", "failed": "fcm", "seen": "fcm", "waits": "azure"}


async def test_a_push_is_never_sent_through_a_gateway_that_does_not_reach_its_device(
    store: Store, clock: FakeClock, raw: Callable[[str], list[str]]
) -> None:
    """However it came to stand there: it moves at the first claim, and nothing is lost."""
    await store.outbox.register(phone())
    await push(store, "a")
    raw("UPDATE devices SET gateway = 'azure'")
    assert await claim(store, clock) == []
    (found,) = await claim(store, clock, gateway="azure")
    assert (found.notification_id, found.device.gateway, found.attempt) == ("a", "azure", 1)


# ── devices whose registration ends by itself ─────────────────────────────────────────────────────────


async def test_devices_past_their_time_are_pruned(store: Store, clock: FakeClock) -> None:
    for number in range(5):
        await store.outbox.register(phone(device_id=str(number), expires_at=START + number))
    await store.outbox.register(phone(device_id="for good"))
    await push(store, "a")
    clock.jump(3e-6)
    prune = store.outbox.prune_pushes
    assert [await prune(settled_before=0, limit=3) for _ in range(3)] == [3, 1, 0]
    assert await ids(store, "ann") == ["4", "for good"]
    assert told(await claim(store, clock)) == [("4", "a"), ("for good", "a")]
    await store.outbox.register(phone(device_id="0"))
    clock.advance(120)
    assert told(await claim(store, clock)) == [("4", "a"), ("for good", "a")]
