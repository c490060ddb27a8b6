"""The endpoints of a user end to end: state, inbox, seen, withdraw, export, disconnect and erase."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import psutil
import pytest

from tests.e2e.conftest import House
from tests.harness import Backend, Device, eventually
from tests.harness.server import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")


def path(user: str, rest: str = "") -> str:
    return f"/users/{quote(user, safe='')}{rest}"


async def seen(backend: Backend, user: str, body: dict[str, Any]) -> int:
    response = await backend.http.post(path(user, "/seen"), json=body)
    assert response.status_code == 200, response.text
    unseen: int = response.json()["unseen"]
    return unseen


async def all_pages(backend: Backend, user: str, direction: str, start: str, limit: int) -> list[str]:
    """The ids of the whole inbox, page by page."""
    found: list[str] = []
    at = start
    while page := await backend.inbox(user, limit=limit, **{direction: at}):
        assert len(page) <= limit
        found += [item["notification_id"] for item in page]
        at = found[-1]
    return found


def cookie_of(device: Device) -> str:
    assert device.socket.response is not None
    return device.socket.response.headers["set-cookie"].partition(";")[0]


async def device_id(house: House, user: str, cookie: str) -> str:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        posted = await client.post("/subscribe", headers={"cookie": f"user={user}; {cookie}"})
    house.contract.check(posted)
    found: str = posted.json()["device_id"]
    return found


async def test_who_was_never_heard_of_has_nothing(house: House, alice: str) -> None:
    http = house.backend.http
    assert await house.backend.user(alice) == {"user_id": alice, "unseen": 0, "unread": 0, "devices": []}
    assert await house.backend.inbox(alice) == []
    assert await house.backend.inbox(alice, before="") == []
    assert await seen(house.backend, alice, {"all": True}) == 0
    assert await seen(house.backend, alice, {"notification_ids": ["n1"]}) == 0
    assert await seen(house.backend, alice, {"notification_ids": []}) == 0
    assert (await http.delete(path(alice, "/notifications/n1"))).status_code == 204
    exported = await http.get(path(alice, "/export"))
    assert (exported.status_code, exported.content) == (200, b"")
    assert (await http.delete(path(alice, "/connections"))).status_code == 202
    assert (await http.delete(path(alice))).status_code == 204


async def test_devices_are_shown_while_they_are_connected(house: House, alice: str) -> None:
    async with Device.connect(house.url, alice) as phone, Device.connect(house.url, alice) as desk:
        await phone.count()
        await desk.count()
        user = await house.backend.user(alice)
        assert len(user["devices"]) == 2
        assert {device["connections"] for device in user["devices"]} == {1}
        headers = {"Cookie": f"user={alice}; {cookie_of(phone)}"}
        async with Device.connect(house.url, headers=headers) as tab:
            await tab.count()
            devices = (await house.backend.user(alice))["devices"]
            assert sorted(device["connections"] for device in devices) == [1, 2]

    async def gone() -> bool:
        return (await house.backend.user(alice))["devices"] == []

    await eventually(gone)


async def test_the_inbox_pages_both_ways(house: House, alice: str) -> None:
    ids = await house.backend.notify(alice, *(f"n {n}" for n in range(25)))
    # Dates in another order than that of storing: it does not matter.
    ids += await house.backend.notify(
        alice, *({"notification_data": "old", "create_date": f"20{n}-01-01T00:00:00Z"} for n in (20, 10, 15))
    )
    await seen(house.backend, alice, {"notification_ids": ids[3:9]})
    for limit in (1, 3, 7, 28, 100):
        assert await all_pages(house.backend, alice, "after", "", limit) == ids
        assert await all_pages(house.backend, alice, "before", "", limit) == ids[::-1]
    after = await house.backend.inbox(alice, after=ids[4], limit=2)
    assert [item["notification_id"] for item in after] == ids[5:7]
    before = await house.backend.inbox(alice, before=ids[4], limit=2)
    assert [item["notification_id"] for item in before] == ids[3:1:-1]
    kept = await house.backend.inbox(alice)
    assert [item["seen_date"] is not None for item in kept] == [3 <= n < 9 for n in range(28)]
    # Looking marks nothing.
    assert (await house.backend.user(alice))["unseen"] == 22


async def test_a_page_ends_at_its_bytes_too(house: House, alice: str) -> None:
    ids = await house.backend.notify(alice, *("x" * 65_536 for _ in range(5)))
    assert len(await house.backend.inbox(alice)) == 4
    assert await all_pages(house.backend, alice, "after", "", 500) == ids


async def test_seen_by_the_application(house: House, alice: str, bob: str) -> None:
    ids = await house.backend.notify(alice, *"abcde")
    (foreign,) = await house.backend.notify(bob, "bob's")
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 5
        some = {"notification_ids": [ids[3], ids[0], "unknown", foreign]}
        assert await seen(house.backend, alice, some) == 3
        await device.count_is(3)
        first = {item["notification_id"]: item["seen_date"] for item in await house.backend.inbox(alice)}
        assert await seen(house.backend, alice, {"notification_ids": [ids[0]]}) == 3
        again = {item["notification_id"]: item["seen_date"] for item in await house.backend.inbox(alice)}
        assert again == first, "seen_date is set once, by the first"
        assert [item["notification_id"] for item in await device.seen()] == [ids[0], ids[3]]
        assert await seen(house.backend, alice, {"all": True}) == 0
        await device.count_is(0)
    assert (await house.backend.user(bob))["unseen"] == 1


async def test_withdraw(house: House, alice: str, bob: str) -> None:
    ids = await house.backend.notify(alice, "a", "b")
    (foreign,) = await house.backend.notify(bob, "bob's")
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 2
        for notification_id in (ids[0], ids[0], foreign, "never-was"):
            response = await house.backend.http.delete(path(alice, f"/notifications/{notification_id}"))
            assert response.status_code == 204
        await device.count_is(1)
        assert [item["notification_id"] for item in await device.unseen()] == [ids[1]]
    assert len(await house.backend.inbox(bob)) == 1
    # Its id is free again.
    again = {"notification_data": "new", "notification_id": ids[0]}
    assert await house.backend.notify(alice, again) == [ids[0]]


async def test_export(house: House, alice: str, bob: str) -> None:
    await house.backend.notify(bob, "not for alice")
    ids = await house.backend.notify(alice, *(f'{n} "\n\u2028é😀' for n in range(1000)))
    await seen(house.backend, alice, {"notification_ids": ids[:1]})
    response = await house.backend.http.get(path(alice, "/export"))
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.endswith(b"}\n")
    lines = [json.loads(line)["notification"] for line in response.content.split(b"\n")[:-1]]
    inbox, after = [], ""
    while page := await house.backend.inbox(alice, after=after):
        inbox += page
        after = page[-1]["notification_id"]
    assert lines == inbox
    assert [line["notification_id"] for line in lines] == ids


async def test_an_export_costs_no_more_memory_than_a_page(house: House, alice: str) -> None:
    for _ in range(10):
        await house.backend.notify(alice, *(700 * "x" for _ in range(1000)))
    process = psutil.Process(house.server.pid)
    before, peak, lines, size = process.memory_info().rss, 0, 0, 0
    headers = {"authorization": f"Bearer {API_KEY}"}
    # Not with the client that holds every answer to the contract: that one reads it whole.
    async with (
        httpx.AsyncClient(base_url=house.url, headers=headers, trust_env=False, timeout=60) as client,
        client.stream("GET", path(alice, "/export")) as response,
    ):
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            lines += chunk.count(b"\n")
            peak = max(peak, process.memory_info().rss)
    assert lines == 10_000
    assert size > 8_000_000
    assert peak - before < 4_000_000, f"{peak - before} bytes for an answer of {size}"


async def test_disconnect(house: House, alice: str, bob: str) -> None:
    async with (
        Device.connect(house.url, alice) as phone,
        Device.connect(house.url, alice) as desk,
        Device.connect(house.url, bob) as other,
    ):
        for device in (phone, desk, other):
            assert await device.count() == 0
        one = {"device_id": await device_id(house, alice, cookie_of(phone))}
        response = await house.backend.http.delete(path(alice, "/connections"), params=one)
        assert (response.status_code, response.content) == (202, b"")
        assert await phone.closed() == 4501
        # The other device's connection stays, and so does the other user's.
        await house.backend.notify(alice, "a")
        await desk.count_is(1)
        assert (await house.backend.http.delete(path(alice, "/connections"))).status_code == 202
        assert await desk.closed() == 4501
        await house.backend.notify(bob, "b")
        await other.count_is(1)
    # Revoked is not locked out: who is still logged in may come back.
    async with Device.connect(house.url, alice) as again:
        assert await again.count() == 1


async def test_erase(house: House, alice: str, bob: str) -> None:
    await house.backend.notify(alice, *(str(n) for n in range(1000)))
    await house.backend.notify(bob, "stays")
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 1000
        await device.unseen(limit=10)
        response = await house.backend.http.delete(path(alice))
        assert (response.status_code, response.content) == (204, b"")
        assert await device.closed() == 4501
    assert await house.backend.user(alice) == {"user_id": alice, "unseen": 0, "unread": 0, "devices": []}
    assert await house.backend.inbox(alice) == []
    assert (await house.backend.http.get(path(alice, "/export"))).content == b""
    assert [item["notification_data"] for item in await house.backend.inbox(bob)] == ["stays"]
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 0
        assert await device.seen() == []
        ids = await house.backend.notify(alice, "anew")
        await device.count_is(1)
        assert [item["notification_id"] for item in await device.unseen()] == ids


async def test_a_user_with_a_slash_is_not_an_endpoint(house: House, alice: str) -> None:
    user = f"{alice}/connections"
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 0
        await house.backend.notify(user, "for another user")
        # The user `…/connections` is erased; the connections of `…` are not ended.
        assert (await house.backend.http.delete(path(user))).status_code == 204
        assert await house.backend.inbox(user) == []
        await house.backend.notify(alice, "still here")
        await device.count_is(1)
