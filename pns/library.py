"""PNS as a library: a node inside the host application's own process, behind the host's own login.

It owns a node and its web edge, and nothing of the server: what only `pns serve` can promise stands in
docs/embedding.md. What it has of push and audiences stands in web/library_push.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from pns.compose import (
    fixed_user,
    make_adapters,
    make_application_authority,
)
from pns.contracts.authority import UserOf
from pns.contracts.store import EVERY_DEVICE
from pns.errors import NotStarted, PNSError
from pns.model.messages import InboxItem
from pns.node import Node
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings
from pns.web.app import Web
from pns.web.body import submission
from pns.web.export import read_inbox
from pns.web.host_values import Notifications, given_notifications, given_user
from pns.web.library_push import PushMethods
from pns.web.user_schemas import UserInfo
from pns.web.users import erase_user, user_info
from pns.web.wrap import Wrapped

T = TypeVar("T")


class PNS(PushMethods):
    """A notification inbox and live push for one application; an ASGI application to be mounted.

    `store`: the store's URL; it goes before `settings.store.url`. `user`: a sync or async callable from the
    request to the user's id, or None for nobody; it is asked again at every recheck. `settings`: everything
    else; neither config.toml nor the environment is read unless `Settings.load()` is given here.

    Enter it before use: `lifespan=pns.lifespan`, `async with pns:` or `pns.wrap(app)`. Used before, every
    method raises NotStarted. It belongs to the event loop that it was entered in; only methods that end in
    `_sync` may be called from another thread. Methods raise Invalid for bad arguments, StoreUnavailable or
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
        self._node: Node | None = None
        self._web: Web | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise PNSError("this PNS runs already: enter it once, in one place")
        self._loop = asyncio.get_running_loop()
        try:
            node, web = self._compose()
            await node.__aenter__()
        except BaseException:
            self._loop = None
            raise
        self._node, self._web = node, web
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        node = self._node
        if node is None:
            return
        try:
            await node.__aexit__(kind, error, trace)
        finally:
            # Not before: whoever asks meanwhile is told that this node is going down.
            self._node = self._web = self._loop = None

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """For a framework's `lifespan` parameter: PNS runs as long as `app` does."""
        async with self:
            yield

    def wrap(self, app: ASGIApp, path: str = "/pns") -> ASGIApp:
        """`app` with PNS at `path`; PNS lives as long as the server, whether `app` has a lifespan or not."""
        return Wrapped(app, self, path=path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._web is None:
            raise NotStarted
        await self._web(scope, receive, send)

    # ── for the application ───────────────────────────────────────────────────────────────────────────

    async def notify(self, user_id: str | int, notifications: Notifications) -> list[str]:
        """Store one or several notifications, all or nothing; returns their ids when they are on disk.

        Raises NotificationIdConflict when an id is taken by other data.
        """
        node = self._started
        wanted = given_notifications(notifications)
        if not wanted:
            return []
        checked = submission(user_id, wanted, limits=self.settings.limits, clock=self._clock)
        return (await node.changes.notify([checked])).notification_ids

    def notify_sync(self, user_id: str | int, notifications: Notifications) -> list[str]:
        """`notify` from any other thread, a sync view for example; returns when it is on disk."""
        return self._wait_for(lambda: self.notify(user_id, notifications), name="notify")

    def withdraw_sync(self, user_id: str | int, notification_id: str) -> None:
        """`withdraw` from any other thread."""
        self._wait_for(lambda: self.withdraw(user_id, notification_id), name="withdraw")

    def disconnect_sync(self, user_id: str | int, device_id: str = EVERY_DEVICE) -> None:
        """`disconnect` from any other thread, such as that of a sync logout view."""
        self._wait_for(lambda: self.disconnect(user_id, device_id), name="disconnect")

    def erase_sync(self, user_id: str | int) -> None:
        """`erase` from any other thread."""
        self._wait_for(lambda: self.erase(user_id), name="erase")

    async def subscribe(self, websocket: WebSocket, user_id: str | int) -> None:
        """Serve `websocket`, in the application's own endpoint and behind its own login, until it ends.

        Applies the Origin rule and the device cookie, and accepts unless that was done. A revocation ends it;
        there is no recheck, since nobody but the endpoint knows who this is.
        """
        node, web = self._started, self._web
        assert web is not None
        user = given_user(user_id)

        async def send(message: Message) -> None:
            try:
                await websocket.send(message)
            except WebSocketDisconnect:
                # Starlette's word for it would pass through PNS into the server's log as a failure.
                raise ConnectionError("the peer is gone") from None

        authority = await fixed_user(user, node.store)
        scope = {**websocket.scope, "pns.accepted": websocket.application_state is WebSocketState.CONNECTED}
        await web.connect(scope, websocket.receive, send, authority=authority)

    async def user(self, user_id: str | int) -> UserInfo:
        """The user's unseen count and connected devices."""
        return await user_info(self._started, given_user(user_id))

    async def seen(self, user_id: str | int, notification_ids: Sequence[str] | None = None) -> int:
        """Mark these seen, or all that are unseen now; returns how many are unseen afterwards."""
        node, user = self._started, given_user(user_id)
        if notification_ids is None:
            await node.changes.mark_all_seen(user)
        else:
            await node.changes.mark_seen(user, notification_ids)
        return (await node.store.states([user]))[user].unseen

    async def withdraw(self, user_id: str | int, notification_id: str) -> None:
        """Take one notification back; nothing happens if it is not kept any more."""
        await self._started.changes.withdraw(given_user(user_id), notification_id)

    async def export(self, user_id: str | int) -> AsyncIterator[InboxItem]:
        """Every notification that PNS keeps of the user, oldest first, read in pages.

        What else it keeps of them, `devices` and `subscriptions` tell.
        """
        async for page in read_inbox(self._started, given_user(user_id)):
            for item in page:
                yield item

    async def disconnect(self, user_id: str | int, device_id: str = EVERY_DEVICE) -> None:
        """End the user's connections, or one device's, and every login answer from before."""
        await self._started.changes.revoke(given_user(user_id), device_id)

    async def erase(self, user_id: str | int) -> None:
        """Erase the user with everything PNS keeps of them, and end their connections."""
        await erase_user(self._started, given_user(user_id))

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _started(self) -> Node:
        if self._node is None:
            raise NotStarted
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "PNS runs in another event loop than this one: use notify_sync, or another method that ends"
                " in _sync, from here"
            )
        return self._node

    def _wait_for(self, call: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> T:
        """What `call` returns in the event loop of PNS, for a thread that may wait for it.

        Raises NotStarted, and RuntimeError in the event loop itself, which would wait for ever.
        """
        loop = self._loop
        if loop is None or self._node is None:
            raise NotStarted
        if _running_loop() is loop:
            raise RuntimeError(
                f"{name}_sync would block the event loop that it waits for: use `await {name}`"
            )
        return asyncio.run_coroutine_threadsafe(call(), loop).result()

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
