"""What a device sends and what the application is asked with, for more than ten thousand header sets."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from starlette.types import Message

from pns.contracts.authority import Credentials, Login
from pns.errors import Forbidden, Unauthorized
from tests.harness import HostApplication, ServerProcess
from tests.harness.raw import KEY, RawPeer
from tests.security.header_sets import LEAK, LISTED, Header, HeaderSet, header_set, other_cookies
from tests.web.edge import Edge, an_edge

SEED = 20_261_121
IN_PROCESS = 10_000
OVER_THE_WIRE = 300

HANDSHAKE = [
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", KEY.encode()),
    (b"sec-websocket-version", b"13"),
]
PNS_SAYS = {
    *(b"host", b"accept", b"accept-encoding", b"content-length"),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-pns-device-id", b"x-pns-host", b"x-pns-question"),
}


def check(headers: Iterable[Header], sample: HeaderSet) -> None:
    """`headers` reached the application; nothing in them but what is due."""
    headers = list(headers)
    assert {name for name, _ in headers} <= set(LISTED), headers
    assert not [header for header in headers if LEAK in header[1]], headers
    assert sorted(header for header in headers if header[0] != b"cookie") == sorted(sample.due)
    cookies = [value for name, value in headers if name == b"cookie"]
    assert len(cookies) <= 1
    arrived = [pair.strip() for value in cookies for pair in value.split(b";") if pair.strip()]
    assert arrived == other_cookies(sample.sent)


# ── through the web edge ──────────────────────────────────────────────────────────────────────────────


class Recorder:
    """An application that lets nobody in and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[Credentials] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        self.asked.append(credentials)
        raise Unauthorized

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


async def call(edge: Edge, kind: str, headers: list[Header]) -> int:
    """One request to /subscribe as an ASGI server hands it over; returns the status."""
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "https" if kind == "http" else "ws",
        "path": "/subscribe",
        "raw_path": b"/subscribe",
        "query_string": b"token=LEAK",
        "root_path": "",
        "headers": [(b"host", b"pns.example"), *headers],
        "client": ("203.0.113.5", 50_000),
        "server": ("127.0.0.1", 8080),
        "extensions": {"websocket.http.response": {}},
    }
    if kind == "http":
        scope["method"] = "POST"
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}

    async def send(message: Message) -> None:
        messages.append(message)

    await edge.web(scope, receive, send)
    status: int = messages[0]["status"]
    return status


async def test_nothing_else_passes_the_edge_in_10_000_sets(tmp_path: Path) -> None:
    rng, recorder = random.Random(SEED), Recorder()
    async with an_edge(tmp_path, recorder) as edge:
        for number in range(IN_PROCESS):
            kind = ("http", "websocket")[number % 2]
            sample = header_set(rng)
            assert await call(edge, kind, sample.sent) == 401
            assert len(recorder.asked) == number + 1
            asked = recorder.asked[-1]
            check(asked.headers, sample)
            scheme = b"https" if kind == "http" else b"http"
            assert dict(asked.forwarded) == {
                b"x-forwarded-for": b"203.0.113.5",
                b"x-forwarded-proto": scheme,
                b"x-pns-host": b"pns.example",
            }
            assert "LEAK" not in asked.device_id
    assert len({asked.device_id for asked in recorder.asked}) == IN_PROCESS


# ── over the wire ─────────────────────────────────────────────────────────────────────────────────────


def strange_case(rng: random.Random, name: bytes) -> bytes:
    return rng.choice((name, name.title(), name.upper(), name.swapcase()))


async def post(server: ServerProcess, sent: list[Header], *, handshake: bool) -> tuple[int, dict[str, str]]:
    first = b"GET" if handshake else b"POST"
    framing = HANDSHAKE if handshake else [(b"content-length", b"0")]
    if handshake:  # one Connection, because the server looks for the upgrade in one
        tokens = [b"Upgrade", *(value for name, value in sent if name.lower() == b"connection")]
        sent = [(name, value) for name, value in sent if name.lower() != b"connection"]
        sent.append((b"Connection", b", ".join(tokens)))
    lines = [b": ".join(header) for header in ((b"Host", b"pns.example"), *framing, *sent)]
    head = b"\r\n".join([first + b" /subscribe?token=LEAK HTTP/1.1", *lines, b"", b""])
    async with RawPeer.connect(server.url) as peer:
        await peer.send(head)
        return await peer.head()


def received(head: bytes) -> tuple[bytes, list[Header]]:
    line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (each.partition(b":") for each in lines)]
    return line, headers


async def test_nothing_else_is_asked_over_the_wire(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with (
        HostApplication(lambda asked: (401, b"{}")) as application,
        ServerProcess(tmp_path, auth_url=application.url) as server,
    ):
        for number in range(OVER_THE_WIRE):
            sample = header_set(rng)
            # the library answers a handshake that names its extensions or protocols badly by itself
            handshake = number % 2 == 1
            hidden = {name for name, _ in sample.sent if name.startswith(b"sec-websocket-")}
            if handshake and hidden:
                sample = HeaderSet([h for h in sample.sent if h[0] not in hidden], sample.due)
            sent = [(strange_case(rng, name), value) for name, value in sample.sent]
            status, _ = await post(server, sent, handshake=handshake)
            assert status == 401, sent
            assert len(application.heads) == number + 1
            line, headers = received(application.heads[-1])
            assert line == b"POST /pns-auth HTTP/1.1"
            check([header for header in headers if header[0] not in PNS_SAYS], sample)
            said = [header for header in headers if header[0] in PNS_SAYS]
            assert len(said) == len(PNS_SAYS) == len(dict(said))
            assert not [value for _, value in said if LEAK in value]
            assert dict(said)[b"x-forwarded-for"] == b"127.0.0.1"
            assert dict(said)[b"x-forwarded-proto"] == b"http"
            assert dict(said)[b"x-pns-host"] == b"pns.example"
            assert dict(said)[b"x-pns-question"] == b"login"


async def test_the_device_cookie_is_told_as_an_id_only(
    application: HostApplication, server: ServerProcess
) -> None:
    _, answered = await post(server, [(b"cookie", b"user=alice")], handshake=False)
    cookie = answered["set-cookie"].partition(";")[0]
    device_id = application.asked[0]["x-pns-device-id"]
    both = [(b"cookie", b"user=alice; " + cookie.encode()), (b"x-pns-device-id", b"LEAK")]
    for handshake in (False, True):
        await post(server, [*both, (b"user-agent", b"another")], handshake=handshake)
        assert application.asked[-1]["x-pns-device-id"] == device_id
        assert application.asked[-1]["cookie"] == "user=alice"
