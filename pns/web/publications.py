"""Notifying an audience: what a topic, a bucket or everybody is sent, as a publication that is kept.

The endpoints (audiences.py) and the library (pns.ops) say it with the same words; spreading is the node's.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Change, Publication
from pns.errors import Invalid, NotFound, NotificationIdConflict, PublicationConflict
from pns.model.notification import Notification, new_notification_id
from pns.model.push import Cause
from pns.model.timestamp import format_timestamp
from pns.node import Node
from pns.web.audience_names import bucket, named, topic
from pns.web.audience_schemas import Changed, PublicationInfo, Published, ToAll
from pns.web.body import check, name

NO_TOPIC = "there is no such topic; make it with PUT /topics/{topic}"
_MOST_NAMING = 59
"""Characters of a publication's id that leave room, in a notification's, for a dot and its place."""


async def notify_topic(node: Node, called: str, body: ToAll) -> Published:
    """Notify the subscribers of a topic. Raises NotFound, and what `notify_everybody` raises."""
    audience = topic(called)
    check(body.notifications, limits=node.settings.limits, clock=node.clock)
    if not await node.store.audiences.exists(audience):
        raise NotFound(NO_TOPIC)
    return await _publish(node, audience, body, Cause(topic=called, sender=body.sender))


async def notify_everybody(node: Node, body: ToAll) -> Published:
    """Notify every user whom the store knows.

    Raises Invalid, NotificationIdConflict (one id twice, with different data) or PublicationConflict.
    """
    check(body.notifications, limits=node.settings.limits, clock=node.clock)
    return await _publish(node, EVERYBODY, body, Cause(sender=body.sender))


async def notify_bucket(node: Node, called: str, body: Changed) -> Published:
    """Tell the subscribers of a bucket that it has changed. Raises Invalid or PublicationConflict."""
    audience = bucket(called)
    if (body.object_id is None) != (body.type is Change.BUCKET_DELETED):
        remedy = "must be given, except" if body.object_id is None else "must be left out"
        raise Invalid([("/object_id", f"{remedy} for {Change.BUCKET_DELETED}")])
    cause = Cause("EVENT", sender=body.sender, bucketID=called, objectID=body.object_id, type_=body.type)
    notification = Notification(
        body.notification_data or msgspec.json.encode(cause).decode(),
        collapse_key=called if body.collapse else None,
        push=body.push,
    )
    check([notification], at="", limits=node.settings.limits, clock=node.clock)
    return await _publish(node, audience, ToAll([notification], publication_id=body.publication_id), cause)


async def find_publication(node: Node, publication_id: str) -> PublicationInfo:
    """How far a publication has come. Raises Invalid, or NotFound once it was complete for long."""
    found = await node.store.audiences.publication(name("publication_id", publication_id))
    if found is None:
        raise NotFound("there is no such publication, or it was complete long ago")
    audience = named(found.audience)
    return PublicationInfo(
        topic=audience.topic,
        bucket=audience.bucket,
        publication_id=found.publication_id,
        notification_ids=_ids(found),
        reached=found.reached,
        create_date=format_timestamp(found.create_date),
        end_date=None if found.end_date is None else format_timestamp(found.end_date),
    )


async def _publish(node: Node, audience: str, body: ToAll, cause: Cause) -> Published:
    now = node.clock.now()
    wanted = Publication(
        publication_id=body.publication_id or new_notification_id(now),
        audience=audience,
        notifications=_with_ids(body, now),
        cause=cause,
        create_date=now,
    )
    by_id: dict[str, str] = {}
    for id, data in zip(_ids(wanted), _data(wanted), strict=True):
        if by_id.setdefault(id, data) != data:
            raise NotificationIdConflict(f"{id} is the id of two of these, with different data; use a new id")
    kept = await node.publisher.publish(wanted)
    if kept.audience != audience or _data(kept) != _data(wanted):
        raise PublicationConflict
    return Published(kept.publication_id, _ids(kept))


def _with_ids(body: ToAll, now: int) -> tuple[Notification, ...]:
    """The notifications, each with an id: derived from the publication's, if it has one, and its place."""
    named = body.publication_id is not None and len(body.publication_id) <= _MOST_NAMING
    return tuple(
        notification
        if notification.notification_id
        else replace(
            notification,
            notification_id=f"{body.publication_id}.{place}" if named else new_notification_id(now),
        )
        for place, notification in enumerate(body.notifications)
    )


def _ids(publication: Publication) -> list[str]:
    return [notification.notification_id or "" for notification in publication.notifications]


def _data(publication: Publication) -> list[str]:
    return [notification.notification_data for notification in publication.notifications]
