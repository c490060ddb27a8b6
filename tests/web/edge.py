"""The web edge of a node called in process, with an application that is a stub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx

from pns.compose import make_application_authority, make_bus, make_store
from pns.contracts.authority import Credentials, DeviceAuthority, Login
from pns.contracts.gateway import Gateway
from pns.contracts.outgoing import Outgoing
from pns.contracts.receiver import Receiver
from pns.errors import Forbidden, Unauthorized
from pns.model.role import Role
from pns.node import Adapters, Node
from pns.push.webhook.engine import webhook_terms
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import (
    AppSettings,
    AuthSettings,
    LimitsSettings,
    PushSettings,
    ServerSettings,
    Settings,
    StoreSettings,
)
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from pns.web.app import Web
from tests.harness import eventually
from tests.harness.server import API_KEY

FOREIGN = "https://app.example"


class CookieLogin:
    """Logs in whom the cookie `user` names; `asked` counts the questions."""

    def __init__(self) -> None:
        self.asked = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        self.asked += 1
        cookies = SimpleCookie(b"; ".join(v for n, v in credentials.headers if n == b"cookie").decode())
        if "user" not in cookies:
            raise Unauthorized
        return Login(cookies["user"].value, not_before)

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


class Edge(NamedTuple):
    """A node's web edge, and a client of it that needs no socket."""

    client: httpx.AsyncClient
    node: Node
    web: Web

    async def ask(
        self, method: str, origin: str | None = FOREIGN, path: str = "/subscribe"
    ) -> httpx.Response:
        headers = {} if origin is None else {"origin": origin}
        return await self.client.request(method, path, headers=headers)

    @property
    def application(self) -> httpx.AsyncClient:
        """A client with the application's key."""
        client = self._client()
        client.headers["authorization"] = f"Bearer {API_KEY}"
        return client

    def device(self, user: str) -> httpx.AsyncClient:
        """A new device, with a cookie jar of its own, on which `user` is logged in."""
        client = self._client()
        client.cookies.set("user", user)
        return client

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.web)
        return httpx.AsyncClient(transport=transport, base_url="http://pns.example")


@asynccontextmanager
async def an_edge(
    folder: Path,
    authority: DeviceAuthority | None = None,
    *,
    auth: AuthSettings | None = None,
    limits: LimitsSettings | None = None,
    gateways: Sequence[Gateway] = (),
    push: PushSettings | None = None,
    clock: Clock | None = None,
    role: Role = "all",
    receiver: Receiver | None = None,
    outgoing: Outgoing | None = None,
) -> AsyncIterator[Edge]:
    """`authority` logs devices in, CookieLogin if there is none; pages of FOREIGN are allowed."""
    settings = Settings(
        server=ServerSettings(allowed_origins=(FOREIGN,)),
        app=AppSettings(api_keys=(API_KEY,)),
        store=StoreSettings(url=f"sqlite:///{empty_store(folder / 'pns.db')}"),
        auth=auth or AuthSettings(),
        limits=limits or LimitsSettings(),
        push=push or PushSettings(when="always"),
    )
    clock, metrics = clock or SystemClock(), Metrics()
    terms = webhook_terms(settings.webhook, receiver.kinds if receiver else frozenset())
    store = make_store(settings, clock=clock, metrics=metrics, webhook=terms)
    node = Node(
        settings,
        Adapters(
            store,
            make_bus(settings, store, clock=clock, metrics=metrics),
            authority or CookieLogin(),
            gateways,
            receiver,
        ),
        metrics=metrics,
        clock=clock,
        role=role,
        outgoing=outgoing,
    )
    web = Web(node, make_application_authority(settings, clock=clock), role=role)
    transport = httpx.ASGITransport(app=web)
    async with node, httpx.AsyncClient(transport=transport, base_url="http://pns.example") as client:
        yield Edge(client, node, web)


async def in_time(clock: FakeClock, condition: Callable[[], Awaitable[object] | object]) -> None:
    """Let time pass, half a second at a look, until `condition` holds."""

    def look() -> Awaitable[object] | object:
        clock.advance(0.5)
        return condition()

    await eventually(look)
