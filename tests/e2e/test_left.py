"""Two nodes on one store: a browser whose user is not logged in there any more is left on both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from pns.testing.temporary import empty_store
from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.application import Asked, Reply

LOGGED_OUT = 4501
ANN, BOB, ENDED, REFUSED, BROKEN = (
    f"session={name}" for name in ("of-ann", "of-bob", "ended", "refused", "broken")
)


class Sessions:
    """The application's sessions: its answer to each."""

    def __init__(self) -> None:
        self.answers: dict[str, Reply] = {
            ANN: (200, b'{"user_id": "ann"}'),
            BOB: (200, b'{"user_id": "bob"}'),
            ENDED: (401, b"{}"),
            REFUSED: (403, b"{}"),
            BROKEN: (500, b"{}"),
        }

    def decide(self, asked: Asked) -> Reply:
        return self.answers[asked["cookie"]]


@pytest.fixture
def sessions(application: HostApplication) -> Sessions:
    sessions = Sessions()
    application.decide = sessions.decide
    return sessions


@pytest.fixture
async def nodes(application: HostApplication, tmp_path: Path) -> AsyncIterator[list[ServerProcess]]:
    """Two nodes that keep each yes, and ask about no open connection: nothing else ends one."""
    empty_store(tmp_path / "pns.db")
    settings: dict[str, Any] = {
        "store__url": f"sqlite:///{tmp_path / 'pns.db'}",
        "auth__recheck_seconds": 0,
        "auth__cache_seconds": 3600,
    }
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    servers = [ServerProcess(folder, auth_url=application.url, **settings) for folder in folders]
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        yield servers


async def post(node: ServerProcess, *cookies: str) -> httpx.Response:
    """POST /subscribe as a browser with these cookies."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(f"{node.url}/subscribe", headers={"cookie": "; ".join(cookies)})


def device_cookie(response: httpx.Response) -> str:
    cookie: str = response.headers["set-cookie"].partition(";")[0]
    return cookie


def tab(node: ServerProcess, *cookies: str) -> AbstractAsyncContextManager[Device]:
    return Device.connect(node.url, headers={"Cookie": "; ".join(cookies)})


async def test_a_browser_that_is_left_is_left_on_both_nodes(
    sessions: Sessions, nodes: list[ServerProcess]
) -> None:
    one, two = nodes
    async with tab(one, ANN) as phone, two.backend() as backend:
        await phone.count()
        for number, (session, status) in enumerate([(BOB, 200), (ENDED, 401), (REFUSED, 403)], start=1):
            browser = device_cookie(await post(one, ANN))
            async with tab(one, ANN, browser) as ann:
                await ann.count()
                doubt = await post(two, BROKEN, browser)
                assert (doubt.status_code, "set-cookie" in doubt.headers) == (503, False)
                await backend.notify("ann", "still there?")
                await ann.count_is(number)
                answer = await post(two, session, browser)
                assert (answer.status_code, device_cookie(answer) != browser) == (status, True)
                assert await ann.closed() == LOGGED_OUT
            await phone.count_is(number)


async def test_a_yes_that_was_kept_is_worth_nothing_and_a_new_one_is(
    sessions: Sessions, nodes: list[ServerProcess]
) -> None:
    one, two = nodes
    yes = sessions.answers[ANN]
    first = await post(one, ANN)
    browser = device_cookie(first)
    sessions.answers[ANN] = (401, b"{}")
    assert (await post(one, ANN, browser)).status_code == 200, "this node keeps its yes"
    left = await post(two, ANN, browser)
    assert left.status_code == 401
    assert (await post(one, ANN, browser)).status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        async with tab(one, ANN, device_cookie(left)):
            raise AssertionError("the kept yes let it in")
    assert refused.value.response.status_code == 401
    sessions.answers[ANN] = yes
    back = await post(two, ANN, device_cookie(left))
    assert back.json() == first.json(), "the same device"
    assert device_cookie(back) == browser
    async with tab(one, ANN, browser) as ann:
        assert await ann.count() == 0
