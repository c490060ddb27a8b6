"""Logins, logouts and tabs in every order: no page paints a count or a text of a user whom its own cookie did
not name at its last question. Real browsers, a real PNS, an application that tells PNS nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.e2e.orders import (
    WAYS,
    ChromiumProfile,
    Desk,
    Order,
    Sessions,
    Shop,
    every,
    firefox_profile,
    run,
    some,
)
from tests.harness import Backend, HostApplication, ServerProcess
from tests.harness.bidi import DrivenFirefox

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESKS = 3
"""Profiles at work at once in one browser."""
FEW = 1
"""Orders of each kind in a short test. model.test.js tries every order without a browser."""


class Site(NamedTuple):
    shop: Shop
    sessions: Sessions
    backend: Backend


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    sessions = Sessions()
    folder = tmp_path_factory.mktemp("orders")
    # Questions about open connections come while the orders run.
    settings: dict[str, Any] = {"auth__cache_seconds": 0, "auth__recheck_seconds": 2}
    async with (
        HostApplication(sessions.decide) as application,
        ServerProcess(folder, auth_url=application.url, **settings) as server,
        server.backend() as backend,
        Shop(server.port, sessions) as shop,
    ):
        yield Site(shop, sessions, backend)
        assert "Traceback" not in server.output, server.output


Faults = dict[str, Order]
Perform = Callable[..., Awaitable[Faults]]


@pytest_asyncio.fixture(loop_scope="session")
async def perform(browser: Browser, site: Site) -> Perform:
    """Run orders in Chromium, whose tabs share a connection in this way."""

    async def perform(way: str, orders: list[Order], hurried: list[Order]) -> Faults:
        async def enter() -> Desk:
            return Desk(await ChromiumProfile.of(browser, way), *site)

        return await run(orders, enter, desks=DESKS, random=Random(5), hurried=hurried)

    return perform


def told(faults: Faults) -> list[str]:
    """The first of them, each with the order in which it came."""
    return [f"{fault}: {_words(order)}" for fault, order in list(faults.items())[:20]]


def _words(order: Order) -> str:
    return ", ".join(f"{event} in {place}" for event, place in order)


@pytest.mark.parametrize("way", WAYS)
async def test_orders_of_two_events_and_random_ones_in_a_hurry(perform: Perform, way: str) -> None:
    orders = Random(1).sample(every(2), FEW)
    assert told(await perform(way, orders, some(FEW, 3, seed=1))) == []


@pytest.mark.soak
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("way", WAYS)
async def test_every_order_of_three_events(perform: Perform, way: str) -> None:
    """Which begins with every order of one and of two."""
    assert told(await perform(way, every(3), [])) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
async def test_200_random_orders_of_five_events(perform: Perform, way: str) -> None:
    assert told(await perform(way, [], some(200, 5, seed=5))) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
async def test_50_random_orders_of_five_events_in_firefox(way: str, site: Site, tmp_path: Path) -> None:
    async with DrivenFirefox(tmp_path) as firefox:

        async def enter() -> Desk:
            return Desk(await firefox_profile(firefox, way), *site)

        # A tab is in view while no other of its window is: one desk alone has what real users have.
        faults = await run([], enter, desks=1, random=Random(50), hurried=some(50, 5, seed=50))
    assert told(faults) == []
