"""Logouts of which PNS is told nothing, logins by tickets, an application that cannot make up its mind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.e2e.orders import BELL, LOOK_MS, WAYS, ChromiumProfile, Sessions, Shop, Tab
from tests.harness import Backend, HostApplication, ServerProcess, eventually
from tests.harness.front import page
from tests.harness.waiting import stays

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN = (
    "(() => { const bell = document.querySelector('pns-bell');"
    " const badge = bell?.shadowRoot?.querySelector('.badge');"
    " return `${bell?.state} ${badge?.hidden ? 0 : badge?.textContent}` })()"
)
LOOK = f"pass({LOOK_MS}); dispatchEvent(new Event('focus')); ''"
# The page's own login, which it keeps in its address.
TICKETS = """const bell = document.querySelector('pns-bell')
bell.headers = async () => ({ authorization: `Bearer ${location.search.slice(1)}` })"""

INBOX_SCRIPTS = "".join(
    f'<script type="module" src="{path}"></script>' for path in ("/seen.js", "/pns/inbox.js")
)
# As TICKETS, for the first element that has a login.
SEEN = """const seen = document.querySelector('pns-seen')
const one = document.querySelector('pns-inbox') ?? seen
one.headers = async () => ({ authorization: `Bearer ${location.search.slice(1)}` })
seen.setAttribute('collapse-key', 'order:7')
customElements.whenDefined('pns-inbox').then(() => {
  // The inbox marks what it shows by itself.
  const mark = one.client?.mark.bind(one.client)
  if (mark) one.client.mark = what => mark(what, window.asked = what.collapseKey ?? window.asked)
})"""


class Site(NamedTuple):
    """One application, of two nodes on one store, each behind a front of its own: to a browser one host."""

    shops: tuple[Shop, Shop]
    sessions: Sessions
    backend: Backend


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    sessions = Sessions()
    folder = tmp_path_factory.mktemp("logouts")
    (folder / "second").mkdir()
    async with HostApplication(sessions.decide) as application:
        settings: dict[str, Any] = {"auth_url": application.url, "auth__cache_seconds": 0}
        first = ServerProcess(folder, **settings)
        second = ServerProcess(folder / "second", store__url=f"sqlite:///{first.store}", **settings)
        async with (
            first,
            second,
            first.backend() as backend,
            Shop(first.port, sessions) as here,
            Shop(second.port, sessions) as there,
        ):
            here.add("/ticket.js", TICKETS, "text/javascript")
            here.add("/tickets", page(BELL + '<script type="module" src="/ticket.js"></script>'))
            here.add("/seen.js", SEEN, "text/javascript")
            for name, element in (("inbox", "<pns-inbox></pns-inbox>"), ("alone", "")):
                here.add(f"/seen-{name}", page(INBOX_SCRIPTS + element + "<pns-seen></pns-seen>"))
            yield Site((here, there), sessions, backend)
        assert "Traceback" not in first.output + second.output


Open = Callable[[str], Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session")
async def enter(browser: Browser) -> AsyncIterator[Callable[[str], Awaitable[Open]]]:
    """A new profile, whose tabs share a connection in a way; opens a tab at an address."""
    profiles: list[ChromiumProfile] = []

    async def enter(way: str) -> Open:
        profile = await ChromiumProfile.of(browser, way)
        profiles.append(profile)

        async def open_(address: str) -> Tab:
            tab = await profile.tab()
            await tab.go(address)
            return tab

        return open_

    yield enter
    for profile in profiles:
        await profile.close()


async def shows(tab: Tab, expected: str) -> None:
    """Wait until the bell of `tab` is in a state and has a count, such as "live 3"."""

    async def same() -> bool:
        return await tab.run(SHOWN) == expected

    try:
        await eventually(same, within=60)
    except AssertionError:
        raise AssertionError(f"{await tab.run(SHOWN)} is not {expected}") from None


async def look(tab: Tab) -> None:
    """Look at `tab`, after a while, and not while it asks: a question under way is not asked twice."""
    await tab.run("settled(60000)")
    await tab.run(LOOK)


async def faults(tab: Tab) -> list[str]:
    return [fact for fact in json.loads(await tab.run("facts()")) if fact.startswith("fault")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_logout_of_which_pns_is_told_nothing(
    site: Site, enter: Callable[[str], Awaitable[Open]], way: str
) -> None:
    here, there = site.shops
    ann = f"ann-{way}"
    await site.backend.notify(ann, "one", "two", "three")
    open_ = await enter(way)
    # The first one leads, where one has to: as long as it is there nobody else asks.
    beside = await open_(f"{here.url}/login?user={ann}")
    await shows(beside, "live 3")
    tab, looked_at, on_another_node = await open_(here.url), await open_(here.url), await open_(there.url)
    for each in (tab, looked_at, beside, on_another_node):
        await shows(each, "live 3")
    # To a page without the bell: nobody asks.
    await tab.go(f"{here.url}/logout?to=/bare")
    for each in (looked_at, beside, on_another_node):
        assert await each.run(SHOWN) == "live 3"
    await look(looked_at)
    await shows(looked_at, "logged-out 0")
    # That question had the device's cookie: all of its pages are told, looked at or not.
    await shows(on_another_node, "logged-out 0")
    await shows(beside, "logged-out 0")
    assert [*await faults(looked_at), *await faults(on_another_node)] == []


async def test_two_tabs_that_are_two_users_by_tickets_do_not_touch_each_other(
    site: Site, enter: Callable[[str], Awaitable[Open]]
) -> None:
    here, _ = site.shops
    site.sessions.users |= {"ann-token": "ann-ticket", "bob-token": "bob-ticket"}
    await site.backend.notify("ann-ticket", *(f"ann-ticket {n}" for n in range(3)))
    await site.backend.notify("bob-ticket", *(f"bob-ticket {n}" for n in range(6)))
    open_ = await enter("worker")
    hers, his = await open_(f"{here.url}/tickets?ann-token"), await open_(f"{here.url}/tickets?bob-token")
    await shows(hers, "live 3")
    await shows(his, "live 6")
    for tab in (hers, his):
        await look(tab)
    await site.backend.notify("bob-ticket", "bob-ticket 6", "bob-ticket 7")
    await shows(his, "live 8")
    await shows(hers, "live 3")
    site.sessions.expire(["bob-ticket"])
    await look(his)
    await shows(his, "logged-out 0")
    await look(hers)
    await site.backend.notify("ann-ticket", "ann-ticket 3", "ann-ticket 4")
    await shows(hers, "live 5")
    await shows(his, "logged-out 0")
    assert await faults(hers) == []


@pytest.mark.parametrize("way", WAYS)
async def test_an_application_that_flips_between_two_users_makes_no_storm(
    site: Site, enter: Callable[[str], Awaitable[Open]], way: str
) -> None:
    here, _ = site.shops
    ann = f"ann-flip-{way}"
    open_ = await enter(way)
    tabs = [await open_(f"{here.url}/login?user={ann}"), await open_(here.url)]
    for tab in tabs:
        await shows(tab, "live 0")

    def questions() -> int:
        return sum("POST /subscribe" in line for line in here.opened)

    async def looked_at() -> bool:
        # Two looks that are answered alike by chance change nothing: the next looks are not.
        for tab in tabs:
            await look(tab)
        return questions() > before + 2

    before = questions()
    site.sessions.flips = cycle([ann, f"bob-flip-{way}"])
    try:
        await eventually(looked_at, within=60)
        # Each wait is twice as long as the one before. Without waits a browser asks a hundred times a second.
        await stays(lambda: questions() < before + 60, seconds=5)
    finally:
        site.sessions.flips = None


@pytest.mark.parametrize("page_", ["inbox", "alone"])
async def test_what_a_page_is_about_is_seen_by_its_own_login(
    site: Site, enter: Callable[[str], Awaitable[Open]], page_: str
) -> None:
    """By the login of `<pns-inbox>`, or by that of `<pns-seen>`: no page has a cookie here."""
    here, _ = site.shops
    user = f"seen-{page_}"
    site.sessions.users |= {f"{user}-token": user}
    about = {"notification_data": "x", "collapse_key": "order:7", "notification_id": "about"}
    await site.backend.notify(user, about)
    open_ = await enter("worker")
    tab = await open_(f"{here.url}/seen-{page_}?{user}-token")

    async def seen() -> bool:
        facts = await site.backend.user(user)
        return bool(facts["unseen"] == 0 and sum(each["connections"] for each in facts["devices"]) == 1)

    await eventually(seen, within=60)

    async def asked() -> bool:
        return page_ == "alone" or await tab.run("window.asked ?? ''") == "order:7"

    await eventually(asked)
