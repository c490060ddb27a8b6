"""The opening handshake and the request before it: whatever comes is answered or closed promptly, and nothing
of it stays open.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.gauges import resident, sockets
from tests.harness.hasty import program
from tests.harness.raw import PING, PONG, TEXT, Header, RawPeer, frame, upgrade_head

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIB = 1024
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to the key of RFC 6455, section 1.3."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application() -> AsyncIterator[HostApplication]:
    async with HostApplication() as application:
        yield application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    application: HostApplication, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("handshake")
    hasty = program(head=0.6, body=0.6, keep_alive=1)
    async with ServerProcess(folder, auth_url=application.url, program=hasty) as server:
        before = sockets(server)
        yield server
        await eventually(lambda: sockets(server) <= before)
        assert "Traceback" not in server.output


async def ask(server: ServerProcess, request: bytes) -> int:
    """The status of the answer; the connection is left behind."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(request)
        return (await peer.head())[0]


# ── V2: heads that are large ──────────────────────────────────────────────────────────────────────────


def filler(size: int, name: str = "Cookie") -> tuple[Header, ...]:
    return ((name, "filler=" + "x" * (size - 7)),)


def many(count: int) -> tuple[Header, ...]:
    return tuple((f"X-Filler-{i}", "x") for i in range(count))


FITTING = {
    "9 KiB cookie": filler(9 * KIB),
    "16 KiB cookie": filler(16 * KIB),
    "60 KiB cookie": filler(60 * KIB),
    "60 KiB not forwarded": filler(60 * KIB, "X-Filler"),
    "200 headers": many(200),
}
TOO_LARGE = {
    "70 KiB cookie": filler(70 * KIB),
    "120 KiB cookie": filler(120 * KIB),
    "300 headers": many(300),
    "130 KiB in ten headers": tuple(filler(13 * KIB, f"X-Filler-{i}")[0] for i in range(10)),
    "200 KiB": filler(200 * KIB),
    "2 MiB": filler(2048 * KIB),
}


@pytest.mark.parametrize("extra", FITTING.values(), ids=FITTING)
async def test_large_head_opens(server: ServerProcess, extra: tuple[Header, ...]) -> None:
    """The fix: websockets is told larger limits than its 8 KiB a line and 128 headers."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(upgrade_head("large", extra=extra))
        status, headers = await peer.head()
        assert (status, headers["sec-websocket-accept"]) == (101, ACCEPT)
        assert await peer.text() == '{"newNotificationCountChanged":0}'


@pytest.mark.parametrize("cut", [None, 40_000], ids=["at once", "in pieces"])
@pytest.mark.parametrize("extra", TOO_LARGE.values(), ids=TOO_LARGE)
@pytest.mark.parametrize("upgrade", [True, False], ids=["websocket", "http"])
async def test_too_large_head_is_refused(
    server: ServerProcess, extra: tuple[Header, ...], upgrade: bool, cut: int | None
) -> None:
    """The fix: HTTPProtocol measures the head, complete or not, and its refusal outlives what is unread."""
    request = upgrade_head("large", extra=extra, without=() if upgrade else ("Upgrade", "Connection"))
    async with RawPeer.connect(server.url) as peer:
        try:
            for start in range(0, len(request), cut or len(request)):
                await peer.send(request[start : start + (cut or len(request))])
        except ConnectionError:
            assert len(request) > 1024 * KIB  # it was answered before it was sent
        status, headers = await peer.head()
        assert (status, headers["connection"]) == (431, "close")
        assert await peer.rest() == b""


async def test_head_that_grows_without_end_is_refused(server: ServerProcess) -> None:
    """As soon as it is too large; it is not kept until its end or its deadline."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(b"GET / HTTP/1.1\r\n" + b"X-Filler: x\r\n" * 12_000)
        assert (await peer.head())[0] == 431


async def test_without_the_fix_a_large_cookie_hangs(application: HostApplication, tmp_path: Path) -> None:
    """The control: uvicorn's own protocols, and the limits that websockets has by itself."""
    plain = program(plain="websocket")
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=plain) as server,
        RawPeer.connect(server.url) as peer,
    ):
        await peer.send(upgrade_head(extra=filler(9 * KIB)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await peer.head()


@pytest.mark.parametrize("extra", [(("Content-Length", "4"),), (("Transfer-Encoding", "chunked"),)])
async def test_websockets_own_refusal_is_sent(server: ServerProcess, extra: tuple[Header, ...]) -> None:
    """The fix: WebSocketProtocol.begin answers a request that cannot be a handshake."""
    assert await ask(server, upgrade_head(extra=extra) + b"4\r\n") == 400


# ── V9: whoever does not finish ───────────────────────────────────────────────────────────────────────

POST = b"POST /notify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-key-0123456789abcdef\r\n"
NOTIFY = POST + b"Content-Type: application/json\r\n"

UNFINISHED = {
    "nothing": b"",
    "one byte": b"G",
    "request line": b"GET /livez HTTP/1.1\r\n",
    "head without its end": upgrade_head()[:-2],
    "only line ends": b"\r\n\r\n",
    "body missing": NOTIFY + b"Content-Length: 100\r\n\r\n",
    "body begun": NOTIFY + b"Content-Length: 100\r\n\r\n{",
    "chunks begun": NOTIFY + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "trailers begun": NOTIFY + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: x\r\n",
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
async def test_unfinished_request_is_ended(server: ServerProcess, sent: bytes) -> None:
    """The fix: HTTPProtocol's deadlines (0.6 seconds here)."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(sent)
        async with asyncio.timeout(30):
            assert (await peer.head())[0] == 408
            assert await peer.rest() == b""


@pytest.mark.parametrize(
    "sent",
    [
        upgrade_head(),
        NOTIFY + b"Content-Length: 9999\r\n\r\n" + b" " * 50,
        NOTIFY + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: \r\n" * 20,
    ],
    ids=["head", "body", "trailers"],
)
async def test_dripping_extends_nothing(server: ServerProcess, sent: bytes) -> None:
    """A byte every tenth of a second does not reset the deadline."""
    async with RawPeer.connect(server.url) as peer:
        answered = asyncio.create_task(peer.head())
        for byte in sent[:-2]:
            await peer.send(bytes([byte]))
            done, _ = await asyncio.wait([answered], timeout=0.1 if byte != 0x20 else 0.05)
            if done:
                break
        assert answered.done(), "all of it was sent: what is complete has another answer"
        assert (await answered)[0] == 408


@pytest.mark.parametrize("sent", [b"\r\n", b"G", POST])
async def test_second_request_has_the_same_deadline(server: ServerProcess, sent: bytes) -> None:
    """The fix: an idle connection's first byte begins a head, even if it is an empty line."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers = await peer.head()
        assert status == 200
        await peer.body(int(headers["content-length"]))
        await peer.send(sent)
        async with asyncio.timeout(30):
            assert (await peer.head())[0] == 408


async def test_answer_that_did_not_wait_for_the_body(server: ServerProcess) -> None:
    """A body that is late after its answer: closed without a second one."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(b"POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        status, headers = await peer.head()
        assert status == 401
        await peer.body(int(headers["content-length"]))
        async with asyncio.timeout(30):
            assert await peer.rest() == b""


async def test_without_the_fix_half_a_head_stays(application: HostApplication, tmp_path: Path) -> None:
    """The control: uvicorn's own HTTP protocol."""
    plain = program(plain="http")
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=plain) as server,
        RawPeer.connect(server.url) as peer,
    ):
        await peer.send(upgrade_head()[:-2])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await peer.head()


async def test_a_login_that_takes_long_is_no_late_head(
    server: ServerProcess, application: HostApplication
) -> None:
    application.delay = 1.5
    try:
        assert await ask(server, upgrade_head("patient")) == 101
    finally:
        application.delay = 0


# ── handshakes as they should not be ──────────────────────────────────────────────────────────────────

STRANGE: dict[str, tuple[bytes, set[int]]] = {
    "no key": (upgrade_head(without=("Sec-WebSocket-Key",)), {400}),
    "two keys": (upgrade_head(extra=(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),)), {400}),
    "short key": (upgrade_head(without=("Sec-WebSocket-Key",), extra=(("Sec-WebSocket-Key", "x"),)), {400}),
    "no version": (upgrade_head(without=("Sec-WebSocket-Version",)), {400, 426}),
    "wrong version": (
        upgrade_head(without=("Sec-WebSocket-Version",), extra=(("Sec-WebSocket-Version", "8"),)),
        {400, 426},
    ),
    "two versions": (upgrade_head(extra=(("Sec-WebSocket-Version", "13"),)), {400}),
    "no upgrade": (upgrade_head(without=("Upgrade",)), {426}),
    "no connection": (upgrade_head(without=("Connection",)), {426}),
    "no host": (upgrade_head(without=("Host",)), {400}),
    "upgrade to something else": (
        upgrade_head(without=("Upgrade",), extra=(("Upgrade", "h2c"),)),
        {426},
    ),
    "two origins": (upgrade_head(extra=(("Origin", "http://a"), ("Origin", "http://127.0.0.1"))), {400, 403}),
    "another method": (upgrade_head().replace(b"GET ", b"POST "), {400, 405}),
    "another path": (upgrade_head(path="/nowhere"), {404}),
    "10 KiB of path": (upgrade_head(path="/" + "x" * 10 * KIB), {404}),
    "10 KiB of query": (upgrade_head(path="/subscribe?" + "x" * 10 * KIB), {101}),
    "absolute form": (upgrade_head(path="http://127.0.0.1/subscribe"), {101, 404}),
    "path that is not ASCII": (upgrade_head(path="/subscrib\xe9"), {400}),
    "header that is not ASCII": (upgrade_head(extra=(("X-Name", "\xe9"),)), {101}),
    "cookie that is not ASCII": (upgrade_head(extra=(("Cookie", "name=\xe9"),)), {101, 401}),
    "obs-fold": (upgrade_head(extra=(("X-Folded", "a\r\n b"),)), {101, 400}),
    "NUL in a header": (upgrade_head(extra=(("X-Nul", "a\0b"),)), {400}),
    "space before the colon": (upgrade_head(extra=(("X-Space ", "a"),)), {101, 400}),
    "bare LF": (upgrade_head().replace(b"\r\n", b"\n"), {101, 400}),
    "HTTP/1.0": (upgrade_head(version="1.0"), {101, 400, 426}),
    "HTTP/1.0 plain": (b"GET /livez HTTP/1.0\r\n\r\n", {200}),
    "HTTP/1.0 with a host": (b"GET /livez HTTP/1.0\r\nHost: x\r\n\r\n", {200}),
    "HTTP/1.0 with two hosts": (b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", {400}),
    "HTTP/0.9, one line": (b"GET /livez\r\n", {400}),
    "HTTP/0.9 by name": (b"GET /livez HTTP/0.9\r\nHost: x\r\n\r\n", {400}),
    "HTTP/2.0 by name": (b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", {400}),
    "plain without a host": (b"GET /livez HTTP/1.1\r\n\r\n", {400}),
    "plain with two hosts": (b"GET /livez HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", {400}),
    "two hosts": (upgrade_head(extra=(("Host", "127.0.0.1"),)), {400}),
    "a host with a path": (b"GET /livez HTTP/1.1\r\nHost: x/y\r\n\r\n", {400}),
    "a host with a user": (b"GET /livez HTTP/1.1\r\nHost: a@x\r\n\r\n", {400}),
    "a host that is not ASCII": (b"GET /livez HTTP/1.1\r\nHost: \xe9\r\n\r\n", {400}),
    "a host with a strange port": (b"GET /livez HTTP/1.1\r\nHost: x:y\r\n\r\n", {400}),
    "an empty host": (b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n", {200}),
    "a host by number": (b"GET /livez HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", {200}),
    "a host with an underscore": (b"GET /livez HTTP/1.1\r\nHost: pns_nodes\r\n\r\n", {200}),
    "chunks in HTTP/1.0": (
        b"POST /notify HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "another coding": (NOTIFY + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunks and length": (
        NOTIFY + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "a name with a space": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX A: a\r\n\r\n", {400}),
    "a line that begins with a space": (b"GET /livez HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", {400}),
    "HTTP/3": (upgrade_head(version="3.0"), {400}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64), {400}),
    "length and chunks": (
        NOTIFY + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "negative length": (NOTIFY + b"Content-Length: -1\r\n\r\n", {400}),
    "two lengths": (NOTIFY + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
    "nonsense": (b"\r\n\r\n\0\0\0", {400}),
}


@pytest.mark.parametrize(("request_", "expected"), STRANGE.values(), ids=STRANGE)
async def test_strange_request_is_answered(
    server: ServerProcess, request_: bytes, expected: set[int]
) -> None:
    async with asyncio.timeout(60):
        assert await ask(server, request_) in expected


REFUSED = {
    "GET /livez HTTP/1.1\r\n\r\n": "Host",
    "GET /livez\r\n": "HTTP/1.1 and HTTP/1.0",
    "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n": "RFC 9112",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n": "Transfer-Encoding",
    "nonsense": "RFC 9112",
}


@pytest.mark.parametrize(("request_", "named"), REFUSED.items(), ids=REFUSED.values())
async def test_a_refusal_says_what_to_send(server: ServerProcess, request_: str, named: str) -> None:
    async with RawPeer.connect(server.url) as peer:
        await peer.send(request_.encode())
        status, headers = await peer.head()
        assert headers["content-type"] == "application/problem+json"
        problem = json.loads(await peer.rest())
        assert (problem["status"], problem["title"]) == (status, "Bad Request")
        assert named in problem["detail"]


@pytest.mark.parametrize("gap", [True, False], ids=["after the answer", "pipelined"])
async def test_upgrade_behind_a_request(server: ServerProcess, gap: bool) -> None:
    """On a connection that was used it opens, and stays open past the keep-alive time; pipelined behind a
    request that is not answered yet it is closed: no answer of HTTP stands in the midst of a WebSocket.

    The fix: HTTPProtocol.handle_websocket_upgrade.
    """
    get = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with RawPeer.connect(server.url) as peer:
        if not gap:
            await peer.send(get + upgrade_head())
            received = (await peer.rest()).lower()
            assert received.count(b"http/1.1 ") == 1
            assert received.startswith(b"http/1.1 200")
            assert b"connection: close" in received
            return
        await peer.send(get)
        await peer.body(int((await peer.head())[1]["content-length"]))
        await peer.send(upgrade_head())
        assert (await peer.head())[0] == 101
        assert "newNotificationCountChanged" in await peer.text()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await peer.frame()


@pytest.mark.parametrize(
    ("kind", "early"),
    [
        ("early-unmasked", frame(TEXT, b"x", masked=False)),
        ("early-reserved", frame(3)),
        ("early-large", frame(TEXT, b"x" * 5000)),
        ("early-latin-1", frame(TEXT, b"\xe9")),
        ("early-nonsense", b"\xff" * 99),
    ],
    ids=["unmasked", "reserved", "large", "latin-1", "nonsense"],  # a frame's mask is another every time
)
async def test_broken_frame_before_the_101(
    server: ServerProcess, application: HostApplication, kind: str, early: bytes
) -> None:
    """The fix: WebSocketProtocol.handle_parser_exception, where uvicorn asserts that a close was sent."""
    application.delay = 0.3
    try:
        async with RawPeer.connect(server.url) as peer:
            await peer.send(upgrade_head(kind))
            await eventually(lambda: any(asked["cookie"] == f"user={kind}" for asked in application.asked))
            await peer.send(early)
            await peer.rest()
    finally:
        application.delay = 0


@pytest.mark.parametrize("early", [frame(PONG), frame(PING, b"x")], ids=["pongs", "pings"])
async def test_much_before_the_101(server: ServerProcess, application: HostApplication, early: bytes) -> None:
    """A peer that does not wait is dropped, not answered: its login goes on, and nobody knows yet who it is.

    The fix: WebSocketProtocol.data_received.
    """
    application.delay, before = 3, len(application.asked)
    try:
        async with RawPeer.connect(server.url) as peer:
            await peer.send(upgrade_head(f"early-{uuid4().hex}"))
            await eventually(lambda: len(application.asked) > before)
            with suppress(ConnectionError):
                await peer.send(early * (20 * KIB // len(early)))
            assert b"HTTP/1.1" not in await peer.rest()
    finally:
        application.delay = 0


async def test_resets_leave_nothing(server: ServerProcess) -> None:
    """fds are compared when the module ends; here 200 connections are cut off at every kind of moment."""
    moments = [b"", upgrade_head()[:40], upgrade_head(), upgrade_head() + frame(TEXT, b"x")[:3], NOTIFY]
    for moment in moments * 40:
        async with RawPeer.connect(server.url) as peer:
            await peer.send(moment)
            peer.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: close resets
    await eventually(lambda: sockets(server) == 0)


# ── V11: compression ──────────────────────────────────────────────────────────────────────────────────

DEFLATE: tuple[Header, ...] = (("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),)


async def test_compression_is_not_negotiated(server: ServerProcess) -> None:
    """It would cost 37 KiB a connection; a compressed frame is then a protocol error."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(upgrade_head(extra=DEFLATE))
        status, headers = await peer.head()
        assert (status, headers.get("sec-websocket-extensions")) == (101, None)
        await peer.send(frame(TEXT, deflated(b"unseenNotificationDataRequest"), rsv=4))
        assert await peer.close_code() == 1002


async def test_bomb_where_compression_is_on(application: HostApplication, tmp_path: Path) -> None:
    """The limit holds for what comes out, and nothing beyond it is made."""
    async with ServerProcess(tmp_path, auth_url=application.url, server__compression="true") as server:
        async with Device.connect(server.url, "alice", compression="deflate") as device:
            assert [extension.name for extension in device.socket.protocol.extensions] == [
                "permessage-deflate"
            ]
            assert await device.count() == 0
            assert await device.unseen() == []
        before = resident(server)
        bomb = deflated(b"\0" * 32 * KIB * KIB)
        for _ in range(5):
            async with RawPeer.connect(server.url) as peer:
                await peer.send(upgrade_head(extra=DEFLATE))
                assert (await peer.head())[0] == 101
                await peer.frame()
                await peer.send(frame(TEXT, bomb, rsv=4))
                assert await peer.close_code() == 1009
        assert resident(server) - before < 8 * KIB * KIB


def deflated(data: bytes) -> bytes:
    """One message as permessage-deflate sends it (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


# ── the request's target ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://pns.example/subscribe", 101),
        ("http://pns.example/subscribe?a=b", 101),
        ("http://pns.example/livez", 404),
    ],
)
async def test_a_target_may_be_a_whole_url(server: ServerProcess, target: str, status: int) -> None:
    assert await ask(server, upgrade_head("whole-url", path=target)) == status


async def test_garbage_writes_no_line_for_each(server: ServerProcess) -> None:
    def lines() -> int:
        return server.output.count("is no request of HTTP/1.1")

    async def garbage() -> None:
        assert await ask(server, b"\x16\x03\x01 garbage\r\n\r\n") == 400

    await garbage()
    await eventually(lambda: lines() >= 1)
    before = lines(), server.output.count(" WARNING ")
    for _ in range(20):
        await garbage()
    assert lines() <= before[0] + 1
    assert server.output.count(" WARNING ") <= before[1] + 1
