"""Devices and pushes as the application sees them: no address ever, pseudo users, what became of a push."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest

from pns.contracts.gateway import Outcome, Receipt
from pns.settings import PushSettings
from pns.testing import Device, FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge, in_time

SLASH = "a/b ä%?.."
TOKEN = {"network": "fcm", "token": "a-secret-token", "app": "com.example", "platform": "android"}


async def install(edge: Edge, user: str = "alice", **more: Any) -> str:
    answer = await edge.application.post(f"/users/{quote(user, safe='')}/devices", json={**TOKEN, **more})
    assert answer.status_code == 201, answer.text
    device_id: str = answer.json()["device_id"]
    return device_id


async def notify(edge: Edge, user: str = "alice", **members: Any) -> str:
    body = {"user_id": user, "notifications": [{"notification_data": "x", **members}]}
    answer = await edge.application.post("/notify", json=body)
    assert answer.status_code == 201, answer.text
    notification_id: str = answer.json()["notification_ids"][0]
    return notification_id


async def pushes(edge: Edge, notification_id: str, user: str = "alice") -> list[dict[str, Any]]:
    answer = await edge.application.get(
        f"/users/{quote(user, safe='')}/notifications/{notification_id}/pushes"
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["pushes"]
    return found


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("user", ["alice", SLASH])
async def test_the_application_registers_shows_and_removes(
    edge: Edge, fcm: ScriptedGateway, user: str
) -> None:
    device_id = await install(edge, user)
    path = f"/users/{quote(user, safe='')}/devices"
    shown = (await edge.application.get(path)).json()["devices"]
    assert shown == [
        {
            "device_id": device_id,
            "network": "fcm",
            "gateway": "fcm",
            "app": "com.example",
            "environment": "production",
            "platform": "android",
            "badge": None,
            "registered_at": shown[0]["registered_at"],
            "expires_at": None,
            "connections": 0,
        }
    ]
    assert (await edge.application.delete(f"{path}/{device_id}")).status_code == 204
    assert (await edge.application.delete(f"{path}/{device_id}")).status_code == 404
    assert (await edge.application.get(path)).json() == {"devices": []}
    assert [device.address for device in fcm.released] == ["a-secret-token"]


async def test_a_device_that_is_connected_shows_it(edge: Edge) -> None:
    phone = edge.device("alice")
    assert (await phone.post("/devices", json=TOKEN)).status_code == 201
    cookies = "; ".join(f"{name}={value}" for name, value in phone.cookies.items())
    async with Device.connect(edge.web, headers={"cookie": cookies, "host": "pns.example"}) as connected:
        await connected.count_is(0)
        (shown,) = (await edge.application.get("/users/alice/devices")).json()["devices"]
    assert shown["connections"] == 1


async def test_no_answer_has_an_address(edge: Edge) -> None:
    device_id = await install(edge)
    notification_id = await notify(edge)
    alice = edge.device("alice")
    answers = [
        await edge.application.get("/users/alice/devices"),
        await edge.application.get("/users/alice/export"),
        await edge.application.get(f"/users/alice/notifications/{notification_id}/pushes"),
        await edge.application.post("/users/alice/devices", json=TOKEN),
        await edge.application.post("/pseudo_users", json={**TOKEN, "token": "another secret"}),
        await alice.post("/devices", json=TOKEN),
        await alice.post("/devices", json={**TOKEN, "network": "apns"}),
        await alice.delete(f"/devices/{device_id}"),
        await edge.application.get("/metrics"),
    ]
    for answer in answers:
        assert answer.status_code in (200, 201, 204, 422)
        assert "secret" not in answer.text


async def test_another_users_device_is_none_of_this_one(edge: Edge) -> None:
    hers = await install(edge)
    assert (await edge.application.delete(f"/users/bob/devices/{hers}")).status_code == 404
    assert len((await edge.application.get("/users/alice/devices")).json()["devices"]) == 1


# ── pseudo users ──────────────────────────────────────────────────────────────────────────────────────


async def pseudo(edge: Edge, **more: Any) -> tuple[str, str]:
    answer = await edge.application.post("/pseudo_users", json={**TOKEN, **more})
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"user_id", "device_id"}
    return answer.json()["user_id"], answer.json()["device_id"]


async def test_a_device_without_a_login_has_a_user_of_its_own(edge: Edge, fcm: ScriptedGateway) -> None:
    user, device_id = await pseudo(edge)
    assert re.fullmatch("pseudo:[0-9a-f]{32}", user)
    assert await pseudo(edge) == (user, device_id), "the same one each time"
    other, _ = await pseudo(edge, token="another-token")
    assert other != user
    id = await notify(edge, user)
    assert [push["device_id"] for push in await pushes(edge, id, user)] == [device_id]


async def test_a_new_address_of_a_pseudo_user(edge: Edge) -> None:
    user, device_id = await pseudo(edge)
    assert await pseudo(edge, token="rotated", device_id=device_id) == (user, device_id)
    (device,) = await edge.node.store.outbox.devices(user)
    assert device.address == "rotated"


async def test_a_pseudo_user_has_one_device(edge: Edge, fcm: ScriptedGateway) -> None:
    user, first = await pseudo(edge)
    same, second = await pseudo(edge, token="elsewhere", app="another", device_id=first)
    assert (same, second != first) == (user, True)
    assert [device.device_id for device in await edge.node.store.outbox.devices(user)] == [second]
    assert [device.address for device in fcm.released] == ["a-secret-token"]


async def test_a_real_users_device_makes_no_pseudo_user_of_them(edge: Edge) -> None:
    hers = await install(edge)
    user, device_id = await pseudo(edge, token="another-token", device_id=hers)
    assert user.startswith("pseudo:")
    assert device_id != hers


async def test_who_logs_in_takes_the_device_over(edge: Edge) -> None:
    user, _ = await pseudo(edge)
    assert (await edge.device("alice").post("/devices", json=TOKEN)).status_code == 201
    assert await edge.node.store.outbox.devices(user) == []
    again, _ = await pseudo(edge)
    assert again == user, "and back, after the logout"
    assert await edge.node.store.outbox.devices("alice") == []


# ── what became of a push ─────────────────────────────────────────────────────────────────────────────


async def test_a_push_on_its_way_and_afterwards(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    fcm.script = lambda push: Receipt(Outcome.RETRY, "503 busy", retry_after=60)
    device_id = await install(edge)
    id = await notify(edge)
    (queued,) = await pushes(edge, id)
    assert (queued["state"], queued["attempts"], queued["reason"]) == ("queued", 0, None)
    assert queued["due_at"] is not None

    await in_time(clock, lambda: fcm.asked)
    await in_time(clock, lambda: has_state(edge, id, "retry"))
    (waiting,) = await pushes(edge, id)
    assert (waiting["attempts"], waiting["reason"]) == (1, "503 busy")

    fcm.script = lambda push: Receipt(Outcome.ACCEPTED, provider_id="projects/p/messages/1")
    await in_time(clock, lambda: has_state(edge, id, "accepted"))
    (accepted,) = await pushes(edge, id)
    assert accepted == {
        "device_id": device_id,
        "network": "fcm",
        "gateway": "fcm",
        "state": "accepted",
        "attempts": 2,
        "reason": None,
        "provider_id": "projects/p/messages/1",
        "due_at": None,
        "changed_at": accepted["changed_at"],
    }

    await edge.application.post("/users/alice/seen", json={"all": True})
    assert [push["state"] for push in await pushes(edge, id)] == ["seen"]


async def has_state(edge: Edge, notification_id: str, state: str) -> bool:
    return {push["state"] for push in await pushes(edge, notification_id)} == {state}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.FAILED, "failed"), (Outcome.DEVICE_INVALID, "device_invalid"), (Outcome.REFUSED, "retry")],
)
async def test_what_the_network_refuses(
    edge: Edge, fcm: ScriptedGateway, clock: FakeClock, outcome: Outcome, state: str
) -> None:
    fcm.script = lambda push: Receipt(outcome, "its own word")
    await install(edge)
    id = await notify(edge)
    await in_time(clock, lambda: has_state(edge, id, state))
    assert [push["reason"] for push in await pushes(edge, id)] == ["its own word"]
    left = (await edge.application.get("/users/alice/devices")).json()["devices"]
    assert len(left) == (0 if outcome is Outcome.DEVICE_INVALID else 1)


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "/users/alice/seen", {"all": True}, "seen"),
        ("DELETE", "/users/alice/notifications/n-1", None, "withdrawn"),
        ("DELETE", "/users/alice/devices/{device_id}", None, "the device is gone"),
    ],
)
async def test_what_nobody_wants_any_more_is_cancelled(
    tmp_path: Path, clock: FakeClock, method: str, path: str, body: Any, reason: str
) -> None:
    later = PushSettings(when="unseen_after", unseen_after_seconds=600)
    gateway = ScriptedGateway("fcm")
    async with an_edge(tmp_path, gateways=[gateway], push=later, clock=clock) as edge:
        device_id = await install(edge)
        await notify(edge, notification_id="n-1")
        assert await has_state(edge, "n-1", "queued")
        await edge.application.request(method, path.format(device_id=device_id), json=body)
        (push,) = await pushes(edge, "n-1")
        assert (push["state"], push["reason"], push["due_at"]) == ("cancelled", reason, None)
    assert gateway.asked == []


async def test_a_push_that_was_not_wanted(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    await install(edge)
    quiet = await notify(edge, push={"enabled": False})
    not_there = await notify(edge, push={"fcm": {"enabled": False}})
    for id in (quiet, not_there):
        await in_time(clock, partial(has_state, edge, id, "cancelled"))
        assert [push["reason"] for push in await pushes(edge, id)] == ["not wanted on this network"]
    assert fcm.asked == []


async def test_what_there_is_not_has_no_pushes(edge: Edge) -> None:
    await install(edge)
    assert await pushes(edge, await notify(edge, "bob"), "bob") == [], "a user without a device"
    assert await pushes(edge, "never-heard-of") == []
    answer = await edge.application.get("/users/alice/notifications/a%20b/pushes")
    assert answer.json()["errors"][0]["at"] == "notification_id"


# ── export and erasure ────────────────────────────────────────────────────────────────────────────────


async def exported(client: httpx.AsyncClient, user: str = "alice") -> list[dict[str, Any]]:
    answer = await client.get(f"/users/{user}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [httpx.Response(200, content=line).json() for line in answer.text.splitlines()]


async def test_an_export_has_everything_and_an_erasure_leaves_nothing(
    edge: Edge, fcm: ScriptedGateway
) -> None:
    application = edge.application
    first, second = await notify(edge), await notify(edge)
    device_id = await install(edge)
    await application.put("/topics/app:news")
    await application.put("/topics/app:news/subscribers/alice")
    await application.put("/buckets/orders/subscribers/alice")

    lines = await exported(application)
    assert [list(line) for line in lines] == [["notification"]] * 2 + [["device"]] + [["subscription"]] * 2
    assert [line["notification"]["notification_id"] for line in lines[:2]] == [first, second]
    assert (lines[2]["device"]["device_id"], lines[2]["device"]["network"]) == (device_id, "fcm")
    assert [line["subscription"] for line in lines[3:]] == [{"bucket": "orders"}, {"topic": "app:news"}]

    assert (await application.delete("/users/alice")).status_code == 204
    assert await exported(application) == []
    assert (await application.get("/users/alice/devices")).json() == {"devices": []}
    assert (await application.get("/users/alice/subscriptions")).json() == {"topics": [], "buckets": []}
    assert [device.device_id for device in fcm.released] == [device_id], "its gateway takes its gift back"
    assert await exported(application, "nobody") == []
