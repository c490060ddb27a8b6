"""Who is set the device cookie by a single call: everybody, but a page that logs in by a header alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pns.contracts.authority import Login
from pns.settings import AuthSettings
from tests.engine import StubAuthority
from tests.push.scripted import ScriptedGateway
from tests.web.edge import FOREIGN, Edge, an_edge
from tests.web.ticketed import OWN, BearerLogin

HEADER = {"authorization": "Bearer ann"}
PAGES: dict[str, dict[str, str]] = {
    "of another origin": {"origin": FOREIGN},
    "of PNS's own origin": {"origin": OWN},
    "of PNS's own origin, that reads": {"sec-fetch-site": "same-origin"},
}
OTHERS: dict[str, dict[str, str]] = {
    "an app": {},
    "a page with any cookie": {"origin": FOREIGN, "cookie": "theme=dark"},
}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/messages", {"countsRequest": {}}),
    ("POST", "/devices", {"network": "fcm", "token": "a-token"}),
    ("PUT", "/devices/{device_id}/badge", {"badge": 3}),
    ("GET", "/preferences", None),
    ("PATCH", "/preferences", {"preferences": {}}),
    ("DELETE", "/devices/{device_id}", None),
]


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, BearerLogin(), gateways=[ScriptedGateway("fcm")]) as edge:
        yield edge


async def sets(edge: Edge, headers: Mapping[str, str]) -> set[bool]:
    """Whether the calls set a cookie. The client keeps none."""
    found, device_id = set[bool](), ""
    for method, path, body in CALLS:
        edge.client.cookies.clear()
        place = path.format(device_id=device_id)
        answer = await edge.client.request(method, place, headers=headers, json=body)
        assert answer.is_success, answer.text
        device_id = answer.json()["device_id"] if path == "/devices" else device_id
        found.add("set-cookie" in answer.headers)
    return found


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_that_sends_no_cookies_is_set_none(
    edge: Edge, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await sets(edge, {**HEADER, **PAGES[page]}) == {False}
    assert caplog.messages == [], "no cookie is missed that was never set"


@pytest.mark.parametrize("who", OTHERS)
async def test_whoever_may_keep_a_cookie_is_set_one(edge: Edge, who: str) -> None:
    assert await sets(edge, {**HEADER, **OTHERS[who]}) == {True}


async def test_a_page_that_asks_to_connect_without_a_ticket_is_set_one(edge: Edge) -> None:
    answer = await edge.client.post("/subscribe", headers={**HEADER, "origin": FOREIGN})
    assert "pns_device=" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "is_set"),
    [
        ({"x-login": "ann"}, False),
        ({"x-other": "ann"}, True),
        ({"user-agent": "Firefox", "accept-language": "de"}, True),
        ({"cookie": "session=of-ann"}, True),
        ({"cookie": "session=of-ann", **HEADER}, True),
    ],
)
async def test_a_login_is_a_header_that_pns_passes_on(
    tmp_path: Path, headers: dict[str, str], *, is_set: bool
) -> None:
    auth = AuthSettings(forward_headers=("cookie", "x-login", "user-agent", "accept-language", "origin"))
    async with an_edge(tmp_path, StubAuthority(Login("ann", 0)), auth=auth) as edge:
        answer = await edge.client.get("/preferences", headers={"origin": FOREIGN, **headers})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, is_set)
