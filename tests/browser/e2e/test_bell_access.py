"""The bell without a mouse and without sight: keys, focus, announcements, and the rules of axe-core."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest
from playwright.async_api import Page

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, lists_many, open_bell, settled
from tests.harness import eventually
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOCUSED = """() => {
    let at = document.activeElement
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
    return (at?.getAttribute('part')?.split(' ')[0] ?? 'page') + ': ' + (at?.innerText ?? '').split('\\n')[0]
}"""
COLOURS = ":root { color-scheme: light dark } a { color: inherit }"
AROUND = (
    '<main><h1>Shop</h1><a href="#before">before</a>'
    '<script type="module" src="/pns/bell.js"></script><pns-bell></pns-bell><a href="#after">after</a></main>'
)


async def focus(tab: Page) -> str:
    found: str = await tab.evaluate(FOCUSED)
    return found


async def press(tab: Page, *keys: str) -> str:
    for key in keys:
        await tab.keyboard.press(key)
    return await focus(tab)


async def test_by_keyboard_alone(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/around", page(AROUND))
    house.front.add("/orders", page("<h1>Orders</h1>"))
    await house.backend.notify(alice, "one", "two", json.dumps({"title": "three", "url": "/orders"}))
    tab = await (await enter(alice)).open("/around")
    await count_is(tab, 3)
    assert (await press(tab, "Tab", "Tab")).startswith("button")
    assert (await press(tab, "Enter")).startswith("panel: Notifications")
    await lists_many(tab, 3)
    assert await press(tab, "ArrowDown") == "item: three"
    assert await press(tab, "ArrowDown", "ArrowDown") == "item: one"
    assert await press(tab, "ArrowDown") == "item: one"
    assert await press(tab, "ArrowUp") == "item: two"
    assert await press(tab, "Home") == "item: three"
    assert await press(tab, "End") == "item: one"
    assert (await press(tab, "Escape")).startswith("button")
    assert not await tab.locator("pns-bell [role=dialog]").is_visible()
    # Tab leads through the panel and out of it, and out is closed.
    await press(tab, "Space")
    await settled(tab)
    assert await press(tab, "Tab") == "read-all: "
    assert await press(tab, "Tab") == "close: "
    assert await press(tab, "Tab") == "item: three"
    assert await press(tab, "Tab") == "menu-button: "
    assert await press(tab, "Tab") == "page: after"
    await eventually(lambda: _closed(tab))
    await tab.keyboard.press("Shift+Tab")
    await press(tab, "Enter")
    await settled(tab)
    await press(tab, "ArrowDown")
    await tab.keyboard.press("Enter")
    await tab.wait_for_url("**/orders")


async def _closed(tab: Page) -> bool:
    return not await tab.locator("pns-bell [role=dialog]").is_visible()


async def test_a_click_elsewhere_closes(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/around", page(AROUND))
    tab = await (await enter(alice)).open("/around")
    await open_bell(tab)
    await tab.locator("h1").click()
    await eventually(lambda: _closed(tab))


async def test_what_a_screen_reader_is_told(house: House, enter: Enter, alice: str) -> None:
    tab = await (await enter(alice)).open()
    button = tab.get_by_role("button", name="Notifications")
    assert await button.get_attribute("aria-expanded") == "false"
    said = tab.locator("pns-bell [aria-live=polite]")
    assert await said.inner_text() == ""
    await tab.evaluate(
        f"""() => {{ window.said = []; const node = {BELL}.shadowRoot.querySelector('[aria-live]')
        new MutationObserver(() => said.push(node.textContent)).observe(node, {{ childList: true }}) }}"""
    )
    for number in range(5):
        await house.backend.notify(alice, f"{number}")
    await count_is(tab, 5)
    await tab.get_by_role("button", name="Notifications, 5 new").wait_for()
    await said.get_by_text("new notification").wait_for()
    # Five arrivals in a row are told as one, or two when the machine is slow; not each, and not the count.
    await holds(tab, "window.said.reduce((sum, text) => sum + parseInt(text), 0) === 5")
    assert len(await tab.evaluate("window.said")) < 5
    await open_bell(tab)
    assert await tab.locator("pns-bell [part~=button]").get_attribute("aria-expanded") == "true"
    assert await tab.get_by_role("dialog", name="Notifications").is_visible()
    await settled(tab)
    assert await tab.get_by_role("list", name="New").get_by_role("listitem").count() == 5


async def test_axe_finds_no_violation(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/around", page(AROUND, head=f"<style>{COLOURS}</style>"))
    visitor = await enter(alice, bypass_csp=True)
    await house.backend.notify(alice, "seen before")
    await house.backend.http.post(f"/users/{alice}/seen", json={"all": True})
    tab = await visitor.open("/around")
    await house.backend.notify(alice, "one", json.dumps({"title": "two", "body": "text", "url": "/orders"}))
    await count_is(tab, 2)
    assert await violations(tab) == []
    await open_bell(tab)
    await lists_many(tab, 3)
    assert await violations(tab) == []
    with house.front.cut():
        await tab.get_by_role("button", name="Try now").wait_for()
        assert await violations(tab) == []


async def test_axe_finds_what_is_wrong(house: House, enter: Enter, alice: str) -> None:
    unreadable = "<style>@media (prefers-color-scheme: dark) { h1 { color: #222; background: #111 } }</style>"
    house.front.add("/wrong", page(AROUND + "<button></button>", head=unreadable))
    tab = await (await enter(alice, bypass_csp=True)).open("/wrong")
    assert await violations(tab) == ["button-name: button", "color-contrast: h1"]


async def test_no_motion_for_whom_it_is_too_much(house: House, enter: Enter, alice: str) -> None:
    for motion, animation in (("reduce", "none"), ("no-preference", "in")):
        tab = await (await enter(alice, reduced_motion=motion)).open()
        await open_bell(tab)
        style = f"getComputedStyle({BELL}.shadowRoot.querySelector('#panel')).animationName"
        assert await tab.evaluate(style) == animation


async def test_right_to_left_the_panel_stays_in_the_window(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/rtl", page(AROUND, lang="ar", direction="rtl"))
    tab = await (await enter(alice, viewport={"width": 340, "height": 600})).open("/rtl")
    await open_bell(tab)
    box = await tab.locator("pns-bell [role=dialog]").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 340


# ── colours of the system, and large letters ──────────────────────────────────────────────────────────

TABBED = AROUND.replace("<pns-bell>", '<pns-bell tabs="comments,orders" badge="unread" preferences>')
PAINT = """name => {
    const [selector, pseudo] = name.split('::')
    const node = document.querySelector('pns-bell').shadowRoot.querySelector(selector)
    const style = getComputedStyle(node, pseudo ? '::' + pseudo : null)
    return [style.color, style.backgroundColor, style.borderTopWidth + style.borderTopStyle,
      style.outlineWidth + style.outlineStyle]
}"""


class Paint(NamedTuple):
    """How a part of the bell is painted."""

    text: str
    ground: str
    border: str
    outline: str


async def paint(tab: Page, selector: str) -> Paint:
    return Paint(*await tab.evaluate(PAINT, selector))


def contrast(one: str, other: str) -> float:
    """As WCAG reckons it, of two colours without transparency."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_in_the_colours_of_the_system_nothing_vanishes(
    house: House, enter: Enter, alice: str, scheme: str
) -> None:
    house.front.add("/tabbed", page(TABBED, head=f"<style>{COLOURS}</style>"))
    await house.backend.http.put("/categories/comments", json={"title": "C", "defaults": {"push": False}})
    await house.backend.notify(alice, "one", "two")
    options = {"color_scheme": scheme, "forced_colors": "active", "reduced_motion": "reduce"}
    tab = await (await enter(alice, bypass_csp=True, **options)).open("/tabbed")
    await tab.get_by_role("button", name="Notifications, 2 unread").wait_for()
    badge = await paint(tab, ".badge")
    assert contrast(badge.text, badge.ground) > 4.5
    await open_bell(tab)
    await lists_many(tab, 2)
    ground = (await paint(tab, ".panel")).ground
    assert (await paint(tab, ".panel")).border == "1pxsolid"
    dot = await paint(tab, ".dot")
    assert (dot.border, dot.ground != ground) == ("1pxsolid", True)
    assert contrast((await paint(tab, "[aria-selected=true]::after")).ground, ground) > 3
    await press(tab, "ArrowDown")
    assert (await paint(tab, "[part~=item]")).outline == "2pxsolid"
    await press(tab, "ArrowRight", "Enter")
    assert (await paint(tab, "[role=menuitem]")).outline == "2pxsolid"
    await press(tab, "End", "Enter")
    assert (await paint(tab, ".notice.on")).border == "1pxsolid"
    await tab.get_by_role("button", name="Preferences").click()
    await tab.get_by_role("switch").first.wait_for()
    on = [await paint(tab, f"[aria-checked=true] .track{part}") for part in ("", "::before")]
    off = [await paint(tab, f"[aria-checked=false] .track{part}") for part in ("", "::before")]
    assert [part.ground for part in on] == [part.ground for part in reversed(off)]
    assert contrast(on[0].ground, on[1].ground) > 3
    assert off[0].border == "1pxsolid"


INSIDE = """() => {
    const root = document.querySelector('pns-bell').shadowRoot
    const cut = [...root.querySelectorAll('button, h2, [part=item-title], [part=state] span')].filter(one => {
        const { left, right, width } = one.getBoundingClientRect()
        const out = left < 0 || right > innerWidth || one.scrollWidth > one.clientWidth + 1
        return width && one.checkVisibility() && out
    })
    const words = document.createRange()
    words.selectNodeContents(root.querySelector('h2'))
    return [document.documentElement.scrollWidth <= innerWidth, words.getClientRects().length,
        ...cut.map(one => one.outerHTML)]
}"""


@pytest.mark.parametrize(("width", "letters"), [(320, "100%"), (480, "200%"), (640, "200%")])
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
async def test_narrow_and_with_large_letters_nothing_is_cut_off(
    house: House, enter: Enter, alice: str, width: int, letters: str, direction: str
) -> None:
    head = f"<style>html {{ font-size: {letters} }}</style>"
    house.front.add("/large", page(TABBED, head=head, direction=direction))
    for name in ("comments", "orders"):
        await house.backend.http.put(f"/categories/{name}", json={"title": name.title()})
        await house.backend.notify(alice, {"notification_data": "An item", "category": name})
    visitor = await enter(alice, bypass_csp=True, viewport={"width": width, "height": 640})
    tab = await visitor.open("/large")
    await open_bell(tab)
    await lists_many(tab, 2)
    await tab.get_by_role("tab", name="Orders 1 unread").wait_for()
    assert await tab.evaluate(INSIDE) == [True, 1]
    with house.front.cut():
        await tab.get_by_role("button", name="Try now").wait_for()
        assert await tab.evaluate(INSIDE) == [True, 1]
    await tab.get_by_role("button", name="Preferences").click()
    await tab.get_by_role("group").first.wait_for()
    assert (await tab.evaluate(INSIDE))[0] is True
