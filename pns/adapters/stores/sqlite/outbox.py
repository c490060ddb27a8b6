"""The Outbox contract of pns/contracts/outbox.py on a SQLite store's own connections.

Statements stand in outbox.sql. The functions of outbox_writes.py and outbox_reads.py run in the connections'
threads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.sqlite import outbox_reads as reads
from pns.adapters.stores.sqlite import outbox_writes as writes
from pns.contracts.outbox import Backlog, Claim, Settlement
from pns.contracts.store import Committed
from pns.model.device import Device
from pns.model.push import Push, PushStatus
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock

T = TypeVar("T")


class Reading(Protocol):
    """Reads on one of the store's connections."""

    def __call__(self, function: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]: ...


class Committing(Protocol):
    """Writes through the store's group commit. `apart`: in a commit of its own."""

    def __call__(
        self,
        function: Callable[[sqlite3.Connection], T],
        /,
        *,
        size: int = SMALL_WRITE,
        committed: Committed[T] | None = None,
        apart: bool = False,
    ) -> Awaitable[T]: ...


class SQLiteOutbox:
    """See pns.contracts.outbox.Outbox. `report`: as `read`, for statements on a whole table."""

    def __init__(
        self,
        read: Reading,
        write: Committing,
        *,
        report: Reading,
        clock: Clock,
        webhook: WebhookTerms = NO_WEBHOOK,
    ) -> None:
        self._webhook = webhook
        self._read = read
        self._report = report
        self._write = write
        self._clock = clock

    # ── devices ───────────────────────────────────────────────────────────────────────────────────────

    async def register(self, device: Device) -> Device:
        return await self._write(partial(writes.register, device=device, now=self._clock.now()))

    async def unregister(self, user_id: str, device_id: str) -> Device | None:
        now = self._clock.now()
        return await self._write(partial(writes.unregister, user_id=user_id, device_id=device_id, now=now))

    async def devices(self, user_id: str) -> list[Device]:
        return await self._read(partial(reads.devices, user_id=user_id))

    async def device(self, device_id: str) -> Device | None:
        return await self._read(partial(reads.device, device_id=device_id))

    async def device_at(self, network: str, address: str) -> Device | None:
        return await self._read(partial(reads.device_at, network=network, address=address))

    async def all_devices(self, after: str, limit: int) -> list[Device]:
        return await self._read(partial(reads.all_devices, after=after, limit=limit))

    async def set_badge(self, device_id: str, badge: int, *, user_id: str | None = None) -> bool:
        return await self._write(partial(writes.set_badge, device_id=device_id, badge=badge, user_id=user_id))

    async def regateway(self, source: str, target: str, network: str, *, limit: int) -> int:
        move = partial(writes.regateway, source=source, target=target, network=network, limit=limit)
        return await self._write(move)

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    async def next_due(self) -> Mapping[str, int]:
        return await self._read(reads.next_due)

    async def claim(self, claim: Claim) -> list[Push]:
        return await self._write(partial(writes.claim, claim=claim, now=self._clock.now()))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        settle = partial(
            writes.settle,
            settlements=tuple(settlements),
            webhook=self._webhook,
            now=self._clock.now(),
        )
        await self._write(settle, size=SMALL_WRITE * len(settlements))

    async def pushes(self, user_id: str, notification_id: str) -> list[PushStatus]:
        return await self._read(partial(reads.pushes, user_id=user_id, notification_id=notification_id))

    async def still_unseen(self, user_id: str, ids: Sequence[str]) -> set[str]:
        return await self._read(partial(reads.still_unseen, user_id=user_id, ids=ids))

    async def dismiss(self, user_id: str, expires_at: int) -> int:
        if not await self._read(partial(reads.any_untold, user_id=user_id)):
            return 0
        dismiss = partial(writes.dismiss, user_id=user_id, expires_at=expires_at, now=self._clock.now())
        return await self._write(dismiss)

    async def stale(self, after: int, limit: int) -> tuple[list[str], int]:
        return await self._read(partial(reads.stale, after=after, limit=limit))

    async def backlog(self) -> list[Backlog]:
        return await self._report(reads.backlog)

    async def prune_pushes(self, *, settled_before: int, limit: int) -> int:
        prune = partial(writes.prune, settled_before=settled_before, limit=limit, now=self._clock.now())
        return await self._write(prune)
