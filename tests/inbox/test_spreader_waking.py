"""A publication wakes the spreader of its node: nobody connected there waits for the next look.

The next look is a year away here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pns import PNS, Notification
from pns.contracts.audiences import EVERYBODY
from pns.contracts.store import Store, Submission
from pns.inbox.changes import Changes
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.testing import Device, temporary_pns
from tests.harness import eventually

from .test_spreader import Signals, publication


@pytest.fixture
async def pns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PNS]:
    monkeypatch.setattr("pns.node.SPREAD_SECONDS", 365 * 86_400)
    async with temporary_pns(user=lambda request: request.headers.get("user"), clock=SystemClock()) as pns:
        yield pns


async def to_a_topic(pns: PNS, id: str) -> None:
    await pns.make_topic("app:news")
    await pns.subscribe_to("42", topic="app:news")
    await pns.publish("app:news", id, publication_id=id)


async def to_a_bucket(pns: PNS, id: str) -> None:
    await pns.subscribe_to("42", bucket="orders")
    await pns.bucket_changed("orders", "DATA_OBJECT_CREATED", id, publication_id=id, collapse=False)


async def to_everybody(pns: PNS, id: str) -> None:
    await pns.broadcast(id, publication_id=id)


@pytest.mark.parametrize("publish", [to_a_topic, to_a_bucket, to_everybody])
async def test_the_connected_are_told_at_once(
    pns: PNS, publish: Callable[[PNS, str], Awaitable[None]]
) -> None:
    await pns.subscribe_to("42", bucket="known")
    async with Device.connect(pns, headers={"user": "42"}) as device:
        await device.count_is(0)
        await publish(pns, "one")
        await device.count_is(1)
        await publish(pns, "two")
        await device.count_is(2)
        await pns.take_back("one")
        await device.count_is(1)


async def test_others_than_the_connected_do_not_wait_either(pns: PNS) -> None:
    await to_a_topic(pns, "one")
    await pns.subscribe_to("somebody", topic="app:news")
    await to_a_topic(pns, "two")

    async def complete() -> bool:
        return (await pns.publication("two")).end_date is not None

    await eventually(complete)
    assert [item.notification_data async for item in pns.export("42")] == ["one", "two"]
    assert (await pns.publication("two")).reached == 2


async def test_what_wakes(store: Store, metrics: Metrics) -> None:
    """A broadcast that is one row does not: the connected are told of it by reading their own counts."""
    woken: list[str] = []
    changes = Changes(
        store,
        Signals(),
        metrics,
        on_published=lambda: woken.append("published"),
        on_announced=lambda: woken.append("announced"),
    )
    await store.append([Submission("somebody", (Notification("x"),))])

    async def wakes(call: Awaitable[object]) -> list[str]:
        woken.clear()
        await call
        return [*woken]

    assert await wakes(changes.publish(publication())) == ["published"]
    assert await wakes(changes.publish(publication("b", "bucket/b"))) == ["published"]
    assert await wakes(changes.announce(publication("all", EVERYBODY))) == ["announced"]
    assert await wakes(changes.announce(publication("seen", EVERYBODY, seen_since=1))) == ["announced"]
    assert await wakes(changes.take_back("p")) == ["published"]
    assert await wakes(changes.take_back("all")) == ["published"]
    assert await wakes(changes.take_back("never")) == []
    await store.audiences.publish(publication("older", EVERYBODY))
    assert await wakes(changes.announce(publication("beside", EVERYBODY))) == ["published"]
