"""POST /messages: one message of the conversation, answered in its own response.

For devices on an event stream, service workers and phones. The endpoint is stateless, and any node may
answer: the store supplies the facts that a connection would remember. /messages lets in the same users as
/subscribe.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from pns.contracts.store import CountsOf
from pns.errors import (
    BadJSON,
    Invalid,
    NotificationNotKept,
    Overloaded,
    RateLimited,
    StoreUnavailable,
    TooLarge,
    UnknownNotification,
)
from pns.live.conversation import page_limit, seen_cursor
from pns.model.counts import Count
from pns.model.mark import Mark, MarkRequest, one_of
from pns.model.messages import (
    COUNTS,
    DATA_SEEN,
    MARK,
    RENEW_TICKET,
    SEEN_REQUEST,
    SNOOZE,
    UNSEEN_REQUEST,
    CountsRequest,
    CountsTold,
    DataSeen,
    ErrorCode,
    MarkResult,
    MessageRefused,
    NewItem,
    RenewTicket,
    SeenItem,
    SeenRequest,
    SnoozeResult,
    UnseenRequest,
    counts_text,
    encode_count,
    marked_text,
    new_data,
    parse_request,
    seen_data,
    snoozed_text,
)
from pns.model.messages import InboxRequest as Message
from pns.model.messages import Request as AnyMessage
from pns.model.notification import Page
from pns.model.pending import Snooze
from pns.node import Node
from pns.web.body import read_body
from pns.web.contract.operation import DEVICE, Answer, Operation
from pns.web.entrance import MESSAGES, Entrance, Turnstile
from pns.web.problems import API_HEADERS
from pns.web.routing import Route
from pns.web.subscribe import COOKIE, PREFLIGHT
from pns.web.user_schemas import READING_BODY

_MEDIA_TYPES = ("application/json", "text/plain")


_ONE_KIND = Meta(extra_json_schema=one_of("ids", "collapseKey", "category", "all", up_to="upTo"))


class DeviceMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a device: exactly one of these members."""

    unseen: UnseenRequest | Annotated[bool, Meta(extra_json_schema={"const": True})] | UnsetType | None = (
        field(default=UNSET, name=UNSEEN_REQUEST)
    )
    seen: SeenRequest | UnsetType = field(default=UNSET, name=SEEN_REQUEST)
    data_seen: DataSeen | UnsetType = field(default=UNSET, name=DATA_SEEN)
    mark: Annotated[MarkRequest, _ONE_KIND] | UnsetType = field(default=UNSET, name=MARK)
    snooze: Snooze | UnsetType = field(default=UNSET, name=SNOOZE)
    counts: CountsRequest | UnsetType = field(default=UNSET, name=COUNTS)


_ONE = Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})
OneMessage = Annotated[DeviceMessage | Literal["unseenNotificationDataRequest"], _ONE]


class MessageAnswer(Struct, frozen=True, omit_defaults=True):
    """The answer that a connection would be sent: the page asked for, the result of a mark or a snooze, all
    counts, or the unseen count after `notificationDataSeen`.
    """

    new: list[NewItem] | UnsetType = field(default=UNSET, name="newNotificationData")
    seen: list[SeenItem] | UnsetType = field(default=UNSET, name="seenNotificationData")
    count: Count | UnsetType = field(default=UNSET, name="newNotificationCountChanged")
    marked: MarkResult | UnsetType = field(default=UNSET, name="notificationsMarked")
    snoozed: SnoozeResult | UnsetType = field(default=UNSET, name="notificationSnoozed")
    counts: CountsTold | UnsetType = field(default=UNSET, name="notificationCounts")


OneAnswer = Annotated[MessageAnswer, _ONE]

_MESSAGE = Operation(
    caller="device",
    body=OneMessage,
    body_limit="max_message_bytes",
    media_types=_MEDIA_TYPES,
    answers=(Answer(200, "The answer.", body=OneAnswer, may_have=COOKIE),),
    problems=(*DEVICE, *READING_BODY, Invalid, NotificationNotKept, RateLimited),
)


class MessageEndpoints:
    """Messages of devices that hold no WebSocket."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._entrance = entrance
        self._turnstile = Turnstile(node, entrance)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", MESSAGES, self.message, _MESSAGE),
            Route("OPTIONS", MESSAGES, self.preflight_message, PREFLIGHT),
        ]

    async def message(self, request: Request, parameters: dict[str, str]) -> Response:
        """A message of a device; the answer is the response. `upTo` may name any notification kept."""
        entered = await self._turnstile.enter(request.scope)
        self._node.hub.visit(entered.device.user_id, entered.device.revocation)
        message = await self._read(request)
        try:
            response = await self._serve(entered.device.user_id, message)
        except UnknownNotification:
            raise NotificationNotKept from None
        response.raw_headers.extend([*API_HEADERS, *entered.headers])
        return response

    async def preflight_message(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may send a message. Nobody is logged in for this."""
        response = Response(status_code=204)
        response.raw_headers.extend([*API_HEADERS, *self._entrance.preflight(request.scope)])
        return response

    async def _read(self, request: Request) -> Message:
        most = self._node.settings.limits.max_message_bytes
        try:
            body = await read_body(request, most, media_types=_MEDIA_TYPES)
            return _of_no_connection(parse_request(body.decode()))
        except TooLarge:
            raise TooLarge(f"a message has at most {most} bytes (`limits.max_message_bytes`)") from None
        except UnicodeDecodeError:
            raise BadJSON("the message is not UTF-8") from None
        except MessageRefused as refusal:
            if refusal.code == ErrorCode.BAD_JSON:
                raise BadJSON(refusal.message) from None
            raise Invalid([("", f"{refusal.code}: {refusal.message}")]) from None

    async def _serve(self, user_id: str, message: Message) -> Response:
        if isinstance(message, DataSeen):
            await self._node.changes.mark_seen_up_to(user_id, message.up_to)
            return _answer(encode_count((await self._node.store.states([user_id]))[user_id].unseen))
        if isinstance(message, Mark):
            marked = await self._node.changes.mark(user_id, message)
            return _answer(marked_text(message.as_, marked.changed))
        if isinstance(message, Snooze):
            return _answer(await self._snooze(user_id, message))
        if isinstance(message, CountsRequest):
            asked = CountsOf(user_id, message.names)
            return _answer(counts_text(await self._node.reading.counts(asked)))
        async with self._node.page_turns:
            if isinstance(message, SeenRequest):
                cursor = seen_cursor(message, self._node.settings.limits)
                return _answer(seen_data((await self._node.store.seen(user_id, cursor)).items))
            page = await self._unseen(user_id, message)
            response = _answer(new_data(page.items))
        if page.items and not message.ack:
            # Runs once the server has taken the answer, as on a connection: never before.
            response.background = BackgroundTask(self._mark, user_id, page)
        return response

    async def _snooze(self, user_id: str, snooze: Snooze) -> str:
        try:
            until = snooze.moment(self._node.clock.now())
        except ValueError as wrong:
            raise Invalid([("", f"{ErrorCode.BAD_REQUEST}: {SNOOZE}: {wrong}")]) from None
        await self._node.changes.snooze(user_id, snooze.id, until)
        return snoozed_text(snooze.id, until)

    async def _unseen(self, user_id: str, message: UnseenRequest) -> Page:
        limits = self._node.settings.limits
        limit = page_limit(message, limits)
        return await self._node.store.unseen(
            user_id, limit=limit, max_bytes=limits.page_bytes, category=message.category
        )

    async def _mark(self, user_id: str, page: Page) -> None:
        try:
            await self._node.changes.mark_sent_seen(user_id, page.user_key, [kept.seq for kept in page.items])
        except (StoreUnavailable, Overloaded):
            # They stay unseen and will be shown again: never lost, perhaps twice.
            return


def _of_no_connection(message: AnyMessage) -> Message:
    """`message`, if the message makes sense without a connection. Raises MessageRefused."""
    if isinstance(message, RenewTicket):
        raise MessageRefused(ErrorCode.BAD_REQUEST, f"{RENEW_TICKET} is said on the connection that stays")
    return message


def _answer(text: str) -> Response:
    return Response(text, media_type="application/json")
