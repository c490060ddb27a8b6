"""What a page may ask of the bell besides: a sound, a badge on the icon; two of them; a wrong address."""

from __future__ import annotations

import pytest

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, open_bell, settled, state_is
from tests.harness import eventually
from tests.harness.front import TWO_LINES, page

pytestmark = pytest.mark.asyncio(loop_scope="session")

STAND_INS = """
window.played = []; window.badges = []
window.Audio = class {
  constructor (address) { this.address = address }
  async play () { played.push(this.address) }
}
navigator.setAppBadge = async count => { badges.push(count) }
"""


async def test_a_sound_and_a_badge_on_the_icon(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/stand-ins.js", STAND_INS, "text/javascript")
    bell = TWO_LINES.replace("<pns-bell>", '<pns-bell sound="/ding.mp3" app-badge>')
    house.front.add("/extras", page('<script src="/stand-ins.js"></script>' + bell))
    await house.backend.notify(alice, "there before")
    tab = await (await enter(alice)).open("/extras")
    await count_is(tab, 1)
    assert await tab.evaluate("played") == []
    await house.backend.notify(alice, "now")
    await count_is(tab, 2)
    assert await tab.evaluate("played") == ["/ding.mp3"]
    await open_bell(tab)
    await count_is(tab, 0)
    assert await tab.evaluate("played") == ["/ding.mp3"]
    assert (await tab.evaluate("badges"))[-1] == 0
    assert 2 in await tab.evaluate("badges")


async def test_a_wrong_address_is_said(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/wrong-address", page(TWO_LINES.replace("<pns-bell>", '<pns-bell url="/nowhere">')))
    tab = await (await enter(alice)).visit("/wrong-address")
    await state_is(tab, "error")
    await open_bell(tab)
    await tab.locator("pns-bell [part=state]", has_text="Notifications are not available.").wait_for()
    # Put right, it goes on without a new page.
    await tab.evaluate(f"{BELL}.setAttribute('url', '/pns')")
    await state_is(tab, "live")
    await settled(tab)
    assert not await tab.locator("pns-bell [part=state]").is_visible()


@pytest.mark.parametrize("bell", ["<pns-bell></pns-bell>", ""], ids=["with a bell", "alone"])
async def test_what_a_page_is_about_is_seen_without_the_bell(
    house: House, enter: Enter, alice: str, bell: str
) -> None:
    """Once it stood in view for a second: what stands below the window waits until it is scrolled to."""
    parts = ("<br>" * 300).join(f'<pns-seen collapse-key="order:{number}"></pns-seen>' for number in (7, 8))
    script = '<script type="module" src="/pns/bell.js"></script>'
    house.front.add("/orders", page(script + bell + parts))
    for number in (7, 8, 9):
        await house.backend.notify(alice, {"notification_data": "x", "collapse_key": f"order:{number}"})
    tab = await (await enter(alice)).visit("/orders")
    await eventually(lambda: _unseen(house, alice, 2))
    assert [item["collapse_key"] for item in await house.backend.inbox(alice) if not item["seen_date"]] == [
        "order:8",
        "order:9",
    ]
    await tab.evaluate("scrollTo(0, 1e6)")
    await eventually(lambda: _unseen(house, alice, 1))


async def _unseen(house: House, user: str, count: int) -> bool:
    return bool((await house.backend.user(user))["unseen"] == count)


async def test_where_pns_has_no_web_push_there_is_no_switch(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/push", page(TWO_LINES.replace("<pns-bell>", "<pns-bell push>")))
    tab = await (await enter(alice)).open("/push")
    await open_bell(tab)
    await holds(tab, f"{BELL}.webPush?.state === 'unsupported'")
    assert not await tab.get_by_role("switch").is_visible()


async def test_two_bells_in_a_page_agree(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/two", page(TWO_LINES + "<pns-bell></pns-bell>"))
    tab = await (await enter(alice)).open("/two")
    await house.backend.notify(alice, "one")
    both = "[...document.querySelectorAll('pns-bell')].map(bell => bell.count).join()"
    await holds(tab, f"{both} === '1,1'")
    assert [device["connections"] for device in (await house.backend.user(alice))["devices"]] == [1]
    await tab.locator("pns-bell [part~=button]").nth(1).click()
    await holds(tab, f"{both} === '0,0'")


async def test_one_title_for_all_bells_and_every_script(house: House, enter: Enter, alice: str) -> None:
    """Two bells, a script that keeps a prefix, a page whose head and body are replaced by older ones."""
    prefix = """
window.writes = 0
const keep = () => {
  writes++
  if (!document.title.startsWith('* ')) document.title = `* ${document.title}`
}
new MutationObserver(keep).observe(document.head, { childList: true, subtree: true, characterData: true })
keep()
"""
    house.front.add("/prefix.js", prefix, "text/javascript")
    bells = TWO_LINES.replace("<pns-bell>", "<pns-bell title-badge>") + "<pns-bell title-badge></pns-bell>"
    house.front.add("/titles", page('<script src="/prefix.js"></script>' + bells))
    tab = await (await enter(alice)).open("/titles")
    await house.backend.notify(alice, "one")
    await holds(tab, "document.title === '* (1) Shop'")
    await tab.evaluate("window.kept = [document.head.cloneNode(true), document.body.cloneNode(true)]; ''")
    await tab.evaluate("document.title = 'Basket'")
    await holds(tab, "document.title === '(1) * Basket' || document.title === '* (1) Basket'")
    await house.backend.notify(alice, "two")
    await holds(tab, "document.title.replace('* ', '') === '(2) Basket'")
    # As Turbo does: the elements of the head and the whole body, as they once were.
    await tab.evaluate(
        "document.querySelector('title').replaceWith(kept[0].querySelector('title'));"
        "document.body = kept[1]; ''"
    )
    await holds(tab, "document.title === '* (2) Shop'")
    assert await tab.evaluate("writes") < 40
    await tab.evaluate(f"{BELL}.open(); ''")
    await holds(tab, "document.title === '* Shop'")


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_a_bell_that_the_server_has_rendered(house: House, enter: Enter, alice: str, mode: str) -> None:
    drawn = f'<template shadowrootmode="{mode}"><button>drawn by the server</button></template>'
    house.front.add(f"/drawn-{mode}", page(TWO_LINES.replace("></pns-bell>", f">{drawn}</pns-bell>")))
    await house.backend.notify(alice, "one")
    tab = await (await enter(alice)).open(f"/drawn-{mode}")
    await holds(tab, f"{BELL}.count === 1 && !document.querySelector('pns-bell template')")
    await tab.evaluate(f"{BELL}.open(); ''")
    await holds(tab, f"{BELL}.isOpen && {BELL}.count === 0")
    if mode == "open":
        assert await tab.locator("pns-bell button[part~=button]").count() == 1
        assert not await tab.get_by_text("drawn by the server").count()
