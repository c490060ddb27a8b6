"""A database that a release before this one made and filled: taken over, and still good for that release."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from tests.harness import Backend, Device, ServerProcess, eventually
from tests.harness.push_service import PushService, Subscriber

from .conftest import Ground

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Shown(NamedTuple):
    """All that a server tells of its users."""

    unseen: dict[str, int]
    inboxes: dict[str, list[dict[str, Any]]]
    rest: dict[str, Any]


USERS = ("ann", "bob")
WITH_READING = 4
"""The schema of the first release that tells apart what is seen and what is read."""
MARKS = ("read_date", "archived_date")
"""Members of an item that the releases before do not know."""
WITH_PUSH = ("/users/ann/devices", "/users/ann/subscriptions", "/publications/p")


async def shown(server: ServerProcess, *paths: str) -> Shown:
    async with server.backend() as backend:
        return Shown(
            {user: (await backend.user(user))["unseen"] for user in USERS},
            {user: [_known(item) for item in await backend.inbox(user)] for user in USERS},
            {path: (await backend.http.get(path)).json() for path in paths},
        )


def _known(item: dict[str, Any]) -> dict[str, Any]:
    """What the releases before tell of `item`. What they marked as seen is read since then."""
    assert item.get("read_date", item["seen_date"]) == item["seen_date"]
    return {name: value for name, value in item.items() if name not in MARKS}


async def fill(backend: Backend) -> None:
    """Notify, mark, withdraw, let one collapse another."""
    first, second, third = await backend.notify("ann", "first", "second", "third")
    await backend.notify("ann", *({"notification_data": word, "collapse_key": "k"} for word in ("x", "y")))
    await backend.notify("bob", {"notification_data": "his", "notification_id": "n", "category": "c"})
    answer = await backend.http.post("/users/ann/seen", json={"notification_ids": [first, second]})
    assert answer.status_code == 200, answer.text
    assert (await backend.http.delete(f"/users/ann/notifications/{third}")).status_code == 204


async def publish(backend: Backend) -> None:
    """Publish to both users, and wait until both have it."""
    for path in ("/topics/app:news", *(f"/topics/app:news/subscribers/{user}" for user in USERS)):
        assert (await backend.http.put(path)).status_code == 204
    body = {"publication_id": "p", "notifications": [{"notification_data": "news"}]}
    assert (await backend.http.post("/topics/app:news/notify", json=body)).status_code == 202
    await eventually(lambda: backend.is_spread("p"))


async def register(server: ServerProcess, service: PushService) -> Subscriber:
    """A closed browser of ann's."""
    async with httpx.AsyncClient(base_url=server.url, cookies={"user": "ann"}, trust_env=False) as browser:
        facts = (await browser.get("/devices/networks")).json()["networks"]["webpush"]
        subscriber = Subscriber(service, key=facts["application_server_key"])
        subscription = {"endpoint": subscriber.endpoint, "keys": subscriber.keys}
        answer = await browser.post("/devices", json={"network": "webpush", "subscription": subscription})
        assert answer.status_code == 201, answer.text
    return subscriber


async def connect(server: ServerProcess, *cookies: str) -> tuple[str, Any]:
    """Ask to connect as ann, with a device cookie or none. Returns the one from now on, and the answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"cookie": "; ".join(("user=ann", *cookies))}
        answer = await client.post(f"{server.url}/subscribe", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["set-cookie"].partition(";")[0], answer.json()


async def test_it_is_taken_over_and_given_back(ground: Ground) -> None:
    push = ground.release.schema >= 2
    paths = WITH_PUSH if push else ()
    old, new = ground.old(), ground.new()
    async with PushService() as service:
        async with old:
            async with old.backend() as backend:
                await fill(backend)
                if push:
                    await publish(backend)
                    browser = await register(old, service)
            cookie, device = await connect(old)
            before = await shown(old, *paths)
            assert before.unseen == {"ann": 1 + push, "bob": 1 + push}
            assert [item["seen_date"] is None for item in before.inboxes["ann"]].count(False) == 2
            assert await old.stop() == 0
        async with new:
            assert await shown(new, *paths) == before
            async with new.backend() as backend:
                marks = [(item["seen_date"], item.get("read_date")) for item in await backend.inbox("ann")]
                reads = ground.release.schema >= WITH_READING
                assert [read for _, read in marks] == [None if reads else seen for seen, _ in marks]
            assert await connect(new, cookie) == (cookie, device), "the same device"
            async with new.backend() as backend, Device.connect(new.url, "ann") as page:
                assert await page.count() == before.unseen["ann"]
                (id,) = await backend.notify("ann", "new")
                await page.count_is(before.unseen["ann"] + 1)
                if push:
                    await eventually(lambda: [each["id"] for each in browser.messages] == [id], within=60)
                assert [item["notification_id"] for item in await page.unseen()][-1] == id
                await page.count_is(0)
            between = await shown(new, *paths)
            assert await new.stop() == 0
        async with old:
            assert await shown(old, *paths) == between
            assert await connect(old, cookie) == (cookie, device)
            async with old.backend() as backend, Device.connect(old.url, "ann") as page:
                assert await page.count() == between.unseen["ann"]
                await backend.notify("ann", "old again")
                await page.count_is(between.unseen["ann"] + 1)
        assert "Traceback" not in old.output + new.output
