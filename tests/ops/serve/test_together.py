"""The head of a whole answer is written with the body; what comes piece by piece is not kept back."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pns.ops.serve.together import Together
from tests.harness import ServerProcess
from tests.harness.raw import RawPeer

pytestmark = pytest.mark.asyncio

HEAD_END = b"\r\n\r\n"


class Written:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def pair() -> tuple[Written, Together]:
    written = Written()
    return written, Together(cast(Any, written))


async def test_what_is_held_goes_with_the_next_piece() -> None:
    written, together = pair()
    together.hold()
    together.write(b"head")
    assert written.pieces == []
    together.write(b"body")
    together.write(b"more")
    assert written.pieces == [b"headbody", b"more"]


async def test_an_empty_piece_lets_go_too() -> None:
    written, together = pair()
    together.hold()
    together.write(b"head")
    together.write(b"")
    assert written.pieces == [b"head"]


async def test_nothing_is_held_unless_it_is_asked_for() -> None:
    written, together = pair()
    together.write(b"head")
    together.write(b"body")
    together.close()
    assert written.pieces == [b"head", b"body"]
    assert together.is_closing()


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("GET /livez", 200, b'{"status":"alive"}'),
        ("HEAD /livez", 200, b""),
        ("OPTIONS /livez", 405, b"}"),
        ("GET /nowhere", 404, b'"code":"not_found"}'),
        ("HEAD /nowhere", 404, b""),
        ("GET /client.js", 200, b""),
    ],
)
async def test_answers_arrive_whole(
    server: ServerProcess, request_line: str, status: int, body: bytes
) -> None:
    """A second request on the connection is answered behind the first."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(
            f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n".encode()
        )
        await peer.send(b"Connection: close\r\n\r\n")
        head, _, rest = (await peer.rest()).partition(HEAD_END)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    own, _, second = rest.partition(b"HTTP/1.1 200 ")
    assert own.endswith(body)
    assert (own == b"") is request_line.startswith("HEAD")
    assert second.endswith(b'{"status":"alive"}')


async def test_a_whole_answer_is_one_piece(server: ServerProcess) -> None:
    loop = asyncio.get_running_loop()
    async with RawPeer.connect(server.url) as peer:
        for _ in range(20):
            await peer.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await loop.sock_recv(peer.socket, 65_536)).endswith(b'{"status":"alive"}')


async def test_the_head_of_a_stream_is_not_kept_back(server: ServerProcess) -> None:
    """The stream of a user with nothing to tell: its head comes before its first event can."""
    async with RawPeer.connect(server.url) as peer:
        await peer.send(
            b"GET /subscribe HTTP/1.1\r\nHost: x\r\nCookie: user=ann\r\nAccept: text/event-stream\r\n\r\n"
        )
        status, headers = await peer.head()
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
