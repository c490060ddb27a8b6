"""What a page may ask of the bell besides: a sound, a badge on the icon; two of them; a wrong address."""

from __future__ import annotations

import pytest

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, open_bell, settled, state_is
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
