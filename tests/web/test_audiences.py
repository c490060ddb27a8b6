"""Topics, buckets and broadcasts: names, subscriptions, and what reaches whom, once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from pns.runtime.looper import Looper
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


@pytest.fixture
def drowsy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication is spread, and taken back, when time passes, and not before."""
    monkeypatch.setattr(Looper, "wake", lambda looper: None)


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
    assert found["reached"] == 0, "nobody is connected or registered"
    assert not found.keys() & {"topic", "bucket"}
    assert [*await inbox(edge, "bob"), (await inbox(edge, "alice"))[1]] == published["notification_ids"] * 2
    assert await inbox(edge, "a stranger") == []
    assert await publication(edge, published["publication_id"]) == {**found, "reached": 2}


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


# ── the list, and taking back ─────────────────────────────────────────────────────────────────────────


async def listed(edge: Edge, **query: Any) -> list[dict[str, Any]]:
    answer = await edge.application.get("/publications", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["publications"]
    return found


@pytest.mark.usefixtures("drowsy")
async def test_publications_are_listed_newest_first_with_their_progress(edge: Edge, clock: FakeClock) -> None:
    assert await listed(edge) == []
    await put(edge, "/topics/app:news", "/topics/app:news/subscribers/ann", "/buckets/b/subscribers/bob")
    await publish(edge, "/topics/app:news/notify", publication_id="one", notifications=[NOTE])
    clock.jump(1)
    await publish(edge, "/buckets/b/changed", publication_id="two", type="BUCKET_DELETED")
    clock.jump(1)
    await publish(edge, "/broadcast", publication_id="three", notifications=[NOTE] * 2)
    found = await listed(edge)
    assert found == [await publication(edge, id) for id in ("three", "two", "one")]
    assert [(each.get("topic"), each.get("bucket"), each["end_date"]) for each in found] == [
        (None, None, None),
        (None, "b", None),
        ("app:news", None, None),
    ]
    for id in ("one", "two", "three"):
        await spread(edge, clock, id)
    assert [len(await inbox(edge, user)) for user in ("ann", "bob")] == [3, 3]
    assert [each["reached"] for each in await listed(edge, before="")] == [2, 1, 1]
    pages = [
        await listed(edge, limit=2),
        await listed(edge, before="two", limit=9),
        await listed(edge, before="one"),
    ]
    assert [[each["publication_id"] for each in page] for page in pages] == [["three", "two"], ["one"], []]


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ({"before": "never"}, "before"),
        ({"before": "a b"}, "before"),
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"after": "a"}, "after"),
    ],
)
async def test_what_no_list_takes(edge: Edge, query: dict[str, str], at: str) -> None:
    answer = await edge.application.get("/publications", params=query)
    assert (answer.status_code, [error["at"] for error in answer.json()["errors"]]) == (422, [at])


@pytest.mark.usefixtures("drowsy")
async def test_a_publication_is_taken_back(edge: Edge, clock: FakeClock) -> None:
    """Of a group only the member goes; what was seen stays, and so does what came by itself."""
    users = ("ann", "bob", "eve")
    await put(edge, "/topics/app:news", *(f"/topics/app:news/subscribers/{user}" for user in users))
    like = {**NOTE, "collapse_key": "post:7", "group": {"member": "user:7"}}
    mine = {**NOTE, "collapse_key": "post:7", "group": {"member": "user:8"}}
    await edge.application.post("/notify", json={"user_id": "ann", "notifications": [mine]})
    await publish(edge, "/topics/app:news/notify", publication_id="p", notifications=[NOTE, like])
    await spread(edge, clock, "p")
    await edge.application.post("/users/eve/seen", json={"notification_ids": ["p.0"]})
    assert "taken_back" not in await publication(edge, "p")
    for _ in range(2):
        answer = await edge.application.delete("/publications/p")
        assert (answer.status_code, answer.content) == (202, b"")
        taken = await publication(edge, "p")
        assert (taken["taken_back_date"], taken["end_date"] is None) == (None, False)

    async def done() -> bool:
        return (await publication(edge, "p"))["taken_back_date"] is not None

    await in_time(clock, done)
    taken = await publication(edge, "p")
    assert (taken["taken_back"], taken["reached"]) == (3, 3)
    assert await listed(edge) == [taken]
    assert await inbox(edge, "bob") == []
    assert await inbox(edge, "eve") == ["p.0"]
    (left,) = (await edge.application.get("/users/ann/notifications")).json()["notifications"]
    assert (left["group"]["times"], left["group"]["members"]) == (1, 1)
    info = (await edge.application.get("/users/ann")).json()
    assert (info["unseen"], info["unread"]) == (1, 1)


@pytest.mark.usefixtures("drowsy")
async def test_its_id_is_not_free_and_a_repeat_spreads_nothing(edge: Edge, clock: FakeClock) -> None:
    await put(edge, "/topics/app:news", "/topics/app:news/subscribers/ann")
    body = {"publication_id": "p", "notifications": [NOTE]}
    told = await publish(edge, "/topics/app:news/notify", **body)
    assert await status(edge, "DELETE", "/publications/p") == 202
    assert await publish(edge, "/topics/app:news/notify", **body) == told
    other = {**body, "notifications": [{"notification_data": "other"}]}
    answer = await edge.application.post("/topics/app:news/notify", json=other)
    assert (answer.status_code, answer.json()["code"]) == (409, "publication_id_conflict")
    await publish(edge, "/topics/app:news/notify", publication_id="q", notifications=[NOTE])
    await spread(edge, clock, "q")
    assert await inbox(edge, "ann") == ["q.0"]
    taken = await publication(edge, "p")
    assert (taken["reached"], taken["end_date"], taken["taken_back"]) == (0, None, 0)


async def test_what_cannot_be_taken_back(edge: Edge) -> None:
    assert await status(edge, "DELETE", "/publications/never") == 404
    assert await status(edge, "DELETE", "/publications/a%20b") == 422
    assert await status(edge, "DELETE", "/publications/p?now=true") == 422


async def test_a_broadcast_to_whoever_was_connected_lately(edge: Edge, clock: FakeClock) -> None:
    for user in ("away", "here"):
        answer = await edge.device(user).post("/messages", json={"countsRequest": {}})
        assert answer.status_code == 200
        await in_time(clock, lambda: not edge.node.hub.has_visitors)
        clock.advance(1)
        if user == "away":
            clock.jump(91 * 86_400)
    await in_time(clock, lambda: subscribers(edge))
    told = await publish(edge, "/broadcast", publication_id="p", notifications=[NOTE], seen_within_days=90)
    await spread(edge, clock, "p")
    assert [await inbox(edge, user) for user in ("away", "here")] == [[], told["notification_ids"]]
    assert (await publication(edge, "p"))["reached"] == 1


async def subscribers(edge: Edge) -> bool:
    """Whether both users are known."""
    return len(await edge.node.store.audiences.subscribers("everybody", after=0, limit=9)) == 2


@pytest.mark.parametrize("days", [0, -1, 36_501, "90", 1.5, True])
async def test_days_are_a_number_of_days(edge: Edge, days: object) -> None:
    body = {"notifications": [NOTE], "seen_within_days": days}
    answer = await edge.application.post("/broadcast", json=body)
    assert answer.status_code == 422
    assert [error["at"] for error in answer.json()["errors"]] == ["/seen_within_days"]


async def test_days_are_of_a_broadcast_alone(edge: Edge) -> None:
    await put(edge, "/topics/app:news")
    body = {"notifications": [NOTE], "seen_within_days": 9}
    answer = await edge.application.post("/topics/app:news/notify", json=body)
    assert answer.status_code == 422
