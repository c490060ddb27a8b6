"""What the description of PNS asks in so many words, on a real server where that makes a difference.

Each of it is tried more closely elsewhere; docs/seeds.md says where.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pns.contracts.store import Appended, Committed
from pns.testing import Device as InProcess
from pns.testing import FakeClock
from tests.adapters.authorities.issuer import issuing, token
from tests.harness import Backend, Device, HostApplication, ServerProcess
from tests.seeds.world import URL, a_world


async def test_a_connection_begins_with_the_count_and_never_with_content(
    server: ServerProcess, backend: Backend
) -> None:
    await backend.notify("ann", "one", "two")
    for unseen in (2, 3):
        async with Device.connect(server.url, "ann") as device:
            assert await device.receive() == {"newNotificationCountChanged": unseen}
            await backend.notify("ann", "another")
            assert await device.receive() == {"newNotificationCountChanged": unseen + 1}


async def test_who_asks_is_answered_and_all_are_told(server: ServerProcess, backend: Backend) -> None:
    """In the words of the description: the bare request, and both members of an item."""
    await backend.notify("ann", "one")
    async with Device.connect(server.url, "ann") as asks, Device.connect(server.url, "ann") as other:
        assert [await asks.count(), await other.count()] == [1, 1]
        answer = await asks.ask("unseenNotificationDataRequest")
        (item,) = answer["newNotificationData"]
        assert item["notification_data"] == "one"
        assert await asks.count() == await other.count() == 0
        seen = await other.ask({"seenNotificationsRequest": {"receivedAfter": item["create_date"]}})
        assert seen == {"seenNotificationData": []}, "strictly later"
        (again,) = (await other.ask({"seenNotificationsRequest": {"receivedAfter": ""}}))[
            "seenNotificationData"
        ]
        assert again == {**item, "seen_date": again["seen_date"]}
        assert again["seen_date"] > item["create_date"]


async def test_the_application_speaks_with_a_token_of_its_issuer(
    application: HostApplication, tmp_path: Path
) -> None:
    """OAuth2, client credentials; what it stores has an id, a user, data, a date, and no seen date yet."""
    async with issuing() as issuer:
        settings: dict[str, Any] = {
            "app__api_keys": "",
            "app__oauth2__issuer": issuer.issuer,
            "app__oauth2__audience": issuer.settings().audience,
            "app__oauth2__jwks_url": issuer.settings().jwks_url,
        }
        bearer = token(issuer.claims(FakeClock(time.time_ns() // 1000))).decode()
        item = {"notification_data": "x", "create_date": "2026-01-01T00:00:00.000000Z"}
        async with (
            ServerProcess(tmp_path, auth_url=application.url, **settings) as server,
            httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        ):
            body = {"user_id": "ann", "notifications": [item]}
            assert (await client.post("/notify", json=body)).status_code == 401
            client.headers["authorization"] = bearer
            (id,) = (await client.post("/notify", json=body)).json()["notification_ids"]
            kept = (await client.get("/users/ann/notifications")).json()["notifications"]
            assert kept == [{"notification_id": id, "seen_date": None, **item}]


async def test_stored_first_then_signalled_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node takes the hint of its own notify as any other's: nothing reaches a device past store and bus."""
    async with a_world(tmp_path) as world:
        order: list[str] = []
        append, signal = world.store.append, world.node.bus.signal

        async def stored(*given: Any, committed: Committed[Appended]) -> Appended:
            def on_disk(appended: Appended | None) -> object:
                order.append("stored")
                return committed(appended)

            return await append(*given, committed=on_disk)

        def signalled(users: Collection[str]) -> None:
            order.append(f"signalled {sorted(users)}")
            if "lost" not in order:
                signal(users)

        monkeypatch.setattr(world.store, "append", stored)
        monkeypatch.setattr(world.node.bus, "signal", signalled)
        headers = {"host": URL.removeprefix("http://"), "cookie": "user=ann"}
        async with InProcess.connect(world.web, headers=headers) as device:
            await device.count_is(0)
            await world.notify("ann")
            await device.count_is(1)
            assert order == ["stored", "signalled ['ann']"]
            order.append("lost")
            await world.notify("ann")
            await world.settled()
            assert device.received() == [], "without the hint it is not told"
            await world.passes(50)
            await device.count_is(2)
