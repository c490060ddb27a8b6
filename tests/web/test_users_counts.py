"""Counts as the application and devices ask for them: over HTTP, on connections and on event streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from pns.contracts.store import CountsOf
from pns.errors import StoreUnavailable
from pns.testing import Device
from tests.harness import eventually
from tests.web.edge import Edge
from tests.web.test_user_devices import notify

HEADERS = {"cookie": "user=alice"}
NOTHING = {"unseen": 0, "unread": 0, "categories": {}, "version": 0}


def of(unseen: int, unread: int) -> dict[str, int]:
    return {"unseen": unseen, "unread": unread}


async def mark(edge: Edge, as_: str, **which: Any) -> None:
    answer = await edge.application.post("/users/alice/marks", json={"as": as_, **which})
    assert answer.status_code == 200, answer.text


async def user(edge: Edge, query: str = "") -> dict[str, Any]:
    answer = await edge.application.get(f"/users/alice{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# ── on a connection ───────────────────────────────────────────────────────────────────────────────────


async def test_counts_come_at_once_and_after_every_change(edge: Edge) -> None:
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        assert await phone.ask_counts() == NOTHING
        for id, category in (("a", "c"), ("b", "c"), ("d", "e"), ("f", None)):
            await notify(edge, notification_id=id, **({"category": category} if category else {}))
        await phone.all_counts_are(unread=4)
        assert phone.all_counts[-1]["categories"] == {"c": of(2, 2), "e": of(1, 1)}
        await mark(edge, "seen", notification_ids=["a"])
        await phone.all_counts_are(unseen=3, unread=4, categories={"c": of(1, 2), "e": of(1, 1)})
        await mark(edge, "read", notification_ids=["a"])
        await phone.all_counts_are(unseen=3, unread=3, categories={"c": of(1, 1), "e": of(1, 1)})
        await mark(edge, "archived", notification_ids=["a", "d"])
        await phone.all_counts_are(unseen=2, unread=2, categories={"c": of(1, 1)})
        await mark(edge, "unread", notification_ids=["d"])
        await phone.all_counts_are(unseen=2, unread=3, categories={"c": of(1, 1), "e": of(0, 1)})
        await edge.application.delete("/users/alice/notifications/d")
        await phone.all_counts_are(unseen=2, unread=2, categories={"c": of(1, 1)})
        versions = [counts["version"] for counts in phone.all_counts]
        assert versions == sorted(set(versions)), "each one is newer"
        assert phone.counts[-1] == 2


async def test_a_mark_that_leaves_the_count_is_told_to_those_who_asked_alone(edge: Edge) -> None:
    await notify(edge, notification_id="a")
    await mark(edge, "seen", notification_ids=["a"])
    async with (
        Device.connect(edge.web, headers=HEADERS) as phone,
        Device.connect(edge.web, headers=HEADERS) as desk,
    ):
        before = await phone.ask_counts()
        for as_, unread in (("read", 0), ("archived", 0), ("unarchived", 0), ("unread", 1)):
            await mark(edge, as_, notification_ids=["a"])
            await phone.all_counts_are(unread=unread, version=before["version"] + 1)
            before = phone.all_counts[-1]
        await mark(edge, "unread", notification_ids=["a"])
        await notify(edge, notification_id="b")
        await desk.count_is(1)
        await phone.all_counts_are(unseen=1)
        assert (phone.counts, desk.counts) == ([0, 1], [0, 1]), "the count was not repeated"
        assert desk.all_counts == []
        assert phone.all_counts[-1]["version"] == before["version"] + 1, "no change, no version"


async def test_named_categories_are_told_with_zeros(edge: Edge) -> None:
    await notify(edge, notification_id="a", category="c")
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        named = await phone.ask_counts(categories=["none", "c", "c"])
        assert named["categories"] == {"none": of(0, 0), "c": of(1, 1)}
        await notify(edge, notification_id="b", category="other")
        await phone.all_counts_are(unread=2, categories=named["categories"])
        assert (await phone.ask_counts(categories=[]))["categories"] == {}
        await mark(edge, "read", all=True)
        await phone.all_counts_are(unread=0, categories={})
        assert (await phone.ask_counts())["categories"] == {}
        await notify(edge, notification_id="x", category="other")
        await phone.all_counts_are(unread=1, categories={"other": of(1, 1)})


async def test_asking_again_is_answered_though_nothing_changed(edge: Edge) -> None:
    await notify(edge, notification_id="a", category="c")
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        first = await phone.ask_counts()
        assert [await phone.ask_counts() for _ in range(3)] == [first] * 3
        assert (await phone.unseen(ack=True))[0]["notification_id"] == "a"


async def test_more_than_64_categories(edge: Edge) -> None:
    names = [f"c{number:02}" for number in range(65)]
    body = [{"notification_data": "x", "category": name} for name in names]
    answer = await edge.application.post("/notify", json={"user_id": "alice", "notifications": body})
    assert answer.status_code == 201
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        told = await phone.ask_counts()
        assert (list(told["categories"]), told["more"]) == (names[:64], True)
        await mark(edge, "read", category="c03")
        await phone.all_counts_are(unread=64)
        assert list(phone.all_counts[-1]["categories"]) == [name for name in names if name != "c03"]
        assert "more" not in phone.all_counts[-1]
    info = await user(edge, "?counts=category")
    assert (len(info["categories"]), "more" in info) == (64, False)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (None, "Expected `object`"),
        (True, "Expected `object`"),
        ({"category": "c"}, "category"),
        ({"categories": "c"}, "categories"),
        ({"categories": ["no name"]}, "categories/0"),
        ({"categories": ["a", ""]}, "categories/1"),
        ({"categories": ["x"] * 65}, "categories"),
        ({"categories": None}, "categories"),
    ],
)
async def test_a_wrong_request_names_field_and_remedy(edge: Edge, request_: Any, told: str) -> None:
    message = {"countsRequest": request_}
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        error = (await phone.ask(message))["error"]
        assert (error["code"], error["message"][:15]) == ("bad_request", "countsRequest: ")
        assert told.lower() in error["message"].lower()
    answer = await edge.device("alice").post("/messages", json=message)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["message"] == f"bad_request: {error['message']}"


async def test_an_erased_user_is_told_nothing_more(edge: Edge) -> None:
    await notify(edge, notification_id="a", category="c")
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        await phone.ask_counts()
        await edge.application.delete("/users/alice")
        assert await phone.closed() == 4501
        assert phone.all_counts[-1]["unread"] == 1
    await notify(edge, notification_id="a")
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        assert (await phone.ask_counts())["unread"] == 1


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_answered_once(edge: Edge) -> None:
    device = edge.device("alice")
    assert (await device.post("/messages", json={"countsRequest": {}})).json() == {
        "notificationCounts": NOTHING
    }
    await notify(edge, notification_id="a", category="c")
    request = {"countsRequest": {"categories": ["c", "d"]}}
    answer = await device.post("/messages", json=request)
    told = {"unseen": 1, "unread": 1, "categories": {"c": of(1, 1), "d": of(0, 0)}, "version": 1}
    assert (answer.status_code, answer.json()) == (200, {"notificationCounts": told})


async def test_the_application_reads_counts(edge: Edge) -> None:
    assert {name: value for name, value in (await user(edge)).items() if name != "devices"} == {
        "user_id": "alice",
        **of(0, 0),
    }
    await notify(edge, notification_id="a", category="c")
    await notify(edge, notification_id="b")
    await mark(edge, "seen", all=True)
    assert "categories" not in await user(edge)
    info = await user(edge, "?counts=category&here=true")
    assert (info["unseen"], info["unread"], info["categories"]) == (0, 2, {"c": of(0, 1)})


@pytest.mark.parametrize("query", ["counts=", "counts=true", "counts=category&counts=category", "count=x"])
async def test_a_wrong_query_is_named(edge: Edge, query: str) -> None:
    answer = await edge.application.get(f"/users/alice?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["at"] in ("counts", "count")


# ── event streams ─────────────────────────────────────────────────────────────────────────────────────


class Stream:
    """An event stream, read in process."""

    def __init__(self, edge: Edge, query: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 0
        self._left = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/subscribe",
            "query_string": query.encode(),
            "headers": [
                (b"accept", b"text/event-stream"),
                (b"cookie", b"user=alice"),
                (b"host", b"pns.example"),
            ],
            "client": ("127.0.0.1", 5),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
        }
        self.task = asyncio.create_task(edge.web(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        for line in message.get("body", b"").decode().splitlines():
            if line.startswith("data: "):
                self.messages.append(json.loads(line.removeprefix("data: ")))

    async def leave(self) -> None:
        self._left.set()
        await self.task


async def test_a_stream_that_asks_is_told_all_counts(edge: Edge) -> None:
    asking, plain = Stream(edge, "counts=true"), Stream(edge, "")
    await notify(edge, notification_id="a", category="c")
    await eventually(lambda: len(plain.messages) > 0 and len(asking.messages) > 1)
    await mark(edge, "read", all=True)
    last = {"unseen": 0, "unread": 0, "categories": {}}
    await eventually(
        lambda: (
            any(last.items() <= m.get("notificationCounts", {}).items() for m in asking.messages)
            and plain.messages[-1] == {"newNotificationCountChanged": 0}
        )
    )
    assert list(asking.messages[0]) == ["newNotificationCountChanged"]
    assert list(asking.messages[1]) == ["notificationCounts"]
    assert {name for message in plain.messages for name in message} == {"newNotificationCountChanged"}
    await asking.leave()
    await plain.leave()


async def test_a_stream_with_a_wrong_query(edge: Edge) -> None:
    for query in ("counts=1", "counts=", "counts=True"):
        stream = Stream(edge, query)
        await stream.task
        assert stream.status == 422


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_store_that_is_away_is_told_and_made_up_for(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(asked: object) -> dict[CountsOf, object]:
        raise StoreUnavailable

    await notify(edge, notification_id="a")
    async with Device.connect(edge.web, headers=HEADERS) as phone:
        with monkeypatch.context() as patch:
            patch.setattr(edge.node.store, "counts", away)
            answer = await phone.ask({"countsRequest": {}})
            assert answer["error"]["code"] == "unavailable"
        await edge.node.fanout.compare()
        await phone.all_counts_are(unread=1)
