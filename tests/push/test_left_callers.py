"""A caller that leaves while a device is registered or removed: gateway and store agree all the same."""

from __future__ import annotations

from itertools import count

import pytest

from pns.adapters.buses.local import LocalBus
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Store
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.inbox.erasure import Erasure
from pns.model.device import Registration
from pns.push.registrar import MOST_DEVICES, Registrar
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.harness.leaving import left
from tests.push.conftest import install
from tests.push.scripted import ScriptedGateway

REGISTRATION = Registration(network="fcm", token="a new one")


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def registrar(store: Store, clock: FakeClock, gateway: ScriptedGateway) -> Registrar:
    return Registrar([gateway], store, clock)


@pytest.mark.parametrize("late", [False, True])
async def test_what_a_gateway_gave_is_taken_back(
    store: Store, registrar: Registrar, gateway: ScriptedGateway, late: bool
) -> None:
    for number in count(1):
        device = await install(store, "42", f"device {number}")
        in_time = await left(registrar.unregister("42", device.device_id), number, late=late)
        await registrar.shielded.stop()
        assert await store.outbox.device(device.device_id) is None
        assert device in gateway.released
        if not in_time:
            break
    assert number > 1


async def test_the_oldest_registration_makes_room(
    store: Store, registrar: Registrar, gateway: ScriptedGateway
) -> None:
    for number in range(MOST_DEVICES):
        await install(store, "42", f"device {number:03}")
    assert await left(registrar.register("42", REGISTRATION), 1, late=False)
    await registrar.shielded.stop()
    assert len(await store.outbox.devices("42")) == MOST_DEVICES
    assert len(gateway.released) == 1


@pytest.fixture
def erasure(store: Store, clock: FakeClock, metrics: Metrics, registrar: Registrar) -> Erasure:
    changes = Changes(store, LocalBus(None, clock=clock, metrics=metrics), metrics)
    return Erasure(store, changes, release=registrar.released, shielded=registrar.shielded)


@pytest.mark.parametrize("late", [False, True])
async def test_an_erasure_goes_to_its_end(
    store: Store, erasure: Erasure, registrar: Registrar, gateway: ScriptedGateway, late: bool
) -> None:
    for number in count(1):
        device = await install(store, "42", f"device {number}")
        in_time = await left(erasure.erase("42"), number, late=late)
        await registrar.shielded.stop()
        assert await store.outbox.devices("42") == []
        assert device in gateway.released
        if not in_time:
            break
    assert number > 1


async def test_an_erasure_that_breaks_off_takes_back_too(
    store: SQLiteStore, erasure: Erasure, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated, it finds no device any more."""
    device = await install(store, "42", "phone")

    async def away(*_: object) -> int:
        raise StoreUnavailable

    monkeypatch.setattr(store, "_repeat", away)
    with pytest.raises(StoreUnavailable):
        await erasure.erase("42")
    assert gateway.released == [device]


async def test_an_erasure_that_was_not_made_takes_nothing_back(
    store: SQLiteStore, erasure: Erasure, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install(store, "42", "phone")

    async def away(*_: object, **__: object) -> int:
        raise StoreUnavailable

    monkeypatch.setattr(store, "_write", away)
    with pytest.raises(StoreUnavailable):
        await erasure.erase("42")
    assert gateway.released == []
