"""The demo's page as somebody sees it who tries PNS for the first time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.e2e.conftest import count_is, holds, lists, open_bell, state_is
from tests.harness.demo import Demo, running_demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=[(), ("--embedded",)], ids=["separate", "embedded"]
)
async def demo(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    with running_demo(*request.param) as demo:
        await demo.ready()
        yield demo


BESIDE = pytest.mark.parametrize("demo", [()], ids=["separate"], indirect=True)
"""For what is the page's own. What an embedded PNS answers is the same: tests/ops/test_demo.py."""


@pytest_asyncio.fixture(loop_scope="session")
async def pages(browser: Browser, demo: Demo) -> AsyncIterator[list[Page]]:
    """Alice in two browsers."""
    problems: list[str] = []
    pages = []
    for _ in range(2):
        page = await (await browser.new_context()).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "olicy" in said.text else None)
        await page.goto(demo.address)
        await page.get_by_role("button", name="Alice").click()
        await state_is(page, "live")
        pages.append(page)
    yield pages
    for page in pages:
        await page.context.close()
    assert problems == []


async def test_send_one_send_fifty_and_look(pages: list[Page]) -> None:
    here, there = pages
    await here.get_by_role("button", name="Send one").click()
    await count_is(there, 1)
    await here.get_by_role("button", name="Send fifty").click()
    await holds(there, "document.querySelector('pns-bell').count === 51")
    await here.locator("#sent", has_text="Stored at").wait_for()
    await there.locator("#frames", has_text='{"newNotificationCountChanged":51}').wait_for()
    assert (await there.title()).startswith("(51) Alice")
    await open_bell(there)
    many = [f"Order shipped {number}" for number in reversed(range(1, 51))]
    await lists(there, *many, "Order shipped")
    await count_is(here, 0)
    assert await there.get_by_role("switch", name="Notify me when this page is closed").is_visible()


@BESIDE
async def test_likes_make_a_group(pages: list[Page]) -> None:
    here, there = pages
    await here.get_by_role("button", name="Like this three times").click()
    await count_is(there, 1)
    await open_bell(there)
    await there.get_by_text("Chen, Ben and 1 other like your report").wait_for()


@BESIDE
async def test_a_category_a_question_and_preferences(pages: list[Page]) -> None:
    here, there = pages
    await open_bell(there)
    await here.get_by_text("Orders", exact=True).first.click()
    await here.get_by_role("button", name="Send one").click()
    await there.get_by_role("tab", name="Orders").click()
    await there.locator("[role=tabpanel]:visible [part=item-title]", has_text="Order shipped").wait_for()
    await there.get_by_role("tab", name="All").click()
    await here.get_by_role("button", name="Ask: Accept or Decline").click()
    await there.get_by_role("button", name="Accept", exact=True).click()
    await there.get_by_text("You are going to “Autumn retreat”", exact=True).wait_for()
    await there.locator("[part=item-title]", has_text="Dana invites you").wait_for(state="detached")
    await there.get_by_role("button", name="Preferences").click()
    locked = there.get_by_role("group", name="Security").get_by_role("switch", name="Push")
    assert await locked.get_attribute("aria-disabled") == "true"
    # Nothing touches the border of its button.
    elsewhere = here.get_by_role("button", name="Log out elsewhere")
    assert await elsewhere.evaluate("node => node.scrollWidth <= node.clientWidth")


async def test_restart_and_logout_elsewhere(pages: list[Page], demo: Demo) -> None:
    here, there = pages
    await here.evaluate(
        "window.states = []; document.addEventListener('pns-state', event => states.push(event.detail))"
    )
    if not demo.pns.startswith(demo.address):
        await here.get_by_role("button", name="Restart PNS").click()
        await here.locator("#broken", has_text="Done at").wait_for()
        await holds(here, "states.includes('offline')")
    else:
        assert not await here.get_by_role("button", name="Restart PNS").is_visible()
    for page in pages:
        await state_is(page, "live")
    await here.get_by_role("button", name="Log out elsewhere").click()
    await state_is(there, "logged-out")
    await here.locator("#broken", has_text="Done at").wait_for()
    await state_is(here, "live")
