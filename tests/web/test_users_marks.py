"""Marks and lists as the application and a device without a connection ask for them, good and bad."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import pytest

from pns.contracts.gateway import Outcome, Receipt
from pns.model.timestamp import format_timestamp
from pns.testing import Device, FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, in_time
from tests.web.test_user_devices import install, notify, pushes

NOTIFICATIONS = "/users/alice/notifications"


async def mark(edge: Edge, body: dict[str, Any], *, user: str = "alice") -> httpx.Response:
    return await edge.application.post(f"/users/{user}/marks", json=body)


async def listed(edge: Edge, query: str = "") -> list[str]:
    answer = await edge.application.get(f"{NOTIFICATIONS}?{query}")
    assert answer.status_code == 200, answer.text
    return [item["notification_id"] for item in answer.json()["notifications"]]


async def some(edge: Edge) -> None:
    """a: read, b: seen, c: archived, d: unseen; a and d are comments."""
    for id, more in (("a", "comments"), ("b", "orders"), ("c", "orders"), ("d", "comments")):
        await notify(edge, notification_id=id, category=more, collapse_key=f"key:{id}")
    for as_, id in (("read", "a"), ("seen", "b"), ("archived", "c")):
        assert (await mark(edge, {"as": as_, "notification_ids": [id]})).json()["changed"] == 1


async def test_the_application_marks(edge: Edge) -> None:
    await some(edge)
    for body, changed, unseen, unread in (
        ({"as": "read", "notification_ids": ["a", "gone"]}, 0, 1, 2),
        ({"as": "seen", "collapse_key": "key:d"}, 1, 0, 2),
        ({"as": "read", "category": "orders", "up_to": "b"}, 1, 0, 1),
        ({"as": "archived", "all": True, "up_to": "c"}, 2, 0, 1),
        ({"as": "unarchived", "notification_ids": ["a", "b", "d"]}, 2, 0, 1),
        ({"as": "unread", "notification_ids": ["a", "b", "c", "d"]}, 3, 0, 4),
    ):
        answer = await mark(edge, body)
        assert (answer.status_code, answer.json()) == (
            200,
            {"changed": changed, "unseen": unseen, "unread": unread},
        )
    nobody = await mark(edge, {"as": "read", "all": True}, user="nobody")
    assert (nobody.status_code, nobody.json()) == (200, {"changed": 0, "unseen": 0, "unread": 0})


async def test_items_carry_their_marks_when_set(edge: Edge, clock: FakeClock) -> None:
    await some(edge)
    now = format_timestamp(clock.now())
    found = (await edge.application.get(NOTIFICATIONS)).json()["notifications"]
    assert [{name: item[name] for name in item if name.endswith("_date")} for item in found] == [
        {"create_date": now, "seen_date": now, "read_date": now},
        {"create_date": now, "seen_date": now},
        {"create_date": now, "seen_date": now, "read_date": now, "archived_date": now},
        {"create_date": now, "seen_date": None},
    ]
    lines = (await edge.application.get("/users/alice/export")).text.splitlines()
    assert [json.loads(line)["notification"] for line in lines] == found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=comments", ["a", "d"]),
        ("unread=true", ["b", "d"]),
        ("archived=true", ["c"]),
        ("archived=false", ["a", "b", "d"]),
        ("category=orders&unread=true&before=", ["b"]),
        ("archived=false&before=d&limit=1", ["b"]),
        ("unread=true&archived=true", []),
        ("category=none", []),
    ],
)
async def test_the_application_lists(edge: Edge, query: str, expected: list[str]) -> None:
    await some(edge)
    assert await listed(edge, query) == expected


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("category=", "category"),
        ("category=a%20b", "category"),
        ("unread=false", "unread"),
        ("unread=", "unread"),
        ("archived=", "archived"),
        ("archived=1", "archived"),
        ("archived=true&archived=true", "archived"),
        ("seen=true", "seen"),
    ],
)
async def test_a_wrong_filter_is_named(edge: Edge, query: str, at: str) -> None:
    answer = await edge.application.get(f"{NOTIFICATIONS}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at)


WRONG: list[tuple[Any, str, str]] = [
    ({}, "/as", "required"),
    ({"as": "gone", "all": True}, "/as", 'one of "seen", "read", "unread", "archived", "unarchived"'),
    ({"as": "read"}, "", "exactly one of `notification_ids`, `collapse_key`, `category`, `all`"),
    ({"as": "read", "all": True, "category": "c"}, "", "exactly one"),
    ({"as": "read", "all": False}, "/all", "true, or left out"),
    ({"as": "read", "all": None}, "/all", "bool"),
    ({"as": "read", "notification_ids": []}, "/notification_ids", "length >= 1"),
    ({"as": "read", "notification_ids": ["x"] * 501}, "/notification_ids", "length <= 500"),
    ({"as": "read", "notification_ids": ["a b"]}, "/notification_ids/0", "1 to 64"),
    ({"as": "read", "notification_ids": ["a"], "up_to": "a"}, "/up_to", "left out beside"),
    ({"as": "read", "category": ""}, "/category", "1"),
    ({"as": "read", "collapse_key": "x" * 65}, "/collapse_key", "64"),
    ({"as": "unread", "all": True}, "/all", "`unread` takes `notification_ids` alone"),
    ({"as": "unarchived", "category": "c"}, "/category", "`unarchived` takes `notification_ids` alone"),
    ({"as": "read", "ids": ["a"]}, "/ids", "no such member"),
]


@pytest.mark.parametrize(("body", "at", "remedy"), WRONG, ids=str)
async def test_a_wrong_mark_names_field_and_remedy(edge: Edge, body: Any, at: str, remedy: str) -> None:
    await notify(edge, notification_id="a")
    answer = await mark(edge, body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["at"]) == (422, "invalid", at)
    assert remedy in problem["errors"][0]["message"]
    assert (await edge.application.get("/users/alice")).json()["unseen"] == 1


async def test_up_to_what_is_not_kept(edge: Edge) -> None:
    await notify(edge, notification_id="a")
    answer = await mark(edge, {"as": "read", "all": True, "up_to": "gone"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_notification")
    device = edge.device("alice")
    message = {"markNotifications": {"as": "read", "all": True, "upTo": "gone"}}
    answer = await device.post("/messages", json=message)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_notification")
    assert await listed(edge, "unread=true") == ["a"]


async def test_a_device_marks_by_post(edge: Edge) -> None:
    await some(edge)
    device = edge.device("alice")
    answer = await device.post("/messages", json={"markNotifications": {"as": "archived", "ids": ["a", "d"]}})
    assert (answer.status_code, answer.json()) == (
        200,
        {"notificationsMarked": {"as": "archived", "changed": 2}},
    )
    request = {"seenNotificationsRequest": {"category": "comments", "archived": True}}
    found = (await device.post("/messages", json=request)).json()["seenNotificationData"]
    assert [item["notification_id"] for item in found] == ["a", "d"]
    wrong = await device.post("/messages", json={"markNotifications": {"as": "unread", "all": True}})
    assert wrong.status_code == 422
    assert "bad_request: markNotifications: all must be left out: `unread` takes `ids` alone" in wrong.text


async def test_a_device_marks_on_its_connection(edge: Edge) -> None:
    await some(edge)
    headers = {"cookie": "user=alice"}
    async with Device.connect(edge.web, headers=headers) as phone:
        async with Device.connect(edge.web, headers=headers) as desk:
            await desk.count_is(1)
            assert await phone.mark("read", all=True, upTo="c") == 1
            assert await phone.mark("seen", collapseKey="key:d") == 1
            await desk.count_is(0)
            await phone.count_is(0)
        assert [item["notification_id"] for item in await phone.seen(unread=True)] == ["d"]
        assert [item["notification_id"] for item in await phone.seen()] == ["a", "b", "d"]
        assert [item["notification_id"] for item in await phone.seen(archived=True)] == ["c"]
        assert await phone.mark("unread", ids=["c", "gone"]) == 1
        assert [item["notification_id"] for item in await phone.seen(category="orders")] == ["b", "c"]
        gone = await phone.ask({"markNotifications": {"as": "read", "category": "x", "upTo": "gone"}})
        assert gone["error"]["code"] == "unknown_notification"
        for wrong in ({"as": "read"}, {"as": "read", "ids": ["x"] * 51}, {"as": "read", "ids": [1]}):
            assert (await phone.ask({"markNotifications": wrong}))["error"]["code"] == "bad_request"
        assert phone.counts == [1, 0]


async def test_the_unseen_of_one_category_are_told_and_marked_as_ever(edge: Edge) -> None:
    for id, category in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")):
        await notify(edge, notification_id=id, category=category)
    async with Device.connect(edge.web, headers={"cookie": "user=alice"}) as phone:
        assert [i["notification_id"] for i in await phone.unseen(ack=True)] == ["a", "b", "c", "d"]
        assert [i["notification_id"] for i in await phone.unseen(ack=True, category="y")] == ["b", "d"]
        await phone.send({"notificationDataSeen": {"upTo": "c"}})
        await phone.count_is(1)
        assert [i["notification_id"] for i in await phone.unseen(category="y")] == ["d"]
        await phone.count_is(0)


@pytest.mark.parametrize("as_", ["seen", "read", "archived"])
@pytest.mark.parametrize("by", [{"category": "c"}, {"all": True}, {"notification_ids": ["a", "b"]}], ids=str)
async def test_what_is_marked_is_dismissed_and_not_pushed(
    edge: Edge, fcm: ScriptedGateway, clock: FakeClock, as_: str, by: dict[str, Any]
) -> None:
    await install(edge)
    await notify(edge, notification_id="a", category="c")
    await in_time(clock, lambda: len(fcm.taken) == 1)
    fcm.script = lambda push: Receipt(Outcome.RETRY)
    await notify(edge, notification_id="b", category="c")
    await in_time(clock, lambda: len(fcm.asked) == 2)
    fcm.script = lambda push: Receipt(Outcome.ACCEPTED)
    assert (await mark(edge, {"as": as_, **by})).json()["changed"] == 2
    await in_time(clock, lambda: any("a" in push.dismissed for push in fcm.asked))

    async def cancelled() -> bool:
        return (await pushes(edge, "b"))[0]["state"] == "cancelled"

    await in_time(clock, cancelled)
    assert (await pushes(edge, "a"))[0]["state"] == "seen"
    assert [push.notification_id for push in fcm.asked if not push.dismissed] == ["a", "b"]
