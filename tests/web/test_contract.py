"""OpenAPI and AsyncAPI: valid by public validators, and neither more nor less than what the code does."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from pns import errors
from pns.errors import PNSError, Problem
from pns.model import messages
from pns.model.counts import CategoryCount, Counts
from pns.model.device import parse_user_id
from pns.model.group import KeptGroup, KeptMember
from pns.model.mark import MarkAs
from pns.model.messages import CloseCode, MessageRefused, parse_request
from pns.model.notification import StoredNotification
from pns.settings import LimitsSettings, Settings
from pns.web.app import Web
from pns.web.contract.asyncapi import asyncapi
from pns.web.contract.openapi import openapi
from pns.web.contract.schemas import USER_ID
from tests.harness.asyncapi import public_schema

Document = dict[str, Any]

# Section 5 of the protocol, and the one answer that nobody wants.
STATUS_OF = {
    "bad_json": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "origin_not_allowed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "notification_id_conflict": 409,
    "publication_id_conflict": 409,
    "category_required": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "unknown_notification": 422,
    "unknown_category": 422,
    "upgrade_required": 426,
    "too_many_connections": 429,
    "rate_limited": 429,
    "internal_error": 500,
    "store_unavailable": 503,
    "auth_unavailable": 503,
    "overloaded": 503,
    "draining": 503,
    "unavailable": 503,
}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Document:
    found: Document = (await client.get("/openapi.json")).json()
    return found


@pytest.fixture
async def conversation(client: httpx.AsyncClient) -> Document:
    found: Document = (await client.get("/asyncapi.json")).json()
    return found


def operations(document: Document) -> dict[tuple[str, str], Document]:
    return {
        (method.upper(), template): operation
        for template, item in document["paths"].items()
        for method, operation in item.items()
    }


def tree(root: type[PNSError]) -> list[type[PNSError]]:
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


def codes(document: Document, operation: Document) -> dict[str, int]:
    """Every problem code that `operation` shows, with its status."""
    found: dict[str, int] = {}
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        answer = document["components"]["responses"][name] if name else answer
        content = answer.get("content", {}).get("application/problem+json")
        if content:
            shown = content["schema"]["allOf"][1]["properties"]
            assert shown["status"]["const"] == int(status)
            found |= dict.fromkeys(shown["code"]["enum"], int(status))
    return found


# ── OpenAPI ───────────────────────────────────────────────────────────────────────────────────────────


def test_openapi_is_valid(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_shown_and_nothing_else(web: Web, document: Document) -> None:
    assert set(operations(document)) == {(route.method, route.template) for route in web.routes.routes}


def test_operations_are_told_apart_and_described(document: Document) -> None:
    shown = list(operations(document).values())
    assert len({operation["operationId"] for operation in shown}) == len(shown)
    for operation in shown:
        assert operation["summary"].endswith("."), operation
        assert operation["responses"]


def test_every_problem_is_shown_with_its_status(document: Document) -> None:
    raised = {
        kind.code: kind.status
        for kind in tree(Problem)
        if issubclass(kind, Problem) and kind.__module__ == errors.__name__
    }
    assert raised == STATUS_OF
    assert set(document["components"]["schemas"]["ProblemBody"]["properties"]["code"]["enum"]) == set(
        STATUS_OF
    )
    somewhere: dict[str, int] = {}
    for operation in operations(document).values():
        somewhere |= codes(document, operation)
    # A method that is shown is allowed: 405 stands among the components alone.
    assert somewhere | {"method_not_allowed": 405} == STATUS_OF
    assert document["components"]["responses"]["MethodNotAllowed"]["headers"].keys() == {"Allow"}


def test_retry_after_stands_where_waiting_helps(document: Document) -> None:
    for answer in document["components"]["responses"].values():
        shown = answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
        waits = shown["status"]["const"] in (429, 503)
        assert ("Retry-After" in answer.get("headers", {})) is waits


def test_every_call_of_the_application_asks_for_its_key(document: Document) -> None:
    asked = {
        key for key, operation in operations(document).items() if {"application": []} in operation["security"]
    }
    theirs = (
        *("/notify", "/users", "/pseudo_users", "/topics", "/buckets", "/broadcast", "/publications"),
        *("/categories", "/metrics"),
    )
    assert asked == {key for key in operations(document) if key[1].startswith(theirs)}
    for key in asked:
        assert codes(document, operations(document)[key])["unauthorized"] == 401


def test_limits_are_those_of_this_node(web: Web) -> None:
    limits = LimitsSettings(max_notification_bytes=999, max_body_bytes=22_222, page_size=77, page_bytes=8888)
    document = openapi(Settings(limits=limits), web.routes.routes, version="1")
    data = document["components"]["schemas"]["Notification"]["properties"]["notification_data"]
    assert data["maxLength"] == 999
    assert "999 bytes" in data["description"]
    assert "22222" in document["paths"]["/notify"]["post"]["requestBody"]["description"]
    (limit,) = [
        parameter
        for parameter in document["paths"]["/users/{user_id}/notifications"]["get"]["parameters"]
        if parameter["name"] == "limit"
    ]
    assert "77" in limit["description"]
    assert "8888" in limit["description"]


async def test_the_document_knows_where_it_is_mounted(web: Web) -> None:
    transport = httpx.ASGITransport(app=web, root_path="/deep/pns")
    async with httpx.AsyncClient(transport=transport, base_url="http://pns.test") as client:
        mounted = (await client.get("/deep/pns/openapi.json")).json()
    assert mounted["servers"] == [{"url": "/deep/pns"}]


def test_public_metrics_are_shown_as_public(web: Web) -> None:
    settings = msgspec.structs.replace(
        Settings(), server=msgspec.structs.replace(Settings().server, public_metrics=True)
    )
    document = openapi(settings, web.routes.routes, version="1")
    assert document["paths"]["/metrics"]["get"]["security"] == []


@given(st.text(max_size=260) | st.text(alphabet=".\x00\x1f\x7f\x80\x9f\xa0é😀", max_size=4))
@example(".")
@example("..")
@example("...")
@example("a\n")
@example("x" * 255)
@example("x" * 256)
def test_the_schema_of_a_user_id_is_the_rule(text: str) -> None:
    try:
        parse_user_id(text)
        allowed = True
    except ValueError:
        allowed = False
    assert Draft202012Validator(USER_ID).is_valid(text) is allowed


# ── AsyncAPI ──────────────────────────────────────────────────────────────────────────────────────────


def test_asyncapi_is_valid(conversation: Document) -> None:
    assert conversation["asyncapi"] == "3.0.0"
    Draft7Validator(public_schema()).validate(conversation)


def test_references_lead_somewhere(conversation: Document) -> None:
    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            here = [value["$ref"]] if "$ref" in value else []
            return here + [found for part in value.values() for found in references(part)]
        return [found for part in value for found in references(part)] if isinstance(value, list) else []

    found = references(conversation)
    assert len(found) > 20
    for reference in found:
        target: Any = conversation
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_message_close_code_and_error_code_is_shown(conversation: Document) -> None:
    assert set(conversation["components"]["messages"]) == {
        *("newNotificationCountChanged", "newNotificationData", "seenNotificationData"),
        *("notificationsMarked", "notificationSnoozed", "notificationCounts", "ticketRenewed", "error"),
        *messages.REQUESTS,
        "unseenNotificationDataRequestText",
    }
    channel = conversation["channels"]["connection"]
    assert set(channel["messages"]) == set(conversation["components"]["messages"])
    assert channel["x-close-codes"] == {str(int(code)): code.cause for code in CloseCode}
    assert channel["x-subprotocol"] == messages.SUBPROTOCOL
    code = conversation["components"]["schemas"]["ErrorDetail"]["properties"]["code"]
    assert code["enum"] == list(messages.ERROR_CODES)
    received = {
        name for name, operation in conversation["operations"].items() if operation["action"] == "receive"
    }
    assert received == {*messages.REQUESTS, "unseenNotificationDataRequestText"}


def test_limits_of_a_message_are_those_of_this_node() -> None:
    limits = LimitsSettings(max_message_bytes=2345, requests_per_second=7)
    description = asyncapi(Settings(limits=limits), version="1")["channels"]["connection"]["description"]
    assert "2345 bytes" in description
    assert "7 a second" in description


def payload(conversation: Document, name: str) -> Draft7Validator:
    components = conversation["components"]
    schema = components["messages"][name]["payload"]
    if "$ref" in schema:  # draft 7 ignores what stands beside a reference
        schema = components["schemas"][schema["$ref"].rpartition("/")[2]]
    return Draft7Validator({**schema, "components": components})


KEPT = StoredNotification(1, "n1", "data", 0, 5, "news", "key", 9)
MARKED = StoredNotification(1, "n1", "data", 0, 5, "news", "key", 9, 6, 7)
GROUPED = msgspec.structs.replace(
    MARKED, grouped=KeptGroup(5, 4, 6, True, (KeptMember("a", None), KeptMember("b", ""))).text
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("newNotificationCountChanged", messages.encode_count(3)),
        ("newNotificationData", messages.new_data([KEPT])),
        ("newNotificationData", messages.new_data([])),
        ("seenNotificationData", messages.seen_data([KEPT])),
        ("seenNotificationData", messages.seen_data([MARKED])),
        ("newNotificationData", messages.new_data([GROUPED])),
        ("seenNotificationData", messages.seen_data([GROUPED])),
        ("notificationsMarked", messages.marked_text(MarkAs.READ, 2)),
        ("notificationCounts", messages.counts_text(Counts())),
        ("notificationCounts", messages.counts_text(Counts(1, 7, 1, 2, {"c": CategoryCount(1, 2)}, True))),
        ("ticketRenewed", messages.encode(messages.TicketRenewed(messages.Renewed(300)))),
        *(("error", messages.error_message(code, "why")) for code in messages.ERROR_CODES),
    ],
)
def test_what_pns_sends_fits_its_schema(conversation: Document, name: str, text: str) -> None:
    payload(conversation, name).validate(json.loads(text))
    with pytest.raises(ValidationError):
        payload(conversation, name).validate({})


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("unseenNotificationDataRequest", {}, True),
        ("unseenNotificationDataRequest", None, True),
        ("unseenNotificationDataRequest", True, True),
        ("unseenNotificationDataRequest", False, False),
        ("unseenNotificationDataRequest", {"limit": 5, "ack": True}, True),
        ("unseenNotificationDataRequest", {"limit": 0}, False),
        ("unseenNotificationDataRequest", {"limit": "5"}, False),
        ("unseenNotificationDataRequest", {"lmit": 5}, False),
        ("seenNotificationsRequest", {}, True),
        ("seenNotificationsRequest", None, False),
        ("seenNotificationsRequest", {"after": "n1", "limit": 1}, True),
        ("seenNotificationsRequest", {"before": "", "receivedAfter": ""}, True),
        ("seenNotificationsRequest", {"received_after": ""}, False),
        ("notificationDataSeen", {"upTo": "n1"}, True),
        ("countsRequest", {}, True),
        ("countsRequest", {"categories": ["a", "b.c"]}, True),
        ("countsRequest", {"categories": []}, True),
        ("countsRequest", {"categories": [f"c{n}" for n in range(64)]}, True),
        ("countsRequest", {"categories": [f"c{n}" for n in range(65)]}, False),
        ("countsRequest", {"categories": ["no name"]}, False),
        ("countsRequest", {"categories": "comments"}, False),
        ("countsRequest", {"category": "comments"}, False),
        ("countsRequest", None, False),
        ("notificationDataSeen", {}, False),
        ("notificationDataSeen", {"upTo": 1}, False),
        ("unseenNotificationDataRequest", {"category": "news"}, True),
        ("unseenNotificationDataRequest", {"category": "no news"}, False),
        ("seenNotificationsRequest", {"category": "news", "unread": True, "archived": True}, True),
        ("seenNotificationsRequest", {"archived": "true"}, False),
        ("markNotifications", {"as": "read", "ids": ["n1"]}, True),
        ("markNotifications", {"as": "unread", "ids": ["n1", "n 2"]}, True),
        ("markNotifications", {"as": "archived", "all": True, "upTo": "n1"}, True),
        ("markNotifications", {"as": "seen", "collapseKey": "order:7"}, True),
        ("markNotifications", {"as": "read", "category": "comments", "upTo": "n1"}, True),
        ("markNotifications", None, False),
        ("markNotifications", {"as": "gone", "ids": ["n1"]}, False),
        ("markNotifications", {"as": "read", "ids": []}, False),
        ("markNotifications", {"as": "read", "ids": ["n"] * 51}, False),
        ("markNotifications", {"as": "read", "ids": None, "all": True}, False),
        ("markNotifications", {"as": "read"}, False),
        ("markNotifications", {"ids": ["n1"]}, False),
        ("markNotifications", {"as": "read", "all": False}, False),
        ("markNotifications", {"as": "read", "all": True, "category": "c"}, False),
        ("markNotifications", {"as": "read", "ids": ["n1"], "upTo": "n1"}, False),
        ("markNotifications", {"as": "unread", "all": True}, False),
        ("markNotifications", {"as": "unarchived", "category": "c"}, False),
        ("markNotifications", {"as": "read", "collapseKey": "a b"}, False),
        ("markNotifications", {"as": "read", "collapse_key": "a"}, False),
        ("renewTicket", "eyJ.abc", True),
        ("renewTicket", {"ticket": "eyJ.abc"}, False),
        ("renewTicket", None, False),
    ],
)
def test_what_a_device_may_send_is_what_pns_understands(
    conversation: Document, name: str, value: object, fits: bool
) -> None:
    message = {name: value}
    assert payload(conversation, name).is_valid(message) is fits
    try:
        parse_request(json.dumps(message))
        understood = True
    except MessageRefused:
        understood = False
    assert understood is fits
