"""An open tab does not keep a sliding session alive, and a yes for one host is none for another."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from pns import PNS, Settings
from pns.settings import AuthSettings
from pns.testing.temporary import empty_store
from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.application import Asked, Reply, always
from tests.harness.site import Site

RECHECK_SECONDS = 0.2
SESSION_SECONDS = 0.8
LOGGED_OUT = 4501
YES: Reply = (200, b'{"user_id": "alice"}')
NO: Reply = (401, b"{}")
NOES: dict[str, Reply] = {
    "a login page of 70 KB": (401, b"<!doctype html>" + b"x" * 70_000),
    "compressed": (403, gzip.compress(b"{}"), [("content-encoding", "gzip")]),
}


class Sliding:
    """A session that a login begins and extends, and a recheck does not."""

    def __init__(self) -> None:
        self.until: float | None = None
        self.asked: list[str] = []

    def alive(self, question: str) -> bool:
        self.asked.append(question)
        now = time.monotonic()
        alive = self.until is None or now < self.until
        if self.until is None or (alive and self.extends(question)):
            self.until = now + SESSION_SECONDS
        return alive

    def extends(self, question: str) -> bool:
        return question != "recheck"


class Absolute(Sliding):
    """A session that ends at its time, whatever is asked."""

    def extends(self, question: str) -> bool:
        return False


async def ends(connect: Callable[[], Any], session: Sliding) -> None:
    """The connection is closed, for what rechecks alone found out."""
    async with connect() as device:
        assert await device.closed() == LOGGED_OUT
    assert session.asked[0] == "login"
    assert set(session.asked[1:]) == {"recheck"}


@pytest.mark.parametrize("kind", [Sliding, Absolute])
async def test_a_session_ends_under_rechecks(kind: type[Sliding], tmp_path: Path) -> None:
    async with HostApplication() as application:
        settings: dict[str, Any] = {"auth__recheck_seconds": RECHECK_SECONDS, "auth__cache_seconds": 0}
        async with ServerProcess(tmp_path, auth_url=application.url, **settings) as server:
            session = kind()
            application.decide = lambda asked: YES if session.alive(asked.get("x-pns-question", "")) else NO
            await ends(lambda: Device.connect(server.url, "alice"), session)


@pytest.mark.parametrize("name", NOES)
async def test_a_no_ends_the_connection_whatever_its_body(name: str, tmp_path: Path) -> None:
    async with HostApplication(always(YES)) as application:
        settings: dict[str, Any] = {"auth__recheck_seconds": RECHECK_SECONDS, "auth__cache_seconds": 0}
        async with ServerProcess(tmp_path, auth_url=application.url, **settings) as server:
            async with Device.connect(server.url, "alice") as device:
                await device.count()
                application.decide = always(NOES[name])
                assert await device.closed() == LOGGED_OUT
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
                answer = await browser.post("/subscribe", headers={"cookie": "user=alice"})
                assert (answer.status_code, application.asked[-1]["x-pns-question"]) == (
                    NOES[name][0],
                    "login",
                )


@pytest.mark.parametrize("kind", [Sliding, Absolute])
async def test_a_session_of_an_embedding_host_ends_under_rechecks(
    kind: type[Sliding], tmp_path: Path
) -> None:
    def user(request: HTTPConnection) -> str | None:
        return "alice" if session.alive(request.headers.get("x-pns-question", "")) else None

    pns = PNS(
        f"sqlite:///{empty_store(tmp_path / 'pns.db')}",
        user=user,
        settings=Settings(auth=AuthSettings(recheck_seconds=RECHECK_SECONDS)),
    )
    app = Starlette(routes=[Mount("/pns", app=pns)], lifespan=pns.lifespan)
    async with Site(app) as site:
        session = kind()
        lie = {"x-pns-question": "lie"}
        await ends(lambda: Device.connect(f"{site.url}/pns", "alice", headers=lie), session)


async def test_a_host_is_let_in_by_its_own_yes_alone(tmp_path: Path) -> None:
    def decide(asked: Asked) -> Reply:
        return YES if asked.get("x-pns-host") == "shop.example" else NO

    async with (
        HostApplication(decide) as application,
        ServerProcess(
            tmp_path, auth_url=application.url, auth__cache_seconds=3600, server__trusted_proxies="127.0.0.1"
        ) as server,
        httpx.AsyncClient(base_url=server.url) as browser,
    ):
        expected = [
            ({"host": "shop.example"}, 200),
            ({"host": "other.example"}, 401),
            ({"host": "shop.example", "x-forwarded-host": "other.example"}, 401),
            ({"host": "inside", "x-forwarded-host": "shop.example"}, 200),
            ({"host": "other.example", "x-pns-host": "shop.example"}, 401),
        ]
        for headers, status in expected:
            answer = await browser.post("/subscribe", headers={"cookie": "user=alice", **headers})
            assert answer.status_code == status, headers
