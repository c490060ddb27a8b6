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

from pns.contracts.gateway import Gateway, Outcome, Receipt
from pns.contracts.outbox import Claim, Outbox, Settlement
from pns.errors import Unavailable
from pns.model.push import Push, PushState
from pns.model.timestamp import SECOND
from pns.push.circuit import Circuits, Concurrency, Pace, retry_seconds
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.runtime.one_line import printable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How late a push may be claimed after it is due."""
GATHER_SECONDS = 0.01
"""At least, from one turn to the next: a turn costs two commits, and many pushes can share a turn."""
LEASE_MARGIN_SECONDS = 10.0
"""How long a claim outlives the timeout of its pushes."""
AWAY_SECONDS = 2.0
STOP_SECONDS = 2.0
"""For pushes under way when a node goes down: a push that is cut off is sent again, perhaps a second time."""
CLAIM_SECONDS = 15.0
"""For a claim under way when a node goes down. A store gives a claim two turns of five seconds: the commit
before the claim's, and the claim's own."""
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
        self._users = Concurrency(MOST_OF_USER)
        self._sending: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[list[Push]] | None = None
        self._done: list[Settlement] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._news = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name=f"pns push {self._gateway.name}")

    async def stop(self) -> None:
        """End the work under way, and settle its results. Safe to call twice, and before `start`.

        Pushes have STOP_SECONDS to be answered. The store has CLAIM_SECONDS more to answer a claim: the
        claimed pushes are given back at once, and need not wait for the end of their lease.
        """
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_SECONDS)
        for sending in self._sending:
            sending.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
        await self._give_back()
        with contextlib.suppress(Unavailable):
            await self._settle()

    async def _run(self) -> None:
        trouble = ""
        while True:
            try:
                pause = await self._turn()
                trouble = ""
            except Unavailable as error:
                level = logging.DEBUG if str(error) == trouble else logging.WARNING
                log.log(level, "pushes are put off: %s", error, extra={"gateway": self._gateway.name})
                pause, trouble = AWAY_SECONDS, str(error)
            except Exception:
                self._metrics.loop_errors.labels(f"push {self._gateway.name}").inc()
                log.exception("a turn of the dispatcher failed", extra={"gateway": self._gateway.name})
                pause = AWAY_SECONDS
            if pause:
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait GATHER_SECONDS, then until `seconds` have passed or a push is answered."""
        await self._clock.sleep(GATHER_SECONDS)
        waiting = [
            asyncio.ensure_future(self._clock.sleep(seconds - GATHER_SECONDS)),
            asyncio.ensure_future(self._news.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        self._news.clear()

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
        claimed = await self._claim(Claim(self._gateway.name, room, until, self._offline_only))
        for push in claimed:
            self._begin(push, now)
        if claimed and whole.is_open:
            return POLL_SECONDS
        return GATHER_SECONDS  # an empty claim cancelled or held all it found: more may be due

    async def _claim(self, claim: Claim) -> list[Push]:
        """The leased pushes. Cancelling this call does not cancel the claim: `_give_back` follows."""
        self._claiming = asyncio.ensure_future(self._outbox.claim(claim))
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        return claimed

    async def _give_back(self) -> None:
        """Put off the pushes of a claim that was under way when this node went down."""
        claiming, self._claiming = self._claiming, None
        if claiming is None:
            return
        await asyncio.wait([claiming], timeout=CLAIM_SECONDS)
        if not claiming.done():
            claiming.cancel()
            log.warning(
                "a claim was not answered within %g s: its pushes wait for the end of their lease",
                CLAIM_SECONDS,
                extra={"gateway": self._gateway.name},
            )
        elif not claiming.cancelled() and claiming.exception() is None:
            # A claim that failed has leased nothing.
            for push in claiming.result():
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
        circuit = self._circuits.take(service)
        if wait := circuit.wait(now):  # claimed with others, whose service is well
            self._put_off(push, f"waits for its service: {circuit.reason}", wait)
        elif service and (wait := self._users.wait(user_id, now)):
            self._put_off(push, "waits for other pushes of its user", min(wait, self._timeout))
        else:
            trial = circuit.try_until(now + self._timeout)
            self._pace.took(1, now)
            self._users.enter(user_id, now)
            task = asyncio.create_task(self._send(push, service, trial=trial))
            self._sending.add(task)
            task.add_done_callback(lambda task: self._ended(task, user_id))

    def _put_off(self, push: Push, reason: str, seconds: float) -> None:
        due_at = self._clock.now() + round(seconds * (1 + random.random() / 10) * SECOND)
        due_at = min(due_at, push.expires_at)
        self._done.append(Settlement(push, PushState.RETRY, reason, due_at=due_at, sent=False))

    def _ended(self, task: asyncio.Task[None], user_id: str) -> None:
        self._sending.discard(task)
        self._users.leave(user_id)

    async def _send(self, push: Push, service: str, *, trial: bool) -> None:
        receipt = await self._ask(push)
        self._note(service, receipt, trial=trial)
        self._done.append(self._settlement(push, receipt))
        self._attempts[receipt.outcome].inc()
        self._news.set()

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
        receipt = receipt._replace(
            reason=printable(receipt.reason, MOST_REASON),
            provider_id=receipt.provider_id and printable(receipt.provider_id, MOST_REASON),
        )
        if state is PushState.DEVICE_INVALID:
            told = {"device_id": push.device.device_id, "reason": receipt.reason}
            log.info("a device is gone", extra={"gateway": self._gateway.name, **told})
        if state is not PushState.RETRY:
            return Settlement(push, state, receipt.reason, receipt.provider_id)
        seconds = retry_seconds(push.attempt, retry_after=receipt.retry_after, random=random.random)
        due_at = self._clock.now() + round(seconds * SECOND)
        # Not after its end: an operator should find it expired then, not waiting.
        return Settlement(push, state, receipt.reason, due_at=min(due_at, push.expires_at))

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
