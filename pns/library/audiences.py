"""Topics, buckets and everybody in the library: methods of PNS beside those of pns/library/__init__.py."""

from __future__ import annotations

from pns.errors import NotFound
from pns.inbox import audience_names, given
from pns.inbox.audiences import NO_TOPIC
from pns.inbox.given import Data, Notifications
from pns.inbox.publications import Changed, ToAll, ToEverybody
from pns.library.calls import Calls, require_limit
from pns.model.answers import PublicationInfo, Published, Subscriptions
from pns.model.device import UserId
from pns.model.push import PushControls

_NO_TOPIC = f"{NO_TOPIC}, here with pns.make_topic"


class AudienceCalls(Calls):
    """A part of PNS."""

    async def make_topic(self, topic: str) -> None:
        """Make a topic, such as `app:news`. An existing topic stays as before."""
        await (await self._node()).subscribers.make(audience_names.topic(topic))

    async def remove_topic(self, topic: str) -> None:
        """Remove a topic and all its subscriptions."""
        await (await self._node()).subscribers.remove(audience_names.topic(topic))

    async def subscribe_to(
        self, user_id: UserId, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """Subscribe the user to a topic, or to a bucket. Raises NotFound for a topic that was not made."""
        subscribers, audience = (await self._node()).subscribers, _audience(topic, bucket, make=True)
        try:
            await subscribers.subscribe(
                audience, given.user_of_call("subscribe_to", user_id), make=bucket is not None
            )
        except NotFound:
            raise NotFound(_NO_TOPIC) from None

    async def unsubscribe_from(
        self, user_id: UserId, *, topic: str | None = None, bucket: str | None = None
    ) -> None:
        """End the user's subscription to a topic, or to a bucket."""
        subscribers, audience = (await self._node()).subscribers, _audience(topic, bucket)
        await subscribers.unsubscribe(audience, given.user_of_call("unsubscribe_from", user_id))

    async def subscriptions(self, user_id: UserId) -> Subscriptions:
        """The user's topics and buckets."""
        return await (await self._node()).subscribers.of(given.user_of_call("subscriptions", user_id))

    async def publish(
        self,
        topic: str,
        notifications: Notifications,
        *,
        publication_id: str | None = None,
        sender: str | None = None,
    ) -> Published:
        """Notify every subscriber of a topic. The publication is durable on return and spreads afterwards.

        Raises NotFound, or PublicationConflict when the id belongs to another publication.
        """
        node, wanted = await self._node(), _to_all(notifications, publication_id, sender)
        try:
            return await node.publications.notify_topic(topic, wanted)
        except NotFound:
            raise NotFound(_NO_TOPIC) from None

    async def broadcast(
        self,
        notifications: Notifications,
        *,
        publication_id: str | None = None,
        sender: str | None = None,
        seen_within_days: int | None = None,
    ) -> Published:
        """As `publish`, to every user whom PNS knows.

        `seen_within_days` leaves out the users who were connected last more than so many days ago.
        """
        members = {
            **_members(notifications, publication_id, sender),
            "seen_within_days": seen_within_days,
        }
        node, wanted = await self._node(), given.converted(members, ToEverybody)
        return await node.publications.notify_everybody(wanted)

    async def bucket_changed(
        self,
        bucket: str,
        type: str,
        object_id: str | None = None,
        *,
        notification_data: Data | None = None,
        sender: str | None = None,
        collapse: bool = True,
        push: PushControls | None = None,
        publication_id: str | None = None,
    ) -> Published:
        """Tell every subscriber of a bucket that the bucket has changed, as `publish` does.

        `type`: such as "DATA_OBJECT_UPDATED"; docs/protocol.md lists all types and the other members.
        """
        members = {
            "type": type,
            "object_id": object_id,
            "notification_data": given.text(notification_data, at="/notification_data"),
            "sender": sender,
            "collapse": collapse,
            "push": given.plain(push, at="/push"),
            "publication_id": publication_id,
        }
        return await (await self._node()).publications.notify_bucket(
            bucket, given.converted(members, Changed)
        )

    async def publication(self, publication_id: str) -> PublicationInfo:
        """The progress of a publication. Raises NotFound, also long after its end."""
        return await (await self._node()).publications.find(publication_id)

    async def publications(self, *, before: str = "", limit: int | None = None) -> list[PublicationInfo]:
        """The publications that are kept, newest first, each with its progress.

        A page has at most `limit` of them, and at most `limits.page_size`; an empty page is the end. `before`
        is the `publication_id` of the last one of the page before. Raises Invalid when it is not kept.
        """
        node = await self._node()
        most = node.settings.limits.page_size
        require_limit(limit)
        return await node.publications.page(before, most if limit is None else limit)

    async def take_back(self, publication_id: str) -> None:
        """Take a publication back: it reaches nobody any more, and leaves every inbox where it is unseen.

        Durable on return, and done afterwards: `publication` reports the progress. Raises NotFound.
        """
        await (await self._node()).publications.take_back(publication_id)


def _audience(topic: str | None, bucket: str | None, *, make: bool = False) -> str:
    if topic is not None and bucket is None:
        return audience_names.topic(topic)
    if bucket is not None and topic is None:
        return audience_names.bucket(bucket, make=make)
    raise TypeError("give either topic= or bucket=")


def _to_all(notifications: Notifications, publication_id: str | None, sender: str | None) -> ToAll:
    return given.converted(_members(notifications, publication_id, sender), ToAll)


def _members(
    notifications: Notifications, publication_id: str | None, sender: str | None
) -> dict[str, object]:
    return {
        "notifications": given.members(notifications),
        "publication_id": publication_id,
        "sender": sender,
    }
