"""PNS as a library: a node inside the host application's own process, behind the host's own login.

The library owns a node and the node's ASGI edge, and nothing of the server; docs/embedding.md names the
promises that only `pns serve` can keep. Every method translates: the work stands in pns/inbox and pns/push.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from pns.compose import fixed_user, make_adapters, make_application_authority, make_outgoing
from pns.contracts.authority import UserOf
from pns.contracts.receiver import EventFunction
from pns.contracts.store import EVERY_DEVICE
from pns.errors import Invalid, NotStarted, Problem, Unavailable
from pns.inbox import given
from pns.inbox.given import Notifications
from pns.library.audiences import AudienceCalls
from pns.library.later import LaterCalls
from pns.library.preferences import PreferenceCalls
from pns.library.timeline import TimelineCalls
from pns.model.answers import (
    InstalledDevice,
    Marks,
    PushItem,
    Registered,
    UserInfo,
)
from pns.model.device import Registration, UserId
from pns.model.mark import MarkBody
from pns.model.messages import InboxItem
from pns.model.webhook import WebhookKind
from pns.node import Node
from pns.runtime.calls import running_loop
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings
from pns.web.app import Web
from pns.web.life import Life, Running
from pns.web.problems import refusal
from pns.web.wrap import Wrapped

if TYPE_CHECKING:
    from pns.compose import Database

T = TypeVar("T")

_LOG_SAYS = "PNS was not started, and the log of the application says why"


class PNS(AudienceCalls, PreferenceCalls, TimelineCalls, LaterCalls):
    """A notification inbox and live push for one application; an ASGI application to be mounted.

    `store`: its URL, before `settings.store.url`. `user`: a sync or async callable from the request to the
    user's id, or to None for nobody; asked again at every recheck. `operator`: likewise, to True for an
    operator. PNS reads neither config.toml nor the environment, unless `settings` is `Settings.load()`.
    `outgoing`: an engine of SQLAlchemy, whose committed rows of `pns_outgoing` become notifications.
    `on_unseen`, `on_seen`, `on_read`, `on_device_removed`: sync or async callables of a `pns.Event`, which is
    handed over until the callable returns; in place of `settings.webhook.url`.

    Enter a PNS before use: `lifespan=pns.lifespan`, `async with pns:` or `pns.wrap(app)`. Before, methods
    raise NotStarted. A PNS belongs to the event loop in which it was entered; other threads may call only the
    methods that end in `_sync`. Methods raise Invalid for bad arguments, and StoreUnavailable or Overloaded
    when nothing could be stored.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        user: UserOf | None = None,
        operator: UserOf | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        outgoing: Database | None = None,
        on_unseen: EventFunction | None = None,
        on_seen: EventFunction | None = None,
        on_read: EventFunction | None = None,
        on_device_removed: EventFunction | None = None,
    ) -> None:
        settings = settings or Settings()
        if store is not None:
            settings = msgspec.structs.replace(settings, store=StoreSettings(url=store))
        self.settings = settings
        told = {
            WebhookKind.UNSEEN: on_unseen,
            WebhookKind.SEEN: on_seen,
            WebhookKind.READ: on_read,
            WebhookKind.DEVICE_REMOVED: on_device_removed,
        }
        given_functions = {kind: function for kind, function in told.items() if function is not None}
        self._adapters = partial(make_adapters, user=user, operator=operator, told=given_functions)
        self._clock = clock or SystemClock()
        self._outgoing = outgoing
        self._life = Life(self._compose, clock=self._clock)
        self._is_handed_out = self._has_told = False

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        await self._life.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.end()

    @property
    def lifespan(self) -> Callable[[object], AbstractAsyncContextManager[None]]:
        """For a framework's `lifespan` parameter: PNS runs as long as the application does."""
        # A host that has taken it relies on its server. If a request comes first, that server sends none.
        self._is_handed_out = True
        return self._lifespan

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncIterator[None]:
        async with self:
            yield

    def wrap(self, app: ASGIApp, path: str = "/pns") -> ASGIApp:
        """`app` with PNS at `path`; PNS lives as long as the server, whether `app` has a lifespan or not."""
        return Wrapped(app, self, path=path, begin=self._life.begin_late)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_handed_out:
            await self._life.begin_late()
        try:
            web: ASGIApp = self._life.running.web
        except NotStarted:
            if not (self._has_told or self._life.is_late):
                self._has_told = True
                raise
            # The log has the reason, and a traceback for each request would bury the reason.
            web = refusal(Unavailable(_LOG_SAYS) if self._life.is_late else Problem(_LOG_SAYS))
        await web(scope, receive, send)

    # ── for the application ───────────────────────────────────────────────────────────────────────────

    async def notify(self, user_id: UserId, notifications: Notifications) -> list[str]:
        """Store one or several notifications, all or nothing; returns their ids when they are on disk.

        A notification is its text, or a dict, which is kept as its JSON text; or a Notification with an id
        and the like. Raises NotificationIdConflict when an id is taken by other data.
        """
        node = await self._node()
        given.check_user_type("notify", user_id)
        wanted = given.notifications(notifications)
        if not wanted:
            return []
        checked = given.submission(user_id, wanted, limits=self.settings.limits, clock=self._clock)
        return (await node.changes.notify([checked])).notification_ids

    def notify_sync(self, user_id: UserId, notifications: Notifications) -> list[str]:
        """`notify` from any other thread, such as a sync view's; returns when they are on disk."""
        return self._wait_for(lambda: self.notify(user_id, notifications), name="notify")

    def mark_sync(self, user_id: UserId, as_: str, **which: Any) -> Marks:
        """`mark` from any other thread, with the same keywords."""
        return self._wait_for(lambda: self.mark(user_id, as_, **which), name="mark")

    def withdraw_sync(self, user_id: UserId, notification_id: str, *, member: str | None = None) -> None:
        """`withdraw` from any other thread."""
        self._wait_for(lambda: self.withdraw(user_id, notification_id, member=member), name="withdraw")

    def disconnect_sync(self, user_id: UserId, device_id: str = EVERY_DEVICE) -> None:
        """`disconnect` from any other thread, such as a sync logout view's."""
        self._wait_for(lambda: self.disconnect(user_id, device_id), name="disconnect")

    def erase_sync(self, user_id: UserId) -> None:
        """`erase` from any other thread."""
        self._wait_for(lambda: self.erase(user_id), name="erase")

    async def subscribe(self, websocket: WebSocket, user_id: UserId) -> None:
        """Serve `websocket`, in the application's own endpoint and behind its own login, until the connection
        ends.

        Applies the Origin rule and the device cookie, and accepts the connection unless the host has
        accepted. A revocation ends the connection. PNS never rechecks the login, because only the endpoint
        knows the user.
        """
        running, user = self._entered, given.user_of_call("subscribe", user_id)

        async def send(message: Message) -> None:
            try:
                await websocket.send(message)
            except WebSocketDisconnect:
                # Starlette's word for it would pass through PNS into the server's log as a failure.
                raise ConnectionError("the peer is gone") from None

        authority = await fixed_user(user, running.node.store)
        scope = {**websocket.scope, "pns.accepted": websocket.application_state is WebSocketState.CONNECTED}
        await running.web.connect(scope, websocket.receive, send, authority=authority)

    async def user(self, user_id: UserId, *, counts: str | None = None) -> UserInfo:
        """The user's unseen and unread counts and connected devices. `counts="category"` adds the counts of
        each category with something unread.
        """
        if counts not in (None, "category"):
            raise Invalid([("counts", 'must be "category", or left out')])
        reading = (await self._node()).reading
        return await reading.user(given.user_of_call("user", user_id), categories=counts is not None)

    async def seen(self, user_id: UserId, notification_ids: Sequence[str] | None = None) -> int:
        """Mark these notifications seen, or all unseen ones; returns the unseen count afterwards."""
        return await (await self._node()).changes.seen(given.user_of_call("seen", user_id), notification_ids)

    async def mark(
        self,
        user_id: UserId,
        as_: str,
        *,
        notification_ids: Sequence[str] | None = None,
        collapse_key: str | None = None,
        category: str | None = None,
        all: bool = False,
        up_to: str | None = None,
    ) -> Marks:
        """Mark notifications "seen", "read" or "archived", or take marks back: "unread", "unarchived".

        Exactly one of `notification_ids` (1 to 500), `collapse_key`, `category` and `all=True` names the
        notifications. "unread" and "unarchived" take `notification_ids` alone. `up_to` leaves out those that
        were stored later. Raises NotificationNotKept when `up_to` is not kept.
        """
        members = {
            "as": as_,
            "notification_ids": None if notification_ids is None else list(notification_ids),
            "collapse_key": collapse_key,
            "category": category,
            "all": all or None,
            "up_to": up_to,
        }
        asked = {name: value for name, value in members.items() if value is not None}
        node, user = await self._node(), given.user_of_call("mark", user_id)
        return await node.changes.marks(user, given.mark(given.converted(given.plain(asked), MarkBody)))

    async def withdraw(self, user_id: UserId, notification_id: str, *, member: str | None = None) -> None:
        """Take one notification back. Nothing happens if the notification is not kept any more.

        With `member`, take this member out of the notification's group, with all its times. The id may be
        any that the group took in. The notification is taken back with the last member.
        """
        user = given.user_of_call("withdraw", user_id)
        name = None if member is None else given.name("member", member)
        await (await self._node()).changes.withdraw(user, notification_id, name)

    async def export(self, user_id: UserId) -> AsyncIterator[InboxItem]:
        """Every notification of the user, oldest first, read in pages.

        `pending`, `devices`, `subscriptions` and `preferences` return everything else that PNS keeps.
        """
        async for page in (await self._node()).reading.inbox(given.user_of_call("export", user_id)):
            for item in page:
                yield item

    async def disconnect(self, user_id: UserId, device_id: str = EVERY_DEVICE) -> None:
        """End the user's connections, or one device's, and every login answer from before."""
        await (await self._node()).changes.revoke(given.user_of_call("disconnect", user_id), device_id)

    async def erase(self, user_id: UserId) -> None:
        """Erase the user with all data of the user, and end the user's connections."""
        await (await self._node()).erasure.erase(given.user_of_call("erase", user_id))

    # ── devices at push networks ──────────────────────────────────────────────────────────────────────

    async def install(self, user_id: UserId, registration: Registration | Mapping[str, object]) -> Registered:
        """Register a device of the user. Safe to repeat.

        A mapping holds the members of the JSON object that a device would send; a JSON text is refused.
        Raises Unavailable when the network's gateway cannot take the device now.
        """
        node, wanted = await self._node(), given.converted(given.plain(registration), Registration)
        return (await node.pushing.registrar.register(given.user_of_call("install", user_id), wanted)).told

    async def uninstall(self, user_id: UserId, device_id: str) -> bool:
        """Remove a device of the user: nothing is pushed to the device any more. Returns False for an unknown
        device.
        """
        registrar = (await self._node()).pushing.registrar
        user, device = given.user_of_call("uninstall", user_id), given.name("device_id", device_id)
        return await registrar.unregister(user, device)

    async def devices(self, user_id: UserId) -> list[InstalledDevice]:
        """The user's devices at push networks, oldest registration first."""
        return await (await self._node()).reading.devices(given.user_of_call("devices", user_id))

    async def pushes(self, user_id: UserId, notification_id: str) -> list[PushItem]:
        """The state of the pushes of one notification, by device."""
        user = given.user_of_call("pushes", user_id)
        return await (await self._node()).reading.pushes(user, notification_id)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _entered(self) -> Running:
        running = self._life.running
        if asyncio.get_running_loop() is not running.loop:
            raise RuntimeError(
                "PNS runs in another event loop than this one: use notify_sync, or another method that ends"
                " in _sync, from here"
            )
        return running

    @property
    def _started(self) -> Node:
        return self._entered.node

    async def _node(self) -> Node:
        """The node in this event loop. Raises NotStarted.

        As a request does, a call starts PNS for a server without lifespans. A call in another thread does
        not: its event loop may last no longer than the call.
        """
        if self._is_handed_out and threading.current_thread() is threading.main_thread():
            await self._life.begin_late()
        return self._started

    def _wait_for(self, call: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> T:
        """Return what `call` returns in the event loop of PNS, for a thread that may wait.

        Raises NotStarted, also when PNS is left meanwhile. Raises RuntimeError in the event loop itself,
        where the wait would never end.
        """
        running = self._life.running
        if running_loop() is running.loop:
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
        adapters = self._adapters(settings, clock=clock, metrics=metrics)
        outgoing = None if self._outgoing is None else make_outgoing(self._outgoing, clock=clock)
        node = Node(settings, adapters, metrics=metrics, clock=clock, outgoing=outgoing)
        return node, Web(node, make_application_authority(settings, clock=clock))
