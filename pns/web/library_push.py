"""The part of PNS, the library, that is about push and audiences: the endpoints as methods.

See pns/library.py, which starts and mounts it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from pns.errors import NotFound
from pns.model.device import Registration
from pns.model.push import PushControls
from pns.node import Node
from pns.web import audience_names
from pns.web.audience_schemas import Changed, PublicationInfo, Published, Subscriptions, ToAll
from pns.web.audiences import subscriptions_of
from pns.web.body import name
from pns.web.host_values import Notifications, converted, given_user, members, plain
from pns.web.publications import (
    NO_TOPIC,
    find_publication,
    notify_bucket,
    notify_everybody,
    notify_topic,
)
from pns.web.push_schemas import InstalledDevice, PushItem, devices_of, pushes_of
from pns.web.registrations import Registered, registered

_NO_TOPIC = f"{NO_TOPIC}, here with pns.make_topic"


class PushMethods(ABC):
    """Methods raise Invalid for bad arguments, StoreUnavailable or Overloaded when nothing was stored."""

    @property
    @abstractmethod
    def _started(self) -> Node:
        """The node. Raises NotStarted."""

    # ── devices at push networks ──────────────────────────────────────────────────────────────────────

    async def install(
        self, user_id: str | int, registration: Registration | Mapping[str, object]
    ) -> Registered:
        """Register a device of the user; a mapping, no text, is what it would send as JSON. Repeatable.

        Raises Unavailable when the network's gateway cannot take it now.
        """
        node, wanted = self._started, converted(plain(registration), Registration)
        return registered(await node.pushing.registrar.register(given_user(user_id), wanted))

    async def uninstall(self, user_id: str | int, device_id: str) -> bool:
        """Remove a device of the user: nothing is pushed there any more. Returns whether there was one."""
        registrar = self._started.pushing.registrar
        return await registrar.unregister(given_user(user_id), name("device_id", device_id))

    async def devices(self, user_id: str | int) -> list[InstalledDevice]:
        """The user's devices at push networks, oldest registration first."""
        return await devices_of(self._started, given_user(user_id))

    async def pushes(self, user_id: str | int, notification_id: str) -> list[PushItem]:
        """What became of the pushes of one notification, by device."""
        return await pushes_of(self._started, given_user(user_id), notification_id)

    # ── topics, buckets, everybody ────────────────────────────────────────────────────────────────────

    async def make_topic(self, topic: str) -> None:
        """Make a topic, such as `app:news`; one that is there stays as it is."""
        await self._started.store.audiences.make(audience_names.topic(topic))

    async def remove_topic(self, topic: str) -> None:
        """Remove a topic and all its subscriptions."""
        await self._started.store.audiences.remove(audience_names.topic(topic))

    async def subscribe_to(
        self, user_id: str | int, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """Subscribe the user to a topic, or to a bucket. Raises NotFound for a topic that was not made."""
        audiences, audience = self._started.store.audiences, _audience(topic, bucket, make=True)
        if not await audiences.subscribe(audience, given_user(user_id), make=bucket is not None):
            raise NotFound(_NO_TOPIC)

    async def unsubscribe_from(
        self, user_id: str | int, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """End the user's subscription to a topic, or to a bucket."""
        audiences, audience = self._started.store.audiences, _audience(topic, bucket)
        await audiences.unsubscribe(audience, given_user(user_id))

    async def subscriptions(self, user_id: str | int) -> Subscriptions:
        """The topics and the buckets that the user is subscribed to."""
        return await subscriptions_of(self._started, given_user(user_id))

    async def publish(
        self,
        topic: str,
        notifications: Notifications,
        *,
        publication_id: str | None = None,
        sender: str | None = None,
    ) -> Published:
        """Notify everybody who is subscribed to a topic; returns when that is kept, and spreads afterwards.

        Raises NotFound, or PublicationConflict when the id is taken by another publication.
        """
        body = _to_all(notifications, publication_id, sender)
        try:
            return await notify_topic(self._started, topic, body)
        except NotFound:
            raise NotFound(_NO_TOPIC) from None

    async def broadcast(
        self, notifications: Notifications, *, publication_id: str | None = None, sender: str | None = None
    ) -> Published:
        """As `publish`, to every user whom PNS knows."""
        return await notify_everybody(self._started, _to_all(notifications, publication_id, sender))

    async def bucket_changed(
        self,
        bucket: str,
        type: str,
        object_id: str | None = None,
        *,
        notification_data: str | None = None,
        sender: str | None = None,
        collapse: bool = True,
        push: PushControls | None = None,
        publication_id: str | None = None,
    ) -> Published:
        """Tell everybody who is subscribed to a bucket that it has changed, as `publish` does.

        `type`: such as "DATA_OBJECT_UPDATED"; see docs/protocol.md for all of them and the rest.
        """
        given = {
            "type": type,
            "object_id": object_id,
            "notification_data": notification_data,
            "sender": sender,
            "collapse": collapse,
            "push": plain(push, at="/push"),
            "publication_id": publication_id,
        }
        return await notify_bucket(self._started, bucket, converted(given, Changed))

    async def publication(self, publication_id: str) -> PublicationInfo:
        """How far a publication has come. Raises NotFound, also once it was complete for long."""
        return await find_publication(self._started, publication_id)


def _audience(topic: str | None, bucket: str | None, *, make: bool = False) -> str:
    if topic is not None and bucket is None:
        return audience_names.topic(topic)
    if bucket is not None and topic is None:
        return audience_names.bucket(bucket, make=make)
    raise TypeError("give either topic= or bucket=")


def _to_all(notifications: Notifications, publication_id: str | None, sender: str | None) -> ToAll:
    given = {"notifications": members(notifications), "publication_id": publication_id, "sender": sender}
    return converted(given, ToAll)
