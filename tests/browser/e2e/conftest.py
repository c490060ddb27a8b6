"""A real Chromium for all tests here, and for each file a PNS behind a front with strict pages."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import pytest
import pytest_asyncio
from _pytest.runner import runtestprotocol
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

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


WINDOWED, SHELL = "chromium", "chromium-headless-shell"
"""Chromium as users have it, and its engine without windows and notifications, at a quarter of the work."""


def chromium(name: str = WINDOWED) -> str:
    found = shutil.which(name)
    assert found, "the tests of the bell need Chromium: make packages"
    return found


@asynccontextmanager
async def launched(name: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(name), args=FLAGS)
        yield browser
        await browser.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """A browser whose process died says nothing of the page: such a test runs once more, with fixtures made
    anew. A test that closes its own page too early fails again.
    """
    where = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**where)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed and "TargetClosedError" in report.longreprtext for report in reports):
        item.session._setupstate.teardown_exact(None)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(**where)
    return True


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched(WINDOWED if os.environ.get("PNS_SOAK") else SHELL) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def windowed() -> AsyncIterator[Browser]:
    """The `browser` of files whose pages show notifications."""
    async with launched(WINDOWED) as browser:
        yield browser


class Tab(Protocol):
    """A page that can be asked: Playwright's, or one that Playwright does not know."""

    async def evaluate(self, expression: str, /) -> Any: ...


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


# Each look from outside costs the test, its driver and the browser as much as fifty from inside the page.
_LOOK = """(async () => {{
  for (const end = performance.now() + {milliseconds}; performance.now() < end; ) {{
    if (await ({expression})) return true
    await new Promise(done => setTimeout(done, 20))
  }}
  return Boolean(await ({expression}))
}})()"""
_LOOK_MILLISECONDS = 1000


async def holds(tab: Tab, expression: str) -> None:
    """Wait until `expression` is true in `tab`. Playwright's own way needs eval, which the pages forbid."""
    look = _LOOK.format(expression=expression, milliseconds=_LOOK_MILLISECONDS)

    async def true() -> bool:
        if not isinstance(tab, Page):
            return bool(await tab.evaluate(expression))
        try:
            return bool(await tab.evaluate(look))
        except PlaywrightError as error:
            if "Execution context was destroyed" not in error.message:
                raise
            return False  # the page was left meanwhile

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
    listed = f"[...({BELL}?.shadowRoot?.querySelectorAll('[part=item-title]') ?? [])]"
    try:
        await holds(tab, f"JSON.stringify({listed}.map(one => one.innerText)) === {_text(expected)}")
    except AssertionError:
        raise AssertionError(f"{await titles(tab)} is not {list(expected)}") from None


def _text(titles: tuple[str, ...]) -> str:
    """The text that JSON.stringify makes of `titles`, as a literal of JavaScript."""
    return json.dumps(json.dumps(titles, ensure_ascii=False, separators=(",", ":")))


async def lists_many(tab: Page, expected: int) -> None:
    """Wait until the panel of `tab` lists as many items."""
    await holds(tab, f"{BELL}.shadowRoot.querySelectorAll('li').length === {expected}")


async def count_is(tab: Tab, count: int) -> None:
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
