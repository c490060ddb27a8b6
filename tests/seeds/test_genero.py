"""What Genero's guide asks of a token maintainer and a push provider, played through on PNS.

The endpoints by themselves are tried in tests/web/test_genero.py, the wire of FCM and APNs in
tests/adapters/gateways.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pns.adapters.gateways.fcm import message as fcm_message
from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import Google
from tests.harness import HostApplication, ServerProcess, eventually
from tests.seeds.genero_app import GeneroApp, other_info
from tests.seeds.world import World, a_world, gateway

ORDER = '{"title":"Order shipped","body":"Today","url":"/orders/1"}'


def app_of(world: World, kind: str = "FCM", token: str = "a1b2", user: str = "mike") -> GeneroApp:
    return GeneroApp(world.anybody, kind, token, user)


# ── the workflow ──────────────────────────────────────────────────────────────────────────────────────


async def test_maintainer_and_provider_meet_in_the_store_alone(tmp_path: Path) -> None:
    """Two programs on one table of tokens; each may be away while the other works."""
    clock = FakeClock()
    async with a_world(tmp_path, role="web", genero=True, clock=clock) as maintainer:
        assert await app_of(maintainer).register()
        await maintainer.notify("mike", ORDER)
        await maintainer.passes(60)
        assert not maintainer.sent("fcm")
    async with a_world(tmp_path, role="push", genero=True, clock=clock) as provider:
        await provider.nothing_waits()
        (sent,) = provider.sent("fcm")
        assert (sent.device.address, sent.notification_data) == ("a1b2", ORDER)
        refused = await provider.anybody.post("/token_maintainer/register", json={})
        assert refused.status_code == 404
    async with a_world(tmp_path, role="web", genero=True, clock=clock) as maintainer:
        assert await app_of(maintainer).unregister()


async def test_from_the_app_to_fcm_and_back(application: HostApplication, tmp_path: Path) -> None:
    """Over real lines, with a maintainer that is killed in between: the token is kept from the answer on."""
    async with Google(FakeClock(time.time_ns() // 1000)) as google:
        settings: dict[str, Any] = {
            "push__genero": "true",
            "push__when": "always",
            "push__fcm__credentials": google.key_file(tmp_path),
            "push__fcm__url": google.url,
        }
        server = ServerProcess(tmp_path, auth_url=application.url, **settings)
        async with server, httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            phone = GeneroApp(http, "FCM", "a-token", "mike")
            assert await phone.register()
            await server.kill()
            await server.start()
            async with server.backend() as backend:
                (id,) = await backend.notify("mike", ORDER)
                await eventually(lambda: google.taken)
                await phone.notified(google.taken[0])
                assert phone.screen == [(id, "Today", phone.screen[0].other)]
                assert other_info(phone.screen[0]) == {"url": "/orders/1"}
                google.pushes = "hang"
                await backend.notify("mike", "and one that hangs")
                await google.until_asked(pushes=2)
                assert await phone.unregister(), "within its five seconds, whatever the push service does"


async def test_an_event_reaches_every_registered_device(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True, when="always") as world:
        for kind, token, user in [("FCM", "a1", "mike"), ("FCM", "a2", "mike"), ("APNS", "b1", "ann")]:
            assert await app_of(world, kind, token, user).register()
        assert await app_of(world, "FCM", "a3", "").register()
        everybody = {"notifications": [{"notification_data": "closed today"}], "publication_id": "p"}
        assert (await world.application.post("/broadcast", json=everybody)).status_code == 202

        async def complete() -> bool:
            return (await world.application.get("/publications/p")).json()["end_date"] is not None

        await world.until(complete)
        await world.nothing_waits()
        reached = [push.device.address for name in ("fcm", "apns") for push in world.sent(name)]
        assert sorted(reached) == ["a1", "a2", "a3", "b1"]


async def test_tokens_are_read_when_it_is_sent(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True) as world:
        stays, goes = app_of(world, token="a1"), app_of(world, token="a2")
        for phone in (stays, goes):
            await phone.register()
        await world.notify("mike")
        assert await goes.unregister()
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["a1"]


async def test_the_type_of_a_token_chooses_its_provider(tmp_path: Path) -> None:
    """One table for both, and nothing in it to change when a phone is replaced by one of the other kind."""
    async with a_world(tmp_path, genero=True, when="always") as world:
        await app_of(world, "FCM", "a1").register()
        await app_of(world, "APNS", "b1").register()
        await world.notify("mike")
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["a1"]
        assert [push.device.address for push in world.sent("apns")] == ["b1"]


async def test_nobody_registered_is_no_error(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True, when="always") as world:
        id = await world.notify("mike")
        assert await world.states("mike", id) == []


# ── the badge ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_badge_is_raised_and_kept_before_it_is_sent(tmp_path: Path) -> None:
    """A provider that dies in the middle of a push counts on from the right number."""
    clock = FakeClock()
    silent = gateway("apns", script=lambda push: None)
    async with a_world(tmp_path, gateways=[silent], genero=True, when="always", clock=clock) as world:
        await app_of(world, "APNS").register()
        await world.notify("mike")

        async def asked() -> bool:
            return bool(silent.asked) and (await world.devices("mike"))[0].badge == 1

        await world.until(asked)
        assert [push.badge for push in silent.asked] == [1]
    async with a_world(tmp_path, genero=True, when="always", clock=clock) as world:
        await world.notify("mike")
        await world.nothing_waits()
        assert sorted(push.badge for push in world.sent("apns")) == [1, 2]


async def test_the_app_says_how_much_it_has_consumed(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True, when="always") as world:
        phone = app_of(world, "APNS")
        await phone.register()
        for _ in range(3):
            await world.notify("mike", ORDER)
        await world.nothing_waits()
        shown = [as_apns_brings_it(push) for push in world.sent("apns")]
        assert [payload["aps"]["badge"] for payload in shown] == [1, 2, 3]
        assert await phone.notified(*shown[:2])
        assert phone.badge == 0, "two were consumed of the two that the icon showed"
        assert await phone.notified(shown[2])
        (device,) = await world.devices("mike")
        assert phone.badge == device.badge == 2
        await world.notify("mike", ORDER)
        await world.nothing_waits()
        assert world.sent("apns")[-1].badge == 3


async def test_a_badge_that_cannot_be_sent_loses_no_notification(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True, when="always") as world:
        phone = app_of(world, "APNS")
        await phone.register()
        await world.notify("mike", ORDER)
        await world.nothing_waits()
        await app_of(world, "APNS", user="ann").unregister()
        assert not await phone.notified(as_apns_brings_it(world.sent("apns")[0]))
        assert [read.text for read in phone.screen] == ["Order shipped"]


# ── what the app does ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["FCM", "APNS"])
async def test_the_app_registers_and_leaves_in_its_order(tmp_path: Path, kind: str) -> None:
    async with a_world(tmp_path, genero=True) as world:
        phone = app_of(world, kind)
        assert await phone.register()
        assert await phone.register(), "a token that is known is a success"
        assert await phone.unregister()
        assert phone.history == ["push service", "register"] * 2 + ["unregister", "push service"]
        assert not await phone.unregister(), "nobody knows the token any more"
        assert phone.history[-1] == "unregister"


async def test_the_app_finds_id_and_text_in_either_shape(tmp_path: Path) -> None:
    async with a_world(tmp_path, genero=True, when="always") as world:
        android, phone = app_of(world, "FCM", "a1"), app_of(world, "APNS", "b1")
        for each in (android, phone):
            await each.register()
        push = {"data": {"order": 1}}
        id = await world.notify("mike", ORDER, push=push)
        await world.nothing_waits()
        (fcm,), (apns,) = world.sent("fcm"), world.sent("apns")
        await android.notified(fcm_message.message(fcm, world.clock.now()))
        await phone.notified(as_apns_brings_it(apns))
        for read, text in [(android.screen[0], "Today"), (phone.screen[0], "Order shipped")]:
            assert (read.id, read.text) == (id, text)
            assert other_info(read) == {"order": 1, "url": "/orders/1"}


async def test_what_was_selected_is_said_by_its_id(tmp_path: Path) -> None:
    """What a client knows of a selected notification is its id; that is enough to have it seen everywhere."""
    async with a_world(tmp_path, genero=True, when="always") as world:
        phone = app_of(world)
        await phone.register()
        id = await world.notify("mike", ORDER)
        await world.nothing_waits()
        await phone.notified(fcm_message.message(world.sent("fcm")[0], world.clock.now()))
        seen = {"notification_ids": [phone.screen[0].id]}
        answer = await world.application.post("/users/mike/seen", json=seen)
        assert answer.json() == {"unseen": 0}
        assert await world.states("mike", id) == ["seen"]


async def test_a_push_is_a_hint_and_its_details_are_fetched(tmp_path: Path) -> None:
    """However little of a notification a push may carry, its id leads to all of it."""
    whole = '{"title":"Minutes","body":"' + "x" * 3000 + '"}'
    async with a_world(tmp_path, when="always") as world:
        await world.install("mike", "a1")
        await world.notify("mike", whole)
        await world.nothing_waits()
        (push,) = world.sent("fcm")
        async with world.device("mike") as phone:
            fetched = await phone.post("/messages", json={"unseenNotificationDataRequest": {"ack": True}})
        (item,) = fetched.json()["newNotificationData"]
        assert (item["notification_id"], item["notification_data"]) == (push.notification_id, whole)


def as_apns_brings_it(push: Any) -> dict[str, Any]:
    from pns.adapters.gateways.apns import message as apns_message

    return apns_message.payload(push)
