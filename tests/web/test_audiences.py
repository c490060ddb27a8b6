"""Topics, buckets and broadcasts: names, subscriptions, and what reaches whom, once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from pns.testing import FakeClock
from tests.web.edge import Edge, in_time

NOTE = {"notification_data": "x"}


async def put(edge: Edge, *paths: str) -> None:
    for path in paths:
        answer = await edge.application.put(path)
        assert (answer.status_code, answer.content) == (204, b""), answer.text


async def status(edge: Edge, method: str, path: str) -> int:
    return (await edge.application.request(method, path)).status_code


async def publish(edge: Edge, path: str, **body: Any) -> dict[str, Any]:
    answer = await edge.application.post(path, json=body)
    assert answer.status_code == 202, answer.text
    published: dict[str, Any] = answer.json()
    return published


async def publication(edge: Edge, publication_id: str) -> dict[str, Any]:
    answer = await edge.application.get(f"/publications/{publication_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def spread(edge: Edge, clock: FakeClock, publication_id: str) -> dict[str, Any]:
    """The publication, once it has reached everybody."""

    async def complete() -> bool:
        return (await publication(edge, publication_id))["end_date"] is not None

    await in_time(clock, complete)
    return await publication(edge, publication_id)


async def inbox(edge: Edge, user: str) -> list[str]:
    answer = await edge.application.get(f"/users/{quote(user, safe='')}/notifications")
    return [item["notification_id"] for item in answer.json()["notifications"]]


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────

LONG = "x" * 64


@pytest.mark.parametrize(
    "topic",
    [
        *("app:news", f"app:{LONG}", "app:A-Z_09", "group:42:news", "user:alice:news"),
        *("user:a/b:news", "user:a:b:c:news", "group:ä ö:x", "user:app::x", f"user:{'x' * 255}:x"),
    ],
)
async def test_names_of_topics(edge: Edge, topic: str) -> None:
    path = f"/topics/{quote(topic, safe='')}"
    await put(edge, path, f"{path}/subscribers/alice")
    shown = (await edge.application.get("/users/alice/subscriptions")).json()
    assert shown == {"topics": [topic], "buckets": []}


@pytest.mark.parametrize(
    "topic",
    [
        *("news", "app:", f"app:{LONG}x", "app:a.b", "app:a b", "app:ä", "app:a:b", "app:a\n", "APP:news"),
        *("group:news", "user::news", "user:.:news", "user:..:news", f"user:{'x' * 256}:x", "user:a\nb:x"),
        *("team:42:news", "app:news/x", "user:42:"),
    ],
)
async def test_what_is_no_name_of_a_topic(edge: Edge, topic: str) -> None:
    path = f"/topics/{quote(topic, safe='')}"
    for method, below in (("PUT", ""), ("DELETE", ""), ("PUT", "/subscribers/a"), ("GET", "/subscribers/a")):
        answer = await edge.application.request(method, path + below)
        assert answer.status_code == 422
        assert [error["at"] for error in answer.json()["errors"]] == ["topic"]
    answer = await edge.application.post(f"{path}/notify", json={"notifications": [NOTE]})
    assert answer.json()["errors"][0]["at"] == "topic"


@pytest.mark.parametrize("bucket", ["a/b", "a b", "ä", LONG + "x", "a\n"])
async def test_what_is_no_name_of_a_bucket(edge: Edge, bucket: str) -> None:
    path = f"/buckets/{quote(bucket, safe='')}"
    answer = await edge.application.put(f"{path}/subscribers/alice")
    assert answer.json()["errors"][0]["at"] == "bucket"
    body = {"type": "DATA_OBJECT_CREATED", "object_id": "1"}
    answer = await edge.application.post(f"{path}/changed", json=body)
    assert answer.json()["errors"][0]["at"] == "bucket"


# ── subscriptions ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("user", ["alice", "a/b", "ä%20"])
async def test_subscribing_is_safe_to_repeat(edge: Edge, user: str) -> None:
    topic = "/topics/app:news"
    subscriber = f"{topic}/subscribers/{quote(user, safe='')}"
    await put(edge, topic, topic)
    assert await status(edge, "GET", subscriber) == 404
    await put(edge, subscriber, subscriber)
    await put(edge, topic)
    assert await status(edge, "GET", subscriber) == 204, "making it again keeps its subscribers"
    assert [await status(edge, "DELETE", subscriber) for _ in range(2)] == [204, 204]
    assert await status(edge, "GET", subscriber) == 404


async def test_a_topic_must_be_made_and_a_bucket_need_not(edge: Edge) -> None:
    answer = await edge.application.put("/topics/app:news/subscribers/alice")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "PUT /topics/{topic}" in answer.json()["detail"]
    answer = await edge.application.post("/topics/app:news/notify", json={"notifications": [NOTE]})
    assert answer.status_code == 404
    await put(edge, "/buckets/orders/subscribers/alice")


@pytest.mark.parametrize("audience", ["/topics/app:news", "/buckets/orders"])
async def test_what_is_removed_has_no_subscribers(edge: Edge, audience: str) -> None:
    if audience.startswith("/topics"):
        await put(edge, audience)
    await put(edge, f"{audience}/subscribers/alice", "/buckets/other/subscribers/alice")
    assert [await status(edge, "DELETE", audience) for _ in range(2)] == [204, 204]
    assert await status(edge, "GET", f"{audience}/subscribers/alice") == 404
    shown = (await edge.application.get("/users/alice/subscriptions")).json()
    assert shown == {"topics": [], "buckets": ["other"]}


async def test_a_parameter_that_there_is_not(edge: Edge) -> None:
    await put(edge, "/topics/app:news")
    for method, path in (
        ("PUT", "/topics/app:news"),
        ("DELETE", "/topics/app:news"),
        ("PUT", "/topics/app:news/subscribers/alice"),
        ("GET", "/users/alice/subscriptions"),
        ("GET", "/publications/p"),
        ("GET", "/users/alice/devices"),
        ("DELETE", "/users/alice/devices/d"),
    ):
        assert await status(edge, method, f"{path}?make=true") == 422


# ── publications ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_topic_is_notified(edge: Edge, clock: FakeClock) -> None:
    await put(edge, "/topics/app:news")
    await put(edge, *(f"/topics/app:news/subscribers/{user}" for user in ("alice", "a%2Fb")))
    await put(edge, "/buckets/orders/subscribers/bob")
    published = await publish(edge, "/topics/app:news/notify", notifications=[NOTE, NOTE])
    found = await spread(edge, clock, published["publication_id"])
    assert (found["topic"], found["reached"]) == ("app:news", 2)
    assert "bucket" not in found
    assert found["notification_ids"] == published["notification_ids"]
    assert await inbox(edge, "alice") == await inbox(edge, "a/b") == published["notification_ids"]
    assert await inbox(edge, "bob") == []


async def test_everybody_is_notified(edge: Edge, clock: FakeClock) -> None:
    await edge.application.post("/notify", json={"user_id": "alice", "notifications": [NOTE]})
    await put(edge, "/buckets/orders/subscribers/bob")
    published = await publish(edge, "/broadcast", notifications=[NOTE])
    found = await spread(edge, clock, published["publication_id"])
    assert found["reached"] == 2
    assert not found.keys() & {"topic", "bucket"}
    assert [*await inbox(edge, "bob"), (await inbox(edge, "alice"))[1]] == published["notification_ids"] * 2
    assert await inbox(edge, "a stranger") == []


async def test_a_bucket_tells_of_its_changes(edge: Edge, clock: FakeClock) -> None:
    await put(edge, "/buckets/orders/subscribers/alice")
    path, created = "/buckets/orders/changed", {"type": "DATA_OBJECT_CREATED", "object_id": "order-7"}
    first = await publish(edge, path, **created)
    assert (await spread(edge, clock, first["publication_id"]))["bucket"] == "orders"
    (kept,) = (await edge.application.get("/users/alice/notifications")).json()["notifications"]
    assert kept["notification_data"] == (
        '{"origin":"EVENT","bucketID":"orders","objectID":"order-7","type":"DATA_OBJECT_CREATED"}'
    )

    second = await publish(edge, path, **{**created, "type": "DATA_OBJECT_UPDATED"})
    await spread(edge, clock, second["publication_id"])
    assert await inbox(edge, "alice") == second["notification_ids"], "the newest change stands for all"
    third = await publish(edge, path, **created, collapse=False, notification_data="Look at order 7")
    await spread(edge, clock, third["publication_id"])
    assert await inbox(edge, "alice") == second["notification_ids"] + third["notification_ids"]
    gone = await publish(edge, path, type="BUCKET_DELETED", sender="the shop")
    await spread(edge, clock, gone["publication_id"])
    assert await inbox(edge, "alice") == third["notification_ids"] + gone["notification_ids"]


async def test_a_repeated_publication_is_one(edge: Edge, clock: FakeClock) -> None:
    await put(edge, "/topics/app:news", "/topics/app:news/subscribers/alice")
    body = {"publication_id": "issue-7", "notifications": [NOTE, {**NOTE, "notification_id": "mine"}]}
    first = await publish(edge, "/topics/app:news/notify", **body)
    assert first == {"publication_id": "issue-7", "notification_ids": ["issue-7.0", "mine"]}
    assert await publish(edge, "/topics/app:news/notify", **body) == first
    await spread(edge, clock, "issue-7")
    assert await publish(edge, "/topics/app:news/notify", **body) == first, "also when it was complete"
    clock.advance(5)
    assert (await publication(edge, "issue-7"))["reached"] == 1
    assert await inbox(edge, "alice") == ["issue-7.0", "mine"]


async def test_a_long_publication_id_makes_no_id_too_long(edge: Edge, clock: FakeClock) -> None:
    await edge.application.post("/notify", json={"user_id": "alice", "notifications": [NOTE]})
    body = {"publication_id": LONG, "notifications": [NOTE]}
    first = await publish(edge, "/broadcast", **body)
    assert first["publication_id"] == LONG
    assert await publish(edge, "/broadcast", **body) == first
    await spread(edge, clock, LONG)
    assert (await inbox(edge, "alice"))[1:] == first["notification_ids"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/topics/app:news/notify", {"notifications": [{"notification_data": "something else"}]}),
        ("/topics/app:news/notify", {"notifications": [NOTE, NOTE]}),
        ("/topics/app:other/notify", {"notifications": [NOTE]}),
        ("/broadcast", {"notifications": [NOTE]}),
        ("/buckets/orders/changed", {"type": "BUCKET_DELETED"}),
    ],
)
async def test_another_publication_under_a_known_id(edge: Edge, path: str, body: dict[str, Any]) -> None:
    await put(edge, "/topics/app:news", "/topics/app:other")
    known = await publish(edge, "/topics/app:news/notify", publication_id="p", notifications=[NOTE])
    answer = await edge.application.post(path, json={**body, "publication_id": "p"})
    assert (answer.status_code, answer.json()["code"]) == (409, "publication_id_conflict")
    assert (await publication(edge, "p"))["notification_ids"] == known["notification_ids"]


async def test_one_id_twice_with_different_data(edge: Edge) -> None:
    same = {"notification_id": "a", "notification_data": "x"}
    other = {"notification_id": "a", "notification_data": "y"}
    answer = await edge.application.post("/broadcast", json={"notifications": [same, other]})
    assert (answer.status_code, answer.json()["code"]) == (409, "notification_id_conflict")
    assert "a is the id of two of these" in answer.json()["detail"]
    await publish(edge, "/broadcast", notifications=[same, same])


async def test_a_publication_that_there_is_not(edge: Edge) -> None:
    answer = await edge.application.get("/publications/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await status(edge, "GET", "/publications/a%20b") == 422


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────

CHANGED = {"type": "DATA_OBJECT_UPDATED", "object_id": "1"}
WRONG: dict[str, tuple[str, Any, str]] = {
    "nothing to say": ("/broadcast", {"notifications": []}, "/notifications"),
    "too many": ("/broadcast", {"notifications": [NOTE] * 1001}, "/notifications"),
    "an unknown member": ("/broadcast", {"notifications": [NOTE], "user_id": "a"}, "/user_id"),
    "an id that is none": (
        "/broadcast",
        {"notifications": [NOTE], "publication_id": "a b"},
        "/publication_id",
    ),
    "no sender": ("/broadcast", {"notifications": [NOTE], "sender": ""}, "/sender"),
    "data that is too long": (
        "/topics/app:news/notify",
        {"notifications": [NOTE, {"notification_data": "x" * 65_537}]},
        "/notifications/1/notification_data",
    ),
    "data under a name of FCM": (
        "/broadcast",
        {"notifications": [{**NOTE, "push": {"fcm": {"data": {"from": "x"}}}}]},
        "/notifications/0/push/fcm/data",
    ),
    "no change": ("/buckets/b/changed", {**CHANGED, "type": "DATA_OBJECT_EATEN"}, "/type"),
    "a change of no object": ("/buckets/b/changed", {"type": "DATA_OBJECT_UPDATED"}, "/object_id"),
    "an object of a deleted bucket": (
        "/buckets/b/changed",
        {**CHANGED, "type": "BUCKET_DELETED"},
        "/object_id",
    ),
    "a change with data that is too long": (
        "/buckets/b/changed",
        {**CHANGED, "notification_data": "x" * 65_537},
        "/notification_data",
    ),
    "a change under a name of FCM": (
        "/buckets/b/changed",
        {**CHANGED, "push": {"fcm": {"data": {"gcm.x": "x"}}}},
        "/push/fcm/data",
    ),
}


async def test_whether_an_object_is_concerned_is_told_either_way(edge: Edge) -> None:
    async def said(**body: str) -> str:
        answer = await edge.application.post("/buckets/b/changed", json=body)
        (error,) = answer.json()["errors"]
        return str(error["message"])

    assert await said(type="DATA_OBJECT_UPDATED") == "must be given, except for BUCKET_DELETED"
    assert await said(type="BUCKET_DELETED", object_id="o7") == "must be left out for BUCKET_DELETED"


@pytest.mark.parametrize(("path", "body", "at"), WRONG.values(), ids=WRONG)
async def test_a_wrong_body_names_the_field(edge: Edge, path: str, body: Any, at: str) -> None:
    await put(edge, "/topics/app:news")
    answer = await edge.application.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert [error["at"] for error in answer.json()["errors"]] == [at]
