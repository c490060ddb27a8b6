"""The device cookie that browsers do not bring back: behind a proxy that takes a prefix off, and with two PNS
on one host. The client here keeps cookies as a browser does: by path, and not by port.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from pns import PNS, Settings
from pns.ops.commands.doctor.device_cookie import check_kept
from pns.ops.commands.doctor.finding import Verdict
from pns.settings import SessionSettings
from pns.testing.temporary import empty_store
from tests.harness.site import Site
from tests.harness.troubles import assert_told

pytestmark = pytest.mark.asyncio

LOGIN = {"cookie": "user=42"}


def make(folder: Path, name: str = "pns", **session: Any) -> PNS:
    settings = Settings(session=SessionSettings(**session))
    store = empty_store(folder / f"{name}.db")
    return PNS(f"sqlite:///{store}", user=lambda request: request.cookies.get("user"), settings=settings)


def stripping(app: ASGIApp, prefix: str = "/api") -> ASGIApp:
    """`app` as behind a proxy that takes `prefix` off, and tells nobody."""

    async def strip(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path = scope["path"].removeprefix(prefix)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return strip


def in_fastapi(pns: PNS, root_path: str = "") -> ASGIApp:
    app = FastAPI(lifespan=pns.lifespan)
    app.root_path = root_path  # as the parameter does, which newer releases warn of
    app.mount("/pns", pns)
    return app


def wrapped(pns: PNS, root_path: str = "") -> ASGIApp:
    app = FastAPI()
    app.root_path = root_path
    return pns.wrap(app, path="/pns")


async def devices(url: str, *, times: int = 3) -> list[str]:
    """The device that a browser is, each time it asks at `url`."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        browser.cookies.set("user", "42", domain="127.0.0.1", path="/")
        answers = [await browser.post(f"{url}/subscribe") for _ in range(times)]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["device_id"] for answer in answers]


@pytest.mark.parametrize("host", [in_fastapi, wrapped])
@pytest.mark.parametrize("strips", [True, False])
async def test_fastapi_that_was_told_its_prefix(
    tmp_path: Path, host: Any, strips: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Both forms of the path are served, and the cookie comes back at the address of the browser."""
    app = host(make(tmp_path), root_path="/api")
    async with Site(stripping(app) if strips else app, lifespan="on") as site:
        assert len(set(await devices(f"{site.url}/api/pns"))) == 1
        async with httpx.AsyncClient(trust_env=False) as client:
            finding = await check_kept(client, f"{site.url}/api/pns/subscribe", LOGIN)
    assert finding.verdict is Verdict.GOOD
    assert "Path=/api/pns" in finding.answer
    assert "cookie" not in caplog.text


@pytest.mark.parametrize("host", [in_fastapi, wrapped])
async def test_a_prefix_that_nobody_told(tmp_path: Path, host: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with Site(stripping(host(make(tmp_path))), lifespan="on") as site:
        assert len(set(await devices(f"{site.url}/api/pns", times=4))) == 4
        async with httpx.AsyncClient(trust_env=False) as client:
            finding = await check_kept(client, f"{site.url}/api/pns/subscribe", LOGIN)
    assert finding.verdict is Verdict.BAD
    assert "it is set for /pns, and browsers ask below /api/pns/subscribe" in finding.answer
    assert "uvicorn --root-path /api" in finding.remedy
    assert_told("the device cookie that was set for … does not come back", caplog.text)
    assert caplog.text.count("does not come back") == 1


async def test_two_on_one_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    async with (
        Site(one.wrap(Starlette())) as first,
        Site(two.wrap(Starlette())) as second,
        httpx.AsyncClient(trust_env=False) as browser,
    ):
        browser.cookies.set("user", "42", domain="127.0.0.1", path="/")
        for site in [first, second] * 5:
            await browser.post(f"{site.url}/pns/subscribe")
    assert_told("a device cookie comes back that this PNS did not sign", caplog.text)
    assert caplog.text.count("did not sign") == 2  # each of the two says it once


async def test_two_on_one_host_with_names_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make(tmp_path, "one", cookie_name="one"), make(tmp_path, "two", cookie_name="two")
    async with (
        Site(one.wrap(Starlette()), lifespan="on") as first,
        Site(two.wrap(Starlette()), lifespan="on") as second,
        httpx.AsyncClient(trust_env=False) as browser,
    ):
        browser.cookies.set("user", "42", domain="127.0.0.1", path="/")
        for site in [first, second] * 5:
            await browser.post(f"{site.url}/pns/subscribe")
    assert [record.message for record in caplog.records if record.name.startswith("pns")] == []
