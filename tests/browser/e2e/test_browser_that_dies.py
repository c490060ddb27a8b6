"""What these tests do where the browser's process dies: see conftest.py."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.browser.e2e.conftest import Enter, House, count_is

pytestmark = pytest.mark.asyncio(loop_scope="session")

_runs: list[Browser] = []


async def test_it_is_started_again_for_the_same_test(
    browser: Browser, house: House, enter: Enter, alice: str
) -> None:
    _runs.append(browser)
    if len(_runs) == 1:
        session = await browser.new_browser_cdp_session()
        await session.send("Browser.crash")
    assert len(_runs) == 2
    await house.backend.notify(alice, "one")
    await count_is(await (await enter(alice)).open(), 1)


async def test_the_next_test_has_it(browser: Browser) -> None:
    assert browser is [browser, *_runs][-1]
    assert browser.is_connected()
