"""The doctor's remedies fit the answer: a full disk is no wrong key, a login in a header no old cookie."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pns.ops.commands.doctor import way
from pns.ops.commands.doctor.application import WITH, WITHOUT, check_application
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.site import check_site
from pns.ops.commands.doctor.way import Way
from pns.settings import AppSettings, AuthSettings, ServerSettings, SessionSettings, Settings
from tests.harness import HostApplication
from tests.harness.application import Reply
from tests.harness.server import API_KEY
from tests.harness.site import Site

ANN = {"cookie": "user=ann"}


# ── the application ───────────────────────────────────────────────────────────────────────────────────


async def asked(reply: Reply, login: Mapping[str, str] = ANN, **auth: object) -> dict[str, Finding]:
    async with HostApplication(lambda asked: reply) as application:
        settings = Settings(auth=AuthSettings(url=application.url, **auth))  # type: ignore[arg-type]
        return {found.question: found async for found in check_application(settings, login)}


FLASK = b"<!doctype html><title>400 Bad Request</title><p>The CSRF token is missing.</p>"
CSRF: list[tuple[int, bytes]] = [
    (400, FLASK),
    (400, b'{"detail": "CSRF Failed"}'),
    (403, b"<p>CSRF verification failed. Request aborted.</p>"),
    (419, b"<title>Page Expired</title>"),
    (422, b"Can't verify CSRF token authenticity."),
    (422, b"<h1>ActionController::InvalidAuthenticityToken</h1>"),
    (422, b"<h1>The change you wanted was rejected.</h1>"),
]


@pytest.mark.parametrize(("status", "body"), CSRF)
async def test_csrf_is_named_whatever_its_status(status: int, body: bytes) -> None:
    for found in (await asked((status, body))).values():
        assert found.verdict is Verdict.BAD
        assert "speaks of CSRF" in found.answer
        assert "@csrf_exempt" in found.remedy
        assert "@csrf.exempt" in found.remedy


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b"", "empty body"),
        (422, b'{"detail": "a field is missing"}', "empty body"),
        (404, b"", "correct the path in auth.url"),
        (413, b"", "no head as large"),
        (429, b"", "limits how often"),
        (431, b"", "no head as large"),
        (500, b"", "the application's log"),
        (502, b"<html>", "does not reach the application"),
        (503, b"", "does not reach the application"),
    ],
)
async def test_a_doubt_of_the_application(status: int, body: bytes, words: str) -> None:
    for found in (await asked((status, body))).values():
        assert found.verdict is Verdict.BAD
        assert words in found.remedy
        assert "CSRF" not in found.remedy


@pytest.mark.parametrize(
    ("reply", "login", "words"),
    [
        ((401, b""), ANN, "or the endpoint looks for the login elsewhere, in a header"),
        ((401, b"", [("www-authenticate", "Bearer")]), ANN, "a cookie is not looked for there"),
        ((401, b"", [("www-authenticate", 'JWT realm="api"')]), ANN, "--header 'Authorization"),
        ((401, b""), {"authorization": "Bearer x"}, "or the endpoint looks for the login in a cookie"),
        ((401, b"", [("www-authenticate", "Bearer")]), {"authorization": "Bearer x"}, "copy the header anew"),
        ((403, b"{}"), ANN, "its endpoint or a rule before it refuses"),
        ((403, b"<html>no"), ANN, "a firewall, or most likely CSRF"),
    ],
)
async def test_a_no_of_the_application(reply: Reply, login: Mapping[str, str], words: str) -> None:
    found = (await asked(reply, login))[WITH]
    assert found.verdict is Verdict.BAD
    assert words in found.remedy


async def test_a_login_that_pns_would_not_pass_on_is_not_asked_with() -> None:
    found = (await asked((200, b'{"user_id": "ann"}'), {"x-login": "ann"}))[WITH]
    assert (found.verdict, found.remedy) == (Verdict.BAD, "add x-login to auth.forward_headers")
    passed = await asked((200, b'{"user_id": "ann"}'), {"x-login": "ann"}, forward_headers=("x-login",))
    assert passed[WITH].verdict is Verdict.GOOD


async def test_a_host_that_is_not_known_and_one_that_refuses() -> None:
    for url, words in (
        ("http://nowhere.invalid/", "the host's name is not known here: correct auth.url"),
        ("http://127.0.0.1:1/", "start the application, or correct auth.url"),
    ):
        settings = Settings(auth=AuthSettings(url=url))
        (found, *_) = [found async for found in check_application(settings, {})]
        assert found.question == WITHOUT
        assert found.remedy.startswith(words)


# ── PNS, and the proxy before it ──────────────────────────────────────────────────────────────────────


def problem(status: int, code: str, detail: str = "") -> Response:
    body = json.dumps({"status": status, "code": code, "detail": detail})
    return Response(body, status, media_type="application/problem+json")


def page(status: int) -> Response:
    return Response(f"<html>{status}", status, media_type="text/html")


COOKIE = {"set-cookie": "pns_device=x; Path=/"}


@dataclass
class Front:
    """What is answered at PNS's address."""

    livez: Response = field(default_factory=lambda: Response('{"status":"alive"}'))
    subscribe: Response = field(default_factory=lambda: Response('{"user_id":"ann"}', headers=COOKIE))
    upgrade: Response | None = None
    notify: Response = field(default_factory=lambda: Response('{"notification_ids":["n"]}', 201))

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/livez", self._answer("livez")),
                Route("/readyz", self._answer("livez")),
                Route("/subscribe", self._answer("subscribe"), methods=["POST"]),
                Route("/notify", self._answer("notify"), methods=["POST"]),
                Route("/users/ann/notifications/n", self._answer("notify"), methods=["DELETE"]),
                WebSocketRoute("/subscribe", self._socket),
            ]
        )

    def _answer(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            response: Response = getattr(self, name)
            return response

        return answer

    async def _socket(self, websocket: WebSocket) -> None:
        if self.upgrade is not None:
            await websocket.send_denial_response(self.upgrade)
            return
        await websocket.accept()
        await websocket.send_text('{"newNotificationCountChanged": 0}')
        await websocket.send_text('{"newNotificationCountChanged": 1}')


async def found_at(front: Front) -> dict[str, Finding]:
    settings = Settings(app=AppSettings(api_keys=(API_KEY,)))
    async with Site(front.app) as site:
        check = Way(settings, url=site.url, login=ANN, origin="").check()
        return {found.question: found async for found in check}


async def test_a_way_that_is_well() -> None:
    found = await found_at(Front())
    assert {question for question, each in found.items() if each.verdict is Verdict.BAD} == set()
    assert found[way.ARRIVES].answer.startswith("count 1")


FULL = "The store's disk is full."
NOTIFY: list[tuple[Response, str]] = [
    (problem(401, "unauthorized"), "app.api_keys here must be those of the running PNS"),
    (problem(403, "forbidden"), "app.oauth2.scope"),
    (problem(413, "too_large"), "limits.max_body_bytes"),
    (problem(503, "store_unavailable", FULL), "a full disk"),
    (problem(503, "overloaded"), "ask again"),
    (problem(503, "draining"), "going down"),
    (problem(503, "auth_unavailable"), "app.oauth2.jwks_url"),
    (problem(500, "internal_error"), "report it"),
    (page(403), "a firewall refuses"),
    (page(413), "client_max_body_size"),
    (page(429), "limits how often"),
    (page(502), "does not reach PNS"),
]


@pytest.mark.parametrize(("answer", "words"), NOTIFY)
async def test_a_notification_that_is_not_taken(answer: Response, words: str) -> None:
    found = (await found_at(Front(notify=answer)))[way.ARRIVES]
    assert found.verdict is Verdict.BAD
    assert str(answer.status_code) in found.answer
    assert words in found.remedy
    assert ("app.api_keys" in found.remedy) is (answer.status_code == 401)


SUBSCRIBE: list[tuple[Response, str]] = [
    (problem(401, "unauthorized"), "the proxy drops Cookie or Authorization"),
    (problem(403, "forbidden"), "the application's log says why"),
    (problem(429, "too_many_connections"), "limits.connections_per_user"),
    (problem(503, "auth_unavailable"), "auth.url did not name the user"),
    (problem(503, "store_unavailable", FULL), "a full disk"),
    (problem(404, "not_found"), "PNS runs, but not at this path"),
    (page(401), "the proxy asks for a login"),
    (page(404), "another program answers there"),
    (page(431), "large_client_header_buffers"),
    (page(504), "does not reach PNS"),
]


@pytest.mark.parametrize(("answer", "words"), SUBSCRIBE)
async def test_a_login_that_does_not_arrive(answer: Response, words: str) -> None:
    found = (await found_at(Front(subscribe=answer)))[way.COOKIE]
    assert found.verdict is Verdict.BAD
    assert words in found.remedy
    assert ("Cookie" in found.remedy) is (answer.status_code == 401 and words.startswith("the proxy drops"))


@pytest.mark.parametrize("status", [401, 404, 502])
async def test_an_origin_is_not_called_allowed_by_what_is_not_pns(status: int) -> None:
    found = (await found_at(Front(subscribe=page(status))))[way.HOST]
    assert found.verdict is Verdict.BAD
    assert "Host" not in found.remedy


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(426, "upgrade_required"), "proxy_set_header Upgrade"),
        (page(400), "proxy_set_header Upgrade"),
        (problem(401, "unauthorized"), "the proxy drops Cookie or Authorization"),
        (problem(503, "store_unavailable", FULL), "a full disk"),
        (problem(429, "too_many_connections"), "limits.connections_per_user"),
    ],
)
async def test_an_upgrade_that_is_refused(answer: Response, words: str) -> None:
    found = (await found_at(Front(upgrade=answer)))[way.UPGRADE]
    assert found.verdict is Verdict.BAD
    assert words in found.remedy


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (page(302), "redirects"),
        (page(404), "another program answers there"),
        (page(502), "does not reach PNS"),
        (problem(404, "not_found"), "PNS runs, but not at this path"),
        (Response("hello"), "another program answers there"),
    ],
)
async def test_what_is_not_pns_at_its_address(answer: Response, words: str) -> None:
    (found,) = (await found_at(Front(livez=answer))).values()
    assert (found.question, found.verdict) == (way.REACHED, Verdict.BAD)
    assert words in found.remedy


# ── one site ──────────────────────────────────────────────────────────────────────────────────────────

PNS_AT = "https://pns.shop.example/pns"


def sites(origin: str = "", url: str = PNS_AT, same_site: str = "lax", *allowed: str) -> list[Finding]:
    settings = Settings(
        server=ServerSettings(allowed_origins=allowed),
        session=SessionSettings(same_site=same_site),  # type: ignore[arg-type]
    )
    return list(check_site(settings, url=url, origin=origin))


@pytest.mark.parametrize(
    ("name", "url", "lost"),
    [
        ("__Host-pns", "http://shop.example/pns", True),
        ("__secure-pns", "http://127.0.0.1:8080", True),
        ("__Host-pns", PNS_AT, False),
        ("pns_device", "http://shop.example/pns", False),
    ],
)
def test_a_cookies_name_that_needs_https(name: str, url: str, lost: bool) -> None:
    settings = Settings(session=SessionSettings(cookie_name=name))
    found = [
        finding.verdict
        for finding in check_site(settings, url=url, origin="")
        if finding.question == "session.cookie_name"
    ]
    assert found == ([Verdict.BAD] if lost else [])


@pytest.mark.parametrize(
    ("origin", "url", "words"),
    [
        ("https://pns.shop.example", PNS_AT, "have one host"),
        ("https://pns.shop.example:8443", PNS_AT, "have one host"),
        ("http://localhost:3000", "http://localhost:8080", "have one host"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:8080", "have one host"),
        ("https://shop.example", PNS_AT, "are both of shop.example"),
        ("https://www.shop.example", PNS_AT, "if shop.example is yours"),
        ("https://a.co.uk", "https://b.co.uk", "if co.uk is yours and not one that strangers register below"),
    ],
)
def test_one_site(origin: str, url: str, words: str) -> None:
    (found,) = sites(origin, url)
    assert found.verdict is Verdict.GOOD
    assert words in found.answer


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://shop.test", PNS_AT),
        ("https://shopexample", PNS_AT),
        ("http://www.shop.example", PNS_AT),
        ("http://localhost:3000", "http://127.0.0.1:8080"),
        ("http://10.0.0.1", "http://10.9.0.1"),
        ("http://[::1]:3000", "http://[::2]:8080"),
        ("https://example", "https://other.example"),
        ("capacitor://localhost", "https://localhost"),
    ],
)
def test_two_sites(origin: str, url: str) -> None:
    (found,) = sites(origin, url)
    assert found.verdict is Verdict.BAD
    for words in ("the pages' own site", "the client's `headers`", "SameSite=None; Secure"):
        assert words in found.remedy
    (none,) = sites(origin, url, "none")
    assert none.verdict is Verdict.NOT_ASKED
    assert "block cookies of third parties" in none.remedy


def test_without_an_origin_each_that_is_allowed_is_compared() -> None:
    assert [found.verdict for found in sites()] == [Verdict.NOT_ASKED]
    found = sites("", PNS_AT, "lax", "https://www.shop.example", "https://shop.test")
    assert [each.verdict for each in found] == [Verdict.GOOD, Verdict.BAD]
