"""A real Firefox decrypts what the gateway sends, and its service worker reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.message import MAX_TEXT, text
from pns.contracts.gateway import Outcome
from pns.model.device import Address, Device, Registration
from pns.model.push import PushControls
from pns.runtime.clock import SystemClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import device_at, gateway
from tests.harness.autopush import DELIVERED, Autopush
from tests.harness.firefox import Firefox
from tests.harness.push_service import PushService
from tests.harness.site import Site
from tests.harness.waiting import eventually

PAGE = """<!doctype html><title>Shop</title><script type="module">
try {
  const key = await (await fetch("/key")).text();
  await navigator.serviceWorker.register("/worker.js");
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await fetch("/subscribed", { method: "POST", body: JSON.stringify(subscription) });
} catch (error) {
  await fetch("/failed", { method: "POST", body: String(error) });
}
</script>"""
WORKER = """
addEventListener("push", event => event.waitUntil((async () => {
  await fetch("/pushed", { method: "POST", body: event.data.text() });
  await registration.showNotification("Shop");
})()));
"""


class Shop:
    """An application with a page that subscribes; it hears of whatever its service worker was told."""

    def __init__(self, key: str, autopush: Autopush) -> None:
        self._key = key
        self._autopush = autopush
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.app = Starlette(
            routes=[
                Route("/", lambda request: HTMLResponse(PAGE)),
                Route("/worker.js", lambda request: Response(WORKER, media_type="text/javascript")),
                Route("/key", self._say_key),
                Route("/{what}", self._hear, methods=["POST"]),
            ]
        )

    async def next(self, what: str) -> bytes:
        """What the browser says next, which must be of the kind `what`."""
        async with asyncio.timeout(60):
            said, body = await self.heard.get()
        assert said == what, (said, body)
        return body

    async def _say_key(self, request: Request) -> Response:
        await self._autopush.hello.wait()
        return Response(self._key)

    async def _hear(self, request: Request) -> Response:
        self.heard.put_nowait((request.path_params["what"], await request.body()))
        return Response()


def exactly_as_long_as_can_be(device: Device) -> dict[str, Any]:
    """The fields of a push whose message has not one byte of room left."""

    def fields(filling: int) -> dict[str, Any]:
        return {"push_key": 2, "controls": PushControls(data={"filling": "ä" + "x" * filling})}

    room = MAX_TEXT - len(text(push(device, **fields(0))))
    return fields(room)


async def test_firefox_reads_what_was_pushed(tmp_path: Path) -> None:
    clock = SystemClock()
    async with PushService() as service, Autopush(service) as autopush, gateway(clock) as started:
        shop = Shop(started.facts["application_server_key"], autopush)
        async with Site(shop.app) as site, Firefox(tmp_path, site.url, push_server=autopush.url):
            device = device_at(await register(started, await shop.next("subscribed")), clock)
            for fields in (
                {},
                exactly_as_long_as_can_be(device),
                {"push_key": 3, "dismissed": ("n-1", "n-2"), "badge": 0},
            ):
                sent = push(device, **fields)
                assert (await started.push(sent)).outcome is Outcome.ACCEPTED
                assert await shop.next("pushed") == text(sent)
            await eventually(lambda: autopush.acks == [DELIVERED] * 3)
            assert len(service.messages[1].body) == 4096


async def register(gateway: WebPush, said: bytes) -> Address:
    """What is kept of the browser's own JSON."""
    registration = msgspec.json.decode(
        msgspec.json.encode({"network": "webpush", "subscription": msgspec.Raw(said)}), type=Registration
    )
    return await gateway.register(registration, "d1")
