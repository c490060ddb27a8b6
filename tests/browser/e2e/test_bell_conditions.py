"""The bell and `<pns-inbox>` in every state at 200 % zoom and in the system's colours; the inbox by touch."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page

from tests.browser.e2e.axe import FORCED, violations
from tests.browser.e2e.conftest import PATIENCE, Enter, House, holds, open_bell, state_is
from tests.browser.e2e.test_bell_items import INVITATION, has_marked, item, sweep_over
from tests.harness import eventually
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEAD = "<style>:root { color-scheme: light dark } body { margin: 0 }</style>"
ASKED = 'tabs="comments,orders" badge="unread" preferences="inbox push webhook"'
BOTH = (
    '<main><h1>Shop</h1><script type="module" src="/pns/bell.js"></script>'
    '<script type="module" src="/pns/inbox.js"></script>'
    f"<pns-bell {ASKED}></pns-bell><pns-inbox {ASKED}></pns-inbox></main>"
)
CATEGORIES: dict[str, dict[str, Any]] = {
    "comments": {"title": "Comments", "description": "Someone answers what you wrote, or names you."},
    "orders": {"title": "Orders and deliveries", "required": ["inbox"]},
}
INBOX = "document.querySelector('pns-inbox')"
AMISS = """scope => {
    const roots = [...document.querySelectorAll('pns-bell, pns-inbox')].map(one => one.shadowRoot)
    const shown = { visibilityProperty: true }
    const seen = one => one.checkVisibility(shown) && one.getBoundingClientRect().width > 1
    const within = roots.flatMap(one => [...one.querySelectorAll(scope)]).find(seen)
    if (!within) return ['nothing is ' + scope]
    const amiss = [], name = one => one.outerHTML.slice(0, 120)
    const controls = [...within.querySelectorAll('button, a, [tabindex="0"]')].filter(seen)
    const texts = 'h2, h3, legend, small, time, [part=item-title], [part=item-body]'
    const words = [...within.querySelectorAll(texts)]
    for (const one of [within, ...controls, ...words.filter(seen)]) {
        const { left, right } = one.getBoundingClientRect()
        if (left < -.5 || right > innerWidth + .5) amiss.push('outside: ' + name(one))
        if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) amiss.push('cut off: ' + name(one))
    }
    for (const one of controls) {
        one.scrollIntoView({ block: 'nearest' })
        const { left, right, top, bottom, width, height } = one.getBoundingClientRect()
        const hit = one.getRootNode().elementFromPoint((left + right) / 2, (top + bottom) / 2)
        const row = one.matches('[part~=item]') // may be longer than what is seen of its list
        if (!row && !one.contains(hit)) amiss.push('covered by ' + (hit && name(hit)) + ': ' + name(one))
        if (Math.min(width, height) < 24) amiss.push('small: ' + name(one))
        for (const other of controls) {
            if (one === other || one.contains(other) || other.contains(one)) continue
            if (row || other.matches('[part~=item]')) continue
            const its = other.getBoundingClientRect()
            const across = Math.min(right, its.right) - Math.max(left, its.left)
            if (across > 1 && Math.min(bottom, its.bottom) - Math.max(top, its.top) > 1)
                amiss.push('over each other: ' + name(one) + ' ' + name(other))
        }
    }
    if (document.documentElement.scrollWidth > innerWidth) amiss.push('the page is wider than its window')
    return amiss
}"""


async def filled(house: House, user: str) -> None:
    """Two categories, and for `user` a group of six, a question with buttons, and words that are long."""
    for name, category in CATEGORIES.items():
        await house.backend.http.put(f"/categories/{name}", json=category)
    long = "Donaudampfschifffahrtsgesellschaftskapitänsmütze-4711/2026"
    likes = {"title": "Ann likes it", "group_title": "{names} and {others} like your picture"}
    await house.backend.notify(
        user,
        {"notification_data": item(long, body=f"On its way: {long}"), "category": "orders"},
        item("Backup completed overnight"),
        item("Question", **INVITATION),
        item("Really?", actions=[{"label": "Remove", "url": "/remove", "method": "POST", "style": "danger"}]),
        *(
            {
                "notification_data": json.dumps(likes),
                "collapse_key": "likes",
                "category": "comments",
                "group": {"member": name, "data": json.dumps({"name": name})},
            }
            for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Alexandra-Maximiliane")
        ),
    )


async def states(tab: Page) -> AsyncIterator[str]:
    """Every state of the bell, then of the inbox: each time the selector of what is on top."""
    await state_is(tab, "live")
    await tab.get_by_role("button", name="Notifications, 5 unread").wait_for()
    await open_bell(tab)
    async for scope in _states(tab, tab.locator("pns-bell"), "[role=dialog]"):
        yield scope
    await tab.keyboard.press("Escape")
    await tab.get_by_role("dialog").wait_for(state="hidden")
    async for scope in _states(tab, tab.locator("pns-inbox"), "[role=region]"):
        yield scope


async def _states(tab: Page, element: Locator, whole: str) -> AsyncIterator[str]:
    await element.locator("[role=tabpanel]:visible [part=item-title]").nth(4).wait_for()
    await element.get_by_role("tab", name="Orders").get_by_role("img").wait_for()
    yield whole
    # The menu has all that it will have once PNS has said what it can.
    menu = tab.get_by_role("menu")

    async def offered() -> bool:
        if await menu.count():
            await tab.keyboard.press("Escape")
        await element.locator("[part=menu-button]").first.click(force=True)
        return await tab.get_by_role("menuitem", name="Snooze").count() == 1

    await eventually(offered, within=PATIENCE / 1000)
    yield "[role=menu]"
    await tab.get_by_role("menuitem", name="Snooze").click()
    await tab.get_by_role("menuitem", name="Next week").wait_for()
    yield "[role=menu]"
    await tab.keyboard.press("Escape")
    if await menu.count():
        await tab.keyboard.press("Escape")
    await element.locator("[part=menu-button]").first.click(force=True)
    await tab.get_by_role("menuitem", name="Archive").click()
    await element.get_by_role("button", name="Undo").wait_for()
    yield ".notice"
    await element.get_by_role("button", name="Undo").click()
    await element.get_by_role("tab", name="Archived").click()
    await element.locator("[role=tabpanel]:visible").get_by_text("Nothing").wait_for()
    yield whole
    await element.get_by_role("tab", name="All").click()
    await element.get_by_role("button", name="Preferences").click()
    await element.get_by_role("group").nth(1).wait_for()
    yield whole
    await element.get_by_role("button", name="Back").click()


@pytest.mark.parametrize("width", [640, 320])
async def test_at_200_percent_nothing_is_cut_off_or_covered(
    house: House, enter: Enter, alice: str, width: int
) -> None:
    """A window of 1280 pixels, or of 640, as its page sees it at this zoom."""
    house.front.add("/both", page(BOTH, head=HEAD))
    await filled(house, alice)
    size = {"width": width, "height": 400}
    visitor = await enter(
        alice, viewport=size, device_scale_factor=2, reduced_motion="reduce", bypass_csp=True
    )
    tab = await visitor.visit("/both")
    number = 0
    async for scope in states(tab):
        assert (number, scope, await tab.evaluate(AMISS, scope)) == (number, scope, [])
        number += 1
    assert number == 12


async def test_in_the_colours_of_the_system_axe_finds_no_violation(
    house: House, enter: Enter, alice: str
) -> None:
    house.front.add("/both", page(BOTH, head=HEAD))
    await filled(house, alice)
    visitor = await enter(alice, forced_colors="active", reduced_motion="reduce", bypass_csp=True)
    tab = await visitor.visit("/both")
    async for scope in states(tab):
        assert (scope, await violations(tab, FORCED)) == (scope, [])
    with house.front.cut():
        await state_is(tab, "offline")
        await open_bell(tab)
        await tab.get_by_role("button", name="Try now").first.wait_for()
        assert await violations(tab, FORCED) == []
    await state_is(tab, "live")
    await house.logout(alice)
    await tab.get_by_text("You are logged out.").first.wait_for()
    assert await violations(tab, FORCED) == []
    assert await tab.evaluate("matchMedia('(forced-colors: active)').matches")


async def test_the_inbox_by_touch(house: House, enter: Enter, alice: str) -> None:
    house.front.add(
        "/inbox", page('<script type="module" src="/pns/inbox.js"></script><pns-inbox></pns-inbox>')
    )
    house.front.add("/one", page("<h1>One</h1>"))
    await house.backend.notify(alice, item("one"), item("two"), item("three"), item("four"))
    size = {"width": 320, "height": 560}
    tab = await (await enter(alice, has_touch=True, is_mobile=True, viewport=size)).visit("/inbox")
    rows = tab.locator("pns-inbox li")

    async def lists(*expected: str) -> None:
        titles = f"[...{INBOX}.shadowRoot.querySelectorAll('[part=item-title]')].map(one => one.innerText)"
        await holds(tab, f"{titles}.join() === '{','.join(expected)}'")

    await lists("four", "three", "two", "one")
    await holds(tab, f"{INBOX}.count === 0")
    # A short sweep and one down the list are none.
    await sweep_over(tab, rows.filter(has_text="four"), (-40, 0))
    await sweep_over(tab, rows.filter(has_text="three"), (20, -120))
    await lists("four", "three", "two", "one")
    await sweep_over(tab, rows.filter(has_text="three"), (-180, 4))
    await lists("four", "two", "one")
    await has_marked(house, alice, three="archived", four="seen")
    await tab.get_by_role("button", name="Undo").tap()
    await lists("four", "three", "two", "one")
    await sweep_over(tab, rows.filter(has_text="four"), (180, 4))
    await lists("three", "two", "one")
    await rows.filter(has_text="two").locator("[part=menu-button]").tap()
    await tab.get_by_role("menuitem", name="Archive").tap()
    await lists("three", "one")
    await has_marked(house, alice, two="archived", four="archived")
    assert tab.url.endswith("/inbox")
    await rows.filter(has_text="one").locator("[part~=item]").tap()
    await tab.wait_for_url("**/one")
    await has_marked(house, alice, one="read", three="seen")
