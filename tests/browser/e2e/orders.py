"""Orders of what may happen to a browser's login, in two tabs of a site whose pages watch what they paint.

The site is an application with sessions, which tells PNS nothing of a login or a logout, and a PNS behind it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from http.cookies import SimpleCookie
from itertools import count, product
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol, Self
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
from playwright.async_api import Browser, BrowserContext, Page
from rich.console import Console
from rich.progress import track

from tests.harness import Backend, eventually
from tests.harness.application import Asked, Reply
from tests.harness.bidi import DrivenFirefox, Window
from tests.harness.front import Front, page

WATCH = (Path(__file__).parent / "watch.js").read_text()
WAYS = {
    "worker": "",
    "locks": "delete window.SharedWorker;",
    "alone": "delete window.SharedWorker; delete Navigator.prototype.locks;",
}
"""How tabs share a connection: what a browser without the better ways lacks."""
SETTLING = 400
"""Milliseconds for which an event is waited for. What is asserted holds at any moment: no end is needed."""
CLOSING_SECONDS = 5
LOOK_MS = 11_000
"""Longer than a page that is looked at again waits before it asks again."""
BELL = '<script type="module" src="/pns/bell.js"></script><pns-bell title-badge toast max="9999"></pns-bell>'
# The panel is open, and marks nothing, so that each user keeps a count.
LIST = """const bell = document.querySelector('pns-bell')
bell.client.markSeen = async () => { throw new Error('not now') }
bell.open()"""
UNSEEN = {"ann": 3, "bob": 6}


# ── the site ──────────────────────────────────────────────────────────────────────────────────────────


class Sessions:
    """Who is logged in, by the cookie `session`, or by a header `authorization: Bearer <user>`."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.flips: Iterator[str] | None = None
        """Where it is set, whom the application names at each question."""

    def decide(self, asked: Asked) -> Reply:
        bearer = asked.get("authorization", "").removeprefix("Bearer ")
        user = self.users.get(_session(asked.get("cookie", "")) or bearer)
        if user and self.flips is not None:
            user = next(self.flips)
        return (200, msgspec.json.encode({"user_id": user})) if user else (401, b"{}")

    def expire(self, users: Iterable[str]) -> None:
        """The sessions of `users` are over; their browsers are not told."""
        for token in [token for token, user in self.users.items() if user in users]:
            del self.users[token]


def _session(cookie: str) -> str:
    morsel = SimpleCookie(cookie).get("session")
    return morsel.value if morsel else ""


class Shop(Front):
    """Pages with the bell: "/", "/list" where it is open. A form leads to /login?user=…&to=… or /logout."""

    def __init__(self, pns_port: int, sessions: Sessions) -> None:
        super().__init__(pns_port)
        self._sessions = sessions
        self.pages["/"] = ("text/html", page(BELL))
        self.pages["/list"] = ("text/html", page(BELL + '<script type="module" src="/list.js"></script>'))
        self.pages["/list.js"] = ("text/javascript", LIST)
        self.pages["/bare"] = ("text/html", page("Goodbye"))

    def answer(self, target: str, head: str) -> bytes:
        path, _, query = target.partition("?")
        if path not in ("/login", "/logout"):
            return super().answer(target, head)
        fields = {name: values[0] for name, values in parse_qs(query).items()}
        lines = (line.partition(":") for line in head.split("\r\n"))
        former = next((value for name, _, value in lines if name.lower() == "cookie"), "")
        self._sessions.users.pop(_session(former), None)
        if path == "/login":
            token = uuid4().hex
            self._sessions.users[token] = fields["user"]
            cookie = f"session={token}; Path=/; HttpOnly; SameSite=Lax"
        else:
            cookie = "session=; Path=/; Max-Age=0"
        return (
            f"HTTP/1.1 303 See Other\r\nlocation: {fields.get('to', '/')}\r\nset-cookie: {cookie}\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n"
        ).encode()


# ── browsers ──────────────────────────────────────────────────────────────────────────────────────────


class Tab(Protocol):
    async def go(self, address: str, *, hurry: bool = False) -> None:
        """To `address`; in a `hurry` without a wait for all that is loaded there."""

    async def run(self, expression: str) -> str:
        """The text that `expression`, or its promise, is in the page."""

    async def front(self) -> None:
        """Look at it."""

    async def close(self) -> None: ...


class Profile(Protocol):
    """A browser with cookies, storage and workers of its own."""

    async def tab(self) -> Tab: ...
    async def close(self) -> None: ...


class ChromiumTab:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def go(self, address: str, *, hurry: bool = False) -> None:
        await self._page.goto(address, wait_until="commit" if hurry else "load")

    async def run(self, expression: str) -> str:
        return str(await self._page.evaluate(expression))

    async def front(self) -> None:
        await self._page.bring_to_front()

    async def close(self) -> None:
        # Chromium does not always tell the end of a tab that is closed while it loads.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._page.close()


class ChromiumProfile:
    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    @classmethod
    async def of(cls, browser: Browser, way: str) -> Self:
        context = await browser.new_context()
        await context.add_init_script(WATCH + WAYS[way])
        return cls(context)

    async def tab(self) -> ChromiumTab:
        return ChromiumTab(await self._context.new_page())

    async def close(self) -> None:
        await self._context.close()


async def firefox_profile(firefox: DrivenFirefox, way: str) -> Window:
    return await Window.of(firefox, WATCH + WAYS[way])


# ── what happens ──────────────────────────────────────────────────────────────────────────────────────


class Desk:
    """A profile with two places for tabs. Each order has two users of its own."""

    _numbers = count(1)

    def __init__(self, profile: Profile, shop: Shop, sessions: Sessions, backend: Backend) -> None:
        self._profile = profile
        self._shop = shop
        self._sessions = sessions
        self._backend = backend
        self._paths = ("/", "/list")
        self.tabs: list[Tab | None] = [None, None]
        self.users = {"ann": "", "bob": ""}
        self.hurry = False

    async def begin(self) -> None:
        """Two new users, each with something unseen and something seen; Ann is logged in in both tabs."""
        number = next(self._numbers)
        # The panel is open in one tab, one tab is the first, and neither is always the same.
        self._paths = ("/", "/list") if number % 2 else ("/list", "/")
        first = number // 2 % 2
        self.users = {name: f"{name}-{number}" for name in self.users}
        await asyncio.gather(*map(self._furnish, self.users))
        self.hurry = True
        await self.submit(first, "ann")
        self.hurry = False
        await self.open(1 - first)

    async def _furnish(self, name: str) -> None:
        user = self.users[name]
        first = await self._backend.notify(user, f"{user} seen before")
        marked = await self._backend.http.post(f"/users/{user}/seen", json={"notification_ids": first})
        assert marked.status_code < 300, marked.text
        await self._backend.notify(user, *(f"{user} {n}" for n in range(UNSEEN[name])))

    async def news(self) -> None:
        """Both users get something: an even number, so that it stays clear whose a count is."""
        users = self.users.values()
        await asyncio.gather(*(self._backend.notify(user, f"{user} new", f"{user} new") for user in users))

    async def submit(self, place: int, user: str) -> None:
        """A form in a tab logs in as ann or bob, or "": out. Where there is no tab there is one then."""
        form = f"/login?user={self.users[user]}&" if user else "/logout?"
        await self._go(place, f"{form}to={self._paths[place]}")

    async def expire(self, place: int) -> None:
        self._sessions.expire(self.users.values())

    async def open(self, place: int) -> None:
        await self._go(place, self._paths[place])

    async def close(self, place: int) -> None:
        tab, self.tabs[place] = self.tabs[place], None
        if tab is not None:
            await tab.close()

    async def look(self, place: int) -> None:
        """The tab is looked at, after a while.

        A headless Chromium has all tabs in focus and in view at any time, so that the event has to be told to
        the page; in Firefox both come by themselves as well.
        """
        tab = self.tabs[place]
        if tab is not None:
            await tab.front()
            await tab.run(f"pass({LOOK_MS}); dispatchEvent(new Event('focus')); ''")

    async def settle(self) -> None:
        open_ = [tab for tab in self.tabs if tab is not None]
        await asyncio.gather(*(tab.run(f"settled({SETTLING})") for tab in open_))

    async def facts(self) -> set[str]:
        """What has been noted until now by all pages of the profile."""
        tab = next((tab for tab in self.tabs if tab is not None), None)
        if tab is None:
            await self.open(0)
            return await self.facts()
        return set(json.loads(await tab.run("facts()")))

    async def prove(self) -> None:
        """What either user has is painted and noted, however long that takes: the pages are watched."""
        await self.begin()
        for name in self.users:
            await self.submit(self._paths.index("/list"), name)
            noted = {f"painted {what} {name}" for what in ("count", "title")}
            noted.add(f"painted text {name}")

            async def all_noted(noted: set[str] = noted) -> bool:
                return noted <= await self.facts()

            await eventually(all_noted, within=60)

    async def end(self) -> None:
        await self._profile.close()

    async def _go(self, place: int, path: str) -> None:
        tab = self.tabs[place]
        if tab is None:
            tab = self.tabs[place] = await self._profile.tab()
        # Whatever a user does is done in the tab in view.
        await tab.front()
        await tab.go(self._shop.url + path, hurry=self.hurry)


EVENTS: dict[str, Callable[[Desk, int], Awaitable[None]]] = {
    "Ann logs in": lambda desk, place: desk.submit(place, "ann"),
    "Bob logs in over her": lambda desk, place: desk.submit(place, "bob"),
    "logout": lambda desk, place: desk.submit(place, ""),
    "session expired": Desk.expire,
    "tab opened": Desk.open,
    "tab closed": Desk.close,
    "focused": Desk.look,
}


class Step(NamedTuple):
    """An event in one of two places."""

    event: str
    place: int


Order = tuple[Step, ...]
STEPS = [
    Step(event, place) for event in EVENTS for place in (0, 1) if place == 0 or event != "session expired"
]


def every(length: int) -> list[Order]:
    """Every order of `length` steps; without those where a tab that is not there is closed or looked at.

    The two tabs are alike at the beginning. Of two orders that differ by an exchange of the tabs, the order
    that begins in tab 0 stands for both.
    """
    return [order for order in product(STEPS, repeat=length) if _happens(order) and _begins_in_tab_0(order)]


def _begins_in_tab_0(order: Order) -> bool:
    return next((place for event, place in order if event != "session expired"), 0) == 0


def _happens(order: Order) -> bool:
    there = [True, True]
    for event, place in order:
        if event in ("tab closed", "focused") and not there[place]:
            return False
        if event != "session expired":
            there[place] = event != "tab closed"
    return True


def some(number: int, length: int, seed: int) -> list[Order]:
    """As many random orders, always the same."""
    random = Random(seed)
    found: list[Order] = []
    while len(found) < number:
        order = tuple(random.choice(STEPS) for _ in range(length))
        if _happens(order):
            found.append(order)
    return found


# ── running them ──────────────────────────────────────────────────────────────────────────────────────


async def run(
    orders: list[Order],
    enter: Callable[[], Awaitable[Desk]],
    *,
    desks: int,
    random: Random | None = None,
    hurried: Collection[Order] = (),
) -> dict[str, Order]:
    """Run all `orders`, at as many desks at once; returns each fault, with the order in which it came.

    The first desk proves that the pages are watched. With `random` the steps of `hurried` orders come in a
    hurry, and news between them. `pytest -s` shows how far it is.
    """
    faults: dict[str, Order] = {}
    waiting = iter(track([*orders, *hurried], "Orders", console=Console(stderr=True)))

    async def work(first: bool) -> None:
        desk = await enter()
        if first:
            await desk.prove()
        for order in waiting:
            await _perform(desk, order, random if order in hurried else None)
            for fact in await desk.facts():
                if fact.startswith("fault "):
                    faults.setdefault(fact, order)
        await desk.end()

    async with asyncio.TaskGroup() as group:
        for number in range(min(desks, len(orders) + len(hurried))):
            group.create_task(work(first=number == 0))
    return faults


async def _perform(desk: Desk, order: Order, random: Random | None) -> None:
    await desk.begin()
    await desk.settle()
    for event, place in order:
        desk.hurry = random is not None and random.random() < 0.5
        await EVENTS[event](desk, place)
        if random is not None and random.random() < 0.3:
            await desk.news()
        if not desk.hurry:
            await desk.settle()
    desk.hurry = False
    await desk.settle()
