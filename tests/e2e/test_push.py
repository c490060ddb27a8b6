"""A user with one phone, one closed browser and one open tab: who is told, and how, from end to end.

The phone is registered at FCM, the browser at a push service; both are strict stand-ins on loopback.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx

from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import Google
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.push_service import PushService, Subscriber
from tests.harness.waiting import stays

SETTLED = 4.0
"""Seconds after which a push that is to come has come: 2.5 until connections are known, and some more."""


class Scene(NamedTuple):
    """PNS, what its application and the user's devices do, and what the networks took for them."""

    server: ServerProcess
    backend: Backend
    google: Google
    browser: Subscriber
    phone: httpx.AsyncClient
    """The app on the phone: logged in as alice, with a cookie jar."""

    @property
    def on_phone(self) -> list[str]:
        """Ids of the notifications that FCM took."""
        return [taken["data"]["id"] for taken in self.google.taken if "id" in taken["data"]]

    @property
    def in_browser(self) -> list[str]:
        """Ids of the notifications that the browser was sent."""
        return [message["id"] for message in self.browser.messages if "id" in message]

    @property
    def dismissed(self) -> list[str]:
        """Ids that the browser was told to close."""
        return [id for message in self.browser.messages for id in message.get("dismissed", [])]


@asynccontextmanager
async def scene(application: HostApplication, folder: Path, **settings: Any) -> AsyncIterator[Scene]:
    async with (
        Google(FakeClock(time.time_ns() // 1000)) as google,
        PushService() as service,
        ServerProcess(
            folder,
            auth_url=application.url,
            push__fcm__credentials=google.key_file(folder),
            push__fcm__url=google.url,
            push__webpush__subject="mailto:ops@example.com",
            push__webpush__allowed_networks="127.0.0.0/8",
            **settings,
        ) as server,
        server.backend() as backend,
        httpx.AsyncClient(base_url=server.url, cookies={"user": "alice"}, trust_env=False) as phone,
        httpx.AsyncClient(base_url=server.url, cookies={"user": "alice"}, trust_env=False) as browser,
    ):
        facts = (await browser.get("/devices/networks")).json()["networks"]
        assert set(facts) == {"fcm", "webpush"}
        subscriber = Subscriber(service, key=facts["webpush"]["application_server_key"])
        subscription = {"endpoint": subscriber.endpoint, "keys": subscriber.keys, "expirationTime": None}
        await _install(browser, {"network": "webpush", "subscription": subscription, "platform": "web"})
        await _install(phone, {"network": "fcm", "token": "a-token-of-the-phone", "platform": "android"})
        yield Scene(server, backend, google, subscriber, phone)


async def _install(client: httpx.AsyncClient, registration: dict[str, Any]) -> None:
    answer = await client.post("/devices", json=registration)
    assert answer.status_code == 201, answer.text


async def test_the_open_tab_alone_is_told_until_it_closes(
    application: HostApplication, tmp_path: Path
) -> None:
    async with scene(application, tmp_path) as at:
        async with Device.connect(at.server.url, "alice") as tab:
            await tab.count_is(0)
            (first,) = await at.backend.notify("alice", '{"title":"While the tab is open"}')
            await tab.count_is(1)
            await stays(lambda: not at.google.sent and not at.browser.messages, seconds=SETTLED)
        assert {push["state"] for push in await _pushes(at, first)} == {"cancelled"}

        (second,) = await at.backend.notify("alice", '{"title":"After it was closed","url":"/orders/2"}')
        await eventually(lambda: at.on_phone == at.in_browser == [second])
        assert at.browser.messages[-1]["title"] == "After it was closed"
        assert at.browser.messages[-1]["badge"] == 2
        await eventually(lambda: _all_in(at, second, "accepted"))

        seen = await at.phone.post("/messages", json={"notificationDataSeen": {"upTo": second}})
        assert seen.json() == {"newNotificationCountChanged": 0}
        await eventually(lambda: at.dismissed == [second])
        assert at.browser.messages[-1]["badge"] == 0
        await eventually(lambda: _all_in(at, second, "seen"))


async def test_what_is_seen_in_time_is_not_pushed(application: HostApplication, tmp_path: Path) -> None:
    settings = {"push__when": "unseen_after", "push__unseen_after_seconds": 2}
    async with scene(application, tmp_path, **settings) as at:
        seen, unseen = await at.backend.notify("alice", "seen at once", "left unseen")
        await at.phone.post("/messages", json={"notificationDataSeen": {"upTo": seen}})
        await eventually(lambda: at.on_phone == at.in_browser == [unseen])
        assert {push["state"] for push in await _pushes(at, seen)} == {"cancelled"}


async def test_always_means_at_once_and_connected_or_not(
    application: HostApplication, tmp_path: Path
) -> None:
    async with (
        scene(application, tmp_path, push__when="always") as at,
        Device.connect(at.server.url, "alice") as tab,
    ):
        await tab.count_is(0)
        (id,) = await at.backend.notify("alice", "x")
        await tab.count_is(1)
        await eventually(lambda: at.on_phone == at.in_browser == [id])


async def test_the_next_user_of_a_phone_gets_what_is_theirs(
    application: HostApplication, tmp_path: Path
) -> None:
    async with scene(application, tmp_path, push__when="always") as at:
        at.google.pushes = "hang"
        (waiting,) = await at.backend.notify("alice", "private")
        await at.google.until_asked(pushes=1)
        async with httpx.AsyncClient(
            base_url=at.server.url, cookies={"user": "bob"}, trust_env=False
        ) as phone:
            await _install(phone, {"network": "fcm", "token": "a-token-of-the-phone"})
        at.google.pushes = "take"
        (his,) = await at.backend.notify("bob", "for bob")
        await eventually(lambda: at.on_phone == [his])
        (first, *_) = [push for push in await _pushes(at, waiting) if push["network"] == "fcm"]
        assert first["state"] == "cancelled"


async def _all_in(at: Scene, notification_id: str, state: str) -> bool:
    return {push["state"] for push in await _pushes(at, notification_id)} == {state}


async def _pushes(at: Scene, notification_id: str) -> list[dict[str, Any]]:
    answer = await at.backend.http.get(f"/users/alice/notifications/{notification_id}/pushes")
    pushes: list[dict[str, Any]] = answer.json()["pushes"]
    assert len(pushes) == 2
    return pushes
