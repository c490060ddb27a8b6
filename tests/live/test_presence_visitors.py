"""Connecting makes a user known, by each way in; nothing else that a device or the application asks does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns import PNS
from pns.contracts.audiences import EVERYBODY
from pns.errors import StoreUnavailable
from pns.live.hub import Hub
from pns.testing import Device, FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge, in_time
from tests.web.ways import NO, WAYS, Application

MAKES_KNOWN = {"WebSocket", "event stream", "POST /messages", "POST /devices"}


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def edge(tmp_path: Path, application: Application, clock: FakeClock) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, application, gateways=[ScriptedGateway("fcm")], clock=clock) as edge:
        yield edge


async def known(edge: Edge) -> list[str]:
    found = await edge.node.store.audiences.subscribers(EVERYBODY, after=0, limit=100)
    return sorted(user_id for _, user_id in found)


async def told(edge: Edge, clock: FakeClock) -> None:
    """The presences of now are written: a second is enough."""
    renew, times = edge.node.store.renew_lease, 0

    async def counted(*args: object, **more: object) -> None:
        nonlocal times
        await renew(*args, **more)  # type: ignore[arg-type]
        times += 1

    edge.node.store.renew_lease = counted  # type: ignore[method-assign]
    edge.node.hub.visit("witness", 0)
    await in_time(clock, lambda: times)


@pytest.mark.parametrize("name", WAYS)
async def test_each_way_in(edge: Edge, application: Application, clock: FakeClock, name: str) -> None:
    for no in NO.values():
        application.word = no
        await WAYS[name].ask(edge)
    application.word = "ann"
    await WAYS[name].ask(edge)
    await told(edge, clock)
    assert await known(edge) == ["ann"] * (name in MAKES_KNOWN) + ["witness"]


async def test_what_the_application_asks_makes_nobody_known(edge: Edge, clock: FakeClock) -> None:
    for path in ("", "/notifications", "/export", "/devices", "/subscriptions", "/preferences"):
        assert (await edge.application.get(f"/users/ann{path}")).status_code == 200
    assert (await edge.application.post("/users/ann/seen", json={"all": True})).status_code == 200
    await told(edge, clock)
    assert await known(edge) == ["witness"]


async def test_a_store_that_cannot_be_written_keeps_nobody_out(
    edge: Edge, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is known once it can."""
    renew, tries = edge.node.store.renew_lease, 0

    async def away(*args: object, **more: object) -> None:
        nonlocal tries
        tries += 1
        raise StoreUnavailable

    monkeypatch.setattr(edge.node.store, "renew_lease", away)
    async with Device.connect(edge.web) as socket:
        assert await socket.receive() == {"newNotificationCountChanged": 0}
        assert (await edge.device("bob").post("/messages", json={"countsRequest": {}})).status_code == 200
        await in_time(clock, lambda: tries > 1)
        assert await known(edge) == []
        monkeypatch.setattr(edge.node.store, "renew_lease", renew)
        await told(edge, clock)
    assert "ann" in await known(edge)


async def test_who_never_got_anything_hears_a_broadcast(tmp_path: Path, clock: FakeClock) -> None:
    """Whoever sits before an open bell is somebody of everybody."""
    async with (
        PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=lambda r: r.headers["user"], clock=clock) as pns,
        Device.connect(pns, headers={"user": "ann"}) as socket,
    ):
        assert await socket.receive() == {"newNotificationCountChanged": 0}
        hub: Hub = pns._started.hub
        await in_time(clock, lambda: not hub.has_visitors and clock.sleepers > 6)
        await pns.broadcast("Closed on Monday")
        await in_time(clock, lambda: bool(socket.received()) or bool(socket.counts[1:]))
        assert socket.counts[-1] == 1
