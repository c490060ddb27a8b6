"""The operator's pages in a real Chromium: for everybody, on a phone, by keyboard, and without a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.e2e.axe import violations
from tests.browser.e2e.tray import WEB_PUSH
from tests.browser.operator_screenshots import fill, operators, told_to, trouble
from tests.harness import Backend, HostApplication, ServerProcess, eventually
from tests.harness.push_service import PushService
from tests.harness.taking import Application

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = (
    *("", "/user", "/user?id=alice", "/user?id=..", "/publications", "/publications?id=autumn"),
    *("/compose", "/audit"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[ServerProcess, Backend]]:
    folder: Path = tmp_path_factory.mktemp("operator")
    async with (
        HostApplication(operators) as application,
        Application() as telling,
        ServerProcess(folder, auth_url=application.url, **WEB_PUSH, **told_to(telling)) as server,
        PushService() as service,
        server.backend() as backend,
    ):
        await fill(backend, server, service)
        await trouble(backend, server, telling)
        yield server, backend


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, operated: tuple[ServerProcess, Backend]) -> Open:
    """A page of an operator's browser; whatever its console says is an error."""
    url = operated[0].url

    @asynccontextmanager
    async def open_page(**options: Any) -> AsyncIterator[Page]:
        context = await browser.new_context(base_url=f"{url}/operator", **options)
        await context.add_cookies([{"name": "user", "value": "alice", "url": url}])
        page = await context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        await context.close()
        assert [line for line in said if "favicon" not in line and "status of 422" not in line] == []

    return open_page


async def test_every_page_keeps_the_rules_of_axe(
    opened: Open, operated: tuple[ServerProcess, Backend]
) -> None:
    async with opened(viewport={"width": 1180, "height": 800}) as page:
        for path in PATHS:
            await page.goto(f"{operated[0].url}/operator{path}")
            assert await violations(page) == [], path


async def test_the_overview_says_what_is_degraded_and_what_waits(
    opened: Open, operated: tuple[ServerProcess, Backend]
) -> None:
    async with opened(java_script_enabled=False) as page:
        await page.goto(f"{operated[0].url}/operator")
        assert "webhooks are off: the application answered 410" in await page.inner_text("section >> nth=0")
        outbox = await page.inner_text("section:has(#outbox)")
        assert outbox.index("notifications.seen") < outbox.index("410")
        assert "Scheduled or snoozed 1 waiting" in outbox


async def test_a_phone_need_not_scroll_sideways(
    opened: Open, operated: tuple[ServerProcess, Backend]
) -> None:
    async with opened(viewport={"width": 320, "height": 640}) as page:
        for path in PATHS:
            await page.goto(f"{operated[0].url}/operator{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
            small = await page.evaluate(
                "[...document.querySelectorAll('button, nav a, .button, .choice, .field input, .find input')]"
                ".filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)"
            )
            assert small == [], path


async def test_a_user_is_found_by_keyboard_and_without_a_script(
    opened: Open, operated: tuple[ServerProcess, Backend]
) -> None:
    async with opened(java_script_enabled=False) as page:
        await page.goto(f"{operated[0].url}/operator")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")  # to the content
        await page.keyboard.press("Tab")
        await page.keyboard.type("alice")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/operator/user?id=alice")
        assert await page.inner_text("h1") == "alice"
        assert "Your parcel arrives today" in await page.inner_text("main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_broadcast_is_composed_watched_and_taken_back(
    opened: Open, operated: tuple[ServerProcess, Backend], scheme: str
) -> None:
    server, backend = operated
    title = f"Maintenance tonight, {scheme}"
    async with opened(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
        await page.goto(f"{server.url}/operator/compose")
        await page.get_by_label("everybody").first.check()
        await page.get_by_label("Title").fill(title)
        await page.get_by_label("Text").fill("PNS is away from ten to eleven.")
        await page.get_by_role("button", name="Preview").click()
        assert title in await page.inner_text(".item")
        assert await violations(page) == []
        await page.get_by_role("button", name="Send now").click()
        await page.wait_for_url("**/operator/publications?id=*")

        async def watched(what: str) -> bool:
            await page.reload()
            return what in await page.inner_text("main")

        await eventually(lambda: watched("complete"))
        assert title in [json.loads(item["notification_data"])["title"] for item in await inbox(backend)]
        assert await violations(page) == []
        await page.get_by_role("button", name="Take back").click()
        await eventually(lambda: watched("taken back from"))
        await eventually(lambda: is_gone(backend, title))
        await page.get_by_role("link", name="Audit").click()
        told = await page.inner_text("main")
        assert told.index("take back") < told.index("broadcast")


async def is_gone(backend: Backend, title: str) -> bool:
    return title not in str(await inbox(backend))


async def inbox(backend: Backend) -> list[dict[str, str]]:
    found = await backend.inbox("alice")
    return [item for item in found if item["notification_data"].startswith("{")]


async def test_no_other_page_can_frame_it(opened: Open, operated: tuple[ServerProcess, Backend]) -> None:
    async with opened() as page:
        answer = await page.goto(f"{operated[0].url}/operator")
        policy = await answer.header_value("content-security-policy")
        assert "frame-ancestors 'none'" in policy
