"""Calls that concern audiences: the shape of each body and answer, and what the contract shows of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pns.contracts.audiences import Change
from pns.errors import NotFound, NotificationIdConflict, PublicationConflict
from pns.model.name import Name
from pns.model.notification import Notification
from pns.model.push import PushControls
from pns.model.timestamp import Timestamp
from pns.web.audience_names import Named
from pns.web.body import MAX_NOTIFICATIONS
from pns.web.contract.operation import USER, Answer, Operation
from pns.web.user_schemas import READING_BODY, Count

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

    `object_id`: the object concerned; BUCKET_DELETED concerns none, every other type one. Of several changes
    that a user has not seen, the inbox keeps the newest, unless `collapse` is false.
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


class PublicationInfo(Named, frozen=True, kw_only=True):
    """`reached`: users so far. `end_date`: when all were, or null."""

    publication_id: str
    notification_ids: list[str]
    reached: Count
    create_date: Timestamp
    end_date: Timestamp | None


class Subscriptions(Struct, frozen=True):
    topics: list[str]
    buckets: list[str]


TO_ALL = msgspec.json.Decoder(ToAll)
CHANGE = msgspec.json.Decoder(Changed)

_PUBLISHED = Answer(202, "Kept durably; it spreads from now on.", body=Published)
_PUBLISHING = (*USER, *READING_BODY, NotificationIdConflict, PublicationConflict)
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
