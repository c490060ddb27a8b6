"""A fleet on PostgreSQL and Redis, under load, while a node or Redis breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fleet import actions, faults
from tests.fleet.fleet import Fleet, running
from tests.fleet.ordeal import (
    FREEZE_SECONDS,
    LONG_SECONDS,
    endure,
    endure_a_bus_that_swallows,
    follow,
)
from tests.harness import HostApplication
from tests.harness.postgres import Postgres
from tests.harness.redis import Redis

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, login: HostApplication, postgres: Postgres
) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    async with Redis() as redis, running(folder, login, postgres, redis) as fleet:
        yield fleet


@pytest.mark.parametrize("action", actions.HINTED)
async def test_what_one_node_does_all_do(fleet: Fleet, action: actions.Action) -> None:
    await action(fleet)


async def test_a_node_is_killed(fleet: Fleet) -> None:
    await endure(fleet, faults.node_killed, loses=True)


async def test_redis_is_stopped_and_started(fleet: Fleet) -> None:
    await endure(fleet, faults.bus_stopped, during=follow())


async def test_redis_stands_still(fleet: Fleet) -> None:
    await endure(fleet, faults.bus_frozen, during=follow(FREEZE_SECONDS))


async def test_redis_throws_everybody_out(fleet: Fleet) -> None:
    await endure(fleet, faults.redis_clients_killed)


async def test_redis_says_it_is_up_and_carries_nothing(fleet: Fleet) -> None:
    await endure_a_bus_that_swallows(fleet)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [faults.bus_frozen, faults.bus_swallowed, faults.bus_stopped])
async def test_redis_is_away_for_a_minute(fleet: Fleet, fault: faults.Fault) -> None:
    await endure(fleet, fault, during=follow(LONG_SECONDS))
