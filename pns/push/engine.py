"""Push, for devices that hold no connection: a node's gateways, dispatchers and loops.

A node of role "web" takes registrations and enqueues pushes. A node of role "push" sends the pushes. A node
of role "all" does both. The nodes meet in the store alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from pns.contracts.gateway import Gateway
from pns.contracts.store import Store
from pns.model.push import PushSchedule
from pns.model.role import Role
from pns.model.timestamp import DAY, SECOND
from pns.push.dismissals import DISMISS_SECONDS, Dismissals
from pns.push.dispatcher import Dispatcher
from pns.push.registrar import Registrar
from pns.push.unserved import UNSERVED_SECONDS, Unserved
from pns.runtime.clock import Clock
from pns.runtime.looper import Looper
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings

SETTLED_SECONDS = 2.5
"""How long a push waits for the presence of its user: each node writes its connections once a second."""
MEASURE_SECONDS = 15.0
TIDY_SECONDS = 60.0
PRUNE_SECONDS = 60.0
PRUNED = 500


def push_terms(settings: PushSettings) -> PushSchedule:
    """When the pushes of a new notification are due, and until when they are worth sending."""
    delays = {"offline": SETTLED_SECONDS, "always": 0.0, "unseen_after": settings.unseen_after_seconds}
    return PushSchedule(round(delays[settings.when] * SECOND), round(settings.ttl_seconds * SECOND))


class PushEngine:
    """Use as `start` and `stop`, inside a running loop. Of two gateways for a network the first takes new
    devices."""

    def __init__(
        self,
        settings: PushSettings,
        gateways: Sequence[Gateway],
        store: Store,
        *,
        role: Role,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.gateways = tuple(gateways)
        self.registrar = Registrar(gateways, store, clock)
        self.terms = push_terms(settings) if gateways else None
        self.dismissals = Dismissals(store.outbox, clock) if gateways else None
        self._settings = settings
        self._store = store
        self._role = role
        self._clock = clock
        self._metrics = metrics
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Raises SettingsError when a gateway cannot work."""
        async with AsyncExitStack() as stack:
            for gateway in self.gateways:
                stack.push_async_callback(gateway.stop)
                await gateway.start()
            for looper in self._loopers():
                stack.push_async_callback(looper.stop)
                looper.start()
            stack.push_async_callback(self.registrar.shielded.stop)
            dispatchers = self._dispatchers()
            stack.push_async_callback(_stop_all, dispatchers)
            for dispatcher in dispatchers:
                dispatcher.start()
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Safe to call twice, and before `start`."""
        await self._stack.aclose()

    def _dispatchers(self) -> list[Dispatcher]:
        if self._role == "web":
            return []
        return [
            Dispatcher(
                gateway,
                self._store.outbox,
                clock=self._clock,
                metrics=self._metrics,
                timeout=self._settings.timeout_seconds,
                offline_only=self._settings.when == "offline",
            )
            for gateway in self.gateways
        ]

    def _loopers(self) -> list[Looper]:
        ticks = []
        if self.dismissals is not None and self._role != "push":
            ticks.append(("dismiss", self.dismissals.dismiss, DISMISS_SECONDS))
        if self._role != "web":
            ticks.append(("prune pushes", self._prune, PRUNE_SECONDS))
            unserved = Unserved(self._store.outbox, {gateway.name for gateway in self.gateways}, self._clock)
            ticks.append(("stray pushes", unserved.tick, UNSERVED_SECONDS))
        if self.gateways and self._role != "web":
            ticks.append(("tidy gateways", self._tidy, TIDY_SECONDS))
        if self.dismissals is not None and self._role != "web":
            ticks.append(("look for seen pushes", self.dismissals.dismiss_missed, DISMISS_SECONDS))
        if self.gateways:
            ticks.append(("measure pushes", self._measure, MEASURE_SECONDS))
        return [self._looper(*tick) for tick in ticks]

    def _looper(self, name: str, tick: Callable[[], Awaitable[None]], seconds: float) -> Looper:
        return Looper(name, tick, every=lambda: seconds, clock=self._clock, metrics=self._metrics)

    async def _measure(self) -> None:
        """Runs on nodes of every role: all nodes that send may be gone."""
        first, now = await self._store.outbox.next_due(), self._clock.now()
        for name in {gateway.name for gateway in self.gateways} | first.keys():
            overdue = max(0, now - first.get(name, now)) / SECOND
            self._metrics.push_overdue_seconds.labels(name).set(overdue)

    async def _prune(self) -> None:
        before = self._clock.now() - round(self._settings.keep_days * DAY)
        while await self._store.outbox.prune_pushes(settled_before=before, limit=PRUNED) >= PRUNED:
            await self._clock.sleep(0.05)

    async def _tidy(self) -> None:
        for gateway in self.gateways:
            await gateway.tidy(self._is_registered)

    async def _is_registered(self, device_id: str) -> bool:
        return await self._store.outbox.device(device_id) is not None


async def _stop_all(dispatchers: Sequence[Dispatcher]) -> None:
    await asyncio.gather(*(dispatcher.stop() for dispatcher in dispatchers))
