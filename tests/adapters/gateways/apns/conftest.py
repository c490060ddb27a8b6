"""A service that plays APNs, and a gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns.adapters.gateways.apns.gateway import APNs
from pns.testing import FakeClock
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers.apns import started


@pytest.fixture
async def service(tmp_path: Path, clock: FakeClock) -> AsyncIterator[FakeAPNs]:
    async with FakeAPNs(tmp_path, clock=clock) as service:
        yield service


@pytest.fixture
async def gateway(service: FakeAPNs) -> AsyncIterator[APNs]:
    async with started(service) as gateway:
        yield gateway
