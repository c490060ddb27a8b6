"""PNS as a library: a node inside the host application's own process, behind the host's own login.

The library owns a node and the node's ASGI edge, and nothing of the server; docs/embedding.md names the
promises that only `pns serve` can keep. Every method translates: the work stands in pns/inbox and pns/push.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from pns.compose import fixed_user, make_adapters, make_application_authority
from pns.contracts.authority import UserOf
from pns.contracts.store import EVERY_DEVICE
from pns.errors import NotFound, NotStarted, PNSError
from pns.inbox import audience_names, given
from pns.inbox.audiences import NO_TOPIC
from pns.inbox.given import Notifications
from pns.inbox.publications import Changed, ToAll
from pns.model.answers import (
    InstalledDevice,
    PublicationInfo,
    Published,
    PushItem,
    Registered,
    Subscriptions,
    UserInfo,
)
from pns.model.device import Registration
from pns.model.messages import InboxItem
from pns.model.push import PushControls
from pns.node import Node
from pns.runtime.calls import Calls
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings
from pns.web.app import Web
from pns.web.wrap import Wrapped

T = TypeVar("T")

_NO_TOPIC = f"{NO_TOPIC}, here with pns.make_topic"


class _Running(NamedTuple):
    """The parts of a PNS that was entered, all in one event loop."""

    node: Node
    web: Web
    loop: asyncio.AbstractEventLoop
    calls: Calls


class PNS:
    """A notification inbox and live push for one application; an ASGI application to be mounted.

    `store`: the store's URL; `store` goes before `settings.store.url`. `user`: a sync or async callable from
    the request to the user's id, or to None for nobody; PNS calls it again at every recheck. `settings`: all
    other settings. PNS reads neither config.toml nor the environment, unless you give `Settings.load()`.

    Enter a PNS before use: `lifespan=pns.lifespan`, `async with pns:` or `pns.wrap(app)`. Before, every
    method raises NotStarted. A PNS belongs to the event loop in which it was entered; other threads may call
    only the methods that end in `_sync`. Methods raise Invalid for bad arguments, and StoreUnavailable or
    Overloaded when nothing could be stored.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        user: UserOf | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or Settings()
        if store is not None:
            settings = msgspec.structs.replace(
                settings, store=msgspec.structs.replace(settings.store, url=store)
            )
        self.settings = settings
        self._user = user
        self._clock = clock or SystemClock()
        self._running: _Running | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise PNSError("this PNS runs already: enter it once, in one place")
        node, web = self._compose()
        loop = asyncio.get_running_loop()
        self._running = _Running(node, web, loop, Calls(loop))
        try:
            await node.__aenter__()
        except BaseException:
            self._running = None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._running
        if running is None:
            return
        try:
            await running.node.__aexit__(kind, error, trace)
        finally:
            # Not before: a caller in the meantime is told that this node is going down.
            self._running = None
            await running.calls.end()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """For a framework's `lifespan` parameter: PNS runs as long as `app` does."""
        async with self:
            yield

    def wrap(self, app: ASGIApp, path: str = "/pns") -> ASGIApp:
        """`app` with PNS at `path`; PNS lives as long as the server, whether `app` has a lifespan or not."""
        return Wrapped(app, self, path=path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._alive.web(scope, receive, send)

    # ── for the application ───────────────────────────────────────────────────────────────────────────

    async def notify(self, user_id: str | int, notifications: Notifications) -> list[str]:
        """Store one or several notifications, all or nothing; returns their ids when they are on disk.

        Raises NotificationIdConflict when an id is taken by other data.
        """
        node, wanted = self._started, given.notifications(notifications)
        if not wanted:
            return []
        checked = given.submission(user_id, wanted, limits=self.settings.limits, clock=self._clock)
        return (await node.changes.notify([checked])).notification_ids

    def notify_sync(self, user_id: str | int, notifications: Notifications) -> list[str]:
        """`notify` from any other thread, such as a sync view's; returns when they are on disk."""
        return self._wait_for(lambda: self.notify(user_id, notifications), name="notify")

    def withdraw_sync(self, user_id: str | int, notification_id: str) -> None:
        """`withdraw` from any other thread."""
        self._wait_for(lambda: self.withdraw(user_id, notification_id), name="withdraw")

    def disconnect_sync(self, user_id: str | int, device_id: str = EVERY_DEVICE) -> None:
        """`disconnect` from any other thread, such as a sync logout view's."""
        self._wait_for(lambda: self.disconnect(user_id, device_id), name="disconnect")

    def erase_sync(self, user_id: str | int) -> None:
        """`erase` from any other thread."""
        self._wait_for(lambda: self.erase(user_id), name="erase")

    async def subscribe(self, websocket: WebSocket, user_id: str | int) -> None:
        """Serve `websocket`, in the application's own endpoint and behind its own login, until the connection
        ends.

        Applies the Origin rule and the device cookie, and accepts the connection unless the host has
        accepted. A revocation ends the connection. PNS never rechecks the login, because only the endpoint
        knows the user.
        """
        running, user = self._entered, given.user(user_id)

        async def send(message: Message) -> None:
            try:
                await websocket.send(message)
            except WebSocketDisconnect:
                # Starlette's word for it would pass through PNS into the server's log as a failure.
                raise ConnectionError("the peer is gone") from None

        authority = await fixed_user(user, running.node.store)
        scope = {**websocket.scope, "pns.accepted": websocket.application_state is WebSocketState.CONNECTED}
        await running.web.connect(scope, websocket.receive, send, authority=authority)

    async def user(self, user_id: str | int) -> UserInfo:
        """The user's unseen count and connected devices."""
        return await self._started.reading.user(given.user(user_id))

    async def seen(self, user_id: str | int, notification_ids: Sequence[str] | None = None) -> int:
        """Mark these notifications seen, or all unseen ones; returns the unseen count afterwards."""
        return await self._started.changes.seen(given.user(user_id), notification_ids)

    async def withdraw(self, user_id: str | int, notification_id: str) -> None:
        """Take one notification back. Nothing happens if the notification is not kept any more."""
        await self._started.changes.withdraw(given.user(user_id), notification_id)

    async def export(self, user_id: str | int) -> AsyncIterator[InboxItem]:
        """Every notification of the user, oldest first, read in pages.

        `devices` and `subscriptions` return everything else that PNS keeps of the user.
        """
        async for page in self._started.reading.inbox(given.user(user_id)):
            for item in page:
                yield item

    async def disconnect(self, user_id: str | int, device_id: str = EVERY_DEVICE) -> None:
        """End the user's connections, or one device's, and every login answer from before."""
        await self._started.changes.revoke(given.user(user_id), device_id)

    async def erase(self, user_id: str | int) -> None:
        """Erase the user with all data of the user, and end the user's connections."""
        await self._started.erasure.erase(given.user(user_id))

    # ── devices at push networks ──────────────────────────────────────────────────────────────────────

    async def install(
        self, user_id: str | int, registration: Registration | Mapping[str, object]
    ) -> Registered:
        """Register a device of the user. Safe to repeat.

        A mapping holds the members of the JSON object that a device would send; a JSON text is refused.
        Raises Unavailable when the network's gateway cannot take the device now.
        """
        node, wanted = self._started, given.converted(given.plain(registration), Registration)
        return (await node.pushing.registrar.register(given.user(user_id), wanted)).told

    async def uninstall(self, user_id: str | int, device_id: str) -> bool:
        """Remove a device of the user: nothing is pushed to the device any more. Returns False for an unknown
        device.
        """
        registrar = self._started.pushing.registrar
        return await registrar.unregister(given.user(user_id), given.name("device_id", device_id))

    async def devices(self, user_id: str | int) -> list[InstalledDevice]:
        """The user's devices at push networks, oldest registration first."""
        return await self._started.reading.devices(given.user(user_id))

    async def pushes(self, user_id: str | int, notification_id: str) -> list[PushItem]:
        """The state of the pushes of one notification, by device."""
        return await self._started.reading.pushes(given.user(user_id), notification_id)

    # ── topics, buckets, everybody ────────────────────────────────────────────────────────────────────

    async def make_topic(self, topic: str) -> None:
        """Make a topic, such as `app:news`. An existing topic stays as before."""
        await self._started.subscribers.make(audience_names.topic(topic))

    async def remove_topic(self, topic: str) -> None:
        """Remove a topic and all its subscriptions."""
        await self._started.subscribers.remove(audience_names.topic(topic))

    async def subscribe_to(
        self, user_id: str | int, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """Subscribe the user to a topic, or to a bucket. Raises NotFound for a topic that was not made."""
        subscribers, audience = self._started.subscribers, _audience(topic, bucket, make=True)
        try:
            await subscribers.subscribe(audience, given.user(user_id), make=bucket is not None)
        except NotFound:
            raise NotFound(_NO_TOPIC) from None

    async def unsubscribe_from(
        self, user_id: str | int, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """End the user's subscription to a topic, or to a bucket."""
        subscribers, audience = self._started.subscribers, _audience(topic, bucket)
        await subscribers.unsubscribe(audience, given.user(user_id))

    async def subscriptions(self, user_id: str | int) -> Subscriptions:
        """The user's topics and buckets."""
        return await self._started.subscribers.of(given.user(user_id))

    async def publish(
        self,
        topic: str,
        notifications: Notifications,
        *,
        publication_id: str | None = None,
        sender: str | None = None,
    ) -> Published:
        """Notify every subscriber of a topic. The publication is durable on return and spreads afterwards.

        Raises NotFound, or PublicationConflict when the id belongs to another publication.
        """
        node, wanted = self._started, _to_all(notifications, publication_id, sender)
        try:
            return await node.publications.notify_topic(topic, wanted)
        except NotFound:
            raise NotFound(_NO_TOPIC) from None

    async def broadcast(
        self, notifications: Notifications, *, publication_id: str | None = None, sender: str | None = None
    ) -> Published:
        """As `publish`, to every user whom PNS knows."""
        node, wanted = self._started, _to_all(notifications, publication_id, sender)
        return await node.publications.notify_everybody(wanted)

    async def bucket_changed(
        self,
        bucket: str,
        type: str,
        object_id: str | None = None,
        *,
        notification_data: str | None = None,
        sender: str | None = None,
        collapse: bool = True,
        push: PushControls | None = None,
        publication_id: str | None = None,
    ) -> Published:
        """Tell every subscriber of a bucket that the bucket has changed, as `publish` does.

        `type`: such as "DATA_OBJECT_UPDATED"; docs/protocol.md lists all types and the other members.
        """
        members = {
            "type": type,
            "object_id": object_id,
            "notification_data": notification_data,
            "sender": sender,
            "collapse": collapse,
            "push": given.plain(push, at="/push"),
            "publication_id": publication_id,
        }
        return await self._started.publications.notify_bucket(bucket, given.converted(members, Changed))

    async def publication(self, publication_id: str) -> PublicationInfo:
        """The progress of a publication. Raises NotFound, also long after its end."""
        return await self._started.publications.find(publication_id)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _alive(self) -> _Running:
        """The parts, from the end of the start to the end of PNS. Raises NotStarted before and after."""
        running = self._running
        if running is None or not (running.node.started or running.node.draining):
            raise NotStarted
        return running

    @property
    def _entered(self) -> _Running:
        running = self._alive
        if asyncio.get_running_loop() is not running.loop:
            raise RuntimeError(
                "PNS runs in another event loop than this one: use notify_sync, or another method that ends"
                " in _sync, from here"
            )
        return running

    @property
    def _started(self) -> Node:
        return self._entered.node

    def _wait_for(self, call: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> T:
        """Return what `call` returns in the event loop of PNS, for a thread that may wait.

        Raises NotStarted, also when PNS is left meanwhile. Raises RuntimeError in the event loop itself,
        where the wait would never end.
        """
        running = self._alive
        if _running_loop() is running.loop:
            raise RuntimeError(
                f"{name}_sync would block the event loop that it waits for: use `await {name}`"
            )
        left = (
            f"PNS was left while {name}_sync waited: the outcome is unknown. Repeat the call when PNS runs"
            " again; a notify with a notification_id stores nothing twice"
        )
        return running.calls.wait_for(call, ended=NotStarted(left))

    def _compose(self) -> tuple[Node, Web]:
        settings, clock, metrics = self.settings, self._clock, Metrics()
        adapters = make_adapters(settings, user=self._user, clock=clock, metrics=metrics)
        node = Node(settings, adapters, metrics=metrics, clock=clock)
        return node, Web(node, make_application_authority(settings, clock=clock))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _audience(topic: str | None, bucket: str | None, *, make: bool = False) -> str:
    if topic is not None and bucket is None:
        return audience_names.topic(topic)
    if bucket is not None and topic is None:
        return audience_names.bucket(bucket, make=make)
    raise TypeError("give either topic= or bucket=")


def _to_all(notifications: Notifications, publication_id: str | None, sender: str | None) -> ToAll:
    members = {
        "notifications": given.members(notifications),
        "publication_id": publication_id,
        "sender": sender,
    }
    return given.converted(members, ToAll)
