"""Logins at the broker whose device was removed while it was away, and those that are not to be touched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from pns.adapters.gateways.mqtt import dynamic_security
from pns.adapters.gateways.mqtt.dynamic_security import DynamicSecurity
from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.adapters.gateways.mqtt.line import BrokerLine
from pns.adapters.gateways.mqtt.orphans import APART_SECONDS, EVERY_SECONDS, MOST_DOUBTFUL, OrphanedLogins
from pns.testing import FakeClock
from tests.adapters.gateways.peers.mqtt import REGISTRATION, device, subscriber
from tests.harness.mosquitto import Mosquitto


class Broker:
    """A line and a plugin: logins by user name, with their topics."""

    def __init__(self) -> None:
        self.topics: dict[str, str] = {}
        self.listed = 0
        self.line = object()

    def add(self, device_ids: Iterable[str], prefix: str = "pns") -> None:
        self.topics |= {f"pns-device-{one}": f"{prefix}/app/{one}" for one in device_ids}

    async def connection(self) -> object:
        return self.line

    async def logins(self) -> dict[str, str]:
        self.listed += 1
        return dict(self.topics)

    async def revoke(self, username: str) -> None:
        del self.topics[username]


class World:
    """A broker, the ids that PNS has, and what compares them."""

    def __init__(self, clock: FakeClock) -> None:
        self.broker, self.clock = Broker(), clock
        self.registered: set[str] = set()
        line, plugin = cast(BrokerLine, self.broker), cast(DynamicSecurity, self.broker)
        self._strays = OrphanedLogins(line, plugin, prefix="pns", clock=clock)

    async def is_registered(self, device_id: str) -> bool:
        return device_id in self.registered

    async def look(self) -> None:
        await self._strays.take_back(self.is_registered)

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            await self.look()
            self.clock.advance(APART_SECONDS)

    @property
    def logins(self) -> set[str]:
        return {name.removeprefix("pns-device-") for name in self.broker.topics}


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


async def test_what_is_nobody_s_twice_is_taken_back(world: World) -> None:
    world.broker.add(["lost", "phone"])
    world.registered = {"phone"}
    await world.minutes(1)
    assert world.logins == {"lost", "phone"}
    await world.minutes(1)
    assert world.logins == {"phone"}


async def test_a_device_that_registers_meanwhile_keeps_its_login(world: World) -> None:
    """Its login is made before it is stored."""
    world.broker.add(["new"])
    await world.minutes(1)
    world.registered = {"new"}
    await world.minutes(5)
    assert world.logins == {"new"}


async def test_twice_within_a_minute_is_once(world: World, clock: FakeClock) -> None:
    world.broker.add(["new"])
    await world.look()
    clock.advance(APART_SECONDS - 1)
    world.broker.line = object()
    await world.look()
    assert world.logins == {"new"}
    clock.advance(1)
    await world.look()
    assert world.logins == set()


async def test_it_looks_at_each_new_connection_and_once_an_hour(world: World) -> None:
    await world.minutes(10)
    assert world.broker.listed == 1
    world.broker.line = object()
    await world.minutes(10)
    assert world.broker.listed == 2
    await world.minutes(round(EVERY_SECONDS / APART_SECONDS))
    assert world.broker.listed == 3


async def test_another_s_logins_stay(world: World) -> None:
    world.broker.add(["theirs"], prefix="staging")
    world.broker.topics["pns-device-unmarked"] = ""
    await world.minutes(5)
    assert len(world.broker.topics) == 2


@pytest.mark.parametrize("more", [0, 1])
async def test_where_most_are_nobody_s_none_is_taken_back(
    world: World, caplog: pytest.LogCaptureFixture, more: int
) -> None:
    """An empty database must not cost every device its login."""
    world.broker.add(f"unknown-{number}" for number in range(MOST_DOUBTFUL + more))
    await world.minutes(5)
    assert bool(world.logins) == bool(more)
    assert ("is this the right database" in caplog.text) == bool(more)


# ── with a real broker ────────────────────────────────────────────────────────────────────────────────


async def test_a_phone_that_was_removed_while_the_broker_was_away(
    mqtt: MQTT, broker: Mosquitto, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in pages, among logins that are none of PNS's."""
    monkeypatch.setattr(dynamic_security, "PAGE", 2)
    kept = {f"{number}" * 32 for number in range(3)}
    installed = {one: await mqtt.register(REGISTRATION, one) for one in (*kept, "f" * 32)}
    stolen = installed["f" * 32]
    await broker.stop()
    await mqtt.unregister(device(stolen, clock, device_id="f" * 32))
    await mqtt.tidy(lambda device_id: _is_in(kept, device_id))
    await broker.start()
    async with subscriber(dict(stolen.reply)):
        pass  # it still may
    for _ in range(3):
        await mqtt.tidy(lambda device_id: _is_in(kept, device_id))
        clock.advance(APART_SECONDS)
    plugin = mqtt._running().provisioner
    assert isinstance(plugin, DynamicSecurity)
    assert {*await plugin.logins()} == {f"pns-device-{one}" for one in kept}
    for one in kept:
        async with subscriber(dict(installed[one].reply)):
            pass


async def _is_in(devices: set[str], device_id: str) -> bool:
    return device_id in devices
