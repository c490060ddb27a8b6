"""The web edge of a node called in process, with an application that is a stub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx

from pns.authority import DeviceAuthority
from pns.clock import SystemClock
from pns.metrics import Metrics
from pns.node import Node
from pns.ops.compose import make_application_authority, make_bus, make_store
from pns.settings import LimitsSettings, ServerSettings, Settings, StoreSettings
from pns.web.app import Web

FOREIGN = "https://app.example"


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


@asynccontextmanager
async def an_edge(
    folder: Path, authority: DeviceAuthority, *, limits: LimitsSettings | None = None
) -> AsyncIterator[Edge]:
    """`authority` logs devices in; pages of FOREIGN are allowed."""
    settings = Settings(
        server=ServerSettings(allowed_origins=(FOREIGN,)),
        store=StoreSettings(url=f"sqlite:///{folder / 'pns.db'}"),
        limits=limits or LimitsSettings(),
    )
    clock, metrics = SystemClock(), Metrics()
    store = make_store(settings, clock=clock, metrics=metrics)
    bus = make_bus(settings, store, clock=clock, metrics=metrics)
    node = Node(settings, store=store, bus=bus, authority=authority, metrics=metrics)
    web = Web(node, make_application_authority(settings, clock=clock))
    transport = httpx.ASGITransport(app=web)
    async with node, httpx.AsyncClient(transport=transport, base_url="http://pns.example") as client:
        yield Edge(client, node, web)
