"""A browser that comes in by each way that devices have, and an application that changes its mind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from pns.contracts.authority import Credentials, DeviceAuthority, Login
from pns.errors import Forbidden, Unauthorized
from tests.web.edge import Edge

Word = str | Exception
NO: dict[int, Exception] = {401: Unauthorized(), 403: Forbidden()}
TOKEN = b'{"network": "fcm", "token": "a-token"}'
SCOPE = {
    "client": ("127.0.0.1", 1),
    "scheme": "https",
    "root_path": "",
    "query_string": b"",
    "extensions": {"websocket.http.response": {}},
}


class Application:
    """Says `word`: a user, or what is raised. A yes is as new as it must be, as of one that is asked."""

    word: Word = "ann"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        await self.gate.wait()
        if isinstance(self.word, Exception):
            raise self.word
        return Login(self.word, not_before)

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    cookie: str
    """What a browser that asked with `cookie` sends from now on."""

    @property
    def sets(self) -> bool:
        return "set-cookie" in self.headers


class Way(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def ask(
        self,
        edge: Edge,
        cookie: str = "",
        *,
        origin: str | None = None,
        host_says: DeviceAuthority | None = None,
    ) -> Answer:
        """Ask once, and go away as soon as there is an answer. `host_says`: in an endpoint of its own."""
        kind = "websocket" if self.method == "WEBSOCKET" else "http"
        opening = (
            {"type": "websocket.connect"}
            if kind == "websocket"
            else {"type": "http.request", "body": self.body}
        )
        said = [opening, {"type": f"{kind}.disconnect", "code": 1006}]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return said.pop(0) if len(said) > 1 else said[0]

        async def send(message: Any) -> None:
            sent.append(message)

        given = [(b"host", b"pns.example"), *self.headers]
        given += [(b"cookie", cookie.encode())] if cookie else []
        given += [(b"origin", origin.encode())] if origin else []
        place = {"type": kind, "method": self.method, "path": self.path, "raw_path": self.path.encode()}
        scope = {**SCOPE, **place, "headers": given}
        if host_says is None:
            await edge.web(scope, receive, send)
        else:
            await edge.web.connect(scope, receive, send, authority=host_says)
        return _answer(sent[0], cookie)


def _answer(start: dict[str, Any], cookie: str) -> Answer:
    headers = {name.decode(): value.decode() for name, value in start.get("headers", [])}
    if "set-cookie" in headers:
        cookie = headers["set-cookie"].partition(";")[0]
    return Answer(101 if start["type"] == "websocket.accept" else start["status"], headers, cookie)


JSON = [(b"content-type", b"application/json")]
POST = Way("POST", "/subscribe")
WEBSOCKET = Way("WEBSOCKET", "/subscribe")
WAYS = {
    "POST /subscribe": POST,
    "WebSocket": WEBSOCKET,
    "event stream": Way("GET", "/subscribe", headers=[(b"accept", b"text/event-stream")]),
    "POST /messages": Way("POST", "/messages", b'{"unseenNotificationDataRequest": true}', JSON),
    "POST /devices": Way("POST", "/devices", TOKEN, JSON),
    "DELETE /devices": Way("DELETE", "/devices/some"),
    "PUT badge": Way("PUT", "/devices/some/badge", b'{"badge": 1}', JSON),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
EVERY_NO = pytest.mark.parametrize("status", NO)


async def settled(edge: Edge) -> None:
    """All departures that are done at once are done."""
    await asyncio.gather(*edge.node.departures._tasks)


async def revocations(edge: Edge) -> int:
    """How many were ever written."""
    await settled(edge)
    return await edge.node.store.newest_revocation()


async def revoked(edge: Edge, user: str = "ann") -> set[str]:
    await settled(edge)
    return set((await edge.node.store.states([user]))[user].revocations)


async def ann_is_there(edge: Edge) -> tuple[str, str]:
    """Ann's browser: its cookie and its device id."""
    answer = await POST.ask(edge)
    return answer.cookie, device_of(edge, answer)


def device_of(edge: Edge, answer: Answer) -> str:
    assert edge.web._device_cookie is not None
    named = edge.web._device_cookie.read([answer.cookie.encode()])
    assert named is not None
    return named.device.device_id


def is_marked(edge: Edge, cookie: str) -> bool:
    assert edge.web._device_cookie is not None
    named = edge.web._device_cookie.read([cookie.encode()])
    return named is not None and named.left
