"""The switch for Web Push in a real Chromium: on, pushed to, clicked, seen, and off again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, lists, open_bell, state_is
from tests.browser.e2e.tray import WEB_PUSH, Tray, permit
from tests.harness import ServerProcess
from tests.harness.front import page
from tests.harness.push_service import PushService

pytestmark = pytest.mark.asyncio(loop_scope="session")

BELL_WITH_PUSH = '<script type="module" src="/pns/bell.js"></script><pns-bell push></pns-bell>'
LABEL = "Notify me when this page is closed"


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return WEB_PUSH


class Open(NamedTuple):
    """A page whose panel is open, and what its browser shows beside it."""

    tab: Page
    tray: Tray

    @property
    def switch(self) -> Locator:
        return self.tab.get_by_role("switch", name=LABEL)

    async def is_(self, state: str) -> None:
        """Wait until the switch is there and in `state`."""
        await holds(self.tab, f"{BELL}.webPush?.state === '{state}'")
        assert await self.switch.is_checked() == (state == "on")

    async def turn_on(self) -> None:
        await self.is_("off")
        await self.switch.click()
        await self.is_("on")
        await self.tray.watch(self.tab)

    async def turn_off(self) -> None:
        await self.switch.click()
        await self.is_("off")


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


async def devices(house: House, user: str) -> list[tuple[str, str]]:
    """The user's devices at push networks, as PNS knows them."""
    answer = await house.backend.http.get(f"/users/{user}/devices")
    return [(device["network"], device["platform"]) for device in answer.json()["devices"]]


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
    await here.is_("on")
    await here.turn_off()
    assert await devices(house, alice) == []
    workers = "navigator.serviceWorker.getRegistrations().then(all => all.length)"
    assert await here.tab.evaluate(workers) == 0


async def test_each_page_tells_pns_again_and_all_tabs_are_in_step(
    come: Come, house: House, alice: str
) -> None:
    here = await come()
    await here.turn_on()
    told = house.front.opened
    told.clear()
    await here.tab.reload()
    await state_is(here.tab, "live")
    await open_bell(here.tab)
    await here.is_("on")
    assert told.count("POST /devices HTTP/1.1") == 1
    there = Open(await here.tab.context.new_page(), here.tray)
    await there.tab.goto(f"{house.front.url}/push")
    await open_bell(there.tab)
    await there.is_("on")
    await there.turn_off()
    await here.is_("off")
    assert await devices(house, alice) == []


async def test_the_worker_controls_no_page(come: Come, house: House) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.reload()
    assert await here.tab.evaluate("navigator.serviceWorker.controller") is None
    scopes = "navigator.serviceWorker.getRegistrations().then(all => all.map(one => one.scope))"
    assert await here.tab.evaluate(scopes) == [f"{house.front.url}/pns/push-worker.js/"]


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
    assert not await here.switch.is_visible()
    # The wish stays, so that nobody need say it again after the next login.
    house.logged_out.discard(alice)
    await here.tab.get_by_role("button", name="Try now").click()
    await here.is_("on")


async def test_who_logs_out_during_a_start_is_not_pushed_to(come: Come, house: House, alice: str) -> None:
    here = await come()
    await here.turn_on()
    paused = asyncio.Event()

    async def hold(route: Route) -> None:
        await paused.wait()
        await route.continue_()

    networks = "**/devices/networks"
    await here.tab.route(networks, hold)
    async with here.tab.expect_request(networks):
        await here.tab.evaluate(f"void (window.started = {BELL}.webPush.start())")
    assert await here.tab.evaluate(f"{BELL}.webPush.pause()") == "unknown"
    paused.set()
    assert await here.tab.evaluate("started") == "unknown"
    assert await devices(house, alice) == []
    assert await here.tab.evaluate("localStorage.getItem('subscription')") is None


# ── clicked, and seen ─────────────────────────────────────────────────────────────────────────────────


async def test_a_click_leads_an_open_page_there(come: Come, house: House) -> None:
    house.front.add("/orders/7", page())
    here = await come()
    await here.turn_on()
    await here.tray.push(message(1, url="/orders/7"))
    await here.tray.click("Order 1")
    await here.tab.wait_for_url(f"{house.front.url}/orders/7")
    await here.tray.shows()


async def test_a_page_may_follow_a_click_in_its_own_way(come: Come, house: House) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(
        """window.clicks = []; document.addEventListener('pns-click', event => {
            event.preventDefault(); clicks.push(event.detail) })"""
    )
    await here.tray.push(message(1, url="/orders/7", when=1_790_000_000_000))
    await here.tray.click("Order 1")
    await holds(here.tab, "clicks.length === 1")
    (click,) = await here.tab.evaluate("clicks")
    there = f"{house.front.url}/orders/7"
    assert click["content"] == {"title": "Order 1", "body": "shipped", "url": there, "icon": ""}
    assert click["notification"]["notification_id"] == "n1"
    assert click["notification"]["create_date"] == "2026-09-21T14:13:20.000Z"
    assert here.tab.url == f"{house.front.url}/push"


async def test_a_click_that_leads_nowhere_opens_the_panel(come: Come) -> None:
    here = await come()
    await here.turn_on()
    await here.tab.evaluate(f"{BELL}.close()")
    await here.tray.push(message(1))
    await here.tray.click("Order 1")
    await holds(here.tab, f"{BELL}.isOpen")


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
    await here.is_("off")
    await here.switch.click()
    await here.is_("denied")
    assert await here.tab.get_by_text("Notifications are blocked here.").is_visible()
    assert await here.switch.is_disabled()
    await here.switch.click(force=True)
    await here.is_("denied")
    assert await devices(house, alice) == []
    await permit(here.tab.context, house.front.url)
    await here.is_("off")
    assert not await here.tab.get_by_text("Notifications are blocked here.").is_visible()


async def test_a_push_service_that_is_away_is_said(come: Come, house: House, alice: str) -> None:
    here = await come()
    await here.is_("off")
    refuse = "throw new DOMException('', 'AbortError')"
    await here.tab.evaluate(f"() => {{ PushManager.prototype.subscribe = async () => {{ {refuse} }} }}")
    await here.switch.click()
    await here.tab.get_by_text("This could not be changed.").wait_for()
    await here.is_("off")
    assert await here.tab.evaluate(f"{BELL}.webPush.problem") == "AbortError"
    assert await devices(house, alice) == []


async def test_a_page_without_https_has_no_switch(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/push", page(BELL_WITH_PUSH))
    insecure = house.front.url.replace("127.0.0.1", "shop.test")
    visitor = await enter(alice)
    await visitor.context.add_cookies([{"name": "user", "value": alice, "url": insecure}])
    tab = await visitor.visit()
    await tab.goto(f"{insecure}/push")
    await state_is(tab, "live")
    assert not await tab.evaluate("isSecureContext")
    await open_bell(tab)
    await holds(tab, f"{BELL}.webPush?.state === 'unsupported'")
    assert not await tab.get_by_role("switch").is_visible()


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
            await here.turn_off()
        finally:
            house.front.policy = strict


async def test_the_code_is_fetched_only_where_the_page_asks_for_it(come: Come) -> None:
    here = await come("/")
    fetched = "performance.getEntriesByType('resource').some(one => /push/.test(one.name))"
    assert not await here.tab.evaluate(fetched)
    assert await here.tab.evaluate(f"{BELL}.webPush") is None
    await here.tab.evaluate(f"{BELL}.setAttribute('push', '')")
    await here.is_("off")
    assert await here.tab.evaluate(fetched)
    await here.tab.evaluate(f"{BELL}.removeAttribute('push')")
    await holds(here.tab, f"{BELL}.webPush === null")
    assert not await here.switch.is_visible()


# ── without a mouse, and without sight ────────────────────────────────────────────────────────────────


async def test_by_keyboard_alone(come: Come, house: House) -> None:
    house.front.add("/around", page(f"{BELL_WITH_PUSH}<button>Buy</button>"))
    here = await come("/around")
    await here.is_("off")
    for key in ("Tab", "Tab", "Space"):
        await here.tab.keyboard.press(key)
    await here.is_("on")
    await here.tab.keyboard.press("Enter")
    await here.is_("off")
    assert await here.tab.evaluate(f"{BELL}.isOpen")
    await here.tab.keyboard.press("Tab")
    await holds(here.tab, f"!{BELL}.isOpen")


@pytest.mark.parametrize(("scheme", "direction"), [("light", "ltr"), ("dark", "rtl")])
async def test_axe_finds_no_violation(come: Come, house: House, scheme: str, direction: str) -> None:
    head = '<meta name="color-scheme" content="light dark">'
    body = f"<main><h1>Shop</h1>{BELL_WITH_PUSH}</main>"
    house.front.add(f"/{direction}", page(body, direction=direction, head=head))
    here = await come(f"/{direction}", color_scheme=scheme, bypass_csp=True)
    await here.is_("off")
    assert await violations(here.tab) == []
    await here.switch.click()
    await here.is_("on")
    assert await violations(here.tab) == []


async def test_axe_finds_no_violation_where_it_is_denied(come: Come) -> None:
    here = await come(permitted=False, bypass_csp=True)
    await here.is_("off")
    await here.switch.click()
    await here.is_("denied")
    assert await violations(here.tab) == []
