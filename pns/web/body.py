"""Requests of the application: reads a body with a limit, and turns the body into typed values.

Every error names the field and the allowed values. After any error nothing was stored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request

from pns.contracts.later import WaitingCursor
from pns.contracts.store import Cursor, Submission
from pns.errors import BadJSON, Invalid, TooLarge, UnsupportedMediaType
from pns.inbox import given
from pns.model.device import MAX_USER_ID, USER_ID_PATTERN
from pns.model.mark import Mark, MarkBody, one_of
from pns.model.name import KeptName
from pns.model.notification import MAX_NOTIFICATIONS, Notification
from pns.model.remedies import invalid
from pns.runtime.clock import Clock
from pns.settings import LimitsSettings
from pns.web.data_text import with_texts

T = TypeVar("T")

UserId = Annotated[
    str | int,
    Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_USER_ID, "pattern": USER_ID_PATTERN}),
]
"""A user id as sent. `parse_user_id` checks the id, with a better message than a schema's."""

NotificationIds = Annotated[list[KeptName], Meta(max_length=MAX_NOTIFICATIONS)]

_HALF_PAIR = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Every escape of JSON; `half` is a surrogate that stands alone (RFC 8259 §8.2)."""

_NOT_JSON = (msgspec.DecodeError, RecursionError, UnicodeError)

_CHARSET = re.compile(r'(?:^|;)\s*charset\s*=\s*"?([^";\s]*)')


class NotifyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Notifications for one user, stored in this order; a request holds at most 1,000 in all."""

    user_id: UserId
    notifications: Annotated[list[Notification], Meta(min_length=1)]


NotifyBodies = NotifyBody | Annotated[list[NotifyBody], Meta(min_length=1)]


class SeenBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which notifications are seen: these, or all that are unseen now."""

    notification_ids: NotificationIds | None = None
    all: bool = False


EitherSeen = Annotated[
    SeenBody,
    Meta(
        extra_json_schema={
            "oneOf": [
                {
                    "required": ["notification_ids"],
                    "properties": {"notification_ids": {"type": "array"}, "all": {"const": False}},
                },
                {
                    "required": ["all"],
                    "properties": {"all": {"const": True}, "notification_ids": {"type": "null"}},
                },
            ]
        }
    ),
]
"""The bodies that `decode_seen` takes, in JSON Schema."""

EitherMark = Annotated[
    MarkBody,
    Meta(extra_json_schema=one_of("notification_ids", "collapse_key", "category", "all", up_to="up_to")),
]
"""The bodies that `decode_mark` takes, in JSON Schema."""

# Made once: looking the type up costs ten times as much as decoding a small body.
_NOTIFY: msgspec.json.Decoder[NotifyBody | list[NotifyBody]] = msgspec.json.Decoder(NotifyBodies)
_SEEN = msgspec.json.Decoder(SeenBody)
_MARK = msgspec.json.Decoder(MarkBody)


async def read_body(
    request: Request, max_bytes: int, *, media_types: Collection[str] = ("application/json",)
) -> bytes:
    """The whole body of a request without a query. Raises the errors of `read_bytes`, and Invalid."""
    query(request, ())
    return await read_bytes(request, max_bytes, media_types=media_types)


async def read_bytes(request: Request, max_bytes: int, *, media_types: Collection[str]) -> bytes:
    """The whole body. Raises TooLarge without reading on, and UnsupportedMediaType."""
    _check_media_type(request, media_types)
    return await _collect(request, max_bytes)


async def read_optional(request: Request, max_bytes: int, *, media_types: Collection[str]) -> bytes:
    """As `read_bytes`; a request without a body may name any media type."""
    body = await _collect(request, max_bytes)
    if body:
        _check_media_type(request, media_types)
    return body


async def _collect(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise TooLarge
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise TooLarge
    except ClientDisconnect:
        raise BadJSON("the body ended before it was complete") from None
    return bytes(body)


def _check_media_type(request: Request, media_types: Collection[str]) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = _CHARSET.search(parameters) if parameters else None
    coding = request.headers.get("content-encoding", "identity")
    if media_type.strip() not in media_types or coding != "identity":
        raise UnsupportedMediaType
    if charset is not None and charset[1] not in ("utf-8", "us-ascii"):
        raise UnsupportedMediaType("JSON is sent as UTF-8 (RFC 8259 §8.1); leave out the other charset")


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """`body`, decoded by `decoder`. Raises BadJSON, or Invalid naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error, decoder.type) from None
    except _NOT_JSON as error:
        raise _bad_json(error, body) from None


def decode_notifications(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """As `decode`; a `notification_data` may also be an object or an array, and is the text of it as sent."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:  # only then, so that strings cost nothing more
        return decode(_with_texts(body), decoder)
    except _NOT_JSON as error:
        raise _bad_json(error, body) from None


def decode_notify(body: bytes, limits: LimitsSettings, clock: Clock) -> list[Submission]:
    """The submissions of a `POST /notify`. Raises BadJSON or Invalid."""
    decoded = decode_notifications(body, _NOTIFY)
    if isinstance(decoded, NotifyBody):
        bodies, prefix = [decoded], ""
    else:
        bodies, prefix = decoded, "/{index}"
    submissions = [
        given.submission(
            part.user_id, part.notifications, at=prefix.format(index=index), limits=limits, clock=clock
        )
        for index, part in enumerate(bodies)
    ]
    total = sum(len(part.notifications) for part in submissions)
    if total > MAX_NOTIFICATIONS:
        raise Invalid([("", f"must hold at most {MAX_NOTIFICATIONS} notifications in all, this has {total}")])
    return submissions


def decode_seen(body: bytes) -> SeenBody:
    """The body of `POST /users/{user_id}/seen`. Raises BadJSON or Invalid."""
    seen = decode(body, _SEEN)
    if (seen.notification_ids is None) == (not seen.all):
        raise Invalid([("", 'must be either {"notification_ids": […]} or {"all": true}')])
    return seen


def decode_mark(body: bytes) -> Mark:
    """The body of `POST /users/{user_id}/marks`. Raises BadJSON or Invalid."""
    return given.mark(decode(body, _MARK))


def query_inbox(request: Request, limits: LimitsSettings) -> Cursor | WaitingCursor:
    """`?after=&before=&limit=&category=&unread=&archived=&pending=` as a cursor. Raises Invalid."""
    names = {"after", "before", "limit", "category", "unread", "archived", "pending"}
    values = query(request, names)
    if "pending" not in values:
        return _cursor(values, limits)
    if values["pending"] != "true":
        raise Invalid([("pending", "must be true, or left out")])
    for name in ("unread", "archived"):
        if name in values:
            raise Invalid([(name, "must be left out beside `pending`: what waits has no marks")])
    cursor = _cursor(values, limits)
    return WaitingCursor(
        after=cursor.after,
        before=cursor.before,
        category=cursor.category,
        limit=cursor.limit,
        max_bytes=cursor.max_bytes,
    )


def _cursor(values: Mapping[str, str], limits: LimitsSettings) -> Cursor:
    limit = query_limit(values, limits)
    if values.get("after") and "before" in values:
        raise Invalid([("before", "give `after` or `before`, not both")])
    for at in ("after", "before"):
        if values.get(at):
            given.name(at, values[at])
    if "category" in values:
        given.name("category", values["category"])
    if values.get("unread", "true") != "true":
        raise Invalid([("unread", "must be true, or left out")])
    if values.get("archived", "true") not in ("true", "false"):
        raise Invalid([("archived", "must be true or false, or left out")])
    return Cursor(
        after=values.get("after", ""),
        before=values.get("before"),
        category=values.get("category"),
        unread="unread" in values,
        archived=values["archived"] == "true" if "archived" in values else None,
        limit=limit,
        max_bytes=limits.page_bytes,
    )


def query_limit(values: Mapping[str, str], limits: LimitsSettings) -> int:
    """The most that a page may hold, `limits.page_size` at most. Raises Invalid."""
    limit = values.get("limit", str(limits.page_size))
    if not re.fullmatch(r"[0-9]{1,18}", limit) or int(limit) < 1:
        raise Invalid([("limit", "must be a whole number of at least 1")])
    return min(int(limit), limits.page_size)


def query(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query parameters. Raises Invalid for a parameter that is unknown or given twice."""
    values: dict[str, str] = {}
    if not request.scope.get("query_string"):
        return values
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise Invalid(
                [(name, f"there is no such parameter; there are {', '.join(sorted(known)) or 'none'}")]
            )
        if name in values:
            raise Invalid([(name, "must be given once")])
        values[name] = value
    return values


def _with_texts(body: bytes) -> bytes:
    try:
        return with_texts(body)
    except _NOT_JSON as error:
        raise _bad_json(error, body) from None


def _bad_json(error: Exception, body: bytes) -> BadJSON:
    return BadJSON(f"The body is not JSON that PNS can read: {_plain(error, body)}")


def _plain(error: Exception, body: bytes) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "a text is not UTF-8"
    # What a text cut in the middle of an emoji leaves; the decoder would call the body truncated.
    for escape in _HALF_PAIR.finditer(body):
        if escape["half"]:
            return (
                f"half a surrogate pair, {escape[0].decode()}, stands alone (byte {escape.start()}); "
                "cut texts between characters, not inside one"
            )
    return str(error)
