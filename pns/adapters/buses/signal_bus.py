"""The bus between machines, on any broker: which hints are sent, to which channels, and whether they arrive.

SignalBus knows no broker: the Wire does. SignalBus always keeps a line to the broker. A line counts as good
after the canary, a message to SignalBus itself, has come back, and as long as canaries come back. On each new
line SignalBus first subscribes and then says "anybody may have changed". Few hints may wait for the broker;
too many hints become the same sentence.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from pns.adapters.buses import hint
from pns.adapters.buses.interest import Interest, channel_of
from pns.adapters.buses.wire import Hopeless, Unsendable, Wire, WireError
from pns.contracts.bus import Listener
from pns.errors import SettingsError
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.runtime.quiet_log import QuietLog

log = logging.getLogger(__name__)

EVERYBODY = "all"
"""The channel of every node; the only channel of a broker that cannot deliver by channel."""
CANARY_SECONDS = 4.0
MISSED_CANARIES = 3
PATIENCE_SECONDS = 5.0
"""How long the broker may take for an answer."""
JOIN_SECONDS = 1.0
"""How long a new connection waits for the broker. If the broker is late, the count is compared once more."""
FIRST_BACKOFF_SECONDS = 0.5
MOST_BACKOFF_SECONDS = 5.0
MOST_WAITING = 10_000
"""Users whose hints wait for the broker."""
CHUNK = 500
"""Users, or channels, in a single call: few enough to delay neither the event loop nor the broker."""

AWAY = "the bus is away, so nodes learn of each other's changes at heartbeats"


class SignalBus:
    """See pns.contracts.bus.Bus."""

    def __init__(
        self,
        wire: Wire,
        *,
        clock: Clock,
        metrics: Metrics,
        canary_seconds: float = CANARY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """A silent broker is noticed when an answer takes longer than `patience_seconds`.

        A broker that answers and carries nothing is noticed after MISSED_CANARIES times `canary_seconds`. The
        check runs every `canary_seconds`. The time is counted in canaries: a node that stood still heard
        nothing meanwhile, and its broker is well.
        """
        self._wire = wire
        self._clock = clock
        self._metrics = metrics
        self._sent, self._heard = (metrics.hints.labels(way) for way in ("sent", "heard"))
        self._dropped = metrics.hints.labels("dropped")
        self._quiet = QuietLog(log, clock=clock)
        self._canary_seconds = canary_seconds
        self._patience_seconds = patience_seconds
        self._name = secrets.token_hex(8)
        self._canary = f"canary-{self._name}"
        self._carried = asyncio.Event()
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = "the bus is not connected yet"
        self._settled = asyncio.Event()
        self._interest = Interest()
        self._moved = asyncio.Event()  # users joined, or left some time ago
        self._waiting: dict[str, None] = {}
        self._doubtful: dict[str, None] = {}  # were not sent with others: each is tried alone, and once
        self._refused = ""
        self._overflowed = False
        self._news = asyncio.Event()
        self._publishing = asyncio.Lock()

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────

    async def start(self, listener: Listener) -> None:
        self._listener, self._refused = listener, ""
        self._metrics.bus_up.set(0)
        self._task = asyncio.create_task(self._run(), name="pns bus")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await self._settled.wait()
        if self._refused:
            await self.stop()
            raise SettingsError(self._refused)

    async def stop(self) -> None:
        task, self._task = self._task, None
        self._listener = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def join(self, user_id: str) -> None:
        if not self._wire.interests:
            return
        answer = self._interest.join(user_id)
        if answer is None or self._trouble is not None:
            return
        self._moved.set()
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await asyncio.shield(answer)
        except TimeoutError:
            answer.add_done_callback(lambda _: self._tell([user_id]))

    def leave(self, user_id: str) -> None:
        """The broker is told with the next canary: most come back at once, to the next page."""
        if self._wire.interests:
            self._interest.leave(user_id)

    def signal(self, user_ids: Collection[str]) -> None:
        if self._listener is None:
            return
        self._listener(user_ids)
        if not self._overflowed:
            self._waiting.update(dict.fromkeys(user_ids))
        if len(self._waiting) + len(self._doubtful) > MOST_WAITING:
            self._waiting.clear()
            self._doubtful.clear()
            self._overflowed = True
        self._news.set()

    def status(self) -> str | None:
        return self._trouble

    # ── the line ──────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Keep a line, for ever."""
        attempts = 0
        try:
            while not self._cancelled():
                began = self._clock.monotonic()
                try:
                    await self._hold_line()
                except* Hopeless as errors:
                    self._refused = _first(errors)
                    self._note(self._refused)
                except* (WireError, TimeoutError) as errors:
                    self._note(_first(errors))
                except* Exception as errors:  # an edge: a library's surprise must not end the bus
                    log.exception("a turn of the loop failed", extra={"loop": "bus"})
                    self._metrics.loop_errors.labels("bus").inc()
                    self._note(_first(errors))
                await self._wire.close()
                lasted = self._clock.monotonic() - began
                attempts = 0 if lasted > MOST_BACKOFF_SECONDS else attempts + 1
                await self._clock.sleep(_pause(attempts))
        finally:
            self._note("the bus is stopped", quietly=True)
            await self._wire.close()

    async def _hold_line(self) -> None:
        """Make a line and use the line until it breaks."""
        await self._ask(self._wire.connect(self._hear))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wire.listen(), name="pns bus listen")
            await self._prove()
            await self._resubscribe()
            self._note(None)
            # Hints were lost while no line listened. Asking for everybody now finds each change.
            self._tell(None)
            self._moved.set()
            tasks.create_task(self._send(), name="pns bus send")
            tasks.create_task(self._follow_interest(), name="pns bus interest")
            tasks.create_task(self._look_after(), name="pns bus canary")

    async def _prove(self) -> None:
        """Hear the canary once: some brokers take and answer everything, and carry nothing."""
        self._carried.clear()
        await self._ask(self._wire.subscribe([self._canary]))
        await self._publish([(self._canary, "")])
        try:
            await self._ask(self._carried.wait())
        except TimeoutError:
            raise WireError("it carries nothing") from None

    async def _resubscribe(self) -> None:
        self._interest.start_over()
        subscribed: set[str] = set()
        while missing := (self._interest.channels | {EVERYBODY}) - subscribed:
            some = set(islice(missing, CHUNK))
            await self._ask(self._wire.subscribe(some))
            subscribed |= some

    def _hear(self, channel: str, text: str) -> None:
        if channel == self._canary:
            self._carried.set()
            return
        found = hint.parse(text)
        if found is None or found[0] == self._name:
            return
        _, user_ids = found
        self._heard.inc(len(user_ids))
        self._tell(user_ids or None)

    async def _send(self) -> None:
        while True:
            while self._waiting or self._overflowed or self._doubtful:
                await self._send_some()
                await self._send_doubtful()
            self._news.clear()
            await self._news.wait()

    async def _send_some(self) -> None:
        """Send many hints together. What the broker refuses, or dies of, is tried alone later."""
        overflowed, self._overflowed = self._overflowed, False
        some = list(islice(self._waiting, CHUNK))
        for user_id in some:
            del self._waiting[user_id]
        if not some and not overflowed:
            return
        everybody = [(EVERYBODY, hint.text(self._name, []))] if overflowed else []
        try:
            await self._publish([*everybody, *self._messages(some)])
        except (Unsendable, UnicodeError):
            self._doubtful.update(dict.fromkeys(some))
            if overflowed:
                await self._publish(everybody)
            return
        except BaseException:
            self._overflowed |= overflowed
            self._doubtful.update(dict.fromkeys(some))
            raise
        self._sent.inc(len(some))

    async def _send_doubtful(self) -> None:
        """Send a single hint that did not go with others. A second failure drops it: nodes compare their
        users at heartbeats, and no hint may keep all others from being sent.
        """
        user_id = next(iter(self._doubtful), None)
        if user_id is None:
            return
        del self._doubtful[user_id]
        try:
            await self._publish(list(self._messages([user_id])))
        except (Unsendable, UnicodeError) as error:
            self._drop(error)
        except (WireError, TimeoutError) as error:
            self._drop(error)
            raise
        else:
            self._sent.inc()

    def _drop(self, error: Exception) -> None:
        self._dropped.inc()
        reason = "it does not answer" if isinstance(error, TimeoutError) else error
        reason = "its user's id is no text" if isinstance(error, UnicodeError) else reason
        self._quiet.write("dropped", f"a hint that the bus does not take is dropped: {reason}")

    async def _follow_interest(self) -> None:
        """Subscribe the joined channels, all new ones together; unsubscribe the channels that were left."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            asked, unused = self._interest.take()
            if unused:
                await self._ask(self._wire.unsubscribe(unused))
            if asked:
                await self._ask(self._wire.subscribe(asked))
            self._interest.answer(asked)

    async def _look_after(self) -> None:
        periods = 0  # since the newest canary that came back was sent
        while periods < MISSED_CANARIES:
            self._carried.clear()
            await self._publish([(self._canary, "")])
            await self._clock.sleep(self._canary_seconds)
            periods = 1 if self._carried.is_set() else periods + 1
            self._moved.set()
        raise WireError(f"it has carried nothing for {periods * self._canary_seconds:.0f} s")

    async def _publish(self, messages: Collection[tuple[str, str]]) -> None:
        async with self._publishing:
            await self._ask(self._wire.publish(messages))

    async def _ask(self, answer: Awaitable[object]) -> None:
        """Wait for the broker, but not for ever."""
        async with asyncio.timeout(self._patience_seconds):
            await answer
        if self._cancelled():
            raise asyncio.CancelledError

    def _cancelled(self) -> bool:
        """Whether this task was cancelled, even if a library lost the cancellation, as asyncio.wait_for
        before 3.12 can.

        For the bus's own task `stop` keeps the answer: after a TaskGroup of Python 3.11 the task's own count
        of cancellations is wrong.
        """
        task = asyncio.current_task()
        return self._task is None or (task is not self._task and task is not None and task.cancelling() > 0)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    def _messages(self, user_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        by_channel: dict[str, list[str]] = {}
        for user_id in user_ids:
            channel = channel_of(user_id) if self._wire.interests else EVERYBODY
            by_channel.setdefault(channel, []).append(user_id)
        for channel, some in by_channel.items():
            for text in hint.texts(self._name, some, max_bytes=self._wire.max_bytes):
                yield channel, text

    def _tell(self, user_ids: Collection[str] | None) -> None:
        if self._listener is not None:
            self._listener(user_ids)

    def _note(self, trouble: str | None, *, quietly: bool = False) -> None:
        """Record that the line works (None), or the trouble that broke the line."""
        was, self._trouble = self._trouble, None if trouble is None else AWAY
        self._settled.set()
        self._metrics.bus_up.set(trouble is None)
        if trouble is None:
            log.info("the bus is there")
            return
        self._interest.start_over()
        if was is None and not quietly:
            self._metrics.bus_losses.inc()
        if was != AWAY and not quietly:
            log.error("the bus is away: %s", trouble)


def _pause(attempts: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Full jitter from the first try on: many nodes lose the broker at the same moment."""
    return draw(0.05, min(MOST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempts, 10)))


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return str(error) or type(error).__name__
