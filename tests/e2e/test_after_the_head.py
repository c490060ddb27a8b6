"""What may follow a request's head (RFC 9112, sections 6 and 7): however much it is, nothing of it stays, and
it holds nobody up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.gauges import resident, sockets
from tests.harness.hasty import program
from tests.harness.raw import RawPeer
from tests.harness.server import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
ANONYMOUS = b"POST /notify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
NOTIFY = ANONYMOUS + b"Authorization: Bearer " + API_KEY.encode() + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STREAM = b"GET /subscribe HTTP/1.1\r\nHost: x\r\nCookie: user=alice\r\nAccept: text/event-stream\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application() -> AsyncIterator[HostApplication]:
    async with HostApplication() as application:
        yield application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    application: HostApplication, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("after_the_head")
    async with ServerProcess(folder, auth_url=application.url, program=program(body=3)) as server:
        yield server
        await eventually(lambda: sockets(server) == 0)
        assert "Traceback" not in server.output


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────

BEGUN = NOTIFY + CHUNKED + b"0\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "trailers": (BEGUN, b"X: \r\n"),
    "trailers after the answer": (ANONYMOUS + CHUNKED + b"0\r\n", b"X: \r\n"),
    "a trailer's value": (BEGUN + b"X: ", b"x" * 5),
    "a trailer's name": (BEGUN, b"x" * 5),
    "trailers behind an event stream": (STREAM + BEGUN, b"X: \r\n"),
    "trailers of the second request": (NOTIFY + b"Content-Length: 2\r\n\r\n{}" + BEGUN, b"X: \r\n"),
    "an extension of a chunk": (NOTIFY + CHUNKED + b"2;", b"x" * 5),
    "a body": (NOTIFY + CHUNKED + b"7000000\r\n", b"x" * 5),
    "a body behind an event stream": (STREAM + NOTIFY + b"Content-Length: 99999999\r\n\r\n", b"x" * 5),
    "requests": (b"", LIVE.replace(b"Connection: close\r\n", b"")),
    "requests behind an event stream": (STREAM, LIVE.replace(b"Connection: close\r\n", b"")),
}


async def pour(server: ServerProcess, begun: bytes, endless: bytes, *, size: int, patience: float) -> None:
    """Send `size` bytes of `endless` on a connection, or what the server takes in `patience` seconds."""
    piece = endless * (128 * 1024 // len(endless))
    async with RawPeer.connect(server.url) as peer:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(patience):
                await peer.send(begun)
                for _ in range(size // len(piece)):
                    await peer.send(piece)


async def growth(
    server: ServerProcess, begun: bytes, endless: bytes, *, size: int, patience: float = 2.0
) -> int:
    """By how many bytes `size` bytes of `endless`, on four connections, made the server grow."""
    before = largest = resident(server)
    async with asyncio.TaskGroup() as group:
        pours = [
            group.create_task(pour(server, begun, endless, size=size // 4, patience=patience))
            for _ in range(4)
        ]
        while not all(task.done() for task in pours):
            largest = max(largest, resident(server))
            await asyncio.wait(pours, timeout=0.02)
    return max(largest, resident(server)) - before


@pytest.mark.parametrize(("begun", "endless"), ENDLESS.values(), ids=ENDLESS)
async def test_nothing_of_it_stays(server: ServerProcess, begun: bytes, endless: bytes) -> None:
    """The fix: HTTPProtocol.on_header and data_received count what comes between a body and its end, and
    on_headers_complete the requests that wait: 45 MB of them, each 35 bytes, took 340 MB.
    """
    assert await growth(server, begun, endless, size=16 * MIB) < 20 * MIB


@pytest.mark.soak
@pytest.mark.parametrize(("begun", "endless"), ENDLESS.values(), ids=ENDLESS)
async def test_nothing_of_100_megabytes_stays(server: ServerProcess, begun: bytes, endless: bytes) -> None:
    assert await growth(server, begun, endless, size=100 * MIB) < 20 * MIB


async def test_without_the_fix_trailers_stay(application: HostApplication, tmp_path: Path) -> None:
    """The control: uvicorn's own protocol takes all of it, and keeps each trailer as a header."""
    plain = program(plain="http")
    async with ServerProcess(tmp_path, auth_url=application.url, program=plain) as server:
        assert await growth(server, *ENDLESS["trailers"], size=16 * MIB, patience=100.0) > 40 * MIB


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────


async def statuses(server: ServerProcess, *pieces: bytes) -> list[int]:
    """The status of every answer to `pieces`, to the end of the connection."""
    async with RawPeer.connect(server.url) as peer:
        with suppress(ConnectionError):
            for piece in pieces:
                await peer.send(piece)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", await peer.rest())]


async def test_a_few_trailers_are_no_trouble(server: ServerProcess) -> None:
    body = NOTIFY + CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-Checksum: x\r\n" * 100 + b"\r\n"
    assert await statuses(server, body + LIVE) == [422, 200]


async def test_many_trailers_are_refused(server: ServerProcess) -> None:
    body = NOTIFY + CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: x\r\n" * 300 + b"\r\n"
    assert await statuses(server, body + LIVE) == [431]


async def test_many_trailers_of_a_request_that_is_answered(server: ServerProcess) -> None:
    """They end the connection, and there is no second answer."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(ANONYMOUS + CHUNKED)
        status, headers = await peer.head()
        await peer.body(int(headers["content-length"]))
        await peer.send(b"0\r\n" + b"X: x\r\n" * 300 + b"\r\n" + LIVE)
        assert (status, await peer.rest()) == (401, b"")


async def test_a_long_rest_of_an_answered_request_is_not_read(server: ServerProcess) -> None:
    """Parsing 90 MB of chunks of one byte took 20 s, in which nobody else was answered. The answer arrives
    all the same, since its peer is not cut off in the midst of sending.

    The fix: HTTPProtocol._drop.
    """
    async with RawPeer.connect(server.url) as peer:
        await peer.send(ANONYMOUS + CHUNKED)
        status, headers = await peer.head()
        await peer.body(int(headers["content-length"]))
        for _ in range(100):
            await peer.send(b"1\r\nx\r\n" * 100)
        await peer.send(b"0\r\n\r\n" + LIVE)
        assert (status, await peer.rest()) == (401, b"")


@pytest.mark.parametrize(
    "rest",
    [b"200000\r\n" + b"x" * 2 * MIB + b"\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n", b"1\r\nx\r\n" * 1000],
    ids=["2 MiB", "1 KiB", "1,000 chunks"],
)
async def test_a_rest_of_few_pieces_is_read(server: ServerProcess, rest: bytes) -> None:
    """The connection may be used again."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(ANONYMOUS + CHUNKED)
        status, headers = await peer.head()
        await peer.body(int(headers["content-length"]))
        await peer.send(rest + b"0\r\n\r\n" + LIVE)
        assert (status, (await peer.head())[0]) == (401, 200)
