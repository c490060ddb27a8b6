"""Web Push in the demo, from the switch in its page to a page that was closed and opened again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.e2e.conftest import count_is, holds, lists, open_bell, state_is
from tests.browser.e2e.tray import Tray, permit
from tests.harness.demo import Demo, Visitor, running_demo
from tests.harness.push_service import PushService

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = """
[push.webpush]
allowed_networks = ["127.0.0.0/8"]
"""


@pytest.fixture(scope="module")
def browser(windowed: Browser) -> Browser:
    return windowed


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of settings that lets PNS push to this machine."""
    file: Path = tmp_path_factory.mktemp("demo") / "pns.toml"
    file.write_text(CONFIG)
    return str(file)


# The same page and PNS, in one process: test_demo_page.py has both ways each time.
EMBEDDED = pytest.param(("--embedded",), id="embedded", marks=pytest.mark.soak)


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=[pytest.param((), id="separate"), EMBEDDED]
)
async def demo(request: pytest.FixtureRequest, config: str) -> AsyncIterator[Demo]:
    with running_demo("--config", config, *request.param) as demo:
        await demo.ready()
        yield demo


async def test_a_closed_page_is_reached_and_the_open_one_dismisses(demo: Demo, browser: Browser) -> None:
    async with (
        PushService() as service,
        await browser.new_context() as context,
        Visitor.login(demo, "bob") as bob,
    ):
        tray = await Tray.of(context, service)
        await permit(context, demo.address)
        alice = await _log_in(await context.new_page(), demo)
        await open_bell(alice)
        await alice.get_by_role("switch", name="Notify me when this page is closed").click()
        await holds(alice, "document.querySelector('pns-bell').webPush.state === 'on'")
        await tray.watch(alice)
        await bob.notify("alice", "While you look")
        await lists(alice, "While you look")
        await alice.goto(f"{demo.address}/icon.svg")
        await bob.notify("alice", "Order shipped", "It will arrive tomorrow.")
        await tray.displays(1)
        await tray.shows("Order shipped")
        await alice.goto(demo.address)
        await count_is(alice, 1)
        await open_bell(alice)
        await lists(alice, "Order shipped", "While you look")
        await tray.shows()


async def _log_in(page: Page, demo: Demo) -> Page:
    await page.goto(demo.address)
    await page.get_by_role("button", name="Alice").click()
    await state_is(page, "live")
    return page
