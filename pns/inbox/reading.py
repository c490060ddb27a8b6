"""Reading: everything that an application may ask about a user. Nothing here changes the store.

Long answers are read in pages, so a long inbox never stands in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from msgspec import UNSET

from pns.contracts.store import Cursor, Place, Presence, Store
from pns.inbox import given
from pns.inbox.audience_names import named
from pns.model.answers import DeviceInfo, InstalledDevice, Named, PushItem, UserInfo
from pns.model.device import Device
from pns.model.messages import InboxItem, inbox_item
from pns.model.push import PushStatus
from pns.model.timestamp import Timestamp, format_timestamp
from pns.settings import LimitsSettings


class Reading:
    """Answers about users."""

    def __init__(
        self,
        store: Store,
        limits: LimitsSettings,
        *,
        connected: Callable[[str], Awaitable[Iterable[Presence]]],
        here: Callable[[str], Iterable[Presence]],
    ) -> None:
        """`connected`: a user's devices with connections to any node. `here`: to this node."""
        self._store = store
        self._limits = limits
        self._connected = connected
        self._here = here

    async def user(self, user_id: str, *, here: bool = False) -> UserInfo:
        """The user's unseen count and connected devices. `here`: also count the connections to this node."""
        found = await self._connected(user_id)
        own = {presence.device_id: presence.connections for presence in self._here(user_id)}
        devices = [
            DeviceInfo(
                presence.device_id,
                presence.connections,
                format_timestamp(presence.since),
                own.get(presence.device_id, 0) if here else UNSET,
            )
            for presence in found
        ]
        return UserInfo(user_id, (await self._store.states([user_id]))[user_id].unseen, devices)

    async def page(self, user_id: str, cursor: Cursor) -> list[InboxItem]:
        """A page of the user's inbox. Raises UnknownNotification for a cursor's id that is not kept."""
        return [inbox_item(kept) for kept in (await self._store.inbox(user_id, cursor)).items]

    async def devices(self, user_id: str) -> list[InstalledDevice]:
        """The user's devices at push networks, and how many connections each device holds now."""
        connected = {found.device_id: found.connections for found in await self._connected(user_id)}
        devices = await self._store.outbox.devices(user_id)
        return [_device(device, connected.get(device.device_id, 0)) for device in devices]

    async def pushes(self, user_id: str, notification_id: str) -> list[PushItem]:
        """The pushes of one notification, by device. Raises Invalid."""
        name = given.name("notification_id", notification_id)
        return [_push(push) for push in await self._store.outbox.pushes(user_id, name)]

    async def inbox(self, user_id: str) -> AsyncIterator[list[InboxItem]]:
        """The user's whole inbox, oldest first, in pages.

        A notification that is kept all the time appears once, whatever is removed or added meanwhile. The
        iterator ends when the user is erased.
        """
        async for page in self._pages(user_id, await self._key(user_id)):
            yield page

    async def everything(self, user_id: str) -> AsyncIterator[Sequence[InboxItem | InstalledDevice | Named]]:
        """Everything that PNS keeps of the user: the inbox, then devices, then subscriptions.

        After an erasure nothing more follows, also if the user comes back.
        """
        user_key = await self._key(user_id)
        async for page in self._pages(user_id, user_key):
            yield page
        devices = await self.devices(user_id)
        audiences = await self._store.audiences.subscriptions(user_id)
        if await self._key(user_id) != user_key:
            devices, audiences = [], []
        yield devices
        yield [named(audience) for audience in audiences]

    async def _pages(self, user_id: str, user_key: int) -> AsyncIterator[list[InboxItem]]:
        place = Place(user_key)
        while True:
            cursor = Cursor(place=place, limit=self._limits.page_size, max_bytes=self._limits.page_bytes)
            page = await self._store.inbox(user_id, cursor)
            if not page.items:
                return
            yield [inbox_item(kept) for kept in page.items]
            place = Place(user_key, page.items[-1].seq)

    async def _key(self, user_id: str) -> int:
        return (await self._store.states([user_id]))[user_id].user_key


def _device(device: Device, connections: int) -> InstalledDevice:
    return InstalledDevice(
        device_id=device.device_id,
        network=device.network,
        gateway=device.gateway,
        app=device.app,
        environment=device.environment,
        platform=device.platform,
        badge=device.badge,
        registered_at=format_timestamp(device.registered_at),
        expires_at=_moment(device.expires_at),
        connections=connections,
    )


def _push(push: PushStatus) -> PushItem:
    return PushItem(
        device_id=push.device_id,
        network=push.network,
        gateway=push.gateway,
        state=push.state,
        attempts=push.attempts,
        reason=push.reason,
        provider_id=push.provider_id,
        due_at=_moment(push.due_at),
        changed_at=format_timestamp(push.changed_at),
    )


def _moment(at: int | None) -> Timestamp | None:
    return None if at is None else format_timestamp(at)
