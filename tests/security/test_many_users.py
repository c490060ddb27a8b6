"""Two hundred users at once, people who leave in the middle, strangers: nobody is ever taken for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import HostApplication, ServerProcess
from tests.security.crowd import TOKEN_HEADER, Crowd, Sessions

USERS = 200


async def visits(folder: Path, number: int, *, by_header: bool) -> None:
    sessions = Sessions(by_header=by_header)
    forward = TOKEN_HEADER if by_header else "cookie,user-agent"
    async with HostApplication(sessions.decide) as application:
        application.delay = 0.01
        # by name, as in a real deployment: for an address, cookie jars keep other rules
        url = application.url.replace("127.0.0.1", "localhost")
        settings: dict[str, Any] = {"auth__forward_headers": forward, "auth__timeout_seconds": 30}
        async with ServerProcess(folder, auth_url=url, **settings) as server, server.backend() as backend:
            crowd = Crowd(backend, sessions)
            for visit in range(number):
                await crowd.come(USERS, visit)
            assert crowd.delivered == number * USERS
            assert crowd.turned_away == number * USERS // 4 * 8
            inbox = await backend.inbox("user-7")
            assert len(inbox) == number
    assert "ERROR" not in server.output


@pytest.mark.parametrize("by_header", [False, True], ids=["rotating cookies", "a header of one's own"])
async def test_nobody_is_taken_for_another(tmp_path: Path, by_header: bool) -> None:
    await visits(tmp_path, 1, by_header=by_header)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("by_header", [False, True], ids=["rotating cookies", "a header of one's own"])
async def test_nobody_is_ever_taken_for_another(tmp_path: Path, by_header: bool) -> None:
    await visits(tmp_path, 40, by_header=by_header)
