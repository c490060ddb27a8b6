"""Who sends also tidies up: each gateway, once a minute, by the devices that are stored."""

from __future__ import annotations

import pytest

from pns.contracts.gateway import IsRegistered
from pns.contracts.store import Store
from pns.model.role import Role
from pns.push.engine import TIDY_SECONDS, PushEngine
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings
from pns.testing import FakeClock
from tests.harness.waiting import eventually
from tests.push.conftest import install
from tests.push.scripted import ScriptedGateway


class Tidied(ScriptedGateway):
    """Remembers what it was told of two devices, at each tidying."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[bool, bool]] = []

    async def tidy(self, is_registered: IsRegistered) -> None:
        self.told.append((await is_registered("phone"), await is_registered("lost")))


@pytest.mark.parametrize(("role", "tidies"), [("all", True), ("push", True), ("web", False)])
async def test_gateways_are_tidied(
    store: Store, clock: FakeClock, metrics: Metrics, role: Role, tidies: bool
) -> None:
    await install(store, "42", "phone")
    gateway = Tidied()
    settings = PushSettings()
    pushing = PushEngine(settings, [gateway], store, role=role, clock=clock, metrics=metrics)
    assert ("tidy gateways" in [looper.name for looper in pushing._loopers()]) == tidies
    if tidies:
        await pushing.start()
        await clock.until_sleeping(5)
        clock.advance(TIDY_SECONDS)
        await eventually(lambda: gateway.told == [(True, False)])
        await pushing.stop()
