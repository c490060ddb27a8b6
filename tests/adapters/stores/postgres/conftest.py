"""Beside a store on PostgreSQL: a node on its database, and a connection of somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from pns.adapters.stores.postgres.store import PostgresStore
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock


@pytest.fixture
async def rival(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    await connection.execute("SET search_path = pns")
    yield connection
    await connection.close()


@pytest.fixture
async def node(database: str, clock: FakeClock, metrics: Metrics) -> AsyncIterator[PostgresStore]:
    node = PostgresStore(database, clock=clock, metrics=metrics)
    await node.open()
    yield node
    await node.close()
