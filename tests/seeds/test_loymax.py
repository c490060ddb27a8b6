"""What Loymax says of tokens, and of Azure between its backend and the networks, played through on PNS."""

from __future__ import annotations

from pathlib import Path

import pytest

from pns.model.device import Device
from pns.model.push import PushState
from pns.ops.commands.copy.progress import Progress
from pns.ops.commands.push.regateway import move
from pns.settings import PushSettings, Settings
from pns.testing import FakeClock
from tests.seeds.world import a_world, gateway


class Silent(Progress):
    def begin(self, what: str, *, total: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_changed_token_replaces_the_old_one(tmp_path: Path) -> None:
    """A token is temporary. An app that has a new one says which device it is, by its cookie or by its id."""
    async with a_world(tmp_path, when="always") as world:
        async with world.device("ann") as phone:
            for token in ("first", "second"):
                assert (await phone.post("/devices", json={"network": "fcm", "token": token})).is_success
        (device,) = await world.devices("ann")
        third = {"network": "fcm", "token": "third", "device_id": device.device_id}
        assert (await world.application.post("/users/ann/devices", json=third)).is_success
        await world.notify("ann")
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["third"]


async def test_who_gave_no_permission_has_no_token_and_an_inbox(tmp_path: Path) -> None:
    async with a_world(tmp_path, when="always") as world:
        id = await world.notify("ann", "for later")
        await world.nothing_waits()
        assert not world.sent("fcm")
        assert await world.states("ann", id) == []
        async with world.device("ann") as page:
            asked = {"unseenNotificationDataRequest": {"ack": True}}
            (item,) = (await page.post("/messages", json=asked)).json()["newNotificationData"]
        assert item["notification_data"] == "for later"


async def test_a_token_is_kept_and_used_when_it_is_needed(tmp_path: Path) -> None:
    """By whichever process runs then, however much later."""
    clock = FakeClock()
    async with a_world(tmp_path, clock=clock) as world:
        await world.install("ann", "a-token")
    clock.advance(90 * 86_400)
    async with a_world(tmp_path, clock=clock, when="always") as world:
        await world.notify("ann")
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["a-token"]


# ── gateways ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("gateways", "through"), [(["fcm"], "fcm"), (["azure", "fcm"], "azure")])
async def test_the_gateway_is_the_operators_choice_and_the_call_the_same(
    tmp_path: Path, gateways: list[str], through: str
) -> None:
    made = [gateway(name, "fcm") for name in gateways]
    async with a_world(tmp_path, gateways=made, when="always") as world:
        await world.install("ann", "a-token")
        id = await world.notify("ann", '{"title":"Hello"}')
        await world.nothing_waits()
        assert [len(world.sent(name)) for name in gateways] == [int(name == through) for name in gateways]
        assert await world.states("ann", id) == ["accepted"]


async def test_a_device_stays_with_the_gateway_that_registered_it(tmp_path: Path) -> None:
    """Until it is moved; no gateway is ever handed what another registered, not even what waits meanwhile."""
    clock = FakeClock()
    async with a_world(tmp_path, gateways=[gateway("fcm")], clock=clock) as world:
        await world.install("ann", "registered-before")
    both = [gateway("azure", "fcm"), gateway("fcm")]
    async with a_world(tmp_path, gateways=both, clock=clock, when="unseen_after") as world:
        await world.install("ann", "registered-after")
        assert await reached(world.store.outbox.devices("ann")) == {
            "registered-before": "fcm",
            "registered-after": "azure",
        }
        await world.notify("ann")
        await world.nothing_waits()
        assert [push.device.address for push in world.sent("fcm")] == ["registered-before"]
        assert [push.device.address for push in world.sent("azure")] == ["registered-after"]
        await world.notify("ann")
        assert await move(world.store, "fcm", "azure", network="fcm", progress=Silent()) == 1
        await world.nothing_waits()
        assert len(world.sent("fcm")) == 1, "what waited went with its device"
        assert len(world.sent("azure")) == 3


async def test_a_registration_again_is_a_way_to_the_new_gateway_too(tmp_path: Path) -> None:
    """And what waits for the device goes the same way."""
    clock = FakeClock()
    async with a_world(tmp_path, gateways=[gateway("fcm")], clock=clock, role="web") as world:
        await world.install("ann", "a-token")
        await world.notify("ann")
    both = [gateway("azure", "fcm"), gateway("fcm")]
    async with a_world(tmp_path, gateways=both, clock=clock) as world:
        await world.install("ann", "a-token")
        assert await reached(world.store.outbox.devices("ann")) == {"a-token": "azure"}
        await world.nothing_waits()
        assert [len(world.sent(name)) for name in ("azure", "fcm")] == [1, 0]


async def reached(devices: object) -> dict[str, str]:
    found: list[Device] = await devices  # type: ignore[misc]
    return {device.address: device.gateway for device in found}


# ── what acceptance means ─────────────────────────────────────────────────────────────────────────────


async def test_accepted_is_not_seen(tmp_path: Path) -> None:
    async with a_world(tmp_path, gateways=[gateway("azure", "fcm")], when="always") as world:
        await world.install("ann", "a-token")
        id = await world.notify("ann")
        assert await world.states("ann", id) == ["queued"]
        await world.nothing_waits()
        assert await world.states("ann", id) == ["accepted"]
        async with world.device("ann") as phone:
            assert (await phone.post("/messages", json={"notificationDataSeen": {"upTo": id}})).is_success
        assert await world.states("ann", id) == ["seen"]
        assert {"accepted", "seen"} < {state.value for state in PushState}
        assert "delivered" not in {state.value for state in PushState}, "no network says so, so PNS does not"


async def test_nobody_waits_for_a_network(tmp_path: Path) -> None:
    """A notify is answered while its gateway is silent; a push that takes minutes is still worth sending."""
    silent = gateway("fcm", script=lambda push: None)
    async with a_world(tmp_path, gateways=[silent], when="always") as world:
        await world.install("ann", "a-token")
        await world.notify("ann")
        await world.passes(1)
        assert len(silent.asked) == 1
        assert await world.notify("ann"), "and meanwhile the next one is answered"
        assert silent.asked[0].seconds_left(world.clock.now()) > 600


def test_the_hub_is_the_operators_to_set(tmp_path: Path) -> None:
    assert PushSettings().ttl_seconds > 600
    assert PushSettings().azure.connection_string == "", "off until an operator sets it"
    given = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0"
    (tmp_path / "config.toml").write_text(f'[push.azure]\nconnection_string = "{given}"\nhub = "shop"\n')
    azure = Settings.load(tmp_path / "config.toml", environ={}).push.azure
    assert (azure.connection_string, azure.hub, azure.networks) == (given, "shop", ("fcm", "apns"))
    assert "c2VjcmV0" not in repr(azure)
