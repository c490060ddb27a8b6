"""Reading: everything that an application may ask about a user. Nothing here changes the store.

Long answers are read in pages, so a long inbox never stands in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from msgspec import UNSET

from pns.contracts.later import Behind, WaitingCursor
from pns.contracts.store import CountsOf, Cursor, Place, Presence, Store
from pns.inbox import given
from pns.inbox.audience_names import named
from pns.inbox.preferences import Preferences
from pns.inbox.timeline import Timeline
from pns.model.answers import Chosen, DeviceInfo, InstalledDevice, Named, PushItem, UserInfo
from pns.model.counts import Counts
from pns.model.device import Device
from pns.model.messages import InboxItem, inbox_item, pending_item
from pns.model.notification import StoredNotification
from pns.model.push import PushStatus
from pns.model.timeline import NoteItem
from pns.model.timestamp import Timestamp, format_timestamp
from pns.settings import LimitsSettings

Kept = InboxItem | InstalledDevice | Named | Chosen | NoteItem
"""A part of what PNS keeps of a user."""


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
        self._preferences = Preferences(store.categories)
        self._timeline = Timeline(store.timeline, limits)
        self._connected = connected
        self._here = here

    async def user(self, user_id: str, *, here: bool = False, categories: bool = False) -> UserInfo:
        """The user's counts and connected devices. `here`: also count the connections to this node.
        `categories`: also tell the counts of each category.
        """
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
        counts = await self.counts(CountsOf(user_id, None if categories else ()))
        return UserInfo(
            user_id,
            counts.unseen,
            counts.unread,
            devices,
            dict(counts.categories) if categories else UNSET,
            counts.more or UNSET,
        )

    async def counts(self, asked: CountsOf) -> Counts:
        """All numbers of a user, of one moment."""
        return (await self._store.counts([asked]))[asked]

    async def page(self, user_id: str, cursor: Cursor | WaitingCursor) -> list[InboxItem]:
        """A page of the user's inbox, or of what waits. Raises UnknownNotification for a cursor's id that is
        not kept.
        """
        if isinstance(cursor, WaitingCursor):
            return [pending_item(kept) for kept in (await self._store.later.page(user_id, cursor)).items]
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
        async for page in self._pages(user_id, Place(await self._key(user_id))):
            yield [inbox_item(kept) for kept in page]

    async def pending(self, user_id: str) -> AsyncIterator[list[InboxItem]]:
        """Everything that waits for the user, the first to come first, in pages."""
        async for page in self._waiting(user_id, await self._key(user_id)):
            yield page

    async def everything(self, user_id: str) -> AsyncIterator[Sequence[Kept]]:
        """Everything that PNS keeps of the user: the inbox, pending notifications, devices, subscriptions,
        preferences and notes.

        A notification that is delivered meanwhile may appear twice, and is never left out. After an erasure
        nothing more follows, also if the user comes back.
        """
        user_key = await self._key(user_id)
        end = Place(user_key)
        async for page in self._pages(user_id, end):
            yield [inbox_item(kept) for kept in page]
            end = Place(user_key, page[-1].seq)
        async for waiting in self._waiting(user_id, user_key):
            yield waiting
        async for page in self._pages(user_id, end):  # delivered meanwhile
            yield [inbox_item(kept) for kept in page]
        devices = await self.devices(user_id)
        audiences = await self._store.audiences.subscriptions(user_id)
        chosen = await self._preferences.chosen(user_id)
        if await self._key(user_id) != user_key:
            devices, audiences, chosen = [], [], []
        yield devices
        yield [named(audience) for audience in audiences]
        yield chosen
        async for notes in self._timeline.notes(user_id):
            if await self._key(user_id) != user_key:
                return
            yield notes

    async def _pages(self, user_id: str, place: Place) -> AsyncIterator[Sequence[StoredNotification]]:
        while True:
            cursor = Cursor(place=place, limit=self._limits.page_size, max_bytes=self._limits.page_bytes)
            page = await self._store.inbox(user_id, cursor)
            if not page.items:
                return
            yield page.items
            place = Place(place.user_key, page.items[-1].seq)

    async def _waiting(self, user_id: str, user_key: int) -> AsyncIterator[list[InboxItem]]:
        behind = Behind(user_key, 0, "")
        while True:
            cursor = WaitingCursor(
                behind=behind, limit=self._limits.page_size, max_bytes=self._limits.page_bytes
            )
            page = await self._store.later.page(user_id, cursor)
            if not page.items:
                return
            yield [pending_item(kept) for kept in page.items]
            last = page.items[-1]
            behind = Behind(user_key, last.deliver_date, last.notification_id)

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
