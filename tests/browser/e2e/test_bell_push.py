"""The switch for Web Push in a real Chromium: on, pushed to, clicked, seen, and off again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, lists, open_bell, state_is
from tests.browser.e2e.switch import BELL_WITH_PUSH, Switch, devices
from tests.browser.e2e.tray import WEB_PUSH, Tray, permit
from tests.harness import ServerProcess
from tests.harness.front import page
from tests.harness.push_service import PushService

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def browser(windowed: Browser) -> Browser:
    return windowed


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return WEB_PUSH


class Open(NamedTuple):
    """A page whose panel is open, and what its browser shows beside it."""

    tab: Page
    tray: Tray

    @property
    def switch(self) -> Switch:
        return Switch(self.tab)

    async def turn_on(self) -> None:
        await self.switch.turn_on()
        await self.tray.watch(self.tab)


Come = Callable[..., Awaitable[Open]]


@pytest_asyncio.fixture(loop_scope="session")
async def come(house: House, enter: Enter, alice: str) -> AsyncIterator[Come]:
    """Alice in a browser of her own, with her push service."""
    async with PushService() as service:

        async def come(path: str = "/push", permitted: bool = True, **options: Any) -> Open:
            house.front.add("/push", page(f"<main><h1>Shop</h1>{BELL_WITH_PUSH}</main>"))
            visitor = await enter(alice, **options)
            tray = await Tray.of(visitor.context, service)
            if permitted:
                await permit(visitor.context, house.front.url)
            tab = await visitor.open(path)
            await open_bell(tab)
            return Open(tab, tray)

        yield come


def message(number: int, **members: object) -> dict[str, object]:
    return {"id": f"n{number}", "title": f"Order {number}", "body": "shipped", "tag": f"n{number}", **members}


# ── on and off ────────────────────────────────────────────────────────────────────────────────────────


async def test_from_the_application_to_a_browser_without_a_page(come: Come, house: House, alice: str) -> None:
    house.front.add("/empty", page("nothing here"))
    here = await come()
    await here.turn_on()
    assert await devices(house, alice) == [("webpush", "web")]
    await here.tab.goto(f"{house.front.url}/empty")
    first, _ = await house.backend.notify(alice, json.dumps({"title": "Order shipped"}), "paid")
    await here.tray.displays(2)
    await here.tray.shows("Order shipped", "New notification")
    await house.backend.http.post(f"/users/{alice}/seen", json={"notification_ids": [first]})
    await here.tray.shows("New notification")
    await here.tab.goto(f"{house.front.url}/push")
    await state_is(here.tab, "live")
    await open_bell(here.tab)
    await here.tray.shows()
    await here.switch.is_("on")
    await here.switch.turn_off()
    assert await devices(house, alice) == []
    workers = "navigator.serviceWorker.getRegistrations().then(all => all.length)"
    assert await here.tab.evaluate(workers) == 0


async def test_whatever_is_pushed_something_is_shown(come: Come) -> None:
    here = await come()
    await here.turn_on()
    pushed = ["", "{", "null", "[]", '{"title": 7}', "hello"]
    for data in pushed:
        await here.tray.push(data)
    await here.tray.shows(*["New notification"] * len(pushed))


async def test_who_logs_out_is_not_pushed_to(come: Come, house: House, alice: str) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(f"{BELL}.close()")
    await house.backend.notify(alice, json.dumps({"title": "secret"}))
    await here.tray.displays(1)
    await here.tray.shows("secret")
    await house.logout(alice)
    await state_is(here.tab, "logged-out")
    await here.tray.shows()
    await holds(here.tab, "localStorage.getItem('subscription') === null")
    await open_bell(here.tab)
    assert not await here.switch.itself.is_visible()
    # The wish stays, so that nobody need say it again after the next login.
    house.logged_out.discard(alice)
    await here.tab.get_by_role("button", name="Try now").click()
    await here.switch.is_("on")


# ── clicked, and seen ─────────────────────────────────────────────────────────────────────────────────


async def test_where_a_click_leads_an_open_page(come: Come, house: House) -> None:
    """Without an address to the panel; with one in the page's own way; else there."""
    house.front.add("/orders/7", page())
    there = f"{house.front.url}/orders/7"
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(f"{BELL}.close()")
    await here.tray.push(message(1))
    await here.tray.click("Order 1")
    await holds(here.tab, f"{BELL}.isOpen")
    await here.tab.evaluate(
        """window.clicks = []; document.addEventListener('pns-click', event => {
            event.preventDefault(); clicks.push(event.detail) }, { once: true })"""
    )
    await here.tray.push(message(2, url="/orders/7", when=1_790_000_000_000))
    await here.tray.click("Order 2")
    await holds(here.tab, "clicks.length === 1")
    (click,) = await here.tab.evaluate("clicks")
    assert click["content"] == {"title": "Order 2", "body": "shipped", "url": there, "icon": ""}
    assert click["notification"]["notification_id"] == "n2"
    assert click["notification"]["create_date"] == "2026-09-21T14:13:20.000Z"
    assert here.tab.url == f"{house.front.url}/push"
    await here.tray.push(message(3, url="/orders/7"))
    await here.tray.click("Order 3")
    await here.tab.wait_for_url(there)
    await here.tray.shows()


async def test_where_no_page_has_a_bell_a_click_opens_a_window(come: Come, house: House) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(f"{BELL}.remove()")
    for number, address in enumerate((f"{house.front.url}/orders/7", "https://example.com/x")):
        await here.tray.push(message(number, url=address))
        await here.tray.click(f"Order {number}")
        await here.tray.opens(address)


async def test_what_is_seen_in_the_page_is_not_shown_any_more(come: Come, house: House, alice: str) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(f"{BELL}.close()")
    await house.backend.notify(alice, json.dumps({"title": "Order 1"}))
    await count_is(here.tab, 1)
    await here.tray.displays(1)
    await here.tray.shows("Order 1")
    assert (await here.tab.evaluate("badges"))[-1] == 1
    await open_bell(here.tab)
    await lists(here.tab, "Order 1")
    await here.tray.shows()
    assert (await here.tab.evaluate("badges"))[-1] == 0


# ── where it cannot be ────────────────────────────────────────────────────────────────────────────────


async def test_denied_says_what_to_do_and_follows_the_settings(come: Come, house: House, alice: str) -> None:
    here = await come(permitted=False)
    await here.switch.is_("off")
    await here.switch.itself.click()
    await here.switch.is_("denied")
    assert await here.tab.get_by_text("Notifications are blocked here.").is_visible()
    assert await here.switch.itself.is_disabled()
    await here.switch.itself.click(force=True)
    await here.switch.is_("denied")
    assert await devices(house, alice) == []
    await permit(here.tab.context, house.front.url)
    await here.switch.is_("off")
    assert not await here.tab.get_by_text("Notifications are blocked here.").is_visible()


async def test_pns_on_another_origin(come: Come, house: House, tmp_path: Path) -> None:
    origin, auth = house.front.url, house.application.url
    async with ServerProcess(tmp_path, auth_url=auth, server__allowed_origins=origin, **WEB_PUSH) as far:
        bell = '<script type="module" src="{0}/bell.js"></script><pns-bell push push-worker="/my-worker.js">'
        house.front.add("/far", page(bell.format(far.url)))
        house.front.add("/my-worker.js", f'importScripts("{far.url}/push-worker.js")', "text/javascript")
        policy = f"default-src 'self'; script-src 'self' {far.url}; connect-src {far.url} ws://127.0.0.1:*"
        house.front.policy, strict = policy, house.front.policy
        try:
            here = await come("/far")
            await here.turn_on()
            await here.tray.push({"id": "n1", "body": "no title"})
            await here.tray.shows("New notification")
            await here.switch.turn_off()
        finally:
            house.front.policy = strict
