"""Genero's endpoints, byte for byte as Genero's own client meets them, and what they leave alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pns.contracts.gateway import wrong
from pns.errors import NotStarted, StoreUnavailable
from pns.model.device import PSEUDO_USER, Registration
from pns.testing import FakeClock
from pns.web.genero import TokenMaintainer
from tests.seeds.world import URL, World, a_world, gateway

TOKEN = "dGhlIHRva2Vu:APA91b"
BEFORE = "/token_maintainer"
COMMANDS = ["register", "unregister", "badge_number"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, genero=True) as world:
        yield world


def record(**fields: Any) -> dict[str, Any]:
    """What Genero's client sends with every command."""
    return {
        "notification_type": "FCM",
        "registration_token": TOKEN,
        "app_user": "mike",
        "badge_number": 0,
        **fields,
    }


async def command(world: World, name: str, before: str = BEFORE, **fields: Any) -> tuple[int, str]:
    """The status and the message that a command is answered."""
    answer = await world.anybody.post(f"{before}/{name}", json=record(**fields))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    body = json.loads(answer.content)
    assert list(body) == ["status", "message"]
    return body["status"], body["message"]


# ── register ──────────────────────────────────────────────────────────────────────────────────────────


async def test_register(world: World) -> None:
    assert await command(world, "register", badge_number=9) == (0, f"Token is now registered:\n [{TOKEN}]")
    (device,) = await world.devices("mike")
    assert (device.network, device.address, device.platform) == ("fcm", TOKEN, "genero")
    assert device.badge == 0, "whatever was sent"


async def test_register_for_apns(world: World) -> None:
    await command(world, "register", notification_type="APNS", registration_token="ab12")
    (device,) = await world.devices("mike")
    assert (device.network, device.gateway, device.environment) == ("apns", "apns", "production")


async def test_register_again(world: World) -> None:
    await command(world, "register")
    (first,) = await world.devices("mike")
    await command(world, "badge_number", badge_number=4)
    assert await command(world, "register") == (1, f"Token already registered:\n [{TOKEN}]")
    (again,) = await world.devices("mike")
    assert (again.device_id, again.badge) == (first.device_id, 4)


async def test_the_last_user_owns_the_token(world: World) -> None:
    """Genero's own would keep the first; then a phone that was passed on shows a stranger's notifications."""
    await command(world, "register")
    await command(world, "badge_number", badge_number=4)
    assert await command(world, "register", app_user="ann") == (0, f"Token is now registered:\n [{TOKEN}]")
    assert await world.devices("mike") == []
    (device,) = await world.devices("ann")
    assert device.badge == 0


async def test_apns_tokens_are_the_same_in_capitals(world: World) -> None:
    assert (await command(world, "register", notification_type="APNS", registration_token="AB12"))[0] == 0
    assert (await command(world, "register", notification_type="APNS", registration_token="ab12"))[0] == 1
    assert (await command(world, "badge_number", registration_token="AB12", badge_number=3))[0] == 0
    assert (await command(world, "unregister", registration_token="AB12"))[0] == 0
    assert await world.devices("mike") == []


async def test_a_user_has_several_devices(world: World) -> None:
    for token in ("one", "two"):
        await command(world, "register", registration_token=token)
    assert {device.address for device in await world.devices("mike")} == {"one", "two"}


@pytest.mark.parametrize("nobody", ["", "  ", None])
async def test_without_a_user_a_device_is_its_own(world: World, nobody: str | None) -> None:
    """The same one each time, and it can be notified."""
    assert (await command(world, "register", app_user=nobody))[0] == 0
    assert (await command(world, "register", app_user=nobody))[0] == 1
    assert (await command(world, "register", app_user=nobody, registration_token="other"))[0] == 0
    devices = await world.store.outbox.all_devices("", 10)
    assert len({device.user_id for device in devices}) == len(devices) == 2
    assert all(device.user_id.startswith(PSEUDO_USER) for device in devices)


@pytest.mark.parametrize(
    "fields",
    [
        {"registration_token": ""},
        {"registration_token": None},
        {"registration_token": "x" * 4097},
        {"notification_type": "GCM"},
        {"notification_type": None},
        {"app_user": "a\nb"},
        {"app_user": "x" * 256},
    ],
)
async def test_what_cannot_be_registered(world: World, fields: dict[str, Any]) -> None:
    status, message = await command(world, "register", **fields)
    assert status == -2
    assert message.startswith("Could not insert token in database:\n [")
    assert await world.store.outbox.all_devices("", 10) == []


async def test_what_the_gateway_does_not_take(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(registration: Registration) -> None:
        raise wrong("token", "must be hexadecimal")

    monkeypatch.setattr(world.gateways["fcm"], "check", refuse)
    assert (await command(world, "register"))[0] == -2


async def test_a_network_that_is_not_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(tmp_path, gateways=[gateway("apns")], genero=True) as world:
        assert (await command(world, "register"))[0] == -2
    assert "[push.fcm] is not set" in caplog.text
    assert TOKEN not in caplog.text


async def test_a_number_may_be_a_user_and_a_text_a_number(world: World) -> None:
    await command(world, "register", app_user=42)
    assert (await command(world, "badge_number", badge_number="7"))[0] == 0
    (device,) = await world.devices("42")
    assert device.badge == 7


# ── unregister ────────────────────────────────────────────────────────────────────────────────────────


async def test_unregister(world: World) -> None:
    await command(world, "register")
    assert await command(world, "unregister") == (0, f"Token unregistered:\n [{TOKEN}]")
    assert await world.devices("mike") == []
    assert [device.address for device in world.gateways["fcm"].released] == [TOKEN]
    assert await command(world, "unregister") == (-3, f"Could not find token in database:\n [{TOKEN}]")


async def test_unregister_needs_the_token_alone(world: World) -> None:
    await command(world, "register", notification_type="APNS", registration_token="ab12")
    answer = await world.anybody.post(f"{BEFORE}/unregister", json={"registration_token": "ab12"})
    assert answer.json()["status"] == 0
    assert await world.devices("mike") == []


# ── badge_number ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_badge_is_set(world: World) -> None:
    await command(world, "register")
    said = f"Badge number updated for Token:\n [{TOKEN}]\n New value:[3]\n"
    assert await command(world, "badge_number", badge_number=3) == (0, said)
    (device,) = await world.devices("mike")
    assert device.badge == 3


async def test_a_badge_below_zero_is_zero(world: World) -> None:
    """Genero's client subtracts what it has consumed, without looking."""
    await command(world, "register")
    assert (await command(world, "badge_number", badge_number=-2))[1].endswith("\n New value:[0]\n")


async def test_the_badge_of_an_unknown_token(world: World) -> None:
    """Genero's own says that it was set."""
    unknown = (-3, f"Could not find token in database:\n [{TOKEN}]")
    assert await command(world, "badge_number", badge_number=3) == unknown


@pytest.mark.parametrize("badge", [None, 2**31])
async def test_a_badge_that_is_none(world: World, badge: int | None) -> None:
    await command(world, "register")
    assert (await command(world, "badge_number", badge_number=badge))[0] == -4


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"badge_number": "many"}', b"[" * 10_000, b'"\xff"'])
async def test_bad_json(world: World, name: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await world.anybody.post(f"{BEFORE}/{name}", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"status": -1, "message": "Failed to register token:\n []"}


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("register", -2, "Could not insert token in database"),
        ("unregister", -1, "Failed to register token"),
        ("badge_number", -4, "Badge update failed for token"),
    ],
)
async def test_the_store_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, status: int, words: str
) -> None:
    async def away(*args: object, **fields: object) -> None:
        raise StoreUnavailable

    await command(world, "register")
    for writing in ("register", "unregister", "set_badge"):
        monkeypatch.setattr(world.store.outbox, writing, away)
    assert await command(world, name) == (status, f"{words}:\n [{TOKEN}]")


@pytest.mark.parametrize(
    "path", [BEFORE, f"{BEFORE}/", f"{BEFORE}/register/", f"{BEFORE}/list", f"{BEFORE}/a/b"]
)
async def test_an_unknown_command(world: World, path: str) -> None:
    answer = await world.anybody.post(path, json=record())
    assert answer.status_code == 404
    assert await world.devices("mike") == []


@pytest.mark.parametrize("path", [BEFORE, f"{BEFORE}/register", f"/ws/r/app{BEFORE}/badge_number?x=1"])
async def test_get_says_hello(world: World, path: str) -> None:
    answer = await world.anybody.get(path)
    assert (answer.status_code, answer.text) == (200, "Hello from token maintainer...")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_any_other_method(world: World, method: str) -> None:
    answer = await world.anybody.request(method, f"{BEFORE}/register", json=record())
    assert answer.status_code == 400
    assert answer.text == ("" if method == "HEAD" else "Only POST requests supported")


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json;Charset=UTF-8", "Application/JSON"]
)
async def test_what_is_json(world: World, media_type: str) -> None:
    headers = {"content-type": media_type}
    body = json.dumps(record()).encode()
    answer = await world.anybody.post(f"{BEFORE}/register", content=body, headers=headers)
    assert answer.json()["status"] == 0


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/x-www-form-urlencoded", "json"])
async def test_what_is_not_json(world: World, media_type: str) -> None:
    headers = {"content-type": media_type}
    body = json.dumps(record()).encode()
    answer = await world.anybody.post(f"{BEFORE}/register", content=body, headers=headers)
    assert (answer.status_code, answer.text) == (400, "Bad request")


async def test_a_body_without_end(world: World) -> None:
    answer = await world.anybody.post(f"{BEFORE}/register", json=record(more="x" * 20_000))
    assert (answer.status_code, answer.text) == (400, "Bad request")


# ── where it stands ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("before", ["/ws/r/pushdemo", "", "/%C3%A4%2F", "/token_maintainer"])
async def test_anything_may_precede_it(world: World, before: str) -> None:
    assert (await command(world, "register", f"{before}{BEFORE}"))[0] == 0


async def test_what_is_pns_own_stays_its_own(world: World) -> None:
    """A user of that name is no command."""
    for method, path in [("GET", "/users/token_maintainer"), ("POST", "/users/token_maintainer/seen")]:
        answer = await world.anybody.request(method, path, json=record())
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    answer = await world.anybody.get("/token_maintainers")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("settings", [{"genero": False}, {"genero": True, "role": "push"}])
async def test_it_is_not_there(tmp_path: Path, settings: dict[str, Any]) -> None:
    async with a_world(tmp_path, **settings) as world:
        for method in ("GET", "POST"):
            answer = await world.anybody.request(method, f"{BEFORE}/register", json=record())
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_what_others_registered_is_left_alone(world: World) -> None:
    """Nobody without a login takes a device away, or changes it, that was registered with one."""
    await world.install("ann", TOKEN)
    (before,) = await world.devices("ann")
    for user in ("ann", "mike"):
        assert (await command(world, "register", app_user=user))[0] == -2
    assert (await command(world, "unregister"))[0] == -3
    assert (await command(world, "badge_number", badge_number=7))[0] == -3
    assert await world.devices("ann") == [before]
    assert await world.devices("mike") == []


async def test_the_contract_of_pns_leaves_it_out(world: World) -> None:
    """Its addresses begin with anything, which no OpenAPI path can say; docs/genero.md shows it."""
    document = (await world.anybody.get("/openapi.json")).text
    assert "token_maintainer" not in document


async def test_mounted_alone(world: World) -> None:
    """As an application of its own, at whatever path, it answers as Genero's."""
    app = Starlette(routes=[Mount("/any/where", app=TokenMaintainer(world.node))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=URL) as client:
        answer = await client.post(f"/any/where{BEFORE}/register", json=record())
        assert answer.json()["status"] == 0
        assert (await client.get("/any/where/")).text == "Hello from token maintainer..."
        assert (await client.post("/any/where/users", json=record())).status_code == 404


async def test_before_the_node_is_started(tmp_path: Path) -> None:
    async with a_world(tmp_path, clock=FakeClock()) as world:
        pass
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=TokenMaintainer(world.node)), base_url=URL
    ) as client:
        with pytest.raises(NotStarted):
            await client.get("/")
