"""Snoozing from the menu of a notification, by mouse, by keyboard and by touch, and the way back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Locator, Page, Route

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import (
    BELL,
    PATIENCE,
    Enter,
    House,
    count_is,
    holds,
    lists,
    open_bell,
    state_is,
)
from tests.browser.e2e.test_bell_access import AROUND, COLOURS, press
from tests.browser.e2e.test_bell_items import dots, entry, has_marked, item, opened, says
from tests.harness import eventually
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

AUCKLAND = ZoneInfo("Pacific/Auckland")
ELSEWHERE: dict[str, Any] = {"timezone_id": AUCKLAND.key, "locale": "en-NZ"}


async def pending(house: House, user: str) -> dict[str, datetime]:
    """By title, until when each notification of the user waits."""
    found = await house.backend.inbox(user, limit=50, pending="true")
    dates = {json.loads(one["notification_data"])["title"]: one["deliver_date"] for one in found}
    return {title: datetime.fromisoformat(date) for title, date in dates.items()}


async def waits(house: House, user: str, *expected: str) -> dict[str, datetime]:
    """Wait until these are pending, and no other."""

    async def same() -> bool:
        return set(await pending(house, user)) == set(expected)

    await eventually(same, within=PATIENCE / 1000)
    return await pending(house, user)


async def times(tab: Page, title: str) -> Locator:
    """Open the times of an item's menu, which knows of snoozing a moment after the list is shown."""
    button = entry(tab, title).locator("[part=menu-button]")
    choice = tab.get_by_role("menuitem", name="Snooze", exact=True)

    async def offered() -> bool:
        if await tab.get_by_role("menu").count():
            await tab.keyboard.press("Escape")
        await entry(tab, title).hover()
        await button.click()
        return await choice.count() == 1

    await eventually(offered, within=PATIENCE / 1000)
    assert await choice.get_attribute("aria-haspopup") == "menu"
    # A double click chooses no time.
    await choice.dblclick()
    heights = await tab.get_by_role("menuitem").evaluate_all("items => items.map(item => item.offsetHeight)")
    assert (len(heights), len(set(heights))) == (3, 1), "a line each"
    return tab.get_by_role("menuitem")


def mornings() -> tuple[datetime, datetime]:
    """Tomorrow and next week at nine, as the clocks in Auckland show it."""
    today = datetime.now(AUCKLAND).date()
    tomorrow, monday = today + timedelta(1), today + timedelta(7 - today.weekday())
    if monday == tomorrow:
        monday += timedelta(7)
    first, second = (datetime(day.year, day.month, day.day, 9, tzinfo=AUCKLAND) for day in (tomorrow, monday))
    return first, second


async def test_away_until_then_and_back(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"), item("three"), **ELSEWHERE)
    before = mornings()
    menu = await times(tab, "two")
    words = [" ".join(text.split()) for text in await menu.all_inner_texts()]
    assert [text[:9] for text in words] == ["In an hou", "Tomorrow ", "Next week"]
    assert ["9:00" in text for text in words[1:]] == [True, True]
    await menu.nth(1).click()
    await lists(tab, "three", "one")
    assert (await waits(house, alice, "two"))["two"] in (before[0], mornings()[0])
    said = await tab.evaluate(f"{BELL}.shadowRoot.querySelector('[part=notice] [role=status]').textContent")
    assert said.startswith("Snoozed until ")
    assert "9:00" in said
    # Taken back it is there at once, in its place, and as before: seen, not read.
    await tab.get_by_role("button", name="Undo").click()
    await lists(tab, "three", "two", "one")
    await says(tab, "Taken back.")
    await waits(house, alice)
    await has_marked(house, alice, one="seen", two="seen", three="seen")
    await lists(tab, "three", "two", "one")
    await dots(tab, "three", "two", "one")
    await count_is(tab, 0)
    # One that was read comes back as read.
    await entry(tab, "one").locator("[part~=item]").evaluate("it => it.removeAttribute('href')")
    await entry(tab, "one").locator("[part~=item]").click()
    await has_marked(house, alice, one="read")
    await (await times(tab, "one")).nth(2).click()
    assert (await waits(house, alice, "one"))["one"] in (before[1], mornings()[1])
    await tab.get_by_role("button", name="Undo").click()
    await waits(house, alice)
    await has_marked(house, alice, one="read", two="seen")
    await dots(tab, "three", "two")
    # At its time it is new again, above all others.
    begun = datetime.now(UTC)
    await (await times(tab, "two")).nth(0).click()
    hour = (await waits(house, alice, "two"))["two"]
    assert (
        begun + timedelta(hours=1)
        <= hour + timedelta(seconds=1)
        <= datetime.now(UTC) + timedelta(hours=1, seconds=1)
    )
    await tab.locator("pns-bell [part=notice]").evaluate(
        "notice => notice.classList.remove('on')"
    )  # it was read
    await arrive(house, tab, alice, "two")
    await lists(tab, "two", "three", "one")
    assert await entry(tab, "two").locator("xpath=..").get_attribute("class") == "new"
    await has_marked(house, alice, one="read", two="seen", three="seen")


async def arrive(house: House, tab: Page, user: str, title: str) -> None:
    """What is snoozed comes in now, by the wish of another device of the user."""
    found = await house.backend.inbox(user, limit=50, pending="true")
    ids = {json.loads(one["notification_data"])["title"]: one["notification_id"] for one in found}
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    message = {"snoozeNotification": {"id": ids[title], "until": now}}
    answer = await tab.context.request.post(f"{house.front.url}/pns/messages", data=message)
    assert answer.status == 200, await answer.text()


async def test_by_keyboard_and_for_a_screen_reader(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/around", page(AROUND, head=f"<style>{COLOURS}</style>"))
    options = {"bypass_csp": True, "reduced_motion": "reduce"}
    tab = await opened(house, enter, alice, item("one"), item("two"), path="/around", **options)
    await (await times(tab, "two")).first.wait_for()
    assert await violations(tab) == []
    await tab.mouse.move(0, 0)
    await tab.keyboard.press("Escape")
    assert await tab.get_by_role("menu").count() == 0
    assert await press(tab, "Enter") == "menu-item: Mark as read"
    assert await press(tab, "s") == "menu-item: Snooze"
    assert (await press(tab, "Enter")).startswith("menu-item: In an hour")
    assert (await press(tab, "t")).startswith("menu-item: Tomorrow at nine")
    assert (await press(tab, "End")).startswith("menu-item: Next week")
    assert (await press(tab, "ArrowDown")).startswith("menu-item: In an hour")
    # The focus is where the next one stands, and undo brings it back to this one.
    assert await press(tab, "Enter") == "item: one"
    await waits(house, alice, "two")
    await lists(tab, "one")
    assert await violations(tab) == []
    assert await press(tab, "Control+z") == "item: two"
    await waits(house, alice)
    await lists(tab, "two", "one")


async def test_by_touch_on_a_narrow_page_of_its_own(house: House, enter: Enter, alice: str) -> None:
    house.front.add(
        "/inbox", page('<script type="module" src="/pns/inbox.js"></script><pns-inbox></pns-inbox>')
    )
    await house.backend.notify(alice, item("one"), item("two"))
    size = {"width": 320, "height": 560}
    visitor = await enter(alice, has_touch=True, is_mobile=True, viewport=size)
    tab = await visitor.visit("/inbox")
    await holds(tab, "document.querySelector('pns-inbox').count === 0")

    async def offered() -> bool:
        if await tab.get_by_role("menu").count():
            await tab.touchscreen.tap(2, 2)
        await tab.locator("pns-inbox [part=menu-button]").first.tap()
        return await tab.get_by_role("menuitem", name="Snooze").count() == 1

    await eventually(offered, within=PATIENCE / 1000)
    await tab.get_by_role("menuitem", name="Snooze").tap()
    menu = tab.get_by_role("menu")
    box = await menu.bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= 320 - box["width"]
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await tab.get_by_role("menuitem", name="Next week").tap()
    await waits(house, alice, "two")
    await tab.get_by_role("button", name="Undo").tap()
    await waits(house, alice)
    await has_marked(house, alice, one="seen", two="seen")


async def test_what_pns_refuses_goes_back_with_words(house: House, enter: Enter, alice: str) -> None:
    """Then a node of a release before answers: nothing is offered any more."""
    tab = await opened(house, enter, alice, item("one"), item("two"))
    menu = await times(tab, "two")
    for status, code in ((422, "unknown_notification"), (422, "invalid")):
        body = json.dumps({"code": code, "detail": "no"})
        await tab.route("**/messages", partial(_answer, status, body))
        await menu.nth(0).click()
        await says(tab, "This could not be saved. Try again.")
        await tab.unroute("**/messages")
        await lists(tab, "two", "one")
        await dots(tab, "two", "one")
        assert await pending(house, alice) == {}
        if code != "invalid":
            menu = await times(tab, "two")
    await entry(tab, "two").hover()
    await entry(tab, "two").locator("[part=menu-button]").click()
    assert await tab.get_by_role("menuitem").all_inner_texts() == ["Mark as read", "Archive"]


async def _answer(status: int, body: str, route: Route) -> None:
    await route.fulfill(status=status, body=body)


async def test_a_page_whose_connection_has_begun_anew(house: House, enter: Enter, alice: str) -> None:
    """What was not known at first is asked again."""
    await house.backend.notify(alice, item("one"))
    visitor = await enter(alice)
    tab = await visitor.visit()
    await tab.route("**/messages", lambda route: route.abort())
    await state_is(tab, "live")
    await open_bell(tab)
    await lists(tab, "one")
    await tab.keyboard.press("Escape")
    await tab.unroute("**/messages")
    await open_bell(tab)
    await (await times(tab, "one")).nth(0).click()
    await waits(house, alice, "one")
    await lists(tab)
