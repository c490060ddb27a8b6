"""A real broker, and a gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.testing import FakeClock
from tests.adapters.gateways.peers.mqtt import gateway
from tests.harness.mosquitto import Mosquitto


@pytest.fixture
async def broker() -> AsyncIterator[Mosquitto]:
    async with Mosquitto() as broker:
        yield broker


@pytest.fixture
async def mqtt(broker: Mosquitto, clock: FakeClock) -> AsyncIterator[MQTT]:
    async with gateway(clock, broker.url) as mqtt:
        yield mqtt
