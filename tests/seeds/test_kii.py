"""What Kii Cloud promises of users, devices, topics, buckets and direct pushes, played through on PNS."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from pns.contracts.gateway import Outcome, Receipt
from pns.model.device import PSEUDO_USER, Network
from pns.model.push import Push
from tests.push.scripted import ACCEPTED, ScriptedGateway
from tests.seeds.world import World, a_world, gateway

X = {"notifications": [{"notification_data": "x"}]}


async def published(world: World, path: str, body: dict[str, Any]) -> None:
    """Publish, and let everything be spread and sent."""
    answer = await world.application.post(path, json={**body, "publication_id": "p"})
    assert answer.status_code == 202, answer.text

    async def complete() -> bool:
        return (await world.application.get("/publications/p")).json()["end_date"] is not None

    await world.until(complete)
    await world.nothing_waits()


async def subscribe(world: World, path: str, *users: str) -> None:
    for user in users:
        assert (await world.application.put(f"{path}/subscribers/{user}")).status_code == 204


def users_of(pushes: list[Push]) -> list[str]:
    return sorted(push.device.user_id for push in pushes)


# ── users, not devices ────────────────────────────────────────────────────────────────────────────────


async def test_a_user_is_notified_and_pns_knows_the_devices(tmp_path: Path) -> None:
    """One request, one push for each device of the user, on whatever network; nothing names a device."""
    async with a_world(tmp_path, when="always") as world:
        await world.install("ann", "phone")
        await world.install("ann", "tablet")
        await world.install("ann", "ipad", "apns")
        await world.install("bob", "another")
        id = await world.notify("ann")
        await world.nothing_waits()
        assert sorted(push.device.address for push in world.sent("fcm")) == ["phone", "tablet"]
        assert [push.device.address for push in world.sent("apns")] == ["ipad"]
        assert await world.states("ann", id) == ["accepted"] * 3
        to_a_device = {"device_id": (await world.devices("ann"))[0].device_id, **X}
        assert (await world.application.post("/notify", json=to_a_device)).status_code == 422


async def test_a_changed_bucket_is_pushed_to_its_subscribers(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        for user in ("ann", "bob", "eve"):
            await world.install(user, f"token of {user}")
        await subscribe(world, "/buckets/orders", "ann", "bob")
        change = {"type": "DATA_OBJECT_CREATED", "object_id": "o-1", "sender": "carl"}
        await published(world, "/buckets/orders/changed", change)
        assert users_of(world.sent("fcm")) == ["ann", "bob"]
        fields = world.sent("fcm")[0].control_fields()
        assert fields["origin"] == "EVENT"
        assert (fields["bucketID"], fields["objectID"]) == ("orders", "o-1")
        assert (fields["type"], fields["sender"]) == ("DATA_OBJECT_CREATED", "carl")


async def test_a_topic_is_pushed_to_its_subscribers(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        for user in ("ann", "bob", "eve"):
            await world.install(user, f"token of {user}")
        assert (await world.application.put("/topics/app:news")).status_code == 204
        await subscribe(world, "/topics/app:news", "ann", "bob")
        await published(world, "/topics/app:news/notify", X)
        assert users_of(world.sent("fcm")) == ["ann", "bob"]
        fields = world.sent("fcm")[0].control_fields()
        assert (fields["origin"], fields["topic"]) == ("EXPLICIT", "app:news")


async def test_one_user_is_reached_without_any_subscription(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        for user in ("ann", "bob"):
            await world.install(user, f"token of {user}")
        await world.notify("ann")
        await world.nothing_waits()
        (push,) = world.sent("fcm")
        assert push.device.user_id == "ann"
        assert push.control_fields()["origin"] == "EXPLICIT"
        async with world.device("bob") as bob:
            assert (await bob.post("/notify", json={"user_id": "ann", **X})).status_code == 401


# ── installing ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_last_user_to_install_a_device_has_it(tmp_path: Path) -> None:
    """The former owner is not pushed to any more, not even with what waits already."""
    async with a_world(tmp_path, when="unseen_after", unseen_after_seconds=60) as world:
        await world.install("ann", "the-phone")
        private = await world.notify("ann", "private")
        await world.install("bob", "the-phone")
        await world.notify("bob", "for bob")
        await world.nothing_waits()
        assert [push.notification_data for push in world.sent("fcm")] == ["for bob"]
        assert await world.states("ann", private) == ["cancelled"]
        assert await world.devices("ann") == []


async def test_installing_at_each_start_refreshes(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        async with world.device("ann") as phone:
            ids, times = set(), []
            for _ in range(3):
                answer = await phone.post("/devices", json={"network": "fcm", "token": "a-token"})
                assert answer.status_code == 201
                ids.add(answer.json()["device_id"])
                (device,) = await world.devices("ann")
                times.append(device.registered_at)
                await world.passes(60)
        assert len(ids) == 1
        assert [later - earlier for earlier, later in pairwise(times)] == [60_000_000] * 2


async def test_uninstalling_ends_it_at_once(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        device_id = await world.install("ann", "a-token")
        id = await world.notify("ann")
        async with world.device("ann") as phone:
            assert (await phone.delete(f"/devices/{device_id}")).status_code == 204
        assert await world.devices("ann") == []
        assert await world.states("ann", id) == ["cancelled"], "before anything was sent"
        await world.nothing_waits()
        assert world.sent("fcm") == []
        assert [device.address for device in world.gateways["fcm"].released] == ["a-token"]


@pytest.mark.parametrize("way", ["uninstalled", "taken over", "called dead by its network"])
async def test_a_token_is_forgotten(tmp_path: Path, way: str) -> None:
    dead = gateway("fcm", script=lambda push: Receipt(Outcome.DEVICE_INVALID, "410"))
    async with a_world(tmp_path, gateways=[dead], when="always") as world:
        device_id = await world.install("ann", "a-token")
        if way == "uninstalled":
            assert (await world.application.delete(f"/users/ann/devices/{device_id}")).status_code == 204
        elif way == "taken over":
            await world.install("bob", "a-token")
        else:
            await world.notify("ann")
            await world.nothing_waits()
        assert await world.devices("ann") == []
        assert await world.store.outbox.device(device_id) is None


class Late(ScriptedGateway):
    """Says of the first push that its token is dead, but not before the test lets it."""

    def __init__(self) -> None:
        super().__init__("fcm")
        self.speaks = asyncio.Event()

    async def push(self, push: Push) -> Receipt:
        self.asked.append(push)
        if len(self.asked) > 1:
            return ACCEPTED
        await self.speaks.wait()
        return Receipt(Outcome.DEVICE_INVALID, "410")


async def test_a_network_that_speaks_late_kills_no_new_registration(tmp_path: Path) -> None:
    """What it says is of the token as it was when the push was sent."""
    late = Late()
    async with a_world(tmp_path, gateways=[late], when="always") as world:
        await world.install("ann", "a-token")
        id = await world.notify("ann")
        await world.passes(1)
        assert len(late.asked) == 1
        await world.install("ann", "a-token")
        late.speaks.set()
        await world.nothing_waits()
        (device,) = await world.devices("ann")
        assert [push.device.registered_at == device.registered_at for push in late.asked] == [False, True]
        assert await world.states("ann", id) == ["accepted"], "it was sent anew, to the new registration"


# ── pseudo users ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_pseudo_user_has_one_device(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        made = []
        for token in ("phone", "tablet", "phone"):
            answer = await world.application.post("/pseudo_users", json={"network": "fcm", "token": token})
            assert answer.status_code == 201
            made.append(answer.json()["user_id"])
        assert made[0] == made[2] != made[1], "the same for the same device, another for another"
        assert all(user.startswith(PSEUDO_USER) for user in made)
        await world.notify(made[0])
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["phone"]


async def test_without_a_user_there_is_no_device(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        registration = {"network": "fcm", "token": "a-token"}
        assert (await world.anybody.post("/devices", json=registration)).status_code == 401
        assert (await world.anybody.post("/pseudo_users", json=registration)).status_code == 401
        assert (await world.application.post("/pseudo_users", json=registration)).status_code == 201


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


async def test_every_platform_is_reached_by_one_request(tmp_path: Path) -> None:
    """Android, iOS, a browser and MQTT; the request itself may come from any program."""
    networks: tuple[Network, ...] = get_args(Network)
    subscription = {"endpoint": "https://push.example/1", "keys": {"p256dh": "k", "auth": "a"}}
    brings = {"webpush": {"subscription": subscription}, "mqtt": {}}
    async with a_world(tmp_path, gateways=[gateway(name) for name in networks], when="always") as world:
        for network in networks:
            registration = {"network": network, **brings.get(network, {"token": f"of {network}"})}
            answer = await world.application.post("/users/ann/devices", json=registration)
            assert answer.status_code == 201, answer.text
        await world.notify("ann", '{"title":"Hello"}', push={"data": {"order": 1}})
        await world.nothing_waits()
        for network in networks:
            (push,) = world.sent(network)
            assert (push.payload.title, push.data(None)) == ("Hello", {"order": 1})


async def test_a_network_that_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        await world.install("ann", "phone")
        await world.install("ann", "ipad", "apns")
        await world.notify("ann", push={"fcm": {"enabled": False}, "apns": {"sound": "bell"}})
        await world.nothing_waits()
        assert world.sent("fcm") == []
        (push,) = world.sent("apns")
        assert push.controls.apns is not None
        assert push.controls.apns.sound == "bell"
