"""Calls for audiences: the decoders of the bodies, and each endpoint's part of the contract."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from pns.errors import NotFound, NotificationIdConflict, PublicationConflict
from pns.inbox.publications import Changed, ToAll, ToEverybody
from pns.model.answers import PublicationInfo, Published, Subscriptions
from pns.model.name import KeptName
from pns.web.contract.operation import USER, Answer, Operation, Parameter
from pns.web.user_schemas import READING_BODY


class PublicationList(Struct, frozen=True):
    """Newest first."""

    publications: list[PublicationInfo]


TO_ALL = msgspec.json.Decoder(ToAll)
TO_EVERYBODY = msgspec.json.Decoder(ToEverybody)
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
    body=ToEverybody,
    answers=(_PUBLISHED,),
    problems=tuple(problem for problem in _PUBLISHING if problem is not NotFound),
)
PUBLICATION = Operation(
    caller="application",
    answers=(Answer(200, "The publication.", body=PublicationInfo),),
    problems=USER,
)
PUBLICATIONS = Operation(
    caller="application",
    parameters=(
        Parameter(
            "before", "Those before this publication_id; empty: from the newest.", KeptName | Literal[""]
        ),
        Parameter(
            "limit",
            "Default and most {limits.page_size} (`limits.page_size`); a page also ends at "
            "{limits.page_bytes} bytes of their notifications (`limits.page_bytes`).",
            Annotated[int, Meta(ge=1, le=10**18 - 1)],
        ),
    ),
    answers=(Answer(200, "A page; an empty one is the end.", body=PublicationList),),
    problems=tuple(problem for problem in USER if problem is not NotFound),
)
TAKE_BACK = Operation(
    caller="application",
    answers=(Answer(202, "It reaches nobody any more, and is taken back from now on."),),
    problems=USER,
)
