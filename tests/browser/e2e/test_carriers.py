"""What carries the line of several tabs dies, freezes or hangs: the others go on, and nothing is lost.

A Chromium of this file's own: in the common one all tabs have one process, so that a busy tab keeps all busy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, async_playwright

from tests.browser.e2e.conftest import (
    BELL,
    FLAGS,
    SHELL,
    Enter,
    House,
    chromium,
    count_is,
    holds,
    lists,
    open_bell,
    state_is,
)
from tests.browser.e2e.devtools import DevTools, RawProfile
from tests.harness.front import TWO_LINES, page

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHOUT_WORKERS = "delete window.SharedWorker"
UNTOLD = "addEventListener('freeze', event => event.stopImmediatePropagation(), true)"
"""A tab that is frozen before it can say so."""
FOCUS = "dispatchEvent(new Event('focus')); ''"
BUSY = """setTimeout(() => {
  const request = new XMLHttpRequest()
  request.open('GET', '/held', false)
  request.send()
}); ''"""
"""Nothing else runs in a page that waits like this, and no core is kept busy."""
ALERT = "setTimeout(() => alert('Sign here')); ''"


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"server__heartbeat_seconds": 2}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    flags = [flag for flag in FLAGS if not flag.startswith("--renderer-process-limit")]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(SHELL), args=flags)
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def pages(house: House) -> None:
    """Pages whose tabs share a line by Web Locks; at /untold those that cannot say that they freeze."""
    for path, script in (("/locks", WITHOUT_WORKERS), ("/untold", f"{WITHOUT_WORKERS}; {UNTOLD}")):
        house.front.add(f"{path}.js", script, "text/javascript")
        house.front.add(path, page(TWO_LINES, head=f'<script src="{path}.js"></script>'))


@pytest.mark.parametrize("closes_itself", [True, False])
async def test_a_worker_that_dies(
    house: House, enter: Enter, browser: Browser, alice: str, closes_itself: bool
) -> None:
    tools = await DevTools.of(browser)
    visitor = await enter(alice)
    await house.backend.notify(alice, "one")
    tabs = [await visitor.open() for _ in range(3)]
    for tab in tabs:
        await count_is(tab, 1)
    (worker,) = await tools.workers(house.front.url)
    if closes_itself:
        await tools.tell(await tools.attach(worker), "Runtime.evaluate", expression="self.close()")
    else:
        await tools.browser("Target.closeTarget", targetId=worker)
    await house.backend.notify(alice, "two")
    # Looked at, opened, and left alone.
    await tabs[0].evaluate(FOCUS)
    await count_is(tabs[0], 2)
    await count_is(tabs[2], 2)
    await open_bell(tabs[1])
    await lists(tabs[1], "two", "one")
    for tab in tabs:
        await count_is(tab, 0)
    # An open panel would mark what comes as seen.
    await tabs[1].evaluate(f"{BELL}.close(); ''")
    late = await visitor.open()
    await house.backend.notify(alice, "three")
    for tab in (late, *tabs):
        await count_is(tab, 1)
    await open_bell(tabs[1])
    await lists(tabs[1], "three", "two", "one")


@pytest.mark.parametrize("path", ["/locks", "/untold"])
@pytest.mark.usefixtures("pages")
async def test_a_leading_tab_that_is_frozen(house: House, browser: Browser, alice: str, path: str) -> None:
    profile = await RawProfile.of(await DevTools.of(browser))
    await profile.login(house.front.url, alice)
    await house.backend.notify(alice, "one")
    tabs = []
    for _ in range(2):
        tabs.append(await profile.open(house.front.url + path))
        await count_is(tabs[-1], 1)
    leader, other = tabs
    await leader.lifecycle("frozen")
    await house.backend.notify(alice, "two")
    if path == "/untold":
        await other.evaluate(FOCUS)
    await count_is(other, 2)
    late = await profile.open(house.front.url + path)
    await count_is(late, 2)
    assert await leader.evaluate(f"{BELL}.count") == 1, "it was not frozen"
    await leader.lifecycle("active")
    await count_is(leader, 2)
    await house.backend.notify(alice, "three")
    for tab in (leader, other, late):
        await count_is(tab, 3)
    await profile.close()


@pytest.mark.parametrize("blocks", [BUSY, ALERT], ids=["busy", "alert"])
@pytest.mark.usefixtures("pages")
async def test_a_leading_tab_that_is_blocked(house: House, browser: Browser, alice: str, blocks: str) -> None:
    context = await browser.new_context()
    await context.add_cookies([{"name": "user", "value": alice, "url": house.front.url}])
    dialogs: list[Dialog] = []

    async def visit() -> Page:
        tab = await context.new_page()
        tab.on("dialog", lambda dialog: dialogs.append(dialog))
        await tab.goto(f"{house.front.url}/locks")
        return tab

    held = house.front.hold("/held")
    held.clear()
    leader = await visit()
    await state_is(leader, "live")
    other = await visit()
    await state_is(other, "live")
    await leader.evaluate(blocks)
    late = await visit()
    await house.backend.notify(alice, "one")
    await other.evaluate(FOCUS)
    for tab in (other, late):
        await count_is(tab, 1)
    held.set()
    for dialog in dialogs:
        await dialog.accept()
    # It has lost the lead, and follows.
    await count_is(leader, 1)
    await house.backend.notify(alice, "two")
    for tab in (leader, other, late):
        await count_is(tab, 2)
    await holds(leader, f"{BELL}.state === 'live'")
    await context.close()
