"""PNS around another ASGI application: whose paths, and who starts and ends when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from pns import PNS
from pns.web.wrap import Wrapped
from tests.harness import Device
from tests.harness.site import Site


class Named:
    """An application that notes what happens to it, and may fail to start."""

    def __init__(self, name: str, events: list[str], *, fails: bool = False) -> None:
        self.name = name
        self.events = events
        self.fails = fails

    async def __aenter__(self) -> Self:
        if self.fails:
            raise OSError("no disk")
        self.events.append(f"{self.name} starts")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.events.append(f"{self.name} ends")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.events.append(f"{self.name} {scope['type']} {scope.get('root_path', '')}|{scope.get('path')}")


class Server:
    """The server's side of a lifespan."""

    def __init__(self, app: Any) -> None:
        self.sent: list[Message] = []
        self._news = asyncio.Event()
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.create_task(app({"type": "lifespan", "state": {}}, self._to_app.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self._news.set()

    async def say(self, kind: str) -> str:
        """Send `kind`; returns the type of the answer."""
        self._news.clear()
        self._to_app.put_nowait({"type": kind})
        async with asyncio.timeout(60):
            await self._news.wait()
        answer: str = self.sent[-1]["type"]
        return answer


def starlette(events: list[str], *, fails: bool = False) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        if fails:
            raise OSError("no database")
        events.append("app starts")
        yield {"word": "kept"}
        events.append("app ends")

    async def word(request: Request) -> JSONResponse:
        return JSONResponse(request.state.word)

    return Starlette(routes=[Route("/word", word)], lifespan=lifespan)


@pytest.mark.parametrize("path", ["pns", "/", "", "/pns/"])
def test_a_path_that_cannot_be(path: str) -> None:
    with pytest.raises(ValueError, match="begin with a slash"):
        Wrapped(Named("app", []), Named("pns", []), path=path)


@pytest.mark.parametrize(
    ("root_path", "path", "seen"),
    [
        ("", "/pns/subscribe", "pns http /pns|/pns/subscribe"),
        ("", "/pns", "pns http /pns|/pns"),
        ("", "/pnsx", "app http |/pnsx"),
        ("", "/x/pns", "app http |/x/pns"),
        ("/api", "/api/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api/", "/api/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api", "/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/pns", "/pns/pns/livez", "pns http /pns/pns|/pns/pns/livez"),
        ("/pns", "/pns/page", "app http /pns|/pns/page"),
        ("/p", "/pns/livez", "pns http /p/pns|/p/pns/livez"),
    ],
)
async def test_whose_path_it_is(root_path: str, path: str, seen: str) -> None:
    events: list[str] = []
    app = Wrapped(Named("app", events), Named("pns", events), path="/pns")

    async def nothing(*_: Any) -> Any:
        raise AssertionError("reached")

    await app({"type": "http", "root_path": root_path, "path": path}, nothing, nothing)
    assert events == [seen]


class ToldOf(FastAPI):
    """An application that is told its prefix, and notes what it is asked."""

    def __init__(self, root_path: str, events: list[str]) -> None:
        super().__init__()
        self.root_path = root_path
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.events.append(f"app {scope['path']}")


class Quart:
    """Its root_path is a folder."""

    root_path = "/srv/shop"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("reached")


@pytest.mark.parametrize(
    ("told", "root_path", "path", "seen"),
    [
        ("/api", "", "/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api", "", "/api/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api/", "", "/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api", "/api", "/api/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("/api", "", "/api/page", "app /api/page"),
        ("", "/api", "/api/api/pns/subscribe", "pns http /api/pns|/api/pns/subscribe"),
        ("", "/api", "/api/api/page", "app /api/api/page"),
    ],
)
async def test_the_prefix_that_the_application_was_told(
    told: str, root_path: str, path: str, seen: str
) -> None:
    events: list[str] = []
    app = Wrapped(ToldOf(told, events), Named("pns", events), path="/pns")
    await app({"type": "http", "root_path": root_path, "path": path}, _nothing, _nothing)
    assert events == [seen]


async def test_a_root_path_that_is_a_folder_is_none() -> None:
    events: list[str] = []
    app = Wrapped(Quart(), Named("pns", events), path="/pns")
    await app({"type": "http", "root_path": "", "path": "/pns/livez"}, _nothing, _nothing)
    assert events == ["pns http /pns|/pns/livez"]


async def _nothing(*_: Any) -> Any:
    raise AssertionError("reached")


async def test_pns_starts_before_the_application_and_ends_after_it() -> None:
    events: list[str] = []
    server = Server(Wrapped(starlette(events), Named("pns", events), path="/pns"))
    assert await server.say("lifespan.startup") == "lifespan.startup.complete"
    assert await server.say("lifespan.shutdown") == "lifespan.shutdown.complete"
    await server.task
    assert events == ["pns starts", "app starts", "app ends", "pns ends"]


async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("only http")


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns without an answer."""


@pytest.mark.parametrize("app", [without_lifespan, deaf])
async def test_an_application_without_a_lifespan(app: Any) -> None:
    events: list[str] = []
    server = Server(Wrapped(app, Named("pns", events), path="/pns"))
    assert await server.say("lifespan.startup") == "lifespan.startup.complete"
    assert events == ["pns starts"]
    assert await server.say("lifespan.shutdown") == "lifespan.shutdown.complete"
    await server.task
    assert events == ["pns starts", "pns ends"]


async def test_an_application_that_cannot_start_ends_pns_too() -> None:
    events: list[str] = []
    server = Server(Wrapped(starlette(events, fails=True), Named("pns", events), path="/pns"))
    assert await server.say("lifespan.startup") == "lifespan.startup.failed"
    await server.task
    assert events == ["pns starts", "pns ends"]


async def test_a_pns_that_cannot_start_says_why_and_starts_nothing_else() -> None:
    events: list[str] = []
    server = Server(Wrapped(starlette(events), Named("pns", events, fails=True), path="/pns"))
    assert await server.say("lifespan.startup") == "lifespan.startup.failed"
    assert server.sent[-1]["message"] == "no disk"
    await server.task
    assert events == []


async def test_a_server_that_gives_up_ends_both() -> None:
    events: list[str] = []

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            events.append("app ends")

    server = Server(Wrapped(waits, Named("pns", events), path="/pns"))
    await server.say("lifespan.startup")
    server.task.cancel()
    await asyncio.wait([server.task])
    assert events == ["pns starts", "app ends", "pns ends"]


async def test_in_a_real_server(tmp_path: Path) -> None:
    events: list[str] = []
    pns = PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=lambda request: request.cookies.get("user"))
    async with (
        Site(pns.wrap(starlette(events), path="/bell"), lifespan="on") as site,
        httpx.AsyncClient() as browser,
        Device.connect(f"{site.url}/bell", "42") as device,
    ):
        assert (await browser.get(f"{site.url}/word")).json() == "kept"
        assert (await browser.get(f"{site.url}/bell/livez")).json() == {"status": "alive"}
        await pns.notify("42", "one")
        await device.count_is(1)
    assert events == ["app starts", "app ends"]
