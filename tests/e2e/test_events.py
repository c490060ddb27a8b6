"""The way through proxies that refuse WebSockets: the event stream, and messages one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio

from tests.e2e.conftest import House
from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.events import HEADERS, EventDevice
from tests.harness.raw import RawPeer

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNSEEN = "unseenNotificationDataRequest"
SEEN = "seenNotificationsRequest"
SHOWN = "notificationDataSeen"
FOREIGN = "https://app.example"


class Phone:
    """A device that sends single messages; its answers are held to the contract."""

    def __init__(self, house: House, http: httpx.AsyncClient) -> None:
        self._house = house
        self.http = http

    async def post(self, message: object, **headers: str) -> httpx.Response:
        content = message if isinstance(message, str | bytes) else json.dumps(message)
        sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        response = await self.http.post("/messages", content=content, headers=sent)
        self._house.contract.check(response)
        return response

    async def say(self, message: object) -> dict[str, Any]:
        response = await self.post(message)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def ids(self, message: object) -> list[str]:
        (items,) = (await self.say(message)).values()
        return [item["notification_id"] for item in items]

    async def refused(self, message: object, **headers: str) -> tuple[int, str]:
        response = await self.post(message, **headers)
        return response.status_code, response.json()["code"]


@pytest_asyncio.fixture(loop_scope="module")
async def phone(house: House, alice: str) -> AsyncIterator[Phone]:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as http:
        http.cookies.set("user", alice, domain="127.0.0.1")
        yield Phone(house, http)


async def refusal(url: str, headers: dict[str, str], path: str = "/subscribe") -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(url + path, headers=headers)
    return response.status_code, response.json()["code"]


# ── the stream ────────────────────────────────────────────────────────────────────────────────────────


async def test_counts_come_as_on_a_websocket(house: House, alice: str) -> None:
    async with EventDevice.connect(house.url, alice) as stream, Device.connect(house.url, alice) as desk:
        assert [await stream.count(), await desk.count()] == [0, 0]
        await house.backend.notify(alice, "one", "two")
        await stream.count_is(2)
        await desk.count_is(2)
        await desk.unseen()
        await stream.count_is(0)
        # heartbeat_seconds is 2 here.
        assert [await stream.count(), await stream.count()] == [0, 0]


async def test_headers_of_the_stream(house: House, alice: str) -> None:
    async with EventDevice.connect(house.url, alice) as stream:
        shown = stream.response.headers
        assert shown["content-type"] == "text/event-stream"
        assert (shown["cache-control"], shown["x-accel-buffering"]) == ("no-store, no-transform", "no")
        assert shown["x-content-type-options"] == "nosniff"
        assert shown["set-cookie"].startswith("pns_device=")


async def test_the_opening_is_comments_and_the_time_to_come_back(house: House, alice: str) -> None:
    """As many bytes as proxies collect, and a time of its own for each browser."""
    times = set()
    for _ in range(3):
        async with EventDevice.connect(house.url, alice) as stream:
            opening = await stream.opening()
            *comments, retry = opening
            assert len("\n".join(comments)) >= 8192
            assert all(line.startswith(":") and len(line) < 100 for line in comments)
            assert 2000 <= int(retry.removeprefix("retry: ")) <= 8000
            times.add(retry)
            assert await stream.count() == 0
    assert len(times) > 1


async def test_a_stream_is_a_connection(house: House, alice: str) -> None:
    async with EventDevice.connect(house.url, alice) as stream:
        await stream.count()
        cookie = stream.response.headers["set-cookie"].partition(";")[0]
        headers = {"cookie": f"user={alice}; {cookie}"}
        async with EventDevice.connect(house.url, alice, headers=headers) as second:
            await second.count()
            (device,) = (await house.backend.user(alice))["devices"]
            assert device["connections"] == 2

    async def gone() -> bool:
        return (await house.backend.user(alice))["devices"] == []

    await eventually(gone)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "unauthorized")),
        ({"cookie": "user=alice", "origin": "https://evil.example"}, (403, "origin_not_allowed")),
        ({"cookie": "user=alice", "sec-fetch-site": "cross-site"}, (403, "origin_not_allowed")),
        ({"cookie": "user=alice", "accept": "*/*"}, (426, "upgrade_required")),
        ({"cookie": "user=alice", "accept": "text/event-streams, text/html"}, (426, "upgrade_required")),
    ],
)
async def test_who_is_refused(house: House, headers: dict[str, str], expected: tuple[int, str]) -> None:
    assert await refusal(house.url, HEADERS | headers) == expected


async def test_a_head_request_opens_nothing(house: House, alice: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = HEADERS | {"cookie": f"user={alice}"}
        assert (await client.head(f"{house.url}/subscribe", headers=headers)).status_code == 426
    assert (await house.backend.user(alice))["devices"] == []


@pytest.mark.parametrize("query", ["", "?device"])
async def test_logged_out_elsewhere(house: House, alice: str, query: str) -> None:
    async with EventDevice.connect(house.url, alice) as stream:
        await stream.count()
        (device,) = (await house.backend.user(alice))["devices"]
        params = {"device_id": device["device_id"]} if query else {}
        await house.backend.http.delete(f"/users/{alice}/connections", params=params)
        assert await stream.closed() == 4501


async def test_a_drain_ends_it_with_1012(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url) as server,
        EventDevice.connect(server.url, "alice") as stream,
    ):
        await stream.count()
        stopping = asyncio.create_task(server.stop())
        assert await stream.closed() == 1012
        assert await stopping == 0
        assert "Traceback" not in server.output


async def test_streams_count_for_the_limit(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, limits__connections_per_user=2) as server,
        EventDevice.connect(server.url, "alice") as first,
        Device.connect(server.url, "alice") as second,
    ):
        assert [await first.count(), await second.count()] == [0, 0]
        async with EventDevice.connect(server.url, "alice") as third:
            assert await third.closed() == 4509
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(f"{server.url}/subscribe", headers={"cookie": "user=alice"})
            assert (response.status_code, response.headers["retry-after"]) == (429, "30")
        assert await refusal(server.url, HEADERS) == (401, "unauthorized")


@pytest.mark.parametrize("sent", [b"", b"Content-Length: 2\r\n"])
async def test_who_hangs_up_is_gone(house: House, alice: str, sent: bytes) -> None:
    head = f"GET /subscribe HTTP/1.1\r\nHost: x\r\nCookie: user={alice}\r\nAccept: text/event-stream\r\n"
    async with RawPeer.connect(house.url) as peer:
        await peer.send(head.encode() + sent + b"\r\n" + (b"{}" if sent else b""))
        await eventually(lambda: house.backend.user(alice))

        async def here() -> bool:
            return len((await house.backend.user(alice))["devices"]) == 1

        await eventually(here)

    async def gone() -> bool:
        return (await house.backend.user(alice))["devices"] == []

    await eventually(gone)


# ── single messages ───────────────────────────────────────────────────────────────────────────────────


async def test_the_conversation_in_single_messages(house: House, alice: str, phone: Phone) -> None:
    sent = await house.backend.notify(alice, *"abcde")
    async with EventDevice.connect(house.url, alice) as stream:
        assert await stream.count() == 5
        assert await phone.ids({UNSEEN: {"ack": True, "limit": 3}}) == sent[:3]
        assert await phone.ids({SEEN: {}}) == []
        assert await phone.say({SHOWN: {"upTo": sent[1]}}) == {"newNotificationCountChanged": 3}
        await stream.count_is(3)
        assert await phone.ids({UNSEEN: {"limit": 2}}) == sent[2:4]
        await stream.count_is(1)
        assert await phone.ids({SEEN: {"after": sent[0]}}) == sent[1:4]
        assert await phone.ids({SEEN: {"before": "", "limit": 2}}) == [sent[3], sent[2]]
        # Said twice, or of one that was never sent: what counts is its place.
        assert await phone.say({SHOWN: {"upTo": sent[0]}}) == {"newNotificationCountChanged": 1}
        assert await phone.say({SHOWN: {"upTo": sent[4]}}) == {"newNotificationCountChanged": 0}


@pytest.mark.parametrize("message", [UNSEEN, f'"{UNSEEN}"', {UNSEEN: None}, {UNSEEN: True}, {UNSEEN: {}}])
async def test_every_form_of_the_request(house: House, alice: str, phone: Phone, message: object) -> None:
    sent = await house.backend.notify(alice, "a")
    assert await phone.ids(message) == sent


async def test_plain_text_needs_no_preflight(house: House, alice: str, phone: Phone) -> None:
    response = await phone.post({UNSEEN: {}}, content_type="text/plain;charset=UTF-8")
    assert response.json() == {"newNotificationData": []}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{", (400, "bad_json")),
        (b"\xff", (400, "bad_json")),
        ("7", (422, "invalid")),
        ({"hello": 1}, (422, "invalid")),
        ({UNSEEN: {"limit": 0}}, (422, "invalid")),
        ({SEEN: {"after": "a", "before": "b"}}, (422, "invalid")),
        ({SEEN: {"after": "never-was"}}, (422, "unknown_notification")),
        ({SHOWN: {"upTo": "never-was"}}, (422, "unknown_notification")),
        ({UNSEEN: {}, "padding": "x" * 4096}, (413, "too_large")),
    ],
)
async def test_what_is_not_understood(phone: Phone, message: object, expected: tuple[int, str]) -> None:
    assert await phone.refused(message) == expected


async def test_the_conversations_code_is_named(phone: Phone) -> None:
    for message, code in (({"hello": 1}, "unknown_message"), ({UNSEEN: {"limit": 0}}, "bad_request")):
        (error,) = (await phone.post(message)).json()["errors"]
        assert error["message"].startswith(f"{code}: ")


async def test_another_media_type(phone: Phone) -> None:
    assert await phone.refused("x=1", content_type="application/x-www-form-urlencoded") == (
        415,
        "unsupported_media_type",
    )


async def test_a_message_needs_the_login(house: House, alice: str, phone: Phone) -> None:
    assert await phone.refused({UNSEEN: {}}, origin="https://evil.example") == (403, "origin_not_allowed")
    phone.http.cookies.clear()
    assert await phone.refused({UNSEEN: {}}) == (401, "unauthorized")


async def test_another_users_notification_is_unknown(
    house: House, alice: str, bob: str, phone: Phone
) -> None:
    (foreign,) = await house.backend.notify(bob, "bob's")
    assert await phone.refused({SHOWN: {"upTo": foreign}}) == (422, "unknown_notification")
    assert (await house.backend.user(bob))["unseen"] == 1


async def test_too_many_messages(house: House, phone: Phone, bob: str) -> None:
    await phone.say({UNSEEN: {}})  # from now on it brings its device cookie
    answers = await asyncio.gather(*(phone.post({SEEN: {}}) for _ in range(80)))
    served = [response.status_code for response in answers].count(200)
    assert 40 <= served < 80
    (refused,) = {response.headers.get("retry-after") for response in answers if response.status_code == 429}
    assert refused == "1"
    # Another user's device is not held up.
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as http:
        http.cookies.set("user", bob, domain="127.0.0.1")
        assert await Phone(house, http).ids({SEEN: {}}) == []


async def test_pages_of_an_allowed_origin(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, server__allowed_origins=FOREIGN) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        origin = {"origin": FOREIGN}
        preflight = await client.options("/messages", headers=origin)
        assert preflight.status_code == 204
        assert "content-type" in preflight.headers["access-control-allow-headers"]
        assert application.asked == []
        login = origin | {"cookie": "user=alice"}
        served = await client.post(
            "/messages", content=UNSEEN, headers={**login, "content-type": "text/plain"}
        )
        refused = await client.post("/messages", content="{", headers=login)
        assert (served.status_code, refused.status_code) == (200, 415)
        async with EventDevice.connect(server.url, "alice", headers=origin) as stream:
            assert await stream.count() == 0
            for response in (preflight, served, refused, stream.response):
                assert response.headers["access-control-allow-origin"] == FOREIGN
                assert response.headers["access-control-allow-credentials"] == "true"
