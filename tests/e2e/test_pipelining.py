"""Requests behind each other on one connection (RFC 9112, section 9.3.2): each has its own answer, in order,
whatever comes behind it and whether or not somebody reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from pns.ops.serve.http_protocol import MAX_WAITING
from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.gauges import sockets
from tests.harness.hasty import program
from tests.harness.raw import RawPeer
from tests.harness.server import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
MAY_I = b"POST /subscribe HTTP/1.1\r\nHost: x\r\nCookie: user=alice\r\n\r\n"
HEAD = (
    b"POST /notify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + API_KEY.encode() + b"\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application() -> AsyncIterator[HostApplication]:
    async with HostApplication() as application:
        yield application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    application: HostApplication, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("pipelining")
    hasty = program(head=0.6, body=0.6, keep_alive=1)
    async with ServerProcess(folder, auth_url=application.url, program=hasty) as server:
        yield server
        await eventually(lambda: sockets(server) == 0)
        assert "Traceback" not in server.output


def notify(user: str) -> bytes:
    body = json.dumps({"user_id": user, "notifications": [{"notification_data": "x"}]}).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def statuses(server: ServerProcess, *pieces: bytes) -> list[int]:
    """The status of every answer to `pieces`, to the end of the connection."""
    async with RawPeer.connect(server.url) as peer:
        for piece in pieces:
            await peer.send(piece)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", await peer.rest())]


# ── what comes behind a request does not take its answer away ─────────────────────────────────────────

BEHIND: dict[str, tuple[bytes, int]] = {
    "nonsense": (b"\0\0\0\r\n\r\n", 400),
    "half a word of TLS": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "a head that is too large": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * 300 + b"\r\n", 431),
    "a body that is no chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    "a body that breaks later": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\nz\r\n", 400),
    "a body that does not come": (HEAD + b"Content-Length: 100\r\n\r\n{", 408),
    "a head that does not come": (b"GET /livez HTTP/1.1\r\n", 408),
}


@pytest.mark.parametrize(("behind", "last"), BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_is_answered_so(
    server: ServerProcess, behind: bytes, last: int, count: int
) -> None:
    """The fix: HTTPProtocol._end, where uvicorn answers 400 in the place of the answer that is under way."""
    user = f"alice-{uuid4().hex}"
    assert await statuses(server, notify(user) * count + behind) == [201] * count + [last]
    async with server.backend() as backend:
        assert len(await backend.inbox(user)) == count


async def test_what_breaks_in_its_own_body_is_answered_once(server: ServerProcess) -> None:
    """The answer did not wait for the body (there is no key): none follows it, whatever the body is."""
    head = b"POST /notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with RawPeer.connect(server.url) as peer:
        await peer.send(head)
        status, headers = await peer.head()
        assert status == 401
        await peer.body(int(headers["content-length"]))
        await peer.send(b"nonsense\r\n")
        assert await peer.rest() == b""


async def test_what_breaks_while_it_is_read_is_answered_with_400(server: ServerProcess) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    assert await statuses(server, head, b"nonsense\r\n") == [400]


# ── another protocol that is offered (RFC 9110, section 7.8) ──────────────────────────────────────────

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


def offering(request: bytes) -> bytes:
    """`request` as Java's HttpClient and `curl --http2` send it where they know no better."""
    return request.replace(b"Host: x\r\n", b"Host: x\r\n" + OFFER, 1)


@pytest.mark.parametrize("cut", [None, -1, -20], ids=["at once", "but a byte", "in the body"])
async def test_an_offer_is_ignored(server: ServerProcess, cut: int | None) -> None:
    """The request is served as without it, and so is the next one.

    The fix: HTTPProtocol._without_upgrade, where uvicorn loses the body.
    """
    user = f"alice-{uuid4().hex}"
    sent = offering(notify(user))
    pieces = [sent] if cut is None else [sent[:cut], sent[cut:]]
    async with RawPeer.connect(server.url) as peer:
        for piece in [*pieces, offering(notify(user)) + LIVE + offering(LIVE) + offering(notify(user))]:
            await peer.send(piece)
        found = []
        for _ in range(5):
            status, headers = await peer.head()
            await peer.body(int(headers["content-length"]))
            found.append(status)
    assert found == [201, 201, 200, 200, 201]
    async with server.backend() as backend:
        assert len(await backend.inbox(user)) == 3


async def test_the_body_behind_an_offer_is_no_request(server: ServerProcess) -> None:
    """A proxy that passes an offer on takes the body for a body: a request in it would be a smuggled one."""
    head = HEAD + OFFER + b"Content-Length: %d\r\n\r\n" % len(LIVE)
    async with RawPeer.connect(server.url) as peer:
        await peer.send(head)
        await eventually(lambda: sockets(server) == 1)
        await peer.send(LIVE + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert re.findall(rb"HTTP/1\.1 (\d+) ", await peer.rest()) == [b"400", b"404"]


@pytest.mark.parametrize("kind", ["h2c", "websocket, h2c", "TLS/1.0", ""])
async def test_many_offers_behind_each_other(server: ServerProcess, kind: str) -> None:
    offer = LIVE.replace(b"\r\n\r\n", f"\r\nConnection: upgrade\r\nUpgrade: {kind}\r\n\r\n".encode())
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert await statuses(server, offer * 50 + last) == [200] * 51


async def test_a_tunnel_is_refused(server: ServerProcess) -> None:
    assert await statuses(server, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + LIVE) == [400]


# ── how many may wait ─────────────────────────────────────────────────────────────────────────────────


async def test_as_many_as_may_wait_are_answered(server: ServerProcess) -> None:
    last = LIVE.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
    assert await statuses(server, LIVE * MAX_WAITING + last) == [200] * (MAX_WAITING + 1)


async def test_more_are_told_so_after_those_that_may(server: ServerProcess) -> None:
    """None of the rest is begun, so that each may be sent again."""
    user = f"alice-{uuid4().hex}"
    *stored, last = await statuses(server, notify(user) * 300)
    assert (set(stored), last) == ({201}, 503)
    assert MAX_WAITING < len(stored) < 300
    async with server.backend() as backend:
        assert len(await backend.inbox(user)) == len(stored)


async def test_a_peer_that_reads_may_go_on_for_ever(server: ServerProcess) -> None:
    """Thirty requests at a time, and the next thirty when twenty are answered."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(LIVE * 10)
        for _ in range(20):
            await peer.send(LIVE * 20)
            for _ in range(20):
                status, headers = await peer.head()
                await peer.body(int(headers["content-length"]))
                assert status == 200


# ── peers that do not read ────────────────────────────────────────────────────────────────────────────

UNREAD = {
    "large answers": LARGE * 60,
    "stored": notify("bob") + LARGE * 40 + notify("bob") * 20,
    "asked for": LARGE * 40 + MAY_I * 20,
    "an event stream": LARGE * 40 + MAY_I.replace(b"POST", b"GET") + LARGE,
}


@pytest.mark.parametrize("sent", UNREAD.values(), ids=UNREAD)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_answers_that_nobody_reads_are_no_errors(
    server: ServerProcess, sent: bytes, reset: bool
) -> None:
    """The fix: HTTPProtocol.connection_lost tells the request that is being answered, too."""
    before = len(server.output)
    for _ in range(3):
        async with RawPeer.connect(server.url, receive_buffer=4096) as peer:
            await peer.send(sent)
            await peer.head()
            if reset:
                peer.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: close resets
    await eventually(lambda: sockets(server) == 0)
    assert (
        await statuses(server, LIVE + LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        == [200] * 2
    )
    assert "Traceback" not in server.output[before:]
