"""A host that gives up on PNS while the store is slow: open pages learn at once what was stored all the same.

No heartbeat passes in here: a test's patience is shorter.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

from pns import PNS, Notification
from pns.model.messages import CloseCode
from pns.testing.temporary import empty_store
from tests.harness import Device, eventually
from tests.harness.site import Site


def by_cookie(request: HTTPConnection) -> str | None:
    return request.cookies.get("user")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return empty_store(tmp_path / "pns.db")


@pytest.fixture
def pns(path: Path) -> PNS:
    return PNS(f"sqlite:///{path}", user=by_cookie)


@contextmanager
def slow(path: Path) -> Iterator[None]:
    """Nothing is committed meanwhile; nothing is changed either, which would be a hint."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_hosts_timeout_around_notify(pns: PNS, path: Path) -> None:
    app = Starlette(routes=[Mount("/pns", app=pns)], lifespan=pns.lifespan)
    async with Site(app, lifespan="on") as site, Device.connect(f"{site.url}/pns", "42") as page:
        await page.count_is(0)
        with slow(path), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pns.notify("42", Notification("stored all the same", notification_id="a"))
        await page.count_is(1)
        with slow(path), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pns.seen("42", ["a"])
        await page.count_is(0)


async def test_a_hosts_timeout_around_disconnect(pns: PNS, path: Path) -> None:
    app = Starlette(routes=[Mount("/pns", app=pns)], lifespan=pns.lifespan)
    async with Site(app, lifespan="on") as site, Device.connect(f"{site.url}/pns", "42") as page:
        await page.count_is(0)
        with slow(path), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pns.disconnect("42")
        assert await page.closed() == CloseCode.LOGGED_OUT


async def test_a_socket_that_ends_while_its_page_is_marked(pns: PNS, path: Path) -> None:
    """The page was handed over, so it counts as seen, and another tab shows that."""
    serving: list[asyncio.Task[None]] = []

    async def live(websocket: WebSocket) -> None:
        serving.append(asyncio.create_task(pns.subscribe(websocket, "42")))
        await asyncio.wait(serving)

    app = Starlette(
        routes=[WebSocketRoute("/own/subscribe", live), Mount("/pns", app=pns)], lifespan=pns.lifespan
    )
    async with Site(app, lifespan="on") as site, Device.connect(f"{site.url}/pns", "42") as other_tab:
        await pns.notify("42", ["a", "b"])
        await other_tab.count_is(2)
        async with Device.connect(f"{site.url}/own") as tab:
            await tab.count_is(2)
            with slow(path):
                assert len(await tab.unseen()) == 2
                await eventually(marking(pns))
                serving[0].cancel()
                await asyncio.wait(serving)
        await other_tab.count_is(0)


def marking(pns: PNS) -> Callable[[], bool]:
    """Whether the store is asked to write, and has not done it yet."""
    return lambda: pns._started.store._commits._bytes > 0  # type: ignore[attr-defined]
