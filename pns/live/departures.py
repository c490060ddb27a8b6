"""Devices that were left: the application answers a device's cookie with another user now, or with nobody.

The device of the former user is revoked, so its connections end on every node. If another user came, the
registration of the device at a push network is removed, too. The first departure is done at once. A second
departure of a device within ten seconds waits until they are over. While the store cannot be written,
departures wait. Only a node that dies forgets departures.

The writes of a user are bounded, whatever the application answers. Within ten seconds, and at all, only a
few devices are revoked singly. After that, the user is revoked with all devices.
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
"""Between two ticks, while departures are put off."""
ONCE_SECONDS = 10.0
"""A device is revoked at most once in this time."""
MOST_DEVICES = 10
"""Devices of a user that are revoked singly within ONCE_SECONDS."""
MOST_REVOCATIONS = 100
"""Revocations of a user that the store keeps for departures: all are read with every count."""
ANSWER_SECONDS = 1.0
"""How long an answer waits for its departure to be on disk, when the store is slow."""
STOP_SECONDS = 5.0
AT_ONCE = 100


class Left(NamedTuple):
    """A device, and the user who is not logged in there any more."""

    user_id: str
    device_id: str


class _Turn:
    """A device is not revoked before `until`, monotonic seconds. Then it is, if it was left `again`."""

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
        """Begin a departure, `to_another` user or to nobody. The task ends when the writes of now are done.

        You must not cancel the task. Nothing is raised: `tick` makes up for a failure.
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
        """As `left`, and wait until the departure is on disk, but a second at most."""
        await asyncio.wait([self.left(device, to_another=to_another)], timeout=ANSWER_SECONDS)

    async def tick(self) -> None:
        """Do the departures that are due. Raises Unavailable with the store; then they stay due."""
        await _each(list(self._due()), self._revoke)
        self._forget()
        await _each(list(self._registered), self._unregister)

    async def stop(self) -> None:
        """Do all waiting departures now; log the departures that the store refuses. Safe to call twice."""
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
        """The device to revoke at once. None: the device was revoked lately, and is due again later."""
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
