"""A node's part in telling the application: the sender and its loops.

A node of role "web" writes events and sends none. The nodes meet in the store alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from pns.contracts.receiver import Receiver
from pns.contracts.store import Store
from pns.inbox.unsubscribing import Unsubscribing
from pns.model.role import Role
from pns.model.timestamp import DAY, SECOND
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms
from pns.push.webhook.letter import Writer
from pns.push.webhook.sender import Sender
from pns.runtime.clock import Clock
from pns.runtime.looper import Looper
from pns.runtime.metrics import Metrics
from pns.settings import Settings, WebhookSettings

MEASURE_SECONDS = 15.0
PRUNE_SECONDS = 60.0
PRUNED = 500


def webhook_terms(settings: WebhookSettings, kinds: frozenset[WebhookKind]) -> WebhookTerms:
    """What the store writes down for an application that takes `kinds`."""
    if not kinds:
        return NO_WEBHOOK
    return WebhookTerms(
        kinds,
        round(settings.unseen_after_seconds * SECOND),
        round(settings.unseen_every_seconds * SECOND),
        round(settings.retry_days * DAY),
    )


class WebhookEngine:
    """Use as `start` and `stop`, inside a running loop. Without a receiver nothing runs."""

    def __init__(
        self,
        settings: Settings,
        receiver: Receiver | None,
        store: Store,
        *,
        unsubscribing: Unsubscribing,
        role: Role,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._sender: Sender | None = None
        if receiver is not None and role != "web":
            writer = Writer(unsubscribing, public_url=settings.server.public_url)
            timeout = settings.webhook.timeout_seconds
            self._sender = Sender(
                receiver, store.webhooks, writer, timeout=timeout, clock=clock, metrics=metrics
            )
        self._stack = AsyncExitStack()

    @property
    def trouble(self) -> str:
        """Why this node tells the application nothing more; else empty."""
        return f"webhooks are off: {self._sender.off}" if self._sender and self._sender.off else ""

    async def start(self) -> None:
        """Raises SettingsError when the receiver cannot work."""
        if self._receiver is None:
            return
        async with AsyncExitStack() as stack:
            if self._sender is not None:
                stack.push_async_callback(self._receiver.stop)
                await self._receiver.start()
                stack.push_async_callback(self._sender.stop)
                self._sender.start()
            for looper in self._loopers():
                stack.push_async_callback(looper.stop)
                looper.start()
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Safe to call twice, and before `start`."""
        await self._stack.aclose()

    def _loopers(self) -> list[Looper]:
        ticks = [("measure webhooks", self._measure, MEASURE_SECONDS)]
        if self._sender is not None:
            ticks.append(("prune webhooks", self._prune, PRUNE_SECONDS))
        return [self._looper(*tick) for tick in ticks]

    def _looper(self, name: str, tick: Callable[[], Awaitable[None]], seconds: float) -> Looper:
        return Looper(name, tick, every=lambda: seconds, clock=self._clock, metrics=self._metrics)

    async def _measure(self) -> None:
        """Runs on nodes of every role: all nodes that send may be gone."""
        first, now = await self._store.webhooks.next_due(), self._clock.now()
        overdue = 0 if first is None else max(0, now - first)
        self._metrics.webhook_overdue_seconds.set(overdue / SECOND)

    async def _prune(self) -> None:
        before = self._clock.now() - round(self._settings.push.keep_days * DAY)
        while await self._store.webhooks.prune_events(settled_before=before, limit=PRUNED) >= PRUNED:
            await self._clock.sleep(0.05)
