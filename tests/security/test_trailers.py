"""Trailers of a chunked body (RFC 9110, section 6.5.1) are never headers of its request: neither a login nor
a proxy's word comes in that way, whether they arrive before the application has read the headers or after.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie
from tests.harness.raw import RawPeer
from tests.harness.server import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGED = [
    "X-Remote-User: admin",
    "Cookie: user=admin",
    "X-Forwarded-For: 203.0.113.66",
    "X-Forwarded-Host: app.example",
    "Host: app.example",
    "Origin: https://evil.example",
]
HEAD = b"DELETE /devices/none HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LOGINS = {"nobody": b"", "somebody": b"Cookie: user=alice\r\n"}


def by_name(asked: Asked) -> Reply:
    """The user whom the application's own proxy has named, else the cookie's."""
    named = asked.get("x-remote-user")
    return by_cookie(asked | {"cookie": f"user={named}"} if named else asked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application() -> AsyncIterator[HostApplication]:
    async with HostApplication(by_name) as application:
        yield application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    application: HostApplication, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    settings: dict[str, Any] = {
        "auth__forward_headers": "cookie,x-remote-user,origin",
        "auth__cache_seconds": 0,
        "server__trusted_proxies": "127.0.0.0/8",
    }
    folder = tmp_path_factory.mktemp("trailers")
    async with ServerProcess(folder, auth_url=application.url, **settings) as server:
        yield server


def pieces(login: bytes, trailer: str) -> tuple[bytes, bytes]:
    """A request whose body nobody reads: all but the body's end, and the end, with `trailer`."""
    return HEAD + login + b"\r\n2\r\n{}\r\n", b"0\r\n" + (
        f"{trailer}\r\n" if trailer else ""
    ).encode() + b"\r\n"


async def told(
    server: ServerProcess, application: HostApplication, sent: list[bytes], *, answers: int = 1
) -> tuple[int, list[Asked]]:
    """The status of the last answer, and the questions that the application was asked meanwhile.

    Each piece is sent when the application has been asked after the piece before.
    """
    before = len(application.asked)
    async with RawPeer.connect(server.url) as peer:
        for number, piece in enumerate(sent):
            await eventually(lambda needed=before + number: len(application.asked) >= needed)  # type: ignore[misc]
            await peer.send(piece)
        for _ in range(answers):
            status, headers = await peer.head()
            await peer.body(int(headers.get("content-length", "0")))
    asked = [{k: v for k, v in one.items() if k != "x-pns-device-id"} for one in application.asked[before:]]
    return status, asked


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
@pytest.mark.parametrize("trailer", FORGED)
async def test_a_trailer_changes_nothing(
    server: ServerProcess, application: HostApplication, trailer: str, login: bytes
) -> None:
    """Each request is answered as the same one without a trailer, and the application is asked the same.

    The fix: HTTPProtocol.on_header, where uvicorn adds a trailer to the headers.
    """
    without, forged = pieces(login, ""), pieces(login, trailer)
    expected = await told(server, application, [b"".join(without)])
    assert expected[0] == (404 if login else 401)
    assert await told(server, application, [b"".join(forged)]) == expected
    assert await told(server, application, [LIVE + b"".join(forged)], answers=2) == expected
    assert await told(server, application, list(forged)) == expected


async def test_a_trailer_is_no_key(server: ServerProcess) -> None:
    head = (
        b"POST /notify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"
    )
    async with RawPeer.connect(server.url) as peer:
        await peer.send(head + b"Authorization: Bearer " + API_KEY.encode() + b"\r\n\r\n")
        assert (await peer.head())[0] == 401


async def test_the_next_request_has_its_own_headers(
    server: ServerProcess, application: HostApplication
) -> None:
    """A trailer at the end of one request is not the first header of the one behind it."""
    body = b"".join(pieces(LOGINS["somebody"], "X-Remote-User: admin"))
    status, asked = await told(server, application, [body + b"".join(pieces(b"", ""))], answers=2)
    assert (status, [one.get("x-remote-user") for one in asked]) == (401, [None, None])
