"""Paths to endpoints: split before they are decoded, wherever PNS is mounted, through a real server too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pns.ops.serve.run import assemble
from pns.settings import Settings
from pns.web.routing import encoded_path, mount_path
from tests.harness import ServerProcess
from tests.harness.server import API_KEY

USER_PATHS = [
    ("/users/42", "42"),
    ("/users/42%2Fconnections", "42/connections"),
    ("/users/42%2fconnections", "42/connections"),
    ("/users/%2F", "/"),
    ("/users/42%252Fconnections", "42%2Fconnections"),
    ("/users/%252e%252e", "%2e%2e"),
    ("/users/a%20b", "a b"),
    ("/users/a+b", "a+b"),
    ("/users/a%2Bb", "a+b"),
    ("/users/a%3Fb%23c", "a?b#c"),
    ("/users/a;b=1,c", "a;b=1,c"),
    ("/users/@:!$&'()*", "@:!$&'()*"),
    ("/users/%C3%A9", "é"),
    ("/users/e%CC%81", "e\u0301"),
    ("/users/%F0%9F%98%80", "😀"),
    ("/users/%E2%80%8B", "\u200b"),
    ("/users/...", "..."),
    ("/users/.a", ".a"),
    ("/%75sers/42", "42"),
    ("/users/users", "users"),
    ("/users/42?", "42"),
]


@pytest.mark.parametrize(("path", "user"), USER_PATHS)
async def test_the_user_of_a_path(caller: httpx.AsyncClient, path: str, user: str) -> None:
    response = await caller.get(path)
    assert response.status_code == 200, response.text
    assert response.json()["user_id"] == user


@pytest.mark.parametrize("path", ["/users/%2e", "/users/%2E", "/users/%2e%2E", "/users/.%2e"])
async def test_dots_name_nobody(caller: httpx.AsyncClient, path: str) -> None:
    response = await caller.get(path)
    assert response.status_code == 422
    assert response.json()["errors"][0]["at"] == "user_id"


NOTHING = """
/ /nothing /users /users/ /users/42/ /users/42/nothing //users/42 /users//42 /users//notifications
/users/42/notifications/ /users/42/notifications/a/b /users/42%2Fexport/export/x /users%2F42
/users/%FF /users/%C3 /users/%ED%A0%80 /notify/ /NOTIFY /livez/ /livez%00 /livez%3Fa /pns/livez /subscribe/
"""


@pytest.mark.parametrize("path", NOTHING.split())
async def test_there_is_nothing(caller: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = await caller.request(method, path)
        assert response.status_code == 404, f"{method} {response.text}"
        assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/notify", "POST"),
        ("HEAD", "/notify", "POST"),
        ("PUT", "/notify", "POST"),
        ("OPTIONS", "/notify", "POST"),
        ("POST", "/users/42", "DELETE, GET"),
        ("PATCH", "/users/42/connections", "DELETE"),
        ("GET", "/users/42/seen", "POST"),
        ("GET", "/users/42/notifications/n1", "DELETE"),
        ("DELETE", "/subscribe", "GET, OPTIONS, POST"),
        ("BREW", "/livez", "GET"),
        ("get", "/livez", "GET"),
    ],
)
async def test_a_method_that_is_not_taken(
    client: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    # Without a key: which methods there are is no secret, it stands in /openapi.json.
    request = client.build_request("GET", path)
    request.method = method
    response = await client.send(request)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert response.text == "" if method == "HEAD" else response.json()["code"] == "method_not_allowed"


# ── mounted ───────────────────────────────────────────────────────────────────────────────────────────


async def hello(request: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


def in_starlette(web: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Route("/", hello), Mount("/deep/er", Mount("/pns", app=web))])


def behind_root_path(web: ASGIApp) -> ASGIApp:
    """As a server with a root path does: `path` holds it, `raw_path` is what the proxy sent, without it."""

    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        root = "/deep/er/pns"
        raw = scope["raw_path"].removeprefix(root.encode())
        await web({**scope, "root_path": root, "raw_path": raw}, receive, send)

    return stripped


def without_raw_path(web: ASGIApp) -> ASGIApp:
    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        rest = {name: value for name, value in scope.items() if name != "raw_path"}
        await web({**rest, "root_path": "/deep/er/pns"}, receive, send)

    return stripped


def cut_path(web: ASGIApp) -> ASGIApp:
    """As older frameworks do: `path` lacks the mount's prefix, `raw_path` has it."""

    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        root = "/deep/er/pns"
        await web({**scope, "root_path": root, "path": scope["path"].removeprefix(root)}, receive, send)

    return cut


@asynccontextmanager
async def mounted(settings: Settings, mount: object) -> AsyncIterator[httpx.AsyncClient]:
    node, web = assemble(settings)
    assert callable(mount)
    transport = httpx.ASGITransport(app=mount(web))
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with node, httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
        yield client


@pytest.mark.parametrize("mount", [in_starlette, behind_root_path, cut_path])
async def test_below_a_prefix(settings: Settings, mount: object) -> None:
    async with mounted(settings, mount) as client:
        for path, user in USER_PATHS:
            response = await client.get(f"/deep/er/pns{path}")
            assert response.status_code == 200, f"{path}: {response.text}"
            assert response.json()["user_id"] == user
        assert (await client.get("/deep/er/pns/users/42/")).status_code == 404


async def test_a_server_that_does_not_say_the_raw_path(settings: Settings) -> None:
    async with mounted(settings, without_raw_path) as client:
        assert (await client.get("/deep/er/pns/users/a%20%C3%A9")).json()["user_id"] == "a é"
        assert (await client.get("/deep/er/pns/livez")).status_code == 200


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("/api/pns", "/api/pns/users/a%2Fb", "/users/a%2Fb"),
        ("/api/pns", "/pns/users/a%2Fb", "/users/a%2Fb"),
        ("/api/pns", "/users/a%2Fb", "/users/a%2Fb"),
        ("/v1/api/pns", "/api/pns/subscribe", "/subscribe"),
        ("/v1/api/pns", "/pns/subscribe", "/subscribe"),
        ("/api/pns/", "/pns/subscribe", "/subscribe"),
        ("/api//pns", "/pns/subscribe", "/subscribe"),
        ("api/pns", "/pns/subscribe", "/subscribe"),
        ("/pns/pns", "/pns/livez", "/livez"),
        ("/pns", "/pnsx/livez", "/pnsx/livez"),
        ("/api/pns", "/pnsx/livez", "/pnsx/livez"),
        ("/api/pns", "/pns", ""),
        ("/", "/livez", "/livez"),
        ("", "/livez", "/livez"),
    ],
)
def test_a_proxy_may_take_the_beginning_of_the_root_off(root: str, path: str, below: str) -> None:
    scope: Scope = {"path": unquote(path), "raw_path": path.encode(), "root_path": root}
    assert encoded_path(scope) == below


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("", ""),
        ("/", ""),
        ("/api/pns", "/api/pns"),
        ("/api/", "/api"),
        ("/api//pns", "/api/pns"),
        ("api", "/api"),
    ],
)
def test_the_path_of_the_cookie_is_one_that_browsers_know(root: str, path: str) -> None:
    assert mount_path({"root_path": root}) == path


def test_the_encoded_path_holds_no_query() -> None:
    scope = {"path": "/users/a/b", "raw_path": b"/users/a%2Fb?x=/users/c", "root_path": ""}
    assert encoded_path(scope) == "/users/a%2Fb"


# ── on the wire ───────────────────────────────────────────────────────────────────────────────────────


async def exchange(server: ServerProcess, head: str) -> bytes:
    """The whole answer to a request that ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = (head, "Host: pns.test", f"Authorization: Bearer {API_KEY}", "Connection: close", "", "")
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_paths_as_a_real_server_passes_them_on(server: ServerProcess) -> None:
    for path, user in USER_PATHS:
        answer = await exchange(server, f"GET {path} HTTP/1.1")
        assert answer.startswith(b"HTTP/1.1 200"), f"{path}: {answer!r}"
        assert f'"user_id":"{user}"'.encode() in answer.replace(b"\\u200b", "\u200b".encode())
    for path in ("/users/../livez", "/users/%2e%2e/seen", "/users/42/../43", "/users/%FF", "/users/42/"):
        answer = await exchange(server, f"GET {path} HTTP/1.1")
        assert answer.split()[1] in (b"404", b"405", b"422"), f"{path}: {answer!r}"


async def test_head_is_get_without_a_body(server: ServerProcess) -> None:
    for path in ("/livez", "/openapi.json", f"/users/{quote('a/b', safe='')}", "/users/42/export"):
        answer = await exchange(server, f"HEAD {path} HTTP/1.1")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        assert body == b""
