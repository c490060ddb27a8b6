"""Sends the pushes of one gateway: claims the due pushes, hands them to the gateway, settles the results.

Each gateway has its own dispatcher, with its own pace, concurrency and circuits: the trouble of one service
never slows another. The outbox knows all that a dispatcher knows. When a node dies, another node claims its
pushes after the end of their lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import NamedTuple

from pns.contracts.gateway import Gateway, Outcome, Receipt
from pns.contracts.outbox import Claim, Outbox, Settlement
from pns.errors import Unavailable
from pns.model.push import Push, PushState
from pns.model.timestamp import SECOND
from pns.push import turns
from pns.push.circuit import (
    DOUBT_SECONDS,
    RETRY_SECONDS,
    Circuit,
    Circuits,
    Concurrency,
    Pace,
    retry_seconds,
)
from pns.push.turns import GATHER_SECONDS, Claiming, Turns, end_all
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.runtime.one_line import printable
from pns.runtime.quiet_log import QuietLog

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How late a push may be claimed after it is due."""
LEASE_MARGIN_SECONDS = 10.0
"""How long a claim outlives the timeout of its pushes."""
STOP_SECONDS = 2.0
"""For pushes under way when a node goes down: a push that is cut off is sent again, perhaps a second time."""
MOST_OF_USER = 8
"""Pushes under way to one user's devices, where the devices name their services: all of them may hang."""
MOST_REASON = 300
"""Characters kept of a gateway's reason."""

_STATES = {
    Outcome.ACCEPTED: PushState.ACCEPTED,
    Outcome.FAILED: PushState.FAILED,
    Outcome.DEVICE_INVALID: PushState.DEVICE_INVALID,
}
_TROUBLE = (Outcome.UNAVAILABLE, Outcome.REFUSED)
_BROKEN = Receipt(Outcome.RETRY, "PNS failed; its log says why")


class _Way(NamedTuple):
    """The circuits of a push under way: of its service, and of its device. True: the push is a trial."""

    service: str
    device: str
    service_trial: bool
    device_trial: bool


class Dispatcher:
    """Call `start` inside a running loop. After `stop`, other nodes may claim the pushes."""

    def __init__(
        self,
        gateway: Gateway,
        outbox: Outbox,
        *,
        clock: Clock,
        metrics: Metrics,
        timeout: float,
        offline_only: bool,
    ) -> None:
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        # Looked up once: the look-up costs more than counting.
        self._attempts = {
            outcome: metrics.pushes.labels(gateway.name, outcome.name.lower()) for outcome in Outcome
        }
        self._seconds = metrics.push_seconds.labels(gateway.name)
        self._circuits_open = metrics.push_circuits_open.labels(gateway.name)
        self._pace = Pace(gateway.throughput.rate_per_second)
        self._concurrency = gateway.throughput.concurrency
        self._timeout = timeout
        self._offline_only = offline_only
        self._circuits = Circuits()
        self._quiet = QuietLog(logging.LoggerAdapter(log, {"gateway": gateway.name}), clock=clock)
        self._users = Concurrency(MOST_OF_USER)
        self._sending: set[asyncio.Task[None]] = set()
        self._claiming = Claiming[Push]()
        self._done: list[Settlement] = []
        self._turns = Turns(
            f"push {gateway.name}",
            self._turn,
            away=self._away,
            clock=clock,
            metrics=metrics,
            extra={"gateway": gateway.name},
        )

    def start(self) -> None:
        self._turns.start()

    async def stop(self) -> None:
        """End the work under way, and settle its results. Safe to call twice, and before `start`.

        Pushes have STOP_SECONDS to be answered. The store has CLAIM_SECONDS more to answer a claim: the
        claimed pushes are given back at once, and need not wait for the end of their lease.
        """
        if not await self._turns.stop():
            return
        await end_all(self._sending, within=STOP_SECONDS)
        await self._give_back()
        with contextlib.suppress(Unavailable):
            await self._settle()

    def _away(self, level: int, error: Unavailable) -> None:
        log.log(level, "pushes are put off: %s", error, extra={"gateway": self._gateway.name})

    async def _turn(self) -> float:
        """Settle the answered pushes, then claim due pushes. Returns the seconds until the next turn."""
        await self._settle()
        now = self._clock.monotonic()
        whole = self._circuits.take("")
        room = whole.most(self._concurrency - len(self._sending))
        room = min(room, self._pace.most(now))
        wait = max(whole.wait(now), self._pace.wait(now))
        if wait or room <= 0:
            return wait or POLL_SECONDS
        due_at = (await self._outbox.next_due()).get(self._gateway.name)
        if due_at is None or due_at > self._clock.now():
            return POLL_SECONDS
        until = self._clock.now() + round((self._timeout + LEASE_MARGIN_SECONDS) * SECOND)
        claim = Claim(self._gateway.name, room, until, self._offline_only)
        claimed = await self._claiming.take(self._outbox.claim(claim))
        for push in claimed:
            self._begin(push, now)
        if claimed and whole.is_open:
            return POLL_SECONDS
        return GATHER_SECONDS  # an empty claim cancelled or held all it found: more may be due

    async def _give_back(self) -> None:
        """Put off the pushes of a claim that was under way when this node went down."""
        claimed = await self._claiming.rest()
        if claimed is None:
            log.warning(
                "a claim was not answered within %g s: its pushes wait for the end of their lease",
                turns.CLAIM_SECONDS,
                extra={"gateway": self._gateway.name},
            )
        for push in claimed or ():
            self._put_off(push, "its node went down", 0.0)

    async def _settle(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            await self._outbox.settle(done)
        except BaseException:
            # A push that was only put off is due again at the end of its lease.
            self._done = [*(each for each in done if each.sent), *self._done]
            raise

    # ── one push ──────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, push: Push, now: float) -> None:
        service, user_id = self._gateway.circuit(push.device), push.device.user_id
        own = f"{service} {push.device.device_id}"
        circuit = self._circuits.take(service)
        if (doubted := self._circuits.found(own)) is not None and doubted.wait(now):
            circuit = doubted
        if wait := circuit.wait(now):  # claimed with others, whose service is well
            self._put_off(push, f"waits for its service: {circuit.reason}", wait)
        elif service and (wait := self._users.wait(user_id, now)):
            self._put_off(push, "waits for other pushes of its user", min(wait, self._timeout))
        else:
            until = now + self._timeout
            device_trial = doubted is not None and doubted.try_until(until)
            way = _Way(service, own, circuit.try_until(until), device_trial)
            self._pace.took(1, now)
            self._users.enter(user_id, now)
            task = asyncio.create_task(self._send(push, way))
            self._sending.add(task)
            task.add_done_callback(lambda task: self._ended(task, user_id))

    def _put_off(self, push: Push, reason: str, seconds: float) -> None:
        due_at = self._clock.now() + round(seconds * (1 + random.random() / 10) * SECOND)
        due_at = min(due_at, push.expires_at)
        self._done.append(Settlement(push, PushState.RETRY, reason, due_at=due_at, sent=False))

    def _ended(self, task: asyncio.Task[None], user_id: str) -> None:
        self._sending.discard(task)
        self._users.leave(user_id)

    async def _send(self, push: Push, way: _Way) -> None:
        receipt = await self._ask(push)
        if receipt.of_device:
            self._doubt(way, receipt)
        else:
            self._believe(way, receipt)
            self._note(way.service, receipt, trial=way.service_trial)
        self._done.append(self._settlement(push, receipt))
        self._attempts[receipt.outcome].inc()
        self._turns.news.set()

    async def _ask(self, push: Push) -> Receipt:
        begin = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._gateway.push(push)
        except TimeoutError:
            return Receipt(Outcome.UNAVAILABLE, f"no answer within {self._timeout:g} s")
        except Exception:
            log.exception("a gateway failed", extra={"gateway": self._gateway.name})
            return _BROKEN
        finally:
            self._seconds.observe(self._clock.monotonic() - begin)

    def _settlement(self, push: Push, receipt: Receipt) -> Settlement:
        state = _STATES.get(receipt.outcome, PushState.RETRY)
        reason = printable(receipt.reason, MOST_REASON)
        if state is PushState.DEVICE_INVALID:
            told = {"device_id": push.device.device_id, "reason": reason}
            log.info("a device is gone", extra={"gateway": self._gateway.name, **told})
        if state is not PushState.RETRY:
            provider_id = receipt.provider_id and printable(receipt.provider_id, MOST_REASON)
            return Settlement(push, state, reason, provider_id, keys=receipt.keys)
        first = DOUBT_SECONDS if receipt.of_device else RETRY_SECONDS
        later = receipt.retry_after
        seconds = retry_seconds(push.attempt, retry_after=later, random=random.random, first=first)
        due_at = self._clock.now() + round(seconds * SECOND)
        # Not after its end: an operator should find it expired then, not waiting.
        due_at = min(due_at, push.expires_at)
        return Settlement(push, state, reason, due_at=due_at, keys=receipt.keys)

    def _doubt(self, way: _Way, receipt: Receipt) -> None:
        """The service refuses this device, perhaps for a setting of ours. No other device waits."""
        self._circuits.take(way.service).undecided(trial=way.service_trial)
        own = self._circuits.take(way.device)
        own.failed(self._clock.monotonic(), receipt.reason, trial=way.device_trial)
        told = f"pushes wait: {printable(receipt.reason, MOST_REASON)}"
        self._quiet.write("refused", told, level=logging.ERROR)
        self._circuits_open.set(self._circuits.open)

    def _believe(self, way: _Way, receipt: Receipt) -> None:
        """The answer is no refusal of the device."""
        own: Circuit | None = self._circuits.found(way.device)
        if own is None:
            return
        own.undecided(trial=way.device_trial)
        if receipt.outcome is Outcome.ACCEPTED and own.succeeded():
            self._circuits_open.set(self._circuits.open)

    def _note(self, service: str, receipt: Receipt, *, trial: bool) -> None:
        """Tell the circuit of the service about the answer."""
        circuit, outcome = self._circuits.take(service), receipt.outcome
        told = {"gateway": self._gateway.name, **({"service": service} if service else {})}
        if outcome is Outcome.FAILED or receipt is _BROKEN:  # perhaps before anything was sent
            circuit.undecided(trial=trial)
        elif outcome in _TROUBLE or (outcome is Outcome.RETRY and receipt.retry_after):
            before, now = circuit.reason, self._clock.monotonic()
            opened = circuit.failed(now, receipt.reason, retry_after=receipt.retry_after, trial=trial)
            if opened or (trial and receipt.reason != before):
                level = logging.ERROR if outcome is Outcome.REFUSED else logging.WARNING
                log.log(level, "pushes wait: %s", printable(receipt.reason, MOST_REASON), extra=told)
                self._circuits_open.set(self._circuits.open)
        elif circuit.succeeded():
            log.warning("pushes flow again", extra=told)
            self._circuits_open.set(self._circuits.open)
