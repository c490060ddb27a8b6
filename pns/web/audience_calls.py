"""Calls that concern audiences: the shape of each body and answer, and what the contract shows of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from pns.audience import Change, Publication
from pns.errors import Invalid, NotFound, PublicationConflict
from pns.notification import Name, Notification, new_notification_id
from pns.push import Origin, PushControls
from pns.timestamp import Timestamp, format_timestamp
from pns.web.application_calls import READING_BODY, Count
from pns.web.body import MAX_NOTIFICATIONS, decode
from pns.web.contract.operation import USER, Answer, Operation

Sender = Annotated[str, Meta(min_length=1, max_length=255)]


class ToAll(Struct, frozen=True, forbid_unknown_fields=True):
    """Notifications for everybody in an audience. `sender`: a control field of their pushes.

    `publication_id`: the application's own, which makes it safe to repeat.
    """

    notifications: Annotated[list[Notification], Meta(min_length=1, max_length=MAX_NOTIFICATIONS)]
    publication_id: Name | None = None
    sender: Sender | None = None


class Changed(Struct, frozen=True, forbid_unknown_fields=True):
    """What happened in a bucket. `notification_data`: what the inbox shows; the control fields, if none.

    Of several changes that a user has not seen, the inbox keeps the newest, unless `collapse` is false.
    """

    type: Change
    object_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    notification_data: Annotated[str, Meta(min_length=1)] | None = None
    sender: Sender | None = None
    collapse: bool = True
    push: PushControls | None = None
    publication_id: Name | None = None


class Published(Struct, frozen=True):
    """The publication, and the ids that its notifications have in every inbox."""

    publication_id: str
    notification_ids: list[str]


class PublicationInfo(Struct, frozen=True):
    """`reached`: users so far. `end_date`: when all were, or null."""

    publication_id: str
    audience: str
    notification_ids: list[str]
    reached: Count
    create_date: Timestamp
    end_date: Timestamp | None


class Subscriptions(Struct, frozen=True):
    topics: list[str]
    buckets: list[str]


_TO_ALL = msgspec.json.Decoder(ToAll)
_CHANGED = msgspec.json.Decoder(Changed)

_PUBLISHED = Answer(202, "Kept durably; it spreads from now on.", body=Published)
_PUBLISHING = (*USER, *READING_BODY, PublicationConflict)
MAKE = Operation(caller="application", answers=(Answer(204, "It is there."),), problems=USER)
REMOVE = Operation(
    caller="application", answers=(Answer(204, "It is gone, with its subscriptions."),), problems=USER
)
SUBSCRIBE = Operation(caller="application", answers=(Answer(204, "Subscribed."),), problems=USER)
SUBSCRIBED = Operation(caller="application", answers=(Answer(204, "Subscribed."),), problems=USER)
UNSUBSCRIBE = Operation(caller="application", answers=(Answer(204, "Not subscribed."),), problems=USER)
SUBSCRIPTIONS = Operation(
    caller="application",
    answers=(Answer(200, "In the order of their names.", body=Subscriptions),),
    problems=USER,
)
NOTIFY = Operation(caller="application", body=ToAll, answers=(_PUBLISHED,), problems=_PUBLISHING)
CHANGED = Operation(caller="application", body=Changed, answers=(_PUBLISHED,), problems=_PUBLISHING)
BROADCAST = Operation(
    caller="application",
    body=ToAll,
    answers=(_PUBLISHED,),
    problems=tuple(problem for problem in _PUBLISHING if problem is not NotFound),
)
PUBLICATION = Operation(
    caller="application",
    answers=(Answer(200, "The publication.", body=PublicationInfo),),
    problems=USER,
)


def decode_to_all(body: bytes) -> ToAll:
    """The body of a call that notifies an audience. Raises BadJSON or Invalid."""
    return decode(body, _TO_ALL)


def decode_changed(body: bytes) -> Changed:
    """The body of `POST /buckets/{bucket}/changed`. Raises BadJSON or Invalid."""
    changed = decode(body, _CHANGED)
    if (changed.object_id is None) != (changed.type is Change.BUCKET_DELETED):
        raise Invalid([("/object_id", f"must be given, except for {Change.BUCKET_DELETED}")])
    return changed


def origin_of(changed: Changed, bucket: str) -> Origin:
    """The control fields of a change."""
    return Origin(
        origin="EVENT",
        sender=changed.sender,
        bucketID=bucket,
        objectID=changed.object_id,
        type_=changed.type.value,
    )


def notification_of(changed: Changed, bucket: str, origin: Origin) -> Notification:
    """What a change puts into the inboxes."""
    return Notification(
        changed.notification_data or msgspec.json.encode(origin).decode(),
        collapse_key=bucket if changed.collapse else None,
        push=changed.push,
    )


def with_ids(body: ToAll, now: int) -> tuple[Notification, ...]:
    """The notifications, each with an id: derived from the publication's, if it has one, and its place."""
    wanted = []
    for place, notification in enumerate(body.notifications):
        if notification.notification_id is None:
            notification = replace(notification, notification_id=_id(body, place, now))
        wanted.append(notification)
    return tuple(wanted)


def _id(body: ToAll, place: int, now: int) -> str:
    if body.publication_id is None or len(body.publication_id) > 59:
        return new_notification_id(now)
    return f"{body.publication_id}.{place}"


def same(kept: Publication, wanted: Publication) -> bool:
    """Whether a repeated publication is the one that is kept, the ids that PNS made aside."""
    data = [[n.notification_data for n in each.notifications] for each in (kept, wanted)]
    return kept.audience == wanted.audience and data[0] == data[1]


def info_of(publication: Publication) -> PublicationInfo:
    """A publication as the application sees it."""
    return PublicationInfo(
        publication_id=publication.publication_id,
        audience=publication.audience.replace("/", " ", 1),
        notification_ids=[n.notification_id or "" for n in publication.notifications],
        reached=publication.reached,
        create_date=format_timestamp(publication.create_date),
        end_date=None if publication.end_date is None else format_timestamp(publication.end_date),
    )
