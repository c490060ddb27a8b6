"""Who may call what: a matrix made from the routes themselves, so that a new one is open only on purpose."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2 as httpx
import msgspec
import pytest

from pns.ops.serve.run import assemble
from pns.runtime.metrics import Metrics
from pns.settings import ServerSettings, Settings
from pns.web.app import Web
from tests.harness.server import API_KEY as KEY

OPEN = {
    *(("POST", "/subscribe"), ("GET", "/subscribe"), ("OPTIONS", "/subscribe")),
    *(("POST", "/messages"), ("OPTIONS", "/messages"), ("GET", "/{module}.js")),
    *(("GET", "/devices/networks"), ("POST", "/devices"), ("OPTIONS", "/devices")),
    *(("DELETE", "/devices/{device_id}"), ("OPTIONS", "/devices/{device_id}")),
    *(("PUT", "/devices/{device_id}/badge"), ("OPTIONS", "/devices/{device_id}/badge")),
    *(("GET", "/preferences"), ("PATCH", "/preferences"), ("OPTIONS", "/preferences")),
    *(("GET", "/unsubscribe"), ("POST", "/unsubscribe"), ("GET", "/unsubscribe.css")),
    *(("GET", "/livez"), ("GET", "/readyz"), ("GET", "/openapi.json"), ("GET", "/asyncapi.json")),
}
"""What needs no key: devices show the application's login, a mail its link, operators and readers nothing."""

REFUSED: dict[str, list[tuple[bytes, bytes]]] = {
    "none": [],
    "empty": [(b"authorization", b"")],
    "a wrong key": [(b"authorization", b"Bearer test-key-0123456789abcdeF")],
    "the beginning of the key": [(b"authorization", f"Bearer {KEY[:-1]}".encode())],
    "the key and more": [(b"authorization", f"Bearer {KEY}x".encode())],
    "the key alone": [(b"authorization", KEY.encode())],
    "another scheme": [(b"authorization", f"Basic {KEY}".encode())],
    "not ASCII": [(b"authorization", "Bearer clé".encode())],
    "not UTF-8": [(b"authorization", b"Bearer \xff\xfe")],
    "twice": [(b"authorization", f"Bearer {KEY}".encode())] * 2,
    "right and wrong": [(b"authorization", f"Bearer {KEY}".encode()), (b"authorization", b"Bearer x")],
    "two keys in one": [(b"authorization", f"Bearer {KEY}, Bearer {KEY}".encode())],
    "in a cookie": [(b"cookie", f"authorization=Bearer {KEY}".encode())],
}


def path_of(template: str) -> str:
    return re.sub(r"{\w+}", "x", template)


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
async def test_without_a_key_every_route_is_shut(
    web: Web, client: httpx.AsyncClient, headers: list[tuple[bytes, bytes]]
) -> None:
    shut = [route for route in web.routes.routes if (route.method, route.template) not in OPEN]
    assert len(shut) >= 28
    for route in shut:
        # The body is not even looked at: nobody learns from it what would be wrong with it.
        response = await client.request(route.method, path_of(route.template), headers=headers, content=b"{")
        assert response.status_code == 401, f"{route.method} {route.template}: {response.text}"
        assert response.json()["code"] == "unauthorized"
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_with_the_key_no_route_is_shut(web: Web, caller: httpx.AsyncClient) -> None:
    for route in web.routes.routes:
        if (route.method, route.template) not in OPEN:
            response = await caller.request(route.method, path_of(route.template))
            assert response.status_code not in (401, 403, 500), f"{route.method} {route.template}"


async def test_the_scheme_is_case_insensitive(client: httpx.AsyncClient) -> None:
    response = await client.get("/users/42", headers={"authorization": f"bEARER {KEY}"})
    assert response.status_code == 200


async def test_what_is_open_is_open(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/openapi.json", "/asyncapi.json"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"


async def test_a_device_needs_its_login(client: httpx.AsyncClient) -> None:
    # Nobody listens at auth.url: a doubt, which lets nobody in, whatever key is shown.
    response = await client.post("/subscribe", headers={"authorization": f"Bearer {KEY}"})
    assert response.status_code == 503
    assert response.json()["code"] == "auth_unavailable"


@pytest.fixture
async def public(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    node, web = assemble(msgspec.structs.replace(settings, server=ServerSettings(public_metrics=True)))
    transport = httpx.ASGITransport(app=web)
    async with node, httpx.AsyncClient(transport=transport, base_url="http://pns.test") as client:
        yield client


async def test_public_metrics_need_no_key(public: httpx.AsyncClient) -> None:
    response = await public.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == Metrics.CONTENT_TYPE
    assert "pns_connections 0.0" in response.text
    assert (await public.get("/users/42")).status_code == 401


async def test_without_any_key_nobody_is_let_in(settings: Settings) -> None:
    node, web = assemble(msgspec.structs.replace(settings, app=Settings().app))
    transport = httpx.ASGITransport(app=web)
    async with node, httpx.AsyncClient(transport=transport, base_url="http://pns.test") as client:
        for value in ("Bearer ", "Bearer", "Bearer None", f"Bearer {KEY}"):
            assert (await client.get("/users/42", headers={"authorization": value})).status_code == 401
