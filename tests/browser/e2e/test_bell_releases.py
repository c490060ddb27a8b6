"""The bell of a release before this one on this server, and the bell of this release on that server.

Pages are cached and clients are bundled: neither changes at the moment when the server does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Page

import pns
from pns.web.browser import joined
from tests.browser.e2e.conftest import (
    BELL,
    PATIENCE,
    Enter,
    House,
    Visitor,
    count_is,
    holds,
    lists,
    open_bell,
    state_is,
)
from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie
from tests.harness.front import Front, page
from tests.releases.past import LATEST, RELEASED, PastServer, Release

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROWSER = Path("pns", "browser")
THIS = Path(__file__).parents[3]
JAVASCRIPT = "text/javascript; charset=utf-8"
RESTARTED, LOGGED_OUT = 1012, 4501
RELOADS = 5
SENT_WHILE_CLOSING = "WebSocket is already in CLOSING or CLOSED state."
"""A past client asks on a socket that closes. The browser drops the request, and the client asks again."""


class Ages(NamedTuple):
    """A release before this one, and which side is of it."""

    release: Release
    past_server: bool
    mixed: bool = False
    """client.js alone is of the server's side: two nodes answered for the files of one page."""


AGES = [
    *(Ages(release, past_server) for release in (RELEASED, LATEST) for past_server in (False, True)),
    *(Ages(LATEST, past_server, mixed=True) for past_server in (False, True)),
]


def _name(ages: Ages) -> str:
    sides = "new-bell-old-server" if ages.past_server else "old-bell-new-server"
    return f"{ages.release.name}-{sides}{'-mixed' * ages.mixed}"


@pytest.fixture(params=AGES, ids=_name)
def ages(request: pytest.FixtureRequest) -> Ages:
    found: Ages = request.param
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def house(ages: Ages, packages: dict[Release, Path], tmp_path: Path) -> AsyncIterator[House]:
    """As every other one, but for the files: all that a page loads by name is of the bell's side."""
    logged_out: set[str] = set()

    def decide(asked: Asked) -> Reply:
        gone = any(f"user={user}" in asked.get("cookie", "") for user in logged_out)
        return (401, b"{}") if gone else by_cookie(asked)

    past = packages[ages.release]
    async with HostApplication(decide) as application:
        server = ServerProcess(tmp_path, auth_url=application.url, auth__cache_seconds=0)
        if ages.past_server:
            server = PastServer(tmp_path, auth_url=application.url, package=past, auth__cache_seconds=0)
        async with server, server.backend() as backend, Front(server.port) as front:
            front.add("/", page())
            for file in ((THIS if ages.past_server else past) / BROWSER).glob("*.js"):
                if not (ages.mixed and file.name == "client.js"):
                    front.add(f"/pns/{file.name}", joined(file), JAVASCRIPT)
            yield House(application, server, backend, front, logged_out)
            assert "Traceback" not in server.output, server.output


async def open_tab(visitor: Visitor, front: Front) -> Page:
    """A new tab with a live bell. A tab that a past client leaves without a line is loaded again.

    A past client asks for the worker of its own version. This server lacks that worker and answers 404. The
    past client then waits for the worker's `error` event alone. On a busy machine Chromium drops that event
    for about every tenth tab. Such a tab stays "connecting" and sends no request, until its user loads the
    tab again. The present client does not rely on that event.

    Only a tab that has asked the server for nothing but scripts is loaded again. A server that refuses or
    ignores a past client fails this test.
    """
    heard = len(front.opened)
    tab = await visitor.visit()
    for _ in range(RELOADS):
        if await _gets_live(tab) or not _asked_for_scripts_alone(front.opened[heard:]):
            break
        heard = len(front.opened)
        await tab.reload()
    await state_is(tab, "live")
    return tab


async def _gets_live(tab: Page) -> bool:
    async def live() -> bool:
        return bool(await tab.evaluate(f"{BELL}?.state === 'live'"))

    with suppress(AssertionError):
        return await eventually(live, within=PATIENCE / 1000 / RELOADS)
    return False


def _asked_for_scripts_alone(opened: list[str]) -> bool:
    return bool(opened) and all(line.startswith("GET /") and ".js " in line for line in opened)


async def snoozes_nothing(tab: Page, *, marks: bool) -> None:
    """The server has said that it does not know of it; the menu, where there is one, has nothing of it."""
    answered = "({ name, responseEnd }) => name.endsWith('/messages') && responseEnd"
    await holds(tab, f"performance.getEntriesByType('resource').some({answered})")
    button = tab.locator("pns-bell [part=menu-button]")
    assert await button.count() == marks
    if marks:
        await button.click(force=True)
        assert await tab.get_by_role("menuitem").all_inner_texts() == ["Mark as read", "Archive"]
        await tab.keyboard.press("Escape")


async def test_it_counts_lists_marks_comes_back_and_is_logged_out(
    ages: Ages, house: House, enter: Enter, alice: str
) -> None:
    visitor = await enter(alice)
    await house.backend.notify(alice, "before")
    tab, other = await open_tab(visitor, house.front), await open_tab(visitor, house.front)
    loaded = [line.split()[1] for line in house.front.opened if ".js " in line and "/worker-" not in line]
    # A client of the server's side finds its worker, which imports the client by the name with the version.
    served = ages.release.name if ages.past_server else pns.__version__
    by_worker = {f"/client-{served}.js"} if ages.mixed else set()
    assert set(loaded) - by_worker == ({"/client.js"} if ages.mixed else set())
    await count_is(tab, 1)
    await count_is(other, 1)
    await open_bell(tab)
    await lists(tab, "before")
    await count_is(tab, 0)
    await count_is(other, 0)
    assert (await house.backend.user(alice))["unseen"] == 0
    if ages.past_server and not ages.mixed:
        await snoozes_nothing(tab, marks=ages.release is LATEST)
    async with Device.connect(house.server.url, alice) as device:
        assert await house.server.stop() == 0
        assert await device.closed() == RESTARTED
    await state_is(tab, "offline")
    await house.server.start()
    await state_is(tab, "live")
    await state_is(other, "live")
    await house.backend.notify(alice, "after")
    await lists(tab, "after", "before")
    async with Device.connect(house.server.url, alice) as device:
        await house.logout(alice)
        assert await device.closed() == LOGGED_OUT
    for each in (tab, other):
        await state_is(each, "logged-out")
        await count_is(each, 0)
    await lists(tab)
    if not ages.past_server:
        visitor.problems[:] = [problem for problem in visitor.problems if problem != SENT_WHILE_CLOSING]
