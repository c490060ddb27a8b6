"""Erasing a user: the store first, then the gateways, which take back addresses that they gave out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.model.device import Device
from pns.runtime.shielded import Shielded


class Erasure:
    """Erases users. A cancelled call stops neither the erasure nor the release of the devices."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        *,
        release: Callable[[Device], Awaitable[None]],
        shielded: Shielded,
    ) -> None:
        """`release` tells a device's gateway that the device was removed. The owner stops `shielded`."""
        self._store = store
        self._changes = changes
        self._release = release
        self._shielded = shielded

    async def erase(self, user_id: str) -> None:
        """Erase the user with everything that PNS keeps of the user, and end the user's connections."""
        await self._shielded.run(self._erase(user_id))

    async def _erase(self, user_id: str) -> None:
        devices = await self._store.outbox.devices(user_id)
        erased: list[int | None] = []
        try:
            await self._changes.erase(user_id, committed=erased.append)
        finally:
            # The devices are gone with the first commit, also where a later one failed.
            if any(erased):
                for device in devices:
                    await self._release(device)
