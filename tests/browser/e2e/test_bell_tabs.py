"""Tabs, the badge of what is unread, preferences, and the inbox as a page: by mouse and by keyboard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import BELL, PATIENCE, Enter, House, count_is, holds, open_bell, settled
from tests.harness import eventually
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLOURS = "<style>:root { color-scheme: light dark }</style>"
TABBED = (
    "<main><h1>Shop</h1>"
    '<script type="module" src="/pns/bell.js"></script>'
    '<pns-bell tabs="mentions, comments" badge="unread" preferences text-tab-comments="Talk"></pns-bell>'
    "</main>"
)
PAGE = (
    '<script type="module" src="/pns/inbox.js"></script>'
    '<pns-inbox tabs="mentions,comments" preferences="inbox push webhook"></pns-inbox>'
)
INBOX = "document.querySelector('pns-inbox')"
CATEGORIES: dict[str, dict[str, Any]] = {
    "comments": {"title": "Comments", "description": "Someone answers what you wrote."},
    "mentions": {"title": "Mentions", "defaults": {"push": False}},
    "security": {"title": "Security", "required": ["inbox", "push"]},
}


async def declared(house: House) -> None:
    for name, category in CATEGORIES.items():
        response = await house.backend.http.put(f"/categories/{name}", json=category)
        assert response.status_code == 204, response.text


async def notified(house: House, user: str) -> None:
    def one(title: str, category: str | None = None) -> dict[str, str]:
        return {"notification_data": json.dumps({"title": title})} | (
            {"category": category} if category else {}
        )

    await house.backend.notify(
        user, one("c1", "comments"), one("m1", "mentions"), one("m2", "mentions"), one("plain")
    )


async def shown(tab: Page, *expected: str) -> None:
    """Wait until the shown list has these titles, from above, and no other."""
    found: list[str] = []
    titles = tab.locator("[role=tabpanel]:visible [part=item-title]")

    async def same() -> bool:
        found[:] = await titles.all_inner_texts()
        return found == list(expected)

    try:
        await eventually(same, within=PATIENCE / 1000)
    except AssertionError:
        raise AssertionError(f"{found} is not {list(expected)}") from None


async def tabs_are(tab: Page, *expected: str) -> None:
    """Wait until the tabs say this: their titles and numbers."""
    found: list[str] = []

    async def same() -> bool:
        found[:] = [" ".join(text.split()) for text in await tab.get_by_role("tab").all_inner_texts()]
        return found == list(expected)

    try:
        await eventually(same, within=PATIENCE / 1000)
    except AssertionError:
        raise AssertionError(f"{found} is not {list(expected)}") from None


async def selected(tab: Page) -> str:
    """The tab that is selected, which has the focus as well."""
    return str(
        await tab.evaluate(
            "[...document.querySelectorAll('*')].map(node => node.shadowRoot?.activeElement)"
            ".find(node => node?.ariaSelected === 'true')?.firstChild.textContent"
        )
    )


async def test_tabs_have_the_numbers_of_the_server_and_follow_every_device(
    house: House, enter: Enter, alice: str
) -> None:
    house.front.add("/tabs", page(TABBED, head=COLOURS))
    house.front.add("/plain", page())
    await declared(house)
    await notified(house, alice)
    visitor = await enter(alice, bypass_csp=True)
    tab = await visitor.open("/tabs")
    other = await visitor.open("/plain")
    await tab.get_by_role("button", name="Notifications, 4 unread").wait_for()
    await tab.bring_to_front()
    await open_bell(tab)
    await tabs_are(tab, "All 4", "Mentions 2", "Talk 1", "Archived")
    await shown(tab, "plain", "m2", "m1", "c1")
    assert await violations(tab) == []
    # What was seen is not read: the badge stays, and the bell of the other tab has nothing new.
    await count_is(other, 0)
    assert await tab.locator("[part=badge]").inner_text() == "4"
    await tab.get_by_role("tab", name="Mentions").click()
    await shown(tab, "m2", "m1")
    assert await tab.get_by_role("tab", name="Mentions 2 unread").get_attribute("aria-selected") == "true"
    await tab.keyboard.press("ArrowRight")
    assert await selected(tab) == "Talk"
    await shown(tab, "c1")
    await tab.keyboard.press("Home")
    await tab.keyboard.press("ArrowLeft")
    assert await selected(tab) == "Archived"
    await shown(tab)
    await other.evaluate(f"{BELL}.client.mark({{ as: 'read', category: 'comments' }})")
    await tabs_are(tab, "All 3", "Mentions 2", "Talk", "Archived")
    archived = {"as": "archived", "category": "mentions"}
    assert (await house.backend.http.post(f"/users/{alice}/marks", json=archived)).status_code == 200
    await tabs_are(tab, "All 1", "Mentions", "Talk", "Archived")
    await shown(tab, "m2", "m1")
    await house.backend.notify(alice, {"notification_data": "new", "category": "mentions"})
    await tabs_are(tab, "All 2", "Mentions 1", "Talk", "Archived")
    assert await tab.locator("[part=badge]").inner_text() == "2"


async def test_from_right_to_left_the_arrows_are_the_other_way_round(
    house: House, enter: Enter, alice: str
) -> None:
    house.front.add("/rtl", page(TABBED.replace("<main>", '<main dir="rtl">')))
    await declared(house)
    tab = await (await enter(alice)).open("/rtl")
    await open_bell(tab)
    await tab.get_by_role("tab", name="Mentions", exact=True).wait_for()
    await tab.get_by_role("tab", name="All").focus()
    await tab.keyboard.press("ArrowLeft")
    assert await selected(tab) == "Mentions"
    await tab.keyboard.press("ArrowRight")
    assert await selected(tab) == "All"
    await tab.keyboard.press("End")
    assert await selected(tab) == "Archived"


async def test_preferences_are_switches(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/tabs", page(TABBED, head=COLOURS))
    await declared(house)
    tab = await (await enter(alice, bypass_csp=True)).open("/tabs")
    await open_bell(tab)
    await tab.get_by_role("button", name="Preferences").focus()
    await tab.keyboard.press("Enter")
    assert await tab.get_by_role("dialog", name="Preferences").is_visible()
    comments = tab.get_by_role("group", name="Talk")
    push = comments.get_by_role("switch", name="Push")
    await push.wait_for()
    assert await comments.get_by_text("Someone answers what you wrote.").is_visible()
    assert (
        await tab.get_by_role("group", name="Mentions").get_by_role("switch", name="Push").is_checked()
        is False
    )
    locked = tab.get_by_role("group", name="Security").get_by_role("switch", name="Inbox Always on")
    assert await locked.get_attribute("aria-disabled") == "true"
    assert await violations(tab) == []
    await locked.click(force=True)
    assert await locked.is_checked()
    await push.focus()
    await tab.keyboard.press("Space")
    assert await push.is_checked() is False
    await eventually(lambda: _is(house, alice, "comments", "push", False), within=20)
    # The application demands it meanwhile: the switch goes back, and says why.
    demanding = CATEGORIES["comments"] | {"required": ["inbox"]}
    assert (await house.backend.http.put("/categories/comments", json=demanding)).status_code == 204
    inbox = comments.get_by_role("switch", name="Inbox")
    await inbox.click()
    await comments.get_by_role("status").get_by_text("Always on").wait_for()
    assert await inbox.is_checked()
    assert await violations(tab) == []
    await tab.keyboard.press("Escape")
    assert not await tab.get_by_role("dialog").is_visible()
    await open_bell(tab)
    assert await tab.get_by_role("tablist").is_visible()
    await tab.get_by_role("button", name="Preferences").click()
    await comments.wait_for()
    await tab.get_by_role("button", name="Back").click()
    await tab.get_by_role("button", name="Preferences").wait_for()
    assert await tab.get_by_role("tablist").is_visible()


async def _is(house: House, user: str, category: str, channel: str, on: bool) -> bool:
    preferences = (await house.backend.http.get(f"/users/{user}/preferences")).json()["preferences"]
    return any(one["category"] == category and one[channel] is on for one in preferences)


async def test_the_inbox_as_a_page(house: House, enter: Enter, alice: str) -> None:
    head = COLOURS + '<meta name="viewport" content="width=device-width">'
    house.front.add("/inbox", page(f"<main><h1>Shop</h1>{PAGE}</main>", head=head))
    await declared(house)
    await notified(house, alice)
    size = {"width": 320, "height": 600}
    visitor = await enter(alice, bypass_csp=True, viewport=size)
    tab = await visitor.visit("/inbox")
    await shown(tab, "plain", "m2", "m1", "c1")
    await tabs_are(tab, "All 4", "Mentions 2", "Comments 1", "Archived")
    assert await tab.get_by_role("region", name="Notifications").is_visible()
    assert await violations(tab) == []
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await tab.get_by_role("button", name="Mark all as read").click()
    await tabs_are(tab, "All", "Mentions", "Comments", "Archived")
    await holds(tab, f"{INBOX}.count === 0")
    await tab.get_by_role("button", name="Preferences").click()
    await tab.get_by_role("group", name="Comments").get_by_role("switch", name="Email").wait_for()
    assert await violations(tab) == []
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await tab.get_by_role("button", name="Back").click()
    await shown(tab, "plain", "m2", "m1", "c1")
    # Nothing is left of a user who has logged out.
    await house.logout(alice)
    await tab.get_by_text("You are logged out.").wait_for()
    assert "plain" not in str(await tab.evaluate(f"{INBOX}.shadowRoot.textContent"))


async def test_who_asks_for_nothing_gets_the_bell_as_it_was(house: House, enter: Enter, alice: str) -> None:
    await notified(house, alice)
    tab = await (await enter(alice)).open()
    await count_is(tab, 4)
    assert await tab.evaluate(f"{BELL}.client.counts") is None
    await open_bell(tab)
    await settled(tab)
    assert await tab.get_by_role("tab").count() == 0
    assert await tab.get_by_role("button", name="Preferences").count() == 0
