"""Retention of publications: the complete ones go when `push.keep_days` are over, all in one turn."""

from __future__ import annotations

import asyncio

from pns.contracts.audiences import Publication
from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.inbox.retention import BATCH, PAUSE_SECONDS, Pruner
from pns.model.notification import Notification
from pns.model.timestamp import DAY
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings, Settings
from pns.testing import FakeClock
from tests.inbox.test_spreader import Signals


async def publish(store: Store, id: str) -> Publication:
    notification = Notification("x", notification_id="n")
    return await store.audiences.publish(
        Publication(publication_id=id, audience="bucket/b", notifications=(notification,), create_date=1)
    )


async def test_all_publications_that_ended_long_ago_go_at_once(
    store: Store, clock: FakeClock, metrics: Metrics
) -> None:
    for number in range(BATCH + 1):
        await store.audiences.reach(await publish(store, f"p{number}"), [], complete=True)
    await publish(store, "under way")
    changes = Changes(store, Signals(), metrics)
    pruner = Pruner(store, changes, settings=Settings(push=PushSettings(keep_days=2)), clock=clock)
    clock.jump(2 * DAY / 1_000_000 - 1)
    await pruner.prune()
    assert await store.audiences.publication("p0") is not None

    clock.jump(2)
    pruning = asyncio.create_task(pruner.prune())
    await clock.until_sleeping(1)
    clock.advance(PAUSE_SECONDS)
    await pruning
    left = [id for id in ("p0", f"p{BATCH}", "under way") if await store.audiences.publication(id)]
    assert left == ["under way"]
