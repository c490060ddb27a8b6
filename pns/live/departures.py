"""A device that was left: the application's answer to its cookie is another user now, or nobody.

The device of the former user is revoked, so its connections end on every node; where another user came, its
registration at a push network is removed, too. At once the first time; once more within ten seconds, when
they are over. A store that cannot be written puts it off, never aside: only a node that dies forgets.

How much one user can make it write is bounded, whatever their application answers: few devices are revoked
one by one within ten seconds, and few at all; from there on the user is, with all devices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from pns.contracts.store import EVERY_DEVICE, Store
from pns.errors import Unavailable
from pns.inbox.changes import Changes
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at what was put off to the next, while there is something."""
ONCE_SECONDS = 10.0
"""So often a device is revoked."""
MOST_DEVICES = 10
"""Of one user that are revoked one by one within ONCE_SECONDS."""
MOST_REVOCATIONS = 100
"""Of one user that the store keeps for this: each is read with every count."""
ANSWER_SECONDS = 1.0
"""How long an answer waits for its departure to be on disk, when the store is slow."""
STOP_SECONDS = 5.0
AT_ONCE = 100


class Left(NamedTuple):
    """A device, and the user who is not logged in there any more."""

    user_id: str
    device_id: str


class _Turn:
    """A device is not revoked before `until`, monotonic seconds; then, if it was left `again`."""

    __slots__ = ("again", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.again = False


class Departures:
    """Memory: a handful of devices for each user who was left in the last ten seconds, or who waits."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        *,
        unregister: Callable[[str, str], Awaitable[object]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`unregister(user_id, device_id)` removes a device's registration at its push network."""
        self._store = store
        self._changes = changes
        self._unregister_device = unregister
        self._clock = clock
        self._metrics = metrics
        self._turns: dict[str, dict[str, _Turn]] = {}
        self._registered: set[Left] = set()
        """Whose registrations are still to be removed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    def left(self, device: Left, *, to_another: bool = False) -> asyncio.Task[None]:
        """Begin a departure, `to_another` user or to nobody; the task ends when all that is done now is done.

        The task is not the caller's to cancel. Nothing is raised: `tick` makes up for a failure.
        """
        if to_another:
            self._registered.add(device)
        task = asyncio.create_task(self._depart(device, self._now(device)), name="pns departure")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="pns departures")
        return task

    async def leave(self, device: Left, *, to_another: bool = False) -> None:
        """As `left`, and returns when it is on disk, or after a second: no answer is held up for longer."""
        await asyncio.wait([self.left(device, to_another=to_another)], timeout=ANSWER_SECONDS)

    async def tick(self) -> None:
        """Do what was put off and is due. Raises Unavailable when the store is; then it stays due."""
        await _each(list(self._due()), self._revoke)
        self._forget()
        await _each(list(self._registered), self._unregister)

    async def stop(self) -> None:
        """Do now all that was put off; whatever the store does not take is logged. Safe to call twice."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for turns in self._turns.values():
            for turn in turns.values():
                turn.until = 0.0
        try:
            while any(self._due()) or self._registered:
                await self.tick()
        except Unavailable as error:
            log.warning(
                "devices that were left are not revoked: %s. The next recheck ends their connections",
                error,
                extra={"devices": len(self._registered.union(self._due()))},
            )

    async def _look(self) -> None:
        """`tick` again and again, until nothing is put off any more."""
        while self._turns or self._registered:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.tick()
            except Unavailable as error:
                log.debug("departures are put off: %s", error)
            except Exception:  # an edge: they stay due
                self._metrics.loop_errors.labels("departures").inc()
                log.exception("a turn of the loop failed", extra={"loop": "departures"})
        self._looking = None

    def _now(self, device: Left) -> Left | None:
        """What is to be revoked at once; None: it was, and is once more when its time is over."""
        turns = self._turns.setdefault(device.user_id, {})
        if EVERY_DEVICE in turns or (device.device_id not in turns and len(turns) >= MOST_DEVICES):
            device = Left(device.user_id, EVERY_DEVICE)
        turn = turns.get(device.device_id)
        if turn is not None:
            turn.again = True
            return None
        turns[device.device_id] = _Turn(self._clock.monotonic() + ONCE_SECONDS)
        return device

    async def _depart(self, device: Left, now: Left | None) -> None:
        log.debug("a device was left", extra={"device_id": device.device_id})
        try:
            if now is not None:
                await self._revoke(now)
            if device in self._registered:
                await self._unregister(device)
        except Unavailable as error:
            log.debug("a departure is put off: %s", error, extra={"device_id": device.device_id})

    async def _revoke(self, device: Left) -> None:
        turn = self._turns[device.user_id][device.device_id]
        # Before the write: a device that is left meanwhile may be let in after it, and says so by `again`.
        turn.again, turn.until = False, self._clock.monotonic() + ONCE_SECONDS
        try:
            if await self._has_room(device):
                await self._changes.revoke(*device)
            elif (everything := self._now(Left(device.user_id, EVERY_DEVICE))) is not None:
                await self._revoke(everything)
        except BaseException:
            turn.again, turn.until = True, self._clock.monotonic()
            self._turns.setdefault(device.user_id, {})[device.device_id] = turn
            raise

    async def _has_room(self, device: Left) -> bool:
        """Whether the device may have a revocation of its own."""
        known = (await self._store.states([device.user_id]))[device.user_id].revocations
        return device.device_id in (EVERY_DEVICE, *known) or len(known) < MOST_REVOCATIONS

    async def _unregister(self, device: Left) -> None:
        # A look first: mostly there is none, and a read costs the store's writer nothing.
        known = await self._store.outbox.device(device.device_id)
        if known is not None and known.user_id == device.user_id:
            await self._unregister_device(*device)
        self._registered.discard(device)

    def _due(self) -> Iterator[Left]:
        now = self._clock.monotonic()
        for user_id, turns in self._turns.items():
            for device_id, turn in turns.items():
                if turn.again and turn.until <= now:
                    yield Left(user_id, device_id)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        for user_id, turns in list(self._turns.items()):
            for device_id, turn in list(turns.items()):
                if not turn.again and turn.until <= now:
                    del turns[device_id]
            if not turns:
                del self._turns[user_id]


async def _each(devices: Sequence[Left], do: Callable[[Left], Awaitable[None]]) -> None:
    """`do` for all of them, a few at a time, so that they share commits; raises the first failure."""
    for start in range(0, len(devices), AT_ONCE):
        chunk = devices[start : start + AT_ONCE]
        outcomes = await asyncio.gather(*(do(device) for device in chunk), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
