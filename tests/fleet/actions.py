"""What is done through one node and must be true on all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import httpx2 as httpx

from tests.fleet.fleet import HEARTBEAT_SECONDS, MOST_CONNECTIONS, Fleet
from tests.harness import Backend, Device, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie

Action = Callable[[Fleet], Awaitable[None]]

WITHIN_SECONDS = HEARTBEAT_SECONDS + 4.0
LOGGED_OUT = 4501
TOO_MANY = 4509


def somebody() -> str:
    return f"somebody-{uuid4().hex[:8]}"


async def all_close(devices: Sequence[Device], code: int) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        assert await asyncio.gather(*(device.closed() for device in devices)) == [code] * len(devices)


async def subscribe(node: ServerProcess, cookie: str) -> httpx.Response:
    """POST /subscribe, as a browser with these cookies."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(f"{node.url}/subscribe", headers={"cookie": cookie})


async def listed(backend: Backend, user: str) -> list[str]:
    """The devices of `user` that a node tells of."""
    return sorted(device["device_id"] for device in (await backend.user(user))["devices"])


@contextmanager
def logged_out(fleet: Fleet, user: str) -> Iterator[None]:
    """The application knows `user` no more."""

    def decide(asked: Asked) -> Reply:
        return (401, b"{}") if f"user={user}" in asked.get("cookie", "") else by_cookie(asked)

    fleet.application.decide = decide
    try:
        yield
    finally:
        fleet.application.decide = by_cookie


async def disconnecting(fleet: Fleet) -> None:
    """DELETE /users/{user_id}/connections closes the connections of all nodes, and keeps nobody out."""
    user = somebody()
    async with fleet.devices(user) as devices, fleet.nodes[0].backend() as backend:
        assert (await backend.http.delete(f"/users/{user}/connections")).status_code == 202
        await all_close(devices, LOGGED_OUT)
        async with fleet.devices(user) as again:
            await backend.notify(user, "after")
            await asyncio.gather(*(device.count_is(1) for device in again))


async def disconnecting_one_device(fleet: Fleet) -> None:
    """The device is connected elsewhere than where it is disconnected; the others stay."""
    user = somebody()
    answer = await subscribe(fleet.nodes[0], f"user={user}")
    cookie = f"user={user}; pns_device={answer.cookies['pns_device']}"
    async with (
        fleet.devices(user) as others,
        fleet.nodes[2].backend() as backend,
        Device.connect(fleet.nodes[1].url, headers={"Cookie": cookie}) as device,
    ):
        path = f"/users/{user}/connections?device_id={answer.json()['device_id']}"
        assert (await backend.http.delete(path)).status_code == 202
        await all_close([device], LOGGED_OUT)
        await backend.notify(user, "after")
        await asyncio.gather(*(other.count_is(1) for other in others))


async def leaving_one_device(fleet: Fleet) -> None:
    """Another user, or nobody, shows on another node than the device's: it is left, and the others stay."""
    user = somebody()
    async with fleet.devices(user) as others, fleet.nodes[0].backend() as backend:
        for comes in (f"user={somebody()}", "nobody=here"):
            answer = await subscribe(fleet.nodes[0], f"user={user}")
            device = f"pns_device={answer.cookies['pns_device']}"
            async with Device.connect(
                fleet.nodes[1].url, headers={"Cookie": f"user={user}; {device}"}
            ) as left:
                await left.count()
                assert (await subscribe(fleet.nodes[2], f"{comes}; {device}")).status_code in (200, 401)
                await all_close([left], LOGGED_OUT)
        await backend.notify(user, "after")
        await asyncio.gather(*(other.count_is(1) for other in others))


async def erasing(fleet: Fleet) -> None:
    """Nothing is left on any node, and the next notification is the first of a new user."""
    user = somebody()
    async with fleet.nodes[0].backend() as one, fleet.nodes[1].backend() as other:
        async with fleet.devices(user) as devices:
            await other.notify(user, *(f"before {number}" for number in range(20)))
            assert (await one.http.delete(f"/users/{user}")).status_code == 204
            await all_close(devices, LOGGED_OUT)
        assert await other.inbox(user) == []
        async with fleet.devices(user) as again:
            assert [device.counts for device in again] == [[0]] * len(again)
            await other.notify(user, "after")
            await asyncio.gather(*(device.count_is(1) for device in again))


async def limiting(fleet: Fleet) -> None:
    """Connections to all nodes count together: at the limit the next one finds no room anywhere."""
    user = somebody()
    async with fleet.devices(user, each=MOST_CONNECTIONS // len(fleet.nodes)):

        async def full() -> bool:
            answers = [await subscribe(node, f"user={user}") for node in fleet.nodes]
            return [answer.status_code for answer in answers] == [429] * len(fleet.nodes)

        await eventually(full, within=WITHIN_SECONDS)
        for node in fleet.nodes:
            async with Device.connect(node.url, user) as device:
                assert await device.closed() == TOO_MANY
    assert (await subscribe(fleet.nodes[0], f"user={somebody()}")).status_code == 200


async def rechecking(fleet: Fleet) -> None:
    """Who is logged out is found on all nodes; who is not, stays."""
    user, other = somebody(), somebody()
    async with fleet.devices(user) as devices, fleet.devices(other) as others:
        with logged_out(fleet, user):
            await all_close(devices, LOGGED_OUT)
        async with fleet.nodes[0].backend() as backend:
            await backend.notify(other, "still here")
        await asyncio.gather(*(device.count_is(1) for device in others))


async def recognizing(fleet: Fleet) -> None:
    """The nodes share the secret that signs a device's cookie: a device stays itself on each."""
    user = somebody()
    first = await subscribe(fleet.nodes[0], f"user={user}")
    cookie = f"user={user}; pns_device={first.cookies['pns_device']}"
    again = [await subscribe(node, cookie) for node in fleet.nodes]
    assert {answer.json()["device_id"] for answer in again} == {first.json()["device_id"]}
    assert first.json()["device_id"] != (await subscribe(fleet.nodes[1], f"user={user}")).json()["device_id"]


async def listing(fleet: Fleet) -> None:
    """Every node tells of the devices of all, and of none that has gone."""
    user = somebody()
    async with fleet.nodes[0].backend() as one, fleet.nodes[2].backend() as other:

        async def told(count: int) -> bool:
            lists = [await listed(one, user), await listed(other, user)]
            return lists[0] == lists[1] and len(lists[0]) == count

        async with fleet.devices(user, each=2):
            await eventually(lambda: told(6), within=WITHIN_SECONDS)
        await eventually(lambda: told(0), within=WITHIN_SECONDS)


async def seeing_at_once(fleet: Fleet) -> None:
    """Devices and the application mark the same notifications on several nodes: each is seen once."""
    user = somebody()
    async with (
        fleet.devices(user) as devices,
        fleet.nodes[0].backend() as one,
        fleet.nodes[1].backend() as other,
    ):
        ids = await one.notify(user, *(f"number {number}" for number in range(60)))
        await asyncio.gather(*(device.count_is(60) for device in devices))
        path = f"/users/{user}/seen"
        *_, last = await asyncio.gather(
            *(device.unseen() for device in devices),
            one.http.post(path, json={"notification_ids": ids[:40]}),
            other.http.post(path, json={"notification_ids": ids[20:]}),
            one.http.post(path, json={"all": True}),
            other.http.post(path, json={"all": True}),
        )
        assert isinstance(last, httpx.Response)
        assert last.json() == {"unseen": 0}
        for device in devices:
            if device.counts[-1] != 0:
                await device.count_is(0)
        assert (await other.user(user))["unseen"] == 0
        assert all(row["seen_date"] for row in await other.inbox(user))
        await other.notify(user, "one more")
        await asyncio.gather(*(device.count_is(1) for device in devices))


HINTED: list[Action] = [
    disconnecting,
    disconnecting_one_device,
    leaving_one_device,
    erasing,
    seeing_at_once,
]
"""What a bus makes quick: to be tried on each."""

STORED: list[Action] = [limiting, rechecking, recognizing, listing]
"""What the nodes know from the store alone."""
