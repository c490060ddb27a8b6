"""An old node and a new one on one store, as during a rolling upgrade: each does what the other does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2 as httpx
import pytest

from tests.harness import Backend, Device, ServerProcess, eventually
from tests.harness.gauges import metric

from .conftest import PAIRS, Pair, names

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]  # starts several servers

LOGGED_OUT = 4501


def ways(pair: Pair) -> list[tuple[ServerProcess, ServerProcess]]:
    """Each node as the one that is asked, with the other one."""
    return [(pair.old, pair.new), (pair.new, pair.old)]


async def post(node: ServerProcess, *cookies: str) -> httpx.Response:
    """POST /subscribe as a browser with these cookies."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(f"{node.url}/subscribe", headers={"cookie": "; ".join(cookies)})


def device_cookie(response: httpx.Response) -> str:
    cookie: str = response.headers["set-cookie"].partition(";")[0]
    return cookie


def tab(node: ServerProcess, *cookies: str) -> AbstractAsyncContextManager[Device]:
    return Device.connect(node.url, headers={"Cookie": "; ".join(cookies)})


async def test_a_notify_through_either_reaches_the_devices_of_both(pair: Pair, ann: str) -> None:
    async with Device.connect(pair.old.url, ann) as here, Device.connect(pair.new.url, ann) as there:
        assert [await here.count(), await there.count()] == [0, 0]
        for number, (node, _) in enumerate(ways(pair)):
            async with node.backend() as backend:
                (id,) = await backend.notify(ann, {"notification_data": "x", "notification_id": f"n{number}"})
                await backend.notify(ann, {"notification_data": "x", "notification_id": id})
            await asyncio.gather(here.count_is(1), there.count_is(1))
            shows = (there, here)[number]
            assert [item["notification_id"] for item in await shows.unseen()] == [id]
            await asyncio.gather(here.count_is(0), there.count_is(0))
        seen = [[item["notification_id"] for item in await device.seen()] for device in (here, there)]
        assert seen[0] == seen[1]
        assert sorted(seen[0]) == ["n0", "n1"]


async def test_a_revocation_through_either_ends_the_connections_of_both(pair: Pair, ann: str) -> None:
    for node, other in ways(pair):
        async with Device.connect(node.url, ann) as here, Device.connect(other.url, ann) as there:
            assert [await here.count(), await there.count()] == [0, 0]
            async with node.backend() as backend:
                answer = await backend.http.delete(f"/users/{ann}/connections")
                assert answer.status_code == 202
            assert await asyncio.gather(here.closed(), there.closed()) == [LOGGED_OUT, LOGGED_OUT]


async def test_each_takes_the_device_cookie_of_the_other(pair: Pair, ann: str) -> None:
    for node, other in ways(pair):
        first = await post(node, f"user={ann}")
        again = await post(other, f"user={ann}", device_cookie(first))
        assert (again.status_code, again.json()) == (200, first.json())


async def test_who_was_left_at_the_new_node_is_left_at_the_old_one(pair: Pair, ann: str) -> None:
    bob = ann.replace("ann", "bob")
    async with pair.new.backend() as backend:
        await backend.notify(ann, "hers")
    for session, status in ((f"user={bob}", 200), ("user=", 401)):
        first = await post(pair.old, f"user={ann}")
        browser = device_cookie(first)
        async with tab(pair.old, f"user={ann}", browser) as page, Device.connect(pair.old.url, ann) as phone:
            assert [await page.count(), await phone.count()] == [1, 1]
            left = await post(pair.new, session, browser)
            assert (left.status_code, device_cookie(left) != browser) == (status, True)
            assert await page.closed() == LOGGED_OUT
            assert phone.socket.close_code is None


async def test_the_mark_of_a_left_device_is_a_new_device_to_the_old_node(pair: Pair, ann: str) -> None:
    bob = ann.replace("ann", "bob")
    first = await post(pair.new, f"user={ann}")
    marked = device_cookie(await post(pair.new, "user=", device_cookie(first)))
    assert marked != device_cookie(first)
    for user in (ann, bob):
        answer = await post(pair.old, f"user={user}", marked)
        assert (answer.status_code, answer.json()["user_id"]) == (200, user)
        assert answer.json()["device_id"] != first.json()["device_id"]
        assert device_cookie(answer) not in (marked, device_cookie(first))
    nobody = await post(pair.old, "user=", marked)
    assert nobody.status_code == 401
    back = await post(pair.new, f"user={ann}", marked)
    assert back.json() == first.json(), "the new node knows the device again"


# ── publications ──────────────────────────────────────────────────────────────────────────────────────

SPREADING = [(release, engine) for release, engine in PAIRS if release.schema > 1]
"""Before, there were no publications."""
READERS = 60
MOST_PUBLICATIONS = 40
LONG = "x" * 65_000
"""A step of either node reaches 8 users, so a publication takes some steps."""


@pytest.mark.parametrize("ground", SPREADING, ids=names(SPREADING), indirect=True, scope="module")
async def test_publications_are_spread_by_both_once_to_everybody(pair: Pair, ann: str) -> None:
    readers = [f"{ann}-{number}" for number in range(READERS)]
    topic = f"/topics/app:{ann}"
    published: list[str] = []
    async with pair.old.backend() as old, pair.new.backend() as new:
        # One of them has an id already, with other data.
        await new.notify(readers[7], {"notification_data": "own", "notification_id": f"{ann}-0.0"})
        before = await asyncio.gather(stored(old), stored(new))
        assert (await new.http.put(topic)).status_code == 204
        await asyncio.gather(*(new.http.put(f"{topic}/subscribers/{reader}") for reader in readers))
        shares = [0, 0]
        while not all(shares):
            assert len(published) < MOST_PUBLICATIONS, f"one of the nodes never spreads: {shares}"
            for backend in (old, new):
                published.append(f"{ann}-{len(published)}")
                body = {"publication_id": published[-1], "notifications": [{"notification_data": LONG}]}
                answer = await backend.http.post(f"{topic}/notify", json=body)
                assert answer.status_code == 202, answer.text
            await eventually(lambda: complete(new, published), within=60)
            now = await asyncio.gather(stored(old), stored(new))
            shares = [here - there for here, there in zip(now, before, strict=True)]
        assert sum(shares) == READERS * len(published) - 1, "one has it already"
        for reader in readers:
            items = await kept(new, reader)
            ids = Counter(item["notification_id"] for item in items)
            assert ids == Counter(f"{one}.0" for one in published)
            assert (await old.user(reader))["unseen"] == len(published)
            assert (reader == readers[7]) == ("own" in [item["notification_data"] for item in items])


async def kept(backend: Backend, user: str) -> list[dict[str, Any]]:
    """All of the user's notifications, however large."""
    answer = await backend.http.get(f"/users/{user}/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [line["notification"] for line in lines if "notification" in line]


async def stored(backend: Backend) -> int:
    """How many notifications this node has stored."""
    return int(await metric(backend, "pns_notifications_stored_total"))


async def complete(backend: Backend, publications: list[str]) -> bool:
    answers = [(await backend.http.get(f"/publications/{one}")).json() for one in publications]
    assert all(answer["reached"] <= READERS for answer in answers)
    return all(answer["end_date"] is not None for answer in answers)
