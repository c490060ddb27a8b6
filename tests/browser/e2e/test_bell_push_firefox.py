"""A real Firefox, nothing of it stubbed: Web Push is turned on, PNS pushes, and what is shown comes and goes.

Nobody drives this browser: its page turns Web Push on by itself, and tells what is shown when that changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from pns import PNS, Settings
from pns.runtime.clock import SystemClock
from pns.settings import PushSettings, WebPushSettings
from pns.testing import temporary_pns
from tests.harness.autopush import Autopush
from tests.harness.firefox import Firefox
from tests.harness.push_service import PushService
from tests.harness.site import Site
from tests.harness.told import Told

PAGE = """<!doctype html><title>Shop</title>
<script type="module" src="/pns/bell.js"></script><pns-bell push></pns-bell>
<script type="module">
const tell = (what, said) => fetch(`/told/${what}`, { method: 'POST', body: JSON.stringify(said) })
const bell = document.querySelector('pns-bell')
const until = async found => { while (!await found()) await new Promise(done => setTimeout(done, 50)) }
await fetch('/push-service-is-there')
await until(() => bell.webPush?.state === 'off')
await tell('state', await bell.webPush.enable() + bell.webPush.problem)
let told = '[]'
await until(async () => {
  const [registration] = await navigator.serviceWorker.getRegistrations()
  const shown = (await registration.getNotifications()).map(({ title, body }) => [title, body]).sort()
  if (JSON.stringify(shown) !== told) await tell('shown', shown)
  told = JSON.stringify(shown)
})
</script>"""
PUSH = PushSettings(
    when="always",
    webpush=WebPushSettings(subject="mailto:ops@example.com", allowed_networks=("127.0.0.0/8",)),
)


class Shop(Told):
    """The application around `pns`; everybody is alice."""

    def __init__(self, pns: PNS, autopush: Autopush) -> None:
        super().__init__()
        self._autopush = autopush
        self.app = Starlette(
            routes=[
                Route("/", lambda request: HTMLResponse(PAGE)),
                Route("/push-service-is-there", self._wait),
                self.route,
                Mount("/pns", pns),
            ]
        )

    async def _wait(self, request: Request) -> Response:
        # Before, subscribe() would hang in Firefox.
        await self._autopush.hello.wait()
        return Response(status_code=204)


async def test_on_pushed_to_and_seen_elsewhere(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(Settings(), push=PUSH)
    async with (
        PushService() as service,
        Autopush(service) as autopush,
        temporary_pns(user=lambda request: "alice", settings=settings, clock=SystemClock()) as pns,
    ):
        shop = Shop(pns, autopush)
        async with Site(shop.app) as site, Firefox(tmp_path, site.url, push_server=autopush.url):
            await shop.is_told("state", "on")
            (first,) = await pns.notify("alice", json.dumps({"title": "Order shipped", "body": "on Tuesday"}))
            await shop.is_told("shown", [["Order shipped", "on Tuesday"]])
            await pns.notify("alice", "a text alone")
            both = [["New notification", "a text alone"], ["Order shipped", "on Tuesday"]]
            await shop.is_told("shown", both)
            await pns.seen("alice", [first])
            await shop.is_told("shown", both[:1])
