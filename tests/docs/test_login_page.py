"""docs/login.md: every application of the page logs in, is let in, logs out, and open pages know at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.harness import Device, ServerProcess
from tests.harness.server import free_port

from .logins import COMMANDS, COOKIE_SESSIONS, RUNSERVER, SERVICES, running, write
from .pages import PAGES, snippets

(PAGE,) = [path for path in PAGES if path.name == "login.md"]


@asynccontextmanager
async def shop(name: str, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The addresses of the application `name` and of its PNS."""
    write(name, folder)
    if name not in SERVICES:
        async with running(COMMANDS[name], folder) as site:
            yield site, f"{site}/pns"
        return
    port = free_port()
    beside = folder / "pns"
    beside.mkdir()
    async with (
        ServerProcess(beside, auth_url=f"http://127.0.0.1:{port}/pns-auth") as server,
        running(COMMANDS[name], folder, port=port, environment={"PNS_URL": server.url}) as site,
    ):
        yield site, server.url


def test_every_application_of_the_page_is_run() -> None:
    assert {one.options["login"] for one in snippets(PAGE) if "login" in one.options} == set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "fastapi"])
async def test_a_logout_is_seen_at_once(name: str, tmp_path: Path) -> None:
    async with (
        shop(name, tmp_path) as (site, pns),
        httpx.AsyncClient(base_url=site, trust_env=False) as browser,
    ):
        with pytest.raises(InvalidStatus, match="401"):
            async with Device.connect(pns):
                pass
        assert (await browser.post("/login/42")).is_success
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        asked = await browser.post(f"{pns}/subscribe", headers={"cookie": cookie})
        assert asked.json()["user_id"] == "42"
        async with Device.connect(pns, headers={"Cookie": cookie}) as device:
            assert await device.count() == 0
            assert (await browser.post("/logout")).is_success
            assert await device.closed() == 4501
        if name not in COOKIE_SESSIONS:
            asked = await browser.post(f"{pns}/subscribe", headers={"cookie": cookie})
            assert asked.status_code == 401


async def test_a_bearer_token_is_a_login(tmp_path: Path) -> None:
    async with (
        shop("fastapi", tmp_path) as (site, pns),
        httpx.AsyncClient(base_url=site, trust_env=False) as page,
    ):
        token = (await page.post("/login/42")).json()["token"]
        for wrong in ("", "Bearer", "Bearer x", f"Bearer {token[:-2]}"):
            answer = await page.post(f"{pns}/subscribe", headers={"authorization": wrong})
            assert answer.status_code == 401, wrong
        login = {"Authorization": f"Bearer {token}", "Origin": "https://shop.example"}
        assert (await page.post(f"{pns}/subscribe", headers=login)).json()["user_id"] == "42"
        async with Device.connect(pns, headers=login) as device:
            assert await device.count() == 0
            assert (await page.post("/logout/42")).is_success
            assert await device.closed() == 4501


async def test_without_its_exemption_the_question_is_refused_for_csrf(tmp_path: Path) -> None:
    """What the page says of Flask-WTF is so: PNS has no token."""
    write("flask", tmp_path)
    main = tmp_path / "main.py"
    main.write_text(
        main.read_text().replace('@app.post("/pns-auth")\n@csrf.exempt', '@app.post("/pns-auth")')
    )
    nowhere = {"PNS_URL": "http://127.0.0.1:1"}
    async with (
        running(COMMANDS["flask"], tmp_path, environment=nowhere) as site,
        httpx.AsyncClient(base_url=site, trust_env=False) as pns,
    ):
        answer = await pns.post("/pns-auth")
    assert answer.status_code == 400
    assert re.search("CSRF token is missing", answer.text)


async def test_runserver_of_django_says_what_to_do(tmp_path: Path) -> None:
    """It speaks WSGI: PNS is not started, and the error tells so."""
    write("django", tmp_path)
    async with (
        running(RUNSERVER, tmp_path) as site,
        httpx.AsyncClient(base_url=site, trust_env=False) as browser,
    ):
        assert (await browser.get("/ship/42")).status_code == 500
    said = (tmp_path / "application.log").read_text()
    assert "pns.errors.NotStarted" in said
    assert "pns.wrap(application" in said
