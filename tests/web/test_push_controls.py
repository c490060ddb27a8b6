"""The `push` member of a notification: what is refused by name, and what a gateway is handed of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pns.model.push import Push, PushControls
from pns.model.remedies import invalid
from pns.testing import FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, in_time


@pytest.fixture
async def edge(edge: Edge) -> Edge:
    """Alice has a phone."""
    await edge.application.post("/users/alice/devices", json={"network": "fcm", "token": "a-token"})
    return edge


def body(push: Any) -> dict[str, Any]:
    notification = {"notification_data": "x", "notification_id": "n-1", "push": push}
    return {"user_id": "alice", "notifications": [notification]}


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[Any, str]] = {
    "a list": ([], ""),
    "an unknown network": ({"pigeon": {}}, "/pigeon"),
    "an unknown member of a network": ({"fcm": {"prioritty": "high"}}, "/fcm/prioritty"),
    "another network's member": ({"webpush": {"collapse_key": "k"}}, "/webpush/collapse_key"),
    "an unknown member of what Android shows": (
        {"fcm": {"notification": {"tittle": "x"}}},
        "/fcm/notification/tittle",
    ),
    "nested data": ({"data": {"a": {"b": 1}}}, "/data"),
    "a list in data": ({"apns": {"data": {"a": [1]}}}, "/apns/data"),
    "null in data": ({"mqtt": {"data": {"a": None}}}, "/mqtt/data"),
    "a number in FCM's data": ({"fcm": {"data": {"a": 1}}}, "/fcm/data"),
    "a number that is none": ({"data": {"a": 1e999}}, "/data"),
    "a topic that is none": ({"webpush": {"topic": "a b"}}, "/webpush/topic"),
    "a negative badge": ({"apns": {"badge": -1}}, "/apns/badge"),
    "a long time": ({"mqtt": {"ttl_seconds": 2_419_201}}, "/mqtt/ttl_seconds"),
    "an urgency that there is not": ({"webpush": {"urgency": "asap"}}, "/webpush/urgency"),
    "more than any network takes": ({"data": {"a": "x" * 16_384}}, ""),
    "a colour by its name": ({"fcm": {"notification": {"color": "red"}}}, "/fcm/notification/color"),
    "a colour and a line": ({"fcm": {"notification": {"color": "#ff8800\n"}}}, "/fcm/notification/color"),
    "FCM's own name": ({"fcm": {"data": {"message_type": "x"}}}, "/fcm/data"),
    "FCM's own prefix": ({"fcm": {"data": {"google.x": "x"}}}, "/fcm/data"),
    "FCM's own name among the shared": ({"data": {"from": "x"}, "fcm": {}}, "/data"),
}


@pytest.mark.parametrize(("push", "at"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named(edge: Edge, push: Any, at: str) -> None:
    content = json.dumps(body(push)).replace("Infinity", "1e999")
    answer = await edge.application.post(
        "/notify", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert [error["at"] for error in answer.json()["errors"]] == [f"/notifications/0/push{at}"]
    assert (await edge.application.get("/users/alice")).json()["unseen"] == 0


@pytest.mark.parametrize(
    "push",
    [
        None,
        {},
        {"data": {"from": "x"}},
        {"data": {"from": "x"}, "fcm": {"enabled": False}},
        {"data": {"from": "x"}, "fcm": {"data": {"a": "x"}}},
        {"apns": {"data": {"from": "x"}}},
        {"fcm": {"data": {"From": "x", "gcm_": "x"}, "notification": False}},
        {"fcm": {"notification": {"color": "#fF8800"}}},
    ],
)
async def test_what_is_fine_is_taken(edge: Edge, push: Any) -> None:
    assert (await edge.application.post("/notify", json=body(push))).status_code == 201


def test_a_wrong_pattern_is_told_as_it_is() -> None:
    """The rule of names is that of names alone."""
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"webpush": {"topic": "a b"}}, PushControls)
    ((at, message),) = invalid(error.value, PushControls).errors
    assert at == "/webpush/topic"
    assert "{1,32}" in message
    assert "?!" not in message


# ── what a gateway is handed ──────────────────────────────────────────────────────────────────────────


async def pushed(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> Push:
    """The one push that the gateway was handed."""
    await in_time(clock, lambda: fcm.asked)
    (push,) = fcm.asked
    return push


async def test_controls_arrive_as_they_were_sent(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    controls = {
        "data": {"order": 7, "paid": True, "sum": 9.5, "name": "ä"},
        "sender": "the shop",
        "fcm": {"data": {"order": "7"}, "priority": "normal", "notification": {"title": "T", "icon": "i"}},
        "apns": {"alert": {"title": "T"}, "badge": 3, "interruption_level": "passive"},
        "webpush": {"urgency": "low", "topic": "orders", "ttl_seconds": 60},
        "mqtt": {"enabled": False},
    }
    await edge.application.post("/notify", json=body(controls))
    push = await pushed(edge, fcm, clock)
    assert msgspec.to_builtins(push.controls) == controls
    fields = push.control_fields()
    assert fields == {"origin": "EXPLICIT", "sender": "the shop", "when": push.create_date // 1000}


async def test_without_controls(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    await edge.application.post("/notify", json=body(None))
    push = await pushed(edge, fcm, clock)
    assert push.controls == PushControls()
    assert push.control_fields() == {"origin": "EXPLICIT", "when": push.create_date // 1000}


async def test_what_a_topics_push_is_about(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    await edge.application.put("/topics/group:42:news")
    await edge.application.put("/topics/group:42:news/subscribers/alice")
    notifications = [{"notification_data": "x", "push": {"data": {"a": 1}}}]
    await edge.application.post(
        "/topics/group:42:news/notify", json={"notifications": notifications, "sender": "the editors"}
    )
    push = await pushed(edge, fcm, clock)
    fields = push.control_fields()
    assert fields.pop("when") == push.create_date // 1000
    assert fields == {"origin": "EXPLICIT", "topic": "group:42:news", "sender": "the editors"}
    assert push.controls.data == {"a": 1}


async def test_what_a_buckets_push_is_about(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    await edge.application.put("/buckets/orders/subscribers/alice")
    changed = {"type": "DATA_OBJECT_BODY_UPDATED", "object_id": "order 7", "sender": "the shop"}
    await edge.application.post("/buckets/orders/changed", json=changed)
    push = await pushed(edge, fcm, clock)
    fields = push.control_fields()
    assert fields.pop("when") == push.create_date // 1000
    assert fields == {
        "origin": "EVENT",
        "sender": "the shop",
        "bucketID": "orders",
        "objectID": "order 7",
        "type": "DATA_OBJECT_BODY_UPDATED",
    }
    assert push.collapse_key == "orders"


async def test_what_a_broadcasts_push_is_about(edge: Edge, fcm: ScriptedGateway, clock: FakeClock) -> None:
    answer = await edge.application.post("/broadcast", json={"notifications": [{"notification_data": "x"}]})
    push = await pushed(edge, fcm, clock)
    assert push.notification_id == answer.json()["notification_ids"][0]
    assert push.control_fields() == {"origin": "EXPLICIT", "when": push.create_date // 1000}


async def test_a_sender_of_the_notification_goes_before_the_publications(
    edge: Edge, fcm: ScriptedGateway, clock: FakeClock
) -> None:
    notifications = [{"notification_data": "x", "push": {"sender": "the editor"}}]
    await edge.application.post("/broadcast", json={"notifications": notifications, "sender": "the editors"})
    assert (await pushed(edge, fcm, clock)).control_fields()["sender"] == "the editor"
