"""The web edge of a node in this process, behind no server: requests go straight into the application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest

from pns.ops.serve.run import assemble
from pns.settings import (
    AppSettings,
    AuthSettings,
    LimitsSettings,
    SessionSettings,
    Settings,
    StoreSettings,
)
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from pns.web.app import Web
from tests.harness.server import API_KEY as KEY
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge
from tests.web.ticketed import RECHECK, BearerLogin, World


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        app=AppSettings(api_keys=(KEY,)),
        auth=AuthSettings(url="http://127.0.0.1:9/nobody-listens-here"),
        session=SessionSettings(secret="a secret of the tests alone"),
        store=StoreSettings(url=f"sqlite:///{empty_store(tmp_path / 'pns.db')}"),
    )


@pytest.fixture
async def web(settings: Settings) -> AsyncIterator[Web]:
    node, web = assemble(settings)
    async with node:
        yield web


@pytest.fixture
async def client(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    """A client without authorization."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=web), base_url="http://pns.test"
    ) as client:
        yield client


@pytest.fixture
def caller(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same client with the application's key."""
    client.headers["authorization"] = f"Bearer {KEY}"
    return client


# ── devices at a push network ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def fcm() -> ScriptedGateway:
    return ScriptedGateway("fcm")


@pytest.fixture
async def edge(tmp_path: Path, fcm: ScriptedGateway, clock: FakeClock) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, gateways=[fcm], clock=clock) as edge:
        yield edge


# ── pages that send no cookies ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def auth() -> AuthSettings:
    return AuthSettings(recheck_seconds=RECHECK)


@pytest.fixture
def limits() -> LimitsSettings:
    return LimitsSettings()


@pytest.fixture
async def world(tmp_path: Path, auth: AuthSettings, limits: LimitsSettings) -> AsyncIterator[World]:
    login, clock = BearerLogin(), FakeClock()
    async with an_edge(tmp_path, login, clock=clock, auth=auth, limits=limits) as edge:
        yield World(edge, login, clock)
