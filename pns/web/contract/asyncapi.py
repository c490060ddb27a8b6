"""A connection's messages as an AsyncAPI 3.0 document, from pns.model.messages. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from pns.model.mark import one_of
from pns.model.messages import (
    COUNTS,
    DATA_SEEN,
    ERROR_CODES,
    FROM_PNS,
    MARK,
    RENEW_TICKET,
    REQUESTS,
    SEEN_REQUEST,
    SNOOZE,
    SUBPROTOCOL,
    TICKET_SUBPROTOCOL,
    UNSEEN_REQUEST,
    CloseCode,
    CountChanged,
    ErrorMessage,
    NewNotificationData,
    NotificationCounts,
    NotificationsMarked,
    NotificationSnoozed,
    SeenNotificationData,
    TicketRenewed,
)
from pns.settings import Settings
from pns.web.contract.schemas import Schema, schemas

_BARE_TEXT = f"{UNSEEN_REQUEST}Text"
_ANSWERS: dict[str, type[Struct] | None] = {
    UNSEEN_REQUEST: NewNotificationData,
    SEEN_REQUEST: SeenNotificationData,
    DATA_SEEN: None,
    MARK: NotificationsMarked,
    SNOOZE: NotificationSnoozed,
    COUNTS: NotificationCounts,
    RENEW_TICKET: TicketRenewed,
    _BARE_TEXT: NewNotificationData,
}
_CHANNEL = {"$ref": "#/channels/connection"}


def asyncapi(settings: Settings, *, version: str) -> Schema:
    """The document. `send` lists PNS's messages, `receive` a device's."""
    messages = {**_from_pns(), **_requests()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "PNS",
            "version": version,
            "description": (
                "One WebSocket of a device. A connection's requests are served one at a time, in order. "
                "Version 1 only ever adds: ignore messages and members that you do not know. How to be "
                "let in stands in openapi.json, as do the two that serve behind a proxy that refuses "
                "WebSockets: GET /subscribe as an event stream, whose data are the messages sent here, and "
                "POST /messages, which takes one message received here."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {"connection": _channel(settings, messages)},
        "operations": {**_sends(), **_receives()},
        "components": {"messages": messages, "schemas": _schemas(settings)},
    }


def message_name(message: type[Struct]) -> str:
    """The word on the wire: the name of the message's only member."""
    (member,) = msgspec.structs.fields(message)
    return member.encode_name


def _channel(settings: Settings, messages: Schema) -> Schema:
    limits = settings.limits
    return {
        "address": "/subscribe",
        "description": (
            f"Text messages of JSON, at most {limits.max_message_bytes} bytes each "
            f"(`limits.max_message_bytes`) and {limits.requests_per_second:g} a second "
            "(`limits.requests_per_second`) from the device. A client that was given a ticket by "
            f"POST /subscribe offers `{TICKET_SUBPROTOCOL}<ticket>` beside the subprotocol `{SUBPROTOCOL}`."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        "x-subprotocol": SUBPROTOCOL,
        "x-close-codes": {str(int(code)): code.cause for code in CloseCode},
    }


def _from_pns() -> Schema:
    return {
        message_name(message): {
            "summary": _summary(message),
            "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        }
        for message in FROM_PNS
    }


def _requests() -> Schema:
    described = {
        name: {"summary": _summary(request), "payload": _payload(name, request)}
        for name, request in REQUESTS.items()
    }
    described[_BARE_TEXT] = {
        "summary": f"The bare text, which is no JSON: as `{UNSEEN_REQUEST}` without members.",
        "contentType": "text/plain",
        "payload": {"type": "string", "const": UNSEEN_REQUEST},
    }
    return described


def _payload(name: str, request: type[Struct]) -> Schema:
    body: Schema = {"$ref": f"#/components/schemas/{request.__name__}"}
    if name == RENEW_TICKET:
        return body
    if name == MARK:
        body = {"allOf": [body, one_of("ids", "collapseKey", "category", "all", up_to="upTo")]}
    if name == UNSEEN_REQUEST:
        body = {"anyOf": [body, {"type": "null"}, {"const": True}]}
    message: Schema = {
        "type": "object",
        "properties": {name: body},
        "required": [name],
        "additionalProperties": False,
    }
    return {"anyOf": [message, {"const": name}]} if name == UNSEEN_REQUEST else message


def _sends() -> Schema:
    """The messages that PNS sends by itself: counts of more than the unseen to a device that asked once."""
    told: dict[str, type[Struct]] = {"tellCount": CountChanged, "tellCounts": NotificationCounts}
    return {
        name: {"action": "send", "channel": _CHANNEL, "messages": [_on_channel(message)]}
        for name, message in told.items()
    }


def _receives() -> Schema:
    operations: Schema = {}
    for name, answer in _ANSWERS.items():
        replies: list[type[Struct]] = [answer, ErrorMessage] if answer else [ErrorMessage]
        operations[name] = {
            "action": "receive",
            "channel": _CHANNEL,
            "messages": [{"$ref": f"#/channels/connection/messages/{name}"}],
            "reply": {"channel": _CHANNEL, "messages": [_on_channel(reply) for reply in replies]},
        }
    return operations


def _on_channel(message: type[Struct]) -> Schema:
    return {"$ref": f"#/channels/connection/messages/{message_name(message)}"}


def _schemas(settings: Settings) -> Schema:
    types: list[Any] = [*FROM_PNS, *REQUESTS.values()]
    found = schemas(types, settings)
    found["ErrorDetail"]["properties"]["code"]["enum"] = list(ERROR_CODES)
    return found


def _summary(message: type[Struct]) -> str:
    return (message.__doc__ or "").strip()
