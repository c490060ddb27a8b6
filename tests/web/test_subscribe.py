"""The endpoints of devices, called in process: CORS on every answer, and what asks the application."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from http import HTTPMethod
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pns.contracts.authority import Credentials, Login
from pns.contracts.store import Presence
from pns.errors import AuthUnavailable, Forbidden, StoreUnavailable, Unauthorized
from pns.settings import LimitsSettings
from tests.engine import StubAuthority
from tests.web.edge import FOREIGN, an_edge

CORS = {
    "access-control-allow-origin": FOREIGN,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "Retry-After",
    "vary": "Origin",
}


def cors_of(response: httpx.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in CORS if name in response.headers}


ERRORS: dict[int, Exception] = {
    401: Unauthorized(),
    403: Forbidden(),
    503: AuthUnavailable(),
    500: RuntimeError("a fault of the code"),
}


@pytest.mark.parametrize("status", ERRORS)
async def test_an_allowed_page_can_read_every_error(tmp_path: Path, status: int) -> None:
    async with an_edge(tmp_path, StubAuthority(ERRORS[status])) as edge:
        response = await edge.ask("POST")
    assert response.status_code == status
    assert cors_of(response) == CORS


async def test_an_allowed_page_can_read_that_the_user_has_too_many(tmp_path: Path) -> None:
    limits = LimitsSettings(connections_per_user=1)
    async with an_edge(tmp_path, StubAuthority(Login("42", 0), Login("42", 0)), limits=limits) as edge:
        other, _ = await edge.node.join(Credentials(headers=(), forwarded=(), device_id="other"), None)
        response = await edge.ask("POST")
        edge.node.leave(other)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    assert cors_of(response) == CORS


async def test_a_yes_has_the_headers_once(tmp_path: Path) -> None:
    async with an_edge(tmp_path, StubAuthority(Login("42", 0))) as edge:
        response = await edge.ask("POST")
    assert response.status_code == 200
    assert response.json()["user_id"] == "42"
    assert "set-cookie" in response.headers
    assert cors_of(response) == CORS


async def test_a_plain_get_says_what_is_wanted(tmp_path: Path) -> None:
    authority = StubAuthority()
    async with an_edge(tmp_path, authority) as edge:
        for origin in (FOREIGN, "http://pns.example", None):
            response = await edge.ask("GET", origin)
            assert (response.status_code, response.json()["code"]) == (426, "upgrade_required")
            assert response.headers["upgrade"] == "websocket"
            assert cors_of(response) == (CORS if origin == FOREIGN else {})
    assert authority.calls == []


async def test_a_wrong_method_too(tmp_path: Path) -> None:
    authority = StubAuthority()
    async with an_edge(tmp_path, authority) as edge:
        for method in ("PUT", "DELETE", "PATCH"):
            response = await edge.ask(method)
            assert response.status_code == 405
            assert response.headers["allow"] == "GET, OPTIONS, POST"
            assert cors_of(response) == CORS


async def test_the_preflight_asks_nobody(tmp_path: Path) -> None:
    authority = StubAuthority()
    async with an_edge(tmp_path, authority) as edge:
        response = await edge.ask("OPTIONS")
        refused = await edge.ask("OPTIONS", "https://evil.example")
    assert (response.status_code, response.content) == (204, b"")
    assert cors_of(response) == CORS
    assert response.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert (refused.status_code, cors_of(refused)) == (403, {})
    assert authority.calls == []


async def test_a_refused_page_can_read_nothing_and_asks_nobody(tmp_path: Path) -> None:
    authority = StubAuthority()
    async with an_edge(tmp_path, authority) as edge:
        for method in ("GET", "POST", "OPTIONS", "PUT"):
            for origin in ("https://evil.example", "null"):
                response = await edge.ask(method, origin)
                assert response.status_code == (405 if method == "PUT" else 403)
                assert cors_of(response) == {}
                assert "set-cookie" not in response.headers
    assert authority.calls == []


APPLICATION_ENDPOINTS = [
    (HTTPMethod.POST, "/notify"),
    (HTTPMethod.GET, "/users/42"),
    (HTTPMethod.DELETE, "/users/42"),
    (HTTPMethod.GET, "/users/42/notifications"),
    (HTTPMethod.POST, "/users/42/seen"),
    (HTTPMethod.GET, "/users/42/export"),
    (HTTPMethod.DELETE, "/users/42/connections"),
    (HTTPMethod.GET, "/users/42/devices"),
    (HTTPMethod.POST, "/pseudo_users"),
    (HTTPMethod.PUT, "/topics/app:news"),
    (HTTPMethod.POST, "/broadcast"),
    (HTTPMethod.OPTIONS, "/notify"),
    (HTTPMethod.GET, "/metrics"),
    (HTTPMethod.GET, "/nothing"),
]


async def test_what_is_not_for_devices_is_for_no_page(tmp_path: Path) -> None:
    authority = StubAuthority()
    async with an_edge(tmp_path, authority) as edge:
        for method, path in APPLICATION_ENDPOINTS:
            response = await edge.ask(method, path=path)
            assert response.status_code in (401, 404, 405)
            assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_store_that_cannot_tell_of_other_nodes_ends_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go away at any moment, also between the first count and the limit's check."""

    async def away(user_id: str, *, except_node: str) -> list[Presence]:
        raise StoreUnavailable

    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "websocket.send":
            events.put_nowait({"type": "websocket.disconnect", "code": 1006})

    scope = {"type": "websocket", "scheme": "ws", "path": "/subscribe", "raw_path": b"/subscribe"}
    headers = [(b"host", b"pns.example")]
    async with an_edge(tmp_path, StubAuthority(Login("42", 0))) as edge:
        monkeypatch.setattr(edge.node.store, "presences", away)
        await edge.web({**scope, "client": ("127.0.0.1", 1), "headers": headers}, events.get, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
