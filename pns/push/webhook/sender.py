"""Sends events to the application: claims due events, hands them to the receiver, settles the replies.

The store knows all that a sender knows. When a node dies, another node claims its events after the end of
their lease. An application in trouble is asked again by a single event at a time. After the reply 410 this
node tells nothing more until the next start, and every event stays in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

from pns.contracts.receiver import Receiver, Reply, Taking
from pns.contracts.webhooks import WebhookOutcome, Webhooks, WebhookSettlement
from pns.errors import Unavailable
from pns.model.timestamp import DAY, SECOND
from pns.model.webhook import WebhookEvent
from pns.push.circuit import Circuit, retry_seconds
from pns.push.turns import GATHER_SECONDS, Claiming, Turns, end_all
from pns.push.webhook.letter import Writer
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.runtime.one_line import printable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""The longest time from the due time of an event to the claim."""
LEASE_MARGIN_SECONDS = 10.0
"""How long a claim outlives the timeout of its events."""
CONCURRENCY = 8
"""Events under way at once."""
REST = 1.0
"""The least pause after a turn, in times that the turn took: at least half of the time is for other work."""
STOP_SECONDS = 2.0
"""For events under way when a node goes down. An event without a reply is sent again, under its id."""
MOST_REASON = 300
"""Characters kept of a reason."""
MOST_RETRY_AFTER = DAY / SECOND
"""The longest wait at an application's request."""

UNTAKEN_SECONDS = 60.0
"""How long an event waits that this node hands to nobody, and another node may."""

_BROKEN = Reply(Taking.AGAIN, "PNS failed; its log says why")


def _away(level: int, error: Unavailable) -> None:
    log.log(level, "webhooks are put off: %s", error)


class Sender:
    """Call `start` inside a running loop. After `stop`, other nodes may claim the events."""

    def __init__(
        self,
        receiver: Receiver,
        webhooks: Webhooks,
        writer: Writer,
        *,
        timeout: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.off = ""
        """Why the application is told nothing more; else empty."""
        self._receiver = receiver
        self._webhooks = webhooks
        self._writer = writer
        self._timeout = timeout
        self._clock = clock
        self._metrics = metrics
        self._circuit = Circuit()
        self._sending: set[asyncio.Task[None]] = set()
        self._claiming = Claiming[WebhookEvent]()
        self._done: list[WebhookSettlement] = []
        self._turns = Turns("webhook", self._turn, away=_away, clock=clock, metrics=metrics, rest=REST)

    def start(self) -> None:
        self._turns.start()

    async def stop(self) -> None:
        """End the work under way, and settle its results. Safe to call twice, and before `start`."""
        if not await self._turns.stop():
            return
        await end_all(self._sending, within=STOP_SECONDS)
        for event in await self._claiming.rest() or ():
            self._put_off(event, 0.0)
        with contextlib.suppress(Unavailable):
            await self._settle()

    async def _turn(self) -> float:
        """Settle the replies, then claim due events. Returns the seconds until the next turn."""
        await self._settle()
        if self.off:
            return POLL_SECONDS
        now = self._clock.monotonic()
        room, wait = self._circuit.most(CONCURRENCY - len(self._sending)), self._circuit.wait(now)
        if wait or room <= 0:
            return wait or POLL_SECONDS
        due_at = await self._webhooks.next_due()
        if due_at is None or due_at > self._clock.now():
            return POLL_SECONDS
        until = self._clock.now() + round((self._timeout + LEASE_MARGIN_SECONDS) * SECOND)
        claimed = await self._claiming.take(self._webhooks.claim(room, until))
        for event in claimed:
            self._begin(event, now)
        return POLL_SECONDS if self._circuit.is_open else GATHER_SECONDS

    def _begin(self, event: WebhookEvent, now: float) -> None:
        if event.kind not in self._receiver.kinds:
            self._put_off(event, UNTAKEN_SECONDS, "waits for a node with a function for it")
            return
        if self.off or (wait := self._circuit.wait(now)):
            self._put_off(event, 0.0 if self.off else wait)
            return
        trial = self._circuit.try_until(now + self._timeout)
        task = asyncio.create_task(self._send(event, trial=trial))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _put_off(
        self, event: WebhookEvent, seconds: float, reason: str = "waits for the application"
    ) -> None:
        due_at = self._clock.now() + round(seconds * SECOND)
        self._done.append(WebhookSettlement(event, WebhookOutcome.UNSENT, reason, due_at))

    async def _settle(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            await self._webhooks.settle(done)
        except BaseException:
            # An event that was only put off is due again at the end of its lease.
            self._done = [*(each for each in done if each.outcome is not WebhookOutcome.UNSENT), *self._done]
            raise

    # ── one event ─────────────────────────────────────────────────────────────────────────────────────

    async def _send(self, event: WebhookEvent, *, trial: bool) -> None:
        reply = await self._ask(event)
        self._note(reply, trial=trial)
        self._done.append(self._settlement(event, reply))
        self._metrics.webhooks.labels(event.kind.value, reply.taking.name.lower()).inc()
        self._turns.news.set()

    async def _ask(self, event: WebhookEvent) -> Reply:
        begin = self._clock.monotonic()
        try:
            letter = await self._writer.letter(event, self._clock.now())
            async with asyncio.timeout(self._timeout):
                return await self._receiver.take(letter)
        except TimeoutError:
            return Reply(Taking.AGAIN, f"no answer within {self._timeout:g} s")
        except Unavailable as error:
            return Reply(Taking.AGAIN, str(error))
        except Exception:
            log.exception("a webhook failed")
            return _BROKEN
        finally:
            self._metrics.webhook_seconds.observe(self._clock.monotonic() - begin)

    def _settlement(self, event: WebhookEvent, reply: Reply) -> WebhookSettlement:
        if reply.taking is Taking.TAKEN:
            return WebhookSettlement(event, WebhookOutcome.TAKEN)
        reason, now = printable(reply.reason, MOST_REASON), self._clock.now()
        if reply.taking is Taking.GONE:
            return WebhookSettlement(event, WebhookOutcome.AGAIN, reason, now)
        later = None if reply.retry_after is None else min(reply.retry_after, MOST_RETRY_AFTER)
        seconds = retry_seconds(event.attempt, retry_after=later, random=random.random)
        return WebhookSettlement(event, WebhookOutcome.AGAIN, reason, now + round(seconds * SECOND))

    def _note(self, reply: Reply, *, trial: bool) -> None:
        """Tell the circuit about the reply."""
        reason = printable(reply.reason, MOST_REASON)
        if reply.taking is Taking.GONE and not self.off:
            self.off = f"the application answered {reason}: it is told nothing more until the next start"
            self._metrics.webhook_off.set(1)
            log.error("webhooks are off: %s", self.off)
        elif reply.taking is Taking.TAKEN:
            if self._circuit.succeeded():
                log.warning("webhooks flow again")
        else:
            now, later = self._clock.monotonic(), reply.retry_after
            if self._circuit.failed(now, reason, retry_after=later, trial=trial):
                log.warning("webhooks wait: %s", reason)
