"""PNS in this process, with gateways that record; time is the test's own.

What an application does goes through its endpoints, what a device does through a device's, with the cookie
`user` for its login.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import httpx2 as httpx
from starlette.requests import HTTPConnection

from pns.compose import make_adapters, make_application_authority
from pns.contracts.store import Store
from pns.model.device import Device, Network
from pns.model.push import WAITING, Push
from pns.model.role import Role
from pns.node import Node
from pns.runtime.metrics import Metrics
from pns.settings import AppSettings, PushSettings, Settings, StoreSettings
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from pns.web.app import Web
from tests.harness.server import API_KEY
from tests.push.scripted import ACCEPTED, Script, ScriptedGateway

URL = "http://pns.test"
WAIT_FOR_WORK = {"pns fanout", "pns group commit", "pns sqlite close"}
"""Tasks of PNS that do not wait for time to pass."""
STEP_SECONDS = 0.5


class World(NamedTuple):
    """One node. `anybody` has no login and no key."""

    node: Node
    web: Web
    clock: FakeClock
    gateways: Mapping[str, ScriptedGateway]
    application: httpx.AsyncClient
    anybody: httpx.AsyncClient

    @property
    def store(self) -> Store:
        return self.node.store

    def sent(self, name: str) -> list[Push]:
        """What the gateway `name` was asked to send, dismissals aside."""
        return [push for push in self.gateways[name].asked if not push.dismissed]

    async def notify(self, user_id: str, data: str = "x", **fields: Any) -> str:
        """Notify a user of one; returns its id."""
        body = {"user_id": user_id, "notifications": [{"notification_data": data, **fields}]}
        answer = await self.application.post("/notify", json=body)
        assert answer.status_code == 201, answer.text
        (id,) = answer.json()["notification_ids"]
        return str(id)

    async def install(self, user_id: str, token: str, network: Network = "fcm", **fields: Any) -> str:
        """The user's own app registers its token; returns the device's id."""
        registration = {"network": network, "token": token, **fields}
        async with self.device(user_id) as device:
            answer = await device.post("/devices", json=registration)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["device_id"])

    def device(self, user_id: str) -> httpx.AsyncClient:
        """A device of the user, which keeps its cookies; logged in."""
        return _client(self.web, cookies={"user": user_id})

    async def devices(self, user_id: str) -> list[Device]:
        return await self.store.outbox.devices(user_id)

    async def states(self, user_id: str, notification_id: str) -> list[str]:
        """What became of the notification's pushes, as the application is told."""
        path = f"/users/{quote(user_id, safe='')}/notifications/{notification_id}/pushes"
        return [push["state"] for push in (await self.application.get(path)).json()["pushes"]]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until `condition` holds."""
        async with asyncio.timeout(30):
            await self.settled()
            while not await condition():
                await self.passes(STEP_SECONDS)

    async def passes(self, seconds: float) -> None:
        """Let time pass in steps, and everything run that is due at each."""
        while seconds > 0:
            self.clock.advance(min(seconds, STEP_SECONDS))
            seconds -= STEP_SECONDS
            await self.settled()

    async def settled(self) -> None:
        """Until all that works in the background has done what it can and waits for time to pass."""
        for _ in range(3):
            names = {task.get_name() for task in asyncio.all_tasks()}
            waiting = sum(name.startswith("pns ") for name in names) - len(names & WAIT_FOR_WORK)
            await self.clock.until_sleeping(waiting)
            for _ in range(10):
                await asyncio.sleep(0)

    async def nothing_waits(self) -> None:
        """Let time pass until every push has been sent or given up."""

        async def settled() -> bool:
            return not any(found.state in WAITING for found in await self.store.outbox.backlog())

        await self.until(settled)


def gateway(name: str, *networks: Network, script: Script = lambda push: ACCEPTED) -> ScriptedGateway:
    """One of this name, which reaches `networks`, or the one that it is named after."""
    made = ScriptedGateway(script=script)
    made.name, made.networks = name, frozenset(networks or (cast(Network, name),))
    return made


def _client(web: Web, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url=URL, **options)


def by_cookie(request: HTTPConnection) -> str | None:
    return request.cookies.get("user")


@asynccontextmanager
async def a_world(
    folder: Path,
    *,
    gateways: Sequence[ScriptedGateway] | None = None,
    role: Role = "all",
    clock: FakeClock | None = None,
    **push: Any,
) -> AsyncIterator[World]:
    """A started node of `role` on the store in `folder`, with gateways to FCM and APNs if none are given."""
    settings = Settings(
        app=AppSettings(api_keys=(API_KEY,)),
        store=StoreSettings(url=f"sqlite:///{empty_store(folder / 'pns.db')}"),
        push=PushSettings(**push),
    )
    clock, metrics = clock or FakeClock(), Metrics()
    if gateways is None:
        gateways = [gateway("fcm"), gateway("apns")]
    adapters = make_adapters(settings, user=by_cookie, clock=clock, metrics=metrics)
    adapters = adapters._replace(gateways=gateways)
    node = Node(settings, adapters, metrics=metrics, clock=clock, role=role)
    web = Web(node, make_application_authority(settings, clock=clock), role=role)
    key = {"authorization": f"Bearer {API_KEY}"}
    async with node, _client(web, headers=key) as application, _client(web) as anybody:
        yield World(node, web, clock, {each.name: each for each in gateways}, application, anybody)
