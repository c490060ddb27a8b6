"""What a real Chromium shows beside its pages: worker, permission and notifications are its own.

Its subscriptions would come from a service of Google's. They come from a push service of ours, whose pushes,
once decrypted, reach the worker through the developer tools.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, CDPSession, Page, Worker

from tests.harness import eventually
from tests.harness.push_service import Message, PushService, Subscriber

WEB_PUSH: dict[str, Any] = {
    "push__when": "always",
    "push__webpush__subject": "mailto:ops@example.com",
    "push__webpush__allowed_networks": "127.0.0.0/8",
}
"""Settings of a PNS that pushes to such a browser whatever there is."""

_SUBSCRIPTIONS = """(() => {
  const KEPT = 'subscription'
  const bytes = key => Uint8Array.from(atob(key.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt())
  const made = ({ key, ...given }) => ({
    options: { applicationServerKey: bytes(key).buffer },
    toJSON: () => ({ ...given, expirationTime: null }),
    unsubscribe: async () => { localStorage.removeItem(KEPT); return true }
  })
  PushManager.prototype.getSubscription = async () => {
    const kept = localStorage.getItem(KEPT)
    return kept && made(JSON.parse(kept))
  }
  PushManager.prototype.subscribe = async ({ applicationServerKey: key }) => {
    const given = { key, ...await subscribeAt(key) }
    localStorage.setItem(KEPT, JSON.stringify(given))
    return made(given)
  }
  self.badges = []
  navigator.setAppBadge = async count => { badges.push(count) }
})()"""
_CLICK = """async title => {
  self.opened = []
  clients.openWindow = async url => { opened.push(url) }
  const notification = (await registration.getNotifications()).find(one => one.title === title)
  dispatchEvent(new NotificationEvent('notificationclick', { notification }))
}"""
_SHOWN = """(async () => {
  const [registration] = await navigator.serviceWorker.getRegistrations()
  return ((await registration?.getNotifications()) ?? []).map(one => one.title)
})()"""


class Tray:
    """Of one browser, whose subscriptions are at `service`."""

    def __init__(self, service: PushService) -> None:
        self.displayed = 0
        self._service = service
        self._registrations: list[dict[str, Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._tab: Page | None = None
        self._session: CDPSession | None = None

    @classmethod
    async def of(cls, context: BrowserContext, service: PushService) -> Self:
        """Before the first page is opened."""
        tray = cls(service)
        await context.expose_binding("subscribeAt", tray._subscribe)
        await context.add_init_script(_SUBSCRIPTIONS)
        return tray

    async def watch(self, tab: Page) -> None:
        """From now on tell what the only worker of the browser does, by way of an open page."""
        self._tab, self._session = tab, await tab.context.new_cdp_session(tab)
        self._session.on("ServiceWorker.workerRegistrationUpdated", self._updated)
        self._session.on("BackgroundService.backgroundServiceEventReceived", self._happened)
        observed = {"service": "notifications"}
        await self._session.send("ServiceWorker.enable")
        await self._session.send("BackgroundService.startObserving", observed)
        await self._session.send("BackgroundService.setRecording", {**observed, "shouldRecord": True})
        await eventually(lambda: len(self._registrations) == 1)

    async def push(self, message: dict[str, Any] | str) -> None:
        """Deliver one push as if it had come, and return once its notification is shown."""
        before = self.displayed
        await self._deliver(message if isinstance(message, str) else json.dumps(message))
        await self.displays(before + 1)

    async def dismiss(self, *ids: str, badge: int) -> None:
        """Deliver word that these were seen elsewhere."""
        await self._deliver(json.dumps({"dismissed": ids, "badge": badge}))

    async def displays(self, number: int) -> None:
        """Wait until as many have been shown, in all.

        Before, nobody may ask what is shown: Chromium then loses what it is about to show.
        """
        await eventually(lambda: self.displayed >= number)

    async def shows(self, *titles: str) -> None:
        """Wait until just these are shown."""
        found: list[str] = []

        async def same() -> bool:
            found[:] = await self._page.evaluate(_SHOWN)
            return sorted(found) == sorted(titles)

        try:
            await eventually(same)
        except AssertionError:
            raise AssertionError(f"{found} is not {list(titles)}") from None

    async def click(self, title: str) -> None:
        """As if the user had clicked on it. Where nobody has, browsers open no window: that is only told."""
        await self._worker.evaluate(_CLICK, title)

    async def opens(self, address: str) -> None:
        """Wait until the last click has asked for this window, and no other."""

        async def opened() -> bool:
            return bool(await self._worker.evaluate("self.opened") == [address])

        await eventually(opened)

    @property
    def _page(self) -> Page:
        assert self._tab is not None, "watch a page first"
        return self._tab

    @property
    def _worker(self) -> Worker:
        (worker,) = self._page.context.service_workers
        return worker

    def _subscribe(self, source: object, key: str) -> dict[str, Any]:
        subscriber = _Browser(self._service, key, self._forward)
        return {"endpoint": subscriber.endpoint, "keys": subscriber.keys}

    def _forward(self, text: bytes) -> None:
        task = asyncio.ensure_future(self._deliver(text.decode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, data: str) -> None:
        assert self._session is not None, "watch a page first"
        (registration,) = self._registrations
        scope = urlsplit(registration["scopeURL"])
        worker = {
            "origin": f"{scope.scheme}://{scope.netloc}",
            "registrationId": registration["registrationId"],
        }
        await self._session.send("ServiceWorker.deliverPushMessage", {**worker, "data": data})

    def _updated(self, event: dict[str, Any]) -> None:
        self._registrations = [one for one in event["registrations"] if not one["isDeleted"]]

    def _happened(self, event: dict[str, Any]) -> None:
        self.displayed += event["backgroundServiceEvent"]["eventName"] == "Notification displayed"


class _Browser(Subscriber):
    """A subscription whose messages go on to `forward`, decrypted."""

    def __init__(self, service: PushService, key: str, forward: Callable[[bytes], None]) -> None:
        super().__init__(service, key=key)
        self._forward = forward

    def _deliver(self, message: Message) -> None:
        super()._deliver(message)
        self._forward(self.texts[-1])


async def permit(context: BrowserContext, origin: str) -> None:
    """The user has allowed notifications. A headless browser that was not told so refuses when asked."""
    await context.grant_permissions(["notifications"], origin=origin)
