"""A real Chromium for all tests here, and for each file a PNS behind a front with strict pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.harness import Backend, HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie
from tests.harness.front import Front, page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    # Fewer processes: a third less work for each page.
    "--in-process-gpu",
    "--renderer-process-limit=1",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name of this machine that is no loopback address: what a browser takes for insecure.
    "--host-resolver-rules=MAP shop.test 127.0.0.1",
]
# A line that is down, or a login that is over, is said by the browser itself.
_NETWORK = re.compile(r"Failed to load resource|WebSocket connection to|net::ERR_|ERR_INCOMPLETE_CHUNKED")
PATIENCE = 40_000.0
"""Milliseconds: a page gives up a worker that says nothing after ten seconds, then goes another way."""


def chromium() -> str:
    found = shutil.which("chromium")
    assert found, "the tests of the bell need Chromium: make packages"
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        await browser.close()


class House(NamedTuple):
    """PNS, the application that knows its users by the cookie `user`, and what stands before them."""

    application: HostApplication
    server: ServerProcess
    backend: Backend
    front: Front
    logged_out: set[str]

    async def logout(self, user: str) -> None:
        """The application ends the sessions of `user`, and says so."""
        self.logged_out.add(user)
        response = await self.backend.http.delete(f"/users/{user}/connections")
        assert response.status_code == 202


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """What a file's PNS has set, for files that have their own."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> AsyncIterator[House]:
    logged_out: set[str] = set()

    def decide(asked: Asked) -> Reply:
        reply = by_cookie(asked)
        return (
            (401, b"{}") if any(f"user={user}" in asked.get("cookie", "") for user in logged_out) else reply
        )

    folder = tmp_path_factory.mktemp("house")
    async with (
        HostApplication(decide) as application,
        ServerProcess(folder, auth_url=application.url, auth__cache_seconds=0, **settings) as server,
        server.backend() as backend,
        Front(server.port) as front,
    ):
        front.add("/", page())
        yield House(application, server, backend, front, logged_out)
        assert "Traceback" not in server.output, server.output


class Visitor:
    """A browser (a profile of its own), logged in as `user`; `problems` is all that went wrong in it."""

    def __init__(self, context: BrowserContext, site: str, user: str) -> None:
        self.context = context
        self.user = user
        self.problems: list[str] = []
        self._site = site

    async def login(self, user: str) -> None:
        self.user = user
        await self.context.add_cookies([{"name": "user", "value": user, "url": self._site}])

    async def open(self, path: str = "/") -> Page:
        """A new tab at `path`, as soon as its bell is live."""
        tab = await self.visit(path)
        await state_is(tab, "live")
        return tab

    async def visit(self, path: str = "/") -> Page:
        tab = await self.context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("console", lambda message: self._said(message.type, message.text))
        tab.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        await tab.add_init_script(
            "document.addEventListener('securitypolicyviolation', event => "
            "console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
        )
        await tab.goto(self._site + path)
        return tab

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and not _NETWORK.search(text):
            self.problems.append(text)


Enter = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(loop_scope="session")
async def enter(browser: Browser, house: House) -> AsyncIterator[Enter]:
    """Enter as a user with a browser of one's own. Whatever goes wrong in a page fails the test."""
    visitors: list[Visitor] = []

    async def enter(user: str, **options: Any) -> Visitor:
        visitor = Visitor(await browser.new_context(**options), house.front.url, user)
        visitors.append(visitor)
        await visitor.login(user)
        return visitor

    yield enter
    for visitor in visitors:
        await visitor.context.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest.fixture
def alice() -> str:
    """A user of this test alone."""
    return f"alice-{uuid4().hex[:8]}"


BELL = "document.querySelector('pns-bell')"


async def holds(tab: Page, expression: str) -> None:
    """Wait until `expression` is true in `tab`. Playwright's own way needs eval, which the pages forbid."""

    async def true() -> bool:
        return bool(await tab.evaluate(expression))

    try:
        await eventually(true, within=PATIENCE / 1000)
    except AssertionError:
        facts = await tab.evaluate(f"[{BELL}?.state, {BELL}?.count, {BELL}?.shadowRoot?.textContent]")
        raise AssertionError(f"not true in time: {expression}; the bell: {facts}") from None


async def state_is(tab: Page, state: str) -> None:
    """Wait until the bell of `tab` is in `state`."""
    await holds(tab, f"{BELL}?.state === '{state}'")


async def lists(tab: Page, *expected: str) -> None:
    """Wait until the panel of `tab` lists these titles, from above, and no other."""
    found: list[str] = []

    async def same() -> bool:
        found[:] = await titles(tab)
        return found == list(expected)

    try:
        await eventually(same, within=PATIENCE / 1000)
    except AssertionError:
        raise AssertionError(f"{found} is not {list(expected)}") from None


async def lists_many(tab: Page, expected: int) -> None:
    """Wait until the panel of `tab` lists as many items."""
    await holds(tab, f"{BELL}.shadowRoot.querySelectorAll('li').length === {expected}")


async def count_is(tab: Page, count: int) -> None:
    """Wait until the bell of `tab` shows `count`, on its badge and as its property."""
    shown = str(count) if count else ""
    await holds(
        tab,
        f"(() => {{ const bell = {BELL}, badge = bell?.shadowRoot?.querySelector('[part=badge]');"
        f" return bell?.count === {count} && (badge?.hidden ? '' : badge?.textContent) === '{shown}' }})()",
    )


async def titles(tab: Page, part: str = "item-title") -> list[str]:
    """What the panel lists, from above."""
    return await tab.locator(f"pns-bell [part={part}]").all_inner_texts()


async def open_bell(tab: Page) -> None:
    await tab.locator("pns-bell [part~=button]").click()
    await tab.locator("pns-bell [role=dialog]").wait_for()


async def settled(tab: Page) -> None:
    """Wait until the panel of `tab` has loaded what there is, and marked it."""
    await holds(tab, f"{BELL}.shadowRoot.querySelector('[aria-busy]')?.ariaBusy === 'false'")
