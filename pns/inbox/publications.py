"""Publications: notifies an audience, which is a topic, a bucket or everybody.

A publication is durable when these methods return. The spreader (spreader.py) brings it to the inboxes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Change, Publication
from pns.contracts.store import Store
from pns.errors import Invalid, NotFound, NotificationIdConflict, PublicationConflict
from pns.inbox import given
from pns.inbox.audience_names import bucket, named, topic
from pns.inbox.audiences import NO_TOPIC
from pns.inbox.changes import Changes
from pns.model.answers import PublicationInfo, Published
from pns.model.name import Name
from pns.model.notification import MAX_NOTIFICATIONS, Notification, new_notification_id
from pns.model.push import Cause, PushControls
from pns.model.timestamp import DAY, Timestamp, format_timestamp
from pns.runtime.clock import Clock
from pns.settings import LimitsSettings

Sender = Annotated[str, Meta(min_length=1, max_length=255)]

MOST_DAYS = 36_500
NOT_LATER = "must be left out: a publication begins at once, so publish it at that time"
_MOST_NAMING = 59
"""Characters of a publication's id that leave room, in a notification's, for a dot and its place."""


class ToAll(Struct, frozen=True, forbid_unknown_fields=True):
    """Notifications for everybody in an audience. `sender`: a control field of their pushes.

    `publication_id`: the application's own id, which makes the call safe to repeat.
    """

    notifications: Annotated[list[Notification], Meta(min_length=1, max_length=MAX_NOTIFICATIONS)]
    publication_id: Name | None = None
    sender: Sender | None = None


class ToEverybody(ToAll, frozen=True, forbid_unknown_fields=True):
    """`seen_within_days`: leaves out the users who were connected last more than so many days before."""

    seen_within_days: Annotated[int, Meta(ge=1, le=MOST_DAYS)] | None = None


class Changed(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a bucket. `notification_data`: the inbox shows it; the control fields, if it is left out.

    `object_id`: the changed object; BUCKET_DELETED has none, every other type has one. Of several changes
    that a user has not seen, the inbox keeps the newest, unless `collapse` is false.
    """

    type: Change
    object_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    notification_data: Annotated[str, Meta(min_length=1)] | None = None
    sender: Sender | None = None
    collapse: bool = True
    push: PushControls | None = None
    publication_id: Name | None = None


_NO_PUBLICATION = "there is no such publication, or it was complete long ago"


class Publications:
    """Methods raise Invalid, NotificationIdConflict (one id twice, with different data), PublicationConflict
    (the id belongs to another publication), StoreUnavailable or Overloaded.
    """

    def __init__(self, store: Store, changes: Changes, *, limits: LimitsSettings, clock: Clock) -> None:
        self._audiences = store.audiences
        self._changes = changes
        self._limits = limits
        self._clock = clock

    async def notify_topic(self, called: str, wanted: ToAll) -> Published:
        """Notify the subscribers of a topic. Raises NotFound, too."""
        audience = topic(called)
        self._check(wanted)
        if not await self._audiences.exists(audience):
            raise NotFound(NO_TOPIC)
        return await self._publish(audience, wanted, Cause(topic=called, sender=wanted.sender))

    async def notify_everybody(self, wanted: ToEverybody) -> Published:
        """Notify every user whom the store knows."""
        self._check(wanted)
        cause = Cause(sender=wanted.sender)
        return await self._publish(EVERYBODY, wanted, cause, days=wanted.seen_within_days)

    async def notify_bucket(self, called: str, change: Changed) -> Published:
        """Tell the subscribers of a bucket that the bucket has changed."""
        audience = bucket(called)
        _check_object(change)
        cause = Cause(
            "EVENT", sender=change.sender, bucketID=called, objectID=change.object_id, type_=change.type
        )
        notification = Notification(
            change.notification_data or msgspec.json.encode(cause).decode(),
            collapse_key=called if change.collapse else None,
            push=change.push,
        )
        given.check([notification], at="", limits=self._limits, clock=self._clock)
        wanted = ToAll([notification], publication_id=change.publication_id)
        return await self._publish(audience, wanted, cause)

    async def find(self, publication_id: str) -> PublicationInfo:
        """The progress of a publication. Raises NotFound when it is unknown or was complete long ago."""
        found = await self._audiences.publication(given.name("publication_id", publication_id))
        if found is None:
            raise NotFound(_NO_PUBLICATION)
        return _info(found)

    async def page(self, before: str, limit: int) -> list[PublicationInfo]:
        """The newest publications before the one with the id `before`; "": the newest of all. Newest first.

        Raises Invalid for a `before` that is not kept.
        """
        place = None
        if before:
            place = await self._audiences.publication(given.name("before", before))
            if place is None:
                raise Invalid(
                    [("before", "no such publication is kept any more; start again with an empty one")]
                )
        limits = self._limits
        found = await self._audiences.publications(
            place, limit=min(limit, limits.page_size), max_bytes=limits.page_bytes
        )
        return [_info(publication) for publication in found]

    async def take_back(self, publication_id: str) -> None:
        """Let a publication reach nobody any more, and take back what is unseen of it. Safe to repeat.

        Raises NotFound when the publication is unknown or was complete long ago.
        """
        if await self._changes.take_back(given.name("publication_id", publication_id)) is None:
            raise NotFound(_NO_PUBLICATION)

    def _check(self, wanted: ToAll) -> None:
        given.check(wanted.notifications, limits=self._limits, clock=self._clock)
        late = [number for number, one in enumerate(wanted.notifications) if one.deliver_date is not None]
        if late:
            raise Invalid([(f"/notifications/{number}/deliver_date", NOT_LATER) for number in late])

    async def _publish(
        self, audience: str, wanted: ToAll, cause: Cause, *, days: int | None = None
    ) -> Published:
        now = self._clock.now()
        publication = Publication(
            publication_id=wanted.publication_id or new_notification_id(now),
            audience=audience,
            notifications=_with_ids(wanted, now),
            cause=cause,
            create_date=now,
            seen_since=None if days is None else (now // DAY - days) * DAY,
        )
        by_id: dict[str, str] = {}
        for id, data in zip(_ids(publication), _data(publication), strict=True):
            if by_id.setdefault(id, data) != data:
                raise NotificationIdConflict(
                    f"{id} is the id of two of these, with different data; use a new id"
                )
        keep = self._changes.announce if audience == EVERYBODY else self._changes.publish
        kept = await keep(publication)
        if kept.audience != audience or _data(kept) != _data(publication):
            raise PublicationConflict
        return Published(kept.publication_id, _ids(kept))


def _info(found: Publication) -> PublicationInfo:
    audience = named(found.audience)
    return PublicationInfo(
        topic=audience.topic,
        bucket=audience.bucket,
        publication_id=found.publication_id,
        notification_ids=_ids(found),
        reached=found.reached,
        create_date=format_timestamp(found.create_date),
        end_date=_moment(found.end_date),
        taken_back=UNSET if found.taken_back is None else found.taken_back,
        taken_back_date=UNSET if found.taken_back is None else _moment(found.taken_back_date),
    )


def _moment(at: int | None) -> Timestamp | None:
    return None if at is None else format_timestamp(at)


def _check_object(change: Changed) -> None:
    if (change.object_id is None) != (change.type is Change.BUCKET_DELETED):
        remedy = "must be given, except" if change.object_id is None else "must be left out"
        raise Invalid([("/object_id", f"{remedy} for {Change.BUCKET_DELETED}")])


def _with_ids(wanted: ToAll, now: int) -> tuple[Notification, ...]:
    """The notifications, each with an id: derived from the publication's, if it has one, and its place."""
    named = wanted.publication_id is not None and len(wanted.publication_id) <= _MOST_NAMING
    return tuple(
        notification
        if notification.notification_id
        else replace(
            notification,
            notification_id=f"{wanted.publication_id}.{place}" if named else new_notification_id(now),
        )
        for place, notification in enumerate(wanted.notifications)
    )


def _ids(publication: Publication) -> list[str]:
    return [notification.notification_id or "" for notification in publication.notifications]


def _data(publication: Publication) -> list[str]:
    return [notification.notification_data for notification in publication.notifications]
