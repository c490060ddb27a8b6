"""The bus between machines, on any broker: what is worth saying, to whom it goes, and whether it arrives.

A user belongs to one of SHARDS channels, and a node listens to the channels of the users that it holds, so
that a hint costs the nodes concerned and no others. Knows no broker: that is the Wire's part. Hints that wait
while the broker is away are few or forgotten; the heartbeat's comparison finds what they would have told.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from zlib import crc32

import msgspec

from pns.bus import Listener
from pns.buses.wire import Wire, WireError
from pns.clock import Clock
from pns.metrics import Metrics

log = logging.getLogger(__name__)

SHARDS = 1 << 20
"""How many channels there are. Every node of a fleet counts alike, so this never changes."""
EVERYBODY = "all"
"""The one channel of a broker that cannot deliver by channel."""
CANARY_SECONDS = 4.0
MISSED_CANARIES = 3
PATIENCE_SECONDS = 5.0
"""How long the broker may take for an answer."""
JOIN_SECONDS = 1.0
"""How long a new connection waits for the broker; the bus's return makes up for what it misses."""
BACKOFF_SECONDS = (0.05, 5.0)
MOST_WAITING = 10_000
"""Users whose hints wait for the broker."""

AWAY = "the bus is away, so nodes learn of each other's changes at heartbeats"

_decode = msgspec.json.Decoder(list[str]).decode


class SignalBus:
    """See pns.bus.Bus."""

    def __init__(
        self, wire: Wire, *, clock: Clock, metrics: Metrics, canary_seconds: float = CANARY_SECONDS
    ) -> None:
        """A broker that carries nothing is noticed after MISSED_CANARIES times `canary_seconds`."""
        self._wire = wire
        self._clock = clock
        self._metrics = metrics
        self._sent, self._heard = (metrics.hints.labels(way) for way in ("sent", "heard"))
        self._canary_seconds = canary_seconds
        self._name = secrets.token_hex(8)
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = "the bus is not connected yet"
        self._settled = asyncio.Event()
        self._users: dict[str, set[str]] = {}  # by channel
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._left: set[str] = set()
        self._interest = asyncio.Event()
        self._waiting: dict[str, None] = {}
        self._news = asyncio.Event()
        self._heard_at = 0.0

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._metrics.bus_up.set(0)
        self._task = asyncio.create_task(self._run(), name="pns bus")
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._settled.wait()

    async def stop(self) -> None:
        task, self._task = self._task, None
        self._listener = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def join(self, user_id: str) -> None:
        channel = self._channel(user_id)
        users = self._users.setdefault(channel, set())
        known = bool(users)
        users.add(user_id)
        if not self._wire.interests or self._trouble is not None or (known and channel not in self._asked):
            return
        answer = self._asked.setdefault(channel, asyncio.get_running_loop().create_future())
        self._interest.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(JOIN_SECONDS):
                await asyncio.shield(answer)

    def leave(self, user_id: str) -> None:
        channel = self._channel(user_id)
        users = self._users.get(channel, set())
        users.discard(user_id)
        if not users and self._users.pop(channel, None) is not None:
            self._left.add(channel)

    def signal(self, user_ids: Collection[str]) -> None:
        if self._listener is None:
            return
        self._listener(user_ids)
        self._waiting.update(dict.fromkeys(user_ids))
        if len(self._waiting) > MOST_WAITING:
            for user_id in list(self._waiting)[:-MOST_WAITING]:
                del self._waiting[user_id]
        self._news.set()

    def status(self) -> str | None:
        return self._trouble

    # ── the line ──────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Keep a line, for ever."""
        attempts = 0
        try:
            while True:
                began = self._clock.monotonic()
                try:
                    await self._connect()
                    await self._work()
                except* (WireError, TimeoutError, OSError) as errors:
                    self._note(_first(errors))
                except* Exception as errors:  # an edge: a library's surprise must not end the bus
                    log.exception("the line to the bus broke", exc_info=errors)
                    self._metrics.loop_errors.labels("bus").inc()
                    self._note(_first(errors))
                await self._wire.close()
                lasted = self._clock.monotonic() - began
                attempts = 0 if lasted > BACKOFF_SECONDS[1] else attempts + 1
                await self._clock.sleep(_pause(attempts))
        finally:
            self._trouble = "the bus is stopped"
            await self._wire.close()

    async def _connect(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._wire.connect()
            subscribed = {self._canary}
            await self._wire.subscribe(subscribed)
            while missing := self._channels() - subscribed:
                await self._wire.subscribe(missing)
                subscribed |= missing
        self._heard_at = self._clock.monotonic()
        self._note(None)
        # What was lost while nobody listened is found by asking for everything, now that somebody does.
        self._tell(None)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in (self._receive, self._send, self._follow_interest, self._look_after):
                tasks.create_task(part(), name=f"pns bus {part.__name__.strip('_')}")

    async def _receive(self) -> None:
        async for channel, text in self._wire.messages():
            if channel == self._canary:
                self._heard_at = self._clock.monotonic()
                continue
            try:
                sender, *user_ids = _decode(text)
            except (msgspec.DecodeError, ValueError):
                continue  # whatever shares the broker with us
            if sender != self._name:
                self._heard.inc(len(user_ids))
                self._tell(user_ids)

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                await self._publish(list(self._messages(waiting)))
            except BaseException:
                self._waiting = waiting | self._waiting
                raise
            self._sent.inc(len(waiting))

    async def _follow_interest(self) -> None:
        """Subscribe what was joined at once; unsubscribe what was left, then or with the next canary."""
        while True:
            await self._interest.wait()
            self._interest.clear()
            asked = dict(self._asked)
            left, self._left = self._left, set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                if unused := left - self._channels():
                    await self._wire.unsubscribe(unused)
                if asked:
                    await self._wire.subscribe(asked)
            for channel, answer in asked.items():
                del self._asked[channel]
                answer.set_result(None)

    async def _look_after(self) -> None:
        while True:
            await self._publish([(self._canary, "canary")])
            await self._clock.sleep(self._canary_seconds)
            silence = self._clock.monotonic() - self._heard_at
            if silence >= MISSED_CANARIES * self._canary_seconds:
                raise WireError(f"it has carried nothing for {silence:.0f} s")
            self._interest.set()

    async def _publish(self, messages: Collection[tuple[str, str]]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._wire.publish(messages)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _canary(self) -> str:
        return f"canary:{self._name}"

    def _channel(self, user_id: str) -> str:
        return str(crc32(user_id.encode()) % SHARDS) if self._wire.interests else EVERYBODY

    def _channels(self) -> set[str]:
        return set(self._users) if self._wire.interests else {EVERYBODY}

    def _messages(self, user_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        by_channel: dict[str, list[str]] = {}
        for user_id in user_ids:
            by_channel.setdefault(self._channel(user_id), []).append(user_id)
        for channel, some in by_channel.items():
            for text in _texts(self._name, some, self._wire.max_bytes):
                yield channel, text

    def _tell(self, user_ids: Collection[str] | None) -> None:
        if self._listener is not None:
            self._listener(user_ids)

    def _note(self, trouble: str | None) -> None:
        was, self._trouble = self._trouble, None if trouble is None else AWAY
        self._settled.set()
        self._metrics.bus_up.set(trouble is None)
        if trouble is None:
            log.info("the bus is there")
            return
        self._interest.clear()
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.set_result(None)
        if was is None:
            self._metrics.bus_losses.inc()
        if was != AWAY:
            log.error("%s: %s", AWAY, trouble)


def _texts(sender: str, user_ids: Iterable[str], max_bytes: int) -> Iterator[str]:
    """Messages of `sender` that name all `user_ids`, each of at most `max_bytes`."""
    empty = len(_text(sender, []))
    some: list[str] = []
    room = max_bytes - empty
    for user_id in user_ids:
        size = len(msgspec.json.encode(user_id)) + 1
        if some and size > room:
            yield _text(sender, some).decode()
            some, room = [], max_bytes - empty
        some.append(user_id)
        room -= size
    if some:
        yield _text(sender, some).decode()


def _text(sender: str, user_ids: list[str]) -> bytes:
    return msgspec.json.encode([sender, *user_ids])


def _pause(attempts: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Full jitter: many nodes lose one broker at the same moment."""
    least, most = BACKOFF_SECONDS
    return draw(least, max(least, min(most, least * 2**attempts)))


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
