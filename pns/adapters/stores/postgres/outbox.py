"""The Outbox contract of pns/contracts/outbox.py on a PostgreSQL store's own connections.

Statements stand in outbox.sql, and run from outbox_writes.py and outbox_reads.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.postgres import outbox_reads as reads
from pns.adapters.stores.postgres import outbox_writes as writes
from pns.adapters.stores.postgres.rows import Session
from pns.adapters.stores.postgres.writes import Name, Write
from pns.contracts.outbox import Backlog, Claim, Settlement
from pns.contracts.store import Committed
from pns.model.device import Device, address_hash
from pns.model.push import Push, PushStatus
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock

T = TypeVar("T")


class Reading(Protocol):
    """Reads on one of the store's connections."""

    def __call__(self, function: Callable[[Session], Coroutine[Any, Any, T]], /) -> Awaitable[T]: ...


class Committing(Protocol):
    """Writes through the store's group commit. `apart`: in a commit of its own."""

    def __call__(
        self,
        write: Write[T],
        /,
        *,
        size: int = SMALL_WRITE,
        committed: Committed[T] | None = None,
        apart: bool = False,
    ) -> Awaitable[T]: ...


class PostgresOutbox:
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
        hash = address_hash(device.address)
        register = Write(
            partial(writes.register, device=device, now=self._clock.now()),
            makes=(device.user_id,),
            names=(_address(device.network, hash), _device(device.device_id)),
            find=partial(reads.owner_of_address, network=device.network, address_hash=hash),
        )
        return await self._write(register)

    async def unregister(self, user_id: str, device_id: str) -> Device | None:
        unregister = partial(writes.unregister, user_id=user_id, device_id=device_id, now=self._clock.now())
        return await self._write(Write(unregister, user_ids=(user_id,)))

    async def device_at(self, network: str, address: str) -> Device | None:
        return await self._read(partial(reads.device_at, network=network, address=address))

    async def devices(self, user_id: str) -> list[Device]:
        return await self._read(partial(reads.devices, user_id=user_id))

    async def device(self, device_id: str) -> Device | None:
        return await self._read(partial(reads.device, device_id=device_id))

    async def all_devices(self, after: str, limit: int) -> list[Device]:
        return await self._read(partial(reads.all_devices, after=after, limit=limit))

    async def set_badge(self, device_id: str, badge: int, *, user_id: str | None = None) -> bool:
        set_badge = Write(
            partial(writes.set_badge, device_id=device_id, badge=badge, user_id=user_id),
            names=(_device(device_id),),
            find=partial(reads.owners, device_ids=[device_id]),
        )
        return await self._write(set_badge)

    async def regateway(self, source: str, target: str, network: str, *, limit: int) -> int:
        move = Write(
            partial(writes.regateway, source=source, target=target, limit=limit),
            find=partial(reads.at_gateway, source=source, network=network, limit=limit),
        )
        return await self._write(move)

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    async def next_due(self) -> Mapping[str, int]:
        return await self._read(reads.next_due)

    async def claim(self, claim: Claim) -> list[Push]:
        request = Write(partial(writes.claim, claim=claim, now=self._clock.now()), last=True)
        return await self._write(request)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        settle = Write(
            partial(
                writes.settle,
                settlements=tuple(settlements),
                webhook=self._webhook,
                now=self._clock.now(),
            ),
            user_ids=tuple({settlement.push.device.user_id for settlement in settlements}),
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
        return await self._write(Write(dismiss, user_ids=(user_id,)))

    async def stale(self, after: int, limit: int) -> tuple[list[str], int]:
        return await self._read(partial(reads.stale, after=after, limit=limit))

    async def backlog(self) -> list[Backlog]:
        return await self._report(reads.backlog)

    async def prune_pushes(self, *, settled_before: int, limit: int) -> int:
        now = self._clock.now()
        ended = Write(
            partial(writes.prune_devices, now=now),
            find=partial(reads.ended_devices, now=now, limit=limit),
        )
        removed = await self._write(ended)
        prune = partial(writes.prune, settled_before=settled_before, limit=limit - removed)
        return removed + await self._write(Write(prune, last=True))


def _address(network: str, address_hash: str) -> Name:
    return Name(f"address {network} {address_hash}")


def _device(device_id: str) -> Name:
    return Name(f"device {device_id}")
