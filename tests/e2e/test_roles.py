"""Nodes of one role: one that only serves, one that only sends, and what they leave to each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness import Backend, HostApplication, ServerProcess, eventually
from tests.harness.push_service import PushService, Subscriber
from tests.harness.server import SERVE
from tests.harness.waiting import stays

OPERATORS = {"/livez": 200, "/readyz": 200, "/metrics": 401}
EVERYTHING_ELSE = [
    *(("POST", "/subscribe"), ("POST", "/messages"), ("POST", "/notify"), ("GET", "/users/alice")),
    *(("GET", "/devices/networks"), ("POST", "/devices"), ("GET", "/openapi.json"), ("GET", "/client.js")),
    *(("PUT", "/topics/app:news"), ("POST", "/broadcast")),
]


def node(folder: Path, role: str, auth_url: str, **settings: Any) -> ServerProcess:
    """A node of `role` on the store in `folder`."""
    own = folder / role
    own.mkdir()
    return ServerProcess(
        own,
        auth_url=auth_url,
        program=[*SERVE, "--role", role],
        store__url=f"sqlite:///{folder / 'pns.db'}",
        push__when="always",
        push__webpush__subject="mailto:ops@example.com",
        push__webpush__allowed_networks="127.0.0.0/8",
        **settings,
    )


@pytest.fixture
async def web(application: HostApplication, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with node(tmp_path, "web", application.url) as server:
        yield server


@pytest.fixture
async def backend(web: ServerProcess) -> AsyncIterator[Backend]:
    async with web.backend() as backend:
        yield backend


@asynccontextmanager
async def a_browser(server: ServerProcess) -> AsyncIterator[Subscriber]:
    """Alice's, closed, and registered at `server`."""
    async with (
        PushService() as service,
        httpx.AsyncClient(base_url=server.url, cookies={"user": "alice"}, trust_env=False) as browser,
    ):
        facts = (await browser.get("/devices/networks")).json()["networks"]["webpush"]
        subscriber = Subscriber(service, key=facts["application_server_key"])
        subscription = {"endpoint": subscriber.endpoint, "keys": subscriber.keys}
        answer = await browser.post("/devices", json={"network": "webpush", "subscription": subscription})
        assert answer.status_code == 201, answer.text
        yield subscriber


async def test_one_keeps_and_the_other_sends(web: ServerProcess, backend: Backend, tmp_path: Path) -> None:
    async with a_browser(web) as browser:
        await backend.http.put("/topics/app:news")
        await backend.http.put("/topics/app:news/subscribers/alice")
        (direct,) = await backend.notify("alice", "x")
        answer = await backend.http.post(
            "/topics/app:news/notify", json={"notifications": [{"notification_data": "y"}]}
        )
        (spread,) = answer.json()["notification_ids"]
        await stays(lambda: browser.messages == [], seconds=2)
        assert len(await backend.inbox("alice")) == 1, "spreading is left to the other"
        async with node(tmp_path, "push", "") as push:
            await eventually(lambda: [each["id"] for each in browser.messages] == [direct, spread])
            assert len(await backend.inbox("alice")) == 2
            assert await push.stop() == 0
        assert "Traceback" not in push.output + web.output


async def test_one_that_sends_answers_operators_alone(tmp_path: Path) -> None:
    """It needs no auth.url: it lets nobody in."""
    async with (
        node(tmp_path, "push", "") as push,
        httpx.AsyncClient(base_url=push.url, trust_env=False) as client,
        push.backend() as backend,
    ):
        assert {path: (await client.get(path)).status_code for path in OPERATORS} == OPERATORS
        metrics = await backend.http.get("/metrics")
        assert "pns_pushes_total" in metrics.text
        for method, path in EVERYTHING_ELSE:
            answer = await backend.http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        with pytest.raises(InvalidStatus) as refused:
            async with connect(push.url.replace("http", "ws") + "/subscribe", proxy=None):
                pass
        assert refused.value.response.status_code == 404
        assert "Traceback" not in push.output


async def test_a_role_that_there_is_not(tmp_path: Path) -> None:
    server = node(tmp_path, "both", "")
    assert await server.refuses() == 2
    assert "--role" in server.output
