"""What one item of the bell shows and does, by mouse, by keyboard and by touch."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from playwright.async_api import Locator, Page

from tests.browser.e2e.axe import violations
from tests.browser.e2e.conftest import (
    BELL,
    PATIENCE,
    Enter,
    House,
    count_is,
    holds,
    lists,
    lists_many,
    open_bell,
    state_is,
)
from tests.browser.e2e.csrf import Invitations
from tests.browser.e2e.test_bell_access import AROUND, COLOURS, focus, press
from tests.browser.e2e.test_bell_safety import ADDRESSES, MARKUP
from tests.harness import eventually
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_panel_is_fetched_when_it_is_opened_and_again_when_that_failed(
    house: House, enter: Enter, alice: str
) -> None:
    house.front.add("/empty", page("<h1>Shop</h1>"))
    await house.backend.notify(alice, "one")
    visitor = await enter(alice)
    tab = await visitor.visit("/empty")
    await tab.route("**/panel.js*", lambda route: route.abort())
    await tab.goto(house.front.url)
    await state_is(tab, "live")
    await open_bell(tab)
    line = tab.locator("pns-bell [part=state]")
    await line.get_by_text("This could not be loaded.").wait_for()
    assert await tab.get_by_role("dialog", name="Notifications").is_visible()
    # Without a line the bell says that instead, and its user may ask for both at once.
    with house.front.cut():
        await line.get_by_text("Offline").wait_for()
    await tab.unroute("**/panel.js*")
    await tab.evaluate(f"{BELL}.shadowRoot.querySelector('[part=retry]').click()")
    await lists(tab, "one")
    assert not await line.is_visible()


async def test_the_panel_is_fetched_again_without_being_asked(house: House, enter: Enter, alice: str) -> None:
    await house.backend.notify(alice, "one")
    tab = await (await enter(alice)).visit()
    await tab.route("**/panel.js*", lambda route: route.abort())
    await tab.reload()
    await state_is(tab, "live")
    await open_bell(tab)
    await tab.locator("pns-bell [part=state]", has_text="This could not be loaded.").wait_for()
    await tab.unroute("**/panel.js*")
    await lists(tab, "one")
    await holds(tab, f"{BELL}.count === 0")


def item(title: str, **members: object) -> str:
    return json.dumps({"title": title, "url": f"/{title}", **members})


def entry(tab: Page, title: str) -> Locator:
    return tab.locator("pns-bell li", has_text=title)


async def menu(tab: Page, title: str, choice: str) -> Locator:
    """Open the menu of an item; returns one of its choices."""
    await entry(tab, title).hover()
    await entry(tab, title).locator("[part=menu-button]").click()
    return tab.get_by_role("menuitem", name=choice, exact=True)


async def marked(house: House, user: str) -> dict[str, str]:
    """By title, what each notification of the application's list is: new, seen, read or archived."""

    def state(item: dict[str, Any]) -> str:
        marks = ("archived", "read", "seen")
        return next((mark for mark in marks if item.get(f"{mark}_date")), "new")

    found = await house.backend.inbox(user, limit=50)
    return {json.loads(each["notification_data"])["title"]: state(each) for each in found}


async def has_marked(house: House, user: str, **expected: str) -> None:
    """Wait until PNS has these marks, by title."""

    async def same() -> bool:
        return expected.items() <= (await marked(house, user)).items()

    try:
        await eventually(same, within=PATIENCE / 1000)
    except AssertionError:
        raise AssertionError(f"{await marked(house, user)} is not {expected}") from None


async def dots(tab: Page, *expected: str) -> None:
    """Wait until these have the dot, and no other."""
    unread = "[...root.querySelectorAll('li.unread')]"
    titles = f"{unread}.map(li => li.querySelector('[part=item-title]').textContent)"
    shown = f"{unread}.every(li => li.querySelector('.dot').checkVisibility())"
    await holds(
        tab,
        f"(() => {{ const root = {BELL}.shadowRoot;"
        f" return {titles}.join() === '{','.join(expected)}' && {shown} }})()",
    )


async def says(tab: Page, words: str) -> None:
    """Wait until the line below the list says so."""
    said = f"{BELL}.shadowRoot.querySelector('[part=notice] [role=status]').textContent"
    await holds(tab, f"{said} === {json.dumps(words)}")


async def opened(house: House, enter: Enter, user: str, *items: str, path: str = "/", **options: Any) -> Page:
    """The open bell of `user`, who has seen the items, the last one on top."""
    await house.backend.notify(user, *items)
    tab = await (await enter(user, **options)).open(path)
    await open_bell(tab)
    await lists(tab, *(json.loads(each)["title"] for each in reversed(items)))
    await holds(tab, f"{BELL}.count === 0")
    return tab


async def test_an_item_is_read_when_it_is_opened_in_whatever_way(
    house: House, enter: Enter, alice: str
) -> None:
    for path in ("/a", "/b", "/c"):
        house.front.add(path, page("<h1>there</h1>"))
    items = [item("a"), item("b"), item("c"), item("d", url=""), item("e", url="")]
    tab = await opened(house, enter, alice, *items)
    await dots(tab, "e", "d", "c", "b", "a")
    await entry(tab, "e").locator("[part~=item]").click()
    await dots(tab, "d", "c", "b", "a")
    await tab.keyboard.press("ArrowDown")
    await tab.keyboard.press("Enter")
    await dots(tab, "c", "b", "a")
    for options in ({"button": "middle"}, {"modifiers": ["Control"]}):
        title = "c" if "button" in options else "b"
        async with tab.context.expect_page():
            await entry(tab, title).locator("[part~=item]").click(**options)
    await dots(tab, "a")
    await entry(tab, "a").locator("[part~=item]").click()
    await tab.wait_for_url("**/a")
    await has_marked(house, alice, **dict.fromkeys("abcde", "read"))


async def test_a_menu_marks_archives_and_takes_back(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"), item("three"))
    await (await menu(tab, "two", "Mark as read")).click()
    await dots(tab, "three", "one")
    await has_marked(house, alice, one="seen", two="read", three="seen")
    await (await menu(tab, "two", "Mark as unread")).click()
    await dots(tab, "three", "two", "one")
    await has_marked(house, alice, two="seen")
    # A double click archives one, and neither opens nor archives what moves below the pointer.
    await (await menu(tab, "three", "Archive")).dblclick()
    await lists(tab, "two", "one")
    await says(tab, "Archived.")
    await has_marked(house, alice, one="seen", two="seen", three="archived")
    assert tab.url == house.front.url + "/"
    await tab.get_by_role("button", name="Undo").dblclick()
    await lists(tab, "three", "two", "one")
    await dots(tab, "three", "two", "one")
    await says(tab, "Taken back.")
    await has_marked(house, alice, three="seen")
    # What was read comes back as read.
    await (await menu(tab, "one", "Mark as read")).click()
    await (await menu(tab, "one", "Archive")).click()
    await has_marked(house, alice, one="archived")
    await tab.get_by_role("button", name="Undo").click()
    await has_marked(house, alice, one="read")
    await dots(tab, "three", "two")
    await tab.get_by_role("button", name="Mark all as read").dblclick()
    await dots(tab)
    await says(tab, "All marked as read.")
    await has_marked(house, alice, one="read", two="read", three="read")
    assert not await tab.get_by_role("button", name="Mark all as read").is_visible()


async def test_all_is_read_up_to_what_was_shown(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, *(item(f"n{number}") for number in range(25)))
    await tab.evaluate("Object.defineProperty(document, 'visibilityState', { value: 'hidden' })")
    await house.backend.notify(alice, item("later"))
    await holds(tab, f"{BELL}.count === 1")
    await tab.get_by_role("button", name="Mark all as read").click()
    await has_marked(house, alice, n0="read", n24="read", later="new")


async def test_by_keyboard_alone(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"), item("three"))
    await tab.keyboard.press("ArrowDown")
    assert await press(tab, "ArrowDown") == "item: two"
    assert await press(tab, "ArrowRight") == "menu-button: "
    assert await press(tab, "ArrowRight") == "menu-button: "
    assert await press(tab, "Enter") == "menu-item: Mark as read"
    assert await press(tab, "ArrowUp") == "menu-item: Archive"
    assert await press(tab, "ArrowDown") == "menu-item: Mark as read"
    assert await press(tab, "a") == "menu-item: Archive"
    assert await press(tab, "Home") == "menu-item: Mark as read"
    assert await press(tab, "End") == "menu-item: Archive"
    # Escape closes the menu, gives the focus back, and leaves the panel open.
    assert await press(tab, "Escape") == "menu-button: "
    assert await tab.get_by_role("menu").count() == 0
    assert await tab.get_by_role("dialog").is_visible()
    assert await press(tab, "Space", "Enter") == "menu-button: "
    await dots(tab, "three", "one")
    assert await press(tab, "ArrowLeft") == "item: two"
    # Where the archived one stood is the next one; at the end the one before; and at last the panel.
    assert await press(tab, "Delete") == "item: one"
    await says(tab, "Archived.")
    await has_marked(house, alice, two="archived")
    assert await press(tab, "Control+z") == "item: two"
    await has_marked(house, alice, two="read")
    assert await press(tab, "ArrowDown", "Delete") == "item: two"
    assert await press(tab, "Delete") == "item: three"
    assert (await press(tab, "Delete")).startswith("panel")
    await tab.get_by_text("Nothing here yet").wait_for()
    await has_marked(house, alice, one="archived", two="archived", three="archived")
    # Undo can be reached.
    assert await press(tab, "Shift+Tab") == "undo: Undo" or await press(tab, "Tab", "Tab") == "undo: Undo"
    assert await press(tab, "Enter") == "item: three"
    await has_marked(house, alice, three="seen")


async def test_what_pns_refuses_goes_back_with_words(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"))
    await tab.evaluate(
        f"""() => {{
        const {{ client }} = {BELL}
        client.mark = () => new Promise((_, reject) => {{ window.refuse = () => reject(new Error('no')) }})
    }}"""
    )
    await (await menu(tab, "two", "Archive")).click()
    await lists(tab, "one")
    await tab.evaluate("refuse()")
    await lists(tab, "two", "one")
    await dots(tab, "two", "one")
    await says(tab, "This could not be saved. Try again.")
    await entry(tab, "two").hover()
    await (await menu(tab, "one", "Mark as read")).click()
    await dots(tab, "two")
    await tab.evaluate("refuse()")
    await dots(tab, "two", "one")
    assert await marked(house, alice) == {"one": "seen", "two": "seen"}


async def test_the_server_is_killed_between_click_and_answer(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"), item("three"))
    await house.server.kill()
    await state_is(tab, "offline")
    await (await menu(tab, "two", "Archive")).click()
    await lists(tab, "three", "one")
    await house.server.start()
    # Meanwhile somebody else has archived another one, and withdrawn nothing.
    ids = [each["notification_id"] for each in await house.backend.inbox(alice, limit=50)]
    marks = {"as": "archived", "notification_ids": [ids[0]]}
    assert (await house.backend.http.post(f"/users/{alice}/marks", json=marks)).status_code == 200
    first = json.loads((await house.backend.inbox(alice, limit=1))[0]["notification_data"])["title"]
    await state_is(tab, "live")
    await has_marked(house, alice, two="archived")
    await lists(tab, *(title for title in ("three", "one") if title != first))


INVITATION = {
    "actions": [
        {"label": "Accept", "url": "/django/accept", "method": "POST", "style": "primary"},
        {"label": "Later", "url": "/django/later", "method": "GET"},
        {"label": "Never", "url": "/never", "method": "GET"},
    ]
}


async def test_buttons_with_the_token_of_a_django_application(house: House, enter: Enter, alice: str) -> None:
    django = Invitations(house.front)
    tab = await opened(house, enter, alice, item("old"), item("new", **INVITATION), path="/django/")
    await tab.evaluate(
        f"""() => {{ window.told = []
        {BELL}.addEventListener('pns-action', event => {{
            told.push([event.detail.action.label, event.composed, event.detail.content.title])
            if (window.keep) event.preventDefault()
        }})
    }}"""
    )
    assert await tab.locator("pns-bell [part~=action]").all_inner_texts() == ["Accept", "Later"]
    # The page may do it in its own way: nothing is sent, followed or marked.
    await tab.evaluate("window.keep = true")
    await tab.get_by_role("button", name="Accept").click()
    await tab.get_by_role("link", name="Later").click()
    await tab.evaluate("window.keep = false")
    assert (django.accepted, tab.url) == ([], f"{house.front.url}/django/")
    await dots(tab, "new", "old")
    # What the application refuses is said, and can be tried again.
    django.status = 409
    await tab.get_by_role("button", name="Accept").click()
    note = tab.locator("pns-bell [part=action-note]")
    await note.get_by_text("“Accept” did not work. Try again.").wait_for()
    django.status = 302
    await tab.get_by_role("button", name="Accept").click()
    await eventually(lambda: _times(django, 2))
    await note.get_by_text("did not work").wait_for()
    await dots(tab, "new", "old")
    django.status = 204
    await tab.get_by_role("button", name="Accept").dblclick()
    await note.get_by_text("Done: Accept").wait_for()
    await dots(tab, "old")
    assert django.accepted == [alice] * 3
    assert [label for label, *_ in await tab.evaluate("told")] == [
        "Accept",
        "Later",
        "Accept",
        "Accept",
        "Accept",
    ]
    assert (await tab.evaluate("told"))[0] == ["Accept", True, "new"]
    await has_marked(house, alice, new="read", old="seen")
    # Without the token Django refuses, and nothing was accepted.
    await house.backend.notify(alice, item("again", **INVITATION))
    await tab.get_by_role("button", name="Accept").wait_for()
    await tab.evaluate("document.querySelector('meta[name=csrf-token]').remove()")
    await tab.get_by_role("button", name="Accept").press("Enter")
    await note.get_by_text("did not work").wait_for()
    assert len(django.accepted) == 3
    assert await focus(tab) == "action: Accept"


async def _times(django: Invitations, times: int) -> bool:
    return len(django.accepted) == times


async def test_by_touch(house: House, enter: Enter, alice: str) -> None:
    options: dict[str, Any] = {
        "has_touch": True,
        "is_mobile": True,
        "viewport": {"width": 320, "height": 560},
    }
    tab = await opened(house, enter, alice, item("one"), item("two"), item("three"), **options)
    assert await tab.evaluate("document.documentElement.scrollWidth") == 320
    # A short sweep and one down the list are none.
    await sweep(tab, "three", by=(-40, 0))
    await sweep(tab, "three", by=(20, -120))
    await lists(tab, "three", "two", "one")
    await sweep(tab, "three", by=(-180, 4))
    await lists(tab, "two", "one")
    await has_marked(house, alice, three="archived", two="seen")
    await tab.get_by_role("button", name="Undo").tap()
    await lists(tab, "three", "two", "one")
    await sweep(tab, "two", by=(180, 4))
    await lists(tab, "three", "one")
    await entry(tab, "three").locator("[part=menu-button]").tap()
    await tab.get_by_role("menuitem", name="Archive").tap()
    await lists(tab, "one")
    await has_marked(house, alice, one="seen", two="archived", three="archived")
    assert tab.url == house.front.url + "/"


async def sweep(tab: Page, title: str, by: tuple[int, int]) -> None:
    """A finger goes over an item, and rests: Chromium takes no tap while something still moves."""
    await sweep_over(tab, entry(tab, title), by)


async def sweep_over(tab: Page, what: Locator, by: tuple[int, int]) -> None:
    devtools = await tab.context.new_cdp_session(tab)
    box = await what.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    begun = time.time() - 2
    for step in range(12):
        way = min(step, 8) / 8
        await devtools.send(
            "Input.dispatchTouchEvent",
            {
                "type": "touchMove" if step else "touchStart",
                "touchPoints": [{"x": x + by[0] * way, "y": y + by[1] * way}],
                "timestamp": begun + step / 10,
            },
        )
    ended = {"type": "touchEnd", "touchPoints": [], "timestamp": begun + 1.5}
    await devtools.send("Input.dispatchTouchEvent", ended)
    await devtools.detach()


GROUPED = """() => {
    const { client } = document.querySelector('pns-bell')
    const { unseen } = client
    client.unseen = async (...wish) => (await unseen.apply(client, wish)).map(item =>
        ({ ...item, group: JSON.parse(item.notification_data).group }))
}"""


def group(*names: object, members: int = 5) -> dict[str, Any]:
    latest = [{"member": "m", "data": json.dumps({"name": name})} for name in names]
    return {"times": 9, "members": members, "latest": latest}


async def test_groups_and_payloads(house: House, enter: Enter, alice: str) -> None:
    title = "{names} and {others} like it"
    items = [
        item("alone", group_title=title, group=group("Ann", members=1)),
        item("several", group_title=title, group=group("Ann", "Bob", members=3)),
        *(item("x", group_title=text, group=group("Ann")) for text in MARKUP),
        *(item("x", group_title=title, group=group(text, {"toString": 1})) for text in MARKUP),
        *(
            item("x", group_title="{names}", group={"members": 3, "latest": [{"data": text}]})
            for text in MARKUP
        ),
        *(item("x", actions=[{"label": text, "url": "/x", "method": "POST"}]) for text in MARKUP),
        *(
            item("x", actions=[{"label": "do", "url": text, "method": method}])
            for text in ADDRESSES + MARKUP
            for method in ("GET", "POST")
        ),
    ]
    tab = await (await enter(alice)).open()
    await tab.evaluate(GROUPED)
    await house.backend.notify(alice, *items)
    await open_bell(tab)
    await lists_many(tab, len(items))
    titles = await tab.locator("pns-bell [part=item-title]").all_inner_texts()
    assert titles[-2:] == ["Ann, Bob and 1 other like it", "alone"]
    facts = await tab.evaluate(
        f"""() => {{
        const all = [...{BELL}.shadowRoot.querySelectorAll('*')]
        for (const node of all) node.dispatchEvent(new MouseEvent('mouseover'))
        return {{
            ran: window.ran ?? null, tags: [...new Set(all.map(node => node.localName))],
            links: all.filter(node => node.matches('a')).map(node => node.href),
            handlers: all.flatMap(node =>
                [...node.attributes].map(each => each.name).filter(name => name.startsWith('on'))),
        }}
    }}"""
    )
    assert (facts["ran"], facts["handlers"]) == (None, [])
    assert not {"script", "img", "iframe", "style", "form", "object"} & set(facts["tags"])
    assert all(link.startswith(("http://", "https://")) for link in facts["links"])


async def test_a_group_of_several(house: House, enter: Enter, alice: str) -> None:
    likes = [
        {
            "notification_data": json.dumps(
                {"title": f"{name} likes it", "group_title": "{names} and {others} like it"}
            ),
            "notification_id": f"{alice}-{name}",
            "collapse_key": "likes",
            "group": {"member": name, "data": json.dumps({"name": name})},
        }
        for name in ("Ann", "Bob", "Cy")
    ]
    tab = await (await enter(alice)).open()
    await house.backend.notify(alice, likes[0])
    await open_bell(tab)
    await lists(tab, "Ann likes it")
    await holds(tab, f"{BELL}.count === 0")
    await tab.keyboard.press("Escape")
    # What was seen is a group of its own.
    await house.backend.notify(alice, *likes[1:], {**likes[0], "notification_id": f"{alice}-again"})
    await open_bell(tab)
    await lists(tab, "Ann, Cy and 1 other like it", "Ann likes it")
    await holds(tab, f"{BELL}.count === 0")
    # An unlike is seen in an open list, with whatever changes it next.
    gone = f"/users/{alice}/notifications/{alice}-Bob?member=Bob"
    assert (await house.backend.http.delete(gone)).status_code == 204
    await house.backend.notify(alice, "next")
    await lists(tab, "next", "Ann and 1 other like it", "Ann likes it")


async def test_a_group_that_changed_is_shown_anew_where_it_stands(
    house: House, enter: Enter, alice: str
) -> None:
    tab = await opened(house, enter, alice, item("old"), item("one", group_title="{names} and {others}"))
    await tab.keyboard.press("ArrowDown")
    await tab.evaluate(
        f"""group => {{ const {{ client }} = {BELL}, {{ seen }} = client
        client.seen = async wish => (await seen.call(client, wish)).map(item =>
            item.notification_data.includes('group_title') ? {{ ...item, group }} : item) }}""",
        group("Ann", members=3),
    )
    await house.backend.notify(alice, item("two"))
    await lists(tab, "two", "Ann and 2 others", "old")
    assert await focus(tab) == "item: Ann and 2 others"
    await dots(tab, "two", "Ann and 2 others", "old")


async def test_axe_finds_no_violation(house: House, enter: Enter, alice: str) -> None:
    house.front.add("/around", page(AROUND, head=f"<style>{COLOURS}</style>"))
    accept = {**INVITATION, "actions": [{**each, "style": "danger"} for each in INVITATION["actions"]]}
    items = [item("one"), item("two", **accept), item("three", **INVITATION)]
    tab = await opened(
        house,
        enter,
        alice,
        *items,
        path="/around",
        bypass_csp=True,
        reduced_motion="reduce",
    )
    assert await violations(tab) == []
    await menu(tab, "three", "Archive")
    assert await violations(tab) == []
    await tab.keyboard.press("Escape")
    await entry(tab, "three").get_by_role("button", name="Accept").click()
    await tab.get_by_text("did not work").wait_for()
    await (await menu(tab, "one", "Archive")).click()
    await tab.get_by_role("button", name="Undo").wait_for()
    await (await menu(tab, "two", "Mark as read")).click()
    await dots(tab, "three")
    assert await violations(tab) == []


async def test_open_lists_of_all_tabs_and_browsers_follow(house: House, enter: Enter, alice: str) -> None:
    tab = await opened(house, enter, alice, item("one"), item("two"))
    other = await (await enter(alice)).open()
    await open_bell(other)
    await lists(other, "two", "one")
    await (await menu(tab, "two", "Archive")).click()
    await lists(tab, "one")
    await house.backend.notify(alice, item("three"))
    await lists(other, "three", "one")
    await dots(other, "three", "one")
    withdrawn = (await house.backend.inbox(alice, limit=1))[0]["notification_id"]
    assert (await house.backend.http.delete(f"/users/{alice}/notifications/{withdrawn}")).status_code == 204


HELD = """element => {
    const client = element.client, ask = client.seen.bind(client)
    window.asked = 0
    const go = new Promise(resolve => { window.letGo = resolve })
    client.seen = async asked => {
        const answer = await ask(asked)
        if (!window.asked++) await go
        return answer
    }
}"""


@pytest.mark.parametrize("when", ["first", "again"])
async def test_what_changes_while_a_list_is_asked_for_is_not_lost(
    house: House, enter: Enter, alice: str, when: str
) -> None:
    """The answer is of before; what came since is asked for after it."""
    script = '<script type="module" src="/pns/bell.js"></script>'
    house.front.add("/unread", page(f'{script}<pns-bell badge="unread"></pns-bell>'))
    await house.backend.notify(alice, item("one"), item("two"), item("three"))
    one, two, _ = [each["notification_id"] for each in await house.backend.inbox(alice)]
    assert (await house.backend.http.post(f"/users/{alice}/seen", json={"all": True})).status_code == 200
    tab = await (await enter(alice)).visit("/unread")
    badge = tab.locator("pns-bell [part=badge]")
    await badge.get_by_text("3").wait_for()
    if when == "again":
        await open_bell(tab)
        await lists(tab, "three", "two", "one")
    await tab.evaluate(f"({HELD})({BELL})")
    if when == "first":
        await open_bell(tab)
        await holds(tab, "window.asked === 1")
        await archive(house, alice, one)
    else:
        await archive(house, alice, one)
        await holds(tab, "window.asked === 1")
    await archive(house, alice, two)
    await badge.get_by_text("1").wait_for()
    await tab.evaluate("window.letGo()")
    await lists(tab, "three")


async def opened_on_old(house: House, enter: Enter, user: str, number: int) -> tuple[Page, list[str]]:
    """The open bell of `user`, who saw so many long ago; and their titles, the last one on top."""
    old = [f"old {at}" for at in reversed(range(number))]
    await house.backend.notify(user, *(item(title) for title in reversed(old)))
    assert (await house.backend.http.post(f"/users/{user}/seen", json={"all": True})).status_code == 200
    tab = await (await enter(user)).open()
    await open_bell(tab)
    await lists(tab, *old[:20])
    return tab, old


async def test_older_ones_that_come_while_a_list_is_read_again_stay_its_end(
    house: House, enter: Enter, alice: str
) -> None:
    """The answer is of the pages of before: it does not put the list's end back."""
    tab, old = await opened_on_old(house, enter, alice, 22)
    newest = (await house.backend.inbox(alice, limit=50))[-1]["notification_id"]
    await tab.evaluate(f"({HELD})({BELL})")
    await archive(house, alice, newest)
    await holds(tab, "window.asked === 1")
    older = tab.get_by_text("Show older")
    await older.click()
    await lists(tab, *old)
    await older.wait_for(state="hidden")
    await tab.evaluate("window.letGo()")
    await lists(tab, *old[1:])
    assert not await older.is_visible()


async def test_whoever_asks_for_older_ones_by_keyboard_keeps_the_focus(
    house: House, enter: Enter, alice: str
) -> None:
    """The button has the focus while they are asked for, and the first of them afterwards."""
    tab, old = await opened_on_old(house, enter, alice, 45)
    focused = f"{BELL}.shadowRoot.activeElement"
    await tab.get_by_text("Show older").focus()
    await tab.keyboard.press("Enter")
    await lists(tab, *old[:40])
    await holds(tab, f"{focused}?.closest('li')?.innerText.includes('old 24')")
    await tab.evaluate(f"({HELD})({BELL})")
    await tab.get_by_text("Show older").focus()
    await tab.keyboard.press("Enter")
    await holds(tab, "window.asked === 1")
    await tab.keyboard.press("Enter")
    assert await tab.evaluate(f"{focused}.innerText") == "Show older"
    await tab.evaluate("window.letGo()")
    await lists(tab, *old)
    await holds(tab, f"{focused}?.closest('li')?.innerText.includes('old 4')")
    assert await tab.evaluate("window.asked") == 2  # the page, and that nothing is behind it
    await tab.keyboard.press("Escape")
    await tab.locator("pns-bell [role=dialog]").wait_for(state="hidden")


OPENED_MEANWHILE = """async element => {
    const turn = () => new Promise(done => setTimeout(done)), held = [], frame = window.requestAnimationFrame
    window.requestAnimationFrame = built => held.push(built)
    element.shadowRoot.querySelector('button').click()
    while (!held.length) await turn()
    window.letGo()
    await turn()
    window.requestAnimationFrame = frame
    for (const built of held) built()
}"""
"""A page that opens its panel, and is answered what HELD holds before the first items are built."""


async def test_older_ones_that_come_when_the_panel_was_opened_again_are_not_above_the_newest(
    house: House, enter: Enter, alice: str
) -> None:
    tab, old = await opened_on_old(house, enter, alice, 22)
    await tab.evaluate(f"({HELD})({BELL})")
    await tab.get_by_text("Show older").click()
    await holds(tab, "window.asked === 1")
    await tab.keyboard.press("Escape")
    await house.backend.notify(alice, item("new"))
    await count_is(tab, 1)
    await tab.evaluate(f"({OPENED_MEANWHILE})({BELL})")
    await lists(tab, "new", *old[:20])


async def test_what_the_page_s_own_item_opens_is_no_menu(house: House, enter: Enter, alice: str) -> None:
    """An entry goes whose own content is expanded: the focus stays where it is."""
    own = '<template data-item><b part="item-title" data-field="title" aria-expanded="true"></b></template>'
    script = '<script type="module" src="/pns/bell.js"></script>'
    house.front.add("/own", page(f"{script}<pns-bell>{own}</pns-bell>"))
    tab = await opened(house, enter, alice, item("one"), item("two"), path="/own")
    await tab.locator("pns-bell [part=read-all]").focus()
    await archive(house, alice, (await house.backend.inbox(alice))[0]["notification_id"])
    await lists(tab, "two")
    assert await tab.evaluate(f"{BELL}.shadowRoot.activeElement.part.contains('read-all')")


@pytest.mark.parametrize("path", ["/", "/page"])
async def test_what_moves_below_the_pointer_is_not_clicked_twice(
    house: House, enter: Enter, alice: str, path: str
) -> None:
    """The second click of a double click comes when the list is shorter, and is still one on the list."""
    link = '<a id="below" href="#pressed" style="display: block; height: 600px">below</a>'
    house.front.add(
        "/page", page(f'<script type="module" src="/pns/inbox.js"></script><pns-inbox></pns-inbox>{link}')
    )
    await house.backend.notify(alice, item("one"), item("two"), item("three"))
    tab = await (await enter(alice, bypass_csp=True)).visit(path)
    if path == "/":
        await open_bell(tab)
    listed = tab.locator("[part=item-title]:visible")
    await listed.nth(2).wait_for()
    for left in (2, 1, 0):
        row = tab.locator("[part=entry]").first
        await row.hover()
        await row.locator("[part=menu-button]").click()
        box = await tab.get_by_role("menuitem", name="Archive").bounding_box()
        assert box is not None
        await tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 4)
        await tab.mouse.down()
        await tab.mouse.up()
        await listed.nth(left).wait_for(state="hidden")
        await tab.mouse.down(click_count=2)
        await tab.mouse.up(click_count=2)
        assert await listed.count() == left
        assert not tab.url.endswith("#pressed")
        assert await tab.locator("[part=notice] [role=status]:visible").inner_text() == "Archived."


async def archive(house: House, user: str, notification_id: str) -> None:
    marks = {"as": "archived", "notification_ids": [notification_id]}
    response = await house.backend.http.post(f"/users/{user}/marks", json=marks)
    assert response.status_code == 200, response.text


async def test_a_menu_goes_where_its_button_goes(house: House, enter: Enter, alice: str) -> None:
    script = '<script type="module" src="/pns/inbox.js"></script>'
    room = '<div style="height: 40px"></div>'
    house.front.add("/long", page(f"{room}{script}<pns-inbox></pns-inbox>" + room * 100))
    await house.backend.notify(alice, *(item(f"item {number}") for number in range(9)))
    tab = await (await enter(alice, bypass_csp=True, reduced_motion="reduce")).visit("/long")
    row = tab.locator("pns-inbox li", has_text="item 4")
    await row.hover()
    button = row.locator("[part=menu-button]")
    await button.click()
    choice = tab.get_by_role("menuitem", name="Archive")
    await choice.wait_for()

    async def apart() -> float:
        top = "one => one.getBoundingClientRect().top"
        return await tab.get_by_role("menu").evaluate(top) - await button.evaluate(top)

    before = await apart()

    async def beside() -> bool:
        return await apart() == before

    for down in (30, 60, 10):
        await tab.evaluate(f"scrollTo(0, {down})")
        # A scroll is told of before the next frame is drawn.
        await tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await choice.is_visible()
        assert await apart() == before
    # What comes above moves all below.
    await house.backend.notify(alice, item("new"))
    await tab.locator("pns-inbox li", has_text="new").wait_for()
    await eventually(beside, within=PATIENCE / 1000)
    assert await choice.is_visible()
    await tab.mouse.wheel(0, 1000)
    await choice.wait_for(state="hidden")
    assert await button.evaluate("one => one.getRootNode().activeElement === one")
