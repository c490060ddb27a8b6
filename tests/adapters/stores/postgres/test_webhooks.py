"""How PostgreSQL is asked for events: by a connection of their own, so that no notify waits for a claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.webhooks import WebhookOutcome, WebhookSettlement
from pns.model.timestamp import HOUR, MINUTE
from pns.model.webhook import WebhookKind, WebhookTerms
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, count
from tests.harness.waiting import eventually

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'webhook_events'::regclass"


@pytest.fixture
async def telling(database: str, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    terms = WebhookTerms(frozenset([WebhookKind.UNSEEN]), MINUTE, HOUR, HOUR)
    store = PostgresStore(database, clock=clock, metrics=Metrics(), webhook=terms)
    await store.open()
    yield store
    await store.close()


async def test_no_notify_waits_for_a_claim_or_for_what_became_of_it(
    telling: PostgresStore, rival: asyncpg.Connection, clock: FakeClock
) -> None:
    await append(telling, "ann", "a")
    clock.advance(60)
    async with rival.transaction():
        await rival.execute("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE")
        claiming = asyncio.create_task(telling.webhooks.claim(8, clock.now() + MINUTE))
        await eventually(lambda: _waits(rival))
        await append(telling, "ann", "b")
        assert (await count(telling, "ann"), claiming.done()) == (2, False)
    (event,) = await claiming
    settlement = WebhookSettlement(event, WebhookOutcome.TAKEN)
    async with rival.transaction():
        await rival.execute("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE")
        settling = asyncio.create_task(telling.webhooks.settle([settlement]))
        await eventually(lambda: _waits(rival))
        await append(telling, "bob", "c")
        assert not settling.done()
    await settling
    assert await telling.webhooks.backlog() == []


async def _waits(rival: asyncpg.Connection) -> bool:
    return bool(await rival.fetchval(WAITING))
