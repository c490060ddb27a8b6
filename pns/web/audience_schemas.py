"""Calls that concern audiences: the shape of each body and answer, and what the contract shows of them."""

from __future__ import annotations

import msgspec

from pns.errors import NotFound, NotificationIdConflict, PublicationConflict
from pns.inbox.publications import Changed, ToAll
from pns.model.answers import PublicationInfo, Published, Subscriptions
from pns.web.contract.operation import USER, Answer, Operation
from pns.web.user_schemas import READING_BODY

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
