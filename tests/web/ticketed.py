"""A node whose devices log in by a header, and what a page without cookies asks of it."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx

from pns.contracts.authority import Credentials, Login
from pns.contracts.store import Store
from pns.errors import Forbidden, Unauthorized
from pns.testing import Device, FakeClock, Refused
from tests.web.edge import FOREIGN, Edge

OWN = "http://pns.example"
RECHECK = 60.0


class BearerLogin:
    """Logs in whom the header `Authorization: Bearer …` names; `asked` holds how each question was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, bool]] = []
        self.store: Store | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, **how: bool) -> Login:
        self.asked.append(how)
        revocation = await self.store.newest_revocation() if self.store else 0
        scheme, _, user = dict(credentials.headers).get(b"authorization", b"").decode().partition(" ")
        if scheme != "Bearer":
            raise Unauthorized
        return Login(user, revocation)

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


class World:
    """One node's edge, with time in the test's hand."""

    def __init__(self, edge: Edge, login: BearerLogin, clock: FakeClock) -> None:
        self.edge, self.login, self.clock = edge, login, clock
        self.store = login.store = edge.node.store

    async def post(
        self, body: object, user: str | None = "ann", *, origin: str | None = FOREIGN, **headers: str
    ) -> httpx.Response:
        """POST /subscribe, as a page does that keeps its login itself."""
        sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        sent |= {} if user is None else {"authorization": f"Bearer {user}"}
        sent |= {} if origin is None else {"origin": origin}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.edge.client.post("/subscribe", content=content, headers=sent)

    async def answer(self, user: str = "ann", *, origin: str | None = FOREIGN, **asked: Any) -> Any:
        response = await self.post({"ticket": True, **asked}, user, origin=origin)
        assert response.status_code == 200, response.text
        return response.json()

    async def ticket(self, user: str = "ann", *, origin: str | None = FOREIGN, **asked: Any) -> str:
        text: str = (await self.answer(user, origin=origin, **asked))["ticket"]
        return text

    def device(self, ticket: str, *, origin: str | None = FOREIGN, **headers: str) -> Device:
        sent = {"host": "pns.example", **headers} | ({} if origin is None else {"origin": origin})
        return Device(self.edge.web, headers=sent, ticket=ticket)

    async def refused(self, ticket: str, *, origin: str | None = FOREIGN, **headers: str) -> int:
        device = self.device(ticket, origin=origin, **headers)
        try:
            await device.open()
        except Refused as refusal:
            status, said = refusal.status, str(refusal)
        else:
            status, said = 101, ""
        finally:
            await device.leave()
        assert len(ticket) < 20 or ticket not in said
        return status

    async def stream(self, ticket: str, *, origin: str | None = FOREIGN, **headers: str) -> httpx.Response:
        """What is refused; a stream that is let in never ends its answer here."""
        sent = {"accept": "text/event-stream", **headers} | ({} if origin is None else {"origin": origin})
        return await self.edge.client.get("/subscribe", params={"ticket": ticket}, headers=sent)
