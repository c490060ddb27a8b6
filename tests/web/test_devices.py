"""Devices register themselves at push networks: whose they are, when their address changes, who may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pns.contracts.gateway import wrong
from pns.errors import Unavailable
from pns.model.device import Address, Registration
from pns.push.registrar import MOST_DEVICES
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge

TOKEN = {"network": "fcm", "token": "a-token", "platform": "android"}


class Phones(ScriptedGateway):
    """Takes tokens alone; `away` once it cannot register anybody."""

    facts: Mapping[str, str] = {"sender": "1234"}
    away = False

    def check(self, registration: Registration) -> None:
        if registration.token is None:
            raise wrong("/token", "must be given")

    async def register(self, registration: Registration, device_id: str) -> Address:
        if self.away:
            raise Unavailable
        return await super().register(registration, device_id)


class Broker(ScriptedGateway):
    """Gives a login away, which only the device itself is told."""

    async def register(self, registration: Registration, device_id: str) -> Address:
        return Address(f"pns/{device_id}", reply={"topic": f"pns/{device_id}", "password": "only once"})


@pytest.fixture
def phones() -> Phones:
    return Phones("fcm")


@pytest.fixture
def broker() -> Broker:
    return Broker("mqtt")


@pytest.fixture
async def edge(tmp_path: Path, phones: Phones, broker: Broker) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, gateways=[phones, broker]) as edge:
        yield edge


async def install(device: httpx.AsyncClient, registration: Mapping[str, Any] = TOKEN, **more: Any) -> str:
    answer = await device.post("/devices", json={**registration, **more})
    assert answer.status_code == 201, answer.text
    device_id: str = answer.json()["device_id"]
    return device_id


async def devices(edge: Edge, user: str) -> dict[str, str]:
    """The user's devices and their addresses, as the store has them."""
    return {device.device_id: device.address for device in await edge.node.store.outbox.devices(user)}


# ── registering ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_device_is_the_one_of_its_cookie(edge: Edge) -> None:
    phone = edge.device("alice")
    subscribed = (await phone.post("/subscribe")).json()["device_id"]
    answer = await phone.post("/devices", json=TOKEN)
    assert (answer.status_code, answer.json()) == (201, {"device_id": subscribed})
    assert "pns_device=" in answer.headers["set-cookie"]
    assert await devices(edge, "alice") == {subscribed: "a-token"}


async def test_registering_at_each_start_changes_nothing_but_the_time(edge: Edge) -> None:
    phone = edge.device("alice")
    first = await install(phone)
    before = (await edge.node.store.outbox.devices("alice"))[0].registered_at
    assert await install(phone) == first
    assert await install(edge.device("alice")) == first, "the app was installed anew, its token stayed"
    (device,) = await edge.node.store.outbox.devices("alice")
    assert device.registered_at > before


async def test_a_new_address_replaces_the_old_one(edge: Edge) -> None:
    with_cookie, without = edge.device("alice"), edge.device("alice")
    first = await install(with_cookie)
    assert await install(with_cookie, token="another-token") == first
    assert await devices(edge, "alice") == {first: "another-token"}
    assert await install(without, token="a-third-token", device_id=first) == first
    assert await devices(edge, "alice") == {first: "a-third-token"}


async def test_a_user_has_many_devices(edge: Edge) -> None:
    phone, tablet = edge.device("alice"), edge.device("alice")
    ids = [await install(phone), await install(tablet, token="of-the-tablet")]
    ids.append(await install(phone, {"network": "mqtt"}))
    assert len(set(ids)) == 3, "one device_id is one address"
    assert list(await devices(edge, "alice")) == ids


async def test_the_oldest_makes_room_for_one_too_many(edge: Edge, phones: Phones) -> None:
    user = edge.device("alice")
    for number in range(MOST_DEVICES + 1):
        answer = await edge.application.post("/users/alice/devices", json={**TOKEN, "token": f"{number}"})
        assert answer.status_code == 201
    assert len(await devices(edge, "alice")) == MOST_DEVICES
    assert [device.address for device in phones.released] == ["0"]
    await install(user, token="0")
    assert [device.address for device in phones.released] == ["0", "1"]


async def test_the_last_user_to_register_owns_the_address(edge: Edge) -> None:
    hers = await install(edge.device("alice"))
    his = await install(edge.device("bob"))
    assert his != hers
    assert (await devices(edge, "alice"), await devices(edge, "bob")) == ({}, {his: "a-token"})


async def test_one_browser_two_users_one_after_the_other(edge: Edge) -> None:
    browser = edge.device("alice")
    hers = await install(browser)
    browser.cookies.set("user", "bob")
    his = await install(browser)
    assert his != hers
    assert (await devices(edge, "alice"), await devices(edge, "bob")) == ({}, {his: "a-token"})


async def test_nobody_takes_a_device_by_its_id(edge: Edge) -> None:
    hers = await install(edge.device("alice"))
    his = await install(edge.device("bob"), token="of-bob", device_id=hers)
    assert his != hers
    assert (await devices(edge, "alice"), await devices(edge, "bob")) == ({hers: "a-token"}, {his: "of-bob"})


async def test_what_the_network_gives_is_told_once(edge: Edge) -> None:
    phone = edge.device("alice")
    answer = await phone.post("/devices", json={"network": "mqtt"})
    device_id = answer.json()["device_id"]
    assert answer.json()["mqtt"] == {"topic": f"pns/{device_id}", "password": "only once"}
    shown = await edge.application.get("/users/alice/devices")
    assert "only once" not in shown.text
    (kept,) = await edge.node.store.outbox.devices("alice")
    assert "only once" not in repr(kept)


async def test_what_the_network_gives_is_for_the_device_that_is_kept(edge: Edge) -> None:
    hers = await install(edge.device("alice"), {"network": "mqtt"})
    answer = await edge.device("bob").post("/devices", json={"network": "mqtt", "device_id": hers})
    his = answer.json()["device_id"]
    assert his != hers
    assert answer.json()["mqtt"]["topic"] == f"pns/{his}"
    assert await devices(edge, "bob") == {his: f"pns/{his}"}


# ── removing, and the badge ───────────────────────────────────────────────────────────────────────────


async def test_a_device_is_removed_once(edge: Edge, phones: Phones) -> None:
    phone = edge.device("alice")
    path = f"/devices/{await install(phone)}"
    assert (await phone.delete(path)).status_code == 204
    assert [device.address for device in phones.released] == ["a-token"]
    again = await phone.delete(path)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert await devices(edge, "alice") == {}


async def test_another_users_device_is_none_of_mine(edge: Edge) -> None:
    hers = await install(edge.device("alice"))
    bob = edge.device("bob")
    for answer in (
        await bob.delete(f"/devices/{hers}"),
        await bob.put(f"/devices/{hers}/badge", json={"badge": 9}),
        await bob.delete("/devices/of-nobody"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    (device,) = await edge.node.store.outbox.devices("alice")
    assert (device.device_id, device.badge) == (hers, None)


async def test_a_badge_of_its_own(edge: Edge) -> None:
    phone = edge.device("alice")
    device_id = await install(phone)
    for badge in (7, 0):
        answer = await phone.put(f"/devices/{device_id}/badge", json={"badge": badge})
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await edge.node.store.outbox.devices("alice"))[0].badge == badge
    await install(phone, token="another-token")
    assert (await edge.node.store.outbox.devices("alice"))[0].badge == 0, "a new address keeps the badge"
    await install(edge.device("bob"), token="another-token")
    assert (await edge.node.store.outbox.devices("bob"))[0].badge is None, "a new owner begins anew"


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[Any, str]] = {
    "null": (None, ""),
    "no network": ({"token": "x"}, "/network"),
    "a network that there is not": ({"network": "pigeon", "token": "x"}, "/network"),
    "a network that is not set": ({"network": "apns", "token": "x"}, "/network"),
    "what its gateway refuses": ({"network": "fcm"}, "/token"),
    "an empty token": ({**TOKEN, "token": ""}, "/token"),
    "a long token": ({**TOKEN, "token": "x" * 4097}, "/token"),
    "an unknown member": ({**TOKEN, "tokken": "x"}, "/tokken"),
    "an id that is none": ({**TOKEN, "device_id": "a/b"}, "/device_id"),
    "a line break in a label": ({**TOKEN, "platform": "a\n"}, "/platform"),
    "an environment that there is not": ({**TOKEN, "environment": "test"}, "/environment"),
    "a subscription without keys": (
        {"network": "fcm", "subscription": {"endpoint": "https://push.example/1"}},
        "/subscription/keys",
    ),
    "a key that is no text": (
        {
            "network": "fcm",
            "subscription": {"endpoint": "https://push.example/1", "keys": {"p256dh": 1, "auth": ""}},
        },
        "/subscription/keys/p256dh",
    ),
}


@pytest.mark.parametrize(("body", "at"), WRONG.values(), ids=WRONG)
async def test_a_wrong_body_names_the_field(edge: Edge, body: Any, at: str) -> None:
    for client, path in (
        (edge.device("alice"), "/devices"),
        (edge.application, "/users/alice/devices"),
        (edge.application, "/pseudo_users"),
    ):
        headers = {"content-type": "application/json"}
        answer = await client.post(path, content=json.dumps(body), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
        assert [error["at"] for error in answer.json()["errors"]] == [at]
    assert await devices(edge, "alice") == {}


async def test_what_browsers_add_to_a_subscription_is_ignored(edge: Edge) -> None:
    """A page sends the whole of `subscription.toJSON()`."""
    keys = {"p256dh": "a", "auth": "b", "postQuantum": "c"}
    subscription = {"endpoint": "https://push.example/1", "keys": keys, "contentEncodings": ["aes128gcm"]}
    answer = await edge.device("alice").post(
        "/devices", json={"network": "fcm", "token": "x", "subscription": subscription}
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("badge", [-1, 2**31, 1.5, "1", None, True])
async def test_a_badge_is_a_count(edge: Edge, badge: object) -> None:
    phone = edge.device("alice")
    answer = await phone.put(f"/devices/{await install(phone)}/badge", json={"badge": badge})
    assert answer.status_code == 422
    assert [error["at"] for error in answer.json()["errors"]] == ["/badge"]


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b'{"network":"fcm","token":"' + b"x" * 16_384, "application/json", 413),
    ],
)
async def test_what_is_no_registration(edge: Edge, content: bytes, media_type: str, status: int) -> None:
    phone = edge.device("alice")
    headers = {"content-type": media_type}
    for method, path in (("POST", "/devices"), ("PUT", f"/devices/{await install(phone)}/badge")):
        answer = await phone.request(method, path, content=content, headers=headers)
        assert answer.status_code == status
        if status == 413:
            assert "16384 bytes" in answer.json()["detail"]


async def test_a_name_in_the_path_that_is_none(edge: Edge) -> None:
    phone = edge.device("alice")
    for method, path in (("DELETE", "/devices/a%2Fb"), ("PUT", "/devices/a%2Fb/badge")):
        answer = await phone.request(method, path, json={"badge": 1})
        assert answer.status_code == 422
        assert [error["at"] for error in answer.json()["errors"]] == ["device_id"]


async def test_a_gateway_that_cannot_now(edge: Edge, phones: Phones) -> None:
    phones.away = True
    answer = await edge.device("alice").post("/devices", json=TOKEN)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert await devices(edge, "alice") == {}


async def test_without_a_gateway_nobody_can_register(tmp_path: Path) -> None:
    async with an_edge(tmp_path) as edge:
        assert (await edge.client.get("/devices/networks")).json() == {"networks": {}}
        answer = await edge.device("alice").post("/devices", json=TOKEN)
        assert "[push.fcm] is not set" in answer.json()["detail"]


async def test_the_networks_are_told_to_everybody(edge: Edge) -> None:
    told = await edge.client.get("/devices/networks")
    assert told.json() == {"networks": {"fcm": {"sender": "1234"}, "mqtt": {}}}
    assert (await edge.client.get("/devices/networks?x=1")).status_code == 422


# ── the word of a page ────────────────────────────────────────────────────────────────────────────────


class Browsers(ScriptedGateway):
    """Remembers what was registered; says its key to whoever names another."""

    def __init__(self) -> None:
        super().__init__("webpush")
        self.registered: list[Registration] = []

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.registered.append(registration)
        named = registration.application_server_key
        reply = {} if named in (None, "ours") else {"application_server_key": "ours"}
        return Address("https://push.example/1", reply=reply)


SUBSCRIPTION = {"endpoint": "https://push.example/1", "keys": {"p256dh": "p", "auth": "a"}}
PAGE = {"network": "webpush", "subscription": SUBSCRIPTION}


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[tuple[Edge, Browsers]]:
    browsers = Browsers()
    async with an_edge(tmp_path, gateways=[browsers]) as edge:
        yield edge, browsers


async def test_a_page_is_told_what_its_subscription_needs(pages: tuple[Edge, Browsers]) -> None:
    edge, _ = pages
    page = edge.device("alice")
    answer = await page.post("/devices", json={**PAGE, "application_server_key": "ours", "shown": []})
    assert list(answer.json()) == ["device_id"]
    word = {"application_server_key": "other", "shown": ["gone"], "declarative": True, "silent": False}
    answer = await page.post("/devices", json={**PAGE, **word})
    told = {name: value for name, value in answer.json().items() if name != "device_id"}
    assert told == {"application_server_key": "ours", "dismissed": ["gone"]}


async def test_the_origin_is_the_browser_s_word(pages: tuple[Edge, Browsers]) -> None:
    edge, browsers = pages
    page = edge.device("alice")
    own = str(page.base_url).rstrip("/")
    await page.post("/devices", json={**PAGE, "origin": "https://evil.example"}, headers={"origin": own})
    await edge.application.post("/users/alice/devices", json={**PAGE, "origin": "https://shop.example"})
    await page.post("/devices", json=PAGE)
    assert [found.origin for found in browsers.registered] == [own, "https://shop.example", ""]


@pytest.mark.parametrize("shown", [["x" * 65], ["x"] * 101, "x", [7]])
async def test_what_a_browser_cannot_show(pages: tuple[Edge, Browsers], shown: object) -> None:
    edge, _ = pages
    answer = await edge.device("alice").post("/devices", json={**PAGE, "shown": shown})
    assert answer.status_code == 422
