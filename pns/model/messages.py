"""Every message of a connection, both ways, and the close codes: values and their JSON only.

The words on the wire are PNS's own since its first design; docs/protocol.md lists the words.
live/conversation.py decides the answer to each message.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from pns.model.counts import MOST_CATEGORIES, CategoryCount, Count, Counts
from pns.model.group import Group
from pns.model.mark import Mark, MarkAs, MarkRequest, mark_of
from pns.model.name import KeptName
from pns.model.notification import StoredNotification
from pns.model.pending import PendingNotification, Snooze
from pns.model.remedies import invalid
from pns.model.timestamp import Timestamp, format_timestamp, parse_timestamp

SUBPROTOCOL = "pns.v1"
TICKET_SUBPROTOCOL = "pns.ticket."
"""The beginning of the subprotocol by which a client shows a ticket. PNS never selects this subprotocol."""


class CloseCode(IntEnum):
    """Why PNS closes a connection. 4500–4999: ask POST /subscribe before connecting again."""

    NORMAL = 1000, "the client closed"
    UNSUPPORTED_DATA = 1003, "binary messages are not understood"
    INVALID_TEXT = 1007, "a text message was not UTF-8"
    MESSAGE_TOO_BIG = 1009, "a message over limits.max_message_bytes"
    INTERNAL_ERROR = 1011, "PNS failed; its log says why"
    RESTART = 1012, "the node restarts; closes are spread over server.drain_seconds"
    TRY_AGAIN_LATER = 1013, "the node sheds open connections"
    SLOW_READER = 4408, "the peer stopped reading for server.send_timeout_seconds"
    TOO_MANY_REQUESTS = 4429, "too many requests"
    LOGGED_OUT = 4501, "logged out, revoked or erased"
    NOT_RENEWED = 4502, "opened by a ticket, and not renewed within auth.recheck_seconds"
    TOO_MANY_CONNECTIONS = 4509, "more than limits.connections_per_user connections"

    cause: str

    def __new__(cls, code: int, cause: str) -> CloseCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.cause = cause
        return member


class ErrorCode:
    """The `code` of an error message."""

    BAD_JSON = "bad_json"
    UNKNOWN_MESSAGE = "unknown_message"
    BAD_REQUEST = "bad_request"
    UNKNOWN_NOTIFICATION = "unknown_notification"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


ERROR_CODES = tuple(value for name, value in vars(ErrorCode).items() if name.isupper())

# ── from PNS ──────────────────────────────────────────────────────────────────────────────────────────


class NewItem(Struct, frozen=True, omit_defaults=True):
    """An unseen notification. `category`, `collapse_key`, `expire_date` and `group` stand there when set."""

    notification_id: str
    notification_data: str
    create_date: Timestamp
    category: str | UnsetType = UNSET
    collapse_key: str | UnsetType = UNSET
    expire_date: Timestamp | UnsetType = UNSET
    group: Group | UnsetType = UNSET


class SeenItem(NewItem, frozen=True, omit_defaults=True, kw_only=True):
    """A seen notification. `read_date` and `archived_date` are left out unless set."""

    seen_date: Timestamp
    read_date: Timestamp | UnsetType = UNSET
    archived_date: Timestamp | UnsetType = UNSET


class InboxItem(NewItem, frozen=True, omit_defaults=True, kw_only=True):
    """A notification as the application reads its user's inbox. `seen_date` is null while unseen. `read_date`
    and `archived_date` are left out unless set. `deliver_date` stands there while the notification waits.
    """

    seen_date: Timestamp | None
    read_date: Timestamp | UnsetType = UNSET
    archived_date: Timestamp | UnsetType = UNSET
    deliver_date: Timestamp | UnsetType = UNSET


class CountChanged(Struct, frozen=True):
    """The user's unseen count: first on every connection, after each change, and as a heartbeat."""

    count: Annotated[int, Meta(ge=0)] = field(name="newNotificationCountChanged")


class NewNotificationData(Struct, frozen=True):
    """The answer to `unseenNotificationDataRequest`, oldest first."""

    items: list[NewItem] = field(name="newNotificationData")


class SeenNotificationData(Struct, frozen=True):
    """The answer to `seenNotificationsRequest`; empty at the end."""

    items: list[SeenItem] = field(name="seenNotificationData")


class MarkResult(Struct, frozen=True):
    """How many notifications a mark really changed."""

    as_: MarkAs = field(name="as")
    changed: Annotated[int, Meta(ge=0)]


class NotificationsMarked(Struct, frozen=True):
    """The answer to `markNotifications`. A new count follows by itself."""

    marked: MarkResult = field(name="notificationsMarked")


class SnoozeResult(Struct, frozen=True):
    """A notification that waits, and when it comes back."""

    id: str
    until: Timestamp


class NotificationSnoozed(Struct, frozen=True):
    """The answer to `snoozeNotification`. A new count follows by itself."""

    snoozed: SnoozeResult = field(name="notificationSnoozed")


class CountsTold(Struct, frozen=True, omit_defaults=True):
    """The user's numbers at one moment. `categories`: those with something unread, at most 64, the first by
    name, or exactly those that were asked for. `more`: others have something unread, too. `version` rises
    with every change of the user's notifications.
    """

    unseen: Count
    unread: Count
    categories: dict[KeptName, CategoryCount]
    version: Count
    more: bool = False


class NotificationCounts(Struct, frozen=True):
    """The answer to `countsRequest`, and from then on after every change of the user's notifications."""

    counts: CountsTold = field(name="notificationCounts")


class Renewed(Struct, frozen=True):
    """How many seconds the connection may stay without another renewal."""

    seconds: float


class TicketRenewed(Struct, frozen=True):
    """The answer to `renewTicket`."""

    renewed: Renewed = field(name="ticketRenewed")


class ErrorDetail(Struct, frozen=True):
    """The fault of a request: a stable `code`, and a sentence for people."""

    code: str
    message: str


class ErrorMessage(Struct, frozen=True):
    """A request could not be understood or served; the connection stays open."""

    error: ErrorDetail


FROM_PNS = (
    CountChanged,
    NewNotificationData,
    SeenNotificationData,
    NotificationsMarked,
    NotificationSnoozed,
    NotificationCounts,
    TicketRenewed,
    ErrorMessage,
)

_encode = msgspec.json.Encoder().encode


def encode(message: Struct) -> str:
    """`message` as the text of a WebSocket message."""
    return _encode(message).decode()


def encode_count(count: int) -> str:
    """The same text as `encode(CountChanged(count))`, without building the message: fan-out makes a text for
    every changed user.
    """
    return f'{{"newNotificationCountChanged":{count}}}'


def error_message(code: str, message: str) -> str:
    return encode(ErrorMessage(ErrorDetail(code, message)))


def _fields(kept: StoredNotification | PendingNotification) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "notification_id": kept.notification_id,
        "notification_data": kept.notification_data,
        "create_date": format_timestamp(kept.create_date),
    }
    if kept.category is not None:
        fields["category"] = kept.category
    if kept.collapse_key is not None:
        fields["collapse_key"] = kept.collapse_key
    if kept.expire_date is not None:
        fields["expire_date"] = format_timestamp(kept.expire_date)
    if (group := kept.group) is not None:
        fields["group"] = group
    return fields


def _seen_fields(kept: StoredNotification) -> dict[str, Any]:
    fields = _fields(kept)
    if kept.read_date is not None:
        fields["read_date"] = format_timestamp(kept.read_date)
    if kept.archived_date is not None:
        fields["archived_date"] = format_timestamp(kept.archived_date)
    return fields


def _seen_date(kept: StoredNotification) -> str | None:
    return None if kept.seen_date is None else format_timestamp(kept.seen_date)


def new_data(items: Iterable[StoredNotification]) -> str:
    """The text of `newNotificationData`."""
    return encode(NewNotificationData([NewItem(**_fields(kept)) for kept in items]))


def seen_data(items: Iterable[StoredNotification]) -> str:
    """The text of `seenNotificationData`; every item must have been seen."""
    return encode(
        SeenNotificationData(
            [SeenItem(**_seen_fields(kept), seen_date=_seen_date(kept) or "") for kept in items]
        )
    )


def new_item(kept: StoredNotification) -> NewItem:
    return NewItem(**_fields(kept))


def inbox_item(kept: StoredNotification) -> InboxItem:
    return InboxItem(**_seen_fields(kept), seen_date=_seen_date(kept))


def pending_item(kept: PendingNotification) -> InboxItem:
    """A notification that waits."""
    return InboxItem(**_fields(kept), seen_date=None, deliver_date=format_timestamp(kept.deliver_date))


def marked_text(as_: MarkAs, changed: int) -> str:
    """The text of `notificationsMarked`."""
    return encode(NotificationsMarked(MarkResult(as_, changed)))


def snoozed_text(id: str, until: int) -> str:
    """The text of `notificationSnoozed`."""
    return encode(NotificationSnoozed(SnoozeResult(id, format_timestamp(until))))


def counts_text(counts: Counts) -> str:
    """The text of `notificationCounts`."""
    told = CountsTold(counts.unseen, counts.unread, dict(counts.categories), counts.version, counts.more)
    return encode(NotificationCounts(told))


# ── from the device ───────────────────────────────────────────────────────────────────────────────────

Limit = Annotated[int, Meta(ge=1)]


class UnseenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Send me the unseen notifications, of `category` or all. With `ack`, nothing is seen until
    `notificationDataSeen` says so.
    """

    limit: Limit | None = None
    ack: bool = False
    category: KeptName | None = None


class SeenRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Send me seen notifications: oldest first after `after`, or newest first before `before`. Archived ones
    are left out, or with `archived` listed alone. `unread`: only those that are not read.
    """

    received_after: str = ""
    after: str = ""
    before: str | None = None
    limit: Limit | None = None
    category: KeptName | None = None
    unread: bool = False
    archived: bool = False


class DataSeen(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """I have shown all that you sent me, up to this notification."""

    up_to: str


class CountsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Tell me the counts, now and after every change: of these `categories`, zeros included, or of those with
    something unread.
    """

    categories: Annotated[list[KeptName], Meta(max_length=MOST_CATEGORIES)] | UnsetType = UNSET

    @property
    def names(self) -> tuple[str, ...] | None:
        """The categories asked for, each once; None: those with something unread."""
        return None if isinstance(self.categories, UnsetType) else tuple(dict.fromkeys(self.categories))


class RenewTicket(Struct, frozen=True, forbid_unknown_fields=True):
    """Let this connection, which a ticket opened, stay: here is a new ticket of the same user and device."""

    ticket: str = field(name="renewTicket")


UNSEEN_REQUEST = "unseenNotificationDataRequest"
SEEN_REQUEST = "seenNotificationsRequest"
DATA_SEEN = "notificationDataSeen"
MARK = "markNotifications"
SNOOZE = "snoozeNotification"
COUNTS = "countsRequest"
RENEW_TICKET = "renewTicket"

REQUESTS: dict[
    str,
    type[UnseenRequest]
    | type[SeenRequest]
    | type[DataSeen]
    | type[MarkRequest]
    | type[Snooze]
    | type[CountsRequest]
    | type[RenewTicket],
] = {
    UNSEEN_REQUEST: UnseenRequest,
    SEEN_REQUEST: SeenRequest,
    DATA_SEEN: DataSeen,
    MARK: MarkRequest,
    SNOOZE: Snooze,
    COUNTS: CountsRequest,
    RENEW_TICKET: RenewTicket,
}
"""Name → the type of its value; a RenewTicket is the whole message, for its value is a plain text."""

InboxRequest = UnseenRequest | SeenRequest | DataSeen | Mark | Snooze | CountsRequest
"""The requests that a device may also send without a connection."""
Request = InboxRequest | RenewTicket


class MessageRefused(Exception):
    """A message of the device could not be understood; `code` is one of ERROR_CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse_request(text: str) -> Request:
    """The request in a text message of a device. Raises MessageRefused, and no other exception."""
    if text == UNSEEN_REQUEST:
        return UnseenRequest()
    value = _decode(text)
    if value == UNSEEN_REQUEST:
        return UnseenRequest()
    if not isinstance(value, dict) or len(value) != 1:
        raise MessageRefused(
            ErrorCode.UNKNOWN_MESSAGE, f"a message is an object with one member, one of {', '.join(REQUESTS)}"
        )
    (name, body), *_ = value.items()
    if name not in REQUESTS:
        raise MessageRefused(
            ErrorCode.UNKNOWN_MESSAGE, f"there is no such message; there are {', '.join(REQUESTS)}"
        )
    if name == UNSEEN_REQUEST and (body is None or body is True):
        return UnseenRequest()
    kind = REQUESTS[name]
    try:
        request = msgspec.convert(value if name == RENEW_TICKET else body, kind)
    except msgspec.ValidationError as error:
        told = _told(*invalid(error, kind).errors[0]) if name in (MARK, SNOOZE, COUNTS) else error
        raise MessageRefused(ErrorCode.BAD_REQUEST, f"{name}: {told}") from None
    return _mark(request) if isinstance(request, MarkRequest) else _checked(request)


def _mark(request: MarkRequest) -> Mark:
    """The mark that `request` asks for. Raises MessageRefused."""
    mark = mark_of(request)
    if not isinstance(mark, Mark):
        raise MessageRefused(ErrorCode.BAD_REQUEST, f"{MARK}: {_told(*mark)}")
    return mark


def _told(at: str, remedy: str) -> str:
    """A fault in a message: the member at fault, if there is one, and the remedy."""
    return f"{at.strip('/')} {remedy}".lstrip()


def _decode(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise MessageRefused(ErrorCode.BAD_JSON, "the message is not JSON") from None


def _checked(request: Request) -> Request:
    """`request`, after the checks of a SeenRequest that its types cannot make."""
    if isinstance(request, SeenRequest):
        if request.after and request.before is not None:
            raise MessageRefused(ErrorCode.BAD_REQUEST, f"{SEEN_REQUEST}: give `after` or `before`, not both")
        try:
            received_after(request)
        except ValueError as error:
            raise MessageRefused(ErrorCode.BAD_REQUEST, f"{SEEN_REQUEST}: receivedAfter {error}") from None
    return request


def received_after(request: SeenRequest) -> int | None:
    """The time filter of `request` in microseconds since the epoch; None for no filter."""
    return parse_timestamp(request.received_after) if request.received_after else None
