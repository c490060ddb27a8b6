"""The switch for Web Push in its page: tabs in step, without a mouse, without sight, and where it cannot be.

Nothing is pushed here. The engine without windows shows no notification: it answers a page that asks for the
permission with what a test has it answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Route

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import BELL, Enter, House, holds, open_bell, state_is
from tests.browser.e2e.switch import BELL_WITH_PUSH, Switch, devices
from tests.browser.e2e.tray import WEB_PUSH, Tray
from tests.harness.front import page
from tests.harness.push_service import PushService

pytestmark = pytest.mark.asyncio(loop_scope="session")

PERMISSION = """(() => {
  let permission = 'ANSWER' === 'granted' ? 'granted' : 'default'
  Object.defineProperty(Notification, 'permission', { get: () => permission })
  Notification.requestPermission = async () => (permission = 'ANSWER')
})()"""


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return WEB_PUSH


Come = Callable[..., Awaitable[Switch]]


@pytest_asyncio.fixture(loop_scope="session")
async def come(house: House, enter: Enter, alice: str) -> AsyncIterator[Come]:
    """Alice in a browser of her own, whose permission is "granted", or asked for and then "denied"."""
    async with PushService() as service:

        async def come(path: str = "/push", answer: str = "granted", **options: Any) -> Switch:
            house.front.add("/push", page(f"<main><h1>Shop</h1>{BELL_WITH_PUSH}</main>"))
            visitor = await enter(alice, **options)
            await Tray.of(visitor.context, service)
            await visitor.context.add_init_script(PERMISSION.replace("ANSWER", answer))
            tab = await visitor.open(path)
            await open_bell(tab)
            return Switch(tab)

        yield come


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
    there = Switch(await here.tab.context.new_page())
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


async def test_a_push_service_that_is_away_is_said(come: Come, house: House, alice: str) -> None:
    here = await come()
    await here.is_("off")
    refuse = "throw new DOMException('', 'AbortError')"
    await here.tab.evaluate(f"() => {{ PushManager.prototype.subscribe = async () => {{ {refuse} }} }}")
    await here.itself.click()
    await here.tab.get_by_text("This could not be changed.").wait_for()
    await here.is_("off")
    assert await here.tab.evaluate(f"{BELL}.webPush.problem") == "AbortError"
    assert await devices(house, alice) == []


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
    assert not await here.itself.is_visible()


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


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
async def test_axe_finds_no_violation(come: Come, house: House, direction: str) -> None:
    head = '<meta name="color-scheme" content="light dark">'
    body = f"<main><h1>Shop</h1>{BELL_WITH_PUSH}</main>"
    house.front.add(f"/{direction}", page(body, direction=direction, head=head))
    here = await come(f"/{direction}", bypass_csp=True)
    await here.is_("off")
    assert await violations(here.tab) == []
    await here.itself.click()
    await here.is_("on")
    assert await violations(here.tab) == []


async def test_axe_finds_no_violation_where_it_is_denied(come: Come) -> None:
    here = await come(answer="denied", bypass_csp=True)
    await here.is_("off")
    await here.itself.click()
    await here.is_("denied")
    assert await violations(here.tab) == []
