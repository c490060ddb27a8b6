"""A refused Origin stands in the log: once a minute, with both sides and the setting, on one line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from pns.testing import FakeClock
from tests.web.edge import FOREIGN, Edge, an_edge

EVIL = "https://evil.example"
REFUSED = (
    f"a page's origin is refused: The page's origin ({EVIL}) is neither that of this PNS (http, host "
    "pns.example) nor in server.allowed_origins. Add it there, or let your proxy pass Host on, or list the "
    "proxy in server.trusted_proxies."
)


@pytest.fixture
async def edge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, clock=clock) as edge:
        yield edge


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    return caplog.messages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/subscribe"), ("OPTIONS", "/subscribe"), ("GET", "/subscribe"), ("POST", "/messages")),
        *(("POST", "/devices"), ("GET", "/devices/networks"), ("GET", "/client.js"), ("GET", "/bell.js")),
    ],
)
async def test_every_way_in(edge: Edge, caplog: pytest.LogCaptureFixture, method: str, path: str) -> None:
    await edge.ask(method, EVIL, path)
    assert lines(caplog) == [REFUSED], "once for a request"


async def test_a_websocket(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        assert message["type"] in ("websocket.http.response.start", "websocket.http.response.body")

    headers = [(b"host", b"pns.example"), (b"origin", EVIL.encode())]
    scope: Scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": "/subscribe",
        "raw_path": b"/subscribe",
        "headers": headers,
        "extensions": {"websocket.http.response": {}},
    }
    await edge.web(scope, receive, send)
    assert lines(caplog) == [REFUSED]


async def test_once_a_minute(edge: Edge, caplog: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    for _ in range(13):
        await edge.ask("POST", EVIL)
        clock.advance(10)
    assert lines(caplog) == [REFUSED, *[f"{REFUSED} (5 more since the line before)"] * 2]


async def test_what_a_stranger_writes_is_short_and_on_one_line(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"origin": "https://\x1b[31m" + "x" * 5000, "host": "h" * 5000}
    answer = await edge.client.post("/subscribe", headers=headers)
    (line,) = lines(caplog)
    assert line.isprintable()
    assert len(line) < 1000
    assert answer.json()["detail"] in line


@pytest.mark.parametrize("origin", [FOREIGN, "http://pns.example", None])
async def test_nothing_is_told_of_a_page_that_may_ask(
    edge: Edge, caplog: pytest.LogCaptureFixture, origin: str | None
) -> None:
    for method in ("POST", "OPTIONS", "GET"):
        await edge.ask(method, origin)
    await edge.ask("GET", origin, "/client.js")
    # push-worker.js is everybody's.
    await edge.ask("GET", EVIL, "/push-worker.js")
    assert lines(caplog) == []
