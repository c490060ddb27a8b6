"""Calls for users: the shape of each answer, and each endpoint's part of the contract."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pns.errors import (
    BadJSON,
    Invalid,
    NotificationIdConflict,
    NotificationNotKept,
    TooLarge,
    UnsupportedMediaType,
)
from pns.model.answers import Marks, UserInfo
from pns.model.counts import Count
from pns.model.messages import InboxItem
from pns.model.name import KeptName
from pns.web.body import EitherMark, EitherSeen, NotifyBodies
from pns.web.contract.operation import APPLICATION, STORE, USER, Answer, Operation, Parameter, Problems


class Notified(Struct, frozen=True):
    """The ids of all notifications of the request, in its order."""

    notification_ids: list[str]


class Inbox(Struct, frozen=True):
    notifications: list[InboxItem]


class Unseen(Struct, frozen=True):
    unseen: Count


READING_BODY: Problems = (BadJSON, TooLarge, UnsupportedMediaType)

NOTIFY = Operation(
    caller="application",
    body=NotifyBodies,
    answers=(
        Answer(201, "Durable: at least one of them is new, and perhaps waits.", body=Notified),
        Answer(200, "All of them were stored before, with the same data.", body=Notified),
    ),
    problems=(*APPLICATION, *READING_BODY, Invalid, NotificationIdConflict, *STORE),
)
USER_INFO = Operation(
    caller="application",
    parameters=(
        Parameter("here", "Also count those on the node that answers.", Literal["true"]),
        Parameter("counts", "Also tell the counts of each category.", Literal["category"]),
    ),
    answers=(Answer(200, "The user.", body=UserInfo),),
    problems=USER,
)
ERASE = Operation(
    caller="application",
    answers=(Answer(204, "Erased; the user's connections are closed with 4501."),),
    problems=USER,
)
INBOX = Operation(
    caller="application",
    parameters=(
        Parameter("after", "Oldest first, behind this notification_id.", str),
        Parameter("before", "Newest first, before this notification_id; empty: from the newest.", str),
        Parameter(
            "limit",
            "Default and most {limits.page_size} (`limits.page_size`); a page also ends at "
            "{limits.page_bytes} bytes of data (`limits.page_bytes`).",
            Annotated[int, Meta(ge=1, le=10**18 - 1)],
        ),
        Parameter("category", "Only this category.", KeptName),
        Parameter("unread", "Only those without `read_date`.", Literal["true"]),
        Parameter(
            "archived", "Only those with `archived_date`, or only those without.", Literal["true", "false"]
        ),
        Parameter(
            "pending",
            "Only those that wait for their `deliver_date`, in its order; without `unread` and `archived`.",
            Literal["true"],
        ),
    ),
    answers=(Answer(200, "A page; an empty one is the end.", body=Inbox),),
    problems=USER,
)
WITHDRAW = Operation(
    caller="application",
    parameters=(
        Parameter(
            "member",
            "Take only this member out of the group, whose ids all name it; the last one takes it along.",
            KeptName,
        ),
    ),
    answers=(Answer(204, "It is kept no longer, also where it waited; the count follows."),),
    problems=USER,
)
SEEN = Operation(
    caller="application",
    body=EitherSeen,
    answers=(Answer(200, "How many are unseen afterwards.", body=Unseen),),
    problems=(*USER, *READING_BODY),
)
MARKS = Operation(
    caller="application",
    body=EitherMark,
    answers=(Answer(200, "How many changed, and how many are unseen and unread afterwards.", body=Marks),),
    problems=(*USER, *READING_BODY, NotificationNotKept),
)
DISCONNECT = Operation(
    caller="application",
    parameters=(Parameter("device_id", "Only this device; all of the user's without it.", KeptName),),
    answers=(Answer(202, "Revoked: connections close with 4501, and older logins no longer count."),),
    problems=USER,
)
