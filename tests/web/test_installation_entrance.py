"""Who may register a device: the same login, the same Origin rule and the same pace as everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pns.contracts.authority import Login
from pns.errors import AuthUnavailable, Forbidden, Unauthorized
from pns.settings import LimitsSettings
from pns.testing import FakeClock
from tests.engine import StubAuthority
from tests.push.scripted import ScriptedGateway
from tests.web.edge import FOREIGN, CookieLogin, Edge, an_edge
from tests.web.test_subscribe import CORS, cors_of

TOKEN = {"network": "fcm", "token": "a-token"}
CALLS = [("POST", "/devices"), ("DELETE", "/devices/some"), ("PUT", "/devices/some/badge")]
EVIL = "https://evil.example"


def fcm() -> list[ScriptedGateway]:
    return [ScriptedGateway("fcm")]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(("status", "error"), [(401, Unauthorized()), (403, Forbidden())])
async def test_a_no_is_a_no(tmp_path: Path, method: str, path: str, status: int, error: Exception) -> None:
    authority = StubAuthority(error)
    async with an_edge(tmp_path, authority, gateways=fcm()) as edge:
        answer = await edge.client.request(method, path, json=TOKEN, headers={"origin": FOREIGN})
    assert answer.status_code == status
    assert cors_of(answer) == CORS
    assert len(authority.calls) == 1, "the application was asked twice"


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_doubt_lets_nobody_in(tmp_path: Path, method: str, path: str) -> None:
    authority = StubAuthority(AuthUnavailable())
    async with an_edge(tmp_path, authority, gateways=fcm()) as edge:
        answer = await edge.client.request(method, path, json=TOKEN, headers={"origin": FOREIGN})
    assert (answer.status_code, answer.json()["code"]) == (503, "auth_unavailable")
    assert cors_of(answer) == CORS
    assert len(authority.calls) == 1


async def test_a_revoked_login_is_asked_about_again(tmp_path: Path) -> None:
    authority = StubAuthority(Login("alice", 0), Unauthorized())
    async with an_edge(tmp_path, authority, gateways=fcm()) as edge:
        await edge.node.changes.revoke("alice")
        answer = await edge.client.post("/devices", json=TOKEN)
        assert answer.status_code == 401
        assert await edge.node.store.outbox.devices("alice") == []


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_other_pages_are_refused_before_anybody_is_asked(
    tmp_path: Path, method: str, path: str
) -> None:
    login = CookieLogin()
    async with an_edge(tmp_path, login, gateways=fcm()) as edge:
        alice = edge.device("alice")
        for headers in ({"origin": EVIL}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = await alice.request(method, path, json=TOKEN, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
            assert cors_of(answer) == {}
            assert "set-cookie" not in answer.headers
    assert login.asked == 0


async def test_a_page_of_an_allowed_origin_can_do_all_of_it(tmp_path: Path) -> None:
    async with an_edge(tmp_path, gateways=fcm()) as edge:
        alice = edge.device("alice")
        alice.headers["origin"] = FOREIGN
        networks = await alice.get("/devices/networks")
        installed = await alice.post("/devices", json=TOKEN)
        device = f"/devices/{installed.json()['device_id']}"
        answers = [
            networks,
            installed,
            await alice.put(f"{device}/badge", json={"badge": 3}),
            await alice.delete(device),
            await alice.delete(device),
            await alice.get("/devices"),
        ]
    assert [answer.status_code for answer in answers] == [200, 201, 204, 204, 404, 405]
    assert [cors_of(answer) for answer in answers] == [CORS] * len(answers)


@pytest.mark.parametrize("path", ["/devices", "/devices/some", "/devices/some/badge"])
async def test_the_preflight_asks_nobody(tmp_path: Path, path: str) -> None:
    login = CookieLogin()
    async with an_edge(tmp_path, login) as edge:
        answer = await edge.ask("OPTIONS", path=path)
        refused = await edge.ask("OPTIONS", EVIL, path=path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert cors_of(answer) == CORS
    methods = answer.headers["access-control-allow-methods"].split(", ")
    assert {"POST", "PUT", "DELETE"} <= set(methods)
    assert "content-type" in answer.headers["access-control-allow-headers"]
    assert (refused.status_code, cors_of(refused)) == (403, {})
    assert login.asked == 0


async def test_the_networks_are_no_secret_but_not_for_any_page(tmp_path: Path) -> None:
    async with an_edge(tmp_path) as edge:
        assert (await edge.ask("GET", None, path="/devices/networks")).status_code == 200
        refused = await edge.ask("GET", EVIL, path="/devices/networks")
    assert (refused.status_code, cors_of(refused)) == (403, {})


# ── pace ──────────────────────────────────────────────────────────────────────────────────────────────


async def until_limited(edge: Edge, user: str, *, keep_cookie: bool) -> int:
    """How many registrations are taken before one is refused."""
    device = edge.device(user)
    for taken in range(100):
        answer = await device.post("/devices", json=TOKEN)
        if answer.status_code == 429:
            assert answer.json()["code"] == "rate_limited"
            assert int(answer.headers["retry-after"]) > 0
            return taken
        if not keep_cookie:
            device = edge.device(user)
    raise AssertionError("never refused")


@pytest.mark.parametrize("keep_cookie", [True, False])
async def test_a_device_that_asks_too_often(tmp_path: Path, keep_cookie: bool) -> None:
    clock = FakeClock()
    limits = LimitsSettings(requests_per_second=2)
    async with an_edge(tmp_path, gateways=fcm(), limits=limits, clock=clock) as edge:
        # The first has no cookie yet: it takes from what a user's new devices share.
        assert await until_limited(edge, "alice", keep_cookie=keep_cookie) == (5 if keep_cookie else 4)
        assert (await edge.device("bob").post("/devices", json=TOKEN)).status_code == 201
        clock.advance(0.5)
        assert (await edge.device("alice").post("/devices", json=TOKEN)).status_code == 201


async def test_a_node_that_goes_down_takes_no_registration(tmp_path: Path) -> None:
    async with an_edge(tmp_path, gateways=fcm()) as edge:
        edge.node.draining = True
        answer = await edge.device("alice").post("/devices", json=TOKEN)
        refused = await edge.ask("POST", EVIL, path="/devices")
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")
    assert refused.json()["code"] == "origin_not_allowed", "a foreign page learns nothing of it"
