"""A node: one running PNS. A node owns the store, the bus, the inbox, the connections, push and the loops. It
starts all parts in order and stops them in reverse.

Nothing here is global: two nodes in one process make a fleet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from pns.contracts.authority import Credentials, DeviceAuthority
from pns.contracts.bus import Bus
from pns.contracts.gateway import Gateway
from pns.contracts.outgoing import Backlog, Outgoing
from pns.contracts.receiver import Receiver
from pns.contracts.store import State, Store
from pns.errors import Draining, Overloaded, StoreUnavailable
from pns.inbox.audiences import Subscribers
from pns.inbox.changes import Changes
from pns.inbox.deliverer import Deliverer
from pns.inbox.erasure import Erasure
from pns.inbox.forwarder import Forwarder
from pns.inbox.intake import OwnIntake
from pns.inbox.preferences import Preferences
from pns.inbox.publications import Publications
from pns.inbox.reading import Reading
from pns.inbox.retention import EXPIRE_SECONDS, PRUNE_SECONDS, Pruner
from pns.inbox.spreader import SPREAD_SECONDS, Spreader
from pns.inbox.timeline import Timeline
from pns.inbox.unsubscribing import Unsubscribing
from pns.live.admission import Admission, Admitted, Entry, use
from pns.live.askers import Askers
from pns.live.connection import Connection, Shared
from pns.live.departures import Departures
from pns.live.fanout import ANNOUNCED_SECONDS, Fanout
from pns.live.heartbeat import Heartbeat
from pns.live.hub import Hub
from pns.live.presence import PresenceReport
from pns.model.device import OwnedDevice, new_device_id
from pns.model.messages import CloseCode
from pns.model.role import Role
from pns.model.ticket import ReadTicket, Ticket, renewed_until
from pns.push.engine import PushEngine
from pns.push.webhook.engine import WebhookEngine
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.looper import Looper
from pns.runtime.metrics import Metrics
from pns.runtime.samples import SAMPLE_SECONDS, Samples
from pns.settings import Settings

log = logging.getLogger(__name__)

DRAIN_STEP_SECONDS = 0.05
PAGES_AT_ONCE = 4
STOP_SECONDS = 5.0
"""How long a stopping node waits for connections to say goodbye before it drops them."""


class Adapters(NamedTuple):
    """The adapters that a node owns from now on. `compose.make_adapters` makes them from the settings."""

    store: Store
    bus: Bus
    authority: DeviceAuthority
    gateways: Sequence[Gateway] = ()
    receiver: Receiver | None = None


class Node:
    """Use as `async with node:`. A node is started once."""

    def __init__(
        self,
        settings: Settings,
        adapters: Adapters,
        *,
        metrics: Metrics,
        clock: Clock | None = None,
        in_place: bool = False,
        role: Role = "all",
        outgoing: Outgoing | None = None,
    ) -> None:
        """`in_place`: counts may go straight to the server's socket; see web/websocket.py. `outgoing`: an
        application's own table of notifications, which the node forwards.
        """
        self.settings = settings
        self.metrics = metrics
        self.clock = clock or SystemClock()
        self.node_id = new_device_id()
        self.store, self.bus, self.authority, gateways, receiver = adapters
        self.pushing = PushEngine(
            settings.push, gateways, self.store, role=role, clock=self.clock, metrics=metrics
        )
        self._own_the_inbox(role)
        self.telling = WebhookEngine(
            settings,
            receiver,
            self.store,
            unsubscribing=self.unsubscribing,
            role=role,
            clock=self.clock,
            metrics=metrics,
        )
        self.outgoing: Backlog | None = None
        """The content of the application's own table, counted once a minute while this node forwards."""
        self._forwarder = self._forwarder_of(outgoing)
        self._own_the_connections()
        self._stack = AsyncExitStack()
        self.started = False
        self.draining = False
        self.in_place = in_place

    def _own_the_inbox(self, role: Role) -> None:
        dismissals = self.pushing.dismissals
        self.changes = Changes(
            self.store,
            self.bus,
            self.metrics,
            terms=self.pushing.terms,
            on_seen=None if dismissals is None else dismissals.seen,
            knowing=lambda states: self.fanout.knowing(states),
            on_announced=lambda: self.fanout.changed(None),
            on_published=self._wake_spreader,
        )
        self.erasure = Erasure(
            self.store,
            self.changes,
            release=self.pushing.registrar.released,
            shielded=self.pushing.registrar.shielded,
        )
        self.subscribers = Subscribers(self.store.audiences)
        self.preferences = Preferences(self.store.categories)
        self.unsubscribing = Unsubscribing(self.store, secret=self.settings.session.secret)
        limits = self.settings.limits
        self.timeline = Timeline(self.store.timeline, limits)
        self.publications = Publications(self.store, self.changes, limits=limits, clock=self.clock)
        self.pruner = Pruner(self.store, self.changes, settings=self.settings, clock=self.clock)
        self._deliverer = (
            None if role == "web" else Deliverer(self.store, self.changes, self.clock, metrics=self.metrics)
        )
        self._spreading = None if role == "web" else self._spreading_loop()

    def _spreading_loop(self) -> Looper:
        spreader = Spreader(self.store, self.changes, self.clock)
        return self._looper("spread", spreader.tick, lambda: SPREAD_SECONDS)

    def _wake_spreader(self) -> None:
        """A publication of this node waits for no look; other nodes' spreaders find it by theirs."""
        if self._spreading is not None:
            self._spreading.wake()

    def _forwarder_of(self, outgoing: Outgoing | None) -> Forwarder | None:
        if outgoing is None:
            return None
        intake = OwnIntake(self.changes, self.erasure, limits=self.settings.limits, clock=self.clock)
        return Forwarder(outgoing, intake, clock=self.clock, on_backlog=self._measure_backlog)

    def _measure_backlog(self, backlog: Backlog) -> None:
        self.outgoing = backlog
        self.metrics.outgoing_waiting.set(backlog.waiting)
        self.metrics.outgoing_oldest_seconds.set(backlog.oldest_seconds)
        self.metrics.outgoing_refused.set(backlog.refused)

    def _own_the_connections(self) -> None:
        self.hub = Hub()
        askers = Askers()
        self.fanout = Fanout(self.hub, self.store, clock=self.clock, metrics=self.metrics, askers=askers)
        self.presence = PresenceReport(self.node_id, self.hub, self.store, clock=self.clock)
        self.reading = Reading(
            self.store,
            self.settings.limits,
            connected=self.presence.devices,
            here=self.hub.presences,
        )
        self.departures = Departures(
            self.store,
            self.changes,
            unregister=self.pushing.registrar.unregister,
            clock=self.clock,
            metrics=self.metrics,
        )
        self.admission = self._admission(self.authority)
        self.page_turns = asyncio.Semaphore(PAGES_AT_ONCE)
        self._shared = Shared(
            settings=self.settings,
            store=self.store,
            changes=self.changes,
            clock=self.clock,
            metrics=self.metrics,
            page_turns=self.page_turns,
            askers=askers,
        )
        self._heartbeat = Heartbeat(self.hub, self.authority, self.settings, clock=self.clock)
        self._left = asyncio.Event()
        self.samples = Samples(self.metrics, self.clock)
        self.metrics.connections.set_function(lambda: len(self.hub))
        self.metrics.users_connected.set_function(lambda: len(self.hub.user_ids))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            await self.store.open()
            stack.push_async_callback(self.authority.stop)
            await self.authority.start()
            stack.push_async_callback(self.bus.stop)
            await self.bus.start(self.fanout.changed)
            stack.push_async_callback(self.fanout.stop)
            self.fanout.start()
            stack.push_async_callback(self.presence.end)
            stack.push_async_callback(self._heartbeat.stop)
            for looper in self._loopers():
                stack.push_async_callback(looper.stop)
                looper.start()
            stack.push_async_callback(self.pushing.stop)
            await self.pushing.start()
            stack.push_async_callback(self.telling.stop)
            await self.telling.start()
            if self._forwarder is not None:
                stack.push_async_callback(self._forwarder.stop)
                self._forwarder.start()
            stack.push_async_callback(self.departures.stop)
            stack.push_async_callback(self._end_connections)
            self._stack = stack.pop_all()
        self.started = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draining = True
        self.started = False
        await self._stack.__aexit__(kind, error, trace)

    def _loopers(self) -> list[Looper]:
        ticks = [
            ("sweep", self._heartbeat.tick, lambda: self._heartbeat.interval),
            ("compare", self.fanout.compare, lambda: self.settings.server.heartbeat_seconds),
            ("announced", self.fanout.look_for_announcements, lambda: ANNOUNCED_SECONDS),
            ("presence", self.presence.tick, lambda: 1.0),
            ("expire", self.pruner.expire, lambda: EXPIRE_SECONDS),
            ("prune", self.pruner.prune, lambda: PRUNE_SECONDS),
            ("lag", self._measure_lag, lambda: 1.0),
            ("samples", self.samples.tick, lambda: SAMPLE_SECONDS),
        ]
        if (deliverer := self._deliverer) is not None:
            ticks.append(("deliver", deliverer.tick, lambda: deliverer.seconds))
        loopers = [self._looper(name, tick, every) for name, tick, every in ticks]
        return loopers if self._spreading is None else [*loopers, self._spreading]

    def _looper(self, name: str, tick: Callable[[], Awaitable[object]], every: Callable[[], float]) -> Looper:
        return Looper(name, tick, every=every, clock=self.clock, metrics=self.metrics)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────

    def check_open(self) -> None:
        """Raise Draining or Overloaded when no connection can be taken now."""
        if self.draining:
            raise Draining
        if len(self.hub) >= self.settings.limits.connections:
            raise Overloaded("this node holds `limits.connections` connections; try again, or another node")

    async def crowded(self, user_id: str, *, new: int = 0) -> bool:
        """Whether the user would have too many connections, with `new` more: exact here, else approximate.

        While the store cannot tell about other nodes, their connections do not count.
        """
        limit = self.settings.limits.connections_per_user
        if self._here(user_id) + new > limit:
            return True
        try:
            elsewhere = sum(presence.connections for presence in await self.presence.elsewhere(user_id))
        except StoreUnavailable:
            return False
        return self._here(user_id) + elsewhere + new > limit

    def _here(self, user_id: str) -> int:
        # Of several that come at once beyond the limit, each that was turned away makes room for the next.
        return sum(connection.ending is None for connection in self.hub.of(user_id))

    async def join(
        self,
        credentials: Credentials,
        known: OwnedDevice | None,
        *,
        authority: DeviceAuthority | None = None,
    ) -> tuple[Connection, State]:
        """A connection for these credentials, already in the hub, and the state to begin with.

        `authority`, if given, answers instead of the node's own, and is not asked again later. After `join`,
        the caller must `leave` with the connection. Raises the errors of Admission, Draining, Overloaded,
        StoreUnavailable.
        """
        admission = self._admission(authority) if authority else self.admission
        kept = None if authority else self._kept(credentials)

        async def begin(admitted: Admitted) -> Entry[Connection]:
            return await self._begin(admitted, kept)

        self.check_open()
        return await admission.enter(credentials, known, begin=begin, undo=self.leave)

    def _kept(self, credentials: Credentials) -> Credentials:
        """What a connection holds for its rechecks: `pns serve` asks with the forwarded headers alone."""
        return msgspec.structs.replace(credentials, request=None) if self.in_place else credentials

    async def _begin(self, admitted: Admitted, credentials: Credentials | None) -> Entry[Connection]:
        self.check_open()
        connection = Connection(
            self._shared, admitted, credentials=credentials, recheck_at=self._heartbeat.next_recheck()
        )
        self.hub.attach(connection)
        try:
            await self.bus.join(admitted.user_id)
            return Entry(connection, (await self.store.states([admitted.user_id]))[admitted.user_id])
        except BaseException:
            self.leave(connection)
            raise

    def _admission(self, authority: DeviceAuthority) -> Admission:
        return Admission(authority, self.store, timeout_seconds=self.settings.auth.timeout_seconds)

    async def join_by_ticket(self, ticket: Ticket, read: ReadTicket) -> tuple[Connection, State]:
        """As `join`, for a ticket, which is used up. `read` reads the tickets that will renew the connection.

        Raises Unauthorized for a used or revoked ticket, Draining, Overloaded, StoreUnavailable.
        """
        self.check_open()
        connection = Connection(
            self._shared,
            Admitted(ticket.user_id, ticket.device_id, ticket.revocation),
            credentials=None,
            recheck_at=renewed_until(self.clock.monotonic(), self.settings.auth.recheck_seconds),
            read_ticket=read,
        )
        self.hub.attach(connection)
        try:
            await self.bus.join(ticket.user_id)
            return connection, await use(ticket, self.store)
        except BaseException:
            self.leave(connection)
            raise

    def leave(self, connection: Connection) -> None:
        """The connection has ended."""
        self.hub.detach(connection)
        if connection.user_id not in self.hub:
            self.bus.leave(connection.user_id)
        self._left.set()

    # ── health and end ────────────────────────────────────────────────────────────────────────────────

    async def problems(self) -> list[str]:
        """Why this node is not ready, a sentence each; empty for a ready node."""
        if not self.started or self.draining:
            return ["this node is starting or going down"]
        try:
            await self.store.check()
        except StoreUnavailable as error:
            return [error.told_publicly]
        return []

    def degraded(self) -> list[str]:
        """The troubles of a node that is ready all the same, a sentence each."""
        return [trouble for trouble in (self.bus.status(), self.telling.trouble) if trouble]

    async def drain(self, seconds: float) -> None:
        """Take no new connection, and close the open connections with 1012, spread over `seconds`.

        The spread keeps the devices from knocking at another node's door all at once.
        """
        self.draining = True
        connections = list(self.hub)
        steps = max(1, min(len(connections), int(seconds / DRAIN_STEP_SECONDS)))
        for step in range(steps):
            if step:
                await self.clock.sleep(seconds / steps)
            for connection in connections[step::steps]:
                connection.end(CloseCode.RESTART)
        await self._end_connections()

    async def _end_connections(self) -> None:
        self.draining = True
        for connection in self.hub:
            connection.end(CloseCode.RESTART)
        # Real seconds: a test's clock stands still while its node stops.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while len(self.hub):
                    self._left.clear()
                    await self._left.wait()
        for connection in self.hub:
            connection.drop()

    async def _measure_lag(self) -> None:
        """Measure the loop's delay before a callback that is due at once: all others wait as long."""
        loop = asyncio.get_running_loop()
        due = loop.time() + 0.01
        await asyncio.sleep(0.01)
        self.metrics.loop_lag_seconds.set(max(0.0, loop.time() - due))
