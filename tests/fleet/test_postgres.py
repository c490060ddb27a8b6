"""A fleet on PostgreSQL alone, store and bus, under load, while it breaks: 503 then, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pns.adapters.stores.postgres.connection import PATIENCE_SECONDS
from tests.fleet import actions, faults
from tests.fleet.fleet import Fleet, running
from tests.fleet.ordeal import LONG_SECONDS, endure, endure_a_bus_that_swallows, go_on, stay
from tests.harness import HostApplication
from tests.harness.postgres import Postgres

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, login: HostApplication, postgres: Postgres
) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    async with running(folder, login, postgres) as fleet:
        yield fleet


@pytest.mark.parametrize("action", actions.HINTED + actions.STORED)
async def test_what_one_node_does_all_do(fleet: Fleet, action: actions.Action) -> None:
    await action(fleet)


async def test_postgres_is_stopped_and_started(fleet: Fleet) -> None:
    load = await endure(fleet, faults.store_stopped, refuses=True)
    assert load.refusals


async def test_postgres_stands_still(fleet: Fleet) -> None:
    """For longer than PNS waits for it."""
    load = await endure(fleet, faults.store_frozen, during=stay(PATIENCE_SECONDS + 1), refuses=True)
    assert load.refusals


async def test_postgres_throws_everybody_out(fleet: Fleet) -> None:
    await endure(fleet, faults.backends_terminated, refuses=True)


async def test_two_nodes_are_cut_off_from_the_store(fleet: Fleet) -> None:
    """The third goes on, and its devices are told."""
    load = await endure(fleet, faults.store_refused, during=go_on, refuses=True)
    assert load.refusals


@pytest.mark.soak
async def test_listening_carries_nothing(fleet: Fleet) -> None:
    await endure_a_bus_that_swallows(fleet)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [faults.store_frozen, faults.store_swallowed, faults.store_stopped])
async def test_postgres_is_away_for_a_minute(fleet: Fleet, fault: faults.Fault) -> None:
    load = await endure(fleet, fault, during=stay(LONG_SECONDS), refuses=True)
    assert load.refusals


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_nodes_are_killed_again_and_again(fleet: Fleet) -> None:
    for _ in range(10):
        await endure(fleet, faults.node_killed, loses=True)
